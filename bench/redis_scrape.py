#!/usr/bin/python3
"""What a scrape of Redis costs: CPU of the collector and of the server, ours beside Debian's redis_exporter, in turns on one server.

The server has replicas and has been called with some thirty commands. The exporter's figure holds its HTTP answer and Go's runtime; ours
(redis_metrics_tool) holds the rendering of the page and a pipe: the agent's own HTTP answer is not in it.
usage: redis_scrape.py [--build DIR] [--scrapes N] [--rounds N] [--json FILE]
"""
import argparse
import json
import os
import statistics
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "integration"))
import procs  # noqa: E402
from redis_servers import Server, wait  # noqa: E402
from scrape import get  # noqa: E402


def prepare(scratch):
    primary = Server(scratch, "primary")
    replica = Server(scratch, "replica", "--replicaof", "127.0.0.1 %d" % primary.port)
    wait("the replica follows", lambda: replica.info("replication")["master_link_status"] == "up")
    for words in ("SET k v", "GET k", "INCR n", "LPUSH l 1", "RPUSH l 2", "LPOP l", "LRANGE l 0 -1", "SADD s 1", "SMEMBERS s", "SCARD s", "HSET h a 1",
                  "HGET h a", "HGETALL h", "ZADD z 1 a", "ZRANGE z 0 -1", "ZSCORE z a", "EXPIRE k 1000", "TTL k", "EXISTS k", "TYPE k", "STRLEN k",
                  "MSET a 1 b 2", "MGET a b", "DEL a", "SETEX e 1000 v", "PUBLISH c m", "OBJECT ENCODING k", "CLIENT LIST", "SCAN 0", "DBSIZE"):
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
