#!/usr/bin/python3
"""The Service of the primary follows the role: a real API server, Kubernetes' own EndpointSlice controller, the chart's Services, and
three real members whose pods are objects. From the new primary's own word (role.change in its audit log) until the slice holds its
address and no other; and never two addresses at once, or clients would reach somebody who is not the primary.

Status 3: this machine lacks the API server, its controllers or helm (./dev kube build).
"""
import datetime
import json
import os
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import layout
from kubecluster import CORE, FULL, NAMESPACE, KubeCluster

import procs  # noqa: E402  (test/integration)

BOUND = 60
GOAL, NOISE = 1.0, 5  # seconds; times it: a machine that runs tests is noisy. The figures are printed.
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D"


class SlicesCluster(KubeCluster):
    def __init__(self, **options):
        self.addresses = {}  # of pods
        super().__init__(**options)
        try:
            self.start_controllers()
        except BaseException:
            self.close()
            raise

    def make_pod(self, name):
        """As a kubelet would show it: on a node, with an address, ready."""
        number = len(self.addresses) + 1
        self.addresses[name] = f"10.88.{number}.7"
        if not hasattr(self, "labels"):
            self.labels = self.services()
        self.api.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{number}"}})
        ports = [{"name": n, "containerPort": p} for n, p in (("postgresql", 5432), ("grpc-mainstay", 7400), ("http-mainstay", 7401))]
        pod = self.api.create(f"{CORE}/pods", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": self.labels},
            "spec": {"nodeName": f"n{number}", "automountServiceAccountToken": False,
                     "containers": [{"name": "postgres", "image": "none", "ports": ports}]}})
        self.api.patch(f"{CORE}/pods/{name}/status", {"status": {
            "phase": "Running", "podIP": self.addresses[name], "podIPs": [{"ip": self.addresses[name]}],
            "conditions": [{"type": "Ready", "status": "True"}]}})
        return pod["metadata"]["uid"]

    def services(self):
        """Those of the chart; the labels that they look for."""
        chart = os.path.join(layout.ROOT, "helm", "postgresql")
        text = subprocess.run([layout.find("helm"), "template", FULL, chart, "-n", NAMESPACE, "--set", f"fullnameOverride={FULL}", "-s",
                               "templates/services.yaml"], capture_output=True, text=True, timeout=60, check=True).stdout
        subprocess.run([layout.find("kubectl"), "--kubeconfig", self.server.kubeconfig, "apply", "-n", NAMESPACE, "-f", "-"], input=text,
                       capture_output=True, text=True, timeout=60, check=True)
        selector = self.api.get(f"{CORE}/services/{FULL}")["spec"]["selector"]
        if selector.pop("mainstay.io/role") != "primary":
            raise AssertionError("the Service does not look for the primary")
        return selector

    def start_controllers(self):
        s = self.server
        s.scratch.guard(s.daemons.start("controllers", [
            layout.find("kube-controller-manager"), f"--kubeconfig={s.kubeconfig}", "--controllers=endpointslice-controller",
            "--leader-elect=false", "--secure-port=0"]))

    def slice(self, service=FULL):
        return sorted(a for item in self.api.get(SLICES + service)["items"] for e in item.get("endpoints") or [] for a in e["addresses"])

    def close(self):
        if self.server:
            self.server.daemons.stop_all(["controllers"], timeout=0)
        super().close()


class Follower:
    """What the Service's slices hold, all the time: [(seconds since the epoch, addresses)], changes only."""

    def __init__(self, cluster):
        self.cluster, self.seen, self.end = cluster, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.end.wait(0.01):
            try:
                now = self.cluster.slice()
            except OSError:
                continue
            if not self.seen or self.seen[-1][1] != now:
                self.seen.append((time.time(), now))

    def saw(self, member, since):
        """When the slice held this one alone, after `since`; None: it did not."""
        return next((t for t, seen in list(self.seen) if t > since and seen == [self.cluster.addresses[member.name]]), None)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


class Slices(unittest.TestCase):
    def setUp(self):
        self.c = SlicesCluster(profile="default")
        self.addCleanup(self.c.close)
        self.c.start()
        self.c.prepare()
        self.c.wait_ready(120, self.c.members)

    def became_primary(self, member, since):
        """When it said so first after `since`; None: it did not."""
        with open(member.agent_log, encoding="utf-8", errors="replace") as f:
            for line in f:
                if '"action":"role.change"' not in line:
                    continue
                event = json.loads(line)
                when = datetime.datetime.fromisoformat(event["ts"].replace("Z", "+00:00")).timestamp()
                if when >= since and event.get("after", {}).get("role") == "primary":
                    return when
        return None

    def test_the_slice_follows_the_role(self):
        c = self.c
        c.wait("the primary's slice", lambda: c.slice() == [c.addresses[c.primary().name]], BOUND)
        c.wait("the others' slice", lambda: c.slice(f"{FULL}-ro") == sorted(a for n, a in c.addresses.items() if n != c.primary().name), BOUND)
        self.assertEqual(c.slice(f"{FULL}-r"), sorted(c.addresses.values()))
        took = []
        with Follower(c) as follower:
            for what in ("switchover", "crash", "switchover", "node death", "switchover"):
                old, since = c.wait_ready(BOUND, c.members), time.time()
                if what == "switchover":
                    old.ctl("switchover")
                elif what == "crash":
                    old.kill_postmaster()
                else:
                    old.kill_all()
                new = c.wait("another primary", lambda old=old: c.primary() if c.primary() is not old else None, BOUND)
                there = c.wait("its slice", lambda new=new, since=since: follower.saw(new, since), BOUND)
                if what == "node death":
                    old.start()
                said = c.wait("its word", lambda new=new, since=since: self.became_primary(new, since), BOUND)
                took.append((what, there - said))
        print("    slice after the role: " + ", ".join(f"{what} {t:.2f} s" for what, t in took), file=sys.stderr)
        self.assertEqual([seen for _, seen in follower.seen if len(seen) > 1], [], "two members behind the primary's Service")
        self.assertLess(max(t for _, t in took), GOAL * NOISE)


if __name__ == "__main__":
    procs.unwind_on_signals()
    try:
        for program in ("kube-apiserver", "etcd"):
            layout.find(program, assets=True)
        for program in ("kube-controller-manager", "helm", "kubectl"):
            layout.find(program)
    except layout.CannotHere as reason:
        print(f"cannot here: {reason}", file=sys.stderr)
        sys.exit(layout.EXIT_CANNOT)
    unittest.main(verbosity=1)
