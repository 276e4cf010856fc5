#!/usr/bin/python3
"""docs/BY_HAND.md as a newcomer reads it: its blocks, in order, in one shell. Only places and ports are others."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs", "BY_HAND.md")
BUILD = os.environ.get("MAINSTAY_BUILD", os.path.join(ROOT, "build", "release"))


def free_tens(how_many):
    """Prefixes p of ports p1 to p3 that are free, below the range that the kernel gives to outgoing connections."""
    found = []
    while len(found) < how_many:
        prefix = random.randrange(2000, 3200)
        try:
            for i in (1, 2, 3):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", prefix * 10 + i))
        except OSError:
            continue
        if prefix not in found:
            found.append(prefix)
    return found


@unittest.skipUnless(os.geteuid() == 0, "the page is for root: the databases run as another user")
class ByHand(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="mainstay-by-hand-")
        os.chmod(self.top, 0o755)

    def tearDown(self):
        for member in "abc":
            for who in ("agent", "shim"):
                try:
                    with open(os.path.join(self.top, member, who + ".pid"), encoding="utf-8") as f:
                        os.kill(int(f.read()), signal.SIGKILL)
                except (OSError, ValueError):
                    pass
        shutil.rmtree(self.top)

    def test_the_page(self):
        with open(PAGE, encoding="utf-8") as f:
            blocks = re.findall(r"^```sh\n(.*?)^```$", f.read(), re.M | re.S)
        self.assertEqual(len(blocks), 7)
        script = "set -eu\n" + "\n".join(f"echo '#### {i + 1}'\n{b}" for i, b in enumerate(blocks))
        for old, new in zip(("544", "744", "745"), free_tens(3)):
            script = re.sub(rf"(?<!\d){old}(?=[123]\b|\$n)", str(new), script)
        script = script.replace("build/release/", BUILD + "/")
        # A file, not a pipe: a background process that outlives the shell would keep a pipe open.
        with tempfile.TemporaryFile("w+") as log:
            code = subprocess.run(["/bin/bash", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT,
                                  env={**{k: v for k, v in os.environ.items() if not k.startswith("MAINSTAY_")}, "top": self.top}, timeout=240, check=False, start_new_session=True).returncode
            log.seek(0)
            said = log.read()
        print(said, file=sys.stderr)
        self.assertEqual(code, 0)
        parts = re.split(r"^#### \d\n", said, flags=re.M)
        self.assertRegex(parts[4], r"(?m)^[abc] +primary +running")
        self.assertIn("1000", parts[6].split("\n"))
        before, after = (re.search(r"(?m)^([abc]) +primary", p).group(1) for p in (parts[4], parts[6]))
        self.assertNotEqual(before, after, "nobody took over")


if __name__ == "__main__":
    unittest.main(verbosity=2)
