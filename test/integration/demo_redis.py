#!/usr/bin/python3
"""./dev demo redis: three members of Redis on this machine, to look at and to break.

Starts three redis-servers, each with its shim and its agent, in a scratch folder on free ports; Ctrl-C stops and removes
everything. --tour breaks them one way after the other while writers count what was acknowledged (each write is confirmed by a
replica: WAIT 1) and a prober asks every member all the time whether it is a primary.
"""
import argparse
import json
import os
import signal
import sys
import time

import procs
from demo import Progress, bold, cluster_activity, dim, introduce_command, out, paint, status_text
from harness import Failure
from procs import now_ns
from redis_harness import APP, PASSWORD, Prober, RedisCluster


def parse(argv):
    p = argparse.ArgumentParser(prog="./dev demo redis", description=__doc__.split("\n\n", 1)[1],
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tour", action="store_true", help="switchover, crash, hang, node death, agent freeze; then end")
    p.add_argument("--json", metavar="FILE", help="with --tour: write the results as a JSON array")
    p.add_argument("--profile", choices=("default", "fast"), default="default", help="timing: lease of 8 s or of 2.2 s")
    p.add_argument("--keep", action="store_true", help="leave the folder with data and logs at the end")
    p.add_argument("--build", metavar="DIR", help=argparse.SUPPRESS)
    p.add_argument("--seconds", type=float, help=argparse.SUPPRESS)  # for tests: end by itself
    o = p.parse_args(argv)
    if o.json and not o.tour:
        p.error("--json goes with --tour")
    return o


def introduce(cluster):
    command = introduce_command(cluster)
    out()
    out(bold("Connect"))
    for m in cluster.members:
        out(f"  {m.name}: redis-cli -p {m.pg_port} --user {APP} --pass {PASSWORD}   HTTP http://127.0.0.1:{m.http_port}/status   logs {m.home}/")
    out()
    out(bold("Try, in another terminal"))
    out(f"  alias mainstay={command}")
    primary = cluster.primary() or cluster.members[0]
    for i, (what, how) in enumerate((
            ("watch it", "mainstay status --watch"),
            ("kill the primary's server", f"kill -9 {primary.server_pid()}"),
            ("change the primary as planned", "mainstay switchover --yes"),
            ("ask why", "mainstay why")), 1):
        out(f"  {i}. {what}\n       {bold(how)}")


def live(cluster, seconds):
    last, end = None, time.monotonic() + seconds if seconds else None
    out()
    out(dim("Ctrl-C stops and removes everything. Live:"))
    while end is None or time.monotonic() < end:
        parts = []
        for m in cluster.members:
            s = m.status(0.7) or {}
            db = s.get("database") or {}
            parts.append(f"{m.name} {s.get('role', 'no answer')}" + (f" ({db.get('activity')})" if db.get("activity") else ""))
        line = ", ".join(parts)
        if line != last:
            out(f"  {time.strftime('%H:%M:%S')} {line}")
            last = line
        time.sleep(0.5)


def steps(cluster):
    """(name, what happens, does it and gives what undoes it)"""
    def switchover(p):
        p.ctl("switchover")

    def crash(p):
        p.kill_server()

    def hang(p):
        pid = p.server_pid()
        os.kill(pid, signal.SIGSTOP)
        return lambda: procs.send([pid] if p.server_pid() == pid else [], signal.SIGCONT)

    def death(p):
        p.kill_all()
        return p.start

    def freeze(p):
        pid = p.agent.pid
        procs.send([pid], signal.SIGSTOP)
        return lambda: procs.send([pid], signal.SIGCONT)
    return (("switchover", "as planned", switchover), ("crash", "kill -9 of the server", crash), ("hang", "SIGSTOP of the server", hang),
            ("node-death", "agent, shim and server at once", death), ("agent-freeze", "SIGSTOP of the agent", freeze))


def tour(cluster, o):
    load, prober, results, failed = cluster.load(wait=1).start(), Prober(cluster).start(), [], False
    out()
    out(bold(f"{'step':13} {'gap':>8} {'acked':>7} {'full resyncs':>13}  primary"))
    for name, title, act in steps(cluster):
        old = cluster.wait_ready(60)
        time.sleep(1)
        before, full, since = load.acknowledged(), cluster.full_resyncs(), now_ns()
        with Progress(f"{name}: {title}"):
            undo = act(old)
            new = cluster.wait_primary(60, other_than=old)
            load.wait_acked(since, 5, 60, new.name)
            gap = load.gap(since)
            if undo:
                undo()
            cluster.wait_ready(60, cluster.members)
        r = {"step": name, "gap_s": round(gap, 3), "acknowledged": load.acknowledged() - before,
             "full_resyncs": max(0, cluster.full_resyncs() - full), "primary": new.name}
        results.append(r)
        out(f"{name:13} {gap:7.3f}s {r['acknowledged']:7d} {r['full_resyncs']:13d}  {bold(new.name)}")
    load.stop()
    prober.stop()
    with Progress("comparing all acknowledged keys with all members"):
        lost = cluster.check(load, allow_loss=True)
    both = prober.both()
    failed = lost > 0 or bool(both)
    results.append({"step": "all", "acknowledged": load.acknowledged(), "lost": lost, "two_primaries_ms": sum(b[2] for b in both)})
    if o.json:
        with open(o.json, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)
            f.write("\n")
    out()
    out(f"{load.acknowledged()} writes acknowledged, {lost} lost; two primaries at the same time: {'never seen' if not both else both}.")
    return 1 if failed else 0


def run(o):
    cluster, code, began = RedisCluster(3, profile=o.profile, build=o.build), 0, time.monotonic()
    try:
        out(f"3 members of Redis, profile {o.profile}, in {cluster.scratch.path}")
        if o.keep:
            cluster.keep()
        cluster.start()
        with Progress("founding the cluster", lambda: cluster_activity(cluster)):
            cluster.wait_ready(180)
        out(f"ready after {time.monotonic() - began:.0f} s\n")
        out(status_text(cluster))
        if o.tour:
            code = tour(cluster, o)
        else:
            introduce(cluster)
            live(cluster, o.seconds)
    except (KeyboardInterrupt, procs.Interrupted):
        out("\nstopping")
    except Failure as e:
        cluster.keep()
        out(f"\n{paint('31', 'demo: ' + str(e))}\n\nlogs are kept in {cluster.scratch.path}")
        code = 1
    finally:
        with Progress("stopping everything"):
            cluster.close()
    return code


if __name__ == "__main__":
    procs.unwind_on_signals()
    sys.exit(run(parse(sys.argv[1:])))
