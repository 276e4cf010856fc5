#!/usr/bin/python3
"""Three members with real redis-servers: failovers and switchovers under acknowledging writers (what must hold: redis_case.py)."""
import statistics
import time

import redis
import redis.sentinel

from base import BOUND, main, say
from procs import now_ns
from redis_case import RedisCase
from redis_load import APP, PASSWORD, Resp, RespError


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

    def test_password_changes_under_a_writer(self):
        """Two passwords for a while: nobody has to stop. Then only the new one opens a session."""
        c, new = self.c, PASSWORD + "2"
        load, pids = self.start_load(wait=1, writers=2), {m.name: m.server_pid() for m in self.c.members}

        def users(*passwords):
            c.write_users(f"user {APP} on " + " ".join(">" + p for p in passwords) + " ~* &* +@all -@admin", f"user watch on >{PASSWORD} +role +info +ping")
            for m in c.members:
                m.ctl("reload", m.name)

        def opens(m, password):
            try:
                Resp(m.pg_port, APP, password).close()
                return True
            except RespError as e:
                self.assertIn("WRONGPASS", str(e))
                return False

        p = c.primary()
        session, began = Resp(p.pg_port), now_ns()
        try:
            users(PASSWORD, new)
            self.assertTrue(all(opens(m, PASSWORD) and opens(m, new) for m in c.members))
            self.assertEqual(session("SET", "rotated", "1"), "OK")  # who is in stays in
            self.assertTrue(load.wait_acked(now_ns(), 20, BOUND))
            users(new)
            self.assertTrue(all(opens(m, new) and not opens(m, PASSWORD) for m in c.members))
            self.assertEqual(session("SET", "rotated", "2"), "OK")
            self.assertTrue(load.wait_acked(now_ns(), 20, BOUND))
            gap = load.gap(began)
        finally:
            session.close()
            users(PASSWORD)
        say(f"{self.id()}: gap {gap:.3f} s")
        self.assertLess(gap, 2)
        self.finish(load)
        self.assertEqual({m.name: m.server_pid() for m in c.members}, pids)
        self.assertEqual(load.writers_in_turn(), [p.name])

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


if __name__ == "__main__":
    main()
