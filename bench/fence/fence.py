#!/usr/bin/python3
"""How long after its deadline can a fenced PostgreSQL still acknowledge a write?

Usage: fence.py SHIM [--fences N] [--writers N] [--mode namespace|session] [--agent running|stopped] [--json FILE]

Starts PostgreSQL 15 under mainstay-shim (fsync and synchronous_commit on, the defaults), lets WRITERS processes insert one row per
transaction and note CLOCK_BOOTTIME at each acknowledgement, arms a deadline, and lets it pass. Repeats N times (recovery in
between; writers run SCHED_FIFO so that a busy machine does not stamp late). An acknowledgement later than the deadline is what another primary could conflict with; it is reported per fence.
Needs root and a user `postgres`; needs python3-psycopg2. Ends with status 1 when an acknowledgement came after the shim said
that everything is dead.
"""
import argparse
import json
import mmap
import multiprocessing
import os
import signal
import statistics
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/integration/shim"))
from shimlib import *  # noqa: F403

SEC = 10**9
PORT = "7433"


def writer(slot, shared, socket_dir):
    import psycopg2
    # What counts is when the acknowledgement arrived, not when a busy machine let this process look: real-time, below the shim.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    while True:
        try:
            c = psycopg2.connect(host=socket_dir, port=PORT, user="postgres", dbname="postgres", connect_timeout=2)
            c.autocommit = True
            cursor = c.cursor()
            while True:
                cursor.execute("insert into t(w) values (1)")
                at = now()
                last, count = struct.unpack_from("<qq", shared, slot * 16)
                struct.pack_into("<qq", shared, slot * 16, at, count + 1)
        except psycopg2.Error:
            time.sleep(0.25)  # a connection a writer and attempt: more would keep a busy machine from recovering


def acknowledged(shared, writers):
    rows = [struct.unpack_from("<qq", shared, i * 16) for i in range(writers)]
    return max(r[0] for r in rows), sum(r[1] for r in rows)


def quantiles(values):
    v = sorted(values)
    return {"p50": statistics.median(v), "p99": v[-(-len(v) * 99 // 100) - 1], "max": v[-1], "min": v[0]}


def set_up(args):
    s = Shim(args.shim, mode=args.mode)
    l = s.link()
    end, status, out, err = l.tool(INITDB, ["-D", s.data, "-N", "-A", "trust", "-U", "postgres", "--no-instructions"], 120)
    if status:
        sys.exit(out + err)
    with open(s.data + "/postgresql.conf", "a") as f:
        f.write(f"listen_addresses=''\nport={PORT}\nunix_socket_directories='{s.volume}'\n")
    return s, l


def psql(s, sql):
    return subprocess.run(["/usr/lib/postgresql/15/bin/psql", "-h", s.volume, "-p", PORT, "-U", "postgres", "-Atqc", sql],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().strip()


def agent_that_stops(s, epoch, lead):
    """A process of its own arms and is stopped by SIGSTOP at once: nobody else acts when the deadline passes."""
    code = ("import sys,os,signal; sys.path.insert(0, sys.argv[1]); from shimlib import *; l=Link(sys.argv[2]);"
            "l.arm(now()+int(sys.argv[3]), int(sys.argv[4])); os.kill(os.getpid(), signal.SIGSTOP)")
    return subprocess.Popen(["/usr/bin/python3", "-c", code, sys.path[0], s.socket, str(lead), str(epoch)])


class Renewal(threading.Thread):
    """The agent: extends the deadline to HORIZON from now until it is told to stop, on a connection of its own."""

    def __init__(self, s, epoch, horizon):
        super().__init__(daemon=True)
        self.link, self.epoch, self.horizon, self.over = s.link(), epoch, horizon, threading.Event()
        self.link.arm(now() + horizon, epoch)
        self.start()

    def run(self):
        try:
            while not self.over.wait(0.1):
                self.link.arm(now() + self.horizon, self.epoch)
        except (Closed, Refused) as e:
            print(f"renewal of epoch {self.epoch} ended: {e!r}", file=sys.stderr)

    def stop(self):
        self.over.set()
        self.join()
        self.link.close()


def one_fence(s, l, shared, args, epoch):
    horizon = 2 * SEC
    renewal = Renewal(s, epoch, horizon)
    l.start(PRIMARY, epoch)
    end = time.monotonic() + 60
    table = False
    before = acknowledged(shared, args.writers)[1]
    while not table or acknowledged(shared, args.writers)[1] < before + 50 * args.writers:
        if time.monotonic() > end:
            sys.exit(f"PostgreSQL or its writers did not come up: {l.state()}")
        table = table or psql(s, "create table if not exists t(id bigserial, w int); select 1") == "1"
        time.sleep(0.03)
    renewal.stop()
    agent = agent_that_stops(s, epoch, horizon) if args.agent == "stopped" else None
    fenced = l.fenced(40)
    l.exited()
    time.sleep(0.15)
    last, count = acknowledged(shared, args.writers)
    if agent:
        agent.kill()
        agent.wait()
    return {"late_ack": last - fenced["deadline"], "after_kill": last - fenced["killed_at"], "lateness": fenced["killed_at"] - fenced["deadline"],
            "emptying": fenced["empty_at"] - fenced["killed_at"], "after_empty": last - fenced["empty_at"], "commits": count - before}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("shim")
    parser.add_argument("--fences", type=int, default=100)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--mode", default="namespace")
    parser.add_argument("--agent", choices=["running", "stopped"], default="running")
    parser.add_argument("--starve", type=int, default=0, help="busy loops beside it")
    parser.add_argument("--json")
    args = parser.parse_args()
    args.shim = os.path.abspath(args.shim)
    os.setpriority(os.PRIO_PROCESS, 0, -20)  # it plays the agent: it must not lapse by itself on a busy machine
    s, l = set_up(args)
    l.subscribe()
    shared = mmap.mmap(-1, 16 * args.writers)
    processes = [multiprocessing.Process(target=writer, args=(i, shared, s.volume), daemon=True) for i in range(args.writers)]
    burners = [subprocess.Popen(["nice", "-n", "20", "/usr/bin/python3", "-c", "while True: pass"]) for _ in range(args.starve)]
    rows = []
    try:
        for p in processes:
            p.start()
        for i in range(args.fences):
            rows.append(one_fence(s, l, shared, args, i + 1))
    except SystemExit as e:  # interrupted: what was measured is still worth showing
        print(f"stopped after {len(rows)} fences: {e}", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut the cleaning up short
        for b in burners:
            b.kill()
        for p in processes:
            p.terminate()
        s.stop()
    if not rows:
        sys.exit(2)
    report(args, rows)


def report(args, rows):
    out = {"fences": len(rows), "writers": args.writers, "mode": args.mode, "agent": args.agent, "starve": args.starve,
           "commits_seen": sum(r["commits"] for r in rows), "acks_after_deadline": sum(r["late_ack"] > 0 for r in rows),
           "acks_after_empty": sum(r["after_empty"] > 0 for r in rows), "unit": "ms"}
    print(f"{len(rows)} fences, {args.writers} writers, {args.mode}, agent {args.agent}, {args.starve} busy loops, {out['commits_seen']} commits")
    print(f"{'ms':44}{'p50':>10}{'p99':>10}{'max':>10}")
    for key, text in (("late_ack", "deadline -> last acknowledgement"), ("lateness", "deadline -> first SIGKILL (shim's lateness)"),
                      ("after_kill", "first SIGKILL -> last acknowledgement"), ("emptying", "first SIGKILL -> last process reaped")):
        q = {k: round(v / 1e6, 3) for k, v in quantiles([r[key] for r in rows]).items()}
        out[key] = q
        print(f"{text:44}{q['p50']:10.2f}{q['p99']:10.2f}{q['max']:10.2f}")
    print(f"fences with an acknowledgement after the deadline: {out['acks_after_deadline']}, after 'fenced': {out['acks_after_empty']}")
    print(json.dumps(out))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(out, f, indent=1)
    sys.exit(1 if out["acks_after_empty"] or len(rows) < args.fences else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
