#!/usr/bin/python3
"""The light form (apiserver.py): a real API server with rights, outages and an audit log; nothing of it outlives its user.

Status 3: this machine has neither $KUBEBUILDER_ASSETS nor what `./dev kube build` makes.
"""
import json
import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apiserver
import kubeapi
import layout
import procs

MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}}


class TestApiServer(unittest.TestCase):
    """One server for all; the last test ends it."""

    @classmethod
    def setUpClass(cls):
        begun = procs.now()
        cls.server = apiserver.ApiServer(audit=True).begin()
        print(f"    ready in {procs.now() - begun:.1f} s", file=sys.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def account(self, name, rules):
        api = self.server.api
        rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/"
        api.create("/api/v1/namespaces/default/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        api.create(rbac + "roles", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules})
        api.create(rbac + "rolebindings", {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]})
        return api.as_token(api.service_account_token("default", name))

    def test_1_compare_and_swap(self):
        made = self.server.api.create(MAPS, config_map("swap"))
        self.server.api.replace(f"{MAPS}/swap", {**made, "data": {"k": "w"}})
        with self.assertRaises(kubeapi.ApiError) as refused:
            self.server.api.replace(f"{MAPS}/swap", {**made, "data": {"k": "x"}})
        self.assertEqual((refused.exception.status, refused.exception.reason), (409, "Conflict"))

    def test_2_rights(self):
        self.server.api.create(MAPS, config_map("mine"))
        mine = self.account("agent", [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["get"]}])
        # The authorizer learns of a new Role by a watch.
        end = procs.now() + 5
        while mine.request("GET", f"{MAPS}/mine")[0] == 403 and procs.now() < end:
            time.sleep(0.05)
        self.assertEqual(mine.get(f"{MAPS}/mine")["data"], {"k": "v"})
        for method, path in (("GET", f"{MAPS}/swap"), ("DELETE", f"{MAPS}/mine"), ("GET", MAPS)):
            self.assertEqual(mine.request(method, path)[0], 403, (method, path))
        self.assertEqual(self.server.api.as_token("nobody's").request("GET", f"{MAPS}/mine")[0], 401)
        with open(self.server.audit_log, encoding="utf-8") as log:
            lines = [json.loads(line) for line in log]
        asked = {(e["verb"], e["requestURI"]) for e in lines if e["user"].get("username") == "system:serviceaccount:default:agent"}
        self.assertIn(("delete", f"{MAPS}/mine"), asked)
        self.assertFalse([e for e in lines if e["user"].get("username") == "admin"])

    def test_3_pods_as_plain_objects(self):
        pods = "/api/v1/namespaces/default/pods"
        self.server.api.create(pods, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db-0"},
                                      "spec": {"containers": [{"name": "c", "image": "none"}]}})
        self.server.api.patch(f"{pods}/db-0", {"metadata": {"labels": {"role": "primary"}}})
        self.assertEqual(self.server.api.get(f"{pods}?labelSelector=role%3Dprimary")["items"][0]["metadata"]["name"], "db-0")

    def test_4_outage_and_hang(self):
        self.server.stop()
        self.assertFalse(self.server.api.ready())
        self.server.start()
        self.assertEqual(self.server.api.get(f"{MAPS}/swap")["data"], {"k": "w"})
        self.server.pause()
        with self.assertRaises(OSError):
            self.server.api.request("GET", "/version", timeout=0.5)
        self.server.resume()
        self.assertTrue(self.server.api.wait_ready(10))

    def test_5_nothing_outlives_a_killed_user(self):
        user = subprocess.Popen([sys.executable, apiserver.__file__, "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = json.loads(user.stdout.readline())
        self.assertTrue(all(procs.alive(pid) for pid in told["pids"].values()))
        user.send_signal(signal.SIGKILL)
        user.wait(10)
        user.stdin.close()
        user.stdout.close()
        end = procs.now() + 15
        while (any(procs.alive(p) for p in told["pids"].values()) or os.path.exists(told["folder"])) and procs.now() < end:
            time.sleep(0.1)
        self.assertFalse([p for p in told["pids"].values() if procs.alive(p)])
        self.assertFalse(os.path.exists(told["folder"]))

    def test_6_close_leaves_nothing(self):
        pids = self.server.described()["pids"].values()
        self.server.close()
        self.assertFalse([p for p in pids if procs.alive(p)])
        self.assertFalse(os.path.exists(self.server.folder))


if __name__ == "__main__":
    try:
        layout.find("etcd", assets=True)
        layout.find("kube-apiserver", assets=True)
    except layout.CannotHere as reason:
        print(f"skipped: {reason}", file=sys.stderr)
        sys.exit(layout.EXIT_CANNOT)
    procs.unwind_on_signals()
    unittest.main(verbosity=2)
