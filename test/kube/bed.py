"""The bed for tests: a real cluster that can be broken, node by node.

    with Bed.up(nodes=3, images=["build/images/agent.tar"]) as bed:        # layout.CannotHere: skip the test
        bed.apply(manifest)                                               # text or a list of objects
        bed.wait_pod("db-0", "demo")                                      # until Ready
        bed.cut("n1"); bed.restore("n1")                                  # its cable
        bed.stop_kubelet("n2"); bed.start_kubelet("n2"); bed.reboot("n3")
        bed.kill_in("db-0", "postgres", which="main", namespace="demo")   # kill -9 inside a container
        bed.api_pause(); bed.api_resume(); bed.api_stop(); bed.api_start()
        with bed.inside("n2"): psycopg2.connect(host=service_ip)          # this thread's sockets are the node's

A bed of a test that is killed goes away; a bed of somebody else's (./dev kube up, a running test) is AlreadyUp. Bed.attach()
uses the bed that is up and leaves it up. All waits have a limit and raise shell.Failed with what was seen last.
Clients that must survive a node's death run inside another node: Services work in the nodes' namespaces only.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cgroups
import cluster
import layout
import network
import node as node_
import objects
import procs
import shell


def _dismiss(janitor):
    """Its work is done: there is no bed of ours."""
    janitor.stdin.write(b"done")
    janitor.stdin.close()
    janitor.wait(30)


def pod_ready(pod):
    """Ready, and not on its way out."""
    return "deletionTimestamp" not in pod["metadata"] and any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


class Bed:
    """A running bed."""

    def __init__(self, cluster_, ours):
        self.cluster, self.ours, self.janitor = cluster_, ours, None
        self.layout, self.daemons, self.api = cluster_.bed, cluster_.daemons, cluster_.api()
        self.kubeconfig = self.layout.kubeconfig

    @classmethod
    def up(cls, nodes=3, prefix=None, images=(), grace=16, audit=False, say=lambda text: None):
        made = cluster.Cluster(prefix, nodes)
        if made.abandoned():
            made.down()
            made = cluster.Cluster(prefix, nodes)
        # Takes the bed down when we end without having done it, however we end.
        janitor = subprocess.Popen([sys.executable, os.path.join(layout.HERE, "kube.py"), "--prefix", made.bed.prefix, "janitor", str(os.getpid())],
                                   stdin=subprocess.PIPE, start_new_session=True, cwd="/")
        try:
            made.up(owner=[os.getpid(), procs.start_time(os.getpid())], images=images, grace=grace, audit=audit, say=say)
        except (cluster.AlreadyUp, layout.CannotHere):
            _dismiss(janitor)
            raise
        except BaseException:
            made.down()
            _dismiss(janitor)
            raise
        bed = cls(made, ours=True)
        bed.janitor = janitor
        return bed

    @classmethod
    def attach(cls, prefix=None):
        found = cluster.Cluster(prefix)
        if not found.state():
            raise layout.CannotHere(f"no bed '{found.bed.prefix}' is up: ./dev kube up")
        return cls(found, ours=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.ours:
            self.cluster.down()
            if self.janitor:
                _dismiss(self.janitor)
                self.janitor = None

    def node(self, name):
        return self.layout.node(name)

    def load(self, *archives, nodes=None):
        """Image archives into nodes (default: all)."""
        self.cluster.load(archives, nodes)

    # ---- kubectl, helm, objects ------------------------------------------------------------------------------------

    def kubectl(self, *args, stdin=None, timeout=30, check=True):
        return self.tool("kubectl", *args, stdin=stdin, timeout=timeout, check=check)

    def helm(self, *args, timeout=120, check=True):
        return self.tool("helm", *args, timeout=timeout, check=check)

    def tool(self, program, *args, stdin=None, timeout=30, check=True):
        argv = shell.nsenter(self.layout.control_plane, [layout.find(program), *args])
        return shell.run(argv, timeout=timeout, stdin=stdin, check=check, env=tool_env(self.layout))

    def apply(self, manifest, namespace="default"):
        """Text, or objects."""
        if not isinstance(manifest, str):
            manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifest)})
        return self.kubectl("-n", namespace, "apply", "-f", "-", stdin=manifest)

    def get(self, kind, name=None, namespace="default", selector=None):
        """One object, or the list of items."""
        args = ["-n", namespace, "get", kind, *([name] if name else []), *(["-l", selector] if selector else []), "-o", "json"]
        found = json.loads(self.kubectl(*args))
        return found if name else found["items"]

    def pod(self, name, namespace="default", timeout=5):
        """None when there is none."""
        status, found = self.api.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}", timeout=timeout)
        if status not in (200, 404):
            raise shell.Failed(f"pod {namespace}/{name}: {status} {found}")
        return found if status == 200 else None

    def wait(self, what, condition, timeout=60, every=0.1):
        """Until CONDITION() is true; returns what it returned. WHAT is for the error's text; an exception counts as not yet."""
        end, last = procs.now() + timeout, None
        while True:
            try:
                last = condition()
                if last:
                    return last
            except Exception as failure:  # of whatever library the condition asks
                last = failure
            if procs.now() > end:
                raise shell.Failed(f"{what}: not within {timeout} s; last seen: {last}")
            time.sleep(every)

    def wait_pod(self, name, namespace="default", timeout=60):
        """Until the pod is Ready; returns it. When it is late, the error has its state."""
        try:
            return self.wait(f"pod {name}", lambda: (lambda p: p if p and pod_ready(p) else None)(self.pod(name, namespace)), timeout)
        except shell.Failed as late:
            told = self.kubectl("-n", namespace, "describe", "pod", name, check=False)
            raise shell.Failed(f"pod {namespace}/{name} is not Ready after {timeout} s:\n{told[-3000:]}") from late

    def wait_node(self, name, ready=True, timeout=60):
        return self.wait(f"node {name} {'Ready' if ready else 'NotReady'}", lambda: (name in self.cluster.ready_nodes()) == ready, timeout)

    # ---- nodes -----------------------------------------------------------------------------------------------------

    def cut(self, name):
        network.cut(self.layout, self.node(name))

    def silence(self, name):
        network.silence(self.layout, self.node(name))

    def restore(self, name):
        network.restore(self.layout, self.node(name))

    def block(self, name, other, incoming=True, outgoing=True):
        """OTHER: a node (it and its pods), 'api' (the control plane), an address or a range. Takes effect at node NAME."""
        for address in self._addresses(other):
            network.block(self.node(name), address, incoming, outgoing)

    def unblock(self, name):
        network.unblock(self.node(name))

    def _addresses(self, other):
        if other == "api":
            return [layout.CONTROL_PLANE]
        try:
            node = self.node(other)
            return [node.address, node.pods]
        except KeyError:
            return [other]

    def stop_kubelet(self, name, signal_number=signal.SIGTERM):
        unit = node_.unit("kubelet", self.node(name))
        if signal_number == signal.SIGSTOP:
            self.daemons.signal(unit, signal.SIGSTOP)
        else:
            self.daemons.stop(unit)

    def start_kubelet(self, name):
        unit = node_.unit("kubelet", self.node(name))
        self.daemons.signal(unit, signal.SIGCONT)
        self.daemons.start_again(unit)

    def power_off(self, name):
        """A power cut: every process and memory file system of the node is gone; its disk stays."""
        node_.power_off(self.daemons, self.node(name))

    def power_on(self, name):
        node = self.node(name)
        network.reset(node)
        cgroups.remove(node.cgroup)
        node_.start(self.layout, self.daemons, node)

    def reboot(self, name):
        node_.reboot(self.layout, self.daemons, self.node(name))

    def inside(self, where):
        """Context: this thread in the namespace of a node, or of 'cp'. Name resolution stays the host's: use addresses."""
        return shell.inside(self.netns(where))

    def netns(self, where):
        return self.layout.control_plane if where == "cp" else self.node(where).netns

    def run_in(self, where, *argv, timeout=30, stdin=None, check=True):
        """A program of this machine in a node's network (or 'cp')."""
        return shell.run(shell.nsenter(self.netns(where), list(argv)), timeout=timeout, stdin=stdin, check=check)

    # ---- containers ------------------------------------------------------------------------------------------------

    def container_pids(self, pod, container, namespace="default"):
        """(node, {pid: pid inside the container}) of a running container (native sidecars too)."""
        found = self.pod(pod, namespace)
        if not found:
            raise shell.Failed(f"no pod {namespace}/{pod}")
        node = self.node(found["spec"]["nodeName"])
        status = found["status"]
        for entry in status.get("containerStatuses", []) + status.get("initContainerStatuses", []):
            if entry["name"] == container and entry.get("containerID"):
                pids = cgroups.pids(node.cgroup, inside=entry["containerID"].rpartition("/")[2])
                return node, {pid: _inner_pid(pid) for pid in pids}
        raise shell.Failed(f"pod {namespace}/{pod} has no container {container} that was started")

    def find_in(self, pod, container, which="main", namespace="default"):
        """Host PIDs: 'main' (PID 1 of the container), 'all', or a word of the command line."""
        _, pids = self.container_pids(pod, container, namespace)
        if which == "all":
            return sorted(pids)
        if which == "main":
            return [pid for pid, inner in pids.items() if inner == 1]
        return [pid for pid in sorted(pids) if which in _command(pid)]

    def kill_in(self, pod, container, which="main", namespace="default", signal_number=signal.SIGKILL):
        """Signals processes of a container; returns their host PIDs. An error when there are none."""
        pids = self.find_in(pod, container, which, namespace)
        if not pids:
            raise shell.Failed(f"no process '{which}' in {namespace}/{pod}, container {container}")
        procs.send(pids, signal_number)
        return pids

    # ---- volumes ---------------------------------------------------------------------------------------------------

    def volume_path(self, claim, namespace="default"):
        """Folder on this machine of a bound PersistentVolumeClaim."""
        bound = self.get("pvc", claim, namespace)["spec"].get("volumeName")
        if not bound:
            raise shell.Failed(f"claim {namespace}/{claim} is not bound")
        return self.api.get(f"/api/v1/persistentvolumes/{bound}")["spec"]["local"]["path"]

    def recycle_volumes(self):
        """Empties and offers again what claims that are gone have left (Retain keeps it)."""
        for item in self.api.get("/api/v1/persistentvolumes")["items"]:
            if item["status"]["phase"] != "Released":
                continue
            name = item["metadata"]["name"]
            self.api.delete(f"/api/v1/persistentvolumes/{name}")
            self.wait(f"volume {name} gone", lambda n=name: self.api.request("GET", f"/api/v1/persistentvolumes/{n}")[0] == 404, 20)
            node, _, number = name.partition("-")
            shutil.rmtree(item["spec"]["local"]["path"], ignore_errors=True)
            objects.create_volume(self.api, self.node(node), int(number))

    # ---- the API server --------------------------------------------------------------------------------------------

    def api_stop(self):
        """Connections to it are refused."""
        self.daemons.stop("apiserver")

    def api_start(self, timeout=30):
        self.daemons.start_again("apiserver")
        if not self.api.wait_ready(timeout, lambda: self.daemons.pid("apiserver")):
            raise shell.Failed("the API server does not come back:\n" + self.daemons.tail("apiserver"))

    def api_pause(self):
        """It takes connections and never answers."""
        self.daemons.signal("apiserver", signal.SIGSTOP)

    def api_resume(self):
        self.daemons.signal("apiserver", signal.SIGCONT)


def tool_env(bed):
    """Environment of kubectl and helm: the bed's server, nothing of or in the user's home."""
    helm = os.path.join(bed.dir, "helm")
    return {**os.environ, "KUBECONFIG": bed.kubeconfig, "HELM_CACHE_HOME": f"{helm}/cache", "HELM_CONFIG_HOME": f"{helm}/config",
            "HELM_DATA_HOME": f"{helm}/data", "KUBECACHEDIR": os.path.join(bed.dir, "kubectl-cache")}


def _inner_pid(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            for line in f:
                if line.startswith("NSpid:"):
                    return int(line.split()[-1])
    except OSError:
        pass
    return None


def _command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().decode("utf-8", "replace").replace("\0", " ")
    except OSError:
        return ""
