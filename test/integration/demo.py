#!/usr/bin/python3
"""./dev demo: a whole cluster on this machine, to look at and to break.

Starts three PostgreSQL servers, each with its shim and its agent, in a scratch folder on free ports; shows what there is and
what to try; Ctrl-C stops and removes everything. --tour breaks them one way after the other while writers count.
"""
import argparse
import json
import os
import sys
import threading
import time

import procs
from harness import APP, PG_BIN, Cluster, Failure
from tour import Tour

TTY = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if TTY else text


def bold(text):
    return paint("1", text)


def dim(text):
    return paint("2", text)


def out(text=""):
    print(text, flush=True)


class Progress:
    """Shows that something lives: on a terminal one line that changes, elsewhere a line at 2 s and every 15 s."""

    def __init__(self, text, detail=lambda: ""):
        self.text, self.detail, self.done = text, detail, threading.Event()

    def __enter__(self):
        self.begun = time.monotonic()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _run(self):
        told = 2.0
        while not self.done.wait(0.5):
            spent = time.monotonic() - self.begun
            if spent < 2:
                continue
            line = f"    {self.text} {spent:.0f} s {self.detail()}".rstrip()
            if TTY:
                sys.stdout.write(f"\r\x1b[K{dim(line[:110])}")
                sys.stdout.flush()
            elif spent >= told:
                told = spent + 15
                out(line)

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        if TTY:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()


def parse(argv):
    p = argparse.ArgumentParser(prog="./dev demo", description=__doc__.split("\n\n", 1)[1],
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tour", action="store_true", help="crash, agent freeze, node death, switchover, return; then end")
    p.add_argument("--json", metavar="FILE", help="with --tour: write the results as a JSON array")
    p.add_argument("--members", type=int, default=3, metavar="N", help="1 to 7 (default 3)")
    p.add_argument("--profile", choices=("default", "fast"), default="default", help="timing: lease of 10 s or of 3 s")
    p.add_argument("--durability", choices=("guarded", "strict", "async"), default="guarded")
    p.add_argument("--takeover", choices=("quorum", "lease"), default="quorum")
    p.add_argument("--keep", action="store_true", help="leave the folder with data and logs at the end")
    p.add_argument("--build", metavar="DIR", help=argparse.SUPPRESS)
    p.add_argument("--seconds", type=float, help=argparse.SUPPRESS)  # for tests: end by itself
    o = p.parse_args(argv)
    if not 1 <= o.members <= 7:
        p.error("--members: 1 to 7")
    if o.json and not o.tour:
        p.error("--json goes with --tour")
    return o


def cluster_activity(cluster):
    """What the members are busy with, for the progress line."""
    words = []
    for m in cluster.members:
        s = m.status(0.5) if m.agent and m.agent.running() else None
        if s:
            words.append(f"{m.name}: {(s.get('database') or {}).get('activity') or s.get('phase')}")
    return "; ".join(words)


def status_text(cluster):
    for m in cluster.members:
        if m.agent and m.agent.running() and m.status(0.5):
            r = m.ctl("status", timeout=5, check=False)
            return r.stdout.rstrip() or r.stderr.rstrip()
    return "no agent answers"


def introduce_command(c):
    """The demo's command line: knows where the agents are."""
    command = os.path.join(c.scratch.path, "mainstay")
    addresses = ",".join(m.peer for m in c.members)
    with open(command, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\nMAINSTAY_ADDRESS={addresses} exec {c.bin}/mainstay \"$@\"\n")
    os.chmod(command, 0o755)
    return command


def introduce(cluster):
    """Connection strings and things to try."""
    c = cluster
    command = introduce_command(c)
    write_any = f"postgresql://{APP}:{APP}@{','.join(f'127.0.0.1:{m.pg_port}' for m in c.members)}/{APP}?target_session_attrs=read-write"
    out()
    out(bold("Connect") + "  (whoever is the primary)")
    out(f"  psql '{write_any}'")
    for m in c.members:
        out(f"  {m.name}: postgres 127.0.0.1:{m.pg_port}   HTTP http://127.0.0.1:{m.http_port}/status   logs {m.home}/")
    out()
    out(bold("Try, in another terminal"))
    out(f"  alias mainstay={command}")
    primary = c.primary() or c.members[0]
    tries = [
        ("watch it", "mainstay status --watch"),
        ("kill the primary's postmaster", f"kill -9 $(cat {c.scratch.path}/pids/primary-postmaster)"),
        ("freeze the primary's agent: the shim fences the database without it (later: kill -CONT)",
         f"kill -STOP $(cat {c.scratch.path}/pids/primary-agent)"),
        ("change the primary as planned", "mainstay switchover --yes"),
        ("no automatic failover for a while", "mainstay pause --yes; mainstay status; mainstay resume --yes"),
        ("ask why", "mainstay why"),
        ("ruin a replica's data and let it be cloned again",
         f"mainstay reinit {next((m.name for m in c.members if m is not primary), primary.name)} --yes"),
    ]
    for i, (what, how) in enumerate(tries, 1):
        out(f"  {i}. {what}\n       {bold(how)}")


def write_pids(cluster, what="postmaster"):
    """Files with the PIDs of the present primary, so that the commands above can be pasted."""
    folder = os.path.join(cluster.scratch.path, "pids")
    os.makedirs(folder, exist_ok=True)
    primary = cluster.primary()
    facts = {}
    for m in cluster.members:
        if m.running():
            facts[f"{m.name}-{what}"], facts[f"{m.name}-agent"], facts[f"{m.name}-shim"] = m.postmaster_pid(), m.agent.pid, m.shim.pid
            if m is primary:
                facts[f"primary-{what}"], facts["primary-agent"] = m.postmaster_pid(), m.agent.pid
    for name, pid in facts.items():
        if pid:
            with open(os.path.join(folder, name + ".new"), "w", encoding="utf-8") as f:
                f.write(f"{pid}\n")
            os.rename(os.path.join(folder, name + ".new"), os.path.join(folder, name))


def live(cluster, load, seconds, what="postmaster"):
    """Until Ctrl-C: one line that tells the present state, a new line at each change."""
    last, end = None, time.monotonic() + seconds if seconds else None
    told_outage = procs.now_ns()
    out()
    out(dim("Ctrl-C stops and removes everything. Live:"))
    while end is None or time.monotonic() < end:
        for m in cluster.members:  # what was killed by the visitor comes back, as a container would
            if m.shim and not m.shim.running():
                out(f"  {time.strftime('%H:%M:%S')} {m.name}: its shim is gone: starting it again")
                m.start_shim()
            if m.agent and not m.agent.running():
                out(f"  {time.strftime('%H:%M:%S')} {m.name}: its agent is gone: starting it again")
                m.start_agent()
        write_pids(cluster, what)
        parts = []
        for m in cluster.members:
            s = m.status(0.7)
            if not s:
                parts.append(f"{m.name} no answer")
                continue
            db = s.get("database") or {}
            parts.append(f"{m.name} {s.get('role')}" + (f" ({db.get('activity')})" if db.get("activity") else "")
                         + ("" if db.get("state") == "running" else f" [database {db.get('state')}]"))
        line = ", ".join(parts)
        if line != last:
            outage, _ = load.outage(told_outage)
            told_outage = procs.now_ns()
            if TTY:
                sys.stdout.write("\r\x1b[K")
            out(f"  {time.strftime('%H:%M:%S')} {line}" + (f"   (longest gap between writes {outage:.2f} s)" if last and outage > 0.2 else ""))
            last = line
        if TTY:
            sys.stdout.write(f"\r\x1b[K{dim(f'  {load.rate():.0f} writes/s acknowledged by {load.last_ack()[1] or chr(45)}, {load.acknowledged()} in all')}")
            sys.stdout.flush()
        time.sleep(0.7)


def walk(t, load, o, row):
    """Every step of the tour, a line each (`row` words it), and all of them in o.json. True: something was lost, or two wrote."""
    results, failed = [], False
    for name, title, run in t.steps():
        with Progress(f"{name}: {title}", lambda: f"({load.acknowledged()} writes acknowledged)"):
            result = t.step(name, run)
        results.append(result)
        failed = failed or result["lost"] > 0 or result["overlap_ms"] > 0
        out(row(result))
        out(dim(f"              {result['why']}"))
        if o.json:
            with open(o.json + ".new", "w", encoding="utf-8") as f:
                json.dump(results, f, indent=1)
                f.write("\n")
            os.rename(o.json + ".new", o.json)
    return failed


def tour(cluster, load, o):
    t = Tour(cluster, load, say=lambda text: None)
    out()
    out(bold(f"{'step':13} {'outage':>8} {'acked':>7} {'lost':>5} {'overlap':>8}  primary"))
    failed = walk(t, load, o, lambda r: f"{r['step']:13} {r['outage_s']:7.2f}s {r['acknowledged']:7d} {r['lost']:5d} {r['overlap_ms']:6.0f}ms  "
                                        f"{bold(r['primary'])} (epoch {r['epoch']})")
    load.stop()
    with Progress("comparing all acknowledged rows with all members"):
        lost = cluster.check(load)
    out()
    out(f"{load.acknowledged()} writes acknowledged, {lost} lost, on {len(cluster.members)} members compared row by row.")
    return 1 if failed or lost else 0


def run(o):
    began = time.monotonic()
    cluster = Cluster(o.members, profile=o.profile, durability=o.durability, takeover=o.takeover, build=o.build)
    code = 0
    try:
        out(f"{o.members} members of PostgreSQL ({PG_BIN}), profile {o.profile}, durability {o.durability}, in {cluster.scratch.path}")
        if o.keep:
            cluster.keep()
        cluster.start()
        with Progress("founding the cluster and cloning", lambda: cluster_activity(cluster)):
            cluster.prepare()
            cluster.wait_ready(180)
        out(f"ready after {time.monotonic() - began:.0f} s\n")
        out(status_text(cluster))
        load = cluster.load(pause=0.004 if o.tour else 0.02, probers=o.tour).start()
        if o.tour:
            code = tour(cluster, load, o)
        else:
            write_pids(cluster)
            introduce(cluster)
            live(cluster, load, o.seconds)
    except (KeyboardInterrupt, procs.Interrupted):
        out("\nstopping")
    except Failure as e:
        cluster.keep()
        out(f"\n{paint('31', 'demo: ' + str(e))}\n\nlogs are kept in {cluster.scratch.path}")
        code = 1
    finally:
        with Progress("stopping everything"):
            cluster.close()
    if o.keep:
        out(f"data and logs are in {cluster.scratch.path}")
    return code


if __name__ == "__main__":
    procs.unwind_on_signals()
    sys.exit(run(parse(sys.argv[1:])))
