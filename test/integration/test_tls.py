#!/usr/bin/python3
"""A whole cluster whose agents talk by mutual TLS: it founds, fails over, changes its certificates, and is administered."""
import os
import re
import socket
import subprocess
import unittest

from base import BOUND, main
from harness import Cluster
from pki import Authority, Secret
from procs import now_ns

NAME = "agent.demo.mainstay"


def tls_cluster(n=3, **options):
    """Not started yet. c.secret[NAME] is each member's mounted Secret, c.authority who signs."""
    c = Cluster(n, **options)
    c.authority = Authority(os.path.join(c.scratch.path, "authority"), "authority")
    c.secret = {}
    for m in c.members:
        c.secret[m.name] = s = Secret(os.path.join(m.home, "tls"), c.own)
        s.write(c.authority.issue(s.folder, m.name, NAME))
        m.overrides = {"tls": s.config(), "listen/admin": "unix:" + os.path.join(m.run_dir, "agent.sock")}
    return c


class Tls(unittest.TestCase):
    def setUp(self):
        self.c = tls_cluster(profile="fast")
        self.addCleanup(self.c.close)
        self.c.start()
        self.c.prepare()
        self.c.wait_ready(120)

    def mainstay(self, *argv, env=None):
        c = self.c
        return subprocess.run([os.path.join(c.bin, "mainstay"), *argv], capture_output=True, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL, env={**c.environment(), **(env or {})})

    def flags(self, member):
        s = self.c.secret[member.name].config()
        return ["--tls-ca", s["ca"], "--tls-cert", s["cert"], "--tls-key", s["key"], "--tls-name", NAME]

    def subject(self, member):
        """Of the certificate that a member serves now."""
        s = self.c.secret[member.name].config()
        out = subprocess.run(["/usr/bin/openssl", "s_client", "-connect", member.peer, "-CAfile", s["ca"], "-cert", s["cert"], "-key", s["key"],
                              "-servername", NAME, "-alpn", "h2"], capture_output=True, text=True, errors="replace", timeout=20, check=False, stdin=subprocess.DEVNULL)
        found = re.search(r"^subject=CN = (.*)$", out.stdout, re.M)
        return found and found.group(1)

    def test_failover_rotation_and_administration(self):
        c = self.c
        load = c.load().start()
        self.assertTrue(load.wait_acked(count=20, timeout=BOUND))
        # As `kubectl exec pod -- mainstay status` does: nothing but the environment of the container.
        member = c.members[1]
        r = self.mainstay("status", "--check", env={"MAINSTAY_CONFIG": member.config_file})
        self.assertEqual(r.returncode, 0, r.stderr + r.stdout)
        self.assertNotIn("no answer", r.stdout)
        # From outside, by certificate; and not without.
        primary = c.primary()
        r = self.mainstay("status", "--check", "--agent", primary.peer, *self.flags(member))
        self.assertEqual(r.returncode, 0, r.stderr + r.stdout)
        r = self.mainstay("status", "--address", primary.peer, "--timeout", "2s")
        self.assertEqual(r.returncode, 4, r.stdout)

        # All certificates change under load; reports between members go on.
        for m in c.members:
            c.secret[m.name].write(c.authority.issue(c.secret[m.name].folder, m.name + "-next", NAME))
        for m in c.members:
            c.wait(f"{m.name} serves its new certificate", lambda m=m: self.subject(m) == m.name + "-next", BOUND)
        self.assertIs(c.primary(), primary)
        # A Secret that does not fit is left alone, and told.
        wrong = c.authority.issue(c.secret[member.name].folder, "wrong", NAME)
        wrong["tls.key"] = c.authority.issue(c.secret[member.name].folder, "other", NAME)["tls.key"]
        c.secret[member.name].write(wrong)
        c.wait("the metric tells", lambda: "mainstay_certificate_refused 1" in member.http("/metrics")[1], BOUND, 0.5)
        other = next(m for m in c.members if m is not member)  # the founder may be any of them, so not `primary`
        self.assertEqual(self.subject_with(other, member), member.name + "-next")
        self.assertRegex(member.http("/metrics")[1], r'mainstay_certificate_expiry_timestamp_seconds\{certificate="member"\} 1\.?\d+')

        # Noise on the port while the primary's node dies.
        noise = []
        for m in c.members:
            for text in (b"", b"\x16\x03\x01\x02", b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096)):
                s = socket.create_connection(("127.0.0.1", m.grpc_port), 5)
                s.sendall(text)
                noise.append(s)
        since = now_ns()
        primary.kill_all()
        new = c.wait_primary(BOUND, other_than=primary)
        self.assertTrue(load.wait_acked(new.name, since, 20, BOUND), c.describe())
        for s in noise:
            s.close()
        primary.start()
        c.wait_ready(BOUND)
        # Refused until the leader's agent has heard that the target streams.
        c.wait("a switchover", lambda: self.mainstay("switchover", primary.name, "--yes",
                                                     env={"MAINSTAY_CONFIG": primary.config_file}).returncode == 0, BOUND, 0.5)
        c.wait_ready(BOUND)
        load.stop()
        self.assertEqual(c.check(load, BOUND), 0)
        self.assertLess(load.outage(since)[0], 10)
        for m in c.members:
            self.assertTrue(m.running(), m.name)

    def subject_with(self, by, member):
        """As `subject`, with the certificate of another member: the one on disk does not fit."""
        s, keep = self.c.secret, self.c.secret[member.name]
        try:
            s[member.name] = s[by.name]
            return self.subject(member)
        finally:
            s[member.name] = keep


if __name__ == "__main__":
    main()
