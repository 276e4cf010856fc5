#!/usr/bin/python3
"""./dev bench --rabbitmq: one check of a RabbitMQ node by Mainstay's control, beside `rabbitmq-diagnostics check_running`.

One node of Debian's RabbitMQ. A check is boot state, alarms, partitions (and the version, which says how to ask), over the connection that
is kept; or the first one, with the question to epmd and the handshake. By turns, so that both see the same load of the machine. CPU is that of
whoever asks (of its process, all threads) and that of the node meanwhile.
"""
import argparse
import datetime
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "integration"))

import procs  # noqa: E402
from rabbit_servers import Servers, sbin  # noqa: E402
from rabbit_tool import Tool  # noqa: E402

TEXT_FILE = os.path.join(ROOT, "docs", "BENCHMARKS.md")
BEGIN, END = "<!-- rabbitmq: begin (written by ./dev bench --rabbitmq) -->", "<!-- rabbitmq: end -->"


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p))]


def ask(node, n):
    """[(ms, CPU ms)] of n checks on one connection; the first is that with the handshake."""
    with Tool(node) as t:
        out = []
        for _ in range(n):
            answer = t.ask("look")
            assert answer["ok"], answer
            out.append((answer["ms"], answer["cpu_us"] / 1e3))
        return out, procs.rss_kib(t.p.pid) / 1024


def diagnostics(node, command):
    """(ms, CPU ms, RSS MiB) of Debian's tool, its children included."""
    argv = [os.path.join(sbin(), "rabbitmq-diagnostics"), "-q", "-n", node.name, command]
    begin = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=node.env(), cwd="/")
    node.servers.scratch.guard(p.pid)
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    assert p.returncode == 0, f"rabbitmq-diagnostics {command}: {p.returncode}"
    return (time.monotonic() - begin) * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3, usage.ru_maxrss / 1024


def measure(node, rounds, checks):
    first, kept, theirs, node_cpu, rss = [], [], [], [], 0
    for _ in range(rounds):
        before = procs.cpu_seconds(node.pid)
        answers, rss = ask(node, checks + 1)
        node_cpu.append((procs.cpu_seconds(node.pid) - before) * 1e3 / (checks + 1))
        first.append(answers[0])
        kept += answers[1:]
        theirs.append(diagnostics(node, "check_running"))
    return first, kept, theirs, node_cpu, rss


def row(who, values, rss):
    ms, cpu = [v[0] for v in values], [v[1] for v in values]
    return f"| {who} | {statistics.median(ms):.2f} | {percentile(ms, 0.95):.2f} | {statistics.median(cpu):.2f} | {rss:.1f} | {len(values)} |"


def report(result, load, version):
    first, kept, theirs, node_cpu, rss = result
    cpu = statistics.median(v[1] for v in theirs) / max(statistics.median(v[1] for v in kept), 1e-3)
    return [f"Measured {datetime.date.today().isoformat()} on RabbitMQ {version}, {os.cpu_count()} CPUs, load {load:.1f}.", "",
            "| a check | ms, median | ms, 95 % | own CPU ms, median | RSS MiB | n |", "|---|---|---|---|---|---|",
            row("mainstay, connection kept", kept, rss), row("mainstay, with epmd and handshake", first, rss),
            row("rabbitmq-diagnostics check_running", theirs, statistics.median(v[2] for v in theirs)), "",
            f"CPU of one check: 1/{cpu:,.0f}; the node itself spends {statistics.median(node_cpu):.2f} ms on one of ours. Nothing is started for it."]


def write(lines):
    with open(TEXT_FILE, encoding="utf-8") as f:
        text = f.read()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    with open(TEXT_FILE, "w", encoding="utf-8") as f:
        f.write(text[:begin] + "\n" + "\n".join(lines) + "\n" + text[end:])


def main():
    p = argparse.ArgumentParser(prog="./dev bench --rabbitmq", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--checks", type=int, default=200, help="on one connection, in each round")
    p.add_argument("--no-write", action="store_true", help="leave docs/BENCHMARKS.md alone")
    o = p.parse_args()
    procs.unwind_on_signals()
    scratch = procs.Scratch(prefix="mainstay-rabbit-")
    try:
        node = Servers(scratch, 1).nodes[0]
        time.sleep(10)  # what a start leaves to do
        load = os.getloadavg()[0]
        with Tool(node) as t:
            version = t.get("version")
        lines = report(measure(node, o.rounds, o.checks), load, version)
    finally:
        scratch.close()
    print("\n".join(lines))
    if not o.no_write:
        write(lines)


if __name__ == "__main__":
    main()
