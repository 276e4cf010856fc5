"""What the suite found, for people: a line for each case, a table, a section of docs/RELIABILITY.md."""
import os
import re
import time

import layout
from engines import ENGINES

DOCS = os.path.join(layout.ROOT, "docs", "RELIABILITY.md")
HEADINGS = {"postgresql": "## Pods on a real Kubernetes: `./dev test --cluster`",
            "redis": "## Redis in pods: `./dev test --cluster --engine redis`"}


def seconds(value):
    return "" if value is None else f"{value:.2f}"


def verdict(r):
    if not r["ok"]:
        return "FAILED"
    worst = max(r.get("kept_s") or 0, r.get("fresh_s") or 0)
    return "over goal" if r.get("goal_s") and worst > r["goal_s"] else "ok"


def lost_of(r):
    """What was promised and is not there; and, where an engine does not promise everything, the others."""
    return f"{r['lost']} + {r['unconfirmed']} unconfirmed" if r.get("unconfirmed") else str(r.get("lost", ""))


def print_row(r):
    parts = [f"{verdict(r):9} {r['case']:16}"]
    if "kept_s" in r:
        parts.append(f"outage kept {r['kept_s']:.2f} s (until {r['kept_until_s']:.2f}), fresh {r['fresh_s']:.2f} s (until {r['fresh_until_s']:.2f})" + (f" (goal {r['goal_s']:g})" if r["goal_s"] else ""))
    if "closed_s" in r:
        parts.append(f"closed to all {r['closed_s']:.2f} s")
    if "acknowledged" in r:
        parts.append(f"{r['acknowledged']} acknowledged, {lost_of(r)} lost, overlap {r['overlap_ms']:g} ms")
    if "well_s" in r:
        parts.append(f"well after {r['well_s']:.1f} s")
    print("  ".join(parts), flush=True)
    for problem in r["problems"]:
        print("          " + problem.replace("\n", "\n          ")[:1500])
    if r.get("evidence"):
        print(f"          evidence: {os.path.relpath(r['evidence'], layout.ROOT)}")


def print_table(results, peer):
    print(f"\n{'case':16} {'kept s':>7} {'fresh s':>7} {'closed':>6} {'goal s':>6} {'peer s':>10} {'acked':>7} {'lost':>4} {'overlap':>7} {'well s':>6}  result")
    for r in results:
        peer = (r.get("peer") or "").split(";")[0]
        print(f"{r['case']:16} {seconds(r.get('kept_s')):>7} {seconds(r.get('fresh_s')):>7} {seconds(r.get('closed_s')):>6} {r.get('goal_s') or '':>6} {peer:>10} "
              f"{r.get('acknowledged', ''):>7} {lost_of(r):>4} {r.get('overlap_ms', ''):>7} {r.get('well_s', ''):>6}  {verdict(r)}")
    print((f"peer: {peer}. " if peer else "") + "kept/fresh: longest time without an acknowledged write of sessions that stay open / of a new session for each write.\n"
          "closed: longest time without one of any client, those beside the members included: the outage without the Service's part.")


def section(results, o):
    """The section of the documentation. A figure stands there because it was measured by this run."""
    load = os.getloadavg()
    engine = ENGINES[o.engine]
    peers = bool(engine.peer)
    lines = [HEADINGS[engine.name], f"""`helm install` on the test bed (docs/TESTBED.md: three nodes, Kubernetes {layout.KUBERNETES}), then case after case at the primary while clients
write through its Service from another node: {engine.clients}, and beside each member, on its own node, one that tries to write to it whatever it is. After each case every acknowledged write is
compared on every member. Outage: the longest time that any of these clients of the Service had no acknowledgement; closed: that nobody had one,
beside the members neither (the rest is the way of a label to the nodes: endpoints, and kube-proxy, which changes its rules at most once a second). Well: until every member is
Ready, streams and acknowledges again, from the end of the fault. Clients have 1 s for a connection, `tcp_user_timeout` 2 s and wait 3 s for an answer.
{engine.remarks.strip()}

{time.strftime('%F')}, {engine.title}, lock {o.lock}, profile {o.profile}, 2 cores, load average {load[0]:.0f} to {max(load):.0f} from other work.
{f"The last column: {engine.peer}, where there is a figure." if peers else ""}
""", "| case | outage kept / fresh, s | closed, s | goal | acknowledged | lost | two primaries | well, s |" + " CloudNativePG, s |" * peers, "|---" * (8 + peers) + "|"]
    for r in results:
        outage = f"{r['kept_s']:.2f} / {r['fresh_s']:.2f}" if "kept_s" in r else ""
        lost = f"{r['acknowledged']:,} | {lost_of(r)} | {r['overlap_ms']:g} ms" if "acknowledged" in r else " | | "
        state = "" if r["ok"] else " (**failed**)"
        lines.append(f"| {r['what']}{state} | {outage} | {seconds(r.get('closed_s'))} | {r.get('goal_s') or ''} | {lost} | {r.get('well_s', '')} |" + f" {r.get('peer') or ''} |" * peers)
    notes = [f"- {r['case']}: {'; '.join(r['notes'])}." for r in results if r.get("notes")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines + ["", *notes, ""]))


def write_docs(results, o):
    """Replaces the section, or puts it before the first one about known limits; the rest of the page stays."""
    with open(DOCS, encoding="utf-8") as f:
        text = f.read()
    heading = HEADINGS[o.engine]
    head, found, rest = text.partition(heading)
    if found:
        cut = rest.find("\n## ")
        rest = rest[cut + 1:] if cut >= 0 else ""
    else:
        at = text.find("## Found and mended on the way")
        head, rest = (text[:at], text[at:]) if at >= 0 else (text.rstrip() + "\n\n", "")
    with open(DOCS, "w", encoding="utf-8") as f:
        f.write(head + section(results, o) + ("\n" + rest if rest else ""))

