"""A release of helm/postgresql in a bed: install, who is who, when all is well, what to keep when it is not.

    w = World.up("hf", say); w.install(); w.wait_well(); load = w.load().start(); ...; w.judge(load); w.close()

Members are pods pg-0 ... of the namespace; `primary` is the one that the role's label names. Everything is asked with a time limit;
while the API server is away, the last known members are used.
"""
import base64
import contextlib
import itertools
import json
import os
import time
import urllib.request

import psycopg2

import bed as bed_
import cluster
import layout
import load as load_
import shell
from procs import now
from workload import Late, Session

NAMESPACE, RELEASE, ROLE = "db", "pg", "mainstay.io/role"
CHART = os.path.join(layout.ROOT, "helm", "postgresql")
LOGS = os.path.join(layout.ROOT, "build", "cluster-logs")
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
# H + K of the profiles (docs/CONFIGURATION.md): after that an isolated primary has ended everything that could acknowledge.
DEADLINE = {"default": 7.5 + 2.0, "fast": 2.0 + 0.9}
VALUES = {
    "mainstay": {"image": {"repository": "docker.io/mainstay/agent", "tag": "dev", "pullPolicy": "Never"}},
    "image": {"pullPolicy": "Never"},
    "postgresql": {"databases": {"app": {"owner": "app"}}, "parameters": {"shared_buffers": "64MB", "work_mem": "4MB"}},
    "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
}


class Failure(AssertionError):
    """What was promised did not happen; the text says what was seen instead."""


class World:
    """One bed with one release."""

    def __init__(self, bed, say):
        self.bed, self.say, self.api = bed, say, bed.api
        self.values = json.loads(json.dumps(VALUES))
        self.instances, self.ids = 3, itertools.count(1)
        self.known = []  # the last [(pod, dsn, netns)] that could be read
        self.service = self.password = None
        self.attempted = set()

    @classmethod
    def up(cls, prefix, say, keep=False):
        """KEEP: a bed without an owner, which stays; one of the prefix that is up already is used (images anew, release anew)."""
        images = [os.path.join(layout.images_dir(), f"{n}.tar") for n in ("agent", "postgres")]
        if keep:
            made = cluster.Cluster(prefix, 3)
            if made.exists():
                made.load(images)
                world = cls(bed_.Bed.attach(prefix), say)
                world.clear()
                return world
            made.up(images=images, say=say)
            world = cls(bed_.Bed(made, ours=False), say)
        else:
            world = cls(bed_.Bed.up(3, prefix, images, say=say), say)
        world.bed.kubectl("create", "namespace", NAMESPACE)
        world.bed.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        return world

    def close(self):
        self.bed.close()

    @property
    def deadline(self):
        return DEADLINE[self.values["mainstay"].get("election", {}).get("profile", "default")]

    # ---- the release ----
    def helm(self, verb):
        """install or upgrade with the values of now."""
        path = os.path.join(self.bed.layout.dir, "values.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({**self.values, "instances": self.instances}, f)
        return self.bed.helm("-n", NAMESPACE, verb, RELEASE, CHART, "-f", path)

    def install(self):
        """Seconds until every member was Ready."""
        begun = now()
        self.helm("install")
        self.wait_well(180)
        took = now() - begun
        self.service_of()
        return took

    def service_of(self):
        """Address of the primary's Service and the password, of now."""
        address = self.bed.get("service", RELEASE, NAMESPACE)["spec"]["clusterIP"]
        secret = self.bed.get("secret", f"{RELEASE}-user-app", NAMESPACE)["data"]["password"]
        self.password = base64.b64decode(secret).decode()
        self.service = address

    def uninstall(self):
        """The release is gone, its volumes, lock and Secrets stay."""
        self.bed.helm("-n", NAMESPACE, "uninstall", RELEASE, "--wait", "--timeout", "110s")
        self.wait("the pods are gone", lambda: not self.pods(), 110)

    def clear(self):
        """Whatever was: everything of the release away, volumes too."""
        self.bed.helm("-n", NAMESPACE, "uninstall", RELEASE, check=False)
        self.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", check=False)
        self.kubectl("delete", "pvc,secret", "-l", f"mainstay.io/cluster={RELEASE}", "--timeout=60s", timeout=70, check=False)
        self.kubectl("delete", "configmap,lease", f"{RELEASE}-mainstay", check=False)
        self.wait("the pods are gone", lambda: not self.pods(), 60)
        self.bed.recycle_volumes()

    def reset(self):
        """Founded anew."""
        self.clear()
        self.values["postgresql"]["parameters"] = dict(VALUES["postgresql"]["parameters"])
        self.instances = 3
        self.install()
        self.tables()

    def tables(self):
        """The application's own, made by the role and in the database that the values name. What is wrong, if anything."""
        def make():
            return self.sql(self.service, load_.CREATE + " SELECT 1", self.writer_node())
        try:
            self.wait("the tables are made", make, 20)
            return []
        except Failure as late:
            psql = ["exec", "-i", self.primary(), "-c", "postgres", "--", "psql", "-h", "/var/run/postgresql", "-U", "postgres", "-q", "-f", "-"]
            told = self.bed.kubectl("-n", NAMESPACE, *psql, stdin=f"CREATE ROLE app LOGIN PASSWORD '{self.password}';\nCREATE DATABASE app OWNER app;\n")
            make()
            return [f"role and database of the values were not there, made by hand: {late} {told}"]

    def helm_test(self):
        """What is wrong, if anything."""
        try:
            self.bed.helm("-n", NAMESPACE, "test", RELEASE, "--timeout", "110s")
            return []
        except shell.Failed as failure:
            return [f"helm test: {failure} {self.kubectl('logs', '-l', 'app.kubernetes.io/component=test', '--tail=20', check=False)}"]

    def kubectl(self, *args, timeout=60, check=True):
        return self.bed.kubectl("-n", NAMESPACE, *args, timeout=timeout, check=check)

    # ---- members ----
    def pods(self):
        """The release's members by name, whatever their state."""
        items = self.api.get(f"{PODS}?labelSelector=mainstay.io%2Fcluster%3D{RELEASE}", timeout=3)["items"]
        found = {i["metadata"]["name"]: i for i in items}
        return {n: p for n, p in sorted(found.items()) if n.rpartition("-")[0] == RELEASE and n.rpartition("-")[2].isdigit()}

    def members(self):
        """[(pod, dsn, namespace of its node)] as last seen."""
        try:
            self.known = [(n, self.dsn(p["status"]["podIP"]), self.bed.netns(p["spec"]["nodeName"]))
                          for n, p in self.pods().items() if p["status"].get("podIP")]
        except Exception:  # the API server is away: that is one of the cases
            pass
        return self.known

    def address(self, pod):
        return self.pods()[pod]["status"]["podIP"]

    def node_of(self, pod):
        return self.pods()[pod]["spec"]["nodeName"]

    def primary(self):
        """Name of the one pod that the Service sends clients to; None: none or more than one."""
        found = [n for n, p in self.pods().items() if p["metadata"]["labels"].get(ROLE) == "primary"]
        return found[0] if len(found) == 1 else None

    def writer_node(self):
        """A node without the primary, so that clients outlive its death."""
        home = self.node_of(self.primary())
        return next(n.name for n in self.bed.layout.nodes if n.name != home)

    def status(self, pod, timeout=2):
        """What a member's agent says of itself and the others. Asked on the pod's own node."""
        found = self.pods()[pod]
        with self.bed.inside(found["spec"]["nodeName"]):
            with urllib.request.urlopen(f"http://{found['status']['podIP']}:7401/status", timeout=timeout) as answer:
                return json.load(answer)

    def dsn(self, host):
        return load_.dsn(host, "app", self.password)

    def sql(self, host, statement, node, timeout=30.0):
        with self.bed.inside(node):
            session = Session(self.dsn(host), 5.0)
            try:
                return session.run(statement, timeout=timeout)
            finally:
                session.close()

    # ---- well ----
    def unwell(self):
        """Why not all is well; empty: every member is Ready, streams and counts, and one leads."""
        pods = self.pods()
        if len(pods) != self.instances:
            return f"{len(pods)} pods, not {self.instances}"
        late = [n for n, p in pods.items() if not bed_.pod_ready(p)]
        if late:
            return f"not Ready: {', '.join(late)}"
        primary = self.primary()
        if not primary:
            return "no pod, or more than one, has the label of a primary"
        s = self.status(primary)
        if s["role"] != "primary" or not s["database"]["writable"]:
            return f"{primary} has the label and is {s['role']}, phase {s['phase']}"
        others = sorted(set(pods) - {primary})
        if sorted(s["durability"]["sync_names"]) != others:
            return f"{primary} is acknowledged by {s['durability']['sync_names']}, not yet by {others}"
        roles = {n: p["metadata"]["labels"].get(ROLE) for n, p in pods.items()}
        if any(roles[n] != "replica" for n in others):
            return f"labels {roles}"
        return ""

    def wait_well(self, timeout=120):
        """Seconds (of the clock) when all was well."""
        end, told, why = now() + timeout, now(), "?"
        while True:
            try:
                why = self.unwell()
                if not why:
                    return now()
            except Exception as failure:  # not asked successfully is not well
                why = f"{type(failure).__name__} {str(failure)[:300]}"
            if now() > end:
                raise Failure(f"not well within {timeout} s: {why}")
            if now() - told > 15:
                told = now()
                self.say(f"... waits: {why}")
            time.sleep(0.2)

    def wait(self, what, condition, timeout=60, every=0.1):
        try:
            return self.bed.wait(what, condition, timeout, every)
        except shell.Failed as late:
            raise Failure(str(late)) from late

    # ---- load and judgement ----
    def load(self):
        return load_.Load(self.dsn(self.service), self.bed.netns(self.writer_node()), self.members, self.ids)

    def judge(self, load):
        """After load.stop(): compares every acknowledged row with every member. (lost, overlap in ms, problems)."""
        load.attempted = self.attempted
        self.wait_well(60)
        primary, pods = self.primary(), self.pods()
        addresses = {n: (p["status"]["podIP"], p["spec"]["nodeName"]) for n, p in pods.items()}
        target = self.sql(addresses[primary][0], "SELECT pg_current_wal_flush_lsn()", addresses[primary][1])[0][0]
        have = {}
        for name, (host, node) in addresses.items():
            if name != primary:
                replayed = f"SELECT pg_last_wal_replay_lsn() >= '{target}'::pg_lsn"
                self.wait(f"{name} replayed {target}", lambda h=host, n=node, q=replayed: self.sql(h, q, n)[0][0], 60)
            have[name] = {t: {r[0] for r in self.sql(host, f"SELECT id FROM {t}", node)} for t in load_.TABLES}
        lost, problems = load.compare(have)
        everywhere = set.intersection(*(set().union(*tables.values()) for tables in have.values()))
        overlap = load.overlap_ms(everywhere)
        if overlap:
            problems.append(f"two members acknowledged at the same time for {overlap:.1f} ms")
        return len(lost), overlap, problems

    def empty(self):
        """What was compared need not be carried on."""
        with contextlib.suppress(psycopg2.Error, Late):
            self.sql(self.service, "TRUNCATE mainstay_rows, mainstay_probe", self.writer_node(), 10)

    # ---- evidence ----
    def keep_evidence(self, case, text):
        """What a person wants to see of a case that failed or took too long, in build/cluster-logs/CASE."""
        folder = os.path.join(LOGS, case)
        os.makedirs(folder, exist_ok=True)

        def keep(name, *args):
            try:
                told = self.bed.kubectl("-n", NAMESPACE, *args, timeout=15, check=False)
            except (shell.Failed, OSError) as failure:
                told = f"{failure}\n"
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(told)
        with open(os.path.join(folder, "failure.txt"), "w", encoding="utf-8") as f:
            f.write(f"{time.strftime('%F %T')} {text}\n")
        keep("pods.txt", "get", "pods", "-o", "wide", "-L", ROLE)
        keep("describe.txt", "describe", "pods")
        keep("events.txt", "get", "events.events.k8s.io", "--sort-by=.metadata.creationTimestamp")
        keep("endpointslices.yaml", "get", "endpointslices", "-o", "yaml")
        keep("lock.yaml", "get", "configmap", f"{RELEASE}-mainstay", "-o", "yaml")
        for n in range(max(3, self.instances)):
            pod = f"{RELEASE}-{n}"
            keep(f"{pod}.agent.log", "logs", pod, "-c", "mainstay", "--timestamps", "--tail=4000")
            keep(f"{pod}.agent.before.log", "logs", pod, "-c", "mainstay", "--timestamps", "--tail=4000", "--previous")
            keep(f"{pod}.postgres.log", "logs", pod, "-c", "postgres", "--timestamps", "--tail=2000")
            keep(f"{pod}.status.txt", "exec", pod, "-c", "mainstay", "--", "mainstay", "status")
            keep(f"{pod}.why.txt", "exec", pod, "-c", "mainstay", "--", "mainstay", "why", "-n", "60")
        return folder
