#!/usr/bin/python3
"""Three agents with their shims and real RabbitMQ nodes, under a confirming publisher and an acknowledging consumer: they found one cluster from
blank disks, an agent's end stops no broker, a lost disk is repaired and shown step by step, a restart and a pod's end wait for their turn, a member
is taken out. No confirmed message is lost; no person does more than ask."""
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import procs
from rabbit_beside import AGENT, Beside
from rabbit_load import Load
from rabbit_servers import LOOPBACK, Servers, wait, wait_well

NAMES = ("a", "b", "c")


class Agents(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.scratch = procs.Scratch(prefix="mainstay-rabbit-")
        cls.addClassCleanup(cls.scratch.close)
        cls.servers = Servers(cls.scratch, 0, start=False)
        cls.addClassCleanup(cls.servers.epmd.kill)
        cls.pods = [Beside(cls.servers, name=name, number=i, term_wait=180) for i, name in enumerate(NAMES, 1)]
        lock = os.path.join(cls.servers.dir, "lock")
        os.mkdir(lock, 0o700)
        cls.pods[0].own(lock)
        for p in cls.pods:
            p.overrides["election/path"] = lock
            p.members = [{"name": o.name, "peer": f"{LOOPBACK}:{o.grpc_port}", "node": o.node.name} for o in cls.pods if o is not p]
            cls.addClassCleanup(p.close)
        begin = time.monotonic()
        for p in cls.pods:
            p.start()
        cls.wait_whole()
        print(f"founded: three blank members whole after {time.monotonic() - begin:.1f} s", flush=True)
        cls.load = Load([p.node.port for p in cls.pods])
        cls.addClassCleanup(cls.load.close)

    @classmethod
    def unwhole(cls, pods=None):
        """What keeps the cluster from being whole; "": nothing."""
        pods, ids = pods or cls.pods, set()
        names = sorted(p.node.name for p in pods)
        leaders = set()
        for p in pods:
            try:
                status = p.status()
            except OSError as e:
                return f"{p.name}: {e}"
            b = status["broker"]
            if b["state"] != "running" or sorted(b.get("running", [])) != names or sorted(b.get("members", [])) != names:
                return f"{p.name}: {b['state']}, {b.get('sentence')}, sees {b.get('running')} of {b.get('members')}, {b.get('work')}"
            for w in b.get("work", []):
                if w.startswith(("repair", "restart", "removal", "founding")):
                    return w
            ids.add(b.get("clusterId", b.get("cluster_id", "")))
            leaders.add(status.get("leader", ""))
        if len(ids) != 1 or "" in ids:
            return f"clusters {ids}"
        return "" if len(leaders) == 1 and "" not in leaders else f"leaders {leaders}"

    @classmethod
    def wait_whole(cls, timeout=300, pods=None):
        wait_well("the cluster is whole", lambda: cls.unwhole(pods), timeout, cls.pods)

    def tell(self, what):
        """How a test ended; messages flow."""
        before = self.load.account()["confirmed"]
        wait("messages are confirmed", lambda: self.load.account()["confirmed"] > before + 20, 60)
        print(f"{self._testMethodName}: {what}; {self.load.account()}", flush=True)

    def mainstay(self, pod, *words):
        done = subprocess.run([AGENT, *words, "--yes", "--address", f"{LOOPBACK}:{pod.grpc_port}"], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def told(self, row):
        return [line for p in self.pods for line in p.lines(action="broker.maintenance") if line.get("reason") == row]

    def leader(self):
        name = self.pods[0].status()["leader"]
        return next(p for p in self.pods if p.name == name)

    def test_01_founded_once(self):
        self.assertEqual(len(self.told("start.found")), 1)
        self.assertEqual(len(self.told("start.join")), 2)
        leading = [p.metrics()["mainstay_rabbitmq_maintenance_leader"].value() for p in self.pods]
        self.assertEqual(sorted(leading), [0, 0, 1])

    def test_02_an_agents_end_stops_no_broker(self):
        beams = [p.beam() for p in self.pods]
        for p in self.pods:
            p.agent.kill()
        time.sleep(2)
        self.assertEqual([p.beam() for p in self.pods], beams)
        for p in self.pods:
            p.start_agent()
        self.wait_whole()
        self.assertEqual([p.beam() for p in self.pods], beams)
        self.tell("three agents killed")

    def test_03_a_lost_disk_is_repaired_and_shown(self):
        begin = time.monotonic()
        joined = len(self.told("repair.joined"))  # founding's two
        victim = self.pods[0]
        beam = victim.beam()
        victim.agent.kill()
        os.kill(beam, signal.SIGKILL)
        victim.shim.kill()
        wait("its node is gone", lambda: not os.path.exists(f"/proc/{beam}"), 10)
        shutil.rmtree(victim.volume)
        os.mkdir(victim.volume, 0o700)
        victim.own(victim.volume)
        victim.start()
        steps = set()

        def seen():
            for p in self.pods[1:]:
                steps.update(w.split(" (")[0] for w in p.status()["broker"].get("work", []) if w.startswith("repair of a"))
            return len(self.told("repair.joined")) > joined and not self.unwhole()
        wait("repaired", seen, 300, 0.2)
        self.assertIn("repair of a: join", steps)
        self.assertEqual(len(self.told("repair.joined")), joined + 1, "repaired once")
        self.tell(f"whole after {time.monotonic() - begin:.1f} s, shown {sorted(steps)}")

    def test_04_restarts_asked_for_come_one_by_one(self):
        begin, beams = time.monotonic(), {p.name: p.beam() for p in self.pods}
        for p in self.pods:
            code, out = self.mainstay(p, "restart", p.name)
            self.assertEqual(code, 0, out)
            self.assertIn("token", out)
        most, end = 0, time.monotonic() + 300
        while time.monotonic() < end and any(p.beam() in (beams[p.name], None) for p in self.pods):
            most = max(most, sum(1 for p in self.pods if p.beam() is None))
            time.sleep(0.1)
        self.assertEqual(most, 1, "never two down")
        self.wait_whole()
        self.assertEqual(len(self.told("token.grant")), 3)
        self.tell(f"all restarted after {time.monotonic() - begin:.1f} s")

    def test_05_a_pods_end_waits_for_its_turn(self):
        begin, pod = time.monotonic(), self.pods[1]
        os.kill(pod.shim.pid, signal.SIGTERM)
        wait("its shim ends", lambda: not pod.shim.running(), 120)
        self.assertTrue(any("token.stop" == line["reason"] for line in pod.lines(action="broker.maintenance")), pod.tail())
        pod.agent.terminate(20)
        took = time.monotonic() - begin
        pod.start()
        self.wait_whole()
        self.tell(f"ended in order after {took:.1f} s, whole after {time.monotonic() - begin:.1f} s")

    def test_06_what_means_nothing_is_refused(self):
        code, out = self.mainstay(self.leader(), "switchover")
        self.assertNotEqual(code, 0)
        self.assertIn("RabbitMQ has no primary", out)

    def test_07_nothing_was_lost(self):
        account = self.load.finish()
        print(account, flush=True)
        self.assertGreater(account["confirmed"], 100)
        self.assertEqual(account["lost_count"], 0, account)

    def test_08_a_member_is_taken_out(self):
        begin, gone = time.monotonic(), next(p for p in self.pods if p is not self.leader())
        code, out = self.mainstay(self.leader(), "forget", gone.name)
        self.assertEqual(code, 0, out)
        rest = [p for p in self.pods if p is not gone]
        wait("it is stopped", lambda: gone.beam() is None, 120)
        self.wait_whole(pods=rest)
        self.assertIsNone(gone.beam(), "it stays down")
        print(f"taken out after {time.monotonic() - begin:.1f} s: {json.dumps(gone.status()['broker'].get('work'))}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    unittest.main(verbosity=2, failfast=True)
