"""What the tests of audit and logs share: clusters whose programs write into pipes that we read, with TLS and an administrator's
certificate; docs/AUDIT.md and its examples.
"""
import glob
import http.client
import json
import os
import re
import subprocess
import sys
import unittest

import outputs
from base import BOUND
from harness import ADMIN, Cluster, Failure, Member
from pki import Authority, Secret

TLS_NAME = "agent.demo.mainstay"
REWRITE = "--rewrite" in sys.argv
ADMINISTRATOR = "alice"


class AuditMember(outputs.Piped, Member):
    def ctl(self, verb, *args, timeout=60, check=True):
        """Over the members' unix sockets: nobody but the same user of the same machine."""
        sockets = [f"unix:{m.run_dir}/agent.sock" for m in [self] + [m for m in self.cluster.members if m is not self]]
        return self.mainstay([verb, "--address", sockets[0] if verb in ("reload", "restart", "reinit", "fence", "unfence") else ",".join(sockets)],
                             verb, args, timeout, check)

    def remote(self, verb, *args, timeout=60, check=True):
        """Over TCP with an administrator's certificate."""
        s = self.cluster.administrator.config()
        return self.mainstay([verb, "--address", self.peer, "--tls-ca", s["ca"], "--tls-cert", s["cert"], "--tls-key", s["key"],
                              "--tls-name", TLS_NAME], verb, args, timeout, check)

    def mainstay(self, argv, verb, args, timeout, check):
        argv = [os.path.join(self.cluster.bin, "mainstay"), *argv, "--timeout", f"{timeout}s", *(["--yes"] if verb in ADMIN else []), *args]
        out = subprocess.run(argv, capture_output=True, text=True, timeout=timeout + 10, stdin=subprocess.DEVNULL,
                             env=self.cluster.environment(), check=False)
        if check and out.returncode:
            raise Failure(f"mainstay {' '.join(argv[1:])}: exit {out.returncode}: {out.stderr.strip() or out.stdout.strip()}")
        return out

    def post(self, path, body, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            connection.request("POST", path, body=body, headers=headers or {})
            return connection.getresponse().status
        finally:
            connection.close()

    def audit(self):
        return [e for e in map(json.loads, self.out.taken()) if e["logger"] == "audit"]

    def log(self):
        return [e for e in map(json.loads, self.out.taken()) if e["logger"] == "postgres"]


class AuditCluster(Cluster):
    MEMBER = AuditMember
    relay = True

    def __init__(self, n=3, parameters=None, **options):
        super().__init__(n, profile="fast", **options)
        self.authority = Authority(os.path.join(self.scratch.path, "authority"), "authority")
        self.administrator = Secret(os.path.join(self.scratch.path, "administrator"), self.own)
        self.administrator.write(self.authority.issue(self.administrator.folder, ADMINISTRATOR, TLS_NAME))
        for m in self.members:
            s = Secret(os.path.join(m.home, "tls"), self.own)
            s.write(self.authority.issue(s.folder, m.name, TLS_NAME))
            m.overrides = {"tls": s.config(), "listen/admin": f"unix:{m.run_dir}/agent.sock",
                           "postgresql/parameters": {"shared_buffers": "32MB", "max_wal_size": "256MB", **(parameters or {})}}

    def secret(self, name, text):
        path = os.path.join(self.secrets, name)
        with open(path, "w") as f:
            f.write(text + "\n")
        os.chmod(path, 0o600)
        self.own(path)
        return path

    def close(self):
        super().close()
        for m in self.members:
            m.close_outputs()

    def entries(self, whole=True):
        return {m.name: outputs.check(m.out.taken(), whole) for m in self.members}


PGAUDIT = bool(glob.glob("/usr/share/postgresql/*/extension/pgaudit.control"))
AUDITED = {"shared_preload_libraries": "pgaudit", "pgaudit.log": "ddl,role"} if PGAUDIT else {}


class Case(unittest.TestCase):
    def cluster(self, *args, **options):
        c = AuditCluster(*args, **options)
        self.addCleanup(c.close)
        c.start()
        c.prepare()
        c.wait_ready(120)
        self.c = c
        return c

    def load(self, **options):
        load = self.c.load(**options).start()
        self.addCleanup(load.stop)
        self.assertTrue(load.wait_acked(count=20, timeout=BOUND), self.c.describe())
        return load

    def until(self, what, member, timeout=BOUND, **want):
        """An audit line of `member` with these values."""
        def found():
            return next((e for e in member.audit() if all(e.get(k) == v for k, v in want.items())), None)
        return self.c.wait(f"{member.name}: {what}: {want}", found, timeout)

    def logged(self, member, text, timeout=BOUND, **want):
        def found():
            return next((e for e in member.log() if text in json.dumps(e) and all(e.get(k) == v for k, v in want.items())), None)
        return self.c.wait(f"{member.name}: a log line with {text!r}", found, timeout)


class Page:
    """docs/AUDIT.md: its table of events, whose examples come from here."""
    PATH = os.path.join(outputs.ROOT, "docs", "AUDIT.md")

    def __init__(self):
        with open(self.PATH) as f:
            self.text = f.read()

    def documented(self):
        """Actions of the table, with the stages that each has."""
        table = {}
        for line in self.text.split("### Events")[1].split("### Examples")[0].splitlines():
            m = re.match(r"^\| `([a-z_.-]+)` \| ([^|]*) \|", line)
            if m:
                table[m.group(1)] = [s.strip() for s in m.group(2).split(",")]
        return table

    def events(self, seen, test):
        table = self.documented()
        told = {(a, s) for a, stages in table.items() for s in stages}
        unknown = sorted(set(seen) - told)
        test.assertEqual(unknown, [], "not in docs/AUDIT.md")
        # Failures of operations are documented, but only those are provoked that a healthy machine can be brought to.
        missing = sorted(k for k in told - set(seen) if k[1] != "failed" and k[0] != "audit.dropped")
        test.assertEqual(missing, [], "documented and not seen")
        entries = []
        for action, stages in table.items():
            stage = next((s for s in ("completed", "failed", "started") if s in stages and (action, s) in seen), None)
            if stage:
                entries.append(seen[(action, stage)])
        self.examples("events", entries, lambda e: e["action"], test)

    def examples(self, name, entries, kind, test):
        """The page has an example of each kind that was seen; with --rewrite it gets these."""
        begin, end = f"<!-- examples: {name} -->\n", f"<!-- end: {name} -->"
        head, rest = self.text.split(begin)
        old, tail = rest.split(end)
        if REWRITE:
            lines = "\n".join(json.dumps(e, separators=(",", ":"), ensure_ascii=False) for e in entries)
            lines = re.sub(r"/tmp/mainstay-\w+", "/run/mainstay", lines)
            with open(self.PATH, "w") as f:
                f.write(head + begin + "```json\n" + lines + "\n```\n" + end + tail)
            return
        shown = [outputs.parse(line.encode()) for line in old.splitlines() if line.startswith("{")]
        test.assertEqual({kind(e) for e in entries} - {kind(e) for e in shown}, set(), "no example: run with --rewrite")
