"""A Redis cluster in which each member has a network of its own, so that one can be cut off with clients at its side.

    c = NetCluster(3, profile="fast"); c.start(); c.wait_ready()
    c.cut_network(m); c.cut_lock(m); ...    # clients inside m.inside() go on
    c.mend(m)

Each member is a network namespace behind one switch (another namespace). A process holds each of them, and all go with the test:
nothing is left in /run/netns. The lock is a directory; a member that is cut off from it may not enter its own way to it.
Agents talk by mutual TLS, because their addresses are not loopback.
"""
import contextlib
import ctypes
import os
import subprocess
import time

import procs
from harness import Failure
from pki import Authority, Secret
from redis_harness import RedisCluster, RedisMember

NAME = "agent.demo.mainstay"
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(pid):
    """The calling thread is in the network of that process meanwhile; what it starts stays there."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(before)
    finally:
        os.close(before)


def ip(pid, *words):
    """ip(8) in the network of that process."""
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "--", "ip", *words], check=True, capture_output=True, timeout=20)


class Switch:
    """Networks for members, joined by one bridge; network n has the address 10.77.0.n."""
    def __init__(self, scratch):
        self.scratch, self.ports = scratch, {}
        self.pid = self._hold("switch")
        ip(self.pid, "link", "add", "sw", "type", "bridge")
        ip(self.pid, "link", "set", "sw", "up")

    def _hold(self, name):
        """PID of a process that holds a network."""
        p = procs.Proc(f"{name}/network", ["/usr/bin/unshare", "--net", "--", "/usr/bin/sleep", "infinity"],
                       os.path.join(self.scratch.path, f"network-{name}.log"), scratch=self.scratch)
        mine, end = os.readlink("/proc/self/ns/net"), time.monotonic() + 20
        while os.readlink(f"/proc/{p.pid}/ns/net") == mine:
            if time.monotonic() > end:
                raise Failure(f"no network for {name}")
            time.sleep(0.01)
        return p.pid

    def join(self, name):
        """(PID that holds the new network, its address)"""
        n = len(self.ports) + 1
        self.ports[name] = f"p{n}"
        pid, address = self._hold(name), f"10.77.0.{n}"
        ip(self.pid, "link", "add", f"p{n}", "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        ip(self.pid, "link", "set", f"p{n}", "master", "sw", "up")
        for words in (("link", "set", "lo", "up"), ("addr", "add", f"{address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            ip(pid, *words)
        return pid, address

    def cut(self, name):
        """It does not forward any more to and from there: nobody is told."""
        ip(self.pid, "link", "set", self.ports[name], "nomaster")

    def mend(self, name):
        ip(self.pid, "link", "set", self.ports[name], "master", "sw")


class NetMember(RedisMember):
    def _make_folders(self):
        super()._make_folders()
        c = self.cluster
        self.holder, self.address = c.switch.join(self.name)
        self.gate = os.path.join(self.home, "gate")
        os.mkdir(self.gate, 0o700)
        c.own(self.gate)
        os.symlink(c.lock_dir, os.path.join(self.gate, "lock"))
        secret = Secret(os.path.join(self.home, "tls"), c.own)
        secret.write(c.authority.issue(secret.folder, self.name, NAME))
        self.overrides = {"tls": secret.config(), "listen/admin": "unix:" + os.path.join(self.run_dir, "agent.sock"),
                          "election/path": os.path.join(self.gate, "lock"), "advertise/database": f"{self.address}:{self.pg_port}"}

    @property
    def peer(self):
        return f"{self.address}:{self.grpc_port}"

    def config(self):
        out = super().config()
        for other in out["members"]:
            other.pop("http")
        return out

    def inside(self):
        return inside(self.holder)

    def start_shim(self):
        with self.inside():
            super().start_shim()

    def start_agent(self):
        with self.inside():
            super().start_agent()

    def http(self, path, timeout=2.0):
        with self.inside():
            return super().http(path, timeout)

    def ctl(self, verb, *args, timeout=60, check=True):
        """By the socket beside the agent, as with kubectl exec."""
        with self.inside():
            env = {**self.cluster.environment(), "MAINSTAY_CONFIG": self.config_file}
            return subprocess.run([os.path.join(self.cluster.bin, "mainstay"), verb, "--timeout", f"{timeout}s", *args], capture_output=True,
                                  text=True, timeout=timeout + 10, stdin=subprocess.DEVNULL, env=env, check=check)


class NetCluster(RedisCluster):
    MEMBER = NetMember

    def __init__(self, n=3, **options):
        super().__init__(0, **options)
        self.authority = Authority(os.path.join(self.scratch.path, "authority"), "authority")
        self.switch = Switch(self.scratch)
        for i in range(n):
            self.members.append(self.MEMBER(self, chr(ord("a") + i)))

    # ---- faults ----
    def cut_network(self, member):
        self.switch.cut(member.name)

    def cut_lock(self, member):
        os.chmod(member.gate, 0)

    def mend(self, member):
        os.chmod(member.gate, 0o700)
        self.switch.mend(member.name)
