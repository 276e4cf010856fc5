#!/usr/bin/python3
"""./dev demo as its visitors use it: the tour with its JSON, and Ctrl-C that leaves nothing behind."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import procs

HERE = os.path.dirname(os.path.abspath(__file__))


def started_by(path):
    """Processes that work in the folder or name it."""
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if path.encode() in f.read() or os.readlink(f"/proc/{pid}/cwd").startswith(path):
                    out.append(int(pid))
        except OSError:
            continue
    return out


class Demo(unittest.TestCase):
    PROGRAM = os.path.join(HERE, "demo.py")
    STEPS = ["crash", "agent_freeze", "node_death", "switchover", "return"]
    CONNECT = "postgresql://"

    def test_tour(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tour.json")
            run = subprocess.run(["/usr/bin/python3", self.PROGRAM, "--tour", "--profile", "fast", "--json", path], stdout=subprocess.PIPE,
                                 text=True, timeout=200, check=False)
            sys.stderr.write(run.stdout)
            self.assertEqual(run.returncode, 0)
            with open(path, encoding="utf-8") as f:
                steps = json.load(f)
        self.assertEqual([s["step"] for s in steps], self.STEPS)
        for s in steps:
            self.assertEqual((s["lost"], s["overlap_ms"]), (0, 0), s)
            self.assertGreater(s["acknowledged"], 20)
            self.assertLess(s["outage_s"], 30)
            self.assertTrue(s["primary"] and s["why"])
        self.assertNotIn("\x1b", run.stdout)
        scratch = re.search(r"/tmp/mainstay-\w+", run.stdout).group()
        self.assertFalse(os.path.exists(scratch))
        self.assertEqual(started_by(scratch), [])

    def interrupted(self, sig):
        demo = subprocess.Popen(["/usr/bin/python3", self.PROGRAM, "--profile", "fast"], stdout=subprocess.PIPE, text=True, start_new_session=True)
        text, scratch = "", None
        for line in demo.stdout:
            text += line
            found = re.search(r"/tmp/mainstay-\w+", line)
            scratch = scratch or (found and found.group())
            if "Ctrl-C stops" in line:
                break
        self.assertIn("Try, in another terminal", text)
        self.assertIn(self.CONNECT, text)
        self.assertGreater(len(started_by(scratch)), 9)
        time.sleep(1)
        demo.send_signal(sig)
        demo.stdout.close()
        demo.wait(40)
        end = time.monotonic() + 10
        while time.monotonic() < end and (os.path.exists(scratch) or started_by(scratch)):
            time.sleep(0.1)
        self.assertFalse(os.path.exists(scratch))
        self.assertEqual(started_by(scratch), [])

    def test_ctrl_c_leaves_nothing(self):
        self.interrupted(signal.SIGINT)

    def test_kill_leaves_nothing(self):
        self.interrupted(signal.SIGKILL)


if __name__ == "__main__":
    procs.unwind_on_signals()
    unittest.main()
