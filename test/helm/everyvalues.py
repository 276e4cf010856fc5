"""Facts that hold for every file of values of every chart: a class for test_render.py and test_redis.py to fill in. No API server."""
import base64
import glob
import json
import os
import subprocess

from helmcase import ROOT, containers, find, pods, yaml


def config_of(objects):
    found = [o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"].endswith("-config")]
    return yaml.safe_load(found[0]["data"]["mainstay.yaml"])


class EveryValues:
    """Facts that hold for every file of values in ci/. With a Case; `chart`, `port` of the database."""
    chart = port = None

    def files(self):
        return sorted(glob.glob(f"{self.chart}/ci/*-values.yaml"))

    def rendered(self):
        for helm in self.each():
            for path in self.files():
                with self.subTest(values=os.path.basename(path)):
                    yield helm.template("-f", path, "--kube-version", "1.34.0", chart=self.chart)

    def test_lint(self):
        for helm in self.each():
            for path in self.files():
                with self.subTest(values=os.path.basename(path)):
                    self.assertIn("0 chart(s) failed", helm.run("lint", "--strict", self.chart, "-f", path).stdout)

    def test_restricted_contexts_of_every_container(self):
        for objects in self.rendered():
            for owner, spec in pods(objects):
                self.assertNotIn("hostNetwork", spec)
                self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                for volume in spec["volumes"]:  # what PSS restricted allows
                    self.assertTrue(set(volume) - {"name"} <= {"configMap", "secret", "projected", "emptyDir", "image"}, volume)
                for c in containers(spec):
                    with self.subTest(pod=owner, container=c["name"]):
                        context = c["securityContext"]
                        self.assertIs(context["allowPrivilegeEscalation"], False)
                        self.assertIs(context["readOnlyRootFilesystem"], True)
                        self.assertIs(context["runAsNonRoot"], True)
                        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                        self.assertEqual(context["seccompProfile"]["type"], "RuntimeDefault")

    def test_resources_of_every_container(self):
        for objects in self.rendered():
            for owner, spec in pods(objects):
                for c in containers(spec):
                    with self.subTest(pod=owner, container=c["name"]):
                        self.assertIn("cpu", c["resources"]["requests"])
                        self.assertIn("memory", c["resources"]["requests"])
                        self.assertIn("memory", c["resources"]["limits"])
                        self.assertEqual(c.get("terminationMessagePolicy", "FallbackToLogsOnError"), "FallbackToLogsOnError")

    def test_token_in_the_agent_only(self):
        for objects in self.rendered():
            for owner, spec in pods(objects):
                self.assertIs(spec["automountServiceAccountToken"], False)
                with_token = [v["name"] for v in spec["volumes"] for s in v.get("projected", {}).get("sources", []) if "serviceAccountToken" in s]
                mounting = [c["name"] for c in containers(spec) for m in c.get("volumeMounts", []) if m["name"] in with_token]
                self.assertEqual(mounting, [] if owner.endswith("-test") else ["mainstay"])

    def test_no_secret_in_arguments_and_environment(self):
        for objects in self.rendered():
            secrets = [base64.b64decode(v).decode() for o in objects if o["kind"] == "Secret" for k, v in o["data"].items()
                       if k in ("password", "pgpass", "tls.key", "uri")]

            secrets += [line.rsplit(":", 1)[1] for s in secrets for line in s.splitlines() if line.startswith("*:")]
            others = json.dumps([o for o in objects if o["kind"] != "Secret"])
            for secret in secrets:
                self.assertNotIn(secret, others)
            self.assertNotIn("secretKeyRef", others)

    def test_rights_by_name(self):
        for objects in self.rendered():
            self.assertFalse([o for o in objects if o["kind"].startswith(("Cluster", "CustomResource", "Mutating", "Validating"))])
            cluster = config_of(objects)["cluster"]
            lock = f"{cluster}-mainstay"
            rules = find(objects, "Role")["rules"]
            expected = [([""], ["configmaps"], None, ["create"]), ([""], ["configmaps"], [lock], ["get", "update", "watch"])]
            if config_of(objects)["election"]["lock"] == "lease":
                expected[1] = ([""], ["configmaps"], [lock], ["get", "patch"])
                expected += [(["coordination.k8s.io"], ["leases"], None, ["create"]),
                             (["coordination.k8s.io"], ["leases"], [lock], ["get", "update", "watch"])]
            expected += [([""], ["pods"], [f"{cluster}-{i}" for i in range(9)], ["get", "patch"]),
                         (["events.k8s.io"], ["events"], None, ["create"])]
            self.assertEqual([(r["apiGroups"], r["resources"], r.get("resourceNames"), r["verbs"]) for r in rules], expected)
            subject = find(objects, "RoleBinding")["subjects"]
            self.assertEqual(subject, [{"kind": "ServiceAccount", "name": find(objects, "ServiceAccount")["metadata"]["name"], "namespace": "db"}])
            self.assertEqual(find(objects, "StatefulSet")["spec"]["template"]["spec"]["serviceAccountName"], subject[0]["name"])

    def test_selectors(self):
        for objects in self.rendered():
            workload = find(objects, "StatefulSet")
            labels = workload["spec"]["template"]["metadata"]["labels"]
            self.assertTrue(workload["spec"]["selector"]["matchLabels"].items() <= labels.items())
            self.assertNotIn("mainstay.io/role", labels)  # the agent's
            self.assertNotIn("helm.sh/chart", labels)     # every version of the chart would restart every pod
            headless = workload["spec"]["serviceName"]
            for service in (o for o in objects if o["kind"] == "Service" and "mainstay.io/service" in o["metadata"].get("labels", {})):
                selector = dict(service["spec"]["selector"])
                kind = service["metadata"]["labels"]["mainstay.io/service"]
                self.assertEqual(selector.pop("mainstay.io/role", None), {"primary": "primary", "replicas": "replica"}.get(kind))
                self.assertTrue(selector.items() <= labels.items())
                self.assertEqual(service["spec"].get("publishNotReadyAddresses", False), kind in ("primary", "members", "sentinel"))
                self.assertEqual(service["spec"].get("clusterIP") == "None", service["metadata"]["name"] == headless)
                ports = [p["name"] for c in containers(workload["spec"]["template"]["spec"]) for p in c.get("ports", [])]
                for port in service["spec"]["ports"]:
                    self.assertIn(port["targetPort"], ports)

    def test_volumes_are_there_and_mounted_once(self):
        for objects in self.rendered():
            for owner, spec in pods(objects):
                names = [v["name"] for v in spec["volumes"]]
                if not owner.endswith("-test"):
                    names += [c["metadata"]["name"] for c in find(objects, "StatefulSet")["spec"].get("volumeClaimTemplates", [])]
                self.assertEqual(len(names), len(set(names)))
                for c in containers(spec):
                    paths = [m["mountPath"] for m in c.get("volumeMounts", [])]
                    self.assertEqual(len(paths), len(set(paths)))
                    for m in c.get("volumeMounts", []):
                        self.assertIn(m["name"], names)
                    for path in paths:  # a mount point cannot be made inside a read-only mount
                        for m in c["volumeMounts"]:
                            self.assertFalse(m.get("readOnly") and path.startswith(m["mountPath"] + "/"), (path, m))

    def test_agents_accept_their_configuration(self):
        program = os.path.join(os.environ.get("MAINSTAY_BUILD", os.path.join(ROOT, "build", "release")), "agent", "mainstay")
        if not os.path.exists(program):
            self.skipTest(f"{program} is not built")
        for objects in self.rendered():
            config = config_of(objects)
            path = os.path.join(self.scratch.name, "mainstay.yaml")
            with open(path, "w", encoding="utf-8") as f:
                yaml.safe_dump(config, f)
            env = {"MAINSTAY_NAME": f"{config['cluster']}-0", "MAINSTAY_UID": "0", "MAINSTAY_KUBERNETES_NAMESPACE": "db",
                   "MAINSTAY_ADVERTISE_PEER": "10.0.0.1:7400", "MAINSTAY_ADVERTISE_DATABASE": f"10.0.0.1:{self.port}"}
            done = subprocess.run([program, "config", "check", "--config", path], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=30)
            self.assertEqual(done.returncode, 0, done.stdout)
