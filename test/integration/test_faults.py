#!/usr/bin/python3
"""Faults of the primary, one at a time, on a running three-member cluster (fast profile) under an acknowledging load."""
import os
import time

from base import BOUND, ClusterCase, main
from procs import now_ns


class Faults(ClusterCase):
    def replaced(self, load, old, since, bound=BOUND):
        """Another member acknowledges writes."""
        new = self.c.wait_primary(bound, other_than=old)
        self.assertTrue(load.wait_acked(new.name, since, 3, bound), self.c.describe())
        return new

    def writes(self, load, since=None):
        self.assertTrue(load.wait_acked(after_ns=since or now_ns(), count=5, timeout=BOUND), "no writes\n" + self.c.describe())

    def test_kill_postmaster(self):
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        old.kill_postmaster()
        self.writes(load, since + 1_000_000)
        self.finish(load)
        self.assertLess(self.outage(load, since), 10)

    def test_pause_postmaster(self):
        """Its backends go on, but nobody can connect any more."""
        load, old = self.start_load(), self.c.primary()
        pid = old.postmaster_pid()
        old.pause_postmaster()
        try:
            new = self.c.wait_primary(BOUND)
            self.writes(load)
        finally:
            if old.postmaster_pid() == pid:
                old.resume_database()
        self.assertIsNotNone(new)
        self.finish(load)

    def test_pause_database(self):
        """All of its processes: neither writes nor replication, while agent and shim are well."""
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        pid = old.postmaster_pid()
        old.pause_database()
        # Another one, or the same one killed and opened again in place.
        self.assertTrue(load.wait_acked(after_ns=since + 500_000_000, count=5, timeout=BOUND), self.c.describe())
        self.assertNotEqual(old.postmaster_pid(), pid)
        self.finish(load)

    def test_kill_agent(self):
        """A new agent takes the running database up again: no failover, no restart."""
        load, old = self.start_load(), self.c.primary()
        pid, since = old.postmaster_pid(), now_ns()
        old.agent.kill()
        old.start_agent()
        self.c.wait("the agent leads again", lambda: (old.status() or {}).get("role") == "primary", BOUND)
        self.writes(load)
        self.assertIs(self.c.primary(), old)
        self.assertEqual(old.postmaster_pid(), pid)
        self.finish(load)
        self.assertLess(self.outage(load, since), 15)

    def test_agent_restart_keeps_the_database(self):
        """Of a standby as well: same postmaster, and it streams on."""
        load, primary = self.start_load(), self.c.primary()
        standby = next(m for m in self.c.members if m is not primary)
        pid = standby.postmaster_pid()
        standby.agent.kill()
        time.sleep(1)
        standby.start_agent()
        self.c.wait("its agent answers", lambda: (standby.status() or {}).get("role") == "replica", BOUND)
        time.sleep(2)
        self.assertEqual(standby.postmaster_pid(), pid)
        self.assertIs(self.c.primary(), primary)
        self.finish(load)

    def test_pause_agent(self):
        """The shim fences at the deadline without the agent; then the agent wakes up and rejoins."""
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        old.agent.pause()
        try:
            self.replaced(load, old, since)
            self.c.wait("the old primary is fenced", lambda: not old.accepts_writes(), BOUND)
        finally:
            old.agent.resume()
        self.finish(load)

    def test_kill_shim(self):
        """PID 1 of the database's namespace is gone, and with it the database."""
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        old.shim.kill()
        self.assertTrue(load.wait_acked(after_ns=since + 50_000_000, count=3, timeout=BOUND), self.c.describe())
        old.start_shim()
        self.finish(load)

    def test_pause_shim(self):
        """Nobody can fence this database now: its agent must not lead on, and what it acknowledges must be safe."""
        load, old = self.start_load(), self.c.primary()
        old.pause_shim()
        time.sleep(12)
        old.resume_all()
        self.writes(load)
        self.finish(load)

    def test_kill_all(self):
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        old.kill_all()
        self.replaced(load, old, since)
        old.start()
        self.finish(load)
        self.assertLess(self.outage(load, since), 15)

    def test_pause_all(self):
        """The whole machine sleeps, and wakes up as a primary of the past."""
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        old.pause_all()
        try:
            self.replaced(load, old, since)
        finally:
            old.resume_all()
        self.c.wait("the old primary is no primary", lambda: not old.accepts_writes(), BOUND)
        self.finish(load)

    def test_kill_a_standby(self):
        """One of two: the other goes on acknowledging; then both are back."""
        load, primary = self.start_load(), self.c.primary()
        standby = next(m for m in self.c.members if m is not primary)
        since = now_ns()
        standby.kill_all()
        self.writes(load)
        self.assertIs(self.c.primary(), primary)
        standby.start()
        self.finish(load)
        self.assertLess(self.outage(load, since), 15)

    def test_lock_deleted(self):
        """Somebody removes the lock: it is made again, the data stay, nothing acknowledged is lost."""
        load = self.start_load()
        path = os.path.join(self.c.lock_dir, "lock.json")
        os.unlink(path)
        self.c.wait("the lock is there again", lambda: os.path.exists(path), BOUND)
        self.c.wait_ready(BOUND)
        self.writes(load)
        self.finish(load)


class AsyncFaults(ClusterCase):
    """Without synchronous standbys nothing but lock and shim keeps a former primary from acknowledging."""
    OPTIONS = {"n": 3, "profile": "fast", "durability": "async"}

    def test_pause_shim(self):
        """Nobody can fence this database now, and it is not hung: it keeps its lock, and nobody else writes."""
        load, old = self.start_load(), self.c.primary()
        old.pause_shim()
        try:
            until = time.monotonic() + 15  # five lease durations
            while time.monotonic() < until:
                self.assertEqual([m.name for m in self.c.members if m.accepts_writes()], [old.name])
            self.assertIs(self.c.announced_primary(), old)
            load.stop()  # what is written from here on may go with the database that the shim kills when it wakes up
            self.load_running = None
            self.c.standbys_have(old)
        finally:
            old.resume_all()
        self.assertEqual(self.c.check(load, BOUND, self.c.members), 0)
        self.assertGreater(load.acknowledged(), 20)


if __name__ == "__main__":
    main()
