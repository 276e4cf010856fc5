#!/usr/bin/python3
"""What stands still and wakes up again: server, agent, shim, the whole machine; replicas that are frozen or half copied."""
import signal
import time

import procs
from base import BOUND, main, say
from procs import now_ns
from redis_case import RedisCase


class Frozen(RedisCase):
    """Of the primary, with clients that keep their sessions with it; it wakes up after another one has taken over."""

    def replaced(self, load, old, since):
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
        say(f"{self.id()}: gap {load.gap(since):.3f} s")
        return new

    def freeze(self, pids, agent=False):
        """Stops them until another member leads and takes writes, then lets them go on."""
        load, old = self.start_load(wait=1), self.c.primary()
        self.beside(old)
        since, pids = now_ns(), pids(old)
        if agent:
            old.freeze_agent()
        procs.send(pids, signal.SIGSTOP)
        try:
            self.replaced(load, old, since)
        finally:
            procs.send([p for p in pids if procs.alive(p)], signal.SIGCONT)
        time.sleep(1)
        self.assertFalse(old.accepts_writes())
        self.kept.stop()
        self.finish(load)
        return load, old, since

    def test_server(self):
        self.ended_with_its_reign(*self.freeze(lambda m: [m.server_pid()]))

    def test_agent(self):
        """The shim ends the server at the deadline without it."""
        self.ended_with_its_reign(*self.freeze(lambda m: [m.agent.pid], agent=True))

    def test_shim(self):
        """Nobody could end this server now, but it is well and has its lock: it leads on, alone."""
        load, old = self.start_load(wait=1), self.c.primary()
        self.beside(old)
        pids = old.shim_pids()
        procs.send(pids, signal.SIGSTOP)
        try:
            until = time.monotonic() + 15  # five lease durations
            while time.monotonic() < until:
                self.assertEqual([m.name for m in self.c.members if m.accepts_writes()], [old.name])
        finally:
            procs.send([p for p in pids if procs.alive(p)], signal.SIGCONT)
        time.sleep(1)
        self.kept.stop()
        self.finish(load)

    def test_server_and_agent(self):
        self.ended_with_its_reign(*self.freeze(lambda m: [m.agent.pid, m.server_pid()], agent=True))

    def test_all(self):
        """The whole machine, past every deadline: what wakes up is a primary for the moment that the kill needs (docs/REDIS.md says
        so), and what `WAIT` confirmed is not touched by that."""
        self.overlap_ms = 500
        load, old = self.start_load(wait=1), self.c.primary()
        self.beside(old, wait=1)
        since, pids = now_ns(), old.all_pids()
        old.pause_all()
        try:
            self.replaced(load, old, since)
            time.sleep(1)
        finally:
            procs.send([p for p in reversed(pids) if procs.alive(p)], signal.SIGCONT)
        self.c.wait("the old primary is none any more", lambda: not old.accepts_writes(), BOUND)
        self.kept.stop()
        self.finish(load)
        self.assertEqual(self.kept.lost(self.c.members), set())

    def test_a_moment(self):
        """Shorter than anything that counts as hung: nothing happens."""
        load, old = self.start_load(wait=1), self.c.primary()
        pid = old.server_pid()
        for _ in range(3):
            procs.send([pid], signal.SIGSTOP)
            time.sleep(0.3)
            procs.send([pid], signal.SIGCONT)
            time.sleep(0.5)
        self.finish(load)
        self.assertEqual(load.writers_in_turn(), [old.name])


class FrozenReplica(RedisCase):
    """One of two replicas stands still while the primary goes on, then the primary dies."""

    def prepare(self):
        load, old = self.start_load(wait=1), self.c.primary()
        frozen, other = self.others(old)
        pid = frozen.server_pid()
        procs.send([pid], signal.SIGSTOP)
        for i in range(400):  # more than sockets hold
            old.ask("SET", f"much:{i}", "x" * 100_000)
        self.c.wait("the other has it", lambda: other.ask("EXISTS", "much:399"), BOUND)
        self.assertTrue(load.wait_acked(now_ns(), 20, BOUND))
        return load, old, frozen, other, pid

    def test_it_is_not_picked(self):
        load, old, frozen, other, pid = self.prepare()
        try:
            old.kill_all()
            new = self.c.wait_primary(BOUND, other_than=old)
            self.assertIs(new, other)
            self.assertTrue(load.wait_acked(now_ns(), 0, BOUND, new.name))
        finally:
            if frozen.server_pid() == pid:
                procs.send([pid], signal.SIGCONT)
        old.start()
        self.finish(load)

    def test_it_wakes_up_as_the_primary_dies(self):
        """It can be asked, and has less."""
        load, old, _, other, pid = self.prepare()
        old.kill_all()
        procs.send([pid], signal.SIGCONT)
        self.assertIs(self.c.wait_primary(BOUND, other_than=old), other)
        old.start()
        self.finish(load)


class MidSync(RedisCase):
    """A copy takes long (each key waits while it is sent): a member in the middle of one is nobody's candidate."""
    OPTIONS = {"n": 3, "profile": "fast", "parameters": {"save": "", "appendonly": "yes", "rdb-key-save-delay": "3000"}}
    KEYS = 1000

    def half_copied(self):
        """(load, primary, member in the middle of a full resync, third)"""
        load, old = self.start_load(wait=2, pause=0.01), self.c.primary()
        for i in range(self.KEYS):
            old.ask("SET", f"filler:{i}", "x" * 100)
        half, third = self.others(old)
        self.c.wait("both have it", lambda: all(m.ask("EXISTS", f"filler:{self.KEYS - 1}") for m in (half, third)), BOUND)
        load.stop()
        self.load_running = None
        half.ctl("reinit", half.name, check=False, timeout=5)
        self.c.wait("a copy has begun", lambda: half.info().get("master_sync_in_progress") == "1", BOUND, 0.02)
        return load, old, half, third

    def test_the_other_leads(self):
        load, old, half, third = self.half_copied()
        old.kill_all()
        self.assertIs(self.c.wait_primary(BOUND, other_than=old), third)
        old.start()
        self.c.check(load, BOUND, self.c.members)

    def test_no_safe_candidate(self):
        """Nobody else is there: nobody leads, `mainstay why` says who is needed, and nothing is lost once they are back."""
        load, old, half, third = self.half_copied()
        third.kill_all()
        old.kill_all()
        time.sleep(8)
        self.assertFalse(half.accepts_writes(), "a half copied member leads")
        why = half.ctl("why", half.name).stdout
        self.assertIn("There is no safe candidate", why)
        for m in (old, third):
            self.assertIn(f"{m.name} cannot be asked", why)
        for m in (third, old):
            m.start()
        self.c.check(load, BOUND, self.c.members)


if __name__ == "__main__":
    main()
