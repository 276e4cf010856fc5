#!/usr/bin/python3
"""The agent beside a real RabbitMQ node, under the shim: it starts it, tells its state by the probes, relays its metrics, takes its log and its
events, survives its own end, and starts the node again when that ends by itself."""
import glob
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

import outputs
import procs
from rabbit_beside import AGENT, PASSWORD, USER, Beside
from rabbit_servers import Servers, sbin, wait

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IDLE = float(os.environ.get("MAINSTAY_RABBIT_IDLE", "30"))  # seconds of the measurement of an idle agent
OWN = re.compile(r"mainstay_rabbitmq_")


class Agent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = procs.Scratch(prefix="mainstay-rabbit-")
        cls.servers = Servers(cls.scratch, 0, start=False)
        cls.beside = b = Beside(cls.servers, overrides={"rabbitmq/plugins": ["rabbitmq_management"]})
        b.overrides["rabbitmq/parameters"] = {"disk_free_limit.absolute": "50MB", "vm_memory_high_watermark.absolute": "1GB",
                                              "management.tcp.ip": "127.0.0.1", "management.tcp.port": str(b.node.management_port)}
        b.start()

    @classmethod
    def tearDownClass(cls):
        cls.beside.close()
        cls.servers.epmd.kill()
        cls.scratch.close()

    def until(self, what, condition, timeout=60):
        try:
            wait(what, condition, timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.beside.tail()}") from None

    def running(self):
        self.beside.wait_state("running")

    # ---- start ----

    def test_01_the_agent_founds_and_starts(self):
        b = self.beside
        self.until("the agent answers", lambda: b.state() is not None, 30)
        self.assertEqual(b.get("/readyz")[0], 503, "nothing is ready yet")
        self.running()
        self.assertEqual(b.get("/livez")[0], 200)
        self.assertEqual(b.get("/startupz")[0], 200)
        self.until("ready", lambda: b.get("/readyz")[0] == 200)
        self.assertIn("[+]node ok: running", b.get("/readyz?verbose")[1])
        status = b.status()
        self.assertEqual(status["broker"]["node"], b.node.name)
        self.until("version", lambda: b.status()["database"].get("version", "").startswith("3.10."), 15)
        self.until("id", lambda: b.status()["broker"].get("clusterId", b.status()["broker"].get("cluster_id", "")), 15)
        starts = b.lines(action="broker.start")
        self.assertEqual([s["stage"] for s in starts], ["started", "completed"])
        self.assertEqual(starts[0]["id"], starts[1]["id"])

    def test_02_the_shims_child_is_the_node_itself_with_its_own_environment(self):
        b = self.beside
        with open(f"/proc/{b.beam()}/environ", "rb") as f:
            env = dict(e.split("=", 1) for e in f.read().decode().split("\0") if "=" in e)
        self.assertEqual(env["HOME"], b.volume)
        self.assertEqual(env["RABBITMQ_ALLOW_INPUT"], "1")
        self.assertNotIn("SECRET_OF_ANOTHER", env)
        self.assertEqual(os.stat(os.path.join(b.volume, ".erlang.cookie")).st_mode & 0o777, 0o400)
        self.assertEqual(os.stat(b.data + ".conf").st_mode & 0o777, 0o600)
        beside = {os.path.basename(p) for p in glob.glob(os.path.join(b.volume, "*"))}
        self.assertEqual({n for n in beside if not n.startswith("mnesia")}, set(), "all that it keeps is named after its data")
        logged = [p for p in glob.glob(b.data + ".log/*") if os.path.getsize(p) > 0]
        self.assertEqual(logged, [], "no log files (RabbitMQ makes one for upgrades, empty)")

    # ---- messages, log, metrics ----

    def test_03_a_probe_without_rights_is_a_note_not_a_verdict(self):
        b = self.beside
        self.until("the probe was refused", lambda: b.metrics()["mainstay_rabbitmq_probe_failures_total"].value(reason="auth") or 0)
        self.assertEqual(b.state(), "running")
        self.assertEqual(b.get("/readyz")[0], 200)
        b.add_user()
        self.until("a message made its round", lambda: b.metrics()["mainstay_rabbitmq_probe_state"].value(state="ok") == 1, 40)
        self.assertEqual(b.state(), "running")

    def test_04_the_log_comes_as_lines(self):
        b = self.beside
        self.until("a refused login", lambda: b.lines(**{"class": "denied"}), 20)
        denied = b.lines(**{"class": "denied"})[0]
        self.assertEqual(denied["logger"], "rabbitmq")
        self.assertEqual(denied["record"]["user"], USER)
        self.assertTrue(denied["record"]["client"].startswith("127.0.0.1:"))
        logged = [line for line in b.lines(logger="rabbitmq") if line["class"] == "log"]
        self.assertTrue(any("Server startup complete" in line["msg"] for line in logged))
        glued = [line for line in logged if "Starting broker..." in line["msg"]]
        self.assertTrue(all("{" not in line["msg"] for line in glued), glued)
        self.assertTrue(any(line["record"].get("severity") == "info" for line in logged))
        with open(b.out, encoding="utf-8") as f:
            text = f.read()
        with open(b.agent_log, encoding="utf-8") as f:
            text += f.read()
        with open(b.cookie, encoding="ascii") as f:
            cookie = f.read().strip()
        for secret in (PASSWORD, cookie):
            self.assertNotIn(secret, text)

    def test_05_metrics_are_the_plugins_and_ours(self):
        b = self.beside
        families = b.metrics()
        self.assertEqual(families["mainstay_rabbitmq_plugin_up"].value(), 1)
        self.assertIn("rabbitmq_identity_info", families)
        self.assertEqual(families["mainstay_rabbitmq_state"].value(state="running"), 1)
        self.assertEqual(families["mainstay_rabbitmq_up"].value(), 1)
        self.assertNotIn("mainstay_role", families, "there is no primary here")
        type(self).own = {n for n in families if OWN.match(n)}
        with open(os.path.join(ROOT, "docs", "RABBITMQ.md"), encoding="utf-8") as f:
            told = set(re.findall(r"`(\w+)`", f.read()))
        self.assertEqual(self.own - told, {n for n in self.own if n.startswith("mainstay_rabbitmq_page")}, "docs/RABBITMQ.md has all of ours")
        code, page = b.get("/metrics/detailed?family=queue_coarse_metrics")
        self.assertEqual(code, 200)
        self.assertIn("mainstay_rabbitmq_page_up", page)
        self.assertEqual(b.get("/metrics/detailed?family=../x")[0], 400)

    def test_06_events_are_told_once_and_by_whom(self):
        b = self.beside
        self.until("events are read", lambda: b.metrics()["mainstay_rabbitmq_audit_up"].value() == 1, 60)
        b.node.ctl("add_user", "bob", "bobs geheim")
        b.node.ctl("set_permissions", "-p", "/", "bob", ".*", "", "^x")
        b.node.ctl("delete_user", "bob")

        def events(name):
            return [e for e in b.lines(**{"class": "audit"}) if e["event"]["name"] == name and "bob" in json.dumps(e)]

        self.until("all of them", lambda: events("user.deleted"), 20)
        for name in ("user.created", "permission.created", "user.deleted"):
            self.assertEqual(len(events(name)), 1, name)
        one = events("permission.created")[0]
        self.assertEqual(one["event"]["fields"]["read"], "^x")
        self.assertEqual(one["record"]["user"], "rmq-cli")
        self.assertNotIn("bobs geheim", json.dumps(b.lines()))
        self.assertGreaterEqual(b.metrics()["mainstay_rabbitmq_audit_events_total"].value(event="user.created"), 1)
        queues = b.node.ctl("list_queues", "name", "type", "durable")
        self.assertRegex(queues, r"_mainstay\.audit\s+(quorum|rabbit_quorum_queue)\s+true")

    def test_07_every_line_is_as_its_schema_says(self):
        with open(self.beside.out, "rb") as f:
            entries = outputs.check(f.read().splitlines(), whole=False)
        self.assertGreater(len(entries), 20)

    # ---- states ----

    def test_10_blocked_is_ready(self):
        b = self.beside
        b.node.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
        b.wait_state("blocked", timeout=60)
        self.assertEqual(b.get("/readyz")[0], 200)
        self.assertIn("memory", b.get("/readyz?verbose")[1])
        self.assertEqual(b.metrics()["mainstay_rabbitmq_blocked"].value(resource="memory"), 1)
        b.node.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
        self.running()

    def test_11_drained_is_not_ready_and_its_metrics_stay(self):
        b = self.beside
        b.node.ctl("drain", tool="rabbitmq-upgrade")
        b.wait_state("draining", timeout=60)
        self.assertEqual(b.get("/readyz")[0], 503)
        self.assertEqual(b.get("/livez")[0], 200)
        families = b.metrics()
        self.assertEqual(self.own - {n for n in families if OWN.match(n)}, set(), "these vanished")
        self.assertEqual(families["mainstay_rabbitmq_plugin_up"].value(), 0)
        self.assertEqual(families["mainstay_rabbitmq_drained"].value(), 1)
        b.node.ctl("revive", tool="rabbitmq-upgrade")
        self.running()
        self.until("ready", lambda: b.get("/readyz")[0] == 200, 30)

    def test_12_stop_app_is_alive_and_not_ready(self):
        b = self.beside
        b.node.ctl("stop_app")
        b.wait_state("stopped", timeout=60)
        self.assertEqual((b.get("/livez")[0], b.get("/readyz")[0], b.get("/startupz")[0]), (200, 503, 200))
        b.node.ctl("start_app")
        self.running()

    def test_13_frozen_is_not_alive(self):
        b = self.beside
        pid = b.beam()
        os.kill(pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            b.wait_state("hung", timeout=60)
            self.assertGreater(time.monotonic() - begun, 10)
            self.assertEqual(b.get("/livez")[0], 503)
            self.assertEqual(b.get("/livez?exclude=node")[0], 200, "the agent itself is well")
            begun = time.monotonic()
            families = b.metrics(timeout=3)
            self.assertLess(time.monotonic() - begun, 4)
            self.assertEqual(self.own - {n for n in families if OWN.match(n)}, set(), "these vanished")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.running()
        self.until("alive", lambda: b.get("/livez")[0] == 200, 30)

    # ---- ends ----

    def test_20_the_agents_end_is_not_the_nodes(self):
        b = self.beside
        pid = b.beam()
        begun = time.monotonic()
        self.assertTrue(b.agent.terminate(10))
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(b.beam(), pid)
        b.start_agent()
        self.running()
        b.agent.kill()
        self.assertEqual(b.beam(), pid)
        b.start_agent()
        self.running()
        self.assertEqual(b.beam(), pid, "the running node is taken over")

    def test_21_a_killed_node_is_started_again(self):
        b = self.beside
        pid = b.beam()
        os.kill(pid, signal.SIGKILL)
        b.wait_state("dead", "starting", timeout=10)
        self.running()
        self.assertNotEqual(b.beam(), pid)
        exits = b.lines(action="database.exit")
        self.assertIn("signal 9", exits[-1]["msg"])
        self.until("a message made its round", lambda: b.metrics()["mainstay_rabbitmq_probe_state"].value(state="ok") == 1, 40)

    def test_30_small_and_quiet(self):
        """The budgets of an idle agent: 16 MiB, 0.1 s of CPU a minute (docs/BENCHMARKS.md)."""
        b = self.beside
        self.running()
        time.sleep(12)  # what the start needed is given back after ten seconds
        begun, cpu = time.monotonic(), procs.cpu_seconds(b.agent.pid)
        time.sleep(IDLE)
        spent = (procs.cpu_seconds(b.agent.pid) - cpu) * 60 / (time.monotonic() - begun)
        rss = procs.rss_kib(b.agent.pid) / 1024
        print(f"idle agent: {rss:.1f} MiB, {spent:.3f} s of CPU a minute (a message each second)", flush=True)
        self.assertLess(rss, 16)
        self.assertLess(spent, 0.5)  # of a loaded machine; the figure is printed

    def test_40_the_shims_end_is_an_orderly_stop(self):
        b = self.beside
        begun = time.monotonic()
        self.assertTrue(b.shim.terminate(90))
        print(f"stop of the shim: {time.monotonic() - begun:.1f} s", flush=True)
        self.until("told", lambda: any("Stopping RabbitMQ applications" in line["msg"] or "stopped" in line["msg"].lower()
                                       for line in b.lines(logger="rabbitmq")[-200:]), 20)
        b.wait_state("unknown", "dead", timeout=20)
        self.assertEqual(b.get("/livez/shim")[0], 503)


class Configuration(unittest.TestCase):
    """What is refused, before anything starts."""

    def check(self, overrides):
        config = {"cluster": "shop", "name": "a", "engine": "rabbitmq", "election": {"lock": "file", "path": "/tmp/x"}, "shim": {"socket": "/tmp/s"},
                  "rabbitmq": {"data_dir": "/v/mnesia", "node": "rabbit@a", "cookie_file": "/v/cookie"}}
        config["rabbitmq"].update(overrides)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(json.dumps(config))
            f.flush()
            done = subprocess.run([AGENT, "config", "check", "--config", f.name], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_refusals_name_thing_value_and_remedy(self):
        self.assertEqual(self.check({})[0], 0, self.check({})[1])
        for overrides, words in (({"node": "rabbit"}, ["rabbitmq.node", "rabbit", "rabbit@HOST"]),
                                 ({"cookie_file": ""}, ["rabbitmq.cookie_file", "missing"]),
                                 ({"port": 70000}, ["rabbitmq.port", "70000"]),
                                 ({"plugins": ["rabbitmq_peer_discovery_k8s"]}, ["rabbitmq.plugins", "second ones"]),
                                 ({"parameters": {"log.file": "x"}}, ["rabbitmq.parameters.log.file", "kept by Mainstay"]),
                                 ({"parameters": {"cluster_partition_handling": "autoheal"}}, ["autoheal"]),
                                 ({"probe_user_file": "/v/user"}, ["rabbitmq.probe_password_file", "missing"])):
            code, text = self.check(overrides)
            self.assertNotEqual(code, 0, overrides)
            for word in words:
                self.assertIn(word, text)

    def test_a_shim_of_this_engine_has_its_program(self):
        self.assertTrue(os.access(os.path.join(sbin(), "rabbitmq-server"), os.X_OK))


if __name__ == "__main__":
    unittest.main(verbosity=2)
