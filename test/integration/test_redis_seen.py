#!/usr/bin/python3
"""What a log collector and an operator see of Redis: the server's own log, its rings (slow log, ACL log, latency monitor) with
what was missed, no secret of any command, and what a failover lost, in status, audit and metrics.
"""
import json
import os
import re
import signal
import time
import unittest

import outputs
from base import BOUND, main, say
from redis_load import APP, PASSWORD, Resp, RespError
from redis_seen import SeenCluster

CANARY = "k4n4r1enV0gel"


class SeenCase(unittest.TestCase):
    def cluster(self, **options):
        c = SeenCluster(**{"n": 3, "profile": "fast", **options})
        self.addCleanup(c.close)
        c.start()
        c.wait_ready(120)
        self.c = c
        return c


class Rings(SeenCase):
    def test_every_ring_and_no_secret(self):
        c = self.cluster(n=2, parameters={"slowlog-log-slower-than": "1000000", "slowlog-max-len": "16", "latency-monitor-threshold": "50"})
        p = c.primary()
        self.server_log(p)
        self.denied(p)
        self.slow(p)
        self.latency(p)
        self.kills(c, p)
        self.secrets(p)
        self.overflow(p)
        c.wait_ready(BOUND)
        entries = c.entries()
        self.assertTrue(entries)
        for m in c.members:
            self.assertNotIn(CANARY.encode(), m.everything(), m.name)

    def server_log(self, p):
        line = p.told(where=lambda e: "Ready to accept connections" in e["msg"], schema="mainstay.log/v1", **{"class": "log"})
        self.assertEqual(line["logger"], "redis")
        self.assertIn(line["record"]["severity"], ("notice", "warning"))

    def denied(self, p):
        for _ in range(3):
            with self.assertRaises(RespError):
                Resp(p.pg_port, APP, "wrong" + CANARY)
        r = Resp(p.pg_port)
        r("CLIENT", "SETNAME", "batch")
        for _ in range(2):
            with self.assertRaises(RespError):
                r("CONFIG", "GET", "*")
        r.close()

        def count(reason):
            return sum(e["ring"]["count"] for e in p.lines(schema="mainstay.log/v1") if e.get("class") == "denied" and e["record"].get("user") == APP and
                       e.get("ring", {}).get("reason") == reason)
        self.c.wait("refused logins are told", lambda: count("auth") >= 3, BOUND)
        self.c.wait("refused commands are told", lambda: count("command") >= 2, BOUND)
        line = p.told(where=lambda e: e.get("ring", {}).get("reason") == "command" and e["record"].get("user") == APP)
        self.assertEqual(line["record"]["application"], "batch")
        self.assertRegex(line["record"]["client"], r"^127\.0\.0\.1:\d+$")
        self.assertIn("config", line["ring"]["object"])
        self.assertEqual(line["level"], "warn")
        time.sleep(5)  # a few turns: nothing is told twice
        self.assertEqual((count("auth"), count("command")), (3, 2))

    def slow(self, p):
        p.root("CONFIG", "SET", "slowlog-log-slower-than", "20000")
        p.ask("EVAL", "local n = 0; for i = 1, 20000000 do n = n + i end; return n", "0", timeout=30)
        line = p.told(where=lambda e: e.get("class") == "slow_query" and "for i = 1" in e["msg"])
        self.assertGreater(line["duration_ms"], 20)
        self.assertTrue(line["msg"].startswith("EVAL "))
        self.assertEqual(line["ring"]["completeness"], "full")
        self.assertRegex(line["record"]["client"], r"^127\.0\.0\.1:\d+$")

    def latency(self, p):
        line = p.told(where=lambda e: e.get("class") == "latency")
        self.assertGreaterEqual(line["duration_ms"], 50)

    def kills(self, c, p):
        r = Resp(p.pg_port)
        p.root("CLIENT", "KILL", "ID", str(r("CLIENT", "ID")))
        line = p.told(where=lambda e: e.get("class") == "kill")
        self.assertEqual(line["ring"]["completeness"], "sampled")
        # The agent's own are in its audit log, with how many there were.
        c.wait("a switchover", lambda: p.ctl("switchover", check=False).returncode == 0, BOUND, 0.2)
        line = p.told(action="clients.cut", timeout=BOUND)
        self.assertRegex(line["msg"], r"\d+ sessions and \d+ subscribers")
        c.wait_ready(BOUND)

    def secrets(self, p):
        """The slow log has everything from here on."""
        p = self.c.primary()
        p.root("CONFIG", "SET", "slowlog-max-len", "1024")
        p.root("CONFIG", "SET", "slowlog-log-slower-than", "0")
        r = Resp(p.pg_port, "root", PASSWORD)
        r("ACL", "SETUSER", "bird", "on", ">" + CANARY, "~*", "+@all")
        r("AUTH", "bird", CANARY)
        r("HELLO", "2", "AUTH", "bird", CANARY)
        with self.assertRaises(RespError):
            r("CONFIG", "SET", "tls-key-file-pass", CANARY, "nonsense", CANARY)
        r("HSET", "user:1", "name", "x", "password", CANARY)
        r("SET", "dsn", f"redis://bird:{CANARY}@127.0.0.1/0")
        with self.assertRaises(RespError):
            r("MIGRATE", "127.0.0.1", "1", "dsn", "0", "100", "AUTH2", "bird", CANARY)
        r("ACL", "DELUSER", "bird")
        p.root("CONFIG", "SET", "slowlog-log-slower-than", "1000000")
        for text in ("ACL SETUSER ", "HSET user:1 name x password ***", "MIGRATE 127.0.0.1"):
            p.told(where=lambda e, text=text: e.get("class") == "slow_query" and e["msg"].startswith(text))
        self.assertTrue(any(e["msg"].startswith("AUTH ***") for e in p.lines() if e.get("class") == "slow_query"))
        r.close()

    def overflow(self, p):
        p = self.c.primary()
        p.root("CONFIG", "SET", "slowlog-max-len", "16")
        p.root("CONFIG", "SET", "slowlog-log-slower-than", "0")
        r = Resp(p.pg_port)
        for i in range(2000):
            r("SET", f"k:{i}", i)
        r.close()
        p.root("CONFIG", "SET", "slowlog-log-slower-than", "1000000")
        line = p.told(where=lambda e: e.get("class") == "dropped" and e["dropped"]["reason"] == "ring-overflow")
        self.assertGreater(line["dropped"]["lines"], 100)
        p.told(where=lambda e: e.get("class") == "slow_query" and e["ring"]["completeness"] == "gapped")


class Losses(SeenCase):
    def test_a_diverged_tail_is_counted(self):
        """The primary's process lives on, so it tells exactly what it wrote after the others could not hear it."""
        for _ in range(3):  # on a starved machine the shim is first at the end of the right to write, and kills it: the next test's case
            c, p, lived = self.diverge()
            if lived:
                break
            self.doCleanups()  # closes it
        self.assertTrue(lived, "the shim was always first")
        self.counted(c, p)

    def diverge(self):
        """(cluster, its former primary, whether that closed its server by itself); its agent stands still."""
        c = self.cluster(parameters={"save": ""})
        p = c.primary()
        pid, others = p.server_pid(), [m for m in c.members if m is not p]
        p.ask("SET", "before", "1")
        time.sleep(3)  # so that probes have seen it
        for m in others:
            os.kill(m.server_pid(), signal.SIGSTOP)
        p.root("CLIENT", "KILL", "TYPE", "replica")
        for i in range(50):
            p.ask("SET", f"lost:{i}", "x" * 100)
        for m in others:
            m.agent.pause()
        away = c.lock_dir + ".away"
        os.rename(c.lock_dir, away)
        try:
            c.wait("it gives up", lambda: p.info().get("role") != "master", BOUND, 0.05)
            p.agent.pause()
        finally:
            os.rename(away, c.lock_dir)
            for m in others:
                os.kill(m.server_pid(), signal.SIGCONT)
                m.agent.resume()
        return c, p, p.server_pid() == pid and p.info().get("role") == "slave"

    def counted(self, c, p):
        new = c.wait_primary(BOUND, other_than=p)
        takeover = new.told(action="data.loss", reason="takeover", timeout=BOUND)
        p.agent.resume()
        lost = p.told(action="data.loss", reason="rejoin", timeout=BOUND)
        c.wait_ready(BOUND)
        say(f"{self.id()}: {json.dumps(lost['loss'])} {lost['msg']}")
        self.assertEqual(takeover["loss"]["from"], p.name)
        self.assertEqual(takeover["loss"]["leader"], new.name)
        self.assertTrue(takeover["loss"]["at_least"])
        figures = lost["loss"]
        self.assertFalse(figures["at_least"])
        self.assertGreater(figures["bytes"], 50 * 100)
        self.assertGreaterEqual(figures["changes_at_most"], 50)
        self.assertLess(figures["changes_at_most"], 100)
        self.assertEqual(figures["keys_here"], 51)
        self.assertEqual(figures["keys_there"], 1)
        self.assertLess(figures["since"], figures["until"])
        self.assertEqual(figures["unknown"], ["key_names"])
        self.assertEqual(lost["outcome"], "failure")
        self.assertEqual(len(p.lines(action="data.loss")), 1)
        self.shown(c, p, new, figures)

    def shown(self, c, p, new, figures):
        text = new.ctl("status").stdout
        self.assertIn("Lost", text)
        self.assertIn("keys changed: at most", text)
        told = json.loads(new.ctl("status", "-o", "json").stdout)["losses"]
        mine = next(x for x in told if x["member"] == p.name and x["found"] == "rejoin")
        self.assertEqual(mine["bytes"], figures["bytes"])
        self.assertEqual(mine["changes_at_most"], figures["changes_at_most"])
        self.assertTrue(any(x["member"] == new.name and x["found"] == "takeover" for x in told))
        page = p.http("/metrics")[1]
        self.assertRegex(page, r'(?m)^mainstay_losses_total\{found="rejoin"\} 1$')
        self.assertRegex(page, rf"(?m)^mainstay_lost_log_bytes_total {figures['bytes']}$")
        self.assertRegex(page, rf"(?m)^mainstay_last_loss_changes {figures['changes_at_most']}$")
        window = float(re.search(r"(?m)^mainstay_last_loss_window_seconds (\S+)$", page).group(1))
        self.assertGreater(window, 0)
        self.assertRegex(new.http("/metrics")[1], r'(?m)^mainstay_losses_total\{found="takeover"\} 1$')

    def test_a_process_that_died_says_what_is_not_known(self):
        c = self.cluster(parameters={"save": ""})
        p = c.primary()
        load = c.load(writers=2).start()
        self.addCleanup(load.stop)
        self.assertTrue(load.wait_acked(count=50, timeout=BOUND))
        time.sleep(2)
        p.kill_server()
        new = c.wait_primary(BOUND, other_than=p)
        lost = p.told(action="data.loss", reason="rejoin", timeout=BOUND)
        new.told(action="data.loss", reason="takeover", timeout=BOUND)
        c.wait_ready(BOUND)
        load.stop()
        say(f"{self.id()}: {lost['msg']}")
        self.assertTrue(lost["loss"]["at_least"])
        self.assertIn("changes_at_most", lost["loss"]["unknown"])
        self.assertLess(lost["loss"]["since"], lost["loss"]["until"])
        for m in c.members:
            outputs.check(m.out.taken(), True)

    def test_a_switchover_loses_nothing_and_says_nothing(self):
        c = self.cluster()
        load = c.load(writers=2).start()
        self.addCleanup(load.stop)
        self.assertTrue(load.wait_acked(count=50, timeout=BOUND))
        for _ in range(2):
            p = c.wait_ready(BOUND)
            c.wait("a switchover", lambda p=p: p.ctl("switchover", check=False).returncode == 0, BOUND, 0.2)
            c.wait_primary(BOUND, other_than=p)
        c.wait_ready(BOUND)
        load.stop()
        c.check(load, BOUND)
        self.assertEqual([e for m in c.members for e in m.lines(action="data.loss")], [])


if __name__ == "__main__":
    main()
