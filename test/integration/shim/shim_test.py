#!/usr/bin/python3
"""The real mainstay-shim against hostile process trees and hostile clients, and with a real PostgreSQL 15.

Usage: shim_test.py SHIM STORM [unittest arguments]. Needs root (it drops to `postgres` and `nobody` where a test needs that);
without root only the session and user-namespace tests make sense and the rest is skipped.
"""
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from shimlib import *  # noqa: F403

SHIM = STORM = ""
SEC = 10**9
PG_BIN = "/usr/lib/postgresql/15/bin"
ROOT = os.geteuid() == 0


def wait_until(condition, seconds=5.0, what="condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come true in {seconds} s")


class Case(unittest.TestCase):
    mode = "namespace"
    run_as = None
    user = "postgres"

    def setUp(self):
        if not ROOT:
            self.skipTest("needs root")
        self.bin = tempfile.mkdtemp(prefix="mainstay-shim-bin.")
        os.chmod(self.bin, 0o755)
        shutil.copy(STORM, os.path.join(self.bin, "postgres"))
        self.shims = []
        self.procs = []

    def tearDown(self):
        for p in self.procs:
            p.kill()
            p.wait()
        for s in self.shims:
            s.stop()
        shutil.rmtree(self.bin, ignore_errors=True)

    def shim(self, db="plain", **kw):
        kw.setdefault("mode", self.mode)
        kw.setdefault("run_as", self.run_as)
        kw.setdefault("user", self.user)
        s = Shim(SHIM, bin_dir=self.bin, **kw)
        self.shims.append(s)
        os.makedirs(s.data, exist_ok=True)
        self.db(s, db)
        for name in ("", "standby.signal", "mode"):
            open(os.path.join(s.data, name), "a").close() if name else None
            shutil.chown(os.path.join(s.data, name), self.user, self.user)
        return s

    def db(self, s, mode):
        with open(os.path.join(s.data, "mode"), "w") as f:
            f.write(mode)

    def beat(self, s):
        """(last heartbeat of any process of the database, SIGHUPs, processes of chains)"""
        try:
            with open(os.path.join(s.data, "beat"), "rb") as f:
                return struct.unpack("<qqq", f.read(24))
        except (FileNotFoundError, struct.error):
            return (0, 0, 0)

    def tool_script(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)

    def refused(self, code, call, *args, **kw):
        with self.assertRaises(Refused) as caught:
            call(*args, **kw)
        self.assertEqual(caught.exception.code, code)
        return caught.exception

    def assert_dead(self, s, fenced):
        """No heartbeat after `empty_at`, now and 300 ms later."""
        time.sleep(0.3)
        last = self.beat(s)[0]
        self.assertGreater(last, 0, "the database never ran")
        self.assertLessEqual(last, fenced["empty_at"], "a process outlived the fence")

    def fence(self, s, link, seconds=0.5, epoch=1):
        link.arm(now() + int(seconds * SEC), epoch)
        fenced = link.fenced(10)
        self.assertGreaterEqual(fenced["killed_at"], fenced["deadline"], "killed before the deadline")
        self.assert_dead(s, fenced)
        return fenced


class Deadline(Case):
    def test_kills_a_tree_that_resists(self):
        s = self.shim("storm")
        l = s.link()
        l.subscribe()
        l.start()
        wait_until(lambda: self.beat(s)[2] > 50, what="the storm")
        fenced = self.fence(s, l)
        self.assertEqual(l.exited()["cause"], "fence")
        self.assertLess(fenced["killed_at"] - fenced["deadline"], SEC // 2)
        state = l.state()
        self.assertEqual((state["phase"], state["until"], state["fences"]), ("idle", 0, 1))

    def test_agent_stopped(self):
        s = self.shim("plain")
        l = s.link()
        l.start()
        code = ("import sys,time; sys.path.insert(0, sys.argv[1]); from shimlib import *; l=Link(sys.argv[2]); e=0\n"
                "while True: l.arm(now()+600*10**6, 1); print(flush=True); time.sleep(.1)")
        agent = subprocess.Popen(["/usr/bin/python3", "-c", code, os.path.dirname(os.path.abspath(__file__)), s.socket], stdout=subprocess.PIPE)
        self.procs.append(agent)
        for _ in range(15):  # 1.5 s with a deadline of 0.6 s: extensions work
            agent.stdout.readline()
        self.assertEqual(l.state()["phase"], "running")
        l.subscribe()
        agent.send_signal(signal.SIGSTOP)
        stopped = now()
        fenced = l.fenced(5)
        self.assertLess(fenced["killed_at"] - stopped, SEC)
        self.assert_dead(s, fenced)
        agent.send_signal(signal.SIGCONT)
        agent.stdout.close()

    def test_agent_killed_without_any_connection_left(self):
        s = self.shim("deaf")
        l = s.link()
        l.start()
        l.arm(now() + SEC // 2, 1)
        l.close()
        time.sleep(1.0)
        state = s.link().state()
        self.assertEqual((state["phase"], state["fences"]), ("idle", 1))
        self.assert_dead(s, state["last_fence"])

    def flood(self, s, n=6):
        code = ("import sys,struct; sys.path.insert(0, sys.argv[1]); from shimlib import *\n"
                "while True:\n"
                "  try:\n"
                "    l=Link(sys.argv[2]); l.sock.setblocking(False); t=now()\n"
                "    while True:\n"
                "      try: l.send(STATE); l.send(ARM, struct.pack('<qqqq',1,1,t,2)); l.sock.recv(9000)\n"
                "      except BlockingIOError: pass\n"
                "  except (OSError, Closed): pass")
        for _ in range(n):
            self.procs.append(subprocess.Popen(["/usr/bin/python3", "-c", code, os.path.dirname(os.path.abspath(__file__)), s.socket]))
        time.sleep(0.5)

    def test_flooded_socket(self):
        s = self.shim("storm")
        l = s.link()
        l.subscribe()
        l.start()
        self.flood(s)
        fenced = self.fence(s, l, 1.0)
        self.assertLess(fenced["killed_at"] - fenced["deadline"], SEC // 5)

    def test_starved_of_cpu_and_flooded(self):
        s = self.shim("storm")
        l = s.link()
        l.subscribe()
        l.start()
        for _ in range(16):
            self.procs.append(subprocess.Popen(["/usr/bin/python3", "-c", "while True: pass"]))
        self.flood(s, 3)
        fenced = self.fence(s, l, 1.0)
        self.assertLess(fenced["killed_at"] - fenced["deadline"], SEC)

    def test_garbage_does_not_delay(self):
        s = self.shim("plain")
        l = s.link()
        l.subscribe()
        l.start()
        l.arm(now() + SEC, 1)
        end = time.monotonic() + 0.9
        sent = 0
        while time.monotonic() < end:
            try:
                g = Link(s.socket, hello=False)
                g.sock.send(os.urandom(1 + sent % 9000))
                g.close()
                sent += 1
            except OSError:
                pass
        fenced = l.fenced(5)
        self.assertGreater(sent, 50)
        self.assertLess(fenced["killed_at"] - fenced["deadline"], SEC // 5)

    def test_rules_over_the_socket(self):
        s = self.shim("plain")
        l = s.link()
        l.start()
        until = now() + 20 * SEC
        l.arm(until, 5)
        self.refused("shorter", l.arm, until - 1, 5)
        self.refused("epoch", l.arm, until + SEC, 4)
        self.refused("clock", l.arm, until + SEC, 5, remaining=20000)
        self.refused("clock", l.arm, until + SEC, 5, sent=now() + SEC)
        self.refused("clock", l.arm, now() + 3600 * SEC, 5)
        l.arm(until + 1, 6)
        state = l.state()
        self.assertEqual((state["until"], state["epoch"]), (until + 1, 6))
        # It ends with the database, the epoch does not.
        l.subscribe()
        l.signal(FAST)
        self.assertEqual(l.exited()["cause"], "signal")
        self.assertEqual(l.state()["until"], 0)
        self.refused("epoch", l.arm, now() + 5 * SEC, 5)

    def test_deadline_without_a_database_kills_a_tool(self):
        self.tool_script("initdb", "exec sleep 20\n")
        s = self.shim()
        l, t = s.link(), s.link()
        l.subscribe()
        t.tool_begin(INITDB, ["-k"])
        l.arm(now() + SEC // 3, 1)
        fenced = l.fenced(3)
        self.assertEqual(t.tool_end(3)[0], "killed_with_database")
        self.assertLess(fenced["empty_at"] - fenced["deadline"], SEC)

    def test_killed_shim_takes_the_database_with_it(self):
        for inner in (True, False):
            s = self.shim("storm")
            s.link().start()
            wait_until(lambda: self.beat(s)[2] > 20, what="the storm")
            os.kill(s.inner() if inner else s.process.pid, signal.SIGKILL)
            s.process.wait(5)
            time.sleep(0.2)
            at = now()
            time.sleep(0.3)
            self.assertLess(self.beat(s)[0], at, "the database outlived its shim")
            self.assertGreater(self.beat(s)[0], 0)


class Session(Case):
    mode = "session"

    def test_kills_a_tree_that_resists(self):
        for _ in range(3):
            s = self.shim("storm")
            l = s.link()
            self.assertEqual(l.state()["mode"], "session")
            l.subscribe()
            l.start()
            wait_until(lambda: self.beat(s)[2] > 50, what="the storm")
            self.fence(s, l)

    def test_unprivileged_session(self):
        s = self.shim("storm", run_as="postgres")
        l = s.link()
        l.subscribe()
        l.start()
        wait_until(lambda: self.beat(s)[2] > 20, what="the storm")
        self.fence(s, l)

    def test_a_descendant_may_not_connect(self):
        self.tool_script("initdb", "/usr/bin/python3 -c 'import sys; sys.path.insert(0, \"%s\"); from shimlib import *; Link(\"%s\")' 2>&1\n"
                         % (os.path.dirname(os.path.abspath(__file__)), "SOCKET"))
        s = self.shim()
        with open(os.path.join(self.bin, "initdb")) as f:
            text = f.read().replace("SOCKET", s.socket)
        with open(os.path.join(self.bin, "initdb"), "w") as f:
            f.write(text)
        end, status, out, _ = s.link().tool(INITDB, ["-k"])
        self.assertIn("Closed", out)
        self.assertNotEqual(status, 0)


class Namespace(Case):
    def test_user_namespace_without_root(self):
        s = self.shim("storm", run_as="postgres", foreign=True)
        # Root of outside is nobody in there, so the client must be the same user: run the whole check as postgres.
        code = ("import sys; sys.path.insert(0, sys.argv[1]); from shimlib import *; import time\n"
                "l=Link(sys.argv[2]); l.subscribe(); assert l.state()['mode']=='namespace'; l.start(); time.sleep(.3)\n"
                "l.arm(now()+3*10**8,1); f=l.fenced(5); print(f['empty_at'])")
        out = subprocess.run(["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "/usr/bin/python3", "-c", code,
                              os.path.dirname(os.path.abspath(__file__)), s.socket], stdout=subprocess.PIPE, timeout=20, check=True).stdout
        self.assert_dead(s, {"empty_at": int(out)})

    def test_inside_may_not_connect(self):
        self.tool_script("initdb", "")
        s = self.shim()
        with open(os.path.join(self.bin, "initdb"), "w") as f:
            f.write("#!/bin/sh\n/usr/bin/python3 -c 'import sys; sys.path.insert(0, \"%s\"); from shimlib import *; Link(\"%s\")' 2>&1\n"
                    % (os.path.dirname(os.path.abspath(__file__)), s.socket))
        end, status, out, _ = s.link().tool(INITDB, ["-k"])
        self.assertIn("Closed", out)
        self.assertNotEqual(status, 0)

    def test_container_mode_refuses_a_shared_namespace(self):
        with self.assertRaises(RuntimeError) as caught:
            self.shim(mode="container")
        self.assertIn("shareProcessNamespace", str(caught.exception))

    def test_container_mode_as_pid_1(self):
        base = tempfile.mkdtemp(prefix="mainstay-shim.")
        self.addCleanup(shutil.rmtree, base, True)
        s = Shim.__new__(Shim)
        original = subprocess.Popen
        # unshare(1) plays the container runtime: a PID namespace with its own /proc, the shim as its first process.
        subprocess.Popen = lambda cmd, **kw: original(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *cmd], **kw)
        try:
            s.__init__(SHIM, mode="container", bin_dir=self.bin, base=base)
        finally:
            subprocess.Popen = original
        self.shims.append(s)
        os.makedirs(s.data)
        self.db(s, "storm")
        for name in ("", "standby.signal"):
            open(os.path.join(s.data, name), "a").close() if name else None
            shutil.chown(os.path.join(s.data, name), "postgres", "postgres")
        l = s.link()
        self.assertEqual(l.state()["mode"], "container")
        l.subscribe()
        l.start()
        wait_until(lambda: self.beat(s)[2] > 50, what="the storm")
        with open(f"/proc/{s.process.pid}/task/{s.process.pid}/children") as f:
            first = int(f.read().split()[0])
        # Somebody came in from outside, as with kubectl exec: dies with the rest.
        stranger = subprocess.Popen(["nsenter", "-t", str(first), "-p", "setpriv", "--reuid=postgres", "--clear-groups", "--regid=postgres", "sleep", "60"])
        self.procs.append(stranger)
        time.sleep(0.3)
        self.fence(s, l)
        self.assertIsNotNone(stranger.wait(2))


class Database(Case):
    def test_start_needs_what_its_kind_needs(self):
        s = self.shim()
        l = s.link()
        self.refused("not_armed", l.start, PRIMARY, 3)
        l.arm(now() + 20 * SEC, 3)
        self.refused("not_armed", l.start, PRIMARY, 4)
        self.refused("stale", l.start, PRIMARY, 3, 7)
        starts, pid = l.start(PRIMARY, 3)
        self.assertEqual(starts, 1)
        self.assertGreater(pid, 1)
        self.refused("running", l.start, PRIMARY, 3)
        l.kill()
        os.unlink(os.path.join(s.data, "standby.signal"))
        self.refused("no_standby_signal", l.start, STANDBY)
        wait_until(lambda: l.state()["phase"] == "idle")
        self.assertEqual(l.state()["last_exit"]["starts"], 1, "a start that failed is no exit")
        for _ in range(20):  # and another try may follow at once
            self.refused("no_standby_signal", l.start, STANDBY)

    def test_standby_start_clears_a_left_over_deadline(self):
        s = self.shim()
        l, other = s.link(), s.link()
        other.subscribe()
        l.arm(now() + SEC // 2, 3)
        other.event(ARMED)
        l.start(STANDBY)
        self.assertEqual(struct.unpack("<qq", other.event(ARMED)), (0, 3))
        time.sleep(0.7)
        self.assertEqual(l.state()["phase"], "running")

    def test_exec_failure_is_told(self):
        s = self.shim()
        os.unlink(os.path.join(self.bin, "postgres"))
        e = self.refused("exec", s.link().start)
        self.assertEqual(struct.unpack("<IiiI", e.payload)[2], 2)  # ENOENT

    def test_signals(self):
        s = self.shim()
        l = s.link()
        l.subscribe()
        self.refused("not_running", l.signal, FAST)
        starts, _ = l.start()
        wait_until(lambda: self.beat(s)[0] > 0)
        l.signal(RELOAD)
        wait_until(lambda: self.beat(s)[1] == 1, what="SIGHUP")
        self.refused("stale", l.signal, FAST, starts + 1)
        self.refused("stale", l.kill, starts + 1)
        l.signal(FAST, starts)
        e = l.exited()
        self.assertEqual((e["cause"], e["status"], e["starts"]), ("signal", 0, starts))
        l.start()
        time.sleep(0.2)
        l.signal(IMMEDIATE)
        self.assertEqual(os.waitstatus_to_exitcode(l.exited()["status"]), 3)

    def test_hup_and_term_of_the_shim_reach_the_database(self):
        s = self.shim()
        l = s.link()
        l.subscribe()
        l.start()
        wait_until(lambda: self.beat(s)[0] > 0)
        s.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.beat(s)[1] == 1, what="SIGHUP")
        s.process.send_signal(signal.SIGTERM)
        l.event(TERMINATING)
        e = l.exited()
        self.assertEqual((e["cause"], e["status"]), ("signal", 0))
        self.assertEqual(s.process.wait(5), 0)

    def test_term_kills_after_its_bound(self):
        s = self.shim("deaf", flags=["--stop-timeout", "1"])
        l = s.link()
        l.subscribe()
        l.start()
        wait_until(lambda: self.beat(s)[0] > 0)
        began = time.monotonic()
        s.process.send_signal(signal.SIGTERM)
        self.assertEqual(l.exited()["cause"], "term")
        s.process.wait(5)
        self.assertGreater(time.monotonic() - began, 0.95)
        self.assertLess(time.monotonic() - began, 3)

    def test_term_wait_leaves_the_stopping_to_the_agent(self):
        s = self.shim(flags=["--term-wait", "2"])
        l = s.link()
        l.subscribe()
        l.start()
        time.sleep(0.2)
        s.process.send_signal(signal.SIGTERM)
        stop_at, kill_at = struct.unpack("<qq", l.event(TERMINATING))
        self.assertEqual(kill_at - stop_at, 60 * SEC)
        time.sleep(0.5)
        self.assertEqual(l.state()["phase"], "running")
        self.refused("terminating", l.tool_begin, CONTROLDATA, [s.data])
        l.signal(FAST)
        s.process.wait(1)

    def test_fence_works_while_terminating(self):
        s = self.shim("deaf", flags=["--stop-timeout", "30"])
        l = s.link()
        l.subscribe()
        l.start()
        wait_until(lambda: self.beat(s)[0] > 0)
        l.arm(now() + SEC, 1)
        s.process.send_signal(signal.SIGTERM)
        fenced = l.fenced(5)
        self.assertLess(fenced["empty_at"] - fenced["deadline"], SEC)
        s.process.wait(2)

    def test_crash_is_reported_when_all_is_dead(self):
        s = self.shim("crash")
        l = s.link()
        l.subscribe()
        l.start()
        e = l.exited()
        self.assertEqual((e["cause"], os.waitstatus_to_exitcode(e["status"])), ("unasked", 1))
        self.assert_dead(s, e)  # its orphans ignored every signal

    def test_kill_answers_when_nothing_is_left(self):
        s = self.shim("storm")
        l = s.link()
        l.kill()  # nothing there: at once
        l.start()
        wait_until(lambda: self.beat(s)[2] > 50, what="the storm")
        l.kill()
        self.assert_dead(s, {"empty_at": now()})
        self.assertEqual(l.state()["last_exit"]["cause"], "kill")

    def test_readoption(self):
        s = self.shim()
        a = s.link()
        starts, pid = a.start()
        a.arm(now() + 5 * SEC, 9)
        nonce = a.nonce
        a.close()  # the agent dies
        b = s.link()
        state = b.state()
        self.assertEqual((b.nonce, b.starts, state["pid"], state["phase"], state["epoch"]), (nonce, starts, pid, "running", 9))
        b.arm(now() + 6 * SEC, 9)

    def test_nonce_changes_with_the_shim(self):
        self.assertNotEqual(self.shim().link().nonce, self.shim().link().nonce)

    def test_environment_and_arguments(self):
        s = self.shim("env", flags=["--set", "port=7777"])
        s.process.kill()
        s.process.wait()
        s.spawn(env={"LANG": "C.UTF-8", "LC_ALL": "C", "TZ": "UTC", "PGTZ": "UTC", "PGPASSWORD": "secret", "LD_PRELOAD": "/x.so", "SECRET": "1",
                     "PATH": os.environ["PATH"]})
        l = s.link()
        l.arm(now() + 60 * SEC, 1)
        l.start(ISOLATED)
        seen = os.path.join(s.data, "seen")
        wait_until(lambda: os.path.exists(seen))
        text = open(seen).read()
        env = {line[4:].split("=")[0] for line in text.splitlines() if line.startswith("env ")}
        self.assertEqual(env, {"LANG", "LC_ALL", "TZ", "PGTZ", "PATH", "HOME"})
        args = [line[4:] for line in text.splitlines() if line.startswith("arg ")]
        self.assertEqual(args, ["postgres", "-D", s.data, "-c", "port=7777", "-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.volume])
        status = open(f"/proc/{self.db_pid(s)}/status").read()
        uid = str(__import__("pwd").getpwnam("postgres").pw_uid)
        self.assertIn(f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n", status)
        self.assertIn("NoNewPrivs:\t1\n", status)
        self.assertIn("SigBlk:\t0000000000000000\n", status)
        self.assertEqual(os.sched_getscheduler(self.db_pid(s)), os.SCHED_OTHER)

    def db_pid(self, s):
        with open(f"/proc/{s.inner()}/task/{s.inner()}/children") as f:
            return int(f.read().split()[0])


class Socket(Case):
    def test_other_users_are_refused(self):
        s = self.shim()
        code = ("import sys; sys.path.insert(0, sys.argv[1]); from shimlib import *\n"
                "try: Link(sys.argv[2]); print('in')\nexcept (Closed, PermissionError) as e: print(type(e).__name__)")
        here = os.path.dirname(os.path.abspath(__file__))

        def attempt(user):
            return subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3", "-c", code, here, s.socket],
                                  stdout=subprocess.PIPE, timeout=10).stdout.decode().strip()
        self.assertEqual(attempt("postgres"), "in")
        self.assertEqual(attempt("daemon"), "PermissionError")
        # Even with the directory and the socket open to all, the peer's credentials are checked.
        os.chmod(os.path.dirname(s.socket), 0o755)
        os.chmod(s.socket, 0o666)
        self.assertEqual(attempt("daemon"), "Closed")
        self.assertEqual(attempt("postgres"), "in")

    def test_directory_and_socket_are_private(self):
        s = self.shim()
        self.assertEqual(os.stat(os.path.dirname(s.socket)).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(s.socket).st_mode & 0o777, 0o600)
        base = tempfile.mkdtemp(prefix="mainstay-shim.")
        self.addCleanup(shutil.rmtree, base, True)
        os.mkdir(base + "/run", 0o755)
        with self.assertRaises(RuntimeError) as caught:
            Shim(SHIM, bin_dir=self.bin, base=base)
        self.assertIn("0700", str(caught.exception))

    def test_a_second_shim_does_not_steal_the_socket(self):
        s = self.shim()
        second = subprocess.run(s.command, stderr=subprocess.PIPE, timeout=5)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(b"another shim", second.stderr)
        self.assertEqual(s.link().state()["phase"], "idle")

    def test_bad_frames_close_the_connection(self):
        s = self.shim()
        hello = HEADER.pack(MAGIC, PROTOCOL, HELLO, 8, 1, 0) + struct.pack("<II", PROTOCOL, 0)
        cases = {
            "no hello": [HEADER.pack(MAGIC, PROTOCOL, STATE, 0, 1, 0)],
            "magic": [HEADER.pack(MAGIC + 1, PROTOCOL, HELLO, 0, 1, 0)],
            "unknown verb": [hello, HEADER.pack(MAGIC, PROTOCOL, 77, 0, 1, 0)],
            "an event": [hello, HEADER.pack(MAGIC, PROTOCOL, FENCED, 0, 1, 0)],
            "length": [hello, HEADER.pack(MAGIC, PROTOCOL, STATE, 5, 1, 0)],
            "payload size": [hello, HEADER.pack(MAGIC, PROTOCOL, ARM, 3, 1, 0) + b"abc"],
            "too long": [hello, b"x" * 9000],
            "short": [hello, b"x"],
            "start kind": [hello, HEADER.pack(MAGIC, PROTOCOL, START, 16, 1, 0) + struct.pack("<IIq", 9, ANY, 0)],
            "tool strings": [hello, HEADER.pack(MAGIC, PROTOCOL, RUN_TOOL, 16, 1, 0) + struct.pack("<BBHIq", 1, 0, 3, 0, 5)],
        }
        for name, packets in cases.items():
            with self.subTest(name):
                l = Link(s.socket, hello=False)
                for p in packets:
                    l.sock.send(p)
                with self.assertRaises(Closed):
                    while True:
                        l.receive(2)
        self.assertEqual(s.link().state()["phase"], "idle")

    def test_another_version_is_told_and_closed(self):
        s = self.shim()
        l = Link(s.socket, hello=False)
        l.sock.send(HEADER.pack(MAGIC, 2, HELLO, 8, 1, 0) + struct.pack("<II", 2, 0))
        verb, _, code, body = l.receive()
        self.assertEqual((verb, CODES[code], struct.unpack("<QII", body)[1]), (REPLY, "version", 1))
        with self.assertRaises(Closed):
            l.receive()

    def test_eight_clients_and_no_more(self):
        s = self.shim()
        time.sleep(0.1)
        links = [s.link() for _ in range(8)]
        with self.assertRaises((Closed, OSError)):
            s.link()
        links.pop().close()
        wait_until(lambda: links[0].state()["clients"] == 7)
        s.link()

    def test_slow_readers_are_dropped(self):
        s = self.shim()
        l = s.link()
        slow = s.link()
        slow.sock.settimeout(0.3)
        with self.assertRaises((OSError, Closed)):
            for _ in range(100000):  # ask and never read
                slow.send(STATE)
        wait_until(lambda: l.state()["clients"] == 1, 10, "the slow reader's end")

    def test_resident_memory(self):
        s = self.shim("plain")
        l = s.link()
        l.start()
        l.subscribe()
        l.kill()
        self.tool_script("initdb", "seq 20000\n")
        l.tool(INITDB, ["-k"])
        text = open(f"/proc/{s.inner()}/status").read()
        value = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.startswith(("VmRSS", "VmLck", "VmHWM", "VmSwap"))}
        print("shim memory", value, file=sys.stderr)
        self.assertLessEqual(int(value["VmRSS"]), 1024)
        self.assertLessEqual(int(value["VmHWM"]), 1024)
        self.assertTrue(l.state()["flags"] & 1, "memory is locked")
        # Idle: it does not wake up at all.
        ticks = lambda: sum(map(int, open(f"/proc/{s.inner()}/stat").read().rsplit(")", 1)[1].split()[11:13]))
        before = ticks()
        time.sleep(1)
        self.assertLessEqual(ticks() - before, 1)


class Tools(Case):
    def test_refusals(self):
        s = self.shim()
        l = s.link()
        for tool, args in ((99, []), (INITDB, ["-L", "/x"]), (CONTROLDATA, ["/etc"]), (CONTROLDATA, [s.data + "/../../x"]), (POSTGRES_C, ["-D", s.data]),
                           (BASEBACKUP, ["-d", "host=a password=b"]), (REMOVE_STALE, [s.data]), (SWAP_DATA, [])):
            self.refused("not_allowed", l.tool_begin, tool, args)
        self.refused("not_allowed", l.tool_begin, INITDB, ["-k"], 5, "/etc/passwd")
        self.refused("late", l.tool_begin, INITDB, ["-k"], -1)
        l.start()
        self.refused("running", l.tool_begin, REWIND, ["-D", s.data])
        self.refused("running", l.tool_begin, SWAP_DATA, [s.data + ".new"])

    def test_output_status_and_environment(self):
        self.tool_script("initdb", 'echo "out $*"; echo "err $PGPASSFILE" >&2; id -un; exit 7\n')
        s = self.shim()
        end, status, out, err = s.link().tool(INITDB, ["-D", s.data, "--locale=C"], passfile=s.volume + "/pgpass")
        self.assertEqual((end, os.waitstatus_to_exitcode(status)), ("exited", 7))
        self.assertEqual(out, f"out -D {s.data} --locale=C\npostgres\n")
        self.assertEqual(err, f"err {s.volume}/pgpass\n")

    def test_much_output_reaches_a_slow_reader_whole(self):
        self.tool_script("initdb", "seq 400000\n")
        s = self.shim()
        l = s.link()
        l.tool_begin(INITDB, ["-k"])
        time.sleep(0.5)
        self.assertEqual(s.link().state()["phase"], "idle")  # the shim is not held up
        end, status, out, _ = l.tool_end()
        self.assertEqual((end, status), ("exited", 0))
        self.assertEqual(out.count("\n"), 400000)
        self.assertTrue(out.endswith("\n400000\n"))

    def test_cancel_deadline_and_owner(self):
        # Ignores SIGTERM and has a child of its own in the group.
        self.tool_script("initdb", "trap '' TERM\nsleep 30 & echo $!\nwait; sleep 30\n")
        s = self.shim()
        l = s.link()
        tool = l.tool_begin(INITDB, ["-k"])
        self.refused("busy", s.link().tool_begin, CONTROLDATA, [s.data])
        time.sleep(0.2)
        self.refused("no_tool", l.call, CANCEL_TOOL, struct.pack("<II", tool + 1, 0))
        l.call(CANCEL_TOOL, struct.pack("<II", tool, 0))
        self.assertEqual(l.tool_end(4)[0], "cancelled")
        self.assertEqual(l.tool(INITDB, ["-k"], 0.3)[0], "deadline")
        l.tool_begin(INITDB, ["-k"])
        l.close()
        l = s.link()
        wait_until(lambda: l.state()["tool_id"] == 0, 5)
        self.assertEqual(ENDS[l.state()["last_tool_end"]], "owner_gone")

    def test_keep_running_outlives_its_owner(self):
        self.tool_script("pg_rewind", "sleep 0.5; seq 100000; exit 4\n")
        s = self.shim()
        l = s.link()
        tool = l.tool_begin(REWIND, ["-D", s.data], flags=1)
        l.close()
        l = s.link()
        self.assertEqual(l.state()["tool_id"], tool)
        wait_until(lambda: l.state()["tool_id"] == 0, 5)
        state = l.state()
        self.assertEqual((state["last_tool_id"], os.waitstatus_to_exitcode(state["last_tool_status"])), (tool, 4))

    def test_no_start_while_a_tool_needs_the_directory(self):
        self.tool_script("pg_rewind", "sleep 5\n")
        s = self.shim()
        l = s.link()
        l.tool_begin(REWIND, ["-D", s.data])
        self.refused("busy", s.link().start)

    def test_swap_and_remove(self):
        s = self.shim()
        l = s.link()
        end, status, _, err = l.tool(SWAP_DATA, [s.data + ".new"])
        self.assertNotEqual(status, 0)
        self.assertIn("PG_VERSION", err)
        os.makedirs(s.data + ".new/base/1")
        for name in ("PG_VERSION", "base/1/x"):
            open(f"{s.data}.new/{name}", "w").write("new")
        outside = os.path.join(s.base, "outside")
        os.makedirs(outside)
        open(outside + "/keep", "w").close()
        os.symlink(outside, s.data + ".new/tablespace")
        subprocess.run(["chown", "-R", "postgres:", s.volume], check=True)
        end, status, old, err = l.tool(SWAP_DATA, [s.data + ".new"])
        self.assertEqual((end, status, err), ("exited", 0, ""))
        self.assertTrue(old.startswith(s.data + ".old-"))
        self.assertTrue(os.path.exists(old + "/standby.signal"))
        self.assertEqual(open(s.data + "/base/1/x").read(), "new")
        self.assertFalse(os.path.exists(s.data + ".new"))
        os.rename(s.data, s.data + ".gone")
        end, status, _, err = l.tool(REMOVE_STALE, [s.data + ".gone"])
        self.assertEqual((status, err), (0, ""))
        self.assertFalse(os.path.exists(s.data + ".gone"))
        self.assertTrue(os.path.exists(outside + "/keep"), "a symbolic link was followed")
        self.assertEqual(l.tool(REMOVE_STALE, [s.data + ".gone"])[1], 0, "removing nothing is fine")
        # With no data directory at all (first clone), swapping just renames.
        os.makedirs(s.data + ".new")
        open(s.data + ".new/PG_VERSION", "w").close()
        self.assertEqual(l.tool(SWAP_DATA, [s.data + ".new"])[:3], ("exited", 0, ""))
        self.assertTrue(os.path.exists(s.data + "/PG_VERSION"))


@unittest.skipUnless(os.path.exists(PG_BIN + "/postgres"), "needs PostgreSQL 15")
class RealPostgres(Case):
    def pg(self):
        s = Shim(SHIM, flags=["--set", "fsync=off"])
        self.shims.append(s)
        l = s.link()
        end, status, out, err = l.tool(INITDB, ["-D", s.data, "-N", "-A", "trust", "-U", "postgres", "--no-instructions"], 60)
        self.assertEqual(status, 0, out + err)
        with open(s.data + "/postgresql.conf", "a") as f:
            f.write(f"listen_addresses=''\nport=7432\nunix_socket_directories='{s.volume}'\n")
        return s, l

    def psql(self, s, sql, check=True):
        return subprocess.run([PG_BIN + "/psql", "-h", s.volume, "-p", "7432", "-U", "postgres", "-Atqc", sql], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=check, timeout=20).stdout.decode().strip()

    def up(self, s):
        wait_until(lambda: self.psql(s, "select 1", check=False) == "1", 15, "PostgreSQL")

    def test_life(self):
        s, l = self.pg()
        l.subscribe()
        _, status, out, _ = l.tool(CONTROLDATA, [s.data])
        self.assertEqual(status, 0)
        self.assertIn("shut down", out)
        self.assertEqual(l.tool(POSTGRES_C, ["-D", s.data, "-C", "port"])[2].strip(), "7432")
        self.refused("no_standby_signal", l.start, STANDBY)
        l.arm(now() + 60 * SEC, 1)
        l.start(PRIMARY, 1)
        self.up(s)
        self.assertEqual(self.psql(s, "show fsync"), "off")
        l.signal(FAST)
        e = l.exited(20)
        self.assertEqual((e["cause"], e["status"]), ("signal", 0))
        l.arm(now() + 60 * SEC, 1)
        l.start(ISOLATED)
        self.up(s)
        self.assertEqual(self.psql(s, "show listen_addresses"), "")
        l.kill()
        self.assertEqual(l.exited()["cause"], "kill")
        # Recovery after the kill, then the fence with a client connected.
        l.arm(now() + 8 * SEC, 1)
        l.start(PRIMARY, 1)
        self.up(s)
        sleeper = subprocess.Popen([PG_BIN + "/psql", "-h", s.volume, "-p", "7432", "-U", "postgres", "-c", "select pg_sleep(60)"],
                                   stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.procs.append(sleeper)
        fenced = l.fenced(15)
        self.assertEqual(l.exited()["cause"], "fence")
        self.assertLess(fenced["empty_at"] - fenced["deadline"], SEC)
        self.assertNotEqual(sleeper.wait(5), 0)

    def test_clone_and_swap(self):
        s, l = self.pg()
        l.arm(now() + 60 * SEC, 1)
        l.start(PRIMARY, 1)
        self.up(s)
        # Clone beside the running one (here from itself), with progress on stderr.
        end, status, _, err = l.tool(BASEBACKUP, ["-D", s.data + ".new", "-d", f"host={s.volume} port=7432 user=postgres", "-X", "stream", "-c", "fast",
                                                  "-P", "--no-slot", "-w", "-N"], 60)
        self.assertEqual((end, status), ("exited", 0), err)
        self.assertIn("100%", err)
        # The agent (same user) would write this:
        open(s.data + ".new/standby.signal", "w").close()
        shutil.chown(s.data + ".new/standby.signal", "postgres", "postgres")
        self.refused("running", l.tool_begin, SWAP_DATA, [s.data + ".new"])
        l.subscribe()
        l.signal(FAST)
        l.exited(20)
        self.assertEqual(l.tool(SWAP_DATA, [s.data + ".new"])[1], 0)
        l.start(STANDBY)
        self.up(s)
        self.assertEqual(self.psql(s, "select pg_is_in_recovery()"), "t")


if __name__ == "__main__":
    SHIM, STORM = map(os.path.abspath, sys.argv[1:3])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], warnings="ignore")
