#!/usr/bin/python3
"""./dev bench --peers: what a scrape costs, Mainstay's agent beside Debian's postgres_exporter on the same server, in one run.

One member, an empty database beside one with tables. Both are scraped by turns, at the same pace, over one kept connection, without
gzip unless the column says so. Measured for each:
  agent/exporter CPU ms per scrape   of all threads of the process (/proc/PID/task/*/schedstat), less what it spends when nobody scrapes
  server CPU ms per scrape           of all processes of the server, less what they spend when nobody scrapes
  p50/p99 ms                         from the request to the last byte
  bytes, series, RSS at the end
Rows: `same families` (ours without the families of tables and indexes, which Debian's exporter does not have), `all` (as delivered),
and both again with metrics.slow_interval 0s: nothing is spared between two scrapes. `hung`: the time to an answer when the whole
database stands still (SIGSTOP); an exporter that has not answered after --patience seconds is given up.
"""
import argparse
import datetime
import http.client
import json
import os
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "integration"))

import marks  # noqa: E402
import procs  # noqa: E402
import scrape  # noqa: E402
from harness import Cluster  # noqa: E402

TEXT_FILE = os.path.join(ROOT, "docs", "BENCHMARKS.md")
JSON_FILE = os.path.join(ROOT, "docs", "peers.json")
BEGIN, END = "<!-- peers: begin (written by ./dev bench --peers) -->", "<!-- peers: end -->"
TABLES = ["stat_user_tables", "table_sizes", "statio_user_indexes", "general_index_info"]


def out(text=""):
    print(text, flush=True)


def cpu_ms(pids):
    """Milliseconds on a CPU, to the nanosecond; of every thread that lives."""
    total = 0
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
                    total += int(f.read().split()[0])
        except OSError:
            continue
    return total / 1e6


class Target:
    def __init__(self, name, port, pid, member, encoding=None):
        self.name, self.port, self.pid, self.member, self.encoding = name, port, pid, member, encoding
        self.connection, self.taken = None, []

    def get(self, timeout=60):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        begun = time.monotonic()
        self.connection.request("GET", "/metrics", headers={"Accept-Encoding": self.encoding or "identity"})
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, answer.status
        self.taken.append((time.monotonic() - begun) * 1e3)
        return body


def spend(target, scrapes, pause):
    """(own CPU ms, server CPU ms) of `scrapes` scrapes, or of as long without any."""
    own, server = cpu_ms([target.pid]), cpu_ms(target.member.database_pids())
    begun = time.monotonic()
    for i in range(abs(scrapes)):
        if scrapes > 0:
            target.get()
        time.sleep(max(0, begun + (i + 1) * pause - time.monotonic()))
    return cpu_ms([target.pid]) - own, cpu_ms(target.member.database_pids()) - server


def measure(target, o):
    for _ in range(5):
        body = target.get()
    idle = spend(target, -o.scrapes, o.pause)
    target.taken = []
    busy = spend(target, o.scrapes, o.pause)
    taken = sorted(target.taken)
    text = scrape.Answer(200, {"Content-Encoding": target.encoding or ""}, body, 0).text
    families = scrape.read(text)
    assert families["pg_up"].value() == 1
    return {"cpu_ms": round((busy[0] - idle[0]) / o.scrapes, 3), "server_cpu_ms": round((busy[1] - idle[1]) / o.scrapes, 3),
            "p50_ms": round(statistics.median(taken), 2), "p99_ms": round(taken[int(len(taken) * 0.99)], 2), "bytes": len(body),
            "families": len(families), "series": sum(len(f.samples) for f in families.values()),
            "rss_mib": round(procs.rss_kib(target.pid) / 1024, 1)}


def hung(target, patience):
    """Seconds to an answer while the database stands still; None: none within `patience`."""
    target.get()
    target.connection.sock.settimeout(patience)
    target.member.pause_database()
    try:
        time.sleep(0.2)
        begun = time.monotonic()
        body = target.get()
        up = scrape.read(body.decode())["pg_up"].value()
        return {"seconds": round(time.monotonic() - begun, 2), "pg_up": up}
    except OSError:
        return None
    finally:
        target.member.resume_database()
        target.connection.close()
        target.connection = None


def compare(o):
    result = {}
    with Cluster(1, build=o.build, overrides={"probe/hung_after": "120s"}) as c:
        c.start()
        c.prepare()
        m = c.wait_ready(120)
        m.superuser("DO $$ BEGIN FOR i IN 1..%d LOOP EXECUTE format('CREATE TABLE t%%s (id int PRIMARY KEY, name text)', i);"
                    " EXECUTE format('INSERT INTO t%%s SELECT g, g::text FROM generate_series(1, 100) g', i); END LOOP; END $$; ANALYZE" % o.tables,
                    "app")
        exporter = scrape.Exporter(c, m, "app")
        theirs = Target("postgres_exporter", exporter.port, exporter.proc.pid, m)
        variants = {"same families, slow_interval 0s": {"omit": TABLES, "slow_interval": "0s"}, "all, slow_interval 0s": {"slow_interval": "0s"},
                    "same families": {"omit": TABLES}, "all": {}}
        for name, settings in variants.items():
            m.overrides = {f"metrics/{k}": v for k, v in settings.items()}
            m.write_config()
            m.ctl("reload", m.name)
            ours = Target("mainstay", m.http_port, m.agent.pid, m)
            result[name] = {"postgres_exporter": measure(theirs, o), "mainstay": measure(ours, o)}
            say(name, result[name])
        result["all, gzip"] = {}
        for target in (theirs, ours):
            target.encoding = "gzip"
            result["all, gzip"][target.name] = measure(target, o)
            target.encoding = None
        say("all, gzip", result["all, gzip"])
        ours.connection = theirs.connection = None
        result["hung"] = {"mainstay": hung(ours, o.patience)}
        c.wait("it answers again", lambda: scrape.read(ours.get().decode())["pg_up"].value() == 1, 60)
        result["hung"]["postgres_exporter"] = hung(theirs, o.patience)
        exporter.stop()
    return result


def say(name, pair):
    for who in ("postgres_exporter", "mainstay"):
        r = pair[who]
        out(f"  {name:32} {who:18} own {r['cpu_ms']:7.3f} ms  server {r['server_cpu_ms']:7.3f} ms  p50 {r['p50_ms']:6.2f}  p99 {r['p99_ms']:6.2f} ms  "
            f"{r['series']} series  {r['bytes']} bytes  {r['rss_mib']} MiB")


def often(result, interval=15, slow_interval=120):
    """What it comes to at a usual pace: the scrapes above are closer together than any Prometheus', so they hardly ever measure the slow ones."""
    share, out_ = interval / slow_interval, []
    for name in ("same families", "all"):
        kept, fresh, theirs = result[name]["mainstay"], result[name + ", slow_interval 0s"]["mainstay"], result[name]["postgres_exporter"]
        for key, what in (("cpu_ms", "own"), ("server_cpu_ms", "server")):
            ms = kept[key] * (1 - share) + fresh[key] * share
            out_.append(f"{name}, {what} {ms:.2f} ms (1/{theirs[key] / ms:.1f})")
    return [f"A scrape each {interval} s with slow_interval {slow_interval} s, out of the figures above (one in {slow_interval // interval} measures "
            f"everything): " + "; ".join(out_) + "."]


def table(data):
    text = [BEGIN, "", f"Measured {data['measured']}, {data['tables']} tables of a hundred rows, {data['scrapes']} scrapes {data['pause']} s apart, load average "
            f"{data['load']}.", "", "| | | own CPU ms | server CPU ms | p50 / p99 ms | series | bytes | RSS MiB |", "|---|---|---|---|---|---|---|---|"]
    for name, pair in data["result"].items():
        if name == "hung":
            continue
        for who in ("postgres_exporter", "mainstay"):
            r = pair[who]
            text.append(f"| {name} | {who} | {r['cpu_ms']:.2f} | {r['server_cpu_ms']:.2f} | {r['p50_ms']:.1f} / {r['p99_ms']:.1f} | {r['series']} | {r['bytes']:,} | {r['rss_mib']} |")
        a, b = pair["postgres_exporter"], pair["mainstay"]
        own, server = (f"1/{a[k] / b[k]:.1f}" if b[k] > 0 else "-" for k in ("cpu_ms", "server_cpu_ms"))
        text.append(f"| | **ratio** | **{own}** | **{server}** | | | | |")
    text += ["", *often(data["result"])]
    text += ["", "The database stands still (SIGSTOP): " + "; ".join(
        f"{who} " + (f"answers after {r['seconds']} s with pg_up {r['pg_up']:.0f}" if r else f"has not answered after {data['patience']:.0f} s")
        for who, r in sorted(data["result"]["hung"].items())) + ".", "", END]
    return "\n".join(text)


def write(data):
    marks.keep(JSON_FILE, data)
    marks.put(TEXT_FILE, BEGIN, END, table(data), "## A scrape beside postgres_exporter\n\nMainstay's agent and Debian's postgres_exporter 0.11.1 on one "
              "server, by turns in one run (`./dev bench --peers`; bench/peers.py says how).")


def main(argv):
    p = argparse.ArgumentParser(prog="./dev bench --peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--scrapes", type=int, default=200)
    p.add_argument("--pause", type=float, default=0.1, help="seconds from scrape to scrape (default 0.1)")
    p.add_argument("--tables", type=int, default=50)
    p.add_argument("--patience", type=float, default=20, help="seconds to wait for who hangs (default 20)")
    p.add_argument("--no-write", action="store_true", help="only print")
    p.add_argument("--build", metavar="DIR", help=argparse.SUPPRESS)
    o = p.parse_args(argv)
    o.build = procs.find_build(o.build)
    procs.unwind_on_signals()
    data = {"result": compare(o), "measured": datetime.date.today().isoformat(), "tables": o.tables, "scrapes": o.scrapes, "pause": o.pause,
            "patience": o.patience, "load": round(os.getloadavg()[0], 1)}
    if not o.no_write:
        write(data)
    bad = [f"{name}: {k}" for name in ("same families",) for k in ("cpu_ms", "server_cpu_ms")
           if data["result"][name]["mainstay"][k] * 5 > data["result"][name]["postgres_exporter"][k]]
    slow = data["result"]["hung"]["mainstay"]
    if slow is None or slow["seconds"] > 1:
        bad.append("hung: later than 1 s")
    for b in bad:
        out(f"MISSED: {b} (goal: a fifth of the exporter's)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
