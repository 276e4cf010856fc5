#!/usr/bin/python3
"""Control of three real RabbitMQ nodes by Erlang's distribution: replicas, a frozen member, a killed one, a cut between them, a full stop,
a member that lost its disk."""
import os
import time
import unittest

import procs
from rabbit_servers import Servers, wait
from rabbit_tool import DOWN, UNKNOWN, Tool, declare_quorum_queues

QUEUES = 5


class RabbitCluster(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.scratch = procs.Scratch(prefix="mainstay-rabbit-")
        cls.addClassCleanup(cls.scratch.close)
        cls.servers = Servers(cls.scratch, 3)
        cls.nodes = cls.servers.nodes
        cls.names = [n.name for n in cls.nodes]
        declare_quorum_queues(cls.nodes[0], QUEUES)

    def setUp(self):
        self.tools = []
        for n in self.nodes:
            n.proc.resume()
        for n in [n for n in self.nodes if not n.running()]:
            n.start(wait_ready=False)
        for n in self.nodes:
            n.wait_ready()
        self.a, self.b, self.c = [self.tool(n) for n in self.nodes]
        self.heal()

    def tearDown(self):
        for t in self.tools:
            t.close()

    def tool(self, node, **options):
        t = Tool(node, **options)
        self.tools.append(t)
        return t

    def heal(self):
        """Whole again: all run, every queue has its three replicas."""
        wait("all run", lambda: all(t.ask("members").get("value", {}).get("running") == self.names for t in (self.a, self.b, self.c)), 120)
        for name in self.names:
            wait("grown", lambda n=name: self.a.ask("grow", n)["ok"], 60)
        wait("all replicas", lambda: all(len(q["online"]) == 3 and q["leader"] for q in self.queues()), 60)

    def queues(self, tool=None):
        out = (tool or self.a).get("queues")
        self.assertEqual(len(out), QUEUES)
        return out

    def bounded(self, answer):
        self.assertLess(answer["took"], 6, answer)
        return answer

    def test_all_say_the_same(self):
        for ask in ("members", "cluster_id", "nodes_at_shutdown", "queues"):
            answers = [t.get(ask) for t in (self.a, self.b, self.c)]
            self.assertEqual(answers[0], answers[1])
            self.assertEqual(answers[0], answers[2])
        self.assertEqual(self.a.get("members")["all"], self.names)
        self.assertEqual(self.a.get("critical"), [])

    def test_replicas(self):
        third = self.names[2]
        self.a.get("delete_member", "/", "q1", third)
        self.a.get("delete_member", "/", "q1", third)  # again is fine
        self.assertEqual([q["members"] for q in self.queues() if q["name"] == "q1"], [self.names[:2]])
        self.assertEqual([q["name"] for q in self.a.get("critical")], ["queue 'q1' in vhost '/'"])
        self.a.get("add_member", "/", "q1", third)
        self.assertEqual(self.a.ask("add_member", "/", "nosuch", third)["code"], "FAILED_PRECONDITION")
        shrunk = self.a.get("shrink", third)
        self.assertEqual(sorted((c["queue"], c["members"], c["error"]) for c in shrunk), [(f"q{i}", 2, "") for i in range(1, QUEUES + 1)])
        self.assertEqual(len(self.a.get("critical")), QUEUES)
        # All queues take a busy node more than a call may last: then it is unknown, goes on in the node, and the queues are asked.
        grown = self.bounded(self.a.ask("grow", third))
        self.assertTrue(len(grown["value"]) == QUEUES if grown["ok"] else grown["code"] in UNKNOWN, grown)
        wait("all have a replica there", lambda: all(third in q["members"] for q in self.queues()))
        wait("nothing hangs on one node", lambda: self.a.get("critical") == [])

    def test_leaders_move_away_and_come_back(self):
        self.c.get("drain")
        self.assertIs(self.c.get("draining"), True)
        wait("no leader there", lambda: all(q["leader"] in self.names[:2] for q in self.queues()))
        self.c.get("revive")
        wait("its replicas are back", lambda: all(self.names[2] in q["online"] for q in self.queues()))
        answer = self.bounded(self.a.ask("rebalance"))
        self.assertTrue(answer["ok"] or answer["code"] in UNKNOWN, answer)

    def test_a_frozen_member(self):
        self.nodes[2].pause()
        try:
            # Its own answers are unknown, those of the others come in time and say what is unknown.
            self.assertIn(self.bounded(self.c.ask("look"))["code"], UNKNOWN)
            self.assertEqual(self.a.get("look")["boot"], "ready")
            answer = self.bounded(self.a.ask("queues"))
            self.assertTrue(answer["ok"], answer)
            for q in answer["value"]:
                self.assertEqual((q["online"], q["unknown"]), (self.names[:2], [self.names[2]]), q)
            # Whether stopping us costs a quorum is not known then, which must not look like "no".
            critical = self.bounded(self.a.ask("critical"))
            self.assertTrue(critical["value"] if critical["ok"] else critical["code"] in UNKNOWN, critical)
            refused = self.bounded(self.a.ask("forget", self.names[2]))  # it runs, as far as the others know
            self.assertFalse(refused["ok"], refused)
        finally:
            self.nodes[2].resume()
        wait("it answers again", lambda: self.c.ask("look")["ok"])

    def test_a_killed_member(self):
        self.c.get("look")
        self.nodes[2].kill()
        self.assertIn(self.bounded(self.c.ask("look"))["code"], DOWN)
        wait("the others know", lambda: self.a.get("members")["running"] == self.names[:2])
        self.assertEqual(self.a.get("members")["all"], self.names)
        for q in self.queues():
            self.assertEqual((q["online"], q["unknown"]), (self.names[:2], [self.names[2]]), q)
        self.assertEqual(len(self.a.get("critical")), QUEUES)

    def cookies(self, cookie):
        """What the third takes for the cookie of the two others; with another than theirs it also drops them. Both in one breath: a cut
        to one of them alone makes RabbitMQ cut itself off from everybody."""
        others = ",".join(f"'{n}'" for n in self.names[:2])
        self.nodes[2].eval(f"[begin erlang:set_cookie(N, {cookie}), erlang:get_cookie() =:= {cookie} orelse erlang:disconnect_node(N) end "
                           f"|| N <- [{others}]].")

    def test_a_cut_between_them(self):
        """The third sees nobody: it pauses (pause_minority); we still reach all, and the views differ."""
        self.addCleanup(self.cookies, "erlang:get_cookie()")
        self.cookies("bad")
        wait("the cut is seen", lambda: self.a.get("members")["running"] == self.names[:2])
        wait("the minority pauses", lambda: self.c.get("look")["boot"] != "ready", 60)
        self.assertEqual([t.get("look")["boot"] for t in (self.a, self.b)], ["ready", "ready"])
        self.assertNotEqual(self.bounded(self.c.ask("members")).get("value", {}).get("running"), self.names)
        self.cookies("erlang:get_cookie()")
        wait("it is back", lambda: self.c.ask("look").get("value", {}).get("boot") == "ready", 120)

    def test_a_full_stop_and_who_waits_for_whom(self):
        for n in reversed(self.nodes):  # the first stops last
            n.stop()
        with open(os.path.join(self.nodes[2].data, "nodes_running_at_shutdown"), encoding="utf-8") as f:
            last = f.read()
        self.assertIn(self.names[0], last)
        self.nodes[2].start(wait_ready=False)
        c = self.tool(self.nodes[2])
        wait("it waits", lambda: c.ask("look").get("value", {}).get("boot") == "booting", 120)
        time.sleep(3)
        self.assertEqual(c.get("look"), {"boot": "booting", "alarms": [], "partitions": []})
        self.assertIs(c.get("is_running"), False)
        wait("it says for whom", lambda: self.names[0] in c.ask("nodes_at_shutdown").get("value", []))
        c.get("force_boot")
        mark = os.path.join(self.nodes[2].data, "force_load")
        self.assertTrue(os.path.exists(mark))
        os.unlink(mark)  # not taken: the others are not lost
        for n in self.nodes[:2]:
            n.start(wait_ready=False)
        for n in self.nodes:
            n.wait_ready()

    def test_a_member_that_lost_its_disk(self):
        lost, name = self.nodes[2], self.names[2]
        cluster = self.a.get("cluster_id")
        self.assertEqual(self.a.ask("forget", name)["code"], "FAILED_PRECONDITION")  # it runs
        lost.kill()
        lost.wipe()
        wait("the others know", lambda: self.a.get("members")["running"] == self.names[:2])
        # Within 3 s, or unknown and then repeated until it is so.
        wait("forgotten", lambda: self.bounded(self.a.ask("forget", name))["ok"], 60)
        self.a.get("forget", name)  # again is fine
        self.assertEqual(self.b.get("members")["all"], self.names[:2])
        for q in self.queues():
            self.assertEqual(q["members"], self.names[:2])
        lost.start()
        c = self.tool(lost)
        self.assertEqual(c.get("cluster_id"), cluster)
        self.assertEqual(self.a.get("members")["all"], self.names)
        wait("grown", lambda: self.bounded(self.a.ask("grow", name))["ok"], 60)
        wait("all replicas", lambda: all(len(q["online"]) == 3 for q in self.queues()))


if __name__ == "__main__":
    procs.unwind_on_signals()
    unittest.main(verbosity=2)
