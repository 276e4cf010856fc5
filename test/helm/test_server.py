#!/usr/bin/python3
"""The charts in a real API server without nodes: what the server says to every object, what an upgrade, an uninstall and a reinstall keep,
what the Role allows and what not. Pods are made by hand from the StatefulSet's template: nobody runs them, but admission looks at them."""
import base64
import glob
import os
import unittest

from helmcase import *  # noqa: F403
from helmcase import CHART, REDIS, layout, sets, skip, yaml

import apiserver  # of test/kube
import kubeapi

LOCK = {"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "pg-mainstay", "annotations": {"control-plane.alpha.kubernetes.io/leader": '{"holderIdentity":"pg-1"}', "mainstay.io/renewal": "7"}},
        "data": {"state": '{"epoch":3}'}}


class Server:
    """What holds for every chart; the release is always pg. `app`: values with one client; `kept`: Secrets that outlive the release, `login`
    among them is the client's; `reloaded` and `restarting`: values that change the agents' file, and the pods."""
    chart = service = app = kept = login = uri = reloaded = restarting = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.server = apiserver.ApiServer()
            cls.server.begin()
        except layout.CannotHere as e:
            skip(str(e))
        cls.addClassCleanup(cls.server.close)
        cls.count = 0

    def namespace(self):
        """A fresh one that takes only pods that pass PSS restricted."""
        type(self).count += 1
        name = f"t{self.count}"
        label = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        self.server.api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": label}})
        self.path = f"/api/v1/namespaces/{name}"
        return name

    def run_helm(self, helm, *args, check=True):
        return helm.run(*args, "--kubeconfig", self.server.kubeconfig, check=check)

    def install(self, helm, namespace, *args, verb="install"):
        done = self.run_helm(helm, verb, "pg", self.chart, "--namespace", namespace, *args)
        self.assertNotIn("would violate PodSecurity", done.stderr)
        self.assertNotIn("unknown field", done.stderr)
        return done

    def get(self, kind, name):
        return self.server.api.get(f"{self.path}/{kind}/{name}")

    def workload(self, namespace):
        return self.server.api.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/pg")

    def passwords(self):
        return {name: self.get("secrets", name)["data"] for name in (*self.kept, "pg-tls")}

    def test_every_values_file_and_its_pods(self):
        without_crds = sets({"mainstay.podMonitor.enabled": False, "mainstay.tls.certManager.enabled": False, "nameOverride": "", "fullnameOverride": "pg",
                             "priorityClassName": "", "runtimeClassName": ""})
        for helm in self.each():
            for path in sorted(glob.glob(f"{self.chart}/ci/*-values.yaml")):
                with self.subTest(values=os.path.basename(path)):
                    namespace = self.namespace()
                    self.install(helm, namespace, "-f", path, *without_crds, *sets({"service.primary.nodePort": 30000 + self.count}))
                    template = self.workload(namespace)["spec"]["template"]
                    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "pg-0"}, "spec": template["spec"]}
                    # Only the StatefulSet's controller adds the claim's volume.
                    for claim in self.workload(namespace)["spec"].get("volumeClaimTemplates", []):
                        name = claim["metadata"]["name"]
                        pod["spec"]["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": f"{name}-pg-0"}})
                    made = self.server.api.create(f"{self.path}/pods", pod)
                    self.assertEqual(made["spec"]["initContainers"][-1]["restartPolicy"], "Always")
                    test = [o for o in yaml.safe_load_all(self.run_helm(helm, "get", "hooks", "pg", "--namespace", namespace).stdout) if o]
                    self.server.api.create(f"{self.path}/pods", test[0])

    def test_notes(self):
        for helm in self.each():
            text = self.install(helm, self.namespace(), *sets(self.app)).stdout
            self.assertIn(f"pg.t{self.count}.svc:{self.service}", text)
            self.assertIn(f"get secret {self.login}", text)

    def test_an_upgrade_keeps_secrets_and_touches_no_lock(self):
        for helm in self.each():
            namespace = self.namespace()
            self.install(helm, namespace, *sets(self.app))
            before, workload = self.passwords(), self.workload(namespace)
            lock = self.server.api.create(f"{self.path}/configmaps", LOCK)
            # The same again: nothing changes, no pod is restarted.
            self.install(helm, namespace, *sets(self.app), verb="upgrade")
            self.assertEqual(self.workload(namespace)["metadata"]["generation"], workload["metadata"]["generation"])
            # What is reloaded: the agents' file changes, the pods' template does not.
            config = self.get("configmaps", "pg-config")["data"]
            self.install(helm, namespace, *sets({**self.app, **self.reloaded, "service.primary.port": 6432}), verb="upgrade")
            self.assertNotEqual(self.get("configmaps", "pg-config")["data"], config)
            marks = [w["spec"]["template"]["metadata"]["annotations"]["mainstay.io/restart-config"] for w in (workload, self.workload(namespace))]
            self.assertEqual(marks[0], marks[1])
            after = self.passwords()
            for name in {*self.kept, "pg-tls"} - {self.login}:
                self.assertEqual(after[name], before[name])
            self.assertEqual(after[self.login]["password"], before[self.login]["password"])
            self.assertIn(self.uri, base64.b64decode(after[self.login]["uri"]).decode())
            self.assertTrue(self.get("secrets", "pg-user-more")["data"]["password"])
            # What is not: the template changes, and nothing else of it.
            self.install(helm, namespace, *sets({**self.app, **self.restarting}), verb="upgrade")
            self.assertNotEqual(self.workload(namespace)["spec"]["template"]["metadata"]["annotations"]["mainstay.io/restart-config"], marks[0])
            self.run_helm(helm, "rollback", "pg", "1", "--namespace", namespace)
            self.assertEqual(self.passwords(), before)
            self.assertEqual(self.get("configmaps", "pg-mainstay"), lock)

    def test_uninstall_and_reinstall(self):
        for helm in self.each():
            namespace = self.namespace()
            self.install(helm, namespace, *sets(self.app))
            before = self.passwords()
            lock = self.server.api.create(f"{self.path}/configmaps", LOCK)
            self.run_helm(helm, "uninstall", "pg", "--namespace", namespace)
            left = {o["metadata"]["name"] for kind in ("secrets", "configmaps", "services", "serviceaccounts")
                    for o in self.server.api.get(f"{self.path}/{kind}")["items"]} - {"kube-root-ca.crt", "default"}
            self.assertEqual(left, {"pg-mainstay", *self.kept})
            self.install(helm, namespace, *sets(self.app))
            after = self.passwords()
            for name in self.kept:
                self.assertEqual(after[name], before[name])
            self.assertEqual(self.get("configmaps", "pg-mainstay"), lock)

    def test_a_release_moves_from_helm_3_to_4(self):
        old, new = ([h for h in self.all_helms if h.version.startswith(v)] for v in ("v3", "v4"))
        if not old or not new:
            self.skipTest("needs a Helm 3 and a Helm 4 in $MAINSTAY_HELM")
        namespace = self.namespace()
        self.install(old[0], namespace, *sets(self.app))
        before, workload = self.passwords(), self.workload(namespace)
        self.install(new[0], namespace, *sets(self.app), verb="upgrade")
        self.assertEqual(self.passwords(), before)
        self.assertEqual(self.workload(namespace)["metadata"]["generation"], workload["metadata"]["generation"])
        self.install(new[0], namespace, *sets({**self.app, "instances": 2}), verb="upgrade")
        self.assertEqual(self.workload(namespace)["spec"]["replicas"], 2)

    def test_what_the_agents_may(self):
        """With the agents' own identity, not by asking the authorizer: the server answers as it will answer them."""
        for lock in ("configmap", "lease"):
            with self.subTest(lock=lock):
                self.check_rights(lock)

    def check_rights(self, kind):
        namespace = self.namespace()
        self.install(self.helm, namespace, *sets({"mainstay.election.lock": kind}))
        agent = self.server.api.as_token(self.server.api.service_account_token(namespace, "pg"))
        core, leases = self.path, f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "x", "securityContext": {
            "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}]}}
        for name in ("pg-0", "pg-1", "other"):
            self.server.api.create(f"{core}/pods", {**pod, "metadata": {"name": name}})
        label = {"metadata": {"labels": {"mainstay.io/role": "primary"}}}
        # What they do.
        lock = agent.create(f"{core}/configmaps", LOCK)
        agent.get(f"{core}/configmaps/pg-mainstay")
        if kind == "configmap":
            agent.replace(f"{core}/configmaps/pg-mainstay", lock)
            self.assertEqual(agent.request("GET", f"{core}/configmaps?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dpg-mainstay")[0], 200)
        else:
            agent.patch(f"{core}/configmaps/pg-mainstay", {"data": {"state-2": "{}"}})
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "pg-mainstay"}, "spec": {"leaseDurationSeconds": 10}}
            agent.replace(f"{leases}/pg-mainstay", agent.create(leases, lease))
            self.assertEqual(agent.request("GET", f"{leases}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dpg-mainstay")[0], 200)
        agent.patch(f"{core}/pods/pg-0", label)
        agent.patch(f"{core}/pods/pg-1", {"metadata": {"labels": {"mainstay.io/role": None}}})
        agent.get(f"{core}/pods/pg-1")
        agent.create(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", {
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e1"}, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal",
            "reason": "Promoted", "action": "Promote", "reportingController": "mainstay.io/agent", "reportingInstance": "pg-0", "note": "x",
            "regarding": {"kind": "Pod", "namespace": namespace, "name": "pg-0"}})

        def refused(method, path, body=None, **more):
            with self.assertRaises(kubeapi.ApiError, msg=f"{method} {path}") as caught:
                getattr(agent, method)(path, *([body] if body is not None else []), **more)
            self.assertEqual(caught.exception.status, 403)
        # What they must not.
        for name in (self.kept[0], "pg-tls"):
            refused("get", f"{core}/secrets/{name}")
        for kind in ("secrets", "pods", "configmaps", "services"):
            refused("get", f"{core}/{kind}")
        refused("get", f"{core}/configmaps/pg-config")
        refused("delete", f"{core}/configmaps/pg-mainstay")
        refused("delete", f"{leases}/pg-mainstay")
        refused("get", f"{core}/configmaps?watch=1&timeoutSeconds=1")
        refused("get", f"{core}/pods?watch=1&timeoutSeconds=1")
        refused("delete", f"{core}/pods/pg-1")
        refused("patch", f"{core}/pods/other", label)
        refused("create", f"{core}/pods", {**pod, "metadata": {"name": "new"}})
        refused("get", "/api/v1/namespaces")
        refused("get", "/api/v1/nodes")
        refused("get", "/api/v1/namespaces/kube-system/configmaps")


class Postgresql(Server, Case):
    chart, service = CHART, 5432
    app, kept, login, uri = {"postgresql.databases.app.owner": "app"}, ("pg-passwords", "pg-user-app"), "pg-user-app", ":6432/app"
    reloaded = {"postgresql.parameters.work_mem": "8MB", "postgresql.users.more.connectionLimit": 1}
    restarting = {"postgresql.parameters.shared_buffers": "1GB"}


class Redis(Server, Case):
    chart, service = REDIS, 6379
    app, kept, login, uri = {"redis.minReplicas": 0}, ("pg-replication", "pg-user-default"), "pg-user-default", ":6432/0"
    reloaded = {"redis.parameters.maxmemory": "1gb", "redis.users.more.rules": "~more:*"}
    restarting = {"redis.parameters.databases": 4}


if __name__ == "__main__":
    unittest.main(warnings="ignore")
