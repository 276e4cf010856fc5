#!/usr/bin/python3
"""A disk that is full, memory that is full, a script that does not end: the primary refuses writes, and another one would be no better
off. It stays, says what is wrong, and goes on by itself once there is room."""
import ctypes
import os
import subprocess
import time

import procs
from base import BOUND, main, say
from procs import now_ns
from redis_case import RedisCase
from redis_harness import RedisCluster, RedisMember
from redis_load import Resp, RespError, leave

CLONE_NEWNS = 0x20000


class SmallDisk(RedisMember):
    """Its volume is a file system of its own, in a mount namespace of this test: it goes when the test goes."""
    def _make_folders(self):
        super()._make_folders()
        self.volume = os.path.join(self.home, "pg")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=12m,mode=0700,uid={os.stat(self.volume).st_uid}", "tmpfs", self.volume], check=True)

    def fill_disk(self):
        path = os.path.join(self.volume, "ballast")
        with open(path, "wb", buffering=0) as f:
            for size in (1 << 20, 4096, 1):
                try:
                    while f.write(b"x" * size):
                        pass
                except OSError:
                    continue
        return path


class SmallDisks(RedisCluster):
    MEMBER = SmallDisk


class Full(RedisCase):
    def steady(self, seconds, old):
        """Nobody else becomes a primary, the server is not restarted, and it goes on answering reads."""
        pid, end = old.server_pid(), time.monotonic() + seconds
        while time.monotonic() < end:
            self.assertEqual([m.name for m in self.c.members if m.accepts_writes()], [old.name], self.c.describe())
            time.sleep(0.2)
        self.assertEqual(old.server_pid(), pid)
        old.ask("GET", "anything")

    def refused(self, old, *words):
        with self.assertRaises(RespError) as caught:
            old.ask(*words)
        return str(caught.exception)


class DiskFull(Full):
    """As most people run it: the server goes on for a while and then refuses (MISCONF)."""
    CLUSTER = SmallDisks
    PARAMETERS = {"save": "", "appendonly": "yes", "auto-aof-rewrite-percentage": "0"}
    OPTIONS = {"n": 3, "profile": "fast", "parameters": {**PARAMETERS, "appendfsync": "everysec"}}

    @classmethod
    def setUpClass(cls):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)

    def test_primary(self):
        load, old = self.start_load(wait=1, pause=0.001), self.c.primary()
        ballast = old.fill_disk()

        def misconf():
            try:
                old.ask("SET", "big", "x" * 4096)
                return False
            except RespError as e:
                return "MISCONF" in str(e)
        self.c.wait("writes are refused", misconf, BOUND, 0.05)
        self.c.wait("that is told", lambda: old.status()["database"]["verdict"] == "saturated", BOUND, 0.1)
        self.steady(6, old)
        page = old.http("/metrics")[1]
        self.assertRegex(page, r"(?m)^redis_aof_last_write_status 0$")
        os.unlink(ballast)
        since = now_ns()
        self.assertTrue(load.wait_acked(since, 5, BOUND, old.name), self.c.describe())
        self.finish(load)
        self.assertEqual(load.writers_in_turn(), [old.name])

    def test_primary_dies_while_it_is_full(self):
        """Another one leads; it comes back when there is room."""
        load, old = self.start_load(wait=1, pause=0.001), self.c.primary()
        ballast, since = old.fill_disk(), now_ns()
        time.sleep(1)
        old.kill_server()
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
        time.sleep(2)
        os.unlink(ballast)
        self.finish(load)

    def test_replica(self):
        """The primary and the other replica go on."""
        load, old = self.start_load(wait=1, pause=0.001), self.c.primary()
        full = self.others(old)[0]
        ballast = full.fill_disk()
        self.assertTrue(load.wait_acked(now_ns(), 300, BOUND, old.name), self.c.describe())
        time.sleep(3)
        self.assertTrue(old.accepts_writes())
        os.unlink(ballast)
        self.finish(load)
        self.assertEqual(load.writers_in_turn(), [old.name])

    def test_switchover_away_from_a_full_disk(self):
        """What an administrator does about it."""
        load, old = self.start_load(wait=1, pause=0.001), self.c.primary()
        ballast, since = old.fill_disk(), now_ns()
        time.sleep(2)
        self.switch_over(old)
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
        os.unlink(ballast)
        self.finish(load)


class DiskFullAlways(DiskFull):
    """With appendfsync always the server ends itself: it cannot keep what it promised."""
    OPTIONS = {"n": 3, "profile": "fast", "parameters": {**DiskFull.PARAMETERS, "appendfsync": "always"}}
    test_replica = test_primary_dies_while_it_is_full = test_switchover_away_from_a_full_disk = None

    def test_primary(self):
        load, old = self.start_load(wait=1, pause=0.001), self.c.primary()
        ballast, since = old.fill_disk(), now_ns()
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
        say(f"{self.id()}: gap {load.gap(since):.3f} s")
        os.unlink(ballast)
        self.finish(load)


class MemoryFull(Full):
    OPTIONS = {"n": 3, "profile": "fast", "parameters": {"save": "", "maxmemory": "8mb", "maxmemory-policy": "noeviction", "repl-backlog-size": "1mb"}}

    def test_primary(self):
        old = self.c.wait_ready(BOUND)
        n = 0
        try:
            while n < 1000:
                old.ask("SET", f"fat:{n}", "x" * 100_000)
                n += 1
        except RespError as e:
            self.assertIn("OOM", str(e))
        self.assertGreater(n, 10)
        self.assertLess(n, 1000)
        self.steady(6, old)
        self.assertEqual(len([k for k in old.keys() if k.startswith("fat:")]), n)
        # A switchover changes nothing about it, and loses nothing.
        self.switch_over(old)
        new = self.c.wait_primary(BOUND, other_than=old)
        self.c.wait_ready(BOUND)
        self.assertEqual(len([k for k in new.keys() if k.startswith("fat:")]), n)
        self.assertIn("OOM", self.refused(new, "SET", "more", "x" * 100_000))
        for i in range(n):
            new.ask("DEL", f"fat:{i}")
        self.finish(self.start_load(wait=1))


class Script(Full):
    """A script that wrote something cannot be stopped by anybody (SCRIPT KILL refuses)."""
    OPTIONS = {"n": 3, "profile": "fast", "parameters": {"busy-reply-threshold": "100"}}
    LOOP = "redis.call('set', 'by-script', '1') local n = 0 while n < tonumber(ARGV[1]) do n = n + 1 end return n"

    def run_script(self, old, rounds):
        session = Resp(old.pg_port, timeout=BOUND)
        session.send("EVAL", self.LOOP, 0, rounds)
        self.c.wait("it is busy", lambda: self.busy(old), BOUND, 0.02)
        return session

    @staticmethod
    def busy(m):
        try:
            m.ask("PING", timeout=1.0)
            return False
        except RespError as e:
            return "BUSY" in str(e)
        except OSError:
            return False

    def test_a_slow_one_is_waited_for(self):
        """Some seconds: the primary is not changed, its data are the best there are."""
        load, old = self.start_load(wait=1), self.c.primary()
        pid = old.server_pid()
        began = time.monotonic()
        session = self.run_script(old, 100_000_000)
        session.read()
        say(f"{self.id()}: the script took {time.monotonic() - began:.1f} s")
        leave(session)
        self.finish(load)
        self.assertEqual(old.server_pid(), pid)
        self.assertEqual(load.writers_in_turn(), [old.name])

    def test_the_lock_is_lost_meanwhile(self):
        """The agent is gone, and the server hears nobody: it is killed at the deadline, another one leads."""
        load, old = self.start_load(wait=1), self.c.primary()
        session, pid, since = self.run_script(old, 10_000_000_000), old.server_pid(), now_ns()
        old.freeze_agent()
        try:
            new = self.c.wait_primary(BOUND, other_than=old)
            self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
            self.assertFalse(procs.alive(pid))
        finally:
            old.agent.resume()
            leave(session)
        self.finish(load)

    def test_shutdown(self):
        """SIGTERM of the agent: no clean handover is possible, the process is ended, another one leads."""
        load, old = self.start_load(wait=1), self.c.primary()
        session, since = self.run_script(old, 10_000_000_000), now_ns()
        old.agent.terminate(30)
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
        leave(session)
        old.start_agent()
        self.finish(load)


if __name__ == "__main__":
    main()
