"""Starting, signalling, stopping and re-adopting the database; a real PostgreSQL 15."""
import os
import shutil
import signal
import struct
import subprocess
import time
import unittest

from shimcase import *  # noqa: F403


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

    def test_a_stopped_primary_can_be_asked_where_its_log_ends(self):
        for ask in (True, False):
            with self.subTest(ask=ask):
                s = self.shim(flags=["--term-wait", "20"])
                l = s.link()
                l.subscribe()
                l.arm(now() + 30 * SEC, 1)
                l.start(PRIMARY, epoch=1)
                wait_until(lambda: self.beat(s)[0] > 0)
                s.process.send_signal(signal.SIGTERM)
                l.event(TERMINATING)
                l.signal(FAST)
                l.exited()
                began = time.monotonic()
                if ask:
                    self.refused("terminating", l.start)
                    self.assertEqual(l.tool(CONTROLDATA, [s.data])[0], "exited")  # not refused
                s.process.wait(5)
                self.assertLess(time.monotonic() - began, 0.8 if ask else 1.8)
                if not ask:
                    self.assertGreater(time.monotonic() - began, 0.8)

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
        # By its whole name: initdb and postgres look for their files beside themselves.
        self.assertEqual(args, [os.path.join(self.bin, "postgres"), "-D", s.data, "-c", "port=7777", "-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.volume])
        status = open(f"/proc/{self.db_pid(s)}/status").read()
        uid = str(__import__("pwd").getpwnam("postgres").pw_uid)
        self.assertIn(f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n", status)
        self.assertIn("NoNewPrivs:\t1\n", status)
        self.assertIn("SigBlk:\t0000000000000000\n", status)
        self.assertEqual(os.sched_getscheduler(self.db_pid(s)), os.SCHED_OTHER)

    def db_pid(self, s):
        with open(f"/proc/{s.inner()}/task/{s.inner()}/children") as f:
            return int(f.read().split()[0])


@unittest.skipUnless(os.path.exists(PG_BIN + "/postgres"), "needs PostgreSQL 15")
class RealPostgres(Case):
    def pg(self):
        s = Shim(self.shim_binary, flags=["--set", "fsync=off"])
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
