"""A whole Mainstay cluster on this machine: scratch folder, free ports, a shim and an agent for each member.

    with Cluster(3, profile="fast") as c:
        c.start(); c.wait_ready()
        load = c.load().start()
        c.primary().kill_postmaster()
        ...
        load.stop(); c.check(load)

Everything is started with a parent death signal and watched by a janitor (procs.py): nothing is left behind, however this
process ends. On failure c.keep() leaves the folder with all logs. Runs as root (then the databases run as `postgres`) or as
anybody (then everything runs as ourselves).
"""
import itertools
import json
import os
import pwd
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

import psycopg2

import procs
from portbook import PortBook
from workload import Load, Late, Session, compare

PG_BIN = os.environ.get("MAINSTAY_PG_BIN", "/usr/lib/postgresql/15/bin")
APP = "app"
ADMIN = ("switchover", "failover", "pause", "resume", "restart", "reload", "reinit", "fence", "unfence", "forget", "durability")


class Failure(AssertionError):
    """Something did not happen within its bound; the message says what was seen instead."""


class Member:
    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.home = os.path.join(cluster.scratch.path, name)
        ports = cluster.ports
        self.pg_port, self.grpc_port, self.http_port = ports.take(), ports.take(), ports.take()
        self.data_dir = os.path.join(self.home, "pg", "data")
        self.run_dir = os.path.join(self.home, "run")
        self.shim_socket = os.path.join(self.run_dir, "shim.sock")
        self.config_file = os.path.join(self.home, "mainstay.yaml")
        self.shim_log = os.path.join(self.home, "shim.log")
        self.agent_log = os.path.join(self.home, "agent.log")
        self.pg_log = os.path.join(self.home, "postgresql.log")
        self.shim = self.agent = None
        self.overrides = {}
        self._make_folders()

    def _make_folders(self):
        for path in (self.home, os.path.join(self.home, "pg"), self.run_dir):
            os.mkdir(path, 0o700)
            self.cluster.own(path)

    # ---- configuration ----
    def config(self):
        c = self.cluster
        out = {
            "cluster": c.name, "name": self.name, "profile": c.profile, "durability": c.durability, "sync_count": c.sync_count,
            "members": [{"name": m.name, "peer": m.peer, "http": f"127.0.0.1:{m.http_port}"} for m in c.members if m is not self],
            "election": {"lock": "file", "path": c.lock_dir, "takeover": c.takeover},
            "listen": {"grpc": self.peer, "http": f"127.0.0.1:{self.http_port}"},
            "advertise": {"database": f"127.0.0.1:{self.pg_port}"},
            "shim": {"socket": self.shim_socket},
            "postgresql": {
                "data_dir": self.data_dir, "bin_dir": PG_BIN, "socket_dir": self.run_dir, "port": self.pg_port,
                "password_file": c.password_file, "initdb": ["--locale=C.UTF-8", "--encoding=UTF8"],
                "parameters": {"shared_buffers": "32MB", "max_wal_size": "256MB"},
            },
            "log": {"format": "text", "level": c.log_level},
        }
        for path, value in list(c.overrides.items()) + list(self.overrides.items()):
            node = out
            *parents, leaf = path.split("/")
            for p in parents:
                node = node.setdefault(p, {})
            if value is None:
                node.pop(leaf, None)
            else:
                node[leaf] = value
        return out

    def write_config(self):
        # JSON is YAML.
        with open(self.config_file + ".new", "w") as f:
            json.dump(self.config(), f, indent=2)
            f.write("\n")
        os.rename(self.config_file + ".new", self.config_file)
        self.cluster.own(self.config_file)

    @property
    def peer(self):
        return f"127.0.0.1:{self.grpc_port}"

    # ---- life ----
    def start(self):
        self.start_shim()
        self.start_agent()

    def start_shim(self):
        c = self.cluster
        argv = [os.path.join(c.bin, "mainstay-shim"), "--socket", self.shim_socket, "--bin-dir", PG_BIN, "--data-dir", self.data_dir,
                "--mode", c.shim_mode, "--path", c.secrets]
        if not c.relay:
            argv += ["--log", self.pg_log]
        if c.user:
            argv += ["--user", c.user]
        self.shim = procs.Proc(f"{self.name}/shim", argv, self.shim_log, scratch=c.scratch, env=c.environment(), **self.outputs("shim"))

    def start_agent(self):
        c = self.cluster
        self.write_config()
        self.agent = procs.Proc(f"{self.name}/agent", [os.path.join(c.bin, "mainstay"), "agent", "--config", self.config_file],
                                self.agent_log, user=c.user, scratch=c.scratch, env=c.environment(), **self.outputs("agent"))

    def outputs(self, _program):
        """Where a program's outputs go, when not into its log file: stdout=, stderr=."""
        return {}

    def tails(self, count):
        """The last lines of what the programs wrote, for a person: (title, lines)."""
        for log in (self.agent_log, self.shim_log, self.pg_log):
            try:
                with open(log, errors="replace") as f:
                    yield log, f.readlines()[-count:]
            except OSError:
                continue

    def running(self):
        return bool(self.agent and self.agent.running() and self.shim and self.shim.running())

    def postmaster_pid(self):
        """In our PID namespace (the file has the one in the shim's)."""
        if not self.shim or not self.shim.running():
            return None
        for pid in procs.tree(self.shim.pid):
            try:
                with open(f"/proc/{pid}/comm") as f, open(f"/proc/{pid}/cmdline", "rb") as g:
                    # Its children rewrite their command lines to "postgres: demo: checkpointer" and the like.
                    if f.read().strip() == "postgres" and g.read().split(b"\0")[0].endswith(b"postgres"):
                        return pid
            except OSError:
                continue
        return None

    def database_pids(self):
        top = self.postmaster_pid()
        return procs.tree(top) if top else []

    def shim_pids(self):
        """The shim itself: the outer process and, with a PID namespace of its own, the inner one."""
        pids = []
        for pid in procs.tree(self.shim.pid):
            try:
                with open(f"/proc/{pid}/comm") as f:
                    if f.read().startswith("mainstay-shim"):
                        pids.append(pid)
            except OSError:
                pass
        return pids

    def all_pids(self):
        out = [self.agent.pid] if self.agent and self.agent.running() else []
        return out + (procs.tree(self.shim.pid) if self.shim and self.shim.running() else [])

    # ---- faults ----
    def kill_postmaster(self):
        pid = self.postmaster_pid()
        if pid is None:
            raise Failure(f"{self.name} has no postmaster to kill")
        os.kill(pid, signal.SIGKILL)
        return pid

    def pause_postmaster(self):
        os.kill(self.postmaster_pid(), signal.SIGSTOP)

    def kill_all(self):
        """Node death: agent, shim and database at once."""
        procs.send(self.all_pids(), signal.SIGKILL)
        for p in (self.agent, self.shim):
            p.popen.wait(10)

    def freeze_agent(self):
        """SIGSTOP, but not in the moment in which it has the lock's directory locked: a stopped process would keep everybody out of a
        lock in a directory, which nothing else than such a lock can do."""
        inode = os.stat(self.cluster.lock_dir).st_ino
        for _ in range(500):
            self.agent.pause()
            if not procs.holds_flock(self.agent.pid, inode):
                return
            self.agent.resume()
            time.sleep(0.003)
        raise Failure(f"the agent of {self.name} never lets the lock's directory go")

    def pause_all(self):
        self.freeze_agent()
        for _ in range(2):  # twice: what was forked meanwhile
            procs.send(self.all_pids(), signal.SIGSTOP)

    def resume_all(self):
        procs.send(reversed(self.all_pids()), signal.SIGCONT)

    def pause_shim(self):
        procs.send(self.shim_pids(), signal.SIGSTOP)

    def pause_database(self):
        for _ in range(2):
            procs.send(self.database_pids(), signal.SIGSTOP)

    def resume_database(self):
        procs.send(self.database_pids(), signal.SIGCONT)

    def stop(self, timeout=20):
        """In good order: the agent first (a primary hands over), then the shim with its database."""
        for p in (self.agent, self.shim):
            if p and p.running():
                p.terminate(timeout)

    def wipe(self):
        """As a new disk: nothing of the data is left. Only when stopped."""
        assert not self.running()
        shutil.rmtree(os.path.join(self.home, "pg"))
        os.mkdir(os.path.join(self.home, "pg"), 0o700)
        self.cluster.own(os.path.join(self.home, "pg"))

    # ---- questions ----
    def dsn(self, user=APP):
        return (f"host=127.0.0.1 port={self.pg_port} user={user} password={user} dbname={APP} connect_timeout=3 "
                f"tcp_user_timeout=5000 gssencmode=disable sslmode=disable application_name=mainstay-test")

    def sql(self, statement, args=None, timeout=15.0):
        s = Session(self.dsn(), 5.0)
        try:
            return s.run(statement, args, timeout)
        finally:
            s.close()

    def superuser(self, statement, database="postgres"):
        """psql as the superuser over the unix socket."""
        prefix = ["/usr/bin/setpriv", "--reuid", self.cluster.user, "--regid", str(pwd.getpwnam(self.cluster.user).pw_gid),
                  "--init-groups"] if self.cluster.user else []
        out = subprocess.run(prefix + [os.path.join(PG_BIN, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.run_dir,
                                       "-p", str(self.pg_port), "-U", "postgres", "-d", database, "-c", statement],
                             capture_output=True, text=True, timeout=60, cwd="/", check=False)
        if out.returncode:
            raise Failure(f"psql on {self.name}: {out.stderr.strip()}")
        return out.stdout.strip()

    def http(self, path, timeout=2.0):
        """(code, body); code 0: no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=timeout) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError as e:
            return 0, str(e)

    def status(self, timeout=2.0):
        """The Status message of this member's agent; None: no answer."""
        code, body = self.http("/status", timeout)
        return json.loads(body) if code == 200 else None

    def ctl(self, verb, *args, timeout=60, check=True):
        """mainstay VERB, asking this member first and the others if it does not answer."""
        addresses = [self.peer] + [m.peer for m in self.cluster.members if m is not self]
        argv = [os.path.join(self.cluster.bin, "mainstay"), verb, "--address", ",".join(addresses), "--timeout", f"{timeout}s"]
        argv += ["--yes"] if verb in ADMIN else []
        out = subprocess.run(argv + list(args), capture_output=True, text=True, timeout=timeout + 10, stdin=subprocess.DEVNULL,
                             env=self.cluster.environment(), check=False)
        if check and out.returncode:
            raise Failure(f"mainstay {verb} {' '.join(args)}: exit {out.returncode}: {out.stderr.strip() or out.stdout.strip()}")
        return out

    def accepts_writes(self):
        try:
            return not self.sql("SELECT pg_is_in_recovery()", timeout=2.0)[0][0]
        except (psycopg2.Error, Late):
            return False


class Cluster:
    MEMBER = Member
    relay = False  # the database's log goes through shim and agent, and not into a file of its own

    def __init__(self, n=3, profile="default", durability="guarded", takeover="quorum", name="demo", build=None, log_level="info",
                 shim_mode="auto", sync_count=1, overrides=None):
        self.name, self.profile, self.durability, self.takeover = name, profile, durability, takeover
        self.log_level, self.shim_mode, self.sync_count, self.overrides = log_level, shim_mode, sync_count, dict(overrides or {})
        self.user = procs.database_user()
        build = procs.find_build(build)
        self.scratch = procs.Scratch(self.user)
        self.bin = procs.copy_binaries(build, os.path.join(self.scratch.path, "bin"))
        self.lock_dir = os.path.join(self.scratch.path, "lock")
        os.mkdir(self.lock_dir, 0o700)
        self.own(self.lock_dir)
        self.secrets = os.path.join(self.scratch.path, "secrets")
        os.mkdir(self.secrets, 0o700)
        self.own(self.secrets)
        self.password_file = os.path.join(self.secrets, "passwords")
        self.ports = PortBook()
        self.ids, self.attempted = itertools.count(1), set()  # of all loads
        self.members = []
        for i in range(n):
            self.members.append(self.MEMBER(self, chr(ord("a") + i)))

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        if kind is not None and os.environ.get("MAINSTAY_KEEP"):
            self.keep()
        self.close()

    def own(self, path):
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSTAY_", "PG"))}
        env.update(LC_ALL="C.UTF-8", HOME="/")
        return env

    def __getitem__(self, name):
        return next(m for m in self.members if m.name == name)

    # ---- life ----
    def start(self):
        for m in self.members:
            m.start()
        return self

    def add_member(self):
        m = self.MEMBER(self, chr(ord("a") + len(self.members)))
        self.members.append(m)
        m.start()
        return m

    def close(self):
        """All at once: this is a test's end, not a shutdown. The janitor kills and tidies up."""
        self.scratch.close()
        for m in self.members:
            for p in (m.agent, m.shim):
                if p:
                    p.popen.wait(10)

    def keep(self):
        self.scratch.keep()

    # ---- questions ----
    def primary(self):
        """The member that accepts writes now; None: none does."""
        for m in self.members:
            if m.running() and m.accepts_writes():
                return m
        return None

    def announced_primary(self):
        """The member whose agent says that it leads and that its database accepts writes."""
        for m in self.members:
            s = m.status() if m.running() else None
            if s and s.get("role") == "primary" and (s.get("database") or {}).get("writable"):
                return m
        return None

    def statuses(self):
        return {m.name: m.status() for m in self.members if m.running()}

    def wait(self, what, condition, timeout, step=0.1):
        """Polls until condition() is true and gives its value; else Failure with the state of all."""
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Failure(f"not within {timeout} s: {what}\n{self.describe()}")
            time.sleep(step)

    def wait_primary(self, timeout=60, other_than=None):
        def found():
            p = self.primary()
            return p if p is not None and (other_than is None or p is not other_than) else None
        return self.wait("a primary" + (f" other than {other_than.name}" if other_than else ""), found, timeout)

    def standbys_streaming(self, primary):
        """Names of the members whose databases stream from the primary, as the primary's agent reports."""
        try:
            rows = primary.superuser("SELECT application_name FROM pg_stat_replication WHERE state = 'streaming' "
                                     "AND application_name <> 'pg_basebackup'").split()
        except (Failure, subprocess.TimeoutExpired):
            return set()
        return {m.name for m in self.members for r in rows if m is not primary and names_member(r, m.name)}

    def wait_ready(self, timeout=120, members=None, sync=None):
        """A primary, everybody else streaming from it, and the sync set in place when the durability wants one."""
        want = {m.name for m in (members or [m for m in self.members if m.running()])}
        sync = self.durability != "async" if sync is None else sync

        def ready():
            p = self.primary()
            if p is None or not (want - {p.name}) <= self.standbys_streaming(p):
                return None
            if sync and len(want) > 1:
                s = p.status()
                d = (s or {}).get("durability", {})
                # The database waits a probe before the record says so; until then nobody may take over.
                if not s or s.get("leader") != p.name or not d.get("sync_names") or not d.get("voters"):
                    return None
            return p
        return self.wait(f"a primary with {sorted(want)} joined", ready, timeout, 0.2)

    def prepare(self):
        """The role, database and tables of the load; once, on the primary."""
        p = self.wait("a founder", self.announced_primary, 90)
        p.superuser(f"CREATE ROLE {APP} LOGIN PASSWORD '{APP}'")
        p.superuser(f"CREATE DATABASE {APP} OWNER {APP}")
        p.superuser("GRANT EXECUTE ON FUNCTION pg_current_wal_lsn() TO PUBLIC", APP)
        for table in ("mainstay_rows", "mainstay_probe"):
            p.superuser(f"CREATE TABLE {table} (id bigint PRIMARY KEY, member text, timeline int); ALTER TABLE {table} OWNER TO {APP}", APP)

    def load(self, **options):
        return Load({m.name: m.dsn() for m in self.members}, ids=self.ids, attempted=self.attempted, **options)

    # ---- judgement ----
    def check(self, load, timeout=60, members=None, allow_loss=False):
        """After load.stop(): every acknowledged row is on every member, nobody wrote beside the primary. Returns lost."""
        members = members or [m for m in self.members if m.running()]
        primary = self.wait_ready(timeout, members)
        self.standbys_have(primary, timeout, members)

        everywhere = set()

        def read(table):
            ids = {m.name: {r[0] for r in m.sql(f"SELECT id FROM {table}", timeout=60)} for m in members}
            everywhere.update(set.intersection(*ids.values()))
            return ids
        lost, problems = compare(load, read)
        if allow_loss:
            problems = []
        overlap = load.overlap_ms(kept=everywhere)
        if overlap > 0:
            problems.append(f"two members acknowledged writes at the same time for {overlap:.1f} ms")
        if problems:
            raise Failure("\n".join(problems) + "\n" + self.describe())
        return lost

    def standbys_have(self, primary, timeout=30, members=None):
        """Waits until every standby has what the primary has now."""
        target = primary.superuser("SELECT pg_current_wal_flush_lsn()")
        for m in members or self.members:
            if m is not primary:
                self.wait(f"{m.name} replayed {target}", lambda m=m: self._replayed(m, target), timeout)

    @staticmethod
    def _replayed(m, lsn):
        try:
            return m.superuser(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'::pg_lsn") == "t"
        except Failure:
            return False

    def why(self, member, limit=50):
        """Decisions of a member, newest last, as `mainstay why -o json` tells them."""
        out = member.ctl("why", member.name, "-n", str(limit), "-o", "json", check=False)
        try:
            return json.loads(out.stdout)
        except ValueError:
            return []

    def describe(self):
        """What a person wants to know when something did not happen."""
        lines = []
        for m in self.members:
            if not m.running():
                state = "agent " + ("runs" if m.agent and m.agent.running() else "is down")
                state += ", shim " + ("runs" if m.shim and m.shim.running() else "is down")
                lines.append(f"{m.name}: {state}")
            s = m.status(1.0) if m.agent and m.agent.running() else None
            if s:
                db = s.get("database", {})
                lines.append(f"{m.name}: phase {s.get('phase')} role {s.get('role')} epoch {s.get('epoch')} leader {s.get('leader')} "
                             f"db {db.get('state')} writable {db.get('writable')} from {db.get('streaming_from')} {db.get('activity', '')}")
        for m in self.members:
            for title, tail in m.tails(12):
                lines.append(f"--- {title}")
                lines += [line.rstrip()[:240] for line in tail]
        return "\n".join(lines)


def names_member(application_name, member):
    """A standby's name in the database is ms_<member>_<nonce of its data>_<epoch> (lib/engine/postgres/names.h)."""
    parts = application_name.split("_")
    return len(parts) == 4 and parts[0] == "ms" and parts[1] == member
