#!/usr/bin/python3
"""/metrics of a member: equal to Debian's postgres_exporter on the same server, complete when the database is not well, bounded."""
import contextlib
import json
import math
import os
import re
import signal
import threading
import time
import unittest

import psycopg2

import scrape
from base import main
from harness import Cluster
from scrape import OPENMETRICS, Exporter, get, promtool, read

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DIFFER = "## Where these differ from postgres_exporter's, on purpose"
COUNTS = """
pg_parts:
  query: "SELECT relkind::text AS kind, count(*) AS n, true AS yes, 'on' AS word, '1m2.5s' AS age FROM pg_class GROUP BY 1;"
  target_databases: ["a*"]
  metrics:
    - kind: {usage: LABEL, description: "Kind"}
    - n: {usage: GAUGE, description: "Relations of this kind"}
    - yes: {usage: COUNTER, description: "One", name: yes_total}
    - word: {usage: MAPPEDMETRIC, description: "Word", metric_mapping: {"on": 7}}
    - age: {usage: DURATION, description: "Age"}
pg_spread:
  query: "SELECT ARRAY[1, 2.5] AS size, ARRAY[3, 4] AS size_bucket, 11 AS size_sum, 5 AS size_count"
  metrics: [{size: {usage: HISTOGRAM, description: "Size"}}]
pg_not_here:
  query: "SELECT n FROM public.nothing_of_this_name"
  predicate_query: "SELECT to_regclass('public.nothing_of_this_name') IS NOT NULL"
  metrics: [{n: {usage: GAUGE, description: "n"}}]
pg_other_version:
  query: "SELECT 1 AS n"
  runonserver: "<13 || >=99"
  metrics: [{n: {usage: GAUGE, description: "n"}}]
"""
EVIL = """
pg_evil:
  query: "SELECT public.evil() AS n"
  target_databases: ["app"]
  metrics: [{n: {usage: GAUGE, description: "n"}}]
pg_path:
  query: "SELECT CASE WHEN current_setting('search_path') = 'pg_catalog, pg_temp' OR current_setting('search_path') = 'pg_catalog,pg_temp' THEN 1 ELSE 0 END AS pinned, set_config('search_path', 'public', false) AS gone"
  target_databases: ["app"]
  metrics: [{pinned: {usage: GAUGE, description: "pinned"}}, {gone: {usage: DISCARD}}]
pg_slow:
  query: "SELECT 1 AS n FROM pg_sleep(30)"
  metrics: [{n: {usage: GAUGE, description: "n"}}]
"""


def deviations():
    """The list that docs/METRICS.md has: [(pattern, what)]."""
    with open(os.path.join(ROOT, "docs", "METRICS.md"), encoding="utf-8") as f:
        part = f.read().split(DIFFER)[1]
    return [(m[1], m[2]) for m in re.finditer(r"^\| `([^`]+)` \| (\w+) \|", part, re.M)]


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.c = cls.stack.enter_context(Cluster(1, overrides={
            "metrics/slow_interval": "0s", "metrics/collect": ["bloat_table", "bloat_btree"], "probe/hung_after": "30s",
            "postgresql/parameters": {"shared_buffers": "32MB", "max_wal_size": "256MB", "max_connections": "20",
                                      "shared_preload_libraries": "pg_stat_statements"}}))
        c = cls.c
        cls.queries = os.path.join(c.secrets, "queries.yaml")
        c.start()
        c.prepare()
        cls.m = c.wait_ready(120)
        cls.url = f"http://127.0.0.1:{cls.m.http_port}/metrics"
        for database in ("postgres", "app"):
            cls.m.superuser("CREATE EXTENSION IF NOT EXISTS pg_stat_statements; CREATE EXTENSION IF NOT EXISTS pgstattuple", database)
        cls.m.superuser("CREATE TABLE parts (id int PRIMARY KEY, name text); INSERT INTO parts SELECT g, g::text FROM generate_series(1, 999) g;"
                        "ANALYZE parts", "app")
        cls.m.superuser("SELECT pg_create_physical_replication_slot('held', true)")

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def reload(self, **overrides):
        self.m.overrides.update({k.replace("__", "/"): v for k, v in overrides.items()})
        self.m.write_config()
        self.m.ctl("reload", self.m.name)

    def write_queries(self, text):
        with open(self.queries + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        self.c.own(self.queries + ".new")
        os.rename(self.queries + ".new", self.queries)

    def families(self, **how):
        a = get(self.url, **how)
        self.assertEqual(a.code, 200)
        return read(a.text)

    # ---- parity ----

    def test_equal_to_debians_exporter(self):
        exporter = Exporter(self.c, self.m, "app")
        self.addCleanup(exporter.stop)
        get(self.url)
        get(exporter.url)  # both have their sessions
        time.sleep(1.2)  # counters are written at most once a second
        before = self.families()
        theirs = read(get(exporter.url).text)
        time.sleep(1.2)
        after = self.families()
        self.assertEqual(theirs["pg_up"].value(), 1, exporter.log())
        self.assertEqual(before["pg_up"].value(), 1)
        allowed = deviations()
        wrong, unused = [], set(allowed)

        def permitted(name, what):
            for pattern, kind in allowed:
                if kind == what and (name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))):
                    unused.discard((pattern, kind))
                    return True
            return False
        for name, f in theirs.items():
            if permitted(name, "absent") or (all(math.isnan(v) for v in f.samples.values()) and permitted(name, "null")):
                continue
            ours, later = before.get(name), after.get(name)
            if ours is None:
                wrong.append(f"{name} is missing")
                continue
            if ours.kind != f.kind:
                wrong.append(f"{name} is a {ours.kind}, not a {f.kind}")
            if permitted(name, "labels"):
                continue
            for key, value in f.samples.items():
                if math.isnan(value) and permitted(name, "null"):
                    continue
                if key not in ours.samples:
                    wrong.append(f"{key} is missing; there is {list(ours.samples)[:2]}")
                elif not permitted(name, "value"):
                    low, high = sorted((ours.samples[key], later.samples[key]))
                    if not low - 1e-6 * abs(low) <= value <= high + 1e-6 * abs(high):
                        wrong.append(f"{key}: theirs {value}, ours {low} to {high}")
            wrong += [f"{key} is too much" for key in ours.samples if key not in f.samples]
        self.assertEqual(wrong, [])
        print(f"{len(theirs)} families of the exporter, {len(before)} of ours")
        # Debian's exporter has no standby here; every other permission is one that is needed.
        self.assertLessEqual({p for p, _ in unused}, {"pg_stat_replication_*", "pg_stat_replication_reply_time", "pg_settings_tcp_user_timeout_seconds",
                                                      "pg_exporter_user_queries_load_error", "pg_locks_count", "process_*",
                                                      "pg_stat_progress_vacuum_max_dead_tuples"})  # a difference with 17 alone

    @contextlib.contextmanager
    def standby(self):
        """Somebody streams: pg_receivewal is enough for the views."""
        import procs
        from harness import PG_BIN
        folder = os.path.join(self.c.scratch.path, "received")
        os.makedirs(folder, exist_ok=True)
        self.c.own(folder)
        p = procs.Proc("receiver", [os.path.join(PG_BIN, "pg_receivewal"), "-D", folder, "-h", self.m.run_dir, "-p", str(self.m.pg_port),
                                    "-U", "postgres", "-S", "held"], os.path.join(self.c.scratch.path, "receiver.log"), user=self.c.user,
                       scratch=self.c.scratch, env=self.c.environment())
        try:
            self.c.wait("it streams", lambda: self.m.superuser("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1", 20)
            yield
        finally:
            p.terminate(5)

    def test_replication_and_slots(self):
        with self.standby():
            f = self.families()
        self.assertEqual(f["pg_replication_slots_active"].value(slot_name="held"), 1)
        self.assertGreater(f["pg_stat_replication_pg_current_wal_lsn_bytes"].value(slot_name="held", application_name="pg_receivewal"), 0)
        self.assertGreaterEqual(f["mainstay_standby_flush_lag_bytes"].value(slot_name="held"), 0)
        self.assertGreaterEqual(f["mainstay_slot_retained_bytes"].value(slot_name="held"), 0)
        self.assertEqual(f["pg_replication_slot_slot_is_active"].value(slot_name="held"), 1)

    # ---- form ----

    def test_promtool_complains_only_of_the_exporters_names(self):
        a = get(self.url)
        self.assertIn("version=0.0.4", a.headers["Content-Type"])
        own = [line for line in promtool(a.text) if not re.match(r"pg_|patroni_", line)]
        self.assertEqual(own, [])
        # What is said of pg_*: only of their names, which are not ours to choose; never of form, help or values.
        kinds = {re.sub(r"^\S+ ", "", line) for line in promtool(a.text)}
        self.assertLessEqual(kinds, {
            'counter metrics should have "_total" suffix', 'non-counter metrics should not have "_total" suffix',
            'non-histogram and non-summary metrics should not have "_count" suffix',
            'metric names should not contain abbreviated units', 'use base unit "seconds" instead of "minutes"',
            'use base unit "seconds" instead of "milliseconds"', 'use base unit "bytes" instead of "bits"'})

    def test_openmetrics(self):
        a = get(self.url, accept=OPENMETRICS)
        self.assertIn("application/openmetrics-text; version=1.0.0", a.headers["Content-Type"])
        self.assertTrue(a.text.endswith("# EOF\n"))
        plain, open_ = self.families(), read(a.text)
        self.assertEqual(open_["mainstay_decisions"].kind, "counter")
        self.assertEqual(open_["pg_stat_database_xact_commit"].kind, "unknown")
        series = lambda fs: {key[0] for f in fs.values() for key in f.samples}  # noqa: E731
        self.assertEqual(series(plain) ^ series(open_), set())  # a series has one name, whatever the format
        for line in a.text.splitlines():
            if line.startswith("# UNIT "):
                _, _, name, unit = line.split(" ")
                self.assertTrue(name.endswith("_" + unit), line)

    def test_gzip(self):
        plain, packed = get(self.url), get(self.url, encoding="gzip")
        self.assertEqual(packed.headers.get("Content-Encoding"), "gzip")
        self.assertLess(len(packed.body) * 4, len(plain.body))
        self.assertEqual(set(read(packed.text)), set(read(plain.text)))

    def test_documented(self):
        with open(os.path.join(ROOT, "docs", "METRICS.md"), encoding="utf-8") as f:
            told = {m[1]: m[2] for m in re.finditer(r"^\| `([^`]+)` \| (\w+) \|", f.read().split(DIFFER)[0], re.M)}
        wrong = [f"{n} {f.kind}" for n, f in self.families().items() if not n.startswith("pg_settings_") and told.get(n) != f.kind]
        self.assertEqual(wrong, [])

    # ---- own queries ----

    def test_own_queries(self):
        self.write_queries(COUNTS)
        self.reload(metrics__queries=self.queries, metrics__queries_prefix="")
        f = self.families()
        self.assertEqual(f["pg_exporter_user_queries_load_error"].value(), 0)
        self.assertGreater(f["pg_parts_n"].value(kind="r", datname="app"), 10)
        self.assertEqual((f["pg_parts_yes_total"].kind, f["pg_parts_yes_total"].value(kind="r")), ("counter", 1))
        self.assertEqual(f["pg_parts_word"].value(kind="i"), 7)
        self.assertEqual(f["pg_parts_age_milliseconds"].value(kind="i"), 62500)
        self.assertEqual(f["pg_spread_size"].kind, "histogram")
        self.assertEqual([v for _, v in sorted(f["pg_spread_size"].samples.items())], [5, 3, 4, 5, 11])
        self.assertNotIn("pg_not_here_n", f)
        self.assertNotIn("pg_other_version_n", f)
        self.assertEqual(f["pg_scrape_collector_success"].value(collector="pg_parts", datname="app"), 1)
        # A file with a mistake is not used, and a changed one is read again without a word.
        self.write_queries(COUNTS.replace("GAUGE", "GAUGES", 1))
        self.c.wait("the mistake is told", lambda: self.families()["pg_exporter_user_queries_load_error"].value() == 1, 40)
        self.assertNotIn("pg_parts_n", self.families())
        with open(self.m.agent_log, encoding="utf-8") as log:
            self.assertRegex(log.read(), r"queries.yaml:\d+: pg_parts.n has the usage 'GAUGES'")
        self.write_queries(COUNTS)
        self.c.wait("it is used again", lambda: "pg_parts_n" in self.families(), 40)

    def test_own_queries_cannot_harm(self):
        self.m.superuser("CREATE TABLE IF NOT EXISTS evil_was_here (n int); CREATE OR REPLACE FUNCTION public.evil() RETURNS int LANGUAGE plpgsql SECURITY DEFINER "
                         "AS $$ BEGIN INSERT INTO public.evil_was_here VALUES (1); RETURN 1; END $$", "app")
        self.write_queries(EVIL)
        self.reload(metrics__queries=self.queries, metrics__query_timeout="2s")
        self.addCleanup(self.reload, metrics__queries=None, metrics__query_timeout=None)
        for _ in range(3):
            a = get(self.url)
            self.assertLess(a.seconds, 3)  # the target is 1 s, on an idle machine
            f = read(a.text)
            self.assertEqual(f["pg_up"].value(), 1)
            self.assertEqual(f["pg_path_pinned"].value(), 1)  # also after the query before changed it
            self.assertEqual(f["pg_scrape_collector_success"].value(collector="pg_evil"), 0)
            time.sleep(0.7)
        self.assertEqual(self.m.superuser("SELECT count(*) FROM evil_was_here", "app"), "0")
        self.c.wait("the server ends the slow one", lambda: self.families()["pg_scrape_collector_success"].value(collector="pg_slow") == 0, 20)

    # ---- bounds ----

    def test_cardinality(self):
        self.m.superuser("DO $$ BEGIN FOR i IN 1..60 LOOP EXECUTE format('CREATE TABLE many_%s (id int)', i); END LOOP; END $$", "app")
        self.reload(metrics__max_family_samples=25)
        self.addCleanup(self.reload, metrics__max_family_samples=None, metrics__max_samples=None)
        f = self.families()
        self.assertEqual(len(f["pg_stat_user_tables_n_live_tup"].samples), 25)
        self.assertIsNotNone(f["pg_stat_user_tables_n_live_tup"].value(relname="parts"))  # the largest stay
        self.assertGreater(f["mainstay_metrics_dropped_samples_total"].value(family="pg_stat_user_tables_n_live_tup"), 0)
        self.reload(metrics__max_samples=100)
        f = self.families()
        self.assertLessEqual(sum(len(x.samples) for n, x in f.items() if n.startswith("pg_") and not re.match("pg_(up|scrape)", n)), 100)
        self.assertIn("mainstay_role", f)
        self.assertIn("mainstay_lease_seconds_until_deadline", f)
        self.m.superuser("DO $$ BEGIN FOR i IN 1..60 LOOP EXECUTE format('DROP TABLE many_%s', i); END LOOP; END $$", "app")

    def test_two_scrapers_cost_one_collection(self):
        get(self.url)
        with self.paused_backends():
            before, answers = self.counts(), []
            threads = [threading.Thread(target=lambda: answers.append(get(self.url))) for _ in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        self.assertEqual([a.code for a in answers], [200] * 8)
        self.assertLess(max(a.seconds for a in answers), 3)
        scrapes, collections = (b - a for a, b in zip(before, self.counts()))
        self.assertGreaterEqual(scrapes, 8)
        self.assertLessEqual(collections, 4)  # the eight, and those that ask for these figures

    def counts(self):
        f = self.families()
        return f["mainstay_metrics_scrapes_total"].value(), f["mainstay_metrics_collections_total"].value()

    # ---- a database that is not well ----

    @contextlib.contextmanager
    def paused_backends(self):
        """Hung: the whole database stands still."""
        self.m.pause_database()
        try:
            yield
        finally:
            self.m.resume_database()

    def judge_unwell(self, answer, bound=3.0, stale=True):
        """Complete all the same. The target is 1 s on an idle machine; bench/peers.py measures that."""
        self.assertEqual(answer.code, 200)
        self.assertLess(answer.seconds, bound)
        f = read(answer.text)
        self.assertEqual(f["pg_up"].value(), 0)
        for name in ("mainstay_role", "mainstay_lease_epoch", "mainstay_decisions_total", "mainstay_probe_duration_seconds", "process_cpu_seconds_total"):
            self.assertIn(name, f)
        if stale:
            self.assertIsNotNone(f["pg_settings_max_connections"].value())  # of before
            self.assertGreater(f["mainstay_collector_age_seconds"].value(collector="server"), 0.05)
        return f

    def test_hung(self):
        first = self.families()
        self.assertEqual(first["pg_up"].value(), 1)
        with self.paused_backends():
            time.sleep(0.5)
            one = self.judge_unwell(get(self.url))
            two = self.judge_unwell(get(self.url, timeout=0.5), bound=1.5)
            three = self.judge_unwell(get(self.url, timeout=10))
        ages = [f["mainstay_collector_age_seconds"].value(collector="server") for f in (one, two, three)]
        self.assertEqual(ages, sorted(ages))
        self.assertEqual(one["pg_stat_database_xact_commit"].samples, three["pg_stat_database_xact_commit"].samples)
        self.c.wait("it answers again", lambda: self.families()["pg_up"].value() == 1, 30)

    def test_only_the_postmaster_hangs(self):
        self.families()
        self.m.pause_postmaster()
        try:
            self.assertEqual(self.families()["pg_up"].value(), 1)  # the sessions that are open answer
        finally:
            os.kill(self.m.postmaster_pid(), signal.SIGCONT)

    def test_saturated(self):
        self.families()
        sessions = []

        def fill():
            while True:
                try:
                    sessions.append(psycopg2.connect(self.m.dsn()))
                except psycopg2.OperationalError:
                    return
        try:
            fill()
            f = self.families()  # its sessions are open: it does not need a slot
            self.assertEqual(f["pg_up"].value(), 1)
            self.assertGreater(f["pg_stat_activity_count"].value(datname="app", state="idle"), 5)
            self.m.superuser("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mainstay_metrics'")
            fill()  # now it does
            self.judge_unwell(get(self.url))
        finally:
            for s in sessions:
                s.close()
        self.c.wait("it answers again", lambda: self.families()["pg_up"].value() == 1, 30)

    def test_zz_dead_and_starting(self):
        self.families()
        self.m.ctl("fence", self.m.name)
        self.c.wait("the database stopped", lambda: self.m.postmaster_pid() is None, 60)
        self.judge_unwell(get(self.url))
        self.m.ctl("unfence", self.m.name)
        seen, end = set(), time.monotonic() + 60
        while time.monotonic() < end:
            a = get(self.url)
            self.assertEqual(a.code, 200)
            self.assertLess(a.seconds, 3)
            up = read(a.text)["pg_up"].value()
            seen.add(up)
            if up == 1:
                break
        self.assertEqual(seen, {0, 1})

    def test_memory_after_many_scrapes(self):
        for _ in range(100):
            get(self.url, encoding="gzip")
        with open(f"/proc/{self.m.agent.pid}/status", encoding="utf-8") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024
        print(f"RSS after 100 scrapes: {rss:.1f} MiB")
        self.assertLess(rss, 24)


class Replicated(unittest.TestCase):
    def build(self, **options):
        self.c = c = Cluster(2, **options, overrides={
            "metrics/collect": ["bloat_table", "bloat_btree"],
            "postgresql/parameters": {"shared_buffers": "32MB", "max_wal_size": "256MB", "shared_preload_libraries": "pg_stat_statements",
                                      "archive_mode": "on", "archive_command": "true"}})
        self.addCleanup(c.close)
        c.start()
        c.prepare()
        self.primary = c.wait_ready(120)
        self.standby = next(m for m in c.members if m is not self.primary)
        self.primary.superuser("CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pgstattuple")
        self.primary.superuser("CREATE EXTENSION pgstattuple; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", "app")

    def families(self, member):
        return read(get(f"http://127.0.0.1:{member.http_port}/metrics").text)

    def test_every_name_of_the_dashboards_and_the_standby(self):
        self.build()
        with open(os.path.join(ROOT, "test", "metrics", "names.txt"), encoding="utf-8") as f:
            names = [line.strip() for line in f if line.strip() and not line.startswith("#")]
        self.assertGreater(len(names), 60)
        # The standby's answer carries its replay position within seconds.
        have = self.c.wait("all names", lambda: self.all_of(names), 20)
        self.assertEqual(have["pg_replication_is_replica"].value(), 0)
        self.assertEqual(len(have["mainstay_standby_replay_lag_bytes"].samples), 1)
        other = self.families(self.standby)
        self.assertEqual(other["pg_up"].value(), 1)
        self.assertEqual(other["pg_replication_is_replica"].value(), 1)
        self.assertEqual(other["pg_settings_transaction_read_only"].value(), 1)
        self.assertGreater(other["pg_stat_wal_receiver_flushed_lsn"].value(status="streaming"), 0)
        self.assertGreaterEqual(other["pg_replication_lag_seconds"].value(), 0)
        self.assertEqual(other["mainstay_role"].value(role="replica"), 1)

    def test_a_failover_and_what_it_lost(self):
        self.build(durability="async", profile="fast")
        old, new = self.primary, self.standby
        self.assertEqual(self.families(old)["mainstay_lost_log_bytes_total"].value(), 0)
        new.pause_database()  # it gets no more than what its sockets hold
        try:
            old.superuser("CREATE TABLE gone AS SELECT g AS id, repeat('x', 200) AS t FROM generate_series(1, 200000) g", "app")
            end = int(old.superuser("SELECT pg_current_wal_lsn() - '0/0'"))
            old.kill_all()
        finally:
            new.resume_database()
        self.c.wait("a takeover", lambda: self.c.announced_primary() is new, 60)
        f = self.families(new)
        for phase in ("freezing", "acquiring", "opening"):
            count = f["mainstay_phase_duration_seconds"].samples.get(("mainstay_phase_duration_seconds_count", (("phase", phase),)), 0)
            self.assertGreaterEqual(count, 1, phase)
        took = f["mainstay_engine_operation_duration_seconds"]
        self.assertGreaterEqual(took.samples[(took.name + "_count", (("operation", "promote"),))], 1)
        self.assertGreater(f["mainstay_decisions_total"].value(row="takeover") or sum(f["mainstay_decisions_total"].samples.values()), 0)
        old.start()
        self.c.wait("the old one streams", lambda: old.name in self.c.standbys_streaming(new), 90)
        lost = self.c.wait("what was lost is told", lambda: self.families(old)["mainstay_lost_log_bytes_total"].value(), 20)
        self.assertLess(lost, end)
        self.assertGreater(lost, 1_000_000)
        self.assertEqual(self.families(new)["mainstay_lost_log_bytes_total"].value(), 0)

    def all_of(self, names):
        have = self.families(self.primary)
        self.missing = [n for n in names if n not in have or not have[n].samples]
        if self.missing:
            print(f"not yet: {self.missing}")
        return None if self.missing else have


if __name__ == "__main__":
    main()
