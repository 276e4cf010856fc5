#!/usr/bin/python3
"""A primary that is cut off, with clients at its side: each member has a network of its own (redis_net.py).

What must hold exactly: when another member acknowledges its first write the old primary acknowledges nothing any more. Measured and
told: how long it went on, and what it took that nobody else has.
"""
import time

from base import BOUND, main, say
from procs import now_ns
from redis_case import RedisCase
from redis_load import Resp, RespError, leave
from redis_net import NetCluster

LEASE = {"fast": 2.2, "default": 8.0}


class Isolated(RedisCase):
    CLUSTER = NetCluster

    def setUp(self):
        super().setUp()
        self.old = self.c.wait_ready(BOUND)

    def others_load(self):
        """Clients of the others: they reach the old primary no more than its agent reaches them."""
        self.load_running = self.c.load(members=self.others(self.old), wait=1).start()
        return self.load_running

    def went_on(self, kept, since):
        last = max((a.acked for a in kept.acks), default=since)
        return (last - since) / 1e9, sum(a.acked > since for a in kept.acks)

    def taken_over(self, load, since):
        new = self.c.wait("another primary", lambda: next((m for m in self.others(self.old) if m.accepts_writes()), None), BOUND)
        self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
        return new

    def cut(self, cut, stays=8, beside_wait=None):
        """Cuts, waits for another primary, stays so for a while, mends; gives what the clients saw."""
        kept, load, old = self.beside(self.old, wait=beside_wait), self.others_load(), self.old
        since = now_ns()
        cut(old)
        try:
            new = self.taken_over(load, since)
            took = (now_ns() - since) / 1e9
            time.sleep(stays)
        finally:
            self.c.mend(old)
        kept.stop()
        seconds, count = self.went_on(kept, since)
        lease = LEASE[self.c.profile]
        say(f"{self.id()}: the old primary acknowledged for {seconds:.2f} s ({count} writes), {new.name} wrote after {took:.2f} s")
        self.assertLess(seconds, 3 * lease)
        self.ended_with_its_reign(load, old, since)
        return kept, load, old

    def both(self, member):
        self.c.cut_lock(member)
        self.c.cut_network(member)

    def test_from_everybody(self):
        """Its own writes of the last moments are lost, and counted; nobody else's are."""
        kept, load, old = self.cut(self.both)
        self.finish(load)
        lost = kept.lost(self.c.members)
        say(f"{self.id()}: {len(lost)} of its writes are lost")
        counted = self.c.wait("the loss is counted", lambda: (old.status() or {}).get("lost_bytes") or self.metric(old, "lost"), BOUND)
        say(f"{self.id()}: counted: {counted}")

    @staticmethod
    def metric(member, word):
        page = member.http("/metrics")[1]
        return [line for line in page.splitlines() if word in line and not line.startswith("#") and not line.endswith(" 0")]

    def test_what_a_replica_confirmed(self):
        """Clients at its side that ask with WAIT are told the truth."""
        kept, load, _ = self.cut(self.both, beside_wait=1)
        self.finish(load)
        self.assertEqual(kept.lost(self.c.members), set())

    def test_from_the_lock(self):
        """Its members still hear it: it goes on by their promise, nobody takes over."""
        kept = self.beside(self.old, wait=1)
        since = now_ns()
        self.c.cut_lock(self.old)
        try:
            time.sleep(4 * LEASE[self.c.profile])
            self.assertTrue(kept.wait_acked(now_ns(), 5, BOUND), self.c.describe())
            self.assertIs(self.c.primary(), self.old)
        finally:
            self.c.mend(self.old)
        self.assertLess(kept.gap(since), LEASE[self.c.profile])
        self.finish(kept)

    def test_from_its_members(self):
        """It reaches the lock, so it leads on; they copy again when they reach it."""
        kept = self.beside(self.old)
        self.c.cut_network(self.old)
        try:
            time.sleep(4 * LEASE[self.c.profile])
            self.assertTrue(kept.wait_acked(now_ns(), 5, BOUND), self.c.describe())
            self.assertEqual([m for m in self.others(self.old) if m.accepts_writes()], [])
        finally:
            self.c.mend(self.old)
        self.finish(kept)

    def test_a_replica(self):
        load, cut = self.start_load(members=[self.old], wait=1), self.others(self.old)[0]
        self.both(cut)
        try:
            time.sleep(2 * LEASE[self.c.profile])
            self.assertTrue(load.wait_acked(now_ns(), 50, BOUND), self.c.describe())
            self.assertIs(self.c.primary(), self.old)
        finally:
            self.c.mend(cut)
        self.finish(load)

    def test_with_a_script_that_does_not_end(self):
        """Cut off, and busy: it can be told nothing, so it is killed."""
        load, old = self.others_load(), self.old
        with old.inside():
            session = Resp(old.pg_port, timeout=BOUND)
        session.send("EVAL", "redis.call('set', 'by-script', '1') while true do end", 0)
        pid, since = old.server_pid(), now_ns()
        self.both(old)
        try:
            self.taken_over(load, since)
            self.assertNotEqual(old.server_pid(), pid)
        finally:
            self.c.mend(old)
        with self.assertRaises((OSError, RespError)):
            session.read()
        leave(session)
        self.finish(load)


class IsolatedFast(Isolated):
    OPTIONS = {"n": 3, "profile": "fast"}


class IsolatedMinReplicas(Isolated):
    """With min_replicas it stops as soon as it notices that no replica confirms, at the latest when its reign ends."""
    OPTIONS = {"n": 3, "profile": "fast", "min_replicas": 1, "parameters": {"min-replicas-max-lag": "1"}}
    test_a_replica = test_from_the_lock = test_with_a_script_that_does_not_end = test_what_a_replica_confirmed = test_from_its_members = None


class IsolatedDefault(Isolated):
    OPTIONS = {"n": 3, "profile": "default"}
    test_a_replica = test_from_the_lock = test_with_a_script_that_does_not_end = test_from_its_members = None


del Isolated


if __name__ == "__main__":
    main()
