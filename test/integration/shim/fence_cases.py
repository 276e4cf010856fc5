"""The deadline against process trees that resist, without an agent, without CPU; how the shim holds its processes."""
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from shimcase import *  # noqa: F403


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
            s.__init__(self.shim_binary, mode="container", bin_dir=self.bin, base=base)
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
