"""Writes what bench/peers_redis.py measured: docs/peers_redis.json, and the table between the marks in docs/BENCHMARKS.md."""
import json
import os

import marks

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEXT_FILE = os.path.join(ROOT, "docs", "BENCHMARKS.md")
JSON_FILE = os.path.join(ROOT, "docs", "peers_redis.json")
BEGIN, END = "<!-- redis peers: begin (written by ./dev bench --peers redis) -->", "<!-- redis peers: end -->"
TITLE = "## Redis beside Debian's Sentinel"
TITLES = {"kill": "kill -9 of the primary's server", "node_death": "node death", "isolation": "primary cut off, clients at its side",
          "switchover": "planned switchover", "restart": "primary without persistence restarts at once"}
# Which of theirs stands beside which of ours.
PAIRS = (("mainstay default", "sentinel 30000"), ("mainstay fast", "sentinel 1000"))


def seconds(v):
    return f"{v['median']:.2f} [{v['min']:.2f}..{v['max']:.2f}]"


def ratio(ours, theirs):
    return f"1/{theirs / ours:.1f}" if ours > 0 else "-"


def faults(result):
    text = ["| fault | who | outage s: median [min..max] n | acknowledged | lost | two primaries s | old primary went on s |", "|---|---|---|---|---|---|---|"]
    for part in ("kill", "node_death", "isolation", "switchover"):
        for pair in PAIRS:
            rows = [(who, result[part][who]) for who in pair if who in result.get(part, {})]
            for who, r in rows:
                text.append(f"| {TITLES[part]} | {who} | {seconds(r['outage_s'])} {r['runs']} | {r['acknowledged']} | {r['lost']} | "
                            f"{r['two_primaries_ms']['max'] / 1e3:.1f} | {seconds(r['went_on_s']) if 'went_on_s' in r else ''} |")
            if len(rows) == 2:
                text.append(f"| | **ratio of outages** | **{ratio(*(r['outage_s']['median'] for _, r in rows))}** | | | | |")
    return text + [""] if len(text) > 2 else []


def restarts(result):
    if "restart" not in result:
        return []
    said = [f"{who}: {r['keys']['min']:.0f} (worst of {r['runs']})" for who, r in result["restart"].items()]
    return [f"The primary's process is killed and is back at once, nobody keeps files; keys left on the member that has least, of 5000: {'; '.join(said)}.", ""]


def footprint(result, facts):
    text = []
    if "beside" in result:
        text += [f"What runs beside one server when nothing happens ({facts['idle']:.0f} s, the worst member):", "",
                 "| | RSS MiB | PSS MiB | CPU s/min |", "|---|---|---|---|"]
        for who, parts in result["beside"].items():
            text += [f"| {who}: {what} | {r['rss_mib']} | {r['pss_mib']} | {r['cpu_s_per_min']} |" for what, r in parts.items()]
        text.append("")
    if "scrape" in result:
        ours, theirs = result["scrape"]["mainstay"], result["scrape"]["redis_exporter"]
        text += ["| a scrape | own CPU ms | server CPU ms | bytes | RSS MiB |", "|---|---|---|---|---|"]
        text += [f"| {who} | {r['own_ms']:.2f} | {r['server_ms']:.2f} | {r['bytes']:,.0f} | {r['rss_mib']:.1f} |" for who, r in result["scrape"].items()]
        text += [f"| **ratio** | **{ratio(ours['own_ms'], theirs['own_ms'])}** | **{ratio(ours['server_ms'], theirs['server_ms'])}** | | |", "",
                 "Sentinel exports nothing: who watches it runs redis_exporter as well, whose memory comes on top of the sentinel's; Mainstay's agent is both.", ""]
    return text


def table(data):
    f = data["facts"]
    busy = " when it began (other work ran beside it: what is set by a time-out holds, what is made of work is an upper bound)" if f["load"] > 3 else ""
    text = [BEGIN, "", f"Measured {f['measured']}, load average {f['load']}{busy}, Redis {f['redis']} of Debian 12. Three writers, "
            f"{f['pause'] * 1e3:.0f} ms between an answer and the next write; isolation lasts {f['cut']:.0f} s.", ""]
    return "\n".join(text + faults(data["result"]) + restarts(data["result"]) + footprint(data["result"], f) + [END])


def write(result, facts):
    try:
        with open(JSON_FILE, encoding="utf-8") as f:
            data = json.load(f)
    except OSError:
        data = {"result": {}}
    for part, by in result.items():
        data["result"][part] = {**data["result"].get(part, {}), **by}
    data["facts"] = facts
    marks.keep(JSON_FILE, data)
    marks.put(TEXT_FILE, BEGIN, END, table(data), f"{TITLE}\n\n`./dev bench --peers redis`; bench/peers_redis.py says what is measured and how.")
