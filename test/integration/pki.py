"""Certificates for whole clusters, made by the openssl program."""
import os
import subprocess


def run(*argv):
    subprocess.run(["/usr/bin/openssl", *argv], check=True, capture_output=True, timeout=30)


class Authority:
    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        os.makedirs(folder, exist_ok=True)
        self.key, self.cert = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".crt")
        run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        run("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", "30", "-out", self.cert)

    def issue(self, to, common_name, dns, days=1):
        """tls.key, tls.crt and ca.crt in the folder `to`, each replaced at once."""
        os.makedirs(to, exist_ok=True)
        part = {n: os.path.join(self.folder, f"{common_name}.{n}") for n in ("key", "csr", "crt", "ext")}
        with open(part["ext"], "w", encoding="utf-8") as f:
            f.write(f"subjectAltName=DNS:{dns}\nextendedKeyUsage=serverAuth,clientAuth\n")
        run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", part["key"])
        run("req", "-new", "-key", part["key"], "-subj", f"/CN={common_name}", "-out", part["csr"])
        run("x509", "-req", "-in", part["csr"], "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", str(days),
            "-extfile", part["ext"], "-out", part["crt"])
        with open(self.cert, encoding="utf-8") as f:
            authority = f.read()
        with open(part["crt"], encoding="utf-8") as f:
            certificate = f.read()
        with open(part["key"], encoding="utf-8") as f:
            key = f.read()
        return {"ca.crt": authority, "tls.crt": certificate, "tls.key": key}


class Secret:
    """A folder as the kubelet mounts a Secret: names are links into ..data, which is a link that is swapped."""
    def __init__(self, folder, own):
        self.folder, self.own, self.version = folder, own, 0
        os.makedirs(folder, mode=0o700)
        own(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, files):
        self.version += 1
        real = f"..{self.version}"
        os.mkdir(self.path(real), 0o700)
        self.own(self.path(real))
        for name, text in files.items():
            path = os.path.join(self.path(real), name)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(path, 0o600)
            self.own(path)
        os.symlink(real, self.path("..new"))
        os.rename(self.path("..new"), self.path("..data"))
        for name in files:
            if not os.path.islink(self.path(name)):
                os.symlink(os.path.join("..data", name), self.path(name))

    def config(self):
        return {"ca": self.path("ca.crt"), "cert": self.path("tls.crt"), "key": self.path("tls.key")}
