"""Redis under helm/redis. Three kinds of clients of the Service: one sets a key of its own for each write, one sets a register and counts it
only when WAIT 1 told that a replica has it, one appends to a list.

Redis answers a write before any replica has it (docs/REDIS.md, What is promised). So a write that was lost is wrong when a client waited for
a replica, and when nothing broke; the others that a crash took are a figure of the case (`unconfirmed`).
"""
import contextlib
import urllib.request

import resp
import shell
from engine import Engine

ROWS, CONFIRMED, LOG, PROBE, REGISTER = "mainstay:rows", "mainstay:confirmed", "mainstay:log", "mainstay:probe", "mainstay:register"
NOT_PRIMARY = ("READONLY", "MASTERDOWN", "LOADING", "NOREPLICAS", "UNBLOCKED")


class Refused(resp.RespError):
    """Not the primary; the session stays."""


class Session(resp.Resp):
    """Knows the server's own address, which a Service hides."""

    def __init__(self, target, timeout):
        told = dict(w.split("=", 1) for w in target.split())
        super().__init__(int(told["port"]), told["user"], told["password"], timeout, told["host"])
        try:
            laddr = dict(w.split("=", 1) for w in self("CLIENT", "INFO").split() if "=" in w)["laddr"]
        except BaseException:
            self.close()
            raise
        self.address = laddr.rpartition(":")[0]


class Redis(Engine):
    name, release, container, process, section = "redis", "rd", "redis", "redis-server", "redis"
    values = {
        "redis": {"parameters": {"maxmemory": "64mb", "databases": "16", "appendonly": "yes"}},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "sentinel": {"enabled": True},
    }
    # election.validity + election.fence of the profiles (docs/REDIS.md)
    deadline = {"default": 6.0 + 1.9, "fast": 1.4 + 0.7}
    node_goal = 10.0
    images = ("agent", "redis")
    secret, key = "rd-user-default", "password"
    tables = (ROWS, CONFIRMED, LOG, PROBE)
    kept = 3
    errors, refused = (OSError, resp.RespError), (Refused,)
    reload, restart = ("maxmemory", "96mb", "64mb"), ("databases", "32", "16")
    title = "Redis 7.0.15"
    remarks = """Lost: what a client had confirmed by `WAIT 1`, and everything when nothing broke; *unconfirmed*: what Redis had acknowledged before any replica
had it and a crash took (docs/REDIS.md, What is promised), those of the client beside an isolated primary included.

What is above the goal is for the most part kube-proxy's: the former primary's label goes and the new one's comes, two changes of its rules of which
it makes at most one a second. With a killed shim it is the kubelet's: without synchronous standbys the old shim's end counts as proven
when the next one answers, and that is a new container. While the API server is away nobody can take over data that died with their process;
afterwards it is waited for until the member that is to lead reaches it again (kube-proxy on its node asks at intervals of up to a minute).
"""
    clients = ("three sessions that stay open and reconnect after an error (one sets a key for each write, one sets a register and counts it when\n"
               "`WAIT 1` tells that a replica has it, one appends to a list), one client with a new session for every key")

    def target(self, host, password):
        return f"host={host} port=6379 user=default password={password}"

    def session(self, target, timeout):
        return Session(target, timeout)

    def table(self, source):
        return PROBE if source.startswith("beside") else {"kept1": CONFIRMED, "kept2": LOG}.get(source, ROWS)

    def promised(self, source, planned):
        return planned or self.table(source) == CONFIRMED

    def write(self, session, source, ident, timeout):
        table = self.table(source)
        command = ("RPUSH", LOG, ident) if table == LOG else ("SET", f"{table}:{ident}", source)
        wait = [("SET", REGISTER, ident), ("WAIT", 1, 1000)] if table == CONFIRMED else []
        answers = session.all(command, *wait, ("INFO", "replication"), timeout=timeout)
        for answer in answers:
            if isinstance(answer, resp.RespError):
                raise Refused(str(answer)) if str(answer).startswith(NOT_PRIMARY) else answer
        if wait and answers[2] < 1:
            return None
        return resp.fields(answers[-1])["master_replid"], session.address

    def pool(self, target, where):
        return Pool(target, where)

    # ---- the cluster ----
    def ask(self, world, host, node, *commands, timeout=20.0):
        with world.bed.inside(node):
            session = Session(world.target(host), timeout)
            try:
                answers = session.all(*commands)
            finally:
                session.close()
        for answer in answers:
            if isinstance(answer, resp.RespError):
                raise answer
        return answers

    def prepare(self, world):
        """Nothing; but what clients that know only Sentinel are told, and what Prometheus is, is looked at."""
        primary, problems = world.primary(), []
        address = world.bed.get("service", f"{world.release}-sentinel", "db")["spec"]["clusterIP"]
        with world.bed.inside(world.writer_node()):
            asked = resp.Resp(26379, user=None, timeout=5.0, host=address)
            told = [asked("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name) for name in ("mymaster", world.release)]
            asked.close()
        if told != [[world.address(primary), "6379"]] * 2:
            problems.append(f"Sentinel's port tells {told}; {primary} leads at {world.address(primary)}")
        with world.bed.inside(world.node_of(primary)):
            with urllib.request.urlopen(f"http://{world.address(primary)}:7401/metrics", timeout=10) as answer:
                text = answer.read().decode()
        if "\nredis_up 1" not in text or "\nredis_connected_slaves 2" not in text:
            problems.append("/metrics of the primary's agent has no redis_up 1 or no redis_connected_slaves 2")
        return problems

    def unwell(self, world, pods, primary, status):
        for name in sorted(set(pods) - {primary}):
            follows = world.status(name)["database"]["streaming_from"]
            if follows != primary:
                return f"{name} follows {follows or 'nobody'}, not {primary}"
        return ""

    def everywhere(self, world, primary, pods):
        addresses = {n: (p["status"]["podIP"], p["spec"]["nodeName"]) for n, p in pods.items()}

        def replication(name):
            return resp.fields(self.ask(world, *addresses[name], ("INFO", "replication"))[0])
        offset = int(replication(primary)["master_repl_offset"])
        have = {}
        for name in addresses:
            if name != primary:
                world.wait(f"{name} has {offset}", lambda n=name: int(replication(n).get("slave_repl_offset", 0)) >= offset, 60)
            have[name] = self._held(world, *addresses[name])
        return have

    def _held(self, world, host, node):
        with world.bed.inside(node):
            session = Session(world.target(host), 30.0)
            try:
                log = [int(i) for i in session("LRANGE", LOG, 0, -1)]
                if log != sorted(log):
                    raise AssertionError(f"{host}: what was appended is not in the order in which it was")
                out = {LOG: set(log)}
                for table in (ROWS, CONFIRMED, PROBE):
                    cursor, found = "0", set()
                    while True:
                        cursor, names = session("SCAN", cursor, "MATCH", f"{table}:*", "COUNT", 5000)
                        found.update(int(n.rpartition(":")[2]) for n in names)
                        if cursor == "0":
                            break
                    out[table] = found
                # The register holds the last of all that were set.
                last = int(session("GET", REGISTER) or 0)
                out[CONFIRMED] = {i for i in out[CONFIRMED] if i <= last}
                return out
            finally:
                session.close()

    def empty(self, world):
        """All but one key: a server without any would be one without data."""
        with contextlib.suppress(*self.errors):
            node = world.writer_node()
            self.ask(world, world.service, node, ("SET", "mainstay:keep", 1), ("DEL", REGISTER, LOG))
            with world.bed.inside(node):
                session = Session(world.target(world.service), 10.0)
                cursor = None
                while cursor != "0":
                    cursor, names = session("SCAN", cursor or "0", "MATCH", "mainstay:*:*", "COUNT", 5000)
                    if names:
                        session("UNLINK", *names)
                session.close()

    def write_after(self, world):
        return self.ask(world, world.service, world.writer_node(), ("SET", "mainstay:keep", "after"))[0] == "OK"

    def show(self, world, parameter):
        """What can be seen without CONFIG, which clients may not ask."""
        out = {}
        for name, pod in world.pods().items():
            at = pod["status"]["podIP"], pod["spec"]["nodeName"]
            if parameter == "maxmemory":
                told = resp.fields(self.ask(world, *at, ("INFO", "memory"))[0])["maxmemory"]
                out[name] = f"{int(told) // 1048576}mb"
            else:
                out[name] = str(self._databases(world, at))
        return out

    def _databases(self, world, at):
        with world.bed.inside(at[1]):
            session = Session(world.target(at[0]), 10.0)
            answers = session.all(*(("SELECT", n) for n in range(64)))
            session.close()
        return sum(not isinstance(a, resp.RespError) for a in answers)


class Pool:
    """Most idle, some inside MULTI, some blocked, some subscribed."""

    def __init__(self, target, where):
        self.sessions = []
        kinds = [()] * 12 + [("MULTI",)] * 3 + [("BLPOP", "mainstay:none", 600)] * 3 + [("SUBSCRIBE", "mainstay:news")] * 2
        with shell.inside(where):
            for command in kinds:
                session = Session(target, 5.0)
                if command:
                    session.send(*command)
                self.sessions.append(session)

    def close(self):
        for session in self.sessions:
            with contextlib.suppress(OSError):
                session.close()
