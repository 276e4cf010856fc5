#!/usr/bin/python3
"""The library as a stranger meets it: installed into an empty prefix, found by find_package, used by a program of at most 40 lines.

Three such processes share a directory. Exactly one works; killed with SIGKILL it is replaced, by a higher epoch and not before its
permission has ended; asked to stop (SIGTERM) the leader hands over at once. Nothing but the three processes is started here.

usage: install_test.py --build DIR --source DIR [--compiler c++]
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

OPTIONS = None
LEASE, VALIDITY, ACT = 2.0, 1.2, 0.5  # as in consumer/main.cc
LINE = re.compile(r"(\w+) works in epoch (\d+)")


class Member:
    """One consumer process and what it said: (seconds, epoch) for each time it worked."""

    def __init__(self, program, directory, name):
        self.name, self.acts = name, []
        self.process = subprocess.Popen([program, directory, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            match = LINE.match(line)
            if match:
                self.acts.append((time.monotonic(), int(match.group(2))))

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(timeout=15)
        self.reader.join(timeout=5)
        return self.process.returncode


def wait_for(what, condition, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"no {what} within {seconds} s")


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="mainstay-install-")
        base = cls.scratch.name
        cls.prefix, build = os.path.join(base, "prefix"), os.path.join(base, "build")
        run("cmake", "--install", OPTIONS.build, "--prefix", cls.prefix, "--component", "library")
        run("cmake", "-S", os.path.join(OPTIONS.source, "consumer"), "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={cls.prefix}",
            f"-DCMAKE_CXX_COMPILER={OPTIONS.compiler}", "-DCMAKE_CXX_STANDARD=20", "-DCMAKE_BUILD_TYPE=Release")
        run("cmake", "--build", build)
        cls.program = os.path.join(build, "consumer")

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="lock-", dir=self.scratch.name)
        self.members = []

    def tearDown(self):
        for member in self.members:
            if member.process.poll() is None:
                member.process.kill()
                member.process.wait(timeout=10)
            member.process.stdout.close()
            member.process.stderr.close()

    def start(self, *names):
        for name in names:
            self.members.append(Member(self.program, self.directory, name))

    def leader(self, above=0):
        return next((m for m in self.members if m.process.poll() is None and m.acts and m.acts[-1][1] > above), None)

    def assert_one_at_a_time(self):
        """No two epochs overlap, and each epoch belongs to one member."""
        reigns = {}
        for member in self.members:
            for when, epoch in member.acts:
                owner, first, last = reigns.get(epoch, (member.name, when, when))
                self.assertEqual(owner, member.name, f"epoch {epoch} has two leaders")
                reigns[epoch] = (owner, min(first, when), max(last, when))
        ordered = [reigns[epoch] for epoch in sorted(reigns)]
        for before, after in zip(ordered, ordered[1:]):
            self.assertLess(before[2], after[1], f"{before} and {after} overlap")

    def test_program_is_short(self):
        with open(os.path.join(OPTIONS.source, "consumer/main.cc"), encoding="utf-8") as file:
            self.assertLessEqual(len(file.readlines()), 40)

    def test_nothing_of_the_build_tree_leaks(self):
        directory = os.path.join(self.prefix, "lib")
        for parent, _, names in os.walk(directory):
            for name in (n for n in names if n.endswith(".cmake")):
                with open(os.path.join(parent, name), encoding="utf-8") as file:
                    self.assertNotIn(os.path.realpath(OPTIONS.build), file.read(), name)

    def test_killed_leader_is_replaced(self):
        self.start("a", "b", "c")
        first = wait_for("leader", self.leader, 10)
        time.sleep(1)
        self.assert_one_at_a_time()
        epoch = first.acts[-1][1]
        killed = time.monotonic()
        self.assertEqual(first.end(signal.SIGKILL), -signal.SIGKILL)
        second = wait_for("successor", lambda: self.leader(above=epoch), 3 * LEASE + 5)
        took = second.acts[-1][0] - killed
        self.assertNotEqual(second.name, first.name)
        # The dead one renewed at most 0.3 s (and a slow machine's delay) before its death; the others wait for a whole lease.
        self.assertGreater(second.acts[0][0], first.acts[-1][0] + VALIDITY - 0.6)
        print(f"killed {first.name} (epoch {epoch}), {second.name} works {took:.2f} s later (epoch {second.acts[-1][1]})")
        self.start("d")  # a newcomer follows
        time.sleep(1)
        self.assertEqual(self.members[-1].acts, [])
        self.assert_one_at_a_time()

    def test_stopped_leader_hands_over_at_once(self):
        self.start("a", "b", "c")
        first = wait_for("leader", self.leader, 10)
        epoch = first.acts[-1][1]
        self.assertEqual(first.end(signal.SIGTERM), 0)
        stopped = time.monotonic()
        second = wait_for("successor", lambda: self.leader(above=epoch), LEASE + 5)
        took = second.acts[0][0] - stopped
        print(f"stopped {first.name}, {second.name} works {took:.2f} s later")
        self.assertLess(took, LEASE, "a lock that was given up must not be waited for")
        self.assert_one_at_a_time()


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--source", default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--compiler", default="c++")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest)
