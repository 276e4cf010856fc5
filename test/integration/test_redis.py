#!/usr/bin/python3
"""Three members with real redis-servers: failovers, switchovers and restarts without data, under acknowledging writers.

What must hold exactly: two members never are primaries at the same time, a planned switchover loses nothing and needs no full
resync, what a replica confirmed (WAIT) survives every fault of one member, and a server that came back without its data never
makes the others lose theirs. Bounds on times are generous multiples of the targets (docs/REDIS.md).
"""
import os
import signal
import statistics
import time

import redis
import redis.sentinel

import procs
from base import BOUND, ClusterCase, main, say
from procs import now_ns
from redis_harness import APP, PASSWORD, Prober, RedisCluster


class RedisCase(ClusterCase):
    CLUSTER = RedisCluster
    OPTIONS = {"n": 3, "profile": "fast"}

    @classmethod
    def make(cls):
        cls.cluster = cls.CLUSTER(**cls.OPTIONS)
        cls.cluster.start()
        cls.cluster.wait_ready(120)

    def setUp(self):
        super().setUp()
        self.prober = Prober(self.c).start()

    def tearDown(self):
        self.prober.stop()
        both = self.prober.both()
        super().tearDown()
        self.assertEqual(both, [], "two primaries at the same time")

    def finish(self, load, members=None, least=20, allow_loss=False):
        self.c.wait_ready(BOUND, members)
        self.assertTrue(load.wait_acked(after_ns=now_ns(), count=5, timeout=BOUND), "no writes at the end\n" + self.c.describe())
        load.stop()
        self.load_running = None
        lost = self.c.check(load, BOUND, members, allow_loss)
        self.assertGreater(load.acknowledged(), least)
        if not allow_loss:
            self.assertEqual(lost, 0)
        return lost

    def outage(self, load, since):
        gap = load.gap(since)
        say(f"{self.id()}: outage {gap:.3f} s")
        return gap


class Redis(RedisCase):
    """As it comes: Redis saves RDB files now and then."""

    def test_bootstrap(self):
        p = self.c.primary()
        self.assertEqual(sum(m.accepts_writes() for m in self.c.members), 1)
        p.ask("SET", "hello", "world")
        self.c.wait("the key is everywhere", lambda: all(m.ask("GET", "hello") == "world" for m in self.c.members), BOUND)
        out = p.ctl("status").stdout
        for m in self.c.members:
            self.assertIn(m.name, out)

    def test_metrics(self):
        """redis_exporter's names at the agent's own port."""
        p = self.c.primary()
        for m in self.c.members:
            page = self.c.wait("metrics", lambda m=m: (lambda text: text if "redis_up 1" in text else None)(m.http("/metrics")[1]), BOUND)
            role = "master" if m is p else "slave"
            self.assertRegex(page, rf'(?m)^redis_instance_info\{{[^}}]*role="{role}"[^}}]*\}} 1$')
            self.assertRegex(page, r"(?m)^redis_connected_clients [1-9]")
            self.assertRegex(page, r"(?m)^redis_config_maxclients \d+$")
            self.assertIn("mainstay_role", page)
        self.assertRegex(p.http("/metrics")[1], r"(?m)^redis_connected_slaves 2$")

    def switch_over(self, old):
        # Refused until the leader's agent has heard that the target streams.
        self.c.wait("a switchover", lambda: old.ctl("switchover", check=False).returncode == 0, BOUND, 0.2)

    def test_clients_of_sentinel(self):
        """redis-py's Sentinel client, pointed at the agents, follows a crash and a switchover."""
        sentinel = redis.sentinel.Sentinel([("127.0.0.1", m.sentinel_port) for m in self.c.members], socket_timeout=1)
        for name in (self.c.name, "mymaster"):
            for disturb in (lambda old: old.kill_server(), self.switch_over):
                old = self.c.wait_ready(BOUND)
                self.assertEqual(sentinel.discover_master(name), ("127.0.0.1", old.pg_port))
                self.c.wait("two replicas", lambda: len(sentinel.discover_slaves(name)) == 2, BOUND)
                client = sentinel.master_for(name, socket_timeout=1, username=APP, password=PASSWORD)
                self.assertTrue(client.set("by-sentinel", old.name))
                disturb(old)

                def written():
                    try:
                        return client.set("by-sentinel", "again") and client.info("replication")["role"] == "master"
                    except redis.RedisError:
                        return False
                self.c.wait("the client writes again", written, BOUND, 0.05)
                new = self.c.wait_primary(BOUND, other_than=old)
                self.assertEqual(new.ask("GET", "by-sentinel"), "again")

    def test_switchovers(self):
        """Planned, five times, at full load: nothing lost, no full resync, a gap of milliseconds."""
        load = self.start_load()
        before, gaps = self.c.full_resyncs(), []
        for _ in range(5):
            old = self.c.wait_ready(BOUND)
            time.sleep(0.5)
            since = now_ns()
            old.ctl("switchover")
            new = self.c.wait_primary(BOUND, other_than=old)
            self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
            gaps.append(load.gap(since))
        say(f"{self.id()}: gaps {[round(g * 1000) for g in gaps]} ms, median {statistics.median(gaps) * 1000:.0f} ms")
        self.c.wait_ready(BOUND)
        self.assertEqual(self.c.full_resyncs(), before)
        self.finish(load)
        self.assertLess(statistics.median(gaps), 3)

    def test_kill_server(self):
        """kill -9 of the primary's process: the shim's evidence, no wait for the lease."""
        load, old = self.start_load(wait=1), self.c.primary()
        since = now_ns()
        old.kill_server()
        self.assertTrue(load.wait_acked(since, 5, BOUND), self.c.describe())
        self.assertLess(self.outage(load, since), 10)
        self.finish(load)
        self.assertNotEqual(self.c.primary().name, old.name)

    def test_pause_server(self):
        load, old = self.start_load(wait=1), self.c.primary()
        since, pid = now_ns(), old.server_pid()
        os.kill(pid, signal.SIGSTOP)
        self.assertTrue(load.wait_acked(since + 300_000_000, 5, BOUND), self.c.describe())
        self.outage(load, since)
        if old.server_pid() == pid:
            procs.send([pid], signal.SIGCONT)
        self.finish(load)

    def test_pause_agent(self):
        """The agent hangs: the shim ends the server at the deadline, another member leads."""
        load, old = self.start_load(wait=1), self.c.primary()
        since = now_ns()
        procs.send([old.agent.pid], signal.SIGSTOP)
        try:
            new = self.c.wait_primary(BOUND, other_than=old)
            self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
        finally:
            procs.send([old.agent.pid], signal.SIGCONT)
        say(f"{self.id()}: gap {load.gap(since):.3f} s")
        self.finish(load)

    def test_node_death(self):
        load, old = self.start_load(wait=1), self.c.primary()
        since = now_ns()
        old.kill_all()
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
        self.outage(load, since)
        old.start()
        self.finish(load)

    def test_restart_agent(self):
        """A new agent takes the running server up again: no failover, no restart."""
        load, old = self.start_load(), self.c.primary()
        pid = old.server_pid()
        old.agent.kill()
        old.start_agent()
        self.c.wait("the agent leads again", lambda: (old.status() or {}).get("role") == "primary", BOUND)
        self.finish(load)
        self.assertEqual(old.server_pid(), pid)
        self.assertEqual(load.writers_in_turn(), [old.name])

    def test_shutdown_hands_over(self):
        """SIGTERM of the primary's agent: as a switchover."""
        load, old = self.start_load(), self.c.primary()
        before, since = self.c.full_resyncs(), now_ns()
        old.agent.terminate(20)
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertTrue(load.wait_acked(since, 5, BOUND, new.name), self.c.describe())
        say(f"{self.id()}: gap {load.gap(since):.3f} s")
        old.start_agent()
        self.finish(load)
        self.assertEqual(self.c.full_resyncs(), before)


class Wipe(RedisCase):
    """A primary that restarts without its data, in each way to keep them. Those of the others survive, always."""
    PARAMETERS = {"save": "", "appendonly": "no"}
    OPTIONS = {"n": 3, "profile": "fast", "parameters": PARAMETERS}

    def fill(self):
        self.c.wait_ready(BOUND)
        load = self.start_load(wait=2, writers=2)
        self.assertTrue(load.wait_acked(count=200, timeout=BOUND))
        return load

    def test_primary_restarts(self):
        """The process alone: it comes back at once, empty or with less."""
        load = self.fill()
        for _ in range(2):
            old = self.c.wait_ready(BOUND)
            since = now_ns()
            old.kill_server()
            self.assertTrue(load.wait_acked(since, 5, BOUND), self.c.describe())
        self.finish(load)

    def test_primary_restarts_while_the_others_are_away(self):
        """Nobody to hand over to: what came back is not opened over the copies that the others have."""
        load = self.fill()
        old = self.c.primary()
        others = [m for m in self.c.members if m is not old]
        load.stop()
        self.load_running = None
        for m in others:
            procs.send(m.all_pids(), signal.SIGSTOP)
        try:
            old.kill_server()
            time.sleep(4)
            self.assertFalse(old.accepts_writes(), "opened with less than others may have")
        finally:
            for m in others:
                procs.send(reversed(m.all_pids()), signal.SIGCONT)
        self.c.check(load, BOUND, allow_loss=False)

    def test_node_comes_back_without_its_files(self):
        load = self.fill()
        old = self.c.primary()
        old.kill_all()
        old.forget_files()
        self.c.wait_primary(BOUND, other_than=old)
        old.start()
        self.finish(load)


class Nothing(RedisCase):
    """No persistence at all: what every member lost is lost, and nobody waits for ever for what cannot come back."""
    OPTIONS = {"n": 3, "profile": "fast", "parameters": Wipe.PARAMETERS}

    def test_all_at_once(self):
        load = self.start_load()
        time.sleep(12)  # that there are keys is noted a while later
        load.stop()
        self.load_running = None
        before = self.c.primary().status().get("epoch")
        for m in self.c.members:
            m.kill_all()
        for m in self.c.members:
            m.start()
        p = self.c.wait_ready(BOUND)
        self.assertEqual(p.ask("SET", "again", "1"), "OK")
        self.assertGreater(p.status().get("epoch"), before)


class WipeRdb(Wipe):
    PARAMETERS = {"save": "3600 1"}
    OPTIONS = {"n": 3, "profile": "fast", "parameters": PARAMETERS}


class WipeAof(Wipe):
    PARAMETERS = {"save": "", "appendonly": "yes", "appendfsync": "everysec"}
    OPTIONS = {"n": 3, "profile": "fast", "parameters": PARAMETERS}

    def test_all_at_once(self):
        """Every member dies at the same moment: what the files hold is there again."""
        load = self.fill()
        time.sleep(12)  # the files tell how far they reach a while later
        load.stop()
        self.load_running = None
        time.sleep(12)
        for m in self.c.members:
            m.kill_all()
        for m in self.c.members:
            m.start()
        self.c.check(load, BOUND)

    def test_diverged_tail(self):
        """An old primary comes back with writes that nobody else has: they go, everybody is equal."""
        self.c.wait_ready(BOUND)
        old = self.c.primary()
        others = [m for m in self.c.members if m is not old]
        for m in others:
            procs.send([m.server_pid()], signal.SIGSTOP)
        for i in range(50):
            old.ask("SET", f"tail:{i}", "x" * 100)
        time.sleep(0.2)
        old.kill_all()
        for m in others:
            procs.send([m.server_pid()], signal.SIGCONT)
        new = self.c.wait_primary(BOUND, other_than=old)
        new.ask("SET", "after", "1")
        old.start()
        self.c.wait_ready(BOUND, self.c.members)
        self.c.wait("all have the same", lambda: len({tuple(sorted(m.keys().items())) for m in self.c.members}) == 1, BOUND)
        self.assertEqual(old.ask("GET", "after"), "1")


if __name__ == "__main__":
    main()
