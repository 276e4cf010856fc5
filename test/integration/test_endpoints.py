#!/usr/bin/python3
"""The HTTP port of a real cluster as load balancers, tools and people of Patroni see it: every endpoint and its code by role, paused,
with the database or the lock down; changes with and without credentials; a client that does what patronictl does; Debian's HAProxy
with the page's own configuration in front of three members through a failover; keepalived's check script."""
import base64
import datetime
import http.client
import json
import os
import re
import subprocess
import time
import unittest

import procs
from base import BOUND, ClusterCase, main, say
from harness import Cluster
from pki import Authority
from procs import now_ns
from test_tls import NAME, tls_cluster
from workload import Load

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
USER, PASSWORD = "patroni", "s3cret-of-this-test"
AUTH = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}

PRIMARY = {"/", "/primary", "/master", "/read-write", "/leader", "/read-only", "/read-only-sync", "/read-only-synchronous",
           "/read-only-quorum", "/health", "/liveness", "/readiness"}
REPLICA = {"/replica", "/read-only", "/health", "/liveness", "/readiness"}
CHECKS = PRIMARY | REPLICA | {"/standby-leader", "/standby_leader", "/sync", "/synchronous", "/quorum", "/async", "/asynchronous"}


def call(member, method, path, body=None, headers=None):
    """(code, body, headers)"""
    c = http.client.HTTPConnection("127.0.0.1", member.http_port, timeout=40)
    try:
        c.request(method, path, body if body is None or isinstance(body, str) else json.dumps(body), headers or {})
        r = c.getresponse()
        return r.status, r.read().decode(), r.headers
    finally:
        c.close()


class Tool:
    """What patronictl does over HTTP: reads /cluster, finds the leader, posts to its api_url."""
    def __init__(self, member):
        self.seed = member

    def request(self, api_url, method, endpoint, body=None):
        # As patroni.dcs.Member.get_endpoint_url: the endpoint takes the place of the URL's path.
        url = re.fullmatch(r"(http)://([^/:]+):(\d+)/patroni", api_url)
        assert url, api_url
        c = http.client.HTTPConnection(url[2], int(url[3]), timeout=40)
        try:
            c.request(method, "/" + endpoint, json.dumps(body) if body is not None else None,
                      {**AUTH, "User-Agent": "Patroni/4.1.5 Python/3.11 Linux"})
            r = c.getresponse()
            return r.status, r.read().decode()
        finally:
            c.close()

    def cluster(self):
        return json.loads(call(self.seed, "GET", "/cluster")[1])

    def leader(self):
        return next(m for m in self.cluster()["members"] if m["role"] == "leader")

    def switchover(self, candidate=None, scheduled_at=None):
        leader = self.leader()
        body = {"candidate": candidate, "leader": leader["name"]}
        if scheduled_at:
            body["scheduled_at"] = scheduled_at
        return self.request(leader["api_url"], "POST", "switchover", body)


class EndpointsCluster(Cluster):
    def __init__(self, **options):
        super().__init__(**options)
        path = os.path.join(self.secrets, "http")
        with open(path, "w", encoding="utf-8") as f:
            f.write(PASSWORD + "\n")
        os.chmod(path, 0o600)
        self.own(path)
        self.overrides.update({"http/user": USER, "http/password_file": path, "http/patroni_metrics": True})
        for m in self.members:
            m.overrides["tags/labels"] = {"zone": "z" + m.name}


class Endpoints(ClusterCase):
    CLUSTER = EndpointsCluster

    def codes(self, member, paths=CHECKS):
        return {p for p in paths if call(member, "GET", p)[0] == 200}

    def others(self, primary):
        return [m for m in self.c.members if m is not primary]

    # ---- reading ----
    def test_codes_by_role(self):
        p = self.c.wait_ready(BOUND)
        self.c.wait("the primary's codes", lambda: self.codes(p) == PRIMARY, BOUND)
        for r in self.others(p):
            self.c.wait(f"the codes of {r.name}",
                        lambda r=r: self.codes(r) == REPLICA | {"/quorum", "/read-only-quorum"}, BOUND)
            for path, code in (("/replica?lag=16MB", 200), ("/replica?lag=1GB&replication_state=streaming", 200),
                               (f"/replica?tag_zone=z{r.name}", 200), ("/replica?tag_zone=elsewhere", 503), ("/replica?tag_no=1", 503)):
                self.assertEqual(call(r, "GET", path)[0], code, path)
        for m in self.c.members:  # the same code by every method, and no body where none belongs
            for path in CHECKS:
                code, body, headers = call(m, "GET", path)
                self.assertIn(code, (200, 503))
                for method in ("HEAD", "OPTIONS"):
                    again, empty, _ = call(m, method, path)
                    self.assertEqual((again, empty), (code, ""), f"{method} {path}")
                if path not in ("/liveness", "/readiness"):
                    self.assertEqual(json.loads(body)["patroni"]["name"], m.name)
                    self.assertEqual(headers["Content-Type"], "application/json")
            for path, code in (("/livez?verbose", 200), ("/livez/shim", 200), ("/livez/no", 404), ("/readyz?exclude=role", 200),
                               ("/startupz", 200), ("/nothing", 404), ("/switchover", 405), ("/status", 200)):
                self.assertEqual(call(m, "GET", path)[0], code, path)
        self.assertEqual(call(p, "GET", "/livez?verbose")[1], "[+]loop ok\n[+]shim ok\nlivez check passed\n")

    def test_documents(self):
        p = self.c.wait_ready(BOUND)
        r = self.others(p)[0]
        p.superuser("SELECT pg_logical_emit_message(true, 'test', 'x')")
        state = json.loads(call(p, "GET", "/patroni")[1])
        self.assertEqual((state["state"], state["role"], state["timeline"]),
                         ("running", "primary", int(p.superuser("SELECT timeline_id FROM pg_control_checkpoint()"))))
        self.assertEqual(state["server_version"], int(p.superuser("SHOW server_version_num")))
        self.assertEqual(state["database_system_identifier"], p.superuser("SELECT system_identifier FROM pg_control_system()"))
        began = datetime.datetime.fromisoformat(state["postmaster_start_time"]).timestamp()
        self.assertAlmostEqual(began, float(p.superuser("SELECT extract(epoch FROM pg_postmaster_start_time())")), delta=0.01)
        self.assertEqual({x["application_name"] for x in state["replication"]}, {m.name for m in self.others(p)})
        self.assertLess(abs(state["dcs_last_seen"] - time.time()), 5)
        state = json.loads(call(r, "GET", "/patroni")[1])
        self.assertEqual((state["role"], state["replication_state"], state["tags"]), ("replica", "streaming", {"zone": "z" + r.name}))
        self.assertEqual(set(state["xlog"]), {"received_location", "replayed_location", "replayed_timestamp", "paused"})
        self.assertIsNotNone(state["xlog"]["replayed_timestamp"])
        r.superuser("SELECT pg_wal_replay_pause()")
        self.c.wait("replay is paused", lambda: json.loads(call(r, "GET", "/patroni")[1])["xlog"]["paused"] is True, BOUND)
        r.superuser("SELECT pg_wal_replay_resume()")
        for m in self.c.members:
            # The second voter joins some probes after the first (wait_ready asks for one).
            self.c.wait(f"{m.name} sees both voters", lambda m=m: sum(x["role"] == "quorum_standby" for x in json.loads(call(m, "GET", "/cluster")[1])["members"]) == 2, BOUND)
            cluster = json.loads(call(m, "GET", "/cluster")[1])
            self.assertEqual(cluster["scope"], self.c.name)
            self.assertEqual([x["name"] for x in cluster["members"]], sorted(x.name for x in self.c.members))
            for x in cluster["members"]:
                self.assertEqual(x["role"], "leader" if x["name"] == p.name else "quorum_standby")
                self.assertEqual(x["state"], "running" if x["name"] == p.name else "streaming")
                self.assertEqual((x["host"], x["port"]), ("127.0.0.1", self.c[x["name"]].pg_port))
                self.assertEqual(x["api_url"], f"http://127.0.0.1:{self.c[x['name']].http_port}/patroni")
                if x["name"] != p.name:
                    self.assertLess(x["lag"], 16 << 20)
        config = json.loads(call(r, "GET", "/config")[1])
        self.assertEqual((config["synchronous_mode"], config["ttl"], config["loop_wait"]), ("quorum", 3, 0.5))
        for m in (p, r):
            self.history(m, p)
        self.assertEqual(set(json.loads(call(r, "GET", "/failsafe")[1])), {m.name for m in self.c.members})
        metrics = call(p, "GET", "/metrics")[1]
        self.assertEqual(len(re.findall(r"^# TYPE patroni_", metrics, re.M)), 26)
        self.assertIn(f'patroni_primary{{scope="{self.c.name}",name="{p.name}"}} 1\n', metrics)

    def history(self, member, primary):
        """The lines of the database's own file; the newest change has its time and its new leader."""
        timeline = primary.superuser("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
        text = "" if int(timeline, 16) == 1 else primary.superuser(f"SELECT pg_read_file('pg_wal/{timeline}.history')")
        lines = [line.split("\t") for line in text.splitlines() if line]
        expected = [[int(t), int(lsn.split("/")[0], 16) << 32 | int(lsn.split("/")[1], 16), why] for t, lsn, why in lines]

        def told():
            return json.loads(call(member, "GET", "/history")[1])
        self.c.wait(f"{member.name} tells the timelines", lambda: [line[:3] for line in told()] == expected, BOUND)
        if expected:
            self.c.wait(f"{member.name} knows who began the newest", lambda: told()[-1][4:] == [primary.name], BOUND)
            self.assertLess(abs(datetime.datetime.fromisoformat(told()[-1][3]).timestamp() - time.time()), 3600)

    def test_database_and_lock_down(self):
        p = self.c.wait_ready(BOUND)
        r = self.others(p)[0]
        r.ctl("fence", r.name)
        self.c.wait("its database is down", lambda: self.codes(r) == {"/liveness"}, BOUND)
        self.assertIn(json.loads(call(r, "GET", "/patroni")[1])["state"], ("stopped", "stopping"))
        r.ctl("unfence", r.name)
        self.c.wait("it serves again", lambda: "/replica" in self.codes(r), BOUND)
        self.c.wait_ready(BOUND)
        # The lock away: nobody is restarted for it, and who is synchronous is not known after the lease.
        gone = self.c.lock_dir + ".gone"
        os.rename(self.c.lock_dir, gone)
        try:
            self.c.wait("sync checks stop", lambda: not self.codes(r, {"/quorum", "/sync", "/async", "/read-only-quorum"}), BOUND)
            self.assertTrue({"/replica", "/liveness"} <= self.codes(r))
            self.assertTrue({"/primary", "/liveness"} <= self.codes(p), self.c.describe())  # by the others' promises
            self.assertTrue(json.loads(call(p, "GET", "/patroni")[1]).get("failsafe_mode_is_active"))
        finally:
            os.rename(gone, self.c.lock_dir)
        self.c.wait_ready(BOUND)

    # ---- changing ----
    def test_credentials(self):
        p = self.c.wait_ready(BOUND)
        wrong = {"Authorization": "Basic " + base64.b64encode(b"patroni:wrong").decode()}
        for method, path in (("POST", "/switchover"), ("DELETE", "/switchover"), ("POST", "/failover"), ("POST", "/restart"),
                             ("DELETE", "/restart"), ("POST", "/reload"), ("POST", "/reinitialize"), ("PATCH", "/config"),
                             ("PUT", "/config"), ("POST", "/failsafe"), ("POST", "/citus"), ("POST", "/sigterm")):
            for headers in ({}, wrong):
                code, _, answer = call(p, method, path, {"leader": p.name}, headers)
                self.assertEqual(code, 401, f"{method} {path}")
                self.assertTrue(answer["WWW-Authenticate"].startswith("Basic"))
        self.assertIs(self.c.primary(), p)
        for method, path, body, code in (("POST", "/failsafe", {"x": 1}, 501), ("POST", "/citus", {}, 501), ("DELETE", "/restart", None, 404),
                                         ("DELETE", "/switchover", None, 404), ("POST", "/switchover", {}, 400),
                                         ("POST", "/switchover", {"leader": "nobody"}, 412), ("POST", "/failover", {"leader": p.name}, 400),
                                         ("POST", "/reinitialize", {}, 503), ("POST", "/restart", {"colour": 1}, 400),
                                         ("PATCH", "/config", {"ttl": 99}, 422), ("PATCH", "/config", "nonsense", 400)):
            self.assertEqual(call(p, method, path, body, AUTH)[0], code, f"{method} {path} {body}")
        # No secret of ours in what an operator may read.
        for path in ("/status", "/metrics", "/patroni"):
            self.assertNotIn(PASSWORD, call(p, "GET", path)[1])
        with open(p.agent_log, encoding="utf-8", errors="replace") as f:
            log = f.read()
        self.assertNotIn(PASSWORD, log)
        self.assertNotIn(AUTH["Authorization"][6:], log)
        self.assertRegex(log, r'"action":"http.denied"[^\n]*"rpc":"POST /switchover"[^\n]*HTTP 401: no auth header received')

    def test_config_is_compare_and_swap(self):
        p = self.c.wait_ready(BOUND)
        r = self.others(p)[0]
        tag = call(p, "GET", "/config")[2]["ETag"]
        code, body, headers = call(r, "PATCH", "/config", {"pause": True}, {**AUTH, "If-Match": tag})  # handed on to the primary
        self.assertEqual((code, json.loads(body)["pause"]), (200, True), body)
        self.assertNotEqual(headers["ETag"], tag)
        self.c.wait("all know of it", lambda: all((s or {}).get("paused") for s in self.c.statuses().values()), BOUND)
        self.assertEqual(self.codes(p), PRIMARY)
        self.assertTrue(json.loads(call(r, "GET", "/patroni")[1])["pause"])
        self.assertEqual(call(p, "PATCH", "/config", {"pause": None}, {**AUTH, "If-Match": tag})[0], 409)
        self.assertEqual(call(p, "POST", "/switchover", {"leader": p.name}, AUTH)[0], 400)  # paused: only with a candidate
        self.assertEqual(call(p, "POST", "/restart", {"schedule": "2099-01-01T00:00:00Z"}, AUTH)[0], 500)
        self.assertEqual(call(p, "PATCH", "/config", {"pause": None}, AUTH)[0], 200)
        code, body, _ = call(p, "PATCH", "/config", {"synchronous_mode_strict": True}, AUTH)
        self.assertEqual((code, json.loads(body)["synchronous_mode_strict"]), (200, True), body)
        self.c.wait("strict", lambda: p.status()["durability"]["in_force"] == "strict", BOUND)
        self.assertEqual(call(p, "PUT", "/config", {"ttl": 3}, AUTH)[0], 200)  # back to the file's
        self.c.wait("guarded", lambda: p.status()["durability"]["in_force"] == "guarded", BOUND)

    def test_a_tool_like_patronictl(self):
        load, p = self.start_load(), self.c.wait_ready(BOUND)
        r = self.others(p)[0]
        tool = Tool(r)
        since = now_ns()
        self.assertEqual(tool.switchover(r.name), (200, f'Successfully switched over to "{r.name}"\n'))
        self.assertTrue(load.wait_acked(r.name, since, 5, BOUND), self.c.describe())
        self.c.wait_ready(BOUND)
        self.c.wait("the tool sees it", lambda: tool.leader()["name"] == r.name, BOUND)
        for m in self.c.members:
            self.history(m, r)
        # Asked of a member that does not lead: handed on.
        code, text, _ = call(self.c[p.name], "POST", "/switchover", {"leader": r.name, "candidate": p.name}, AUTH)
        self.assertEqual((code, text), (200, f'Successfully switched over to "{p.name}"\n'))
        self.c.wait_ready(BOUND)
        # Scheduled, shown, kept over a restart of the agent, deleted; then one that comes due.
        self.c.wait("the tool sees it", lambda: tool.leader()["name"] == p.name, BOUND)
        self.assertEqual(tool.switchover(r.name, "2099-01-01T00:00:00+00:00")[0], 202)
        self.assertEqual(json.loads(call(p, "GET", "/cluster")[1])["scheduled_switchover"],
                         {"at": "2099-01-01T00:00:00+00:00", "from": p.name, "to": r.name})
        p.agent.kill()
        p.start_agent()
        self.c.wait("its agent answers", p.status, BOUND)
        self.assertIn("scheduled_switchover", json.loads(call(p, "GET", "/cluster")[1]))
        self.assertEqual(call(p, "DELETE", "/switchover", None, AUTH)[0], 200)
        self.c.wait_ready(BOUND)
        leader = self.c.primary()
        target = self.others(leader)[0]
        self.c.wait("the tool sees it", lambda: tool.leader()["name"] == leader.name, BOUND)
        soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)).isoformat()
        self.assertEqual(tool.switchover(target.name, soon)[0], 202)
        self.c.wait("the scheduled switchover", lambda: self.c.primary() is target, BOUND)
        self.finish(load)

    def test_restart_reload_reinitialize(self):
        p = self.c.wait_ready(BOUND)
        r = self.others(p)[0]
        before = r.postmaster_pid()
        self.assertEqual(call(r, "POST", "/restart", {"role": "primary"}, AUTH)[0], 503)
        self.assertEqual(call(r, "POST", "/restart", None, AUTH)[0], 200)
        self.assertNotEqual(r.postmaster_pid(), before)
        self.c.wait_ready(BOUND)
        r.overrides["tags/no_load_balance"] = True
        r.write_config()
        self.assertEqual(call(r, "POST", "/reload", None, AUTH)[0], 202)
        self.c.wait("no reads for it", lambda: call(r, "GET", "/replica")[0] == 503, BOUND)
        self.assertEqual(call(r, "GET", "/replica?tag_noloadbalance=true")[0], 503)
        del r.overrides["tags/no_load_balance"]
        r.write_config()
        self.assertEqual(call(r, "POST", "/reload", None, AUTH)[0], 202)
        self.c.wait("reads again", lambda: call(r, "GET", "/replica")[0] == 200, BOUND)
        self.assertEqual(call(r, "POST", "/reinitialize", {"force": True}, AUTH)[0], 200)
        self.c.wait("it serves the new data", lambda: "/replica" in self.codes(r, {"/replica"}), BOUND)
        self.c.wait_ready(BOUND)

    # ---- who stands in front ----
    def haproxy(self):
        """The page's own configuration, with this cluster's addresses."""
        with open(os.path.join(DOCS, "ENDPOINTS.md"), encoding="utf-8") as f:
            block = re.search(r"## HAProxy.*?```\n(.*?)```", f.read(), re.S)[1]
        ports = {"5000": self.c.ports.take(), "5001": self.c.ports.take()}
        lines = ["global", "    maxconn 500", "defaults", "    mode tcp", "    log global", "    retries 2", "    timeout client 30m",
                 "    timeout connect 4s", "    timeout server 30m", "    timeout check 5s"]
        for line in block.splitlines():
            if line.strip().startswith("server a "):
                for m in self.c.members:
                    lines.append(re.sub(r"server a \S+ (.*)check port \d+",
                                        rf"server {m.name} 127.0.0.1:{m.pg_port} \1check port {m.http_port}", line))
            elif not line.strip().startswith("server "):
                lines.append(re.sub(r"bind \*:(\d+)", lambda x: f"bind 127.0.0.1:{ports[x[1]]}", line))
        path = os.path.join(self.c.scratch.path, "haproxy.cfg")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        subprocess.run(["/usr/sbin/haproxy", "-c", "-q", "-f", path], check=True, timeout=20)
        log = os.path.join(self.c.scratch.path, "haproxy.log")
        return procs.Proc("haproxy", ["/usr/sbin/haproxy", "-db", "-f", path], log, scratch=self.c.scratch,
                          env=self.c.environment()), ports["5000"], ports["5001"]

    def test_haproxy_through_a_failover(self):
        p = self.c.wait_ready(BOUND)
        proxy, write_port, read_port = self.haproxy()
        load = None
        try:
            dsn = p.dsn().replace(f"port={p.pg_port}", f"port={write_port}")
            load = Load({"proxy": dsn}, ids=self.c.ids, attempted=self.c.attempted).start()
            self.assertTrue(load.wait_acked(count=20, timeout=BOUND), self.c.describe())
            since = now_ns()
            p.kill_all()
            self.c.wait_primary(BOUND, other_than=p)
            self.assertTrue(load.wait_acked(after_ns=since + 2_000_000_000, count=20, timeout=BOUND), self.c.describe())
            say(f"haproxy: outage of writes {load.outage(since)[0]:.2f} s (its checks: every 3 s, 3 to fall)")
            p.start()
            self.c.wait_ready(BOUND)
            self.c.wait("reads at a standby", lambda: self.reads(p.dsn().replace(f"port={p.pg_port}", f"port={read_port}")) is True, BOUND)
            load.stop()
            self.assertEqual(self.c.check(load, BOUND), 0)
            self.assertGreater(load.acknowledged(), 50)
        finally:
            if load:
                load.stop()
            proxy.terminate(10)

    @staticmethod
    def reads(dsn):
        import psycopg2
        try:
            with psycopg2.connect(dsn) as c, c.cursor() as cursor:
                cursor.execute("SELECT pg_is_in_recovery()")
                return cursor.fetchone()[0]
        except psycopg2.Error:
            return None

    def test_keepalived_script(self):
        p = self.c.wait_ready(BOUND)
        with open(os.path.join(DOCS, "ENDPOINTS.md"), encoding="utf-8") as f:
            script = re.search(r'script "(.*?)"', f.read())[1]
        for m in self.c.members:
            argv = script.replace("7401", str(m.http_port)).split()
            got = subprocess.run(argv, capture_output=True, timeout=20, check=False).returncode
            self.assertEqual(got, 0 if m is p else 22)


class EndpointsTls(unittest.TestCase):
    """One port for both: certificates and passwords by TLS, plaintext reads."""
    def setUp(self):
        self.c = c = tls_cluster(1, profile="fast", durability="async")
        self.addCleanup(c.close)
        self.m = m = c.members[0]
        m.overrides["http/tls"] = True
        c.start()
        c.wait("a founder", c.announced_primary, BOUND)

    def curl(self, *argv, scheme="https"):
        """The code, as curl sees it; the server's certificate is always verified."""
        s = self.c.secret[self.m.name].config()
        out = subprocess.run(["/usr/bin/curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", s["ca"], "--connect-to",
                              f"agent.demo.mainstay:443:127.0.0.1:{self.m.http_port}", *argv[:-1],
                              f"https://agent.demo.mainstay{argv[-1]}" if scheme == "https" else f"http://127.0.0.1:{self.m.http_port}{argv[-1]}"],
                             capture_output=True, text=True, timeout=30, check=False)
        return out.stdout

    def test_certificates(self):
        s = self.c.secret[self.m.name].config()
        mine = ["--cert", s["cert"], "--key", s["key"]]
        folder = os.path.join(self.c.scratch.path, "strangers")
        other = self.files(self.c.authority.issue(os.path.join(folder, "a"), "bob", "agent.other.mainstay"), os.path.join(folder, "bob"))
        authority = Authority(os.path.join(folder, "ca"), "else")
        stranger = self.files(authority.issue(os.path.join(folder, "b"), "mallory", NAME), os.path.join(folder, "mallory"))
        patch = ["-X", "PATCH", "-d", '{"pause": true}']
        self.assertEqual(self.curl("/primary"), "200")
        self.assertEqual(self.curl("/primary", scheme="http"), "200")
        self.assertEqual(self.curl(*patch, "/config"), "403")
        self.assertEqual(self.curl(*patch, "/config", scheme="http"), "403")
        self.assertEqual(self.curl(*other, *patch, "/config"), "403")
        self.assertEqual(self.curl(*stranger, *patch, "/config"), "000")
        self.assertFalse(self.m.status().get("paused"))
        self.assertEqual(self.curl(*mine, *patch, "/config"), "200")
        self.assertTrue(self.m.status().get("paused"))
        with open(self.m.agent_log, encoding="utf-8", errors="replace") as f:
            self.assertRegex(f.read(), r'"name":"a"[^\n]*"authn":"mtls"[^\n]*"rpc":"PATCH /config"')

    @staticmethod
    def files(texts, folder):
        os.makedirs(folder)
        for name, text in texts.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        return ["--cert", os.path.join(folder, "tls.crt"), "--key", os.path.join(folder, "tls.key")]


if __name__ == "__main__":
    main()
