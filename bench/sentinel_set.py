"""Redis under Debian's Sentinel on this machine: three redis-servers with a sentinel beside each, in networks of their own, with the
questions and faults of a Mainstay cluster (test/integration/redis_net.py), so that the same writers and the same judge serve both.

Everything is as delivered, but down-after-milliseconds when the caller names it. Nobody restarts what was killed, unless told.
"""
import os
import re
import subprocess

import procs
from harness import Cluster, PortBook
from redis_load import APP, PASSWORD, RedisLoad, Resp, RespError
from redis_harness import RedisCluster, RedisMember
from redis_net import Switch, inside

SERVER = "/usr/bin/redis-server"
NAME = "mymaster"
USERS = f"user default on nopass ~* &* +@all\nuser {APP} on >{PASSWORD} ~* &* +@all\nuser watch on >{PASSWORD} +role +info +ping\n"


class SentinelMember:
    ask, info, keys, accepts_writes = RedisMember.ask, RedisMember.info, RedisMember.keys, RedisMember.accepts_writes

    def __init__(self, owner, name):
        self.owner, self.name = owner, name
        self.home = os.path.join(owner.scratch.path, name)
        os.mkdir(self.home, 0o700)
        owner.own(self.home)
        self.holder, self.address = owner.switch.join(name)
        self.pg_port, self.sentinel_port = owner.ports.take(), owner.ports.take()
        self.server = self.sentinel = None

    def inside(self):
        return inside(self.holder)

    def running(self):
        return bool(self.server and self.server.running() and self.sentinel and self.sentinel.running())

    def _start(self, what, argv):
        with self.inside():
            return procs.Proc(f"{self.name}/{what}", argv, os.path.join(self.home, what + ".log"), user=self.owner.user, scratch=self.owner.scratch)

    def start_server(self, replica_of=None):
        """The file is kept: sentinels write into it whom it follows."""
        path = os.path.join(self.home, "redis.conf")
        if not os.path.exists(path):
            lines = [f"port {self.pg_port}", "bind 0.0.0.0", "protected-mode no", f"dir {self.home}", f"replica-announce-ip {self.address}", *self.owner.settings, USERS]
            if replica_of is not None:
                lines.append(f"replicaof {replica_of.address} {replica_of.pg_port}")
            self._write(path, lines)
        self.server = self._start("redis", [SERVER, path])

    def start_sentinel(self, primary):
        path = os.path.join(self.home, "sentinel.conf")
        if not os.path.exists(path):
            lines = [f"port {self.sentinel_port}", "bind 0.0.0.0", "protected-mode no", f"dir {self.home}", f"sentinel announce-ip {self.address}",
                     f"sentinel monitor {NAME} {primary.address} {primary.pg_port} 2"]
            if self.owner.down_after:
                lines.append(f"sentinel down-after-milliseconds {NAME} {self.owner.down_after}")
            self._write(path, lines)
        self.sentinel = self._start("sentinel", [SERVER, path, "--sentinel"])

    def _write(self, path, lines):
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        self.owner.own(path)

    def start(self):
        if not self.server.running():
            self.start_server()
        if not self.sentinel.running():
            self.start_sentinel(None)

    def kill_server(self):
        self.server.kill()

    def kill_all(self):
        for p in (self.server, self.sentinel):
            p.signal(9)
        for p in (self.server, self.sentinel):
            p.popen.wait(10)

    def server_pid(self):
        return self.server.pid if self.server.running() else None

    def sentinel_says(self, *words):
        try:
            with self.inside():
                r = Resp(self.sentinel_port, user=None)
            answer = r("SENTINEL", *words)
            r.close()
            return answer
        except (OSError, RespError):
            return None


class SentinelSet:
    def __init__(self, down_after=None, parameters=None):
        self.name, self.down_after = "sentinel", down_after
        self.settings = [f"{k} {v if v else chr(34) * 2}" for k, v in (parameters or {}).items()]
        self.user = procs.database_user()
        self.scratch = procs.Scratch(self.user, prefix="mainstay-peer-")
        self.switch, self.ports = Switch(self.scratch), PortBook()
        self.members = [SentinelMember(self, n) for n in "abc"]

    own, wait, wait_primary, caught_up = Cluster.own, Cluster.wait, Cluster.wait_primary, RedisCluster.caught_up

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        first = self.members[0]
        first.start_server()
        for m in self.members[1:]:
            m.start_server(first)
        for m in self.members:
            m.start_sentinel(first)

    def close(self):
        self.scratch.close()

    def primary(self):
        found = [m for m in self.members if m.server.running() and m.accepts_writes()]
        return found[0] if found else None

    def wait_ready(self, timeout=120, _members=None):
        """One primary with two replicas online, named by all sentinels, who know each other and the replicas."""
        def ready():
            found = [m for m in self.members if m.accepts_writes()]
            if len(found) != 1:
                return None
            p = found[0]
            online = sum(k.startswith("slave") and "state=online" in v for k, v in p.info().items())
            if online != len(self.members) - 1:
                return None
            for m in self.members:
                told = m.sentinel_says("MASTER", NAME)
                told = dict(zip(told[::2], told[1::2])) if told else {}
                if (told.get("ip"), told.get("port")) != (p.address, str(p.pg_port)) or told.get("flags") != "master":
                    return None
                if told.get("num-slaves") != "2" or told.get("num-other-sentinels") != "2":
                    return None
            return p
        return self.wait("a primary under three sentinels", ready, timeout)

    # ---- faults, as redis_net.NetCluster ----
    def cut_network(self, member):
        self.switch.cut(member.name)

    def cut_lock(self, member):
        """There is none."""

    def mend(self, member):
        self.switch.mend(member.name)

    def load(self, **options):
        return RedisLoad(self, **options)

    def describe(self):
        lines = []
        for m in self.members:
            for what in ("redis", "sentinel"):
                with open(os.path.join(m.home, what + ".log"), errors="replace", encoding="utf-8") as f:
                    lines += [f"--- {m.name}/{what}", *(line.rstrip()[:200] for line in f.readlines()[-8:])]
        return "\n".join(lines)


def version():
    said = subprocess.run([SERVER, "--version"], capture_output=True, text=True, check=False).stdout
    return re.search(r"v=(\S+)", said).group(1)
