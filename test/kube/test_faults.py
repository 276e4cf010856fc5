#!/usr/bin/python3
"""The API server failing in every way, in front of three real members under an acknowledging load. Each fault ends; then, without a
human: no acknowledged row is lost, never two members accepted writes, and there is one primary that all follow.

test_faults.py [Faults.test_x]   Status 3: this machine has no API server or helm (./dev kube build).
"""
import os
import shutil
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kubeapi
import layout
import pki
import proxy
from kubecluster import CORE, FULL, RBAC, KubeCluster

import base  # noqa: E402  (test/integration)
from base import BOUND, ClusterCase  # noqa: E402
from procs import now_ns  # noqa: E402

LONG = 8  # seconds of a fault: more than twice the lease of the fast profile (3 s)


class Faults(ClusterCase):
    CLUSTER = KubeCluster

    def tearDown(self):
        if self.c.proxy:
            self.c.proxy.clear()
        super().tearDown()

    def endure(self, seconds=LONG, **rule):
        """The load goes through a fault of some seconds; then everything is as it must be."""
        load = self.start_load()
        since = now_ns()
        standing = self.c.proxy.set(**rule)
        time.sleep(seconds)
        self.c.proxy.clear()
        self.judge(load, since)
        self.assertGreater(standing.hits, 0, "the fault was not met by any request")

    def judge(self, load, since):
        self.finish(load)
        self.outage(load, since)
        primary = self.c.primary()
        self.c.wait("labels follow the roles", lambda: self.c.roles() == {
            m.name: "primary" if m is primary else "replica" for m in self.c.members}, 30)

    # ---- the server, or the way to it ----
    def test_down_for_all(self):
        """Every possible candidate promises to wait (failsafe): the primary writes on."""
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        self.c.proxy.set(proxy.Down())
        time.sleep(LONG)
        writing = load.wait_acked(after_ns=now_ns(), count=5, timeout=5)
        self.c.proxy.clear()
        self.assertTrue(writing, "writes stopped although all members could be asked\n" + self.c.describe())
        self.judge(load, since)
        self.assertIs(self.c.primary(), old)

    def test_down_for_the_primary(self):
        self.endure(fault=proxy.Down(), who=self.c.primary().name)

    def test_down_for_all_while_the_primary_dies(self):
        """Nobody can be elected without the lock; as soon as it is back somebody is."""
        load, old = self.start_load(), self.c.primary()
        self.c.proxy.set(proxy.Down())
        time.sleep(1)
        since = now_ns()
        old.kill_all()
        time.sleep(LONG)
        self.c.proxy.clear()
        self.assertTrue(load.wait_acked(after_ns=now_ns(), count=5, timeout=BOUND), self.c.describe())
        old.start()
        self.judge(load, since)

    def test_hangs_for_all(self):
        self.endure(fault=proxy.Hang())

    def test_hangs_for_the_primary(self):
        self.endure(fault=proxy.Hang(), who=self.c.primary().name)

    def test_server_stopped_and_started(self):
        """The real one: all watches and connections are gone, its memory as well."""
        load = self.start_load()
        since = now_ns()
        self.c.server.stop()
        time.sleep(LONG)
        self.c.server.start()
        self.judge(load, since)

    def test_slow(self):
        self.endure(fault=proxy.Slow(1.5))

    def test_slow_while_the_primary_dies(self):
        load, old = self.start_load(), self.c.primary()
        self.c.proxy.set(proxy.Slow(0.4))
        since = now_ns()
        old.kill_all()
        self.assertTrue(load.wait_acked(after_ns=since + 1, count=5, timeout=BOUND), self.c.describe())
        self.c.proxy.clear()
        old.start()
        self.judge(load, since)

    # ---- answers ----
    def test_conflicts(self):
        """Somebody else writes to the object all the time (GitOps, annotators)."""
        load, end = self.start_load(), threading.Event()
        since, path = now_ns(), f"{CORE}/configmaps/{FULL}-mainstay"

        def storm():
            n = 0
            while not end.is_set():
                n += 1
                self.c.api.patch(path, {"metadata": {"annotations": {"example.org/counter": str(n)}}})
        writer = threading.Thread(target=storm)
        writer.start()
        time.sleep(LONG)
        end.set()
        writer.join()
        self.judge(load, since)

    def test_too_many_requests(self):
        self.endure(fault=proxy.Status(429, retry_after=1), share=0.7)

    def test_too_many_requests_for_all(self):
        self.endure(fault=proxy.Status(429, retry_after=30))

    def test_internal_errors(self):
        self.endure(fault=proxy.Status(500), share=0.5)

    def test_answer_lost_after_commit(self):
        self.endure(fault=proxy.LoseAnswer(), method="PUT", share=0.5)

    def test_every_answer_lost_for_the_primary(self):
        self.endure(fault=proxy.LoseAnswer(), method="PUT", who=self.c.primary().name)

    def test_executed_late(self):
        self.endure(fault=proxy.Late(3), method="PUT", share=0.5)

    def test_stale_reads(self):
        load, old = self.start_load(), self.c.primary()
        stale = self.c.proxy.set(proxy.Stale(), method="GET", watch=False)
        since = now_ns()
        old.agent.kill()
        time.sleep(1)
        old.start_agent()
        time.sleep(LONG)
        old.kill_postmaster()
        time.sleep(LONG)
        self.c.proxy.clear()
        self.judge(load, since)
        self.assertGreater(stale.hits, 0)

    # ---- watches ----
    def failover(self, load):
        since = now_ns()
        self.c.primary().kill_postmaster()
        self.assertTrue(load.wait_acked(after_ns=since + 1, count=5, timeout=BOUND), self.c.describe())

    def test_watch_cut_in_the_middle(self):
        load = self.start_load()
        since = now_ns()
        rule = self.c.proxy.set(proxy.CutWatch(), watch=True)
        time.sleep(LONG)
        self.failover(load)
        self.c.proxy.clear()
        self.judge(load, since)
        self.assertGreater(rule.hits, 2)

    def test_watch_silent(self):
        load = self.start_load()
        since = now_ns()
        rule = self.c.proxy.set(proxy.SilentWatch(), watch=True)
        time.sleep(LONG)
        self.failover(load)
        self.c.proxy.clear()
        self.judge(load, since)
        self.assertGreater(rule.hits, 0)

    # ---- who we are ----
    def test_token_expired(self):
        load = self.start_load()
        since = now_ns()
        for m in self.c.members:
            m.write_token("not-a-token")
        self.c.proxy.set(proxy.Status(401))  # an API server keeps a token's validity for a while
        time.sleep(LONG)
        self.c.proxy.clear()
        time.sleep(LONG)
        for m in self.c.members:
            m.write_token(self.c.token())
        self.judge(load, since)

    def test_authority_rotated(self):
        """First the server changes, then the file that members read: in between nobody trusts the server."""
        load = self.start_load()
        since = now_ns()
        other = os.path.join(self.c.scratch.path, "other-pki")
        pki.make_ca(other)
        self.c.proxy.certificate(other)
        self.c.proxy.cut()
        time.sleep(LONG)
        self.c.write_ca(other)
        self.judge(load, since)
        self.c.write_ca(other, self.c.server.pki)
        self.c.proxy.certificate(self.c.server.pki)
        self.c.proxy.cut()
        shutil.rmtree(other)

    def test_rights_revoked_and_given_back(self):
        load = self.start_load()
        since = now_ns()
        self.c.api.delete(f"{RBAC}/rolebindings/{self.c.binding['metadata']['name']}")
        time.sleep(LONG)
        binding = dict(self.c.binding, metadata={"name": self.c.binding["metadata"]["name"]})
        self.c.api.create(f"{RBAC}/rolebindings", binding)
        self.judge(load, since)

    # ---- the object ----
    def test_deleted(self):
        load = self.start_load()
        since = now_ns()
        for _ in range(3):
            self.c.delete_lock()
            time.sleep(2)
        self.judge(load, since)

    def test_deleted_while_the_primary_dies(self):
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        old.kill_all()
        self.c.delete_lock()
        time.sleep(LONG)
        old.start()
        self.judge(load, since)

    def test_edited_by_hand(self):
        load = self.start_load()
        since, path = now_ns(), f"{CORE}/configmaps/{FULL}-mainstay"
        leader = "control-plane.alpha.kubernetes.io/leader"
        for edit in ({"metadata": {"annotations": {leader: '{"holderIdentity":"somebody"}'}}},
                     {"metadata": {"annotations": {leader: ""}}},
                     {"metadata": {"annotations": {leader: None, "mainstay.io/renewal": None}}},
                     {"data": {"state": "{}"}}, {"data": {"state": None}}, {"data": None, "metadata": {"annotations": None}}):
            self.c.api.patch(path, edit)
            time.sleep(3)
        self.judge(load, since)


if __name__ == "__main__":
    try:
        layout.find("kube-apiserver", assets=True), layout.find("etcd", assets=True), layout.find("helm"), layout.find("kubectl")
    except layout.CannotHere as reason:
        print(f"cannot here: {reason}", file=sys.stderr)
        sys.exit(layout.EXIT_CANNOT)
    base.main()
