#!/usr/bin/python3
"""The checkers check: an overlap, a loss, a stranger and a leftover process must be found (a checker that cannot fail proves
nothing). No database, no agent."""
import os
import signal
import subprocess
import sys
import time
import unittest

import procs
from workload import Ack, Load, compare, overlap_ms

MS = 1_000_000


def ack(member, timeline, sent, acked=None, ident=0, source="writer0"):
    return Ack(sent * MS, (acked if acked is not None else sent + 1) * MS, member, timeline, ident, source)


class Overlap(unittest.TestCase):
    def test_one_after_the_other(self):
        self.assertEqual(overlap_ms([ack("a", 1, 0), ack("a", 1, 10), ack("b", 2, 20), ack("a", 3, 30), ack("b", 4, 40)]), 0)

    def test_two_at_once(self):
        self.assertGreater(overlap_ms([ack("a", 1, 0), ack("b", 2, 10), ack("a", 1, 20), ack("b", 2, 30)]), 5)

    def test_old_one_goes_on(self):
        self.assertGreater(overlap_ms([ack("a", 1, 0), ack("b", 2, 10), ack("a", 1, 3000), ack("b", 2, 3100)]), 2900)

    def test_same_timeline_twice(self):
        self.assertGreater(overlap_ms([ack("a", 2, 0), ack("b", 2, 1), ack("a", 2, 5), ack("b", 2, 6)]), 0)

    def test_answer_of_an_old_statement(self):
        """Sent before, answered after: within the noise nothing, later than a busy client explains it counts."""
        self.assertEqual(overlap_ms([ack("a", 1, 0, 15), ack("b", 2, 10, 11), ack("b", 2, 20)]), 0)
        self.assertGreater(overlap_ms([ack("a", 1, 0), ack("a", 1, 2, 2015), ack("b", 2, 10, 11), ack("b", 2, 2020)]), 1900)

    def test_answer_of_a_machine_that_slept(self):
        """Sent before the other's reign, answered in its middle: nothing if the other has the row, an overlap if it has not."""
        acks = [ack("a", 1, 0, ident=1), ack("a", 1, 2, 2015, ident=2), ack("b", 2, 10, 11, ident=3), ack("b", 2, 2020, ident=4)]
        self.assertEqual(overlap_ms(acks, kept={1, 2, 3, 4}), 0)
        self.assertGreater(overlap_ms(acks, kept={1, 3, 4}), 1900)
        # Sent within the other's reign: two primaries, whoever has the row.
        self.assertGreater(overlap_ms(acks + [ack("a", 1, 1000, ident=5)], kept={1, 2, 3, 4, 5}), 900)

    def test_a_single_one_in_the_middle(self):
        self.assertGreater(overlap_ms([ack("b", 2, 10), ack("a", 1, 1000), ack("b", 2, 2000)]), 0)


class Comparison(unittest.TestCase):
    def load(self, acked, attempted):
        load = Load({})
        load.write_acks = [ack("a", 1, i, ident=i) for i in acked]
        load.attempted = set(attempted)
        return load

    def read(self, rows):
        return lambda table: {"a": set(rows) if table == "mainstay_rows" else set()}

    def test_all_there(self):
        self.assertEqual(compare(self.load([1, 2], [1, 2, 3]), self.read([1, 2, 3])), (0, []))

    def test_lost(self):
        lost, problems = compare(self.load([1, 2, 3], [1, 2, 3]), self.read([1, 3]))
        self.assertEqual(lost, 1)
        self.assertIn("1 acknowledged rows are missing", problems[0])

    def test_stranger(self):
        lost, problems = compare(self.load([1], [1]), self.read([1, 99]))
        self.assertEqual(lost, 0)
        self.assertIn("nobody wrote", problems[0])

    def test_outage(self):
        load = self.load([], [])
        load.write_acks = [ack("a", 1, t) for t in (0, 10, 20, 520, 530)]
        self.assertAlmostEqual(load.outage(15 * MS, 535 * MS)[0], 0.5, 2)
        self.assertAlmostEqual(load.outage(600 * MS, 900 * MS)[0], 0.369, 2)


class Janitor(unittest.TestCase):
    def test_nothing_is_left_behind(self):
        """The owner is killed with SIGKILL: its processes (also a stopped one, also grandchildren) and its folder go."""
        code = ("import procs, time, os\n"
                "s = procs.Scratch()\n"
                "p = procs.Proc('x', ['/bin/sh', '-c', 'cd %s; sleep 1000 & sleep 1000' % s.path], s.path + '/log', scratch=s)\n"
                "q = procs.Proc('y', ['/bin/sleep', '1000'], s.path + '/log', scratch=s)\n"
                "time.sleep(0.3); q.pause()\n"
                "print(s.path, *procs.tree(p.pid), q.pid, flush=True); time.sleep(1000)\n")
        owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=os.path.dirname(os.path.abspath(__file__)))
        path, *pids = owner.stdout.readline().split()
        self.assertEqual(len(pids), 4)
        self.assertTrue(os.path.isdir(path) and all(procs.alive(int(p)) for p in pids))
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        owner.stdout.close()
        end = time.monotonic() + 10
        while time.monotonic() < end and (os.path.exists(path) or any(procs.alive(int(p)) for p in pids)):
            time.sleep(0.05)
        self.assertFalse(os.path.exists(path))
        self.assertEqual([p for p in pids if procs.alive(int(p))], [])


if __name__ == "__main__":
    unittest.main()
