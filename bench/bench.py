#!/usr/bin/python3
"""./dev bench: measure, compare with bench/budgets.json, write docs/BENCHMARKS.md and docs/benchmarks.json.

Parts (choose with --only, default all):
  outage   outage of each step of the tour (demo --tour), for profile and takeover, as an acknowledging writer sees it
  single   kill -9 of the postmaster of a cluster of one: restart in place
  memory   RSS of agent and shim, CPU time per minute of both: idle, and busy (writes, scrapes, status --watch)
  fence    from the deadline to "can acknowledge no more" (bench/fence)
  core     steps per second of the election's core (bench/core_bench)
Figures of a part that is not measured now are kept from the last run, with their own date.
"""
import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "integration"))

import marks  # noqa: E402
import procs  # noqa: E402
from demo import Progress  # noqa: E402
from harness import PG_BIN, Cluster, Failure  # noqa: E402
from procs import now_ns  # noqa: E402
from tour import Tour  # noqa: E402

PARTS = ("outage", "single", "memory", "fence", "core")
COMBINATIONS = (("default", "quorum"), ("fast", "quorum"), ("default", "lease"), ("fast", "lease"))
STEPS = {"quorum": ("crash", "agent_freeze", "node_death", "switchover", "return"), "lease": ("node_death", "return")}
JSON_FILE = os.path.join(ROOT, "docs", "benchmarks.json")
TEXT_FILE = os.path.join(ROOT, "docs", "BENCHMARKS.md")
BEGIN, END = "<!-- measured: begin (written by ./dev bench) -->", "<!-- measured: end -->"


def out(text=""):
    print(text, flush=True)


# ---- measuring ----

def measure_outage(o):
    result = {}
    for profile, takeover in COMBINATIONS:
        if o.combination and f"{profile}/{takeover}" not in o.combination:
            continue
        out(f"outage: profile {profile}, takeover {takeover}, {o.runs} runs")
        result[f"{profile}/{takeover}"] = tours(o, profile, takeover)
    return result


def tours(o, profile, takeover):
    runs = {name: [] for name in STEPS[takeover]}
    with Cluster(3, profile=profile, takeover=takeover, build=o.build) as c:
        c.start()
        with Progress("founding"):
            c.prepare()
            c.wait_ready(180)
        load = c.load().start()
        tour = Tour(c, load)
        try:
            for i in range(o.runs):
                for name, title, run in tour.steps():
                    if name not in runs:
                        continue
                    with Progress(f"run {i + 1} of {o.runs}, {name}: {title}"):
                        r = tour.step(name, run)
                    runs[name].append({k: r[k] for k in ("outage_s", "acknowledged", "lost", "overlap_ms", "joined_s")})
                    out(f"  {name:13} {r['outage_s']:6.3f} s  lost {r['lost']}  overlap {r['overlap_ms']:.0f} ms")
        except Failure:
            c.keep()
            out(f"logs: {c.scratch.path}")
            raise
        finally:
            load.stop()
        lost = c.check(load, 120, allow_loss=True)
        out(f"  {load.acknowledged()} acknowledged, {lost} lost in the final comparison")
    return {name: summary(rs) for name, rs in runs.items()}


def summary(runs):
    times = [r["outage_s"] for r in runs]
    return {
        "median_s": round(statistics.median(times), 3), "min_s": min(times), "max_s": max(times), "runs": len(times),
        "joined_median_s": round(statistics.median(r["joined_s"] for r in runs), 2),
        "acknowledged": sum(r["acknowledged"] for r in runs), "lost": sum(r["lost"] for r in runs),
        "overlap_ms": max(r["overlap_ms"] for r in runs),
    }


def measure_single(o):
    runs = []
    with Cluster(1, build=o.build) as c:
        c.start()
        with Progress("single member: founding"):
            c.prepare()
            c.wait_ready(120)
        load = c.load().start()
        tour = Tour(c, load)
        for _ in range(o.runs):
            runs.append(tour.step("crash", tour.crash))
            out(f"  single crash  {runs[-1]['outage_s']:6.3f} s  lost {runs[-1]['lost']}")
        load.stop()
        c.check(load)
    return {"default/single": {"crash": summary(runs)}}


def usage(cluster):
    return {m.name: (procs.cpu_seconds(m.agent.pid), sum(procs.cpu_seconds(p) for p in m.shim_pids())) for m in cluster.members}


def sample(cluster, seconds, label):
    """CPU seconds per minute and RSS at the end, the worst member counts."""
    before, begun, peak = usage(cluster), time.monotonic(), 0
    with Progress(f"{label}: watching for {seconds} s"):
        while time.monotonic() - begun < seconds:
            time.sleep(min(5, seconds))
            peak = max([peak] + [procs.rss_kib(m.agent.pid) for m in cluster.members])
    spent, after = time.monotonic() - begun, usage(cluster)
    return {
        "agent_cpu_s_per_min": round(max(after[n][0] - before[n][0] for n in after) * 60 / spent, 3),
        "shim_cpu_s_per_min": round(max(after[n][1] - before[n][1] for n in after) * 60 / spent, 4),
        "agent_rss_mib": round(peak / 1024, 2),
        "agent_pss_mib": round(max(procs.pss_kib(m.agent.pid) for m in cluster.members) / 1024, 2),
        "shim_rss_mib": round(max(sum(procs.rss_kib(p) for p in m.shim_pids()) for m in cluster.members) / 1024, 3),
        "shim_process_rss_mib": round(max(procs.rss_kib(p) for m in cluster.members for p in m.shim_pids()) / 1024, 3),
        "seconds": round(spent),
    }


def measure_memory(o):
    result = {}
    with Cluster(3, build=o.build) as c:
        c.start()
        with Progress("founding"):
            c.prepare()
            c.wait_ready(180)
        time.sleep(5)
        result["idle"] = sample(c, o.idle, "idle")
        load = c.load(writers=4, pause=0).start()
        stop = threading.Event()

        def scrape():
            while not stop.wait(0.2):
                for m in c.members:
                    m.http("/metrics")
                    m.http("/status")
        scraper = threading.Thread(target=scrape)
        scraper.start()
        result["busy"] = sample(c, min(o.idle, 60), "busy")
        result["busy"]["acknowledged_per_s"] = round(load.rate(5))
        result["lock_writes_per_s"] = lock_rate(c)
        stop.set()
        scraper.join()
        load.stop()
    for name in ("idle", "busy"):
        r = result[name]
        out(f"  {name}: agent {r['agent_rss_mib']} MiB RSS, {r['agent_cpu_s_per_min']} CPU s/min; shim {r['shim_rss_mib']} MiB, "
            f"{r['shim_cpu_s_per_min']} CPU s/min")
    return result


def lock_rate(cluster):
    """Writes of the lock per second (each renewal is one)."""
    path, versions, begun = os.path.join(cluster.lock_dir, "lock.json"), 0, time.monotonic()
    last = None
    while time.monotonic() - begun < 20:
        try:
            st = os.stat(path)
            now = (st.st_ino, st.st_mtime_ns)
        except OSError:
            now = None
        versions += now != last
        last = now
        time.sleep(0.02)
    return round((versions - 1) / (time.monotonic() - begun), 3)


def program(o, name):
    for root, _, files in os.walk(os.path.join(o.build, "bench")):
        if name in files and os.access(os.path.join(root, name), os.X_OK):
            return os.path.join(root, name)
    return None


def measure_fence(o):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fence.json")
        argv = ["/usr/bin/python3", os.path.join(ROOT, "bench", "fence", "fence.py"), os.path.join(o.build, "agent", "shim", "mainstay-shim"),
                "--fences", str(o.fences), "--json", path]
        with Progress(f"fence: {o.fences} fences under write load"):
            r = subprocess.run(argv, capture_output=True, text=True, timeout=3600, check=False)
        if r.returncode:
            out(f"  fence: failed: {r.stderr.strip()[-600:]}")
            return None
        with open(path, encoding="utf-8") as f:
            return json.load(f)


def measure_core(o):
    path = program(o, "core_bench")
    if path is None:
        out("  core: core_bench is not built")
        return None
    r = subprocess.run([path, "--benchmark_format=json", "--benchmark_min_time=2"], capture_output=True, text=True, timeout=600, check=False)
    if r.returncode:
        out(f"  core: failed: {r.stderr.strip()[-400:]}")
        return None
    rates = {b["name"]: b.get("items_per_second") for b in json.loads(r.stdout)["benchmarks"] if b.get("items_per_second")}
    for name, rate in rates.items():
        out(f"  {name}: {rate:,.0f} steps/s")
    return {"steps_per_s": rates}


# ---- judging ----

def judge(data, budgets):
    """[(what, measured, bound, ok)]"""
    rows = []

    def at_most(what, value, bound, unit=""):
        if value is not None and bound is not None:
            rows.append((what, f"{value:g}{unit}", f"<= {bound:g}{unit}", value <= bound))
    outage = {**(data.get("outage") or {}), **(data.get("single") or {})}
    for combination, steps in outage.items():
        for step, s in steps.items():
            at_most(f"outage {combination} {step} (median of {s['runs']})", s["median_s"], budgets["outage_s"].get(combination, {}).get(step), " s")
    if outage:
        every = [s for steps in outage.values() for s in steps.values()]
        at_most("acknowledged writes lost", sum(s["lost"] for s in every), budgets["lost"])
        at_most("two members writable", max(s["overlap_ms"] for s in every), budgets["overlap_ms"], " ms")
    memory = data.get("memory") or {}
    if memory:
        at_most("agent RSS idle", memory["idle"]["agent_rss_mib"], budgets["agent_rss_idle_mib"], " MiB")
        at_most("agent RSS busy", memory["busy"]["agent_rss_mib"], budgets["agent_rss_busy_mib"], " MiB")
        at_most("shim RSS (its one working process)", memory["idle"]["shim_process_rss_mib"], budgets["shim_rss_mib"], " MiB")
        at_most("agent CPU idle", memory["idle"]["agent_cpu_s_per_min"], budgets["idle_cpu_s_per_min"], " s/min")
    core = (data.get("core") or {}).get("steps_per_s") or {}
    if core:
        best = max(core.values())
        rows.append(("core steps per second", f"{best:,.0f}", f">= {budgets['core_steps_per_s']:,}", best >= budgets["core_steps_per_s"]))
    return rows


# ---- telling ----

def tables(data, rows):
    text = [BEGIN, ""]
    m = data["machine"]
    text += [f"Machine: {m['cpus']} cores ({m['cpu']}), {m['memory_gib']} GiB, {m['os']}, kernel {m['kernel']}; {m['postgresql']}; Mainstay {m['mainstay']}.",
             f"Measured {', '.join(f'{part} {when}' for part, when in sorted(data['measured'].items()))}.", ""]
    outage = {**(data.get("outage") or {}), **(data.get("single") or {})}
    if outage:
        text += ["### Write outage", "", "| profile/takeover | step | outage s: median [min..max] n | all joined after s | acknowledged | lost | two primaries ms |",
                 "|---|---|---|---|---|---|---|"]
        for combination, steps in outage.items():
            for step, s in steps.items():
                text.append(f"| {combination} | {step} | {s['median_s']:.2f} [{s['min_s']:.2f}..{s['max_s']:.2f}] {s['runs']} | "
                            f"{s['joined_median_s']:.1f} | {s['acknowledged']} | {s['lost']} | {s['overlap_ms']:.0f} |")
        text.append("")
    if data.get("memory"):
        text += ["### Footprint of one member", "", "| | agent RSS MiB | agent CPU s/min | shim RSS MiB (both processes) | shim CPU s/min |", "|---|---|---|---|---|"]
        for name in ("idle", "busy"):
            r = data["memory"][name]
            text.append(f"| {name} | {r['agent_rss_mib']} (PSS {r['agent_pss_mib']}) | {r['agent_cpu_s_per_min']} | {r['shim_rss_mib']} | {r['shim_cpu_s_per_min']} |")
        text += ["", f"Busy: {data['memory']['busy']['acknowledged_per_s']} acknowledged writes/s of 4 clients, /metrics and /status of each "
                 f"member five times a second. Writes of the lock: {data['memory']['lock_writes_per_s']} per second and cluster.", ""]
    if data.get("fence"):
        text += ["### Fence", "", "```", json.dumps(data["fence"], indent=1), "```", ""]
    if data.get("core"):
        text += ["### Core", "", "| benchmark | steps/s |", "|---|---|"]
        text += [f"| {n} | {r:,.0f} |" for n, r in data["core"]["steps_per_s"].items()] + [""]
    text += ["### Against the budgets", "", "| what | measured | budget | |", "|---|---|---|---|"]
    text += [f"| {w} | {v} | {b} | {'ok' if ok else '**MISSED**'} |" for w, v, b, ok in rows]
    return "\n".join(text + ["", END])


def machine(build):
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        cpu = re.search(r"model name\s*: (.*)", f.read())
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(f.read().split()[1]) / 1024 / 1024
    with open("/etc/os-release", encoding="utf-8") as f:
        system = re.search(r'PRETTY_NAME="(.*)"', f.read())

    def said(*argv):
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    return {"cpus": os.cpu_count(), "cpu": cpu.group(1) if cpu else platform.machine(), "memory_gib": round(memory),
            "os": system.group(1) if system else "?", "kernel": platform.release().split("-")[0],
            "postgresql": said(os.path.join(PG_BIN, "postgres"), "--version"),
            "mainstay": said(os.path.join(build, "agent", "mainstay"), "version").split()[-1]}


def write(data, rows):
    marks.keep(JSON_FILE, data)
    marks.put(TEXT_FILE, BEGIN, END, tables(data, rows))


def parse(argv):
    p = argparse.ArgumentParser(prog="./dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", action="append", choices=PARTS, help="this part; may be repeated")
    p.add_argument("--combination", action="append", metavar="PROFILE/TAKEOVER", help="of outage: only this one; may be repeated")
    p.add_argument("--runs", type=int, default=5, help="of each step (default 5)")
    p.add_argument("--idle", type=int, default=120, metavar="SECONDS", help="how long the idle members are watched (default 120)")
    p.add_argument("--fences", type=int, default=100, help="of the fence part (default 100)")
    p.add_argument("--no-write", action="store_true", help="only print")
    p.add_argument("--build", metavar="DIR", help=argparse.SUPPRESS)
    o = p.parse_args(argv)
    o.build = procs.find_build(o.build)
    return o


def main(argv):
    o = parse(argv)
    procs.unwind_on_signals()
    try:
        with open(JSON_FILE, encoding="utf-8") as f:
            data = json.load(f)
    except OSError:
        data = {}
    data["machine"] = machine(o.build)
    data.setdefault("measured", {})
    run = {"outage": measure_outage, "single": measure_single, "memory": measure_memory, "fence": measure_fence, "core": measure_core}
    for part in o.only or PARTS:
        out(f"== {part} (load average {os.getloadavg()[0]:.1f})")
        result = run[part](o)
        if result is None:
            continue
        if part == "outage":
            result = {**data.get("outage", {}), **result}
        data[part] = result
        data["measured"][part] = datetime.date.today().isoformat()
        rows = judge(data, budgets())
        if not o.no_write:
            write(data, rows)  # after each part, so that an interrupted run is not lost
    rows = judge(data, budgets())
    out()
    for what, value, bound, ok in rows:
        out(f"{'ok    ' if ok else 'MISSED'} {what}: {value} (budget {bound})")
    return 0 if all(ok for *_, ok in rows) else 1


def budgets():
    with open(os.path.join(ROOT, "bench", "budgets.json"), encoding="utf-8") as f:
        return json.load(f)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
