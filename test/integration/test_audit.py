#!/usr/bin/python3
"""What a log collector gets of Mainstay: every event of docs/AUDIT.md on real clusters, each line checked against its schema,
pairs complete, numbers without gaps; the database's log through the shim; a reader that does not read; secrets nowhere.

`test_audit.py --rewrite` writes the examples of docs/AUDIT.md from what was seen.
"""
import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time

import outputs
import procs
from audit_case import ADMINISTRATOR, AUDITED, PGAUDIT, AuditCluster, Case, Page
from base import BOUND, KEEP, main, say
from harness import Failure
from procs import now_ns


class Events(Case):
    """One story that provokes everything that docs/AUDIT.md knows."""

    def test_every_event(self):
        c = self.cluster(parameters=AUDITED)
        load = self.load()
        self.administration(c)
        self.configuration(c)
        self.fence(c)
        self.deaths(c)
        self.divergence(c, load)
        self.lock_out_of_reach(c)
        self.ends(c)
        c.wait_ready(BOUND)
        load.stop()
        self.judge(c)

    def standby(self, c):
        p = c.wait_ready(BOUND)
        return p, next(m for m in c.members if m is not p)

    def administration(self, c):
        p, s = self.standby(c)
        p.remote("switchover", s.name, "--reason", "maintenance of the node")
        began = self.until("the call", s if not any(e["action"] == "switchover" for e in p.audit()) else p, action="switchover", stage="started")
        self.assertEqual(began["actor"]["name"], ADMINISTRATOR)
        self.assertEqual(began["actor"]["authn"], "mtls")
        self.assertEqual(began["actor"]["ip"], "127.0.0.1")
        self.assertEqual(began["reason"], "maintenance of the node")
        p, s = self.standby(c)
        stranger = http.client.HTTPConnection("127.0.0.1", p.http_port, timeout=10)
        stranger.request("POST", "/switchover", "{}")
        self.assertEqual(stranger.getresponse().status, 403)
        stranger.close()
        p.ctl("pause")
        p.ctl("resume")
        self.assertEqual(self.until("the call", p, action="pause", stage="completed")["actor"]["authn"], "local")
        p.ctl("durability", "async")
        p.ctl("durability", "guarded")
        s.ctl("fence", s.name)
        c.wait("stopped", lambda: s.postmaster_pid() is None, BOUND)
        s.ctl("unfence", s.name)
        c.wait_ready(BOUND)
        s.ctl("restart", s.name)
        c.wait_ready(BOUND)
        s.ctl("reinit", s.name)
        c.wait_ready(BOUND)
        self.assertNotEqual(p.ctl("reinit", p.name, check=False).returncode, 0)
        self.assertNotEqual(p.ctl("forget", s.name, check=False).returncode, 0)  # it answers: refused
        p, s = self.standby(c)
        # A failover is for when nobody leads.
        p.ctl("pause")
        c.wait("all know of it", lambda: all((x or {}).get("paused") for x in c.statuses().values()), BOUND)
        p.kill_all()
        end = time.monotonic() + BOUND
        while (out := s.ctl("failover", s.name, "--accept-loss", check=False)).returncode:
            self.assertLess(time.monotonic(), end, out.stderr)
            time.sleep(1)
        p.start()
        s.ctl("resume")
        c.wait_ready(BOUND)

    def configuration(self, c):
        p, s = self.standby(c)
        parameters = s.overrides["postgresql/parameters"]
        s.overrides["postgresql/parameters"] = {**parameters, "work_mem": "7MB"}
        s.write_config()
        s.ctl("reload", s.name)
        change = self.until("the change", s, action="config.change", outcome="success")
        self.assertIn("work_mem", change["msg"])
        s.overrides["postgresql/parameters"] = {**parameters, "port": "1"}
        s.write_config()
        self.assertNotEqual(s.ctl("reload", s.name, check=False).returncode, 0)
        self.until("the refusal", s, action="config.change", outcome="failure")
        # A file that was refused takes no turn away from the corrected one.
        for name, value in (("port", "2"), ("port", "3"), ("work_mem", "9MB")):
            s.overrides["postgresql/parameters"] = {**parameters, name: value}
            s.write_config()
            told = len([e for e in s.audit() if e["action"] == "config.change"])
            s.agent.signal(signal.SIGHUP)
            c.wait("the signal was answered", lambda told=told: len([e for e in s.audit() if e["action"] == "config.change"]) > told, BOUND)
        c.wait("the corrected file is in force", lambda: s.superuser("SHOW work_mem") == "9MB", BOUND)
        s.overrides["postgresql/parameters"] = parameters
        s.overrides["audit/probes"] = True
        s.write_config()
        s.ctl("reload", s.name)
        s.remote("status")
        self.assertEqual(self.until("told", s, action="read")["actor"]["name"], ADMINISTRATOR)
        s.overrides["audit/probes"] = False
        s.write_config()
        s.ctl("reload", s.name)

    def fence(self, c):
        """The agent stops: the deadline kills the database. When it goes on it has lost the lock."""
        p, _ = self.standby(c)
        p.agent.pause()
        c.wait("the deadline killed it", lambda: p.postmaster_pid() is None, BOUND)
        c.wait_primary(BOUND, other_than=p)
        p.agent.resume()
        self.until("told", p, action="fence.kill")
        self.until("told", p, action="lease.lost")
        c.wait_ready(BOUND)

    def deaths(self, c):
        p, s = self.standby(c)
        s.kill_postmaster()
        self.until("told", s, action="database.exit", reason="database-died")
        c.wait_ready(BOUND)
        p, s = self.standby(c)
        s.shim.kill()  # and its database with it
        self.until("told", s, action="shim.lost")
        s.start_shim()
        self.until("told", s, action="shim.connected")
        c.wait_ready(BOUND)
        # Alone, the primary is opened again in place.
        p, _ = self.standby(c)
        others = [m for m in c.members if m is not p]
        for m in others:
            m.stop()
        c.wait("alone", lambda: not ((p.status() or {}).get("durability") or {"sync_names": 1}).get("sync_names") and p.accepts_writes(), BOUND)
        time.sleep(1)
        for _ in range(3):
            p.kill_postmaster()
            c.wait("open again", p.accepts_writes, BOUND)
            if any(e["action"] == "role.reopen" and e["stage"] == "completed" for e in p.audit()):
                break
        self.until("told", p, 1, action="role.reopen", stage="completed")
        for m in others:
            m.start()
        c.wait_ready(BOUND)

    def divergence(self, c, load):
        """The primary writes what nobody gets, and dies: it is rewound."""
        p, _ = self.standby(c)
        for pid in p.database_pids():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if b"walsender" in f.read():
                        os.kill(pid, signal.SIGSTOP)
            except OSError:
                pass  # a session that ended
        # At once, before the primary may count the others out; it is on its disk with the switch.
        p.superuser("SELECT pg_logical_emit_message(false, 'x', repeat('x', 100000)), pg_switch_wal()")
        p.kill_all()
        c.wait_primary(BOUND, other_than=p)
        p.start()
        c.wait_ready(BOUND)
        # Frozen for the takeover were the candidate's voters.
        self.assertTrue(any(e["action"] == "role.freeze" for m in c.members for e in m.audit()))

    def lock_out_of_reach(self, c):
        """Renewals fail, first for a moment, then (with nobody there to promise) until the end of the permission."""
        p, _ = self.standby(c)
        away = c.lock_dir + ".away"
        os.rename(c.lock_dir, away)
        try:
            self.until("told", p, action="lease.renew", stage="failed")
        finally:
            os.rename(away, c.lock_dir)
        self.until("told", p, action="lease.renew", stage="completed")
        p, _ = self.standby(c)
        others = [m for m in c.members if m is not p]
        for m in others:
            m.agent.pause()
        os.rename(c.lock_dir, away)
        try:
            self.until("told", p, action="role.kill", stage="started")
        finally:
            os.rename(away, c.lock_dir)
            for m in others:
                m.agent.resume()
        c.wait_ready(BOUND)

    def ends(self, c):
        p, s = self.standby(c)
        s.agent.terminate(20)
        self.until("told", s, action="agent.stop", stage="completed")
        s.start_agent()
        c.wait_ready(BOUND)
        s = next(m for m in c.members if m is not p)
        s.stop()
        c.wait("it is forgotten", lambda: p.ctl("forget", s.name, check=False).returncode == 0, BOUND, 1)
        s.start()
        p, _ = self.standby(c)
        p.shim.signal(signal.SIGTERM)  # as a pod's end
        self.until("told", p, action="pod.end", stage="completed")
        p.shim.popen.wait(30)
        c.wait_primary(BOUND, other_than=p)
        p.start_shim()
        c.wait_ready(BOUND)

    def judge(self, c):
        time.sleep(0.3)
        seen, entries = {}, []
        for m in c.members:
            if KEEP:
                os.makedirs(KEEP, exist_ok=True)
                with open(os.path.join(KEEP, f"audit-{m.name}.jsonl"), "wb") as f:
                    f.write(m.out.text())
            entries += outputs.check(m.out.taken(), whole=True)
        for e in entries:
            if e["schema"] != "mainstay.audit/v1":
                continue
            best = seen.get((e["action"], e["stage"]))
            if best is None or len(json.dumps(e)) > len(json.dumps(best)):
                seen[(e["action"], e["stage"])] = e
        ids = [e["id"] for e in entries if e.get("stage") == "started"]
        self.assertEqual(len(ids), len(set(ids)))
        logs = {}
        for e in entries:
            if e["schema"] == "mainstay.log/v1":
                logs.setdefault(e["class"], e)
        page = Page()
        page.events(seen, self)
        for kind in ("log",) + (("audit",) if PGAUDIT else ()):
            self.assertIn(kind, logs)


class DatabaseLog(Case):
    def test_classes_long_lines_and_a_storm(self):
        c = self.cluster(parameters={**AUDITED, "log_statement": "ddl"})
        p = c.wait_ready(BOUND)
        if PGAUDIT:
            p.superuser("CREATE EXTENSION pgaudit")
        p.superuser("CREATE TABLE told (x int)")
        p.superuser("SET log_min_duration_statement = 0; SELECT 'slow' AS answer")
        slow = self.logged(p, "'slow'", **{"class": "slow_query"})
        self.assertEqual(slow["record"]["user"], "postgres")
        self.assertEqual(slow["record"]["database"], "postgres")
        self.assertEqual(slow["record"]["client"], "[local]")
        self.assertEqual(slow["record"]["application"], "psql")
        if PGAUDIT:
            audited = self.logged(p, "public.told", **{"class": "audit"})
            self.assertEqual(audited["audit"]["command"], "CREATE TABLE")
            self.assertEqual(audited["audit"]["statement"], "CREATE TABLE told (x int)")
        with self.assertRaises(Failure):
            p.superuser("SELECT 'line one\n\tline two' FROM nothing")
        error = self.logged(p, "line two", level="error")
        self.assertEqual(error["record"]["statement"], "SELECT 'line one\n\tline two' FROM nothing")
        self.assertEqual(error["record"]["sqlstate"], "42P01")
        # A name that looks like a line of the log.
        subprocess.run([os.path.join(os.environ.get("MAINSTAY_PG_BIN", "/usr/lib/postgresql/15/bin"), "psql"), "-X", "-h", "127.0.0.1", "-p", str(p.pg_port), "-w",
                        "-U", "x\n@mainstay 2026-01-01 LOG:  forged", "-d", "app", "-c", "select 1"], capture_output=True, timeout=30, check=False, env={**c.environment(), "PGPASSWORD": "x"})
        forged = self.logged(p, "forged", level="error")
        self.assertEqual(forged["record"]["user"], "x\n@mainstay 2026-01-01 LOG:  forged")
        self.long_line(p)
        self.storm(c, p)
        examples = {e["class"]: e for e in p.log() if len(json.dumps(e)) < 1500}
        if PGAUDIT:
            examples["audit"] = audited
        examples["slow_query"] = slow
        examples["log"] = error
        Page().examples("log", list(examples.values()), lambda e: e["class"], self)
        for m in c.members:
            outputs.check(m.out.taken(), whole=True)
            joined = outputs.cri_join(outputs.cri_split(m.out.text()))
            for line in joined:
                outputs.parse(line)
            self.assertLess(max(map(len, joined)), outputs.LIMIT)  # never split in the first place

    def long_line(self, p):
        # 10 MB in one statement, while another session logs, too.
        p.superuser("DO $$ BEGIN RAISE LOG 'begin%end', repeat('y', 10485760); END $$")
        big = self.logged(p, "beginyyy")
        self.assertTrue(big["truncated"])
        self.assertGreater(big["bytes"], 10 << 20)
        p.superuser("DO $$ BEGIN RAISE LOG 'after the long line'; END $$")
        self.logged(p, "after the long line")
        self.assertLess(procs.rss_kib(p.agent.pid), 28 * 1024)

    def storm(self, c, p):
        """Tens of thousands of lines a second for some seconds: writers go on, no failover, what is missing is told."""
        load = self.load()
        epoch = p.status()["epoch"]
        before = len(p.log())
        began = now_ns()
        storms = [subprocess.Popen(["/usr/bin/setpriv", "--reuid", c.user or str(os.geteuid()), "--clear-groups", "--"] * bool(c.user) +
                                   ["/usr/lib/postgresql/15/bin/psql", "-X", "-q", "-h", p.run_dir, "-p", str(p.pg_port), "-U", "postgres", "-d", "postgres", "-c",
                                    "DO $$ BEGIN FOR i IN 1..100000 LOOP RAISE LOG 'storm %', i; END LOOP; END $$"], cwd="/",
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=c.environment()) for _ in range(2)]
        for s in storms:
            s.wait(120)
        took = (now_ns() - began) / 1e9
        self.assertTrue(load.wait_acked(after_ns=now_ns(), count=5, timeout=BOUND))
        self.assertEqual(p.status()["epoch"], epoch)
        self.assertIs(c.primary(), p)
        gap = load.outage(began)[0]
        load.stop()
        time.sleep(3)  # what is over the rate is held back for a second
        p.superuser("DO $$ BEGIN RAISE LOG 'after the storm'; END $$")
        self.logged(p, "after the storm")
        lines = p.log()[before:]
        passed = sum(1 for e in lines if e["class"] == "log" and e["msg"].startswith("storm "))
        missing = sum(e["dropped"]["lines"] for e in lines if e["class"] == "dropped")
        say(f"storm: {200000 / took:.0f} lines/s, {passed} passed on, {missing} told as missing, longest pause of the writers {gap * 1000:.0f} ms")
        self.assertGreater(passed, 1000)
        self.assertGreaterEqual(passed + missing, 200000)  # each RAISE is a line and its CONTEXT
        self.assertLess(gap, 2.0)


class StuckOutput(Case):
    def test_nobody_reads_for_20_seconds_with_a_failover(self):
        c = self.c = AuditCluster(parameters={"log_statement": "all"})
        self.addCleanup(c.close)
        password = "c4n4ryYY"
        for m in c.members:
            m.overrides.update({"http/user": ADMINISTRATOR, "http/password_file": c.secret("http", password)})
        c.start()
        c.prepare()
        c.wait_ready(120)
        load = self.load()
        p = c.wait_ready(BOUND)
        for m in c.members:
            m.out.pause()
            m.err.pause()
            m.shim_err.pause()
        began = now_ns()
        end = time.monotonic() + 20
        time.sleep(5)
        epoch = p.status()["epoch"]
        self.assertIs(c.primary(), p)
        calm = load.outage(began)[0]
        self.assertLess(calm, 2.0)  # the database writes its log all the time
        p.kill_all()
        new = c.wait_primary(BOUND, other_than=p)
        self.assertTrue(load.wait_acked(new.name, began, 10, BOUND), c.describe())
        outage = load.outage(began)[0]
        p.start()
        # Much for the audit log, too: more than it may hold back.
        calls, credentials = 0, "Basic " + base64.b64encode(f"{ADMINISTRATOR}:{password}".encode()).decode()
        while time.monotonic() < end or (calls < 1200 and time.monotonic() < end + 60):
            self.assertIn(new.post("/reload", "", {"Authorization": credentials}), (200, 202))
            calls += 1
        self.assertEqual(new.status()["role"], "primary")
        say(f"{calls} reloads while nobody read")
        say(f"stuck for 20 s: longest pause of the writers {calm * 1000:.0f} ms, with the failover {outage:.2f} s")
        self.assertLess(outage, 15)
        self.assertGreater(new.status()["epoch"], epoch)
        for m in c.members:
            for o in (m.out, m.err, m.shim_err):
                o.resume()
        c.wait_ready(BOUND)
        load.stop()
        new.superuser("DO $$ BEGIN RAISE LOG 'after all'; END $$")
        self.logged(new, "after all")
        missing = sum(e["dropped"]["lines"] for e in new.log() if e["class"] == "dropped")
        say(f"told as missing: {missing} lines of the database's log")
        self.assertGreater(missing, 0)
        self.until("told", new, action="audit.dropped")
        for m in c.members:
            outputs.check(m.out.taken(), whole=False)
        Page().examples("dropped", [e for e in new.audit() if e["action"] == "audit.dropped"][:1], lambda e: e["action"], self)


class Secrets(Case):
    CANARY = "c4n4ryZZ"

    def test_no_secret_anywhere(self):
        c = AuditCluster(parameters={**AUDITED, "log_statement": "all", "log_min_duration_statement": "0"})
        self.addCleanup(c.close)
        self.c = c
        for m in c.members:
            m.overrides["postgresql/users"] = [{"name": "bob", "password_file": c.secret("bob", self.CANARY + "file")}]
            m.overrides.update({"http/user": "web", "http/password_file": c.secret("http", self.CANARY + "http")})
        c.start()
        c.prepare()
        p = c.wait_ready(120)
        canary = self.CANARY
        for statement in (f"CREATE ROLE r1 LOGIN PASSWORD '{canary}1'", f"ALTER ROLE r1 ENCRYPTED PASSWORD E'{canary}\\n2'",
                          f"ALTER USER r1 PASSWORD $x${canary}3$x$", f"ALTER ROLE r1 PASSWORD U&'{canary}4'",
                          f"SELECT 'host=x password={canary}5'", f"SELECT 'postgresql://u:{canary}6@h/d'",
                          f"CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1 password={canary}7' PUBLICATION p",
                          f"ALTER ROLE nobody PASSWORD '{canary}8'", f"ALTER ROLE r1 PASSWORD '{canary}9"):
            try:
                p.superuser(statement)
            except Failure:
                pass
        p.post("/restart", "{}", {"Authorization": "Basic " + base64.b64encode(b"web:wrong").decode()})
        basic = base64.b64encode(f"web:{canary}http".encode()).decode()
        p.post("/reload", "{}", {"Authorization": "Basic " + basic})
        p.ctl("restart", p.name)
        p = c.wait_ready(BOUND)
        target = next(m for m in c.members if m is not p)
        c.wait("a switchover", lambda: p.ctl("switchover", target.name, check=False).returncode == 0, BOUND, 1)
        p = c.wait_ready(BOUND)
        with open(c.password_file) as f:
            passwords = [line.strip().rsplit(":", 1)[1] for line in f if ":" in line]
        self.assertTrue(passwords)
        keys = []
        for m in c.members:
            with open(m.overrides["tls"]["key"]) as f:
                keys.append(f.read().split("\n")[1])
        time.sleep(0.5)
        places = {}
        for m in c.members:
            places[f"{m.name} stdout"] = m.out.text().decode()
            places[f"{m.name} stderr"] = m.err.text().decode()
            places[f"{m.name} shim"] = m.shim_err.text().decode()
            for path in ("/metrics", "/status", "/decisions", "/patroni", "/cluster", "/config", "/"):
                places[f"{m.name} {path}"] = m.http(path)[1]
            for pid in m.all_pids():
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        places[f"argv {pid}"] = f.read().decode(errors="replace")
                    if pid == m.agent.pid or pid in m.shim_pids():
                        with open(f"/proc/{pid}/environ", "rb") as f:
                            places[f"environ {pid}"] = f.read().decode(errors="replace")
                except OSError:
                    pass
            with open(f"/proc/{m.agent.pid}/limits") as f:
                self.assertRegex(f.read(), r"Max core file size\s+0\s+0")
        self.assertIn("PASSWORD '***'", places[f"{c.members[0].name} stdout"] + places[f"{c.members[1].name} stdout"] + places[f"{c.members[2].name} stdout"])
        for place, text in places.items():
            for secret in [canary, basic, *passwords, *keys]:
                self.assertNotIn(secret, text, f"in {place}: ...{text[max(0, text.find(secret) - 300):text.find(secret) + 60]}")


if __name__ == "__main__":
    sys.argv = [a for a in sys.argv if a != "--rewrite"]
    main()
