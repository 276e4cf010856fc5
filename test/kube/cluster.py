"""A whole bed: up, down, and what a later command needs to find it again.

State of a bed: FOLDER/bed.json (who made it, how many nodes), FOLDER/pids/*.json (its programs). A bed that was killed half way
is taken down like a whole one.
"""
import concurrent.futures
import contextlib
import errno
import json
import os
import shutil
import socket
import sys
import time

import cgroups
import controlplane
import daemons as daemons_
import kubeapi
import layout
import network
import node as node_
import objects
import pki
import procs
import shell


class AlreadyUp(Exception):
    """There is a bed with this prefix."""


class Cluster:
    """A bed by its prefix, whether it is up or not."""

    def __init__(self, prefix=None, nodes=None):
        known = _read_state(layout.Layout(prefix).dir)
        self.bed = layout.Layout(prefix, nodes or known.get("nodes", 3))
        self.daemons = daemons_.Daemons(os.path.join(self.bed.dir, "pids"), self.bed.logs)

    # ---- what is there ---------------------------------------------------------------------------------------------

    def state(self):
        return _read_state(self.bed.dir)

    def exists(self):
        return bool(self.state() or network.namespaces(self.bed.prefix))

    def abandoned(self):
        """Its owner (a test that was killed) is gone. A bed made by `./dev kube up` has no owner."""
        owner = self.state().get("owner")
        return bool(owner) and procs.start_time(owner[0]) != owner[1]

    def api(self, user="admin", timeout=5):
        tokens = pki.Tokens(os.path.join(self.bed.dir, "tokens.csv"))
        return kubeapi.Api(self.bed.server, os.path.join(self.bed.pki, "ca.crt"), tokens.known[user], self.bed.control_plane, timeout)

    # ---- up --------------------------------------------------------------------------------------------------------

    def up(self, owner=None, grace=16, audit=False, images=(), say=lambda text: None):
        """Makes the bed; returns when all nodes are Ready and all images are in. GRACE: seconds of silence until NotReady."""
        check_here()
        with self._alone():
            if self.exists():
                raise AlreadyUp(f"a bed '{self.bed.prefix}' is up already ({self.bed.dir}): ./dev kube down, or another --prefix")
            self._up(owner, grace, audit, images, say)

    @contextlib.contextmanager
    def _alone(self, timeout=60):
        """One up or down of a prefix at a time. An abstract socket is a lock that nothing can leave behind."""
        name, end = f"\0mainstay-bed-{self.bed.prefix}", procs.now() + timeout
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as lock:
            while True:
                try:
                    lock.bind(name)
                    break
                except OSError as taken:
                    if taken.errno != errno.EADDRINUSE:
                        raise
                    if procs.now() > end:
                        raise shell.Failed(f"bed '{self.bed.prefix}': somebody else makes or removes it for more than {timeout} s") from taken
                    time.sleep(0.1)
            yield

    def _up(self, owner, grace, audit, images, say):
        begun = procs.now()
        os.makedirs(self.bed.dir, exist_ok=True)
        os.chmod(self.bed.dir, layout.FOLDER_MODE)
        self._write_state({"nodes": len(self.bed.nodes), "owner": owner, "grace": grace, "made": time.strftime("%F %T")})
        network.up(self.bed)
        for node in self.bed.nodes:  # first, so that they start while the API server does
            node_.configure(self.bed, node)
            node_.start_containerd(self.daemons, node)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            loading = pool.submit(self.load, [os.path.join(layout.images_dir(), "pause.tar"), *images])
            self._identities()
            self._start_control_plane(grace, audit)
            say(f"API server ready after {procs.now() - begun:.1f} s")
            for node in self.bed.nodes:
                node_.start(self.bed, self.daemons, node)
            objects.create(self.bed, self.api())
            self._wait_nodes(60)
            say(f"{len(self.bed.nodes)} nodes ready after {procs.now() - begun:.1f} s")
            loading.result()

    def _write_state(self, state):
        with open(os.path.join(self.bed.dir, "bed.json"), "w", encoding="utf-8") as f:
            json.dump(state, f)

    def _identities(self):
        """Certificates, tokens and kubeconfig files of all parts."""
        bed = self.bed
        pki.make_ca(bed.pki)
        pki.make_cert(bed.pki, "apiserver", "/CN=kube-apiserver", [
            "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc", "DNS:kubernetes.default.svc.cluster.local",
            "DNS:localhost", f"IP:{layout.API_SERVICE}", f"IP:{layout.CONTROL_PLANE}", "IP:127.0.0.1"])
        pki.make_cert(bed.pki, "kubelet-client", "/O=system:masters/CN=apiserver-kubelet-client", ["DNS:apiserver"])
        tokens = pki.Tokens(os.path.join(bed.dir, "tokens.csv"))
        users = {user: ["system:masters"] for user in ("admin", "controller-manager", "scheduler", "kube-proxy", "coredns")}
        ca = os.path.join(bed.pki, "ca.crt")
        for node in bed.nodes:
            pki.make_cert(bed.pki, node.name, f"/CN={node.name}", [f"DNS:{node.name}", f"IP:{node.address}"])
            token = tokens.add(f"system:node:{node.name}", ["system:nodes"])
            pki.write_kubeconfig(os.path.join(bed.dir, f"{node.name}.kubeconfig"), bed.server, ca, token)
        for user, groups in users.items():
            pki.write_kubeconfig(os.path.join(bed.dir, f"{user}.kubeconfig"), bed.server, ca, tokens.add(user, groups))

    def _start_control_plane(self, grace, audit):
        bed, netns = self.bed, self.bed.control_plane
        self.daemons.start("etcd", controlplane.etcd_argv(os.path.join(bed.dir, "etcd"), 2379, 2380), netns, controlplane.etcd_env())
        self.daemons.start("apiserver", controlplane.apiserver_argv(
            bed.pki, os.path.join(bed.dir, "tokens.csv"), 2379, "0.0.0.0", layout.API_PORT, extra=[
                f"--advertise-address={layout.CONTROL_PLANE}", "--enable-admission-plugins=NodeRestriction",
                f"--kubelet-client-certificate={bed.pki}/kubelet-client.crt", f"--kubelet-client-key={bed.pki}/kubelet-client.key",
                f"--kubelet-certificate-authority={bed.pki}/ca.crt", "--kubelet-preferred-address-types=InternalIP",
                *(controlplane.audit_args(bed.dir) if audit else [])]), netns)
        if not self.api().wait_ready(60, lambda: self.daemons.pid("apiserver") and self.daemons.pid("etcd")):
            raise shell.Failed("the API server does not become ready:\n" + self.daemons.tail("apiserver") + self.daemons.tail("etcd", 5))
        self.daemons.start("controller-manager", [
            layout.find("kube-controller-manager"), f"--kubeconfig={bed.dir}/controller-manager.kubeconfig",
            f"--root-ca-file={bed.pki}/ca.crt", f"--service-account-private-key-file={bed.pki}/sa.key", "--leader-elect=false",
            f"--cluster-signing-cert-file={bed.pki}/ca.crt", f"--cluster-signing-key-file={bed.pki}/ca.key",
            f"--node-monitor-grace-period={grace}s"], netns)
        self.daemons.start("scheduler", [layout.find("kube-scheduler"), f"--kubeconfig={bed.dir}/scheduler.kubeconfig",
                                         "--leader-elect=false"], netns)
        self.daemons.start("coredns", [layout.find("coredns"), "-conf", objects.write_corefile(bed)], netns)

    def load(self, archives, nodes=None, timeout=180):
        """Imports image archives into nodes (default: all), side by side."""
        missing = [a for a in archives if not os.path.exists(a)]
        if missing:
            raise layout.CannotHere(f"no image archive {missing[0]}: ./dev image makes it")

        def one(node):
            node_.wait_containerd(self.daemons, node)
            for archive in archives:
                node_.import_image(node, archive, timeout)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(one, [self.bed.node(n) for n in nodes] if nodes else self.bed.nodes))

    def ready_nodes(self):
        out = []
        for item in self.api().get("/api/v1/nodes")["items"]:
            if any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", [])):
                out.append(item["metadata"]["name"])
        return out

    def _wait_nodes(self, timeout):
        end = procs.now() + timeout
        while len(self.ready_nodes()) < len(self.bed.nodes):
            if procs.now() > end:
                late = [n for n in self.bed.nodes if n.name not in self.ready_nodes()]
                raise shell.Failed(f"{late[0].name} does not become Ready in {timeout} s; the last words of its kubelet:\n"
                                   + self.daemons.tail(node_.unit("kubelet", late[0])))
            time.sleep(0.1)

    # ---- down ------------------------------------------------------------------------------------------------------

    def down(self):
        """Ends and removes everything of the bed; nothing stays but what the machine had before. Harmless when there is none."""
        with self._alone():
            self._down()

    def _down(self):
        known = layout.Layout(self.bed.prefix, layout.MAX_NODES).nodes  # also those of a bed whose state was lost
        there = [n for n in known if os.path.exists(n.dir) or os.path.exists(n.run) or cgroups.folders(n.cgroup)]
        # At once and without a word, as nothing of it will be used again. The kubelets first: they would start again what dies.
        self.daemons.stop_all([node_.unit(p, n) for p in ("kubelet", "proxy") for n in there], timeout=0)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda n: node_.power_off(self.daemons, n), there))
        self.daemons.stop_all(self.daemons.names(), timeout=0)
        network.down(self.bed.prefix)
        for node in there:
            node_.unmount(node, disk=True)
            cgroups.remove(node.cgroup)
        shutil.rmtree(self.bed.dir, ignore_errors=True)
        for folder in ("/run/containerd/s", "/run/containerd"):  # containerd made them; with another containerd here they are not empty
            try:
                os.rmdir(folder)
            except OSError:
                pass

    def leftovers(self):
        """What of this bed is on the machine: empty after down."""
        out = [f"namespace {n}" for n in network.namespaces(self.bed.prefix)]
        for node in layout.Layout(self.bed.prefix, layout.MAX_NODES).nodes:
            out += [f"mount {m}" for m in node_.mounts(node)] + [f"cgroup {c}" for c in cgroups.folders(node.cgroup)]
            out += [f"shim {p}" for p in node_.shims(node)]
            out += [f"folder {f}" for f in (node.dir, node.run) if os.path.exists(f)]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if (self.bed.dir + "/").encode() in f.read():
                        out.append(f"process {pid}")
            except OSError:
                pass
        return out + ([f"folder {self.bed.dir}"] if os.path.exists(self.bed.dir) else [])


def _read_state(folder):
    try:
        with open(os.path.join(folder, "bed.json"), encoding="utf-8") as f:
            return json.load(f)
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def check_here():
    """CannotHere when a bed cannot run on this machine, with the first reason."""
    if os.geteuid() != 0:
        raise layout.CannotHere("namespaces and cgroups need root: sudo ./dev kube ...")
    for program in ("ip", "nsenter", "iptables", "openssl", "etcd", "containerd", "runc", "ctr", "kube-apiserver",
                    "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "kubectl"):
        layout.find(program)
    if not os.path.exists("/usr/lib/cni/bridge"):
        raise layout.CannotHere("no CNI plug-ins in /usr/lib/cni: ./dev kube build installs them")
    if not cgroups.writable():
        raise layout.CannotHere("cgroups are not writable here (a container without its own?)")
    probe = f"mainstay-probe-{os.getpid()}"
    try:
        network.ip("netns", "add", probe)
        network.ip("link", "add", "name", "veth-a", "type", "veth", "peer", "name", "veth-b", namespace=probe)
        network.ip("link", "add", "name", "bridge-c", "type", "bridge", namespace=probe)
        shell.run(shell.nsenter(probe, ["iptables", "-w", "5", "-t", "nat", "-S"]))
    except shell.Failed as failure:
        raise layout.CannotHere(f"no network namespaces with veth, bridge and iptables: {failure}") from failure
    finally:
        network.ip("netns", "del", probe, check=False)


if __name__ == "__main__":
    sys.exit("this is a module; the program is kube.py")
