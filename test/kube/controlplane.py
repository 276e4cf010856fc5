"""Arguments of etcd and the API server, shared by the whole bed (cluster.py) and the light form (apiserver.py)."""
import os
import platform

import layout

ISSUER = "https://kubernetes.default.svc"

# What the agents ask of the API server, one JSON line a request: for tests that compare it with a golden file.
AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ["system:masters", "system:nodes"]}
- {level: None, users: ["system:apiserver", "system:anonymous"]}
- {level: Metadata}
"""


def etcd_argv(data, client_port, peer_port):
    """etcd that forgets its last writes in a power cut: for tests only."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [layout.find("etcd", assets=True), "--data-dir", data, "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            "--unsafe-no-fsync"]


def etcd_env():
    return {} if platform.machine() == "x86_64" else {"ETCD_UNSUPPORTED_ARCH": "arm64"}


def apiserver_argv(pki, tokens, etcd_port, bind, port, modes="Node,RBAC", extra=()):
    """kube-apiserver with RBAC, our CA, a token file and a service-account key."""
    return [layout.find("kube-apiserver", assets=True),
            f"--etcd-servers=http://127.0.0.1:{etcd_port}", f"--bind-address={bind}", f"--secure-port={port}",
            f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt", f"--token-auth-file={tokens}", f"--authorization-mode={modes}",
            f"--service-cluster-ip-range={layout.SERVICES}", f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
            "--allow-privileged=true", *extra]


def audit_args(folder):
    """Request log of everybody who is neither a component nor the admin, at FOLDER/audit.log."""
    policy = os.path.join(folder, "audit-policy.yaml")
    with open(policy, "w", encoding="utf-8") as f:
        f.write(AUDIT_POLICY)
    return [f"--audit-policy-file={policy}", f"--audit-log-path={os.path.join(folder, 'audit.log')}"]
