"""One node of the bed: containerd, kubelet and kube-proxy in the node's namespace, with folders, socket and cgroup of their own."""
import json
import os
import shutil
import signal
import time

import cgroups
import layout
import network
import procs
import shell

CONTAINERD = """version = 2
root = "{dir}/containerd"
state = "{run}/state"
# Snapshotters that want devices or file systems that are not here; each would only log an error.
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
# A sandbox without CAP_SYS_RESOURCE may not lower a score: without this no pod starts there.
restrict_oom_score_adj = true
# Not /run/netns: what a killed node leaves is then in a folder of ours.
netns_mounts_under_state_dir = true
sandbox_image = "docker.io/mainstay/pause:1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{dir}/cni"
"""

KUBELET = """apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
healthzBindAddress: 127.0.0.1
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {pki}/ca.crt}}}}
authorization: {{mode: Webhook}}
tlsCertFile: {pki}/{name}.crt
tlsPrivateKeyFile: {pki}/{name}.key
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
failSwapOn: false
failCgroupV1: false
containerRuntimeEndpoint: unix://{socket}
clusterDNS: [{dns}]
clusterDomain: cluster.local
resolvConf: {dir}/resolv.conf
podLogsDir: {dir}/podlogs
# This machine's disk is its owner's business; images are put in by hand and must stay.
evictionHard: {{memory.available: 50Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 4s
nodeLeaseDurationSeconds: 12
"""

PROXY = """apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: {bed}/kube-proxy.kubeconfig}}
hostnameOverride: {name}
clusterCIDR: {pods}
# Only the host's own namespace may change conntrack's limits.
conntrack: {{maxPerCore: 0, min: 0}}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
"""

MEMORY_FOR_IMAGES_KIB = 6 << 20
PARTS = ("containerd", "kubelet", "proxy")


def unit(part, node):
    """Name under which daemons.Daemons knows a node's program: kubelet-n1."""
    return f"{part}-{node.name}"


def configure(bed, node):
    """Writes the node's configuration files."""
    for folder in (node.dir, node.kubelet_dir(), os.path.join(node.dir, "cni"), node.run):
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, layout.FOLDER_MODE)
    values = {"dir": node.dir, "run": node.run, "socket": node.socket, "address": node.address, "name": node.name, "bed": bed.dir,
              "pki": bed.pki, "cgroup": node.cgroup, "dns": layout.DNS_ADDRESS, "pods": layout.POD_RANGE}
    texts = {"containerd.toml": CONTAINERD.format(**values), "kubelet.yaml": KUBELET.format(**values),
             "proxy.yaml": PROXY.format(**values), "resolv.conf": "nameserver 127.0.0.1\n",
             "cni/10-bed.conflist": json.dumps({"cniVersion": "0.4.0", "name": "bed", "plugins": [{
                 "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True,
                 "ipam": {"type": "host-local", "dataDir": f"{node.run}/addresses", "ranges": [[{"subnet": node.pods}]],
                          "routes": [{"dst": "0.0.0.0/0"}]}}]})}
    for name, text in texts.items():
        with open(os.path.join(node.dir, name), "w", encoding="utf-8") as f:
            f.write(text)


def start_containerd(daemons, node):
    cgroups.make(node.cgroup)
    os.makedirs(node.run, exist_ok=True)
    _images_in_memory(node)
    daemons.start(unit("containerd", node), [layout.find("containerd"), "-c", f"{node.dir}/containerd.toml"], node.netns)


def image_store(node):
    return os.path.join(node.dir, "containerd")


def _images_in_memory(node):
    """Images and containers' own layers on a memory file system, where there is plenty: ten thousand files a node are then made and
    removed in no time. Volumes stay on the disk, where fsync means something."""
    store = image_store(node)
    os.makedirs(store, exist_ok=True)
    with open("/proc/meminfo", encoding="ascii") as f:
        available = next(int(line.split()[1]) for line in f if line.startswith("MemAvailable:"))
    if available > MEMORY_FOR_IMAGES_KIB and not os.path.ismount(store):
        shell.run(["mount", "-t", "tmpfs", "-o", "mode=711", "mainstay-bed", store])


def wait_containerd(daemons, node, timeout=20):
    """Until it answers. A kubelet that finds nobody there ends."""
    end = procs.now() + timeout
    while True:
        try:
            if os.path.exists(node.socket):
                shell.run(["ctr", "--address", node.socket, "--namespace", "k8s.io", "version"], timeout=5)
                return
        except shell.Failed:
            pass
        if procs.now() > end or not daemons.pid(unit("containerd", node)):
            raise shell.Failed(f"{node.name}: containerd does not answer:\n" + daemons.tail(unit("containerd", node)))
        time.sleep(0.05)


def start(bed, daemons, node):
    """The rest, when containerd answers; containerd too when it does not run."""
    if not daemons.pid(unit("containerd", node)):
        start_containerd(daemons, node)
    wait_containerd(daemons, node)
    daemons.start(unit("kubelet", node), [
        layout.find("kubelet"), f"--config={node.dir}/kubelet.yaml", f"--kubeconfig={bed.dir}/{node.name}.kubeconfig",
        f"--hostname-override={node.name}", f"--root-dir={node.kubelet_dir()}", f"--node-ip={node.address}",
        f"--node-labels=topology.kubernetes.io/zone={node.zone}"], node.netns)
    daemons.start(unit("proxy", node), [layout.find("kube-proxy"), f"--config={node.dir}/proxy.yaml"], node.netns)


def shims(node):
    """containerd's helpers, one per pod, of this node: they name its socket in their arguments."""
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = f.read().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if "containerd-shim" in argv[0] and node.socket in argv:
            out.append(int(pid))
    return out


def power_off(daemons, node):
    """Ends all of the node's processes at once, as a power cut does; what was in memory only is gone."""
    daemons.stop_all([unit(p, node) for p in PARTS], timeout=0)
    sockets = _shim_sockets(node)
    end = procs.now() + 10
    while left := [p for p in shims(node) if procs.alive(p)]:
        procs.send(left, signal.SIGKILL)
        if procs.now() > end:
            raise shell.Failed(f"{node.name}: containerd's shims {left} do not end")
        time.sleep(0.02)
    cgroups.kill(node.cgroup)
    for path in sockets:
        if os.path.exists(path):
            os.unlink(path)
    unmount(node)
    shutil.rmtree(node.run, ignore_errors=True)


def _shim_sockets(node):
    """containerd keeps its shims' sockets in /run/containerd/s whatever its state folder is; each bundle names its own."""
    out = []
    for where, _, files in os.walk(f"{node.run}/state"):
        if "address" in files:
            with open(os.path.join(where, "address"), encoding="utf-8") as f:
                out.append(f.read().strip().removeprefix("unix://"))
    return [p for p in out if p.startswith("/run/containerd/s/")]


def mounts(node, disk=True):
    """Mount points below the node's folders, deepest first; without DISK those that a power cut ends."""
    out = []
    with open("/proc/mounts", encoding="utf-8") as f:
        for line in f:
            where = line.split()[1].encode().decode("unicode_escape")
            if where.startswith((node.dir + "/", node.run + "/")) and (disk or where != image_store(node)):
                out.append(where)
    return sorted(out, reverse=True)


def unmount(node, disk=False):
    for where in mounts(node, disk):
        shell.run(["umount", "-l", where], check=False)
    if left := mounts(node, disk):
        raise shell.Failed(f"{node.name}: still mounted: {', '.join(left[:5])}")


def reboot(bed, daemons, node):
    """Power cut and start: containers, their memory file systems and the network's state are gone, disks are as they were."""
    power_off(daemons, node)
    network.reset(node)
    cgroups.remove(node.cgroup)
    start(bed, daemons, node)


def import_image(node, archive, timeout=120):
    shell.run(["ctr", "--address", node.socket, "--namespace", "k8s.io", "images", "import", archive], timeout=timeout)


def images(node):
    return shell.run(["ctr", "--address", node.socket, "--namespace", "k8s.io", "images", "ls", "-q"]).split()
