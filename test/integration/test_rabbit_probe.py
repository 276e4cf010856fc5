#!/usr/bin/python3
"""RabbitMQ's end-to-end probe, the judge of its state and the relay of its metrics, on a real node that is well, blocked, full, frozen, drained,
killed, and that knows our user no more."""
import json
import os
import re
import socket
import time
import unittest

import pki
import procs
from rabbit_servers import Servers, free_ports, wait
from rabbit_probe_tool import PASSWORD, ROOT, USER, VHOST, Plugin, Tool, names, peak_kib, read_loosely, series
from scrape import get, promtool, read

# What docs/RABBITMQ.md says that the probe's user needs.
RIGHTS = [r"^amq\.gen-.*", r"^(amq\.default|amq\.gen-.*)$", r"^amq\.gen-.*"]
OWN = re.compile(r"mainstay_rabbitmq_|rabbitmq_(up|running|partitions|node_mem_used|node_mem_limit)$|rabbitmq_scrape_collector_")


class Probe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = procs.Scratch(prefix="mainstay-rabbit-")
        cls.tools = []
        cls.authority = pki.Authority(os.path.join(cls.scratch.path, "ca"), "authority")
        cls.other = pki.Authority(os.path.join(cls.scratch.path, "ca"), "stranger")
        files = cls.authority.issue(os.path.join(cls.scratch.path, "tls"), "broker", "broker.example.org,IP:127.0.0.1")
        for name, text in files.items():
            Tool.write(os.path.join(cls.scratch.path, "tls", name), text)
        cls.tls_port, stream_port = free_ports(2)
        tls = {f"ssl_options.{k}": os.path.join(cls.scratch.path, "tls", v)
               for k, v in (("cacertfile", "ca.crt"), ("certfile", "tls.crt"), ("keyfile", "tls.key"))}
        tls.update({"ssl_options.verify": "verify_peer", "ssl_options.fail_if_no_peer_cert": "true"})
        cls.servers = Servers(cls.scratch, 1, plugins=("rabbitmq_stream",), settings={
            "listeners.ssl.1": f"127.0.0.1:{cls.tls_port}", "stream.listeners.tcp.1": f"127.0.0.1:{stream_port}", **tls})
        cls.node = cls.servers.nodes[0]
        cls.node.ctl("add_vhost", VHOST)
        cls.add_user()
        cls.tool = Tool(cls, cls.node.port, cls.node.prometheus_port)

    @classmethod
    def add_user(cls):
        cls.node.ctl("add_user", USER, PASSWORD)
        cls.node.ctl("set_permissions", "-p", VHOST, USER, *RIGHTS)

    @classmethod
    def tearDownClass(cls):
        for t in cls.tools:
            t.close()
        cls.servers.close()
        cls.scratch.close()

    def well(self, tool=None, timeout=60):
        """The next check that makes the whole round; the one that is the first to do so."""
        tool, last, end = tool or self.tool, {}, time.monotonic() + timeout
        while time.monotonic() < end:
            last = tool.check()
            if last["ok"]:
                return last
            tool.say("hurry")
            time.sleep(0.2)
        raise AssertionError(f"not well within {timeout} s: {last}")

    def until(self, what, condition, timeout=60):
        """Checks until one is as wanted; that one."""
        last, end = {}, time.monotonic() + timeout
        while time.monotonic() < end:
            last = self.tool.check()
            if condition(last):
                return last
            time.sleep(0.2)
        raise AssertionError(f"not within {timeout} s: {what}: {last}")

    def families(self, timeout=8.0):
        return read(self.tool.page(timeout=timeout))

    def own_only(self, families, state):
        """Nothing of the plugin's, all of ours; and why."""
        self.assertNotIn("rabbitmq_queues", families)
        self.assertEqual(families["mainstay_rabbitmq_plugin_up"].value(), 0)
        self.assertEqual(families["mainstay_rabbitmq_plugin_answer"].value(state=state), 1)
        self.assertEqual(families["rabbitmq_up"].value(), 0)
        self.assertEqual(self.own - {n for n in families if OWN.match(n)}, set(), "these vanished")

    # ---- well ----

    def test_01_rounds(self):
        first = self.well()
        self.assertEqual(first["version"][:5], "3.10.")
        got = [self.tool.check() for _ in range(200)]
        self.assertTrue(all(r["ok"] for r in got), [r for r in got if not r["ok"]][:3])
        self.assertEqual(got[-1]["connections"], first["connections"], "one connection is kept")
        times, cpu = sorted(r["delivered_ms"] for r in got), sorted(r["cpu_ms"] for r in got)
        print(f"round trip ms: median {times[100]:.2f}, p95 {times[190]:.2f}; CPU of ours {cpu[100]:.3f} ms", flush=True)
        queues = self.node.ctl("list_queues", "-p", VHOST, "name", "durable", "exclusive", "messages")
        self.assertRegex(queues, r"amq\.gen-\S+\s+false\s+true\s+0\n")
        clients = self.node.ctl("list_connections", "user", "client_properties")
        self.assertIn("mainstay-probe@test", clients)
        self.assertTrue(self.tool.say("fresh")["ok"])
        for fact in ("process 1", "running 1", "draining 0", "boot ready", "silent 0"):
            self.tool.say("fact " + fact)
        self.assertEqual(self.tool.state(), (200, "running\nrunning\n"))

    def untouched(self):
        """A page of ours that has the plugin's byte for byte but for the values, and the plugin's of the same time. RabbitMQ adds and drops series
        at any time (a connection to a peer, a new kind of allocator): a page that fell between two is fetched again."""
        for _ in range(10):
            before = get(f"http://127.0.0.1:{self.node.prometheus_port}/metrics").text
            page = self.tool.page()
            after = get(f"http://127.0.0.1:{self.node.prometheus_port}/metrics").text
            lines = "\n".join(series(page))
            if any("\n".join(series(text)) in lines for text in (before, after)):
                return before, page
        missing = [line for line in series(after) if line not in lines][:5]
        raise AssertionError(f"the plugin's page is not there as one piece; of it are missing: {missing}")

    def test_02_every_name_and_nothing_changed(self):
        self.well()
        before, page = self.untouched()
        families = read_loosely(page)
        type(self).own = {n for n in families if OWN.match(n)}
        self.assertGreater(len(self.own), 20)
        with open(os.path.join(ROOT, "docs", "RABBITMQ.md"), encoding="utf-8") as f:
            told = set(re.findall(r"`(\w+)`", f.read()))
        self.assertEqual({n for n in self.own if n not in told and not n.startswith("rabbitmq_scrape")}, set(), "docs/RABBITMQ.md has all of ours")
        missing = [n for n in names()["/metrics"] if n not in families]
        self.assertEqual(missing, [])
        plugin = read_loosely(before)
        self.assertEqual(self.own & set(plugin), set(), "ours are not the plugin's")
        twice = [n for n in re.findall(r"^# TYPE (\S+)", page, re.M) if page.count(f"# TYPE {n} ") > 1]
        self.assertEqual(twice, [])
        own = "".join(line + "\n" for line in page.splitlines() if OWN.match(re.split(r"[ {]", re.sub(r"^# (HELP|TYPE) ", "", line))[0]))
        read(own)
        self.assertEqual(promtool(own), [])
        self.assertIn("text/plain; version=0.0.4", get(self.tool.url + "/metrics", accept="application/openmetrics-text").headers["Content-Type"])

    def test_03_pages_of_queues(self):
        self.well()
        wanted = names()["/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count"]
        text = self.tool.page("/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count&vhost=" + VHOST)
        families = read_loosely(text)
        self.assertEqual([n for n in wanted if n not in families], [])
        self.assertIn(f'vhost="{VHOST}"', text)
        self.assertIn('mainstay_rabbitmq_page_up{page="detailed"} 1\n', text)
        other = self.tool.page("/metrics/detailed?family=queue_coarse_metrics&vhost=none")
        self.assertNotIn('queue="', other, "the filter is handed on")
        self.assertIn('queue="amq.gen-', self.tool.page("/metrics/per-object"))
        for bad in ("/metrics/detailed?family=A", "/metrics/detailed?x=y", "/metrics/detailed?vhost=a%0Ab"):
            self.assertEqual(get(self.tool.url + bad).code, 400, bad)

    def test_04_tls(self):
        folder = os.path.join(self.scratch.path, "tls")
        ca, own = os.path.join(folder, "ca.crt"), [os.path.join(folder, n) for n in ("tls.crt", "tls.key")]

        def by_tls(*tls, port=self.tls_port):
            return Tool(self, port, self.node.prometheus_port, tls=tls)
        for name in ("broker.example.org", "127.0.0.1"):
            self.assertTrue(self.well(by_tls(ca, name, *own))["ok"])
        wrong = by_tls(ca, "other.example.org", *own).check()
        self.assertEqual((wrong["failure"], wrong["step"]), ("tls", "connect"))
        self.assertIn("hostname mismatch", wrong["text"].lower())
        stranger = by_tls(self.other.cert, "127.0.0.1", *own).check()
        self.assertEqual(stranger["failure"], "tls")
        self.assertNotIn("mismatch", stranger["text"])
        self.assertEqual(by_tls(ca + ".none", "127.0.0.1", *own).check()["failure"], "local")
        self.assertEqual(by_tls(ca, "127.0.0.1", own[0], ca).check()["failure"], "local", "a key that is none")
        # Without the certificate that this broker wants: by TLS 1.3 it says so after the handshake.
        self.assertIn(by_tls(ca, "127.0.0.1").check()["failure"], ("tls", "lost"))
        self.assertIn(Tool(self, self.tls_port, self.node.prometheus_port).check()["failure"], ("lost", "protocol", "timeout"))
        self.assertEqual(by_tls(ca, "127.0.0.1", *own, port=self.node.port).check()["failure"], "tls")

    # ---- not failed: blocked ----

    def blocked(self, raise_it, end_it, resource):
        self.well()
        raise_it()
        try:
            connections = self.while_blocked(resource)
        finally:
            end_it()
        got = self.until("no longer blocked", lambda r: not r["blocked"])
        self.assertTrue(got["ok"], got)
        self.assertTrue(got["paused"], "the message that waited has arrived")
        self.assertEqual(got["connections"], connections)
        self.assertFalse(self.well()["paused"])

    def while_blocked(self, resource):
        got = self.until(f"blocked by {resource}", lambda r: r["blocked"])
        self.assertEqual((got["failure"], got["reason"], got["state"]), ("none", f"low on {resource}", "blocked"))
        for _ in range(3):
            self.assertTrue(self.tool.check()["blocked"])
        families = read_loosely(self.tool.page())
        self.assertEqual(families["mainstay_rabbitmq_blocked"].value(resource=resource), 1)
        self.assertEqual(families["mainstay_rabbitmq_plugin_up"].value(), 1, "the plugin answers")
        self.assertEqual(families["mainstay_rabbitmq_state"].value(state="blocked"), 1)
        code, text = self.tool.state()
        self.assertEqual(code, 200, "an alarm takes no node out of its service")
        self.assertIn(f"blocked: low on {resource}", text)
        return got["connections"]

    def test_05_alarm_of_memory(self):
        self.blocked(lambda: self.node.ctl("set_vm_memory_high_watermark", "absolute", "20MB"),
                     lambda: self.node.ctl("set_vm_memory_high_watermark", "absolute", "1GB"), "memory")

    def test_06_alarm_of_disk(self):
        self.blocked(lambda: self.node.ctl("set_disk_free_limit", "4000GB"), lambda: self.node.ctl("set_disk_free_limit", "50MB"), "disk")

    # ---- failed, by name ----

    def test_07_nacked(self):
        self.well()
        self.node.ctl("set_policy", "-p", VHOST, "full", r"^amq\.gen", '{"max-length":0,"overflow":"reject-publish"}', "--apply-to", "queues")
        got = self.until("nacked", lambda r: r["failure"] == "nacked")
        self.assertEqual(got["step"], "confirm")
        self.node.ctl("clear_policy", "-p", VHOST, "full")
        self.assertEqual(self.well()["connections"], got["connections"], "a nack ends no connection")

    def test_08_wrong_password(self):
        t = Tool(self, self.node.port, self.node.prometheus_port, password="not-this-one")
        got = t.check()
        self.assertEqual((got["failure"], got["step"], got["code"]), ("auth", "login", 403))
        self.assertNotIn("not-this-one", json.dumps(got))
        self.assertTrue(t.check()["skipped"], "not again at once")
        t.write(t.password_file, PASSWORD)
        self.assertTrue(self.well(t)["ok"], "the file is read anew")
        vhost = Tool(self, self.node.port, self.node.prometheus_port)
        self.assertTrue(self.well(vhost)["ok"])

    def test_09_user_deleted_while_connected(self):
        self.well()
        self.node.ctl("delete_user", USER)
        got = self.until("refused", lambda r: r["failure"] == "auth")
        self.assertEqual((got["step"], got["code"]), ("login", 403))
        # How the connection ended is told too, by this check or one before it.
        self.add_user()
        self.well()
        families = read_loosely(self.tool.page())
        self.assertGreaterEqual(families["mainstay_rabbitmq_probe_failures_total"].value(reason="auth"), 1)

    def test_10_no_rights_no_vhost(self):
        # Whoever has a channel keeps what he was allowed: RabbitMQ remembers it for each channel.
        self.node.ctl("set_permissions", "-p", VHOST, USER, "^$", "^$", "^$")
        try:
            got = Tool(self, self.node.port, self.node.prometheus_port).check()
            self.assertEqual((got["failure"], got["step"], got["code"]), ("auth", "queue", 403), got)
            self.node.ctl("clear_permissions", "-p", VHOST, USER)
            got = Tool(self, self.node.port, self.node.prometheus_port).check()
            self.assertEqual((got["failure"], got["step"], got["code"]), ("auth", "login", 530), got)
        finally:
            self.node.ctl("set_permissions", "-p", VHOST, USER, *RIGHTS)
        self.well()

    def test_11_closed_by_an_admin(self):
        before = self.well()
        self.node.eval('rabbit_networking:close_all_connections("because").')
        got = self.until("seen", lambda r: r["earlier"] != "none" or r["failure"] != "none")
        if got["earlier"] != "none":
            self.assertEqual(got["earlier"], "closed")
            self.assertIn("because", got["earlier_text"])
            self.assertTrue(got["ok"], "the broker as it is now is what counts")
        self.assertGreater(self.well()["connections"], before["connections"])

    # ---- the plugin cannot answer ----

    def test_12_drained(self):
        self.well()
        self.node.eval("rabbit_maintenance:drain().")
        self.tool.say("fact draining 1")
        got = self.until("refused", lambda r: r["failure"] == "refused")
        self.assertEqual(got["step"], "connect")
        families = self.families()
        self.own_only(families, "unreachable")
        self.assertEqual(families["mainstay_rabbitmq_state"].value(state="draining"), 1)
        self.assertEqual(families["mainstay_rabbitmq_drained"].value(), 1)
        self.assertEqual(self.tool.state()[0], 503)
        self.assertIn('mainstay_rabbitmq_page_up{page="per-object"} 0\n', self.tool.page("/metrics/per-object"))
        self.node.eval("rabbit_maintenance:revive().")
        self.tool.say("fact draining 0")
        self.well()
        wait("the plugin answers", lambda: read_loosely(self.tool.page())["mainstay_rabbitmq_plugin_up"].value() == 1)

    def test_13_frozen(self):
        before = self.well()
        self.node.pause()
        try:
            for _ in range(3):
                got = self.tool.check()
                self.assertEqual((got["failure"], got["step"]), ("timeout", "confirm"))
            began = time.monotonic()
            families = self.families(timeout=2.0)
            self.assertLess(time.monotonic() - began, 10, "within the scraper's own time-out, generously")
            self.own_only(families, "silent")
            self.tool.say("fact silent 20")
            code, text = self.tool.state()
            self.assertEqual((code, text.splitlines()[0]), (503, "hung"))
        finally:
            self.node.resume()
            self.tool.say("fact silent 0")
        got = self.well()
        self.assertEqual(got["connections"], before["connections"], "the message that waited has arrived on the same connection")
        self.assertGreater(got["confirmed_ms"], 5000, "its true age")

    def test_14_killed(self):
        self.well()
        self.node.kill()
        got = self.tool.check()
        self.assertEqual((got["failure"], got["step"]), ("refused", "connect"))
        self.assertEqual(got["earlier"], "lost")
        self.tool.say("fact process 0")
        families = self.families()
        self.own_only(families, "unreachable")
        self.assertEqual(families["mainstay_rabbitmq_state"].value(state="dead"), 1)
        self.tool.say("fact process 1")
        self.node.start(wait_ready=False)
        seen = set()
        while not self.node.ready():
            self.assertTrue(self.node.running(), self.node.tail())
            seen.add(self.tool.check(3000)["failure"])
            time.sleep(0.3)
        self.assertLessEqual(seen, {"refused", "timeout", "lost", "none"}, "while it starts")
        self.well()
        self.assertEqual(read_loosely(self.tool.page())["mainstay_rabbitmq_plugin_up"].value(), 1)

    def test_15_a_listener_that_says_nothing(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(8)
            t = Tool(self, s.getsockname()[1], s.getsockname()[1])
            got = t.check(1500)
            self.assertEqual((got["failure"], got["step"]), ("timeout", "login"))
            families = read(t.page(timeout=1.0))
            self.assertEqual(families["mainstay_rabbitmq_plugin_answer"].value(state="silent"), 1)

    def test_16_long_pages(self):
        line = 'rabbitmq_queue_messages{vhost="/",queue="a-queue-with-a-name-of-some-length"} 1\n'
        with Plugin("# TYPE rabbitmq_queue_messages gauge\n" + line * (20 * 1024 * 1024 // len(line))) as plugin:
            t = Tool(self, self.node.port, plugin.port)
            for path, limit, cut in (("/metrics", 3 << 20, "mainstay_rabbitmq_relay_cut 1\n"),
                                     ("/metrics/per-object", 8 << 20, 'mainstay_rabbitmq_page_cut{page="per-object"} 1\n')):
                began = time.monotonic()
                text = t.page(path)
                took = time.monotonic() - began
                self.assertIn(cut, text)
                self.assertIn(f"\n# mainstay: cut here, the rest is over {limit} bytes\n", text)
                self.assertGreater(len(text), limit - 200)
                self.assertLess(len(text), limit + 20000)
                self.assertTrue(all(p == line for p in re.findall(r"^rabbitmq_queue_messages.*\n", text, re.M)), "whole lines")
                print(f"{path}: {len(text) >> 20} of 20 MiB in {took:.2f} s", flush=True)
            time.sleep(2)
            print(f"RSS {procs.rss_kib(t.p.pid) >> 10} MiB, at most {peak_kib(t.p.pid) >> 10} MiB", flush=True)


if __name__ == "__main__":
    procs.unwind_on_signals()
    unittest.main(verbosity=2)
