#!/usr/bin/python3
"""Losses of data that users of Sentinel and of Redis operators have reported, each as a test by its tracker's name.

SP is spotahome/redis-operator, OT OT-CONTAINER-KIT/redis-operator, R redis/redis; "row" is a measurement of Sentinel that
docs/BENCHMARKS.md repeats beside Mainstay. More of them stand where they are tested anyway: an old primary that comes back with
writes of its own (OT 1158, Sentinel's silent discard) and members that all die at once (SP 77, BN 17047) in test_redis_wipe.py, a
cut off primary (Jepsen 283) in test_redis_isolation.py, a full disk and a slow script in test_redis_full.py.
"""
import os
import time

from base import BOUND, main, say
from procs import now_ns
from redis_case import RedisCase
from redis_harness import RedisCluster

NONE = {"save": "", "appendonly": "no"}
AOF = {"save": "", "appendonly": "yes"}


class NoPersistence(RedisCase):
    OPTIONS = {"n": 3, "profile": "fast", "parameters": NONE}

    def test_row_1_planned_failover_while_writers_keep_their_sessions(self):
        """Sentinel leaves two primaries for 11 s and throws away what the old one takes: 73 to 91 % of a run."""
        for _ in range(5):
            load, old = self.start_load(), self.c.wait_ready(BOUND)
            self.beside(old)
            before, since = self.c.full_resyncs(), now_ns()
            self.switch_over(old)
            new = self.c.wait_primary(BOUND, other_than=old)
            self.assertTrue(load.wait_acked(since, 100, BOUND, new.name), self.c.describe())
            self.kept.stop()
            self.ended_with_its_reign(load, old, since)
            self.finish(load)
            self.assertEqual(self.kept.lost(self.c.members), set())
            self.assertEqual(self.c.full_resyncs(), before)

    def test_row_8_primary_without_persistence_restarts_at_its_address(self):
        """5000 keys on three members become 0 on three with Sentinel, if the process is back before it is missed (kubeblocks 10753)."""
        old = self.c.wait_ready(BOUND)
        for i in range(0, 5000, 100):
            old.ask("MSET", *[w for j in range(i, i + 100) for w in (f"k:{j}", j)])
        self.c.wait("everybody has them", lambda: all(m.ask("DBSIZE") >= 5000 for m in self.c.members), BOUND)
        for _ in range(3):
            old = self.c.wait_ready(BOUND)
            pid = old.kill_server()
            self.c.wait("the process is back", lambda m=old, p=pid: m.server_pid() not in (None, p), BOUND, 0.01)
            self.c.wait_ready(BOUND, self.c.members)
            for m in self.c.members:
                self.assertEqual(sum(k.startswith("k:") for k in m.keys()), 5000, m.name)

    def test_ot_513_nobody_watches_while_the_primary_restarts(self):
        """The agents are away; the server dies; they come back and see an empty former primary beside two full replicas."""
        load, old = self.start_load(wait=2), self.c.primary()
        load.stop()
        self.load_running = None
        for m in self.c.members:
            m.agent.kill()
        old.kill_server()
        time.sleep(1)
        for m in self.c.members:
            m.start_agent()
        self.c.check(load, BOUND)
        self.assertIsNot(self.c.primary(), old)

    def test_sp_gate_a_member_is_gone(self):
        """spotahome's operator does nothing while any pod is pending: here the one that is left leads."""
        load, old = self.start_load(wait=2, pause=0.002), self.c.primary()
        gone, left = self.others(old)
        load.stop()
        self.load_running = None
        gone.kill_all()
        since = now_ns()
        old.kill_server()
        self.c.wait_primary(BOUND, other_than=None)
        again = self.start_load(writers=2, kinds=("set", "append"))
        self.assertTrue(again.wait_acked(since, 5, BOUND, left.name), self.c.describe())
        gone.start()
        self.finish(again, self.c.members)
        self.assertEqual(load.lost(self.c.members), set())

    def test_sp_600_rollout(self):
        """Every member is ended in good order and started again, one after the other, the primary last; no loss at full load."""
        load = self.start_load()
        for m in self.others(self.c.primary()) + [self.c.primary()]:
            m.stop()
            m.start()
            self.c.wait_ready(BOUND, self.c.members)
        self.finish(load, self.c.members)

    def test_r_12570_older_data_after_stops_in_a_row(self):
        """One member misses the last writes, then everybody goes, and that one is first to come back."""
        first = self.start_load(wait=2)
        old = self.c.primary()
        first.stop()
        self.load_running = None
        early, late = self.others(old)
        early.kill_all()
        second = self.start_load(wait=1)
        second.stop()
        self.load_running = None
        old.kill_all()
        early.start()
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertIs(new, late, "led by who has less")
        old.start()
        for load in (first, second):
            self.c.check(load, BOUND, self.c.members)


class Aof(RedisCase):
    OPTIONS = {"n": 3, "profile": "fast", "parameters": AOF}

    def test_r_12570_everybody_was_away(self):
        """As above with nobody left: the member with less waits for who has more, and says for whom."""
        first = self.start_load(wait=2)
        old = self.c.primary()
        first.stop()
        self.load_running = None
        early, late = self.others(old)
        early.kill_all()
        second = self.start_load(wait=1)
        second.stop()
        self.load_running = None
        time.sleep(3)  # everysec
        for m in (old, late):
            m.kill_all()
        early.start()
        time.sleep(8)
        self.assertFalse(early.accepts_writes(), "opened with less than others have")
        why = early.ctl("why", early.name).stdout
        say(why)
        self.assertTrue(old.name in why and late.name in why, why)
        late.start()
        old.start()
        for load in (first, second):
            self.c.check(load, BOUND, self.c.members)

    def test_r_12570_who_has_most_waits_long(self):
        """As above, the other way round: the member with more comes first, and still has more after it waited for minutes."""
        first = self.start_load(wait=2)
        old = self.c.primary()
        self.assertTrue(first.wait_acked(count=3000, timeout=BOUND))
        first.stop()
        self.load_running = None
        time.sleep(12)  # noted how far it reaches
        early, late = self.others(old)
        early.kill_all()
        second = self.start_load(wait=1)
        self.assertTrue(second.wait_acked(count=3000, timeout=BOUND))
        second.stop()
        self.load_running = None
        time.sleep(12)  # noted how far it reaches
        for m in (old, late):
            m.kill_all()
        late.start()
        time.sleep(70)
        self.assertFalse(late.accepts_writes())
        early.start()
        time.sleep(5)
        old.start()
        for load in (first, second):
            self.c.check(load, BOUND, self.c.members)

    def test_sp_77_all_pods_deleted(self):
        """In good order, all at the same time; with persistence everything is there again."""
        load = self.start_load()
        load.stop()
        self.load_running = None
        for m in self.c.members:
            m.agent.signal(15)
        for m in self.c.members:
            m.stop()
        for m in self.c.members:
            m.start()
        self.c.check(load, BOUND, self.c.members)


class SwitchedOn(RedisCase):
    """row 9, SP 670: the append-only file is switched on while it runs; after the next start 1001 keys were 0."""
    OPTIONS = {"n": 3, "profile": "fast", "parameters": NONE}

    def test_row_9_append_only_file_switched_on_while_it_runs(self):
        load = self.start_load(wait=2)
        load.stop()
        self.load_running = None
        for m in self.c.members:
            m.parameters = dict(AOF)
            m.write_config()
            m.ctl("reload", m.name)
        self.c.wait("the file is on", lambda: all(m.info("persistence").get("aof_enabled") == "1" and
                                                  m.info("persistence").get("aof_rewrite_in_progress") == "0" for m in self.c.members), BOUND)
        time.sleep(12)  # how far the files reach is noted a while later
        for m in self.c.members:
            m.kill_all()
        for m in self.c.members:
            m.start()
        self.c.check(load, BOUND, self.c.members)


class Single(RedisCase):
    OPTIONS = {"n": 1, "profile": "fast", "parameters": AOF}

    def test_sp_141_a_primary_without_replicas(self):
        load, p = self.start_load(pause=0.001), self.c.primary()
        time.sleep(1)
        since = now_ns()
        p.kill_server()
        self.assertTrue(load.wait_acked(since, 5, BOUND), self.c.describe())
        say(f"{self.id()}: gap {load.gap(since):.3f} s")
        self.finish(load)


class AddressReuse(RedisCase):
    """SP 550: the address of a dead primary comes back as the primary of another cluster. Same password, to make it worse: with Sentinel
    one cluster's data were replaced by the other's."""
    OPTIONS = {"n": 3, "profile": "fast", "parameters": NONE}

    def test_sp_550_another_cluster_behind_a_reused_address(self):
        load, old = self.start_load(wait=2), self.c.primary()
        with open(self.c.password_file, encoding="utf-8") as f:
            password = f.read()
        load.stop()
        self.prober.stop()  # it would take the stranger for the old one
        self.load_running = None
        with RedisCluster(1, profile="fast", name="other", parameters=NONE) as other:
            with open(other.password_file, "w", encoding="utf-8") as f:
                f.write(password)
            os.chmod(other.password_file, 0o600)
            other.own(other.password_file)
            stranger = other.members[0]
            stranger.pg_port = old.pg_port
            old.kill_all()
            other.start()
            other.wait("the other cluster's primary", lambda: stranger.accepts_writes(), BOUND)
            stranger.ask("SET", "stranger", "1")
            alive = self.others(old)
            new = self.c.wait("a primary of ours", lambda: next((m for m in alive if m.accepts_writes()), None), BOUND)
            self.c.wait("the other follows it", lambda: new.info().get("connected_slaves") == "1", BOUND)
            time.sleep(2)
            self.assertEqual(load.lost(alive), set())
            for m in alive:
                self.assertIsNone(m.ask("GET", "stranger"))
            self.assertEqual(stranger.keys(), {"stranger": "1"})
            self.assertEqual(stranger.info().get("connected_slaves"), "0")
        old.start()
        self.c.check(load, BOUND, self.c.members)


if __name__ == "__main__":
    main()
