#!/usr/bin/python3
"""What a scrape of Redis costs: CPU of the collector and of the server, ours beside Debian's redis_exporter, in turns on one server.

As a program: the collector alone, without an agent. measure_scrapes() (of ./dev bench --peers redis): the agent's own /metrics.

The server has replicas and has been called with some thirty commands. The exporter's figure holds its HTTP answer and Go's runtime; ours
(redis_metrics_tool) holds the rendering of the page and a pipe: the agent's own HTTP answer is not in it.
usage: redis_scrape.py [--build DIR] [--scrapes N] [--rounds N] [--json FILE]
"""
import argparse
import json
import os
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "integration"))
import procs  # noqa: E402
from redis_harness import RedisCluster  # noqa: E402
from redis_servers import Server, wait  # noqa: E402
from scrape import get  # noqa: E402


WORDS = ("SET k v", "GET k", "INCR n", "LPUSH l 1", "RPUSH l 2", "LPOP l", "LRANGE l 0 -1", "SADD s 1", "SMEMBERS s", "SCARD s", "HSET h a 1",
         "HGET h a", "HGETALL h", "ZADD z 1 a", "ZRANGE z 0 -1", "ZSCORE z a", "EXPIRE k 1000", "TTL k", "EXISTS k", "TYPE k", "STRLEN k",
         "MSET a 1 b 2", "MGET a b", "DEL a", "SETEX e 1000 v", "PUBLISH c m", "OBJECT ENCODING k", "SCAN 0", "DBSIZE")


def prepare(scratch):
    primary = Server(scratch, "primary")
    replica = Server(scratch, "replica", "--replicaof", "127.0.0.1 %d" % primary.port)
    wait("the replica follows", lambda: replica.info("replication")["master_link_status"] == "up")
    for words in (*WORDS, "CLIENT LIST"):
        for _ in range(20):
            primary.call(*words.split())
    return primary


def measure(server, collector_pid, scrape, n):
    for _ in range(10):
        scrape()
    begun = procs.cpu_seconds(collector_pid), procs.cpu_seconds(server.proc.pid)
    size = 0
    for _ in range(n):
        size = scrape()
    return {"collector_us": (procs.cpu_seconds(collector_pid) - begun[0]) / n * 1e6,
            "server_us": (procs.cpu_seconds(server.proc.pid) - begun[1]) / n * 1e6, "bytes": size}


def spend(pid, server_pid, scrape, n, pause):
    """(own, server's) CPU seconds of n scrapes at that pace, or of as long without any."""
    before, begun, size = (procs.cpu_seconds(pid), procs.cpu_seconds(server_pid)), time.monotonic(), 0
    for i in range(n):
        if scrape:
            size = len(scrape())
        time.sleep(max(0, begun + (i + 1) * pause - time.monotonic()))
    return procs.cpu_seconds(pid) - before[0], procs.cpu_seconds(server_pid) - before[1], size


def measure_scrapes(o, pause=0.05, rounds=3):
    """{who: {own_ms, server_ms, bytes, rss_mib}} per scrape, less what is spent when nobody scrapes; the median of the rounds."""
    from test_redis_metrics import EXPORTER
    with RedisCluster(3, build=o.build) as c:
        with open(c.users_file, "a", encoding="utf-8") as f:
            f.write("user exporter on >exporter ~* &* +@all\n")
        c.start()
        m = c.wait_ready(120)
        for words in WORDS * 20:
            m.ask(*words.split())
        port = c.ports.take()
        exporter = procs.Proc("exporter", [EXPORTER, "-redis.addr", f"redis://127.0.0.1:{m.pg_port}", "-redis.user", "exporter", "-redis.password",
                                           "exporter", "-web.listen-address", f"127.0.0.1:{port}"], os.path.join(c.scratch.path, "exporter.log"),
                              scratch=c.scratch)
        url = f"http://127.0.0.1:{port}/metrics"

        def answers():
            try:
                return b"redis_up 1" in get(url).body
            except OSError:
                return False
        c.wait("the exporter answers", answers, 20)
        who = {"redis_exporter": (exporter.pid, lambda: get(url).body),
               "mainstay": (m.agent.pid, lambda: get(f"http://127.0.0.1:{m.http_port}/metrics").body)}
        every = {name: [] for name in who}
        for _ in range(rounds):
            for name, (pid, scrape) in who.items():
                for _ in range(5):
                    scrape()
                idle = spend(pid, m.server_pid(), None, o.scrapes, pause)
                busy = spend(pid, m.server_pid(), scrape, o.scrapes, pause)
                every[name].append({"own_ms": (busy[0] - idle[0]) / o.scrapes * 1e3, "server_ms": (busy[1] - idle[1]) / o.scrapes * 1e3, "bytes": busy[2],
                                    "rss_mib": procs.rss_kib(pid) / 1024})
        result = {name: {k: round(statistics.median(r[k] for r in rs), 3) for k in rs[0]} for name, rs in every.items()}
        exporter.terminate(5)
    for name, r in result.items():
        print(f"  scrape {name:16} own {r['own_ms']:.3f} ms  server {r['server_ms']:.3f} ms  {r['bytes']:.0f} bytes  {r['rss_mib']:.1f} MiB", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    parser.add_argument("--scrapes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    os.environ["MAINSTAY_BUILD"] = os.path.abspath(options.build)
    from test_redis_metrics import Exporter, Tool
    scratch = procs.Scratch(prefix="mainstay-bench-")
    server = prepare(scratch)
    exporter = Exporter(scratch, server)
    tools = {"mainstay": Tool(server.socket), "mainstay, no histograms": Tool(server.socket)}
    tools["mainstay, no histograms"].say("histograms 0")
    who = {name: (tool.p.pid, lambda tool=tool: len(tool.say("5000"))) for name, tool in tools.items()}
    who["redis_exporter"] = (exporter.proc.pid, lambda: len(get(exporter.url).body))
    rounds = {name: [] for name in who}
    for _ in range(options.rounds):
        for name, (pid, scrape) in who.items():
            rounds[name].append(measure(server, pid, scrape, options.scrapes))
    result = {name: {key: statistics.median(one[key] for one in all_) for key in all_[0]} for name, all_ in rounds.items()}
    for name, one in result.items():
        print(f"{name:24} collector {one['collector_us']:8.0f} us   server {one['server_us']:8.0f} us   {one['bytes']:7.0f} bytes")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump({"rounds": rounds, "median": result}, f, indent=1)
    for tool in tools.values():
        tool.close()
    scratch.close()


if __name__ == "__main__":
    main()
