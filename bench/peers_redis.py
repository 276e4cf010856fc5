#!/usr/bin/python3
"""./dev bench --peers redis: Mainstay beside Debian's Sentinel, and its /metrics beside Debian's redis_exporter, in one run.

Contenders: Mainstay with its default and its fast profile; Sentinel as delivered (down-after-milliseconds 30000) and with 1000. Three
redis-servers each, without persistence, every member in a network of its own; the same writers (set, register with WAIT 1,
append; they keep their sessions and look for another member when they get an error or no answer for a second), the same prober
of ROLE, the same comparison of what was acknowledged with what every member has at the end.

  beside       what runs beside a server: RSS, PSS, CPU when nothing happens
  kill         kill -9 of the primary's redis-server; what a container's restart does comes when another one leads
  node_death   redis-server and what is beside it
  isolation    the primary's network (and its way to the lock) is cut for --cut seconds, clients at its side go on
  switchover   SENTINEL FAILOVER, mainstay switchover
  restart      the primary's redis-server is killed and started again at once, without persistence; keys that are left, of 5000
  scrape       /metrics of the agent beside redis_exporter on one server, by turns

  outage: longest time without an acknowledged write (isolation: until the other side takes the first one);
  went on: for how long the cut off primary acknowledged; two primaries: time for which two members certainly were primaries by ROLE.
"""
import argparse
import contextlib
import datetime
import json
import os
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "integration"))

import procs  # noqa: E402
from peers_redis_text import write  # noqa: E402
from procs import now_ns  # noqa: E402
from redis_load import Prober, RedisLoad  # noqa: E402
from redis_net import NetCluster  # noqa: E402
from redis_scrape import measure_scrapes  # noqa: E402
from sentinel_set import NAME, SentinelSet, version  # noqa: E402

NONE = {"save": "", "appendonly": "no"}
BOUND = 400  # Sentinel waits twice its failover-timeout (180 s) after an attempt that failed
FAULTS = ("kill", "node_death", "isolation", "switchover", "restart")
PARTS = ("beside",) + FAULTS + ("scrape",)
KEYS = 5000


def out(text=""):
    print(text, flush=True)


class Mainstay:
    def __init__(self, profile, o):
        self.name, self.profile, self.build = f"mainstay {profile}", profile, o.build

    def make(self):
        return NetCluster(3, profile=self.profile, parameters=NONE, build=self.build)

    @staticmethod
    def revive(old):
        """Agent and shim do that by themselves."""

    @staticmethod
    def restart_at_once(old):
        pid = old.kill_server()
        old.cluster.wait("the process is back", lambda: old.server_pid() not in (None, pid), BOUND, 0.005)

    @staticmethod
    def switchover(old):
        old.cluster.wait("a switchover", lambda: old.ctl("switchover", "--yes", check=False).returncode == 0, BOUND, 0.2)

    @staticmethod
    def beside(m):
        return {"agent": [m.agent.pid], "shim": m.shim_pids()}


class Sentinel:
    def __init__(self, down_after, _o):
        self.name, self.down_after = f"sentinel {down_after or 30000}", down_after

    def make(self):
        return SentinelSet(self.down_after, NONE)

    @staticmethod
    def revive(old):
        old.start_server()

    @staticmethod
    def restart_at_once(old):
        old.kill_server()
        old.start_server()

    @staticmethod
    def switchover(old):
        old.owner.wait("a switchover", lambda: old.sentinel_says("FAILOVER", NAME) == "OK", BOUND, 0.2)

    @staticmethod
    def beside(m):
        return {"sentinel": [m.sentinel.pid]}


# ---- faults: each gives what it measured besides the writers' view ----

def another(c, old, since, load):
    """Another member that takes writes."""
    new = c.wait("another primary", lambda: next((m for m in c.members if m is not old and m.accepts_writes()), None), BOUND, 0.02)
    if not load.wait_acked(since, 5, BOUND, new.name):
        raise AssertionError(f"{new.name} takes no writes\n{c.describe()}")


def kill(a, c, old, load, since, _o):
    old.kill_server()
    another(c, old, since, load)
    a.revive(old)


def node_death(_a, c, old, load, since, _o):
    old.kill_all()
    another(c, old, since, load)
    old.start()


def switchover(a, c, old, load, since, _o):
    a.switchover(old)
    another(c, old, since, load)


def one_run(a, c, fault, o):
    old = c.wait_ready(BOUND)
    load, prober = RedisLoad(c, writers=3, pause=o.pause).start(), Prober(c).start()
    try:
        if not load.wait_acked(count=100, timeout=60):
            raise AssertionError("no writes\n" + c.describe())
        time.sleep(1)
        since = now_ns()
        fault(a, c, old, load, since, o)
        time.sleep(2)
        c.wait_ready(BOUND)
        until = now_ns()
    finally:
        load.stop()
        prober.stop()
    c.caught_up(c.wait_ready(BOUND))
    return {"outage_s": round(load.gap(since, until), 3), "acknowledged": load.acknowledged(), "lost": len(load.lost(c.members)),
            "two_primaries_ms": round(sum(ms for _, _, ms in prober.both(since)))}


def isolation(a, c, o):
    old = c.wait_ready(BOUND)
    beside = RedisLoad(c, writers=3, pause=o.pause, members=[old], timeout=60).start()
    rest = RedisLoad(c, writers=3, pause=o.pause, members=[m for m in c.members if m is not old]).start()
    prober = Prober(c).start()
    try:
        if not beside.wait_acked(count=100, timeout=60):
            raise AssertionError("no writes\n" + c.describe())
        since = now_ns()
        c.cut_lock(old)
        c.cut_network(old)
        time.sleep(o.cut)
        mended = now_ns()
        c.mend(old)
        time.sleep(15)  # Sentinel looks at a primary that came back every 10 s
        c.wait_ready(BOUND)
    finally:
        beside.stop()
        rest.stop()
        prober.stop()
    c.caught_up(c.wait_ready(BOUND))
    first = min((x.acked for x in rest.acks if x.acked > since), default=mended)
    last = max((x.acked for x in beside.acks if x.acked > since and x.sent < mended), default=since)
    return {"outage_s": round((first - since) / 1e9, 3), "went_on_s": round((last - since) / 1e9, 3),
            "acknowledged": beside.acknowledged() + rest.acknowledged(), "lost": len(beside.lost(c.members)) + len(rest.lost(c.members)),
            "lost_of_wait": len(beside.lost(c.members, [x for x in beside.acks if x.key[0] == "r"])),
            "two_primaries_ms": round(sum(ms for _, _, ms in prober.both(since)))}


def restart(a, c, _o):
    """Every run needs data again."""
    old = c.wait_ready(BOUND)
    for i in range(0, KEYS, 100):
        old.ask("MSET", *[w for j in range(i, i + 100) for w in (f"k:{j}", j)])
    c.caught_up(old)
    a.restart_at_once(old)
    time.sleep(15)
    c.caught_up(c.wait_ready(BOUND))
    return {"keys": min(sum(k.startswith("k:") for k in m.keys()) for m in c.members)}


def beside(a, c, o):
    c.wait_ready(BOUND)
    time.sleep(5)
    pids = {m.name: a.beside(m) for m in c.members}
    before, begun = {m: {w: sum(map(procs.cpu_seconds, p)) for w, p in who.items()} for m, who in pids.items()}, time.monotonic()
    time.sleep(o.idle)
    spent, rows = time.monotonic() - begun, {}
    for what in next(iter(pids.values())):
        rows[what] = {
            "rss_mib": round(max(sum(map(procs.rss_kib, who[what])) for who in pids.values()) / 1024, 2),
            "pss_mib": round(max(sum(map(procs.pss_kib, who[what])) for who in pids.values()) / 1024, 2),
            "cpu_s_per_min": round(max(sum(map(procs.cpu_seconds, who[what])) - before[m][what] for m, who in pids.items()) * 60 / spent, 3)}
    return rows


def summary(runs):
    def middle(key):
        values = [r[key] for r in runs]
        return {"median": round(statistics.median(values), 3), "min": min(values), "max": max(values)}
    return {"runs": len(runs), **{key: middle(key) if key.endswith(("_s", "_ms", "keys")) else sum(r[key] for r in runs) for key in runs[0]},
            "each": runs}


def tell(name, part, r):
    out(f"  {name:18} {part:11} " + "  ".join(f"{k} {v}" for k, v in r.items()))


def contend(a, o, result):
    todo = [p for p in PARTS if p in (o.only or PARTS) and p != "scrape"]
    if not todo:
        return
    with contextlib.ExitStack() as stack:
        c = a.make()
        stack.callback(c.close)
        c.start()
        c.wait_ready(BOUND)
        for part in todo:
            if part == "beside":
                result.setdefault(part, {})[a.name] = beside(a, c, o)
                tell(a.name, part, result[part][a.name])
                continue
            runs = []
            for _ in range(min(o.runs, 2) if part == "isolation" else o.runs):
                if part in ("isolation", "restart"):
                    runs.append({"isolation": isolation, "restart": restart}[part](a, c, o))
                else:
                    runs.append(one_run(a, c, {"kill": kill, "node_death": node_death, "switchover": switchover}[part], o))
                tell(a.name, part, runs[-1])
            result.setdefault(part, {})[a.name] = summary(runs)


def parse(argv):
    p = argparse.ArgumentParser(prog="./dev bench --peers redis", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", action="append", choices=PARTS, help="this part; may be repeated")
    p.add_argument("--contender", action="append", metavar="WORD", help="only those whose name has this word; may be repeated")
    p.add_argument("--runs", type=int, default=5, help="of each fault (default 5; isolation at most 2)")
    p.add_argument("--cut", type=float, default=45, help="seconds of isolation (default 45)")
    p.add_argument("--idle", type=float, default=60, help="seconds for which idle processes are watched (default 60)")
    p.add_argument("--pause", type=float, default=0.002, help="of a writer after each answer (default 0.002 s)")
    p.add_argument("--scrapes", type=int, default=200)
    p.add_argument("--no-write", action="store_true", help="only print")
    p.add_argument("--build", metavar="DIR", help=argparse.SUPPRESS)
    o = p.parse_args(argv)
    o.build = procs.find_build(o.build)
    return o


def main(argv):
    o = parse(argv)
    procs.unwind_on_signals()
    contenders = [Mainstay("default", o), Mainstay("fast", o), Sentinel(None, o), Sentinel(1000, o)]
    result, load = {}, os.getloadavg()[0]
    for a in contenders:
        if not o.contender or any(w in a.name for w in o.contender):
            out(f"== {a.name} (load average {os.getloadavg()[0]:.1f})")
            contend(a, o, result)
    if not o.only or "scrape" in o.only:
        result["scrape"] = measure_scrapes(o)
    if not o.no_write:
        write(result, {"measured": datetime.date.today().isoformat(), "load": round(load, 1), "redis": version(), "cut": o.cut,
                       "pause": o.pause, "idle": o.idle})
    else:
        out(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
