"""A whole Mainstay cluster of real redis-servers on this machine: harness.py's members and cluster, with Redis in them.

    with RedisCluster(3, profile="fast") as c:
        c.start(); c.wait_ready()
        load = c.load().start()
        c.primary().ctl("switchover")
        load.stop(); c.check(load)
"""
import contextlib
import os
import signal

import procs
from harness import Cluster, Failure, Member
from redis_load import APP, PASSWORD, RedisLoad, Resp, RespError, leave

REDIS_BIN = os.environ.get("MAINSTAY_REDIS_BIN", "/usr/bin")


class RedisMember(Member):
    def _make_folders(self):
        super()._make_folders()
        self.data_dir = os.path.join(self.home, "pg", "data")
        self.socket = os.path.join(self.run_dir, "redis.sock")
        self.pg_log = os.path.join(self.home, "redis.log")
        self.parameters = dict(self.cluster.parameters)
        self.sentinel_port = self.cluster.ports.take()

    def config(self):
        out = super().config()
        c = self.cluster
        del out["postgresql"], out["sync_count"], out["durability"], out["election"]["takeover"]
        out["engine"] = "redis"
        out["redis"] = {
            "data_dir": self.data_dir, "socket": self.socket, "port": self.pg_port, "replication_password_file": c.password_file,
            "users_file": c.users_file, "parameters": self.parameters, "min_replicas": c.min_replicas, "bind": "* -::*",
            "sentinel_listen": f"127.0.0.1:{self.sentinel_port}", "sentinel_names": ["mymaster"],
        }
        return out

    def start_shim(self):
        c = self.cluster
        argv = [os.path.join(c.bin, "mainstay-shim"), "--engine", "redis", "--socket", self.shim_socket, "--bin-dir", c.redis_bin,
                "--data-dir", self.data_dir, "--mode", c.shim_mode]
        if not c.relay:
            argv += ["--log", self.pg_log]
        if c.user:
            argv += ["--user", c.user]
        self.shim = procs.Proc(f"{self.name}/shim", argv, self.shim_log, scratch=c.scratch, env=c.environment(), **self.outputs("shim"))

    def server_pid(self):
        if not self.shim or not self.shim.running():
            return None
        for pid in procs.tree(self.shim.pid):
            try:
                with open(f"/proc/{pid}/comm") as f:
                    if f.read().strip() == "redis-server":
                        return pid
            except OSError:
                continue
        return None

    postmaster_pid = server_pid

    def kill_server(self):
        pid = self.server_pid()
        if pid is None:
            raise Failure(f"{self.name} has no redis-server to kill")
        os.kill(pid, signal.SIGKILL)
        return pid

    def forget_files(self):
        """What was saved is gone (an emptyDir of a node that is gone), the agent's own files beside it stay."""
        for name in ("dump.rdb", "appendonlydir"):
            path = os.path.join(self.data_dir, name)
            if os.path.isdir(path):
                for entry in os.listdir(path):
                    os.unlink(os.path.join(path, entry))
                os.rmdir(path)
            elif os.path.exists(path):
                os.unlink(path)

    def inside(self):
        """Where a client must be to reach this member at 127.0.0.1."""
        return contextlib.nullcontext()

    def ask(self, *words, timeout=2.0):
        with self.inside():
            r = Resp(self.pg_port, timeout=timeout)
        try:
            return r(*words)
        finally:
            r.close()

    def info(self, section="replication", timeout=2.0):
        """{} when it does not answer."""
        r = None
        try:
            with self.inside():
                r = Resp(self.pg_port, "watch", PASSWORD, timeout)
            return r.info(section)
        except (OSError, RespError):
            return {}
        finally:
            leave(r)

    def accepts_writes(self):
        return self.info().get("role") == "master"

    def keys(self):
        """All keys with their values (None: not a string)."""
        with self.inside():
            r = Resp(self.pg_port, timeout=30)
        out, cursor = {}, "0"
        while True:
            cursor, names = r("SCAN", cursor, "COUNT", "5000")
            if names:
                out.update(zip(names, r("MGET", *names)))
            if cursor == "0":
                r.close()
                return out


class RedisCluster(Cluster):
    MEMBER = RedisMember
    redis_bin = REDIS_BIN
    more_users = ()  # lines of the file of users

    def __init__(self, n=3, parameters=None, min_replicas=0, **options):
        self.parameters = dict(parameters or {})
        self.min_replicas = min_replicas
        self.users_file = None
        super().__init__(n, durability="async", **options)
        self.users_file = os.path.join(self.secrets, "users")
        self.write_users(f"user {APP} on >{PASSWORD} ~* &* +@all -@admin", f"user watch on >{PASSWORD} +role +info +ping", *self.more_users)

    def write_users(self, *lines):
        with open(self.users_file + ".new", "w") as f:
            f.write("".join(line + "\n" for line in lines))
        os.chmod(self.users_file + ".new", 0o600)
        self.own(self.users_file + ".new")
        os.rename(self.users_file + ".new", self.users_file)

    def standbys_streaming(self, primary):
        s = primary.status() or {}
        named = {r.get("name") for r in s.get("replicas", []) or []}
        online = {int(v.split("port=")[1].split(",")[0]) for k, v in primary.info().items() if k.startswith("slave") and "state=online" in v}
        return {m.name for m in self.members if m.pg_port in online and (not named or m.name in named)}

    def primary(self):
        found = [m for m in self.members if m.running() and m.accepts_writes()]
        return found[0] if found else None

    def wait_ready(self, timeout=120, members=None, sync=None):
        want = {m.name for m in (members or [m for m in self.members if m.running()])}

        def ready():
            p = self.primary()
            if p is None or not (want - {p.name}) <= self.standbys_streaming(p):
                return None
            s = p.status()
            if not s or s.get("leader") != p.name:
                return None
            # Each of them says itself that it follows.
            for m in self.members:
                if m.name in want and m is not p and ((m.status() or {}).get("database") or {}).get("streaming_from") != p.name:
                    return None
            return p
        return self.wait(f"a primary with {sorted(want)} joined", ready, timeout, 0.1)

    def load(self, **options):
        return RedisLoad(self, **options)

    def full_resyncs(self):
        return sum(int(m.info("stats").get("sync_full", 0)) for m in self.members if m.running())

    def sync_counts(self):
        """{process: full resyncs that it served}, for copies_since."""
        out = {}
        for m in self.members:
            if m.running():
                out[m.info("server").get("run_id")] = int(m.info("stats").get("sync_full", 0))
        return out

    def copies_since(self, before):
        """Members that were copied as a whole since then; a process that died takes its count along."""
        return sum(count - before.get(run, 0) for run, count in self.sync_counts().items())

    def check(self, load, timeout=60, members=None, allow_loss=False):
        """After load.stop(): acknowledged keys that are missing anywhere. Raises unless there is none, or losses are allowed."""
        members = members or [m for m in self.members if m.running()]
        self.caught_up(self.wait_ready(timeout, members), members, timeout)
        lost = load.lost(members)
        if lost and not allow_loss:
            raise Failure(f"{len(lost)} of {load.acknowledged()} acknowledged writes are lost: {sorted(lost)[:5]}\n{self.describe()}")
        return len(lost)

    def caught_up(self, primary, members=None, timeout=60):
        """Every member has what the primary has now."""
        target = int(primary.info()["master_repl_offset"])
        for m in members or [m for m in self.members if m.running()]:
            if m is not primary:
                self.wait(f"{m.name} has {target}", lambda m=m: int(m.info().get("slave_repl_offset", 0)) >= target, timeout)
