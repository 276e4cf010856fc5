"""A whole Mainstay cluster of real redis-servers on this machine: harness.py's members and cluster, with Redis in them.

    with RedisCluster(3, profile="fast") as c:
        c.start(); c.wait_ready()
        load = c.load().start()
        c.primary().ctl("switchover")
        load.stop(); c.check(load)

No client library: the tests speak RESP themselves (20 lines), so that nothing retries or redirects behind their back.
"""
import os
import signal
import socket
import threading
import time

import procs
from harness import Cluster, Failure, Member
from procs import now_ns

APP, PASSWORD = "app", "app-password"
REDIS_BIN = os.environ.get("MAINSTAY_REDIS_BIN", "/usr/bin")


class RespError(Exception):
    """An error that the server answered."""


class Resp:
    """One connection; every call is bounded by `timeout`."""
    def __init__(self, port, user=APP, password=PASSWORD, timeout=2.0):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        if user:
            self("AUTH", user, password)

    def __call__(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.sock.sendall(b"".join(parts))
        return self.read()

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise RespError(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            data = self.file.read(int(rest) + 2)
            if len(data) != int(rest) + 2:
                raise ConnectionError("closed")
            return data[:-2].decode()
        return [self.read() for _ in range(int(rest))]

    def info(self, section="replication"):
        return dict(line.split(":", 1) for line in self("INFO", section).split("\r\n") if ":" in line)

    def close(self):
        self.file.close()
        self.sock.close()


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
            "users_file": c.users_file, "parameters": self.parameters, "min_replicas": c.min_replicas,
            "sentinel_listen": f"127.0.0.1:{self.sentinel_port}", "sentinel_names": ["mymaster"],
        }
        return out

    def start_shim(self):
        c = self.cluster
        argv = [os.path.join(c.bin, "mainstay-shim"), "--engine", "redis", "--socket", self.shim_socket, "--bin-dir", REDIS_BIN,
                "--data-dir", self.data_dir, "--mode", c.shim_mode, "--log", self.pg_log]
        if c.user:
            argv += ["--user", c.user]
        self.shim = procs.Proc(f"{self.name}/shim", argv, self.shim_log, scratch=c.scratch, env=c.environment())

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

    def ask(self, *words, timeout=2.0):
        r = Resp(self.pg_port, timeout=timeout)
        try:
            return r(*words)
        finally:
            r.close()

    def info(self, section="replication", timeout=2.0):
        """{} when it does not answer."""
        try:
            r = Resp(self.pg_port, user=None, timeout=timeout)
            r("AUTH", "watch", PASSWORD)
            out = r.info(section)
            r.close()
            return out
        except (OSError, RespError):
            return {}

    def accepts_writes(self):
        return self.info().get("role") == "master"

    def keys(self):
        """All keys with their values."""
        r = Resp(self.pg_port, timeout=30)
        out, cursor = {}, "0"
        while True:
            cursor, names = r("SCAN", cursor, "COUNT", "5000")
            if names:
                out.update(zip(names, r("MGET", *names)))
            if cursor == "0":
                r.close()
                return out


class RedisLoad:
    """Writers that acknowledge: each key once, the next only after an answer. Errors and silence make them look for the primary."""
    def __init__(self, cluster, writers=3, pause=0.0, wait=None):
        self.cluster, self.pause, self.wait = cluster, pause, wait
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.acks = []  # (sent ns, answered ns, member, key)
        self.unknown = set()  # sent, no answer
        self.run = f"{now_ns():x}"
        self.threads = [threading.Thread(target=self._write, args=(i,), daemon=True) for i in range(writers)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join(20)

    def _write(self, i):
        n, members, at, session = 0, self.cluster.members, 0, None
        while not self.ended.is_set():
            key = f"w:{self.run}:{i}:{n}"
            sent = None
            try:
                if session is None:
                    session = Resp(members[at].pg_port, timeout=1.0)
                sent = now_ns()
                session("SET", key, n)
                answered = now_ns()
                if self.wait is not None and session("WAIT", self.wait, 1000) < self.wait:
                    n += 1
                    continue
                with self.lock:
                    self.acks.append((sent, answered, members[at].name, key))
                n += 1
                if self.pause:
                    time.sleep(self.pause)
            except RespError:  # refused: it was not done
                self._leave(session)
                session, at = None, (at + 1) % len(members)
                time.sleep(0.001)
            except OSError:
                if sent is not None:  # it may have been done
                    with self.lock:
                        self.unknown.add(key)
                    n += 1
                self._leave(session)
                session, at = None, (at + 1) % len(members)
                time.sleep(0.001)
        self._leave(session)

    @staticmethod
    def _leave(session):
        if session is not None:
            try:
                session.close()
            except OSError:
                pass

    def wait_acked(self, after_ns=0, count=5, timeout=60, member=None):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with self.lock:
                fresh = [a for a in self.acks[-5000:] if a[1] > after_ns and (member is None or a[2] == member)]
            if len(fresh) >= count:
                return True
            time.sleep(0.01)
        return False

    def acknowledged(self):
        with self.lock:
            return len(self.acks)

    def gap(self, since, until=None):
        """The longest time without an acknowledgement after `since`, in seconds."""
        with self.lock:
            times = sorted(a[1] for a in self.acks if a[1] >= since and (until is None or a[1] <= until))
        times = [since] + times
        return max((b - a for a, b in zip(times, times[1:])), default=0) / 1e9

    def writers_in_turn(self):
        """Members in the order in which they acknowledged, without repetitions: as many as there were reigns."""
        with self.lock:
            acks = sorted(self.acks, key=lambda a: a[1])
        out = []
        for _, _, member, _ in acks:
            if not out or out[-1] != member:
                out.append(member)
        return out


class Prober:
    """Asks every member by ROLE, without pause, whether it writes. Two that do at the same moment are told by `both`."""
    def __init__(self, cluster):
        self.cluster, self.ended, self.spans = cluster, threading.Event(), {m.name: [] for m in cluster.members}
        self.threads = [threading.Thread(target=self._look, args=(m,), daemon=True) for m in cluster.members]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join(10)

    def _look(self, m):
        session = None
        while not self.ended.is_set():
            try:
                if session is None:
                    session = Resp(m.pg_port, user=None, timeout=1.0)
                    session("AUTH", "watch", PASSWORD)
                sent = now_ns()
                role = session("ROLE")[0]
                answered = now_ns()
                if role == "master":
                    spans = self.spans[m.name]
                    # A primary at some moment between both: joined to the one before when nothing else was seen since.
                    if spans and spans[-1][2]:
                        spans[-1][1] = sent
                    else:
                        spans.append([answered, answered, True])
                elif self.spans[m.name]:
                    self.spans[m.name][-1][2] = False
            except (OSError, RespError):
                if self.spans[m.name]:
                    self.spans[m.name][-1][2] = False
                RedisLoad._leave(session)
                session = None
                time.sleep(0.005)
            time.sleep(0.0005)

    def both(self):
        """[(member, member, ms)]: certainly primaries at the same time."""
        out, names = [], sorted(self.spans)
        for i, a in enumerate(names):
            for b in names[i + 1:]:
                for x in self.spans[a]:
                    for y in self.spans[b]:
                        common = min(x[1], y[1]) - max(x[0], y[0])
                        if common > 0:
                            out.append((a, b, common / 1e6))
        return out


class RedisCluster(Cluster):
    MEMBER = RedisMember

    def __init__(self, n=3, parameters=None, min_replicas=0, **options):
        self.parameters = dict(parameters or {})
        self.min_replicas = min_replicas
        self.users_file = None
        super().__init__(n, durability="async", **options)
        self.users_file = os.path.join(self.secrets, "users")
        with open(self.users_file, "w") as f:
            f.write(f"user {APP} on >{PASSWORD} ~* &* +@all -@admin\nuser watch on >{PASSWORD} +role +info +ping\n")
        os.chmod(self.users_file, 0o600)
        self.own(self.users_file)

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

    def check(self, load, timeout=60, members=None, allow_loss=False):
        """After load.stop(): acknowledged keys that are missing anywhere. Raises unless there is none, or losses are allowed."""
        members = members or [m for m in self.members if m.running()]
        primary = self.wait_ready(timeout, members)
        target = int(primary.info()["master_repl_offset"])
        for m in members:
            if m is not primary:
                self.wait(f"{m.name} has {target}", lambda m=m: int(m.info().get("slave_repl_offset", 0)) >= target, timeout)
        lost = set()
        acked = [a[3] for a in load.acks]
        for m in members:
            have = m.keys()
            lost |= {k for k in acked if k not in have}
        if lost and not allow_loss:
            raise Failure(f"{len(lost)} of {len(acked)} acknowledged writes are lost: {sorted(lost)[:5]}\n{self.describe()}")
        return len(lost)
