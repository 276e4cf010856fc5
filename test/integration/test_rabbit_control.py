#!/usr/bin/python3
"""Control of one real RabbitMQ node by Erlang's distribution: what it says when well, booting, stopped, frozen, killed, under an alarm;
what the client says of a wrong cookie; and that a connection that is kept alive stays."""
import os
import time
import unittest

import procs
from rabbit_servers import Servers, wait
from rabbit_tool import DOWN, UNKNOWN, Tool

TICKTIME = 8  # seconds after which a node drops who does not answer: 60 by default


class RabbitControl(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.scratch = procs.Scratch(prefix="mainstay-rabbit-")
        cls.addClassCleanup(cls.scratch.close)
        cls.servers = Servers(cls.scratch, 1, erl_args=f"-kernel net_ticktime {TICKTIME}")
        cls.node = cls.servers.nodes[0]

    def setUp(self):
        if not self.node.running():
            self.node.start()
        self.tool = Tool(self.node)
        self.addCleanup(self.tool.close)

    def test_what_a_healthy_node_says(self):
        t, name = self.tool, self.node.name
        self.assertEqual(t.get("look"), {"boot": "ready", "alarms": [], "partitions": []})
        self.assertEqual(t.get("version").split(".")[:2], ["3", "10"])
        self.assertEqual((t.get("boot"), t.get("is_running"), t.get("is_booting")), ("ready", True, False))
        self.assertEqual(t.get("members"), {"all": [name], "running": [name], "disc": [name]})
        self.assertEqual(t.get("nodes_at_shutdown"), [name])
        self.assertTrue(t.get("cluster_id").startswith("rabbitmq-cluster-id-"))
        self.assertEqual((t.get("partitions"), t.get("critical"), t.get("queues"), t.get("draining")), ([], [], [], False))
        self.assertIs(t.get("flags")["quorum_queue"], True)
        answer = t.ask("raw", "no_such_module", "no_function")
        self.assertEqual(answer["code"], "UNIMPLEMENTED", answer)
        # The file that the boot planner reads before the node runs says the same.
        with open(os.path.join(self.node.data, "nodes_running_at_shutdown"), encoding="utf-8") as f:
            self.assertEqual(f.read().strip(), f"[{name}].")

    def test_a_wrong_cookie(self):
        path = os.path.join(self.servers.dir, "wrong")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="ascii") as f:
            f.write("NOTTHECOOKIE")
        with Tool(self.node, path) as t:
            answer = t.ask("look")
            self.assertEqual(answer["code"], "UNAUTHENTICATED", answer)
            self.assertNotIn("NOTTHECOOKIE", answer["message"])
        os.chmod(path, 0o644)
        with Tool(self.node, path) as t:
            answer = t.ask("look")
            self.assertEqual(answer["code"], "PERMISSION_DENIED", answer)
            self.assertNotIn("NOTTHECOOKIE", answer["message"])

    def test_an_alarm(self):
        self.node.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            wait("the alarm", lambda: self.tool.get("alarms") == [{"resource": "memory", "node": self.node.name}])
            look = self.tool.get("look")
            self.assertEqual(look["boot"], "ready")
            self.assertEqual([a["resource"] for a in look["alarms"]], ["memory"])
        finally:
            self.node.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
        wait("its end", lambda: self.tool.get("alarms") == [])

    def test_draining(self):
        self.tool.get("drain")
        self.assertIs(self.tool.get("draining"), True)
        self.tool.get("drain")  # again is fine
        self.assertEqual(self.tool.get("look")["boot"], "ready")
        self.tool.get("revive")
        self.assertIs(self.tool.get("draining"), False)

    def test_an_application_that_is_stopped(self):
        self.node.ctl("stop_app")
        try:
            self.assertEqual(self.tool.get("look")["boot"], "stopped")
            self.assertIs(self.tool.get("is_running"), False)
            # What would know is not there: an error, never "no alarm".
            answer = self.tool.ask("alarms")
            self.assertEqual(answer["code"], "FAILED_PRECONDITION", answer)
            self.assertEqual(self.tool.ask("partitions")["code"], "FAILED_PRECONDITION")
            self.assertFalse(self.tool.ask("queues")["ok"])
            self.assertFalse(self.tool.ask("critical")["ok"])
        finally:
            self.node.ctl("start_app")
        self.assertEqual(self.tool.get("look")["boot"], "ready")

    def test_a_frozen_node_is_unknown_within_the_deadline(self):
        self.tool.get("look")  # connected
        self.node.pause()
        try:
            with Tool(self.node, by_epmd=False) as fresh:  # not connected: the kernel accepts for it
                for t in (self.tool, fresh):
                    answer = t.ask("look")
                    self.assertIn(answer["code"], UNKNOWN, answer)
                    self.assertGreater(answer["took"], 2.9)
                    self.assertLess(answer["took"], 6)
        finally:
            self.node.resume()
        wait("it answers again", lambda: self.tool.ask("look")["ok"])

    def test_a_killed_node_and_its_boot(self):
        self.tool.get("look")
        self.node.kill()
        answer = self.tool.ask("look")
        self.assertIn(answer["code"], DOWN, answer)
        self.node.start(wait_ready=False)
        seen, codes, end = [], set(), time.monotonic() + 240
        while time.monotonic() < end and "ready" not in seen:
            answer = self.tool.ask("look")
            self.assertLess(answer["took"], 6, answer)
            if not answer["ok"]:
                codes.add(answer["code"])
            elif answer["value"]["boot"] not in seen:
                seen.append(answer["value"]["boot"])
            time.sleep(0.02)
        self.assertEqual(seen[-1:], ["ready"], (seen, codes))
        self.assertIn("booting", seen)
        # Not registered yet, not listening yet, or too busy to answer: nothing else.
        self.assertLessEqual(codes, {*DOWN, *UNKNOWN}, seen)
        self.node.wait_ready()

    def test_a_connection_kept_alive_stays(self):
        self.tool.get("look")
        self.assertIs(self.tool.get("sleep", str(1000 * (2 * TICKTIME + 4))), True)
        self.assertIs(self.tool.get("is_running"), True)


if __name__ == "__main__":
    procs.unwind_on_signals()
    unittest.main(verbosity=2)
