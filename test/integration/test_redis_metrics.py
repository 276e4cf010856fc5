#!/usr/bin/python3
"""Redis' metrics: equal to Debian's redis_exporter on the same servers, complete when the server is not well, bounded, cheap to ask for."""
import os
import re
import subprocess
import time
import unittest

import procs
from redis_servers import Server, Wire, encode, free_port, wait
from scrape import get, promtool, read

BUILD = os.environ.get("MAINSTAY_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release"))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(BUILD, "test/integration/redis/redis_metrics_tool")
EXPORTER = "/usr/bin/prometheus-redis-exporter"
# Values that move between two scrapes by the scrapes themselves or by time: only that they are there is compared, and that ours lie
# between what was before and after where they only grow.
MOVES = re.compile(
    r"redis_(allocator_|memory_used|mem_frag|mem_clients_normal|client_recent|cpu_|connections_received|connected_clients|commands_|latency_perc|"
    r"net_|total_(reads|writes)|uptime|start_time|master_last_io|connected_slave_(offset|lag)|slave_repl_offset|master_repl_offset|repl_backlog_|"
    r"mem_not_counted|mem_clients_slaves|aof_(pending|buffer|delayed)|lazyfree|keyspace_misses|expired_stale|reply_buffer|slowlog|last_slow|latency_spike|rdb_changes|process_id|io_threads_active)")


def deviations():
    """The list that docs/REDIS_METRICS.md has: [(pattern, what)]."""
    with open(os.path.join(ROOT, "docs", "REDIS_METRICS.md"), encoding="utf-8") as f:
        part = f.read().split("| family | differs | why |")[1]
    return [(m[1], m[2]) for m in re.finditer(r"^\| `([^`]+)` \| (\w+) \|", part, re.M)]


class Tool:
    def __init__(self, *arguments):
        self.p = subprocess.Popen([TOOL, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        out = []
        while True:
            got = self.p.stdout.readline()
            if not got:
                raise AssertionError("the tool ended")
            if got.startswith("# END"):
                _, _, self.cpu, self.took = got.split()
                return "".join(out)
            out.append(got)

    def scrape(self, ms=5000):
        return read(self.say(str(ms)))

    def close(self):
        self.p.stdin.close()
        self.p.wait(10)
        self.p.stdout.close()


class Exporter:
    def __init__(self, scratch, server):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/metrics"
        self.proc = procs.Proc("exporter", [EXPORTER, "-redis.addr", "unix://" + server.socket, "-web.listen-address", f"127.0.0.1:{self.port}"],
                               os.path.join(scratch.path, f"exporter{self.port}.log"), scratch=scratch)
        wait("the exporter answers", self.answers)

    def answers(self):
        try:
            return get(self.url).code == 200
        except OSError:
            return False


class RedisMetrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = procs.Scratch(prefix="mainstay-redis-")
        cls.primary = Server(cls.scratch, "primary", "--latency-monitor-threshold", "1", "--appendonly", "yes")
        cls.replica = Server(cls.scratch, "replica", "--replicaof", "127.0.0.1 %d" % cls.primary.port)
        wait("the replica follows", lambda: cls.replica.info("replication")["master_link_status"] == "up")
        p = cls.primary
        for n in range(20):
            p.call("SET", f"k{n}", "v")
        p.call("SETEX", "short", "1000", "v")
        p.call("LPUSH", "k1", "wrong type")
        p.call("GET", "missing")
        p.call("CONFIG", "SET", "slowlog-log-slower-than", "20000")
        wait("the replica has it all", lambda: cls.replica.info("keyspace").get("db0", "").split(",")[:2] == p.info("keyspace")["db0"].split(",")[:2])

    @classmethod
    def tearDownClass(cls):
        cls.scratch.close()

    def tool(self, *arguments):
        tool = Tool(*arguments)
        self.addCleanup(tool.close)
        return tool

    # ---- parity ----

    def compare(self, server):
        exporter = Exporter(self.scratch, server)
        self.addCleanup(exporter.proc.kill)
        tool = self.tool(server.socket)
        tool.scrape()
        get(exporter.url)
        before = tool.scrape()
        theirs = read(get(exporter.url).text)
        after = tool.scrape()
        self.assertEqual(theirs["redis_up"].value(), 1)
        allowed, used, wrong = deviations(), set(), []

        def permitted(name, what):
            for pattern, kind in allowed:
                if kind == what and (name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))):
                    used.add((pattern, kind))
                    return True
            return False
        for name, f in theirs.items():
            if permitted(name, "absent"):
                continue
            if name not in before:
                wrong.append(f"{name} is missing")
                continue
            if before[name].kind != f.kind and not permitted(name, "type"):
                wrong.append(f"{name} is a {before[name].kind}, not a {f.kind}")
            if permitted(name, "value"):
                continue
            for key, value in f.samples.items():
                self.compare_sample(name, key, value, before[name], after[name], permitted, wrong)
        self.assertEqual(wrong, [])
        return used, theirs, after

    @staticmethod
    def compare_sample(name, key, value, before, after, permitted, wrong):
        if permitted(name, "labels"):
            if not any(k[0] == key[0] and set(key[1]) <= set(k[1]) for k in before.samples):
                wrong.append(f"{name} {key} has lost a label")
            return
        if key not in before.samples:
            # A command that the exporter itself brought is there in the second of ours.
            if key not in after.samples:
                wrong.append(f"{name} {key} is missing")
            return
        low, high = sorted((before.samples[key], after.samples.get(key, value)))
        if MOVES.match(name):
            if before.kind == "counter" and not low * 0.999 <= value <= high * 1.001 + 1e-9:
                wrong.append(f"{name} {key}: {value}, ours {low} and {high}")
        elif not low <= value <= high:
            wrong.append(f"{name} {key}: {value}, ours {low} and {high}")

    def test_equal_to_debians_exporter(self):
        used, theirs, _ = self.compare(self.primary)
        used2, theirs2, _ = self.compare(self.replica)
        self.assertGreater(len(theirs), 120)
        self.assertIn("redis_connected_slave_offset_bytes", theirs)
        self.assertIn("redis_slave_info", theirs2)
        unused = set(deviations()) - used - used2
        self.assertEqual(unused, set(), "these differ no more")

    def test_format_and_added_families(self):
        tool = self.tool(self.replica.socket)
        page = tool.say("5000")
        families = read(page)
        # The names are redis_exporter's, so promtool finds some of them ugly; it must understand all.
        self.assertEqual([line for line in promtool(page) if "error while linting" in line], [])
        for name in ("redis_slave_read_repl_offset", "redis_master_failover_state", "redis_rdb_last_save_age_seconds",
                     "redis_total_system_memory_bytes", "redis_commands_latencies_usec", "redis_config_maxclients"):
            self.assertIn(name, families)
        self.assertEqual(families["mainstay_redis_answer"].value(state="ok"), 1)
        lag = families["redis_slave_read_repl_offset"].value() - families["redis_slave_repl_offset"].value()
        self.assertGreaterEqual(lag, 0)

    # ---- a server that is not well ----

    def test_stopped_server(self):
        server = Server(self.scratch, "stopped")
        tool = self.tool(server.socket)
        self.assertEqual(tool.scrape()["redis_up"].value(), 1)
        server.proc.pause()
        for _ in range(4):
            families = tool.scrape(300)
            self.assertEqual(families["redis_up"].value(), 0)
            self.assertLess(float(tool.took), 5)
            self.assertEqual(families["mainstay_redis_answer"].value(state="silent"), 1)
            self.assertIn("redis_memory_used_bytes", families, "the last values, with their age")
            self.assertEqual(families["redis_scrape_collector_success"].value(collector="info"), 0)
        self.assertGreater(families["mainstay_collector_age_seconds"].value(collector="info"), 0.8)
        server.proc.resume()
        self.assertEqual(tool.scrape()["redis_up"].value(), 1)
        calls = int(re.search(r"calls=(\d+)", server.info("commandstats")["cmdstat_info"])[1])
        self.assertLessEqual(calls, 4, "one request waited, not one for each scrape")
        server.stop()
        families = tool.scrape()
        self.assertEqual(families["redis_up"].value(), 0)
        self.assertEqual(families["mainstay_redis_answer"].value(state="unreachable"), 1)
        server.start()
        self.assertEqual(tool.scrape()["redis_up"].value(), 1)

    def test_busy_script(self):
        server = Server(self.scratch, "busy", "--busy-reply-threshold", "50")
        tool = self.tool(server.socket)
        tool.scrape()
        w = Wire(server.socket)
        w.sock.sendall(encode("EVAL", "while true do end", "0"))
        wait("the server is busy", lambda: str(server.call("PING")).startswith("BUSY"))
        families = tool.scrape(1000)
        self.assertEqual(families["redis_up"].value(), 0)
        self.assertEqual(families["mainstay_redis_answer"].value(state="busy"), 1)
        self.assertIn("BUSY", dict(next(iter(families["redis_exporter_last_scrape_error"].samples))[1])["err"])
        server.call("SCRIPT", "KILL")
        wait("the script is gone", lambda: server.call("PING") == "PONG")
        self.assertEqual(tool.scrape()["mainstay_redis_answer"].value(state="ok"), 1)
        w.close()
        server.stop()

    # ---- rights ----

    def test_least_rights_and_passwords(self):
        server = Server(self.scratch, "rights", "--user", *"watch on >first +info +latency +slowlog +config|get +client|setname resetkeys".split(),
                        "--requirepass", "clients")
        password = os.path.join(self.scratch.path, "password")
        with open(password, "w", encoding="utf-8") as f:
            f.write("first\n")
        tool = self.tool(server.socket, "watch", password)
        families = tool.scrape()
        self.assertEqual(families["redis_up"].value(), 1)
        for part in ("info", "latency", "histograms", "slowlog", "config"):
            self.assertEqual(families["redis_scrape_collector_success"].value(collector=part), 1, part)
        w = Wire(server.socket)
        self.assertEqual(w.call("AUTH", "clients"), "OK")
        w.call("ACL", "SETUSER", "watch", "-config|get", "-slowlog")
        families = tool.scrape()
        self.assertEqual(families["redis_up"].value(), 1, "what is refused is left out")
        self.assertEqual(families["redis_scrape_collector_success"].value(collector="slowlog"), 0)
        w.call("ACL", "SETUSER", "watch", "resetpass", ">second")
        tool.say("rest")
        families = tool.scrape()
        self.assertEqual(families["redis_up"].value(), 0)
        self.assertEqual(families["mainstay_redis_answer"].value(state="refused"), 1)
        error = dict(next(iter(families["redis_exporter_last_scrape_error"].samples))[1])["err"]
        self.assertIn("WRONGPASS", error)
        self.assertNotIn("first", error)
        with open(password, "w", encoding="utf-8") as f:
            f.write("second\n")
        self.assertEqual(tool.scrape()["redis_up"].value(), 1)
        w.close()
        server.stop()

    # ---- bounds, pace ----

    def test_bounds_and_pace(self):
        server = Server(self.scratch, "pace")
        for command in ("GET", "TTL", "STRLEN", "EXISTS", "TYPE"):
            server.call(command, "k")
        tool = self.tool(server.socket)
        tool.say("commands 3")
        families = tool.scrape()
        self.assertEqual(len(families["redis_commands_total"].samples), 3)
        self.assertGreater(families["mainstay_redis_dropped_series_total"].value(family="redis_commands_total"), 0)

        def config_calls():
            return int(re.search(r"calls=(\d+)", server.info("commandstats")["cmdstat_config|get"])[1])
        first = config_calls()
        for _ in range(5):
            tool.scrape()
        self.assertEqual(config_calls(), first, "parameters are asked for once")
        server.call("CONFIG", "SET", "maxclients", "77")
        tool.scrape()
        self.assertEqual(tool.scrape()["redis_config_maxclients"].value(), 77)
        self.assertGreater(config_calls(), first)
        tool.say("histograms 0")
        self.assertNotIn("redis_commands_latencies_usec", tool.scrape())
        server.stop()
        server.start()
        time.sleep(0.1)
        self.assertEqual(tool.scrape()["redis_up"].value(), 1)
        self.assertEqual(tool.scrape()["redis_config_maxclients"].value(), 10000, "another server, other parameters")


if __name__ == "__main__":
    unittest.main()
