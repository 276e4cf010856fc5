"""What the tests of the shim share: a shim with a scripted database (storm.cc), its heartbeat, the judgement of a fence."""
import os
import shutil
import struct
import tempfile
import time
import unittest

from shimlib import *  # noqa: F403

SEC = 10**9
PG_BIN = "/usr/lib/postgresql/15/bin"
ROOT = os.geteuid() == 0


def wait_until(condition, seconds=5.0, what="condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come true in {seconds} s")


class Case(unittest.TestCase):
    shim_binary = storm_binary = ""  # set by shim_test.py
    mode = "namespace"
    run_as = None
    user = "postgres"

    def setUp(self):
        if not ROOT:
            self.skipTest("needs root")
        self.bin = tempfile.mkdtemp(prefix="mainstay-shim-bin.")
        os.chmod(self.bin, 0o755)
        shutil.copy(self.storm_binary, os.path.join(self.bin, "postgres"))
        self.shims = []
        self.procs = []

    def tearDown(self):
        for p in self.procs:
            p.kill()
            p.wait()
        for s in self.shims:
            s.stop()
        shutil.rmtree(self.bin, ignore_errors=True)

    def shim(self, db="plain", **kw):
        kw.setdefault("mode", self.mode)
        kw.setdefault("run_as", self.run_as)
        kw.setdefault("user", self.user)
        s = Shim(self.shim_binary, bin_dir=self.bin, **kw)
        self.shims.append(s)
        os.makedirs(s.data, exist_ok=True)
        self.db(s, db)
        for name in ("", "standby.signal", "mode"):
            open(os.path.join(s.data, name), "a").close() if name else None
            shutil.chown(os.path.join(s.data, name), self.user, self.user)
        return s

    def db(self, s, mode):
        with open(os.path.join(s.data, "mode"), "w") as f:
            f.write(mode)

    def beat(self, s):
        """(last heartbeat of any process of the database, SIGHUPs, processes of chains)"""
        try:
            with open(os.path.join(s.data, "beat"), "rb") as f:
                return struct.unpack("<qqq", f.read(24))
        except (FileNotFoundError, struct.error):
            return (0, 0, 0)

    def tool_script(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)

    def refused(self, code, call, *args, **kw):
        with self.assertRaises(Refused) as caught:
            call(*args, **kw)
        self.assertEqual(caught.exception.code, code)
        return caught.exception

    def assert_dead(self, s, fenced):
        """No heartbeat after `empty_at`, now and 300 ms later."""
        time.sleep(0.3)
        last = self.beat(s)[0]
        self.assertGreater(last, 0, "the database never ran")
        self.assertLessEqual(last, fenced["empty_at"], "a process outlived the fence")

    def fence(self, s, link, seconds=0.5, epoch=1):
        link.arm(now() + int(seconds * SEC), epoch)
        fenced = link.fenced(10)
        self.assertGreaterEqual(fenced["killed_at"], fenced["deadline"], "killed before the deadline")
        self.assert_dead(s, fenced)
        return fenced
