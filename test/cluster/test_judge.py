#!/usr/bin/python3
"""What judges the cases judges: an outage, a loss, a stranger and two primaries are found. No bed, no database."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "kube"), os.path.join(os.path.dirname(HERE), "integration")]

import report
from cases import CASES, cases_of
from engine_redis import CONFIRMED, LOG, PROBE, ROWS
from engines import ENGINES
from load import Load
from workload import Ack

SECOND = 1_000_000_000


def acks(source, times, member="10.88.1.2", timeline=1, first=0):
    return [Ack(int((t - 0.001) * SECOND), int(t * SECOND), member, timeline, first + i, source) for i, t in enumerate(times)]


def load_of(*lists, engine="postgresql"):
    load = Load(ENGINES[engine], "", "", list, fresh=1)
    load.begun = 0
    for one in lists:
        load.write_acks += one
    load.attempted = {a.id for a in load.write_acks}
    return load


class Judge(unittest.TestCase):
    def test_outage_is_the_worst_clients(self):
        load = load_of(acks("kept0", [1, 2, 3, 4]), acks("kept1", [1, 3.5, 4], first=10), acks("fresh0", [1, 2, 4], first=20))
        self.assertEqual(load.outage("kept", int(1.5 * SECOND), 4 * SECOND), (2.5, 2.0))  # from the last row before, not from the fault
        self.assertEqual(load.outage("fresh", int(1.5 * SECOND), 4 * SECOND), (2, 2.5))

    def test_outage_that_never_ends(self):
        load = load_of(acks("kept0", [1, 2]), acks("kept1", [1, 2, 3, 9, 10], first=10), acks("fresh0", [1], first=20))
        self.assertEqual(load.outage("kept", SECOND, 10 * SECOND), (8, 9))
        self.assertEqual(load.outage("fresh", SECOND, 10 * SECOND), (9, 9))
        self.assertFalse(load.recovered(SECOND, 1))

    def test_closed_to_everybody(self):
        load = load_of(acks("kept0", [1, 2, 6]), acks("kept1", [1, 2, 6], first=10), acks("fresh0", [1, 6], first=20))
        self.assertEqual(load.closed(2 * SECOND, 7 * SECOND), 4)
        load.probe_acks += acks("beside pg-1", [2.5, 3], first=30)
        self.assertEqual(load.closed(2 * SECOND, 7 * SECOND), 3)

    def test_recovered_wants_every_client(self):
        load = load_of(acks("kept0", [5, 6, 7]), acks("kept1", [5, 6, 7], first=10), acks("fresh0", [6], first=20))
        self.assertFalse(load.recovered(4 * SECOND))
        self.assertTrue(load.recovered(4 * SECOND, 1))

    def test_loss_and_strangers(self):
        load = load_of(acks("kept0", [1, 2, 3]))
        have = {"pg-0": {"mainstay_rows": {0, 1, 2}, "mainstay_probe": set()}}
        self.assertEqual(load.compare(have), (set(), {}, []))
        have["pg-1"] = {"mainstay_rows": {0, 2, 77}, "mainstay_probe": {-5}}
        for planned in (True, False):  # PostgreSQL promises every row
            lost, unconfirmed, problems = load.compare(have, planned)
            self.assertEqual((lost, unconfirmed), ({1}, {}))
            self.assertEqual(len(problems), 2)

    def test_what_redis_promises(self):
        """A crash may take what no replica had, nothing else may; and never what WAIT told."""
        def have(rows, confirmed, log, probe=()):
            return {"rd-1": {ROWS: set(rows), CONFIRMED: set(confirmed), LOG: set(log), PROBE: set(probe)}}
        load = load_of(acks("kept0", [1, 2]), acks("kept1", [1, 2], first=10), acks("kept2", [1, 2], first=20), acks("fresh0", [1], first=30), engine="redis")
        load.probe_acks += acks("beside rd-0", [1], first=40)
        load.attempted.add(40)
        self.assertEqual(load.compare(have([0, 1, 30], [10, 11], [20, 21], [40]), True), (set(), {}, []))
        crash = have([0, 30], [10, 11], [20])
        lost, unconfirmed, problems = load.compare(crash, False)
        self.assertEqual((lost, set(unconfirmed), problems), (set(), {1, 21, 40}, []))
        lost, unconfirmed, problems = load.compare(crash, True)
        self.assertEqual((lost, set(unconfirmed), len(problems)), ({1, 21, 40}, set(), 3))
        lost, unconfirmed, problems = load.compare(have([0, 1, 30], [10], [20, 21], [40]), False)
        self.assertEqual((lost, set(unconfirmed), len(problems)), ({11}, set(), 1))

    def test_two_primaries(self):
        self.assertEqual(load_of(acks("kept0", [1, 2]), acks("kept1", [3, 4], "10.88.2.2", 2, 10)).overlap_ms(frozenset()), 0)
        self.assertGreater(load_of(acks("kept0", [1, 2, 5]), acks("kept1", [3, 4], "10.88.2.2", 2, 10)).overlap_ms(frozenset()), 0)

    def test_reigns(self):
        load = load_of(acks("kept0", [1, 2]), acks("kept1", [3, 4], "10.88.2.2", 2, 10), acks("fresh0", [5], "10.88.1.2", 3, 20))
        self.assertEqual(load.reigns(), [1, 2, 3])


class Page(unittest.TestCase):
    def test_verdict(self):
        self.assertEqual(report.verdict({"ok": True, "goal_s": 1.5, "kept_s": 1, "fresh_s": 1.6}), "over goal")
        self.assertEqual(report.verdict({"ok": True, "goal_s": 1.5, "kept_s": 1, "fresh_s": 1.4}), "ok")
        self.assertEqual(report.verdict({"ok": False}), "FAILED")

    def test_what_was_lost(self):
        self.assertEqual(report.lost_of({"lost": 0, "unconfirmed": 0}), "0")
        self.assertEqual(report.lost_of({"lost": 0, "unconfirmed": 7}), "0 + 7 unconfirmed")

    def test_cases_of_an_engine(self):
        names = {engine: [c.name for c in cases_of(ENGINES[engine])] for engine in ENGINES}
        self.assertNotIn("volatile", names["postgresql"])
        self.assertEqual(set(names["redis"]) - set(names["postgresql"]), {"password", "volatile", "volatile-pods"})
        for engine in ENGINES.values():
            for case in cases_of(engine):
                self.assertIn(type(engine.goal(case)), (float, type(None)))

    def test_every_case_says_what_it_does(self):
        self.assertEqual(len({c.name for c in CASES}), len(CASES))
        for case in CASES:
            self.assertTrue(case.function.__doc__ and len(case.name) <= 16, case.name)


if __name__ == "__main__":
    unittest.main()
