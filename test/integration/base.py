"""What the integration tests have in common: one cluster for a class, a load for each test, a judgement at its end.

A test never asserts on a time shorter than a generous multiple of the target (bench/budgets.json has the targets, `./dev bench`
measures them): machines that run tests are noisy. What must hold exactly: no acknowledged row is lost, and never do two
members accept writes.
"""
import os
import shutil
import sys
import time
import unittest

import procs
from harness import Cluster, Failure
from procs import now_ns

BOUND = 60  # seconds until there must be a primary again, whatever was done
KEEP = os.environ.get("MAINSTAY_TEST_LOGS")  # a folder for the logs of what failed


class ClusterCase(unittest.TestCase):
    """Subclasses set OPTIONS (and CLUSTER). Each test gets a healthy cluster: the one of before, or a new one if that is broken."""
    CLUSTER = Cluster
    OPTIONS = {"n": 3, "profile": "fast"}
    cluster = None
    longMessage = True

    @classmethod
    def make(cls):
        cls.cluster = cls.CLUSTER(**cls.OPTIONS)
        cls.cluster.start()
        cls.cluster.prepare()
        cls.cluster.wait_ready(120)

    @classmethod
    def tearDownClass(cls):
        if cls.cluster:
            cls.cluster.close()
            cls.cluster = None

    def setUp(self):
        cls = type(self)
        self.failed_before = len(self._failures())
        say(f"{self.id()}: starts")
        self.begun = time.monotonic()
        if cls.cluster is not None:
            try:
                cls.cluster.wait_ready(20, cls.cluster.members)
            except Failure:
                cls.cluster.close()
                cls.cluster = None
        if cls.cluster is None:
            cls.make()
        self.c = cls.cluster
        self.load_running = None

    def _failures(self):
        outcome = getattr(self, "_outcome", None)
        result = getattr(outcome, "result", None)
        return (list(result.failures) + list(result.errors)) if result is not None else []

    def tearDown(self):
        if self.load_running:
            self.load_running.stop()
        errors = getattr(self._outcome, "errors", []) or []
        failed = any(e for _, e in errors if e) or len(self._failures()) > self.failed_before
        if failed and KEEP and type(self).cluster:
            save_logs(type(self).cluster, os.path.join(KEEP, self.id()))
        if failed and type(self).cluster:  # the next one shall not suffer
            type(self).cluster.close()
            type(self).cluster = None
        say(f"{self.id()}: {'FAILED' if failed else 'ok'} after {time.monotonic() - self.begun:.1f} s")

    # ---- for tests ----
    def start_load(self, **options):
        self.load_running = self.c.load(**options).start()
        if not self.load_running.wait_acked(count=20, timeout=BOUND):
            raise Failure("the load does not get going\n" + self.c.describe())
        return self.load_running

    def finish(self, load, members=None, least=20):
        """Ends the load and judges: nothing lost, one writer at a time, and enough was written for that to mean something."""
        self.c.wait_ready(BOUND, members)
        if not load.wait_acked(after_ns=now_ns(), count=5, timeout=BOUND):
            raise Failure("no writes at the end\n" + self.c.describe())
        load.stop()
        self.load_running = None
        self.assertEqual(self.c.check(load, BOUND, members), 0)
        self.assertGreater(load.acknowledged(), least)

    def outage(self, load, since):
        gap, _ = load.outage(since)
        say(f"{self.id()}: outage {gap:.2f} s")
        return gap


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def save_logs(cluster, to):
    shutil.rmtree(to, ignore_errors=True)
    for m in cluster.members:
        os.makedirs(os.path.join(to, m.name), exist_ok=True)
        for path in (m.agent_log, m.shim_log, m.pg_log, m.config_file):
            if os.path.exists(path):
                shutil.copy(path, os.path.join(to, m.name))
    if os.path.isdir(cluster.lock_dir):
        shutil.copytree(cluster.lock_dir, os.path.join(to, "lock"), dirs_exist_ok=True)
    say(f"logs: {to}")


def main():
    procs.unwind_on_signals()
    unittest.main(verbosity=1, failfast=False)
