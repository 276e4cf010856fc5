"""A release of a chart (engine.py) in a bed: install, who is who, when all is well, what to keep when it is not.

    w = World.up("hf", ENGINES["redis"], say); w.install(); w.wait_well(); load = w.load().start(); ...; w.judge(load); w.close()

Members are pods RELEASE-0 ... of the namespace; `primary` is the one that the role's label names. Everything is asked with a time limit;
while the API server is away, the last known members are used.
"""
import base64
import itertools
import json
import os
import time
import urllib.request

import bed as bed_
import cluster
import layout
import load as load_
import shell
from procs import now

NAMESPACE, ROLE = "db", "mainstay.io/role"
LOGS = os.path.join(layout.ROOT, "build", "cluster-logs")
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
AGENT = {"mainstay": {"image": {"repository": "docker.io/mainstay/agent", "tag": "dev", "pullPolicy": "Never"}}, "image": {"pullPolicy": "Never"}}


class Failure(AssertionError):
    """What was promised did not happen; the text says what was seen instead."""


class World:
    """One bed with one release."""

    def __init__(self, bed, engine, say):
        self.bed, self.engine, self.say, self.api = bed, engine, say, bed.api
        self.release = engine.release
        self.values = self.first_values()
        self.instances, self.ids = 3, itertools.count(1)
        self.known = []  # the last [(pod, target, netns)] that could be read
        self.service = self.password = None
        self.attempted = set()

    @classmethod
    def up(cls, prefix, engine, say, keep=False):
        """KEEP: a bed without an owner, which stays; one of the prefix that is up already is used (images anew, release anew)."""
        images = [os.path.join(layout.images_dir(), f"{n}.tar") for n in engine.images]
        if keep:
            made = cluster.Cluster(prefix, 3)
            if made.exists():
                made.load(images)
                world = cls(bed_.Bed.attach(prefix), engine, say)
                world.clear()
                return world
            made.up(images=images, say=say)
            world = cls(bed_.Bed(made, ours=False), engine, say)
        else:
            world = cls(bed_.Bed.up(3, prefix, images, say=say), engine, say)
        world.bed.kubectl("create", "namespace", NAMESPACE)
        world.bed.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        return world

    def close(self):
        self.bed.close()

    @property
    def deadline(self):
        return self.engine.deadline[self.values["mainstay"].get("election", {}).get("profile", "default")]

    def first_values(self):
        return json.loads(json.dumps({**AGENT, **self.engine.values, "image": AGENT["image"]}))

    @property
    def parameters(self):
        return self.values[self.engine.section]["parameters"]

    # ---- the release ----
    def helm(self, verb):
        """install or upgrade with the values of now."""
        path = os.path.join(self.bed.layout.dir, "values.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({**self.values, "instances": self.instances}, f)
        return self.bed.helm("-n", NAMESPACE, verb, self.release, self.engine.chart, "-f", path)

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
        address = self.bed.get("service", self.release, NAMESPACE)["spec"]["clusterIP"]
        secret = self.bed.get("secret", self.engine.secret, NAMESPACE)["data"][self.engine.key]
        self.password = base64.b64decode(secret).decode().split("\n")[0]  # the newest of those that let in
        self.service = address

    def uninstall(self):
        """The release is gone, its volumes, lock and Secrets stay."""
        self.bed.helm("-n", NAMESPACE, "uninstall", self.release, "--wait", "--timeout", "110s")
        self.wait("the pods are gone", lambda: not self.pods(), 110)

    def clear(self):
        """Whatever was: every release of the namespace away, volumes too."""
        releases = {self.release, *self.bed.helm("-n", NAMESPACE, "list", "-aq", check=False).split()}
        for release in sorted(releases):
            self.bed.helm("-n", NAMESPACE, "uninstall", release, check=False)
        self.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", check=False)
        self.kubectl("delete", "pvc,secret", "-l", "mainstay.io/cluster", "--timeout=60s", timeout=70, check=False)
        for release in sorted(releases):
            self.kubectl("delete", "configmap,lease", f"{release}-mainstay", check=False)
        self.wait("the pods are gone", lambda: not self.pods(), 60)
        self.bed.recycle_volumes()

    def reset(self):
        """Founded anew."""
        self.clear()
        election = self.values["mainstay"].get("election")
        self.values = self.first_values()
        if election:
            self.values["mainstay"]["election"] = election
        self.instances = 3
        self.install()
        self.prepare()

    def prepare(self):
        """What clients need. What is wrong, if anything."""
        return self.engine.prepare(self)

    def helm_test(self):
        """What is wrong, if anything."""
        try:
            self.bed.helm("-n", NAMESPACE, "test", self.release, "--timeout", "110s")
            return []
        except shell.Failed as failure:
            return [f"helm test: {failure} {self.kubectl('logs', '-l', 'app.kubernetes.io/component=test', '--tail=20', check=False)}"]

    def kubectl(self, *args, timeout=60, check=True, stdin=None):
        return self.bed.kubectl("-n", NAMESPACE, *args, timeout=timeout, check=check, stdin=stdin)

    # ---- members ----
    def pods(self):
        """The release's members by name, whatever their state."""
        items = self.api.get(f"{PODS}?labelSelector=mainstay.io%2Fcluster%3D{self.release}", timeout=3)["items"]
        found = {i["metadata"]["name"]: i for i in items}
        return {n: p for n, p in sorted(found.items()) if n.rpartition("-")[0] == self.release and n.rpartition("-")[2].isdigit()}

    def members(self):
        """[(pod, target, namespace of its node)] as last seen."""
        try:
            self.known = [(n, self.target(p["status"]["podIP"]), self.bed.netns(p["spec"]["nodeName"]))
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

    def target(self, host):
        return self.engine.target(host, self.password)

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
        why = self.engine.unwell(self, pods, primary, s)
        if why:
            return why
        others = sorted(set(pods) - {primary})
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
        return load_.Load(self.engine, self.target(self.service), self.bed.netns(self.writer_node()), self.members, self.ids)

    def judge(self, load, planned=True):
        """After load.stop(): compares every acknowledged write with every member. (lost, unconfirmed ones that are not there, overlap in ms,
        problems)."""
        load.attempted = self.attempted
        self.wait_well(60)
        have = self.engine.everywhere(self, self.primary(), self.pods())
        lost, unconfirmed, problems = load.compare(have, planned)
        everywhere = set.intersection(*(set().union(*tables.values()) for tables in have.values()))
        overlap = load.overlap_ms(everywhere)
        if overlap:
            problems.append(f"two members acknowledged at the same time for {overlap:.1f} ms")
        return len(lost), unconfirmed, overlap, problems

    def empty(self):
        """What was compared need not be carried on."""
        self.engine.empty(self)

    # ---- evidence ----
    def keep_evidence(self, case, text):
        """What a person wants to see of a case that failed or took too long, in build/cluster-logs/ENGINE/CASE."""
        folder = os.path.join(LOGS, self.engine.name, case)
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
        keep("lock.yaml", "get", "configmap", f"{self.release}-mainstay", "-o", "yaml")
        for n in range(max(3, self.instances)):
            pod = f"{self.release}-{n}"
            keep(f"{pod}.agent.log", "logs", pod, "-c", "mainstay", "--timestamps", "--tail=4000")
            keep(f"{pod}.agent.before.log", "logs", pod, "-c", "mainstay", "--timestamps", "--tail=4000", "--previous")
            keep(f"{pod}.database.log", "logs", pod, "-c", self.engine.container, "--timestamps", "--tail=2000")
            keep(f"{pod}.status.txt", "exec", pod, "-c", "mainstay", "--", "mainstay", "status")
            keep(f"{pod}.why.txt", "exec", pod, "-c", "mainstay", "--", "mainstay", "why", "-n", "60")
        return folder
