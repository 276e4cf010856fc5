"""PostgreSQL under helm/postgresql: one row per transaction."""
import contextlib
import time

import psycopg2
import psycopg2.extras

import shell
from engine import Engine
from workload import Late, Load as Base, Session

ROWS, PROBE = "mainstay_rows", "mainstay_probe"
CREATE = "".join(f"CREATE TABLE IF NOT EXISTS {t} (id bigint PRIMARY KEY, source text, timeline int);" for t in (ROWS, PROBE))
INSERT = "INSERT INTO {} (id, source, timeline) VALUES (%s, %s, " + Base.TIMELINE + ") RETURNING timeline, host(inet_server_addr())"


class Postgresql(Engine):
    name, release, container, process, section = "postgresql", "pg", "postgres", "postgres -D", "postgresql"
    values = {
        "postgresql": {"databases": {"app": {"owner": "app"}}, "parameters": {"shared_buffers": "64MB", "work_mem": "4MB"}},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }
    # H + K of the profiles (docs/CONFIGURATION.md)
    deadline = {"default": 7.5 + 2.0, "fast": 2.0 + 0.9}
    node_goal = 5.0
    images = ("agent", "postgres")
    secret, key = "pg-user-app", "password"
    tables = (ROWS, PROBE)
    errors, refused = (psycopg2.Error, Late), (psycopg2.errors.ReadOnlySqlTransaction,)
    reload, restart = ("work_mem", "6MB", "8MB"), ("shared_buffers", "96MB", "64MB")
    title = "PostgreSQL 15"
    peer = "CloudNativePG 1.30.0 on such a bed and machine, measured 2026-11-23 through its `-rw` Service"
    clients = "two sessions that stay open and reconnect after an error, one client with a new session for\nevery row"

    def target(self, host, password):
        return (f"host={host} port=5432 dbname=app user=app password={password} connect_timeout=2 tcp_user_timeout=2000 "
                f"sslmode=disable gssencmode=disable application_name=mainstay-test")

    def session(self, target, timeout):
        return Session(target, timeout)

    def table(self, source):
        return PROBE if source.startswith("beside") else ROWS

    def promised(self, source, planned):
        return True

    def write(self, session, source, ident, timeout):
        told = session.run(INSERT.format(self.table(source)), (ident, source), timeout=timeout)[0]
        return None if session.warned() else tuple(told)

    def pool(self, target, where):
        return Pool(target, where)

    # ---- the cluster ----
    def sql(self, world, host, statement, node, timeout=30.0):
        with world.bed.inside(node):
            session = Session(world.target(host), 5.0)
            try:
                return session.run(statement, timeout=timeout)
            finally:
                session.close()

    def prepare(self, world):
        """The tables are the application's own, made by the role and in the database that the values name."""
        def make():
            return self.sql(world, world.service, CREATE + " SELECT 1", world.writer_node())
        try:
            world.wait("the tables are made", make, 20)
            return []
        except AssertionError as late:  # world.Failure
            psql = ["exec", "-i", world.primary(), "-c", "postgres", "--", "psql", "-h", "/var/run/postgresql", "-U", "postgres", "-q", "-f", "-"]
            told = world.kubectl(*psql, stdin=f"CREATE ROLE app LOGIN PASSWORD '{world.password}';\nCREATE DATABASE app OWNER app;\n")
            make()
            return [f"role and database of the values were not there, made by hand: {late} {told}"]

    def unwell(self, world, pods, primary, status):
        others = sorted(set(pods) - {primary})
        if sorted(status["durability"]["sync_names"]) != others:
            return f"{primary} is acknowledged by {status['durability']['sync_names']}, not yet by {others}"
        return ""

    def everywhere(self, world, primary, pods):
        addresses = {n: (p["status"]["podIP"], p["spec"]["nodeName"]) for n, p in pods.items()}
        target = self.sql(world, addresses[primary][0], "SELECT pg_current_wal_flush_lsn()", addresses[primary][1])[0][0]
        have = {}
        for name, (host, node) in addresses.items():
            if name != primary:
                replayed = f"SELECT pg_last_wal_replay_lsn() >= '{target}'::pg_lsn"
                world.wait(f"{name} replayed {target}", lambda h=host, n=node, q=replayed: self.sql(world, h, q, n)[0][0], 60)
            have[name] = {t: {r[0] for r in self.sql(world, host, f"SELECT id FROM {t}", node)} for t in self.tables}
        return have

    def empty(self, world):
        with contextlib.suppress(*self.errors):
            self.sql(world, world.service, f"TRUNCATE {ROWS}, {PROBE}", world.writer_node(), 10)

    def write_after(self, world):
        return self.sql(world, world.service, f"INSERT INTO {ROWS} VALUES (-{int(time.time() * 1000)}, 'after', 0) RETURNING id", world.writer_node())

    def show(self, world, parameter):
        return {n: self.sql(world, p["status"]["podIP"], f"SHOW {parameter}", p["spec"]["nodeName"])[0][0] for n, p in world.pods().items()}


class Pool:
    """Most idle, some inside a transaction, some in a long query."""

    def __init__(self, target, where, idle=12, in_transaction=4, querying=4):
        self.sessions = []
        kinds = [None] * idle + ["BEGIN; SELECT 1"] * in_transaction + ["SELECT pg_sleep(600)"] * querying
        with shell.inside(where):
            for statement in kinds:
                connection = psycopg2.connect(target, async_=1)
                psycopg2.extras.wait_select(connection)
                if statement:
                    connection.cursor().execute(statement)
                self.sessions.append(connection)

    def close(self):
        for connection in self.sessions:
            with contextlib.suppress(psycopg2.Error):
                connection.close()
