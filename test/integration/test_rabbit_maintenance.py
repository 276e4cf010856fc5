#!/usr/bin/python3
"""The maintenance of three real RabbitMQ nodes under a confirming publisher and an acknowledging consumer: founding from blank disks, nodes
killed one by one and all at once, a full stop, a lost disk of each member, a deleted lock, an agent killed at each step of a repair, restarts
by the token. No confirmed message is lost, there are never two clusters, and no person does anything."""
import os
import time
import unittest

import procs
from rabbit_keeper import Cluster
from rabbit_load import Load
from rabbit_servers import wait

# Each step as it goes on record or is carried out; waiting for replicas (repair.sync, after repair.grown) may be over before it is said.
REPAIR = ("repair.begin", "repair.forget", "repair.joining", "repair.joined", "repair.grow", "repair.grown", "repair.synced")


class RabbitMaintenance(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.scratch = procs.Scratch(prefix="mainstay-rabbit-")
        cls.addClassCleanup(cls.scratch.close)
        cls.cluster = Cluster(cls.scratch, 3)
        cls.addClassCleanup(cls.cluster.close)
        begin = time.monotonic()
        cls.cluster.start()
        cls.cluster.wait_whole()
        print(f"founded: three blank members whole after {time.monotonic() - begin:.1f} s", flush=True)
        cls.id = cls.cluster.memory()["cluster_id"]
        cls.load = Load([m.broker.port for m in cls.cluster.members])
        cls.addClassCleanup(cls.load.close)

    def setUp(self):
        self.begin = time.monotonic()
        self.confirmed = self.load.account()["confirmed"]
        self.counts = {row: len(self.cluster.told(row)) for row in ("repair.begin", "repair.joined", "found.done", "token.grant")}

    def tearDown(self):
        """After every fault: whole by itself, one cluster, messages flow."""
        self.cluster.wait_whole()
        took = time.monotonic() - self.begin
        before = self.load.account()["confirmed"]
        wait("messages are confirmed", lambda: self.load.account()["confirmed"] > before + 20, 60)
        account = self.load.account()
        print(f"{self._testMethodName}: whole after {took:.1f} s, {account['confirmed'] - self.confirmed} confirmed meanwhile, {account['errors']} errors so far",
              flush=True)
        self.assertEqual(self.cluster.memory()["cluster_id"], self.id, "another cluster")
        self.assertEqual(len(self.cluster.told("found.done")), 1, "founded once")

    def more(self, row):
        return len(self.cluster.told(row)) - self.counts[row]

    def replicas(self):
        """Of each queue, as the first member's broker says."""
        text = self.cluster.members[0].broker.eval(
            "[length(maps:get(nodes, amqqueue:get_type_state(Q))) || Q <- rabbit_amqqueue:list_by_type(quorum)].")
        return [int(n) for n in text.strip("[]").split(",") if n.strip()]

    def test_a_founded_by_one(self):
        self.assertEqual(len(self.cluster.told("found.propose")), 1)
        self.assertEqual(len(self.cluster.told("start.found")), 1)
        self.assertEqual(len(self.cluster.told("start.join")), 2)
        self.assertEqual(self.replicas(), [3, 3, 3])

    def test_b_each_broker_killed(self):
        for m in self.cluster.members:
            run = m.run_id
            m.broker.kill()
            wait(f"{m.name} runs again", lambda m=m, run=run: m.run_id != run and m.broker.running(), 30)
            self.cluster.wait_whole()
        self.assertEqual(self.more("repair.begin"), 0)

    def test_c_all_brokers_and_agents_killed(self):
        for m in self.cluster.members:
            m.kill_agent()
        for m in self.cluster.members:
            m.broker.kill()
        for m in self.cluster.members:
            m.start_agent()
        self.cluster.wait_whole()

    def test_d_full_stop_one_after_the_other(self):
        for m in self.cluster.members:
            m.kill_agent()
        for m in self.cluster.members:
            m.broker.stop()
        for m in self.cluster.members:  # the one that stopped last starts last
            m.start_agent()
        self.cluster.wait_whole()

    def test_e_lost_disk_of_each(self):
        for m in self.cluster.members:
            m.lose_disk()
            wait("the repair began", lambda: self.more("repair.begin") > 0, 60)
            self.cluster.wait_whole()
            self.assertEqual(self.replicas(), [3, 3, 3], m.name)
        self.assertEqual(self.more("repair.joined"), 3, "each was repaired once")

    def test_f_lock_and_memory_deleted(self):
        self.cluster.delete_lock()
        wait("on record again", lambda: (self.cluster.memory() or {}).get("cluster_id") == self.id, 60)
        self.cluster.members[1].lose_disk()
        time.sleep(1)
        self.cluster.delete_lock()
        wait("the repair began", lambda: self.more("repair.begin") > 0, 90)

    def test_g_agents_killed_at_each_step_of_a_repair(self):
        victim = self.cluster.members[2]
        for row in REPAIR:
            before = len(self.cluster.told(row))
            joined = len(self.cluster.told("repair.joined"))
            victim.lose_disk()
            wait(f"{row} is reached", lambda r=row, n=before: len(self.cluster.told(r)) > n, 120, 0.05)
            leader = self.cluster.leader()
            for m in {leader, victim} - {None}:
                m.kill_agent()
            time.sleep(0.5)
            for m in self.cluster.members:
                if m.agent is None:
                    m.start_agent()
            self.cluster.wait_whole()
            self.assertLessEqual(len(self.cluster.told("repair.joined")) - joined, 2, f"{row}: not repaired over and over")
            self.assertEqual(self.replicas(), [3, 3, 3], row)

    def test_h_all_restarted_by_the_token(self):
        runs = {m.name: m.run_id for m in self.cluster.members}
        for m in self.cluster.members:
            m.ask("wish")
        down_most = 0
        end = time.monotonic() + 300
        while time.monotonic() < end and any(m.run_id == runs[m.name] for m in self.cluster.members):
            down_most = max(down_most, sum(1 for m in self.cluster.members if not m.broker.running()))
            time.sleep(0.05)
        self.assertTrue(all(m.run_id != runs[m.name] for m in self.cluster.members), "\n".join(m.tail() for m in self.cluster.members))
        self.assertEqual(down_most, 1)
        self.assertEqual(self.more("token.grant"), 3)

    def test_z_nothing_was_lost(self):
        account = self.load.finish()
        print(account, flush=True)
        self.assertGreater(account["confirmed"], 100)
        self.assertEqual(account["lost_count"], 0, account)
        type(self).load = Load([m.broker.port for m in self.cluster.members], 1)  # for what comes after each test
        self.addClassCleanup(self.load.close)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    unittest.main(verbosity=2)
