"""Certificates, service-account keys, tokens and kubeconfig files of a control plane. All made here, by openssl, for a month.

Keys are P-256: made in a millisecond where RSA takes a tenth of a second.
"""
import os
import secrets

import shell

DAYS = "30"


def make_ca(folder):
    """ca.crt and ca.key, sa.key and sa.pub (the key that signs service accounts' tokens)."""
    os.makedirs(folder, mode=0o755, exist_ok=True)
    key, crt = os.path.join(folder, "ca.key"), os.path.join(folder, "ca.crt")
    shell.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
               "-out", crt, "-days", DAYS, "-subj", "/CN=mainstay test bed"])
    sa = os.path.join(folder, "sa.key")
    shell.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", sa])
    shell.run(["openssl", "ec", "-in", sa, "-pubout", "-out", os.path.join(folder, "sa.pub")])


def make_cert(folder, name, subject, names):
    """NAME.crt and NAME.key, signed by the folder's CA. names: ["DNS:x", "IP:1.2.3.4"]."""
    base = os.path.join(folder, name)
    shell.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", base + ".key",
               "-out", base + ".csr", "-subj", subject])
    with open(base + ".ext", "w", encoding="utf-8") as f:
        f.write("subjectAltName=" + ",".join(names) + "\n")
    shell.run(["openssl", "x509", "-req", "-in", base + ".csr", "-CA", os.path.join(folder, "ca.crt"), "-CAkey",
               os.path.join(folder, "ca.key"), "-set_serial", str(secrets.randbits(63)), "-days", DAYS, "-out", base + ".crt",
               "-extfile", base + ".ext"])
    os.unlink(base + ".csr")
    os.unlink(base + ".ext")


class Tokens:
    """The API server's static token file: who may say that he is whom."""

    def __init__(self, path):
        self.path, self.known = path, {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                for line in f:
                    token, user, _ = line.split(",", 2)
                    self.known[user] = token

    def add(self, user, groups):
        """A new token for a user; the API server reads the file at its start only."""
        token = secrets.token_hex(16)
        self.known[user] = token
        with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as f:
            f.write(f'{token},{user},{user},"{",".join(groups)}"\n')
        return token


def write_kubeconfig(path, server, ca, token):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
        f.write(f"""apiVersion: v1
kind: Config
clusters: [{{name: bed, cluster: {{server: "{server}", certificate-authority: "{ca}"}}}}]
users: [{{name: me, user: {{token: "{token}"}}}}]
contexts: [{{name: bed, context: {{cluster: bed, user: me}}}}]
current-context: bed
""")
    return path
