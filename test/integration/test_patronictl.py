#!/usr/bin/python3
"""Debian's patronictl (3.0) against three members: every verb that works over HTTP, under an acknowledging load."""
import datetime
import json
import os
import re
import subprocess
import sys
import time

from base import BOUND, ClusterCase, main
from test_endpoints import PASSWORD, USER, EndpointsCluster

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "patronictl.py")


class Patronictl(ClusterCase):
    CLUSTER = EndpointsCluster

    def tool(self, *args, by=None):
        """What it printed. It must not complain: its own fallback ("Failing over to DCS") is a failure here."""
        by = by or self.c.members[0]
        path = os.path.join(self.c.scratch.path, "patronictl.yml")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"scope": self.c.name, "mainstay": {"url": f"http://127.0.0.1:{by.http_port}"},
                       "restapi": {"authentication": {"username": USER, "password": PASSWORD}}}, f)
        done = subprocess.run([sys.executable, TOOL, "-c", path, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=150,
                              stdin=subprocess.DEVNULL, check=False, env={**os.environ, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotRegex(done.stdout, "Traceback|WARNING|ERROR|[Ff]ailed", done.stdout)
        return done.stdout

    def rows(self):
        return {row["Member"]: row for row in json.loads(self.tool("list", "--format", "json"))}

    def others(self, primary):
        return [m for m in self.c.members if m is not primary]

    def test_reading(self):
        p = self.c.wait_ready(BOUND)
        self.c.wait("all are shown", lambda: [r["State"] for r in self.rows().values()].count("streaming") == 2, BOUND, step=1)
        rows = self.rows()
        for m in self.c.members:
            row = rows[m.name]
            self.assertEqual(row["Role"], "Leader" if m is p else "Replica")
            self.assertEqual(row["Host"], f"127.0.0.1:{m.pg_port}")
            self.assertEqual(row["TL"], rows[p.name]["TL"])
            if m is not p:
                self.assertIsInstance(row["Lag in MB"], int)
        tree = self.tool("topology")
        for m in self.others(p):
            self.assertIn(f"+ {m.name}", tree)
        said = self.tool("version", self.c.name)
        for m in self.c.members:
            self.assertRegex(said, rf"(?m)^{m.name}: Patroni \d[\d.]+ PostgreSQL \d+\.\d+$")
        self.assertEqual(self.tool("dsn").strip(), f"host=127.0.0.1 port={p.pg_port}")
        self.assertIn("synchronous_mode: quorum", self.tool("show-config"))

    def test_switchover_and_history(self):
        load, p = self.start_load(), self.c.wait_ready(BOUND)
        r = self.others(p)[0]
        self.assertIn("Successfully switched over to", self.tool("switchover", "--master", p.name, "--candidate", r.name, "--force", by=r))
        self.c.wait("the other leads", lambda: self.c.primary() is r, BOUND)
        self.c.wait_ready(BOUND)

        def newest():
            return json.loads(self.tool("history", "--format", "json", by=p))[-1]
        self.c.wait("the change is told", lambda: newest()["New Leader"] == r.name, BOUND, step=1)
        row = newest()
        self.assertEqual(row["Reason"], "no recovery target specified")
        self.assertGreater(row["LSN"], 0)
        self.assertLess(abs(datetime.datetime.fromisoformat(row["Timestamp"]).timestamp() - time.time()), 3600)
        # `failover` while somebody leads is a switchover.
        self.assertIn("over to", self.tool("failover", "--candidate", p.name, "--force"))
        self.c.wait("back", lambda: self.c.primary() is p, BOUND)
        self.c.wait_ready(BOUND)
        self.finish(load)

    def test_members(self):
        load, p = self.start_load(), self.c.wait_ready(BOUND)
        r = self.others(p)[0]
        before = r.postmaster_pid()
        self.assertIn(f"Success: restart on member {r.name}", self.tool("restart", self.c.name, r.name, "--force"))
        self.c.wait("another postmaster", lambda: r.postmaster_pid() not in (None, before), BOUND)
        self.c.wait_ready(BOUND)
        self.assertIn(f"Reload request received for member {r.name}", self.tool("reload", self.c.name, r.name, "--force"))
        self.assertIn(f"Success: reinitialize for member {r.name}", self.tool("reinit", self.c.name, r.name, "--force"))
        self.c.wait_ready(BOUND)
        self.finish(load)

    def test_schedules(self):
        p = self.c.wait_ready(BOUND)
        r = self.others(p)[0]
        when = "2099-01-01T00:00:00+00:00"
        self.assertIn("Success: restart scheduled on member", self.tool("restart", self.c.name, r.name, "--scheduled", when, "--force", by=r))
        self.assertIn("2099-01-01", self.tool("list", "--extended", by=r))
        self.assertIn("Success: flush scheduled restart", self.tool("flush", self.c.name, r.name, "restart", "--force", by=r))
        self.assertIn("Switchover scheduled", self.tool("switchover", "--master", p.name, "--candidate", r.name, "--scheduled", when, "--force", by=p))
        self.assertRegex(self.tool("list", by=p), rf"Switchover scheduled at: 2099-01-01T00:00:00\+00:00\s+from: {p.name}\s+to: {r.name}")
        self.assertIn("Success: scheduled switchover deleted", self.tool("flush", self.c.name, "switchover", "--force", by=p))
        self.assertFalse(re.search("scheduled", self.tool("list", by=p)))

    def test_pause(self):
        self.c.wait_ready(BOUND)
        self.assertIn("Success: cluster management is paused", self.tool("pause", "--wait"))
        self.assertIn("Maintenance mode: on", self.tool("list"))
        self.assertIn("Success: cluster management is resumed", self.tool("resume", "--wait"))
        self.assertNotIn("Maintenance mode", self.tool("list"))


if __name__ == "__main__":
    main()
