"""The programs of the bed, built from Go modules once and kept in the cache, by version.

Go checks every module against go.sum, which is part of this repository: what is built here is built everywhere.
"""
import os
import re
import shutil
import subprocess
import time

import layout
import procs

GO = (1, 25)  # CoreDNS and Helm ask for it; Kubernetes itself for 1.24
WHERE_GO = ("/usr/local/go/bin", "/usr/lib/go/bin")
VERSION = "k8s.io/component-base/version"
# Without gitVersion the server calls itself v0.0.0-master, and clients that compare versions refuse it.
STAMP = " ".join(f"-X {VERSION}.{k}={v}" for k, v in {
    "gitVersion": f"v{layout.KUBERNETES}", "gitMajor": "1", "gitMinor": layout.KUBERNETES.split(".")[1], "gitTreeState": "clean",
    "gitCommit": "none"}.items())

HELM = "4.1.4"  # as go/helm/go.mod has it
STAMPS = {"helm": f"-X helm.sh/helm/v4/internal/version.version=v{HELM}"}

# program: (module folder, package). In the order in which they are wanted.
PROGRAMS = {
    **{name: ("kubernetes", f"k8s.io/kubernetes/cmd/{name}") for name in (
        "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")},
    "coredns": ("coredns", "."),
    "helm": ("helm", "helm.sh/helm/v4/cmd/helm"),
}


def find_go():
    """Path of a Go that is new enough. CannotHere says what to install."""
    places = [*os.environ.get("PATH", "").split(":"), *WHERE_GO]
    places += sorted((f"/usr/lib/{d}/bin" for d in os.listdir("/usr/lib") if re.fullmatch(r"go-1\.\d+", d)), reverse=True)
    seen = []
    for place in places:
        go = os.path.join(place, "go")
        if os.access(go, os.X_OK):
            told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=30, check=False,
                                  env={**os.environ, "GOTOOLCHAIN": "local"}).stdout.strip()
            found = re.match(r"go(\d+)\.(\d+)", told)
            if found and (int(found[1]), int(found[2])) >= GO:
                return go
            seen.append(f"{go} is {told or 'broken'}")
    wanted = ".".join(map(str, GO))
    raise layout.CannotHere(
        f"building Kubernetes needs Go {wanted} or newer ({'; '.join(seen) or 'none found'}; Debian 12's own is 1.19). Unpack a "
        "release of Go into /usr/local/go (or install a newer golang-go from backports), then: ./dev kube build. Tests that need the API "
        "server alone also run with ready-made programs: $KUBEBUILDER_ASSETS names a folder with kube-apiserver, etcd, kubectl")


def missing():
    return [p for p in PROGRAMS if not os.access(os.path.join(layout.bin_dir(), p), os.X_OK)]


def build(names=None, say=print):
    """Builds what is missing (or the named ones); a program appears under its name only when it is whole."""
    wanted = names if names is not None else missing()
    if not wanted:
        return
    go = find_go()
    os.makedirs(layout.bin_dir(), exist_ok=True)
    for name in wanted:
        module, package = PROGRAMS[name]
        begun, target = procs.now(), os.path.join(layout.bin_dir(), name)
        fresh = f"{target}.{os.getpid()}"
        env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
        argv = ["nice", go, "build", "-trimpath", "-tags", "providerless", "-ldflags", "-s -w " + STAMPS.get(name, STAMP), "-o", fresh, package]
        for attempt in (1, 2, 3):  # a module that could not be fetched is asked for again; a compiler's error stays
            done = subprocess.run(argv, cwd=os.path.join(layout.HERE, "go", module), env=env, check=False, timeout=3600,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode == 0 or attempt == 3:
                break
            time.sleep(2 * attempt)
        if done.returncode:
            raise RuntimeError(f"go build {package} failed:\n{done.stdout[-3000:]}")
        os.replace(fresh, target)
        say(f"{name}: {procs.now() - begun:.0f} s, {os.path.getsize(target) / 1e6:.0f} MB")


def clean():
    shutil.rmtree(layout.cache(), ignore_errors=True)
