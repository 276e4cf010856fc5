"""Three real members on this machine (shim, agent, PostgreSQL: test/integration/harness.py) whose lock lives in a real API server,
behind a fault proxy, under exactly the rights that the chart gives.

    with KubeCluster(profile="fast") as c:        # CannotHere: skip
        c.start(); c.prepare(); c.wait_ready()
        c.proxy.set(proxy.Down())

The pods exist as objects only (nothing runs them): labels and Events go to them as to real ones. Each member has an address of its
own at the proxy, and a token of its ServiceAccount in a file.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apiserver
import kubeapi
import layout
from proxy import FaultProxy

from harness import Cluster, Member  # noqa: E402  (layout adds its folder to the path)

NAMESPACE = "db"
FULL = "pg"  # the chart's name for everything, and of the cluster
CORE = f"/api/v1/namespaces/{NAMESPACE}"
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"


class KubeMember(Member):
    def __init__(self, cluster, name):
        super().__init__(cluster, name)
        self.kubeconfig = os.path.join(self.home, "kubeconfig")
        self.token_file = os.path.join(self.home, "token")
        self.uid = cluster.make_pod(name)
        self.overrides.update({
            "uid": self.uid, "election/path": None, "election/lock": cluster.lock, "kubernetes/namespace": NAMESPACE,
            "kubernetes/kubeconfig": self.kubeconfig, "kubernetes/lock_name": f"{FULL}-mainstay"})
        self.write_token(cluster.token())
        self.write(self.kubeconfig, f"""apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{cluster.proxy.listen(name)}", certificate-authority: "{cluster.ca}"}}}}]
users: [{{name: u, user: {{tokenFile: "{self.token_file}"}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u, namespace: {NAMESPACE}}}}}]
current-context: x
""")

    def write(self, path, text):
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
            f.write(text)
        self.cluster.own(path + ".new")
        os.rename(path + ".new", path)

    def write_token(self, token):
        self.write(self.token_file, token)


class KubeCluster(Cluster):
    def __init__(self, n=3, lock="configmap", **options):
        self.lock, self.server, self.proxy = lock, None, None
        helm = layout.find("helm")
        super().__init__(0, name=FULL, **options)
        try:
            self.server = apiserver.ApiServer(audit=True).begin()
            self.api = self.server.api
            self.proxy = FaultProxy(self.server)
            self.ca = os.path.join(self.scratch.path, "ca.crt")
            self.write_ca(self.server.pki)
            self.api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            self.grant(helm, n)
            for i in range(n):
                self.members.append(KubeMember(self, f"{FULL}-{i}"))
        except BaseException:
            self.close()
            raise

    def write_ca(self, *folders):
        text = ""
        for folder in folders:
            with open(os.path.join(folder, "ca.crt"), encoding="utf-8") as f:
                text += f.read()
        with open(self.ca + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.ca + ".new", 0o644)
        os.rename(self.ca + ".new", self.ca)

    def grant(self, helm, members):
        """ServiceAccount, Role and RoleBinding as the chart makes them."""
        chart = os.path.join(layout.ROOT, "helm", "postgresql")
        rendered = subprocess.run(
            [helm, "template", FULL, chart, "-n", NAMESPACE, "--set", f"fullnameOverride={FULL},instances={members},mainstay.election.lock={self.lock}",
             "-s", "templates/rbac.yaml"], capture_output=True, text=True, timeout=60, check=False)
        if rendered.returncode:
            raise AssertionError(f"helm template: {rendered.stderr}")
        applied = subprocess.run([layout.find("kubectl"), "--kubeconfig", self.server.kubeconfig, "apply", "-n", NAMESPACE, "-f", "-"],
                                 input=rendered.stdout, capture_output=True, text=True, timeout=60, check=False)
        if applied.returncode:
            raise AssertionError(f"kubectl apply: {applied.stderr}\n{rendered.stdout}")
        (self.account,) = [s["metadata"]["name"] for s in self.api.get(f"{CORE}/serviceaccounts")["items"] if s["metadata"]["name"] != "default"]
        (self.binding,) = self.api.get(f"{RBAC}/rolebindings")["items"]

    def token(self, seconds=3600):
        return self.api.service_account_token(NAMESPACE, self.account, seconds)

    def make_pod(self, name):
        pod = self.api.create(f"{CORE}/pods", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app.kubernetes.io/instance": FULL}},
            "spec": {"containers": [{"name": "postgres", "image": "none"}], "automountServiceAccountToken": False}})
        return pod["metadata"]["uid"]

    # ---- questions ----
    def lock_object(self):
        return self.api.get(f"{CORE}/configmaps/{FULL}-mainstay")

    def delete_lock(self):
        try:
            self.api.delete(f"{CORE}/configmaps/{FULL}-mainstay")
        except kubeapi.ApiError as e:
            if e.status != 404:
                raise

    def roles(self):
        """Label of each pod; absent: none."""
        pods = self.api.get(f"{CORE}/pods")["items"]
        return {p["metadata"]["name"]: p["metadata"].get("labels", {}).get("mainstay.io/role") for p in pods}

    def events(self):
        return self.api.get(f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events")["items"]

    def close(self):
        super().close()
        if self.proxy:
            self.proxy.close()
            self.proxy = None
        if self.server:
            self.server.close()
            self.server = None
