#!/usr/bin/python3
"""Our Elector and client-go's take part in one election on a real API server, in both kinds of lock, and respect each other.

Never two at the same time; each takes over after the other's release and after the other's death (kill -9). Ours runs with exactly
the rights that lib/lease/kube_store.h asks for. $MAINSTAY_BUILD: the build folder. Status 3: cannot be run here, and why.
"""
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test", "kube"))
import apiserver
import build
import layout
import pki
import procs

BUILD = os.environ.get("MAINSTAY_BUILD") or os.path.join(ROOT, "build", "release")
NAMESPACE = "election"
CORE, LEASES = "/api/v1/namespaces/" + NAMESPACE, "/apis/coordination.k8s.io/v1/namespaces/" + NAMESPACE
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/" + NAMESPACE
LEASE = 4  # seconds, of both
GROUPS = {"configmaps": "", "leases": "coordination.k8s.io"}
RIGHTS = {  # as in the banner of lib/lease/kube_store.h
    "configmap": [("configmaps", ["get", "update", "watch"], True), ("configmaps", ["create"], False)],
    "lease": [("leases", ["get", "update", "watch"], True), ("leases", ["create"], False),
              ("configmaps", ["get", "patch"], True), ("configmaps", ["create"], False)],
}
SERVER = None


def go_elector():
    """client-go's elector, built when its source has changed (seconds; Go keeps what it compiled)."""
    target = os.path.join(layout.cache(), "elector", "elector")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    done = subprocess.run(["nice", build.find_go(), "build", "-trimpath", "-ldflags", "-s -w", "-o", target, "."], env=env, check=False,
                          cwd=os.path.join(ROOT, "test", "kube", "go", "elector"), timeout=600, capture_output=True, text=True)
    if done.returncode:
        raise layout.CannotHere(f"test/kube/go/elector cannot be built (its modules come from the Go module proxy): {done.stderr[-800:]}")
    return target


def account_with(kind, lock):
    """Path of a kubeconfig for an account that may do what the store needs, and nothing else."""
    api = SERVER.api
    rules = []
    for resource, verbs, named in RIGHTS[kind]:
        rules.append({"apiGroups": [GROUPS[resource]], "resources": [resource], "verbs": verbs, **({"resourceNames": [lock]} if named else {})})
    api.create(CORE + "/serviceaccounts", {"metadata": {"name": lock}})
    api.create(RBAC + "/roles", {"metadata": {"name": lock}, "rules": rules})
    api.create(RBAC + "/rolebindings", {"metadata": {"name": lock}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": lock},
                                        "subjects": [{"kind": "ServiceAccount", "name": lock, "namespace": NAMESPACE}]})
    path = os.path.join(SERVER.folder, lock + ".kubeconfig")
    pki.write_kubeconfig(path, SERVER.url, SERVER.ca, api.service_account_token(NAMESPACE, lock))
    return path


class Election:
    """The electors of one lock, and what they did."""

    def __init__(self, kind):
        self.kind, self.lock = kind, "lock-" + kind
        self.acts = os.path.join(SERVER.folder, self.lock + ".acts")
        self.log = open(os.path.join(SERVER.folder, self.lock + ".log"), "w", encoding="utf-8")
        self.rights = account_with(kind, self.lock)
        self.running = {}

    def start(self, name):
        if name.startswith("ours"):
            argv = [os.path.join(BUILD, "test/conformance/kube_elector"), self.rights, self.kind, NAMESPACE, self.lock, name, self.acts]
        else:
            argv = [GO, "-kubeconfig", SERVER.kubeconfig, "-kind", self.kind, "-namespace", NAMESPACE, "-lock", self.lock, "-name", name,
                    "-acts", self.acts, "-lease", f"{LEASE}s"]
        self.running[name] = subprocess.Popen(argv, stdout=self.log, stderr=self.log)

    def end(self, name, how):
        self.running[name].send_signal(how)
        code = self.running.pop(name).wait(20)
        if how == signal.SIGTERM and name.startswith("ours"):
            assert code == 0, f"{name} did not give the lock up: status {code}"

    def last(self):
        """Who acted last, and how many seconds ago."""
        try:
            with open(self.acts, "rb") as f:
                f.seek(0, os.SEEK_END)
                f.seek(max(0, f.tell() - 200))
                lines = f.read().decode().strip().split("\n")
        except FileNotFoundError:
            return "", 1e9
        if not lines[-1]:
            return "", 1e9
        name, at = lines[-1].split()
        return name, (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - int(at)) / 1e9

    def wait_for(self, name, seconds):
        """Until NAME acts; how long that took."""
        begun = procs.now()
        while procs.now() - begun < seconds:
            who, ago = self.last()
            if who == name and ago < 0.1:
                return procs.now() - begun
            time.sleep(0.02)
        raise AssertionError(f"{self.kind}: {name} does not lead within {seconds} s; last was {self.last()}\n{self.tail()}")

    def stays(self, name, seconds):
        begun = procs.now()
        while procs.now() - begun < seconds:
            who, ago = self.last()
            assert who == name and ago < 1, f"{self.kind}: {name} should lead, but {who} acted {ago:.2f} s ago\n{self.tail()}"
            time.sleep(0.05)

    def tail(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as f:
            return "".join(f.readlines()[-30:])

    def reigns(self):
        """[(name, first, last)] in the order of time; a break of a second or another name begins a new one."""
        out = []
        with open(self.acts, encoding="utf-8") as f:
            acts = sorted((int(at), name) for name, at in (line.split() for line in f))
        for at, name in acts:
            if out and out[-1][0] == name and at - out[-1][2] < 1e9:
                out[-1][2] = at
            else:
                out.append([name, at, at])
        return out

    def close(self):
        for process in self.running.values():
            process.kill()
            process.wait(10)
        self.log.close()


def requests_of(lock, since):
    """{verb and resource: how many} that the account of LOCK asked of the server since SINCE (of its audit log)."""
    user, found = f"system:serviceaccount:{NAMESPACE}:{lock}", {}
    with open(SERVER.audit_log, encoding="utf-8") as f:
        for entry in map(json.loads, f):
            if entry["user"]["username"] == user and entry["stage"] == "ResponseComplete" and entry["requestReceivedTimestamp"] > since:
                what = f"{entry['verb']} {entry['objectRef']['resource']}"
                found[what] = found.get(what, 0) + 1
    return found


def leader_of(kind, lock):
    if kind == "lease":
        return SERVER.api.get(f"{LEASES}/leases/{lock}")["spec"]
    return json.loads(SERVER.api.get(f"{CORE}/configmaps/{lock}")["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"])


def play(kind, told):
    """The whole story of one kind; TOLD gets what was measured."""
    election = Election(kind)
    transitions = "leaseTransitions" if kind == "lease" else "leaderTransitions"
    try:
        election.start("ours-a")
        told["first"] = election.wait_for("ours-a", 30)
        election.start("go-a")
        election.stays("ours-a", 2 * LEASE)  # client-go sees our renewals
        record = leader_of(kind, election.lock)
        assert record["holderIdentity"].startswith("ours-a_"), record
        assert record["leaseDurationSeconds"] == LEASE + 1 and record[transitions] > 0, record
        form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d" + (r"\.\d{6}Z" if kind == "lease" else "Z")
        assert re.fullmatch(form, record["renewTime"]) and re.fullmatch(form, record["acquireTime"]), record

        # A holder renews with one PUT; who waits is told by its watch and asks for nothing.
        election.start("ours-w")
        time.sleep(3)
        begun, since = procs.now(), datetime.datetime.now(datetime.timezone.utc).isoformat()
        election.stays("ours-a", 8)
        passed, asked = procs.now() - begun, requests_of(election.lock, since)
        told["requests in 8 s"] = dict(asked)
        lock = "leases" if kind == "lease" else "configmaps"
        writes = asked.pop("update " + lock, 0)
        assert passed / 0.8 * 0.7 <= writes <= passed / 0.8 + 2, (writes, asked)
        assert sum(asked.values()) <= (1 if kind == "lease" else 0), asked  # Lease: its state is looked at every 30 s
        election.end("ours-w", signal.SIGTERM)

        election.end("ours-a", signal.SIGTERM)
        told["go after our release"] = election.wait_for("go-a", LEASE)  # at once: no lease to wait for
        election.start("ours-b")
        election.stays("go-a", 2 * LEASE)  # we see a foreign holder that renews
        election.end("go-a", signal.SIGTERM)
        told["ours after its release"] = election.wait_for("ours-b", 2 * LEASE + 4)

        election.start("go-b")
        election.stays("ours-b", LEASE)
        election.end("ours-b", signal.SIGKILL)
        told["go after our death"] = election.wait_for("go-b", 2 * LEASE + 4)
        election.start("ours-c")
        election.stays("go-b", LEASE + 1)
        election.end("go-b", signal.SIGKILL)
        told["ours after its death"] = election.wait_for("ours-c", 2 * LEASE + 4)
        election.end("ours-c", signal.SIGTERM)
        record = leader_of(kind, election.lock)
        assert record.get("holderIdentity", "") == "" and record["leaseDurationSeconds"] == 1, record
        assert record["renewTime"] == record["acquireTime"], record

        reigns = election.reigns()
        assert [r[0] for r in reigns] == ["ours-a", "go-a", "ours-b", "go-b", "ours-c"], reigns  # each once: none overlaps another
        told["gaps"] = [round((after[1] - before[2]) / 1e9, 2) for before, after in zip(reigns, reigns[1:])]
    finally:
        election.close()


class Respect(unittest.TestCase):
    """Both kinds side by side: most of it is waiting."""

    def test_both_respect_each_other(self):
        failures, told = [], {}

        def one(kind):
            told[kind] = {}
            try:
                play(kind, told[kind])
            except Exception as failure:  # pylint: disable=broad-except
                failures.append(f"{kind}: {failure!r}")
        threads = [threading.Thread(target=one, args=(kind,)) for kind in RIGHTS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for kind, figures in told.items():
            print(kind, {k: round(v, 2) if isinstance(v, float) else v for k, v in figures.items()})
        self.assertEqual([], failures)


def main():
    global SERVER, GO
    procs.unwind_on_signals()
    try:
        GO = go_elector()
        with apiserver.ApiServer(audit=True) as SERVER:
            SERVER.api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
            return 0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1
    except layout.CannotHere as reason:
        print(f"SKIPPED LOUDLY: {reason}", file=sys.stderr)
        return layout.EXIT_CANNOT


if __name__ == "__main__":
    sys.exit(main())
