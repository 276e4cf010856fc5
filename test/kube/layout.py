"""Names, addresses, folders and programs of the test bed; the one place that knows them.

A bed is a set of network namespaces on this machine: PREFIX-sw (a bridge: the switch), PREFIX-cp (the control plane) and
PREFIX-n1, n2, ... (the nodes). Addresses live inside those namespaces, so two beds differ in their prefix only.

CannotHere says that this machine cannot do what was asked (no root, no Go, ...), with the remedy. Programs end with status
EXIT_CANNOT then, which ctest reports as skipped.
"""
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# procs.py: processes that are known by PID and start time. Behind our own folder: both have files of one name (pki.py).
sys.path.append(os.path.join(ROOT, "test", "integration"))

KUBERNETES = "1.34.4"  # 1.35 refuses cgroup v1 by default
EXIT_CANNOT = 3
MAX_NODES = 9
SERVICES, DNS_ADDRESS, API_SERVICE = "10.96.0.0/16", "10.96.0.10", "10.96.0.1"
POD_RANGE = "10.88.0.0/16"
CONTROL_PLANE = "10.77.0.10"
API_PORT = 6443
# Containers of PostgreSQL run as 999 and must reach their volume: every folder on the way is passable, none is readable.
FOLDER_MODE = 0o711


class CannotHere(Exception):
    """This machine cannot do it; the text says why and what would help."""


def cache():
    """Where programs are kept: $MAINSTAY_CACHE, else below the home of who called sudo (who built them there), else below ours."""
    homes = [os.path.expanduser(f"~{os.environ[n]}") for n in ("SUDO_USER",) if os.environ.get(n)] + [os.path.expanduser("~")]
    bases = [os.environ["MAINSTAY_CACHE"]] if os.environ.get("MAINSTAY_CACHE") else [os.path.join(h, ".cache", "mainstay") for h in homes]
    folders = [os.path.join(b, f"kube-{KUBERNETES}") for b in bases]
    return next((f for f in folders if os.path.isdir(f)), folders[-1])


def bin_dir():
    return os.path.join(cache(), "bin")


def images_dir():
    return os.path.join(ROOT, "build", "images")


def find(program, assets=False):
    """Full path of a program: $KUBEBUILDER_ASSETS (when ASSETS), what `./dev kube build` made, PATH. CannotHere when it is nowhere."""
    places = [bin_dir(), *os.environ.get("PATH", "").split(":"), "/usr/sbin", "/usr/bin", "/sbin"]
    if assets and os.environ.get("KUBEBUILDER_ASSETS"):
        places.insert(0, os.environ["KUBEBUILDER_ASSETS"])
    found = shutil.which(program, path=":".join(places))
    if not found:
        raise CannotHere(f"no program {program} here: ./dev kube build makes or installs it"
                         + (" ($KUBEBUILDER_ASSETS may name a folder that has it)" if assets else ""))
    return found


class Node:
    """One node of a bed: n1 is index 1."""

    def __init__(self, bed, index):
        self.index, self.name = index, f"n{index}"
        self.netns = f"{bed.prefix}-{self.name}"
        self.address = f"10.77.0.{10 + index}"
        self.pods = f"10.88.{index}.0/24"
        self.zone = f"z{index}"
        self.dir = os.path.join(bed.dir, self.name)
        self.run = f"/run/{self.netns}"  # short: a unix socket's path has 107 bytes
        self.socket = f"{self.run}/containerd.sock"
        self.cgroup = self.netns
        self.link = f"v-{self.name}"  # its plug in the switch

    def volume(self, number):
        return os.path.join(self.dir, "volumes", str(number))

    def kubelet_dir(self):
        return os.path.join(self.dir, "kubelet")


class Layout:
    """A bed's names. PREFIX: 1 to 6 small letters and digits."""

    def __init__(self, prefix=None, nodes=3):
        prefix = prefix or os.environ.get("MAINSTAY_BED") or "ms"
        if not (prefix.isalnum() and prefix.islower() and len(prefix) <= 6):
            raise ValueError(f"prefix '{prefix}': 1 to 6 small letters and digits, with a letter first")
        if not 1 <= nodes <= MAX_NODES:
            raise ValueError(f"{nodes} nodes: 1 to {MAX_NODES}")
        self.prefix = prefix
        # Not below the checkout: overlayfs and SELinux dislike homes, and `./dev clean` must not meet a running bed.
        self.dir = os.path.join(os.environ.get("MAINSTAY_BED_DIR") or "/var/tmp", f"mainstay-bed-{prefix}")
        self.logs = os.path.join(self.dir, "logs")
        self.pki = os.path.join(self.dir, "pki")
        self.switch = f"{prefix}-sw"
        self.control_plane = f"{prefix}-cp"
        self.kubeconfig = os.path.join(self.dir, "admin.kubeconfig")
        self.server = f"https://{CONTROL_PLANE}:{API_PORT}"
        self.nodes = [Node(self, i) for i in range(1, nodes + 1)]

    def node(self, name):
        for node in self.nodes:
            if name in (node, node.name):
                return node
        raise KeyError(f"no node {name}: there are {', '.join(n.name for n in self.nodes)}")
