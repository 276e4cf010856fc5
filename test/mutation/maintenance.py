#!/usr/bin/python3
"""Mutation check of RabbitMQ's maintenance: one-line mistakes in its rules, each of which the unit tests or the simulation must notice.

usage: maintenance.py [--only NAME...] [--list]

As mutate.py: copies the tree into a scratch folder and builds there. Exits with 1 when a mutation survives, 2 when an original text is not in its file
exactly once.
"""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mutate import ROOT, copy_tree, run  # noqa: E402

TESTS = ("unit_maintenance", "unit_maintenance_sim")
D = "lib/maintenance/"
# name, file, the exact text, what it becomes, what that breaks
MUTATIONS = [
    ("found-unheard", "plan_found.cc", "  if (!unheard.empty())\n    return Wait(\"found.wait\"", "  if (false)\n    return Wait(\"found.wait\"",
     "nobody founds before all were seen blank"),
    ("found-unseen", "plan_found.cc", "if (m.heard && m.seen_founding == fo.nonce) continue;", "if (m.heard) continue;",
     "everybody must have seen a founding before it is confirmed"),
    ("found-proposed", "member.cc", "m.founding->disk == f.disk && m.founding->confirmed)", "m.founding->disk == f.disk)",
     "a founder starts once it is confirmed"),
    ("join-any-disk", "member.cc", "if (!Mine(o, entry) || entry->state != MemberState::kJoining)", "if (entry == nullptr)",
     "a blank member joins when it is its turn, with that disk"),
    ("start-half-joined", "member.cc", "if (!f.blank && Unconfirmed(o)) {", "if (false) {", "half a schema is wiped, not started"),
    ("wipe-confirmed", "member.cc", "return o.facts.begun == Begun::kJoin && o.facts.marker.empty();", "return o.facts.begun == Begun::kJoin;",
     "confirmed data are never wiped"),
    ("any-wish", "member.cc", "if (t->wish != f.wish && !t->wish.empty()) return std::nullopt;", "", "a token is for one wish"),
    ("any-run", "member.cc", " || t->start != f.start)", ")", "a token is for one run"),
    ("critical-unasked", "member.cc", "if (!danger.empty())", "if (false)",
     "the holder looks again before it goes"),
    ("grant-unwhole", "plan_restart.cc", "const std::string trouble = c.Unwhole(c.Ready(*e) ? \"\" : f.name);", "const std::string trouble;",
     "nobody may go while somebody is down"),
    ("grant-critical", "plan_restart.cc", "if (!f.critical.empty())", "if (false)", "nobody may go whom a queue needs"),
    ("grant-behind", "plan.cc", "if (!q.behind.empty()) return", "if (false) return", "online is not caught up"),
    ("silent-holder", "plan_restart.cc", "if (f == nullptr || !f->heard)\n    return Wait(\"token.silent\"", "if (f == nullptr || !f->heard)\n    return Drop(c, \"token.silent\"",
     "a holder that does not answer keeps the token"),
    ("lost-holder", "plan_restart.cc", "if (e == nullptr || c.Lost(*e) || (f->blank && f->broker == Broker::kStopped))", "if (e == nullptr)",
     "a holder without its disk is repaired"),
    ("two-repairs", "plan_members.cc", "  if (!c.m.repair) {", "  if (true) {", "one repair at a time"),
    ("repair-while-down", "plan_members.cc", "  if (!others.empty())", "  if (false)", "no repair while another is merely down"),
    ("joining-orphan", "plan_members.cc", "(repairing || known->disk != f.disk))\n      continue;", "true)\n      continue;",
     "a joining whose repair was left is learned"),
    ("throttle", "plan_members.cc", "if (!missing || c.Syncing() >= c.s.syncing) return std::nullopt;", "if (!missing) return std::nullopt;",
     "a few queues at a time"),
    ("no-claim", "plan.cc", "if (memory->epoch < view.epoch) {", "if (false) {", "a former leader's writes are refused"),
    ("adopt-minority", "plan_found.cc", "if (!unheard.empty() && best->second.ready * 2 <= view.members.size())", "if (false)",
     "a minority is not put on record as the cluster"),
    ("remove-critical", "plan_admin.cc", "if (q.leader.empty() || !KeepsQuorum(q, e.node))", "if (false)", "a removal that breaks a quorum is refused"),
    ("reinit-unconfirmed", "plan_admin.cc", "if (r.confirm != c.m.cluster_id) return Refuse(\"beginning", "if (false) return Refuse(\"beginning",
     "beginning anew needs the id"),
]


def check_texts():
    bad = 0
    for name, file, old, _, _ in MUTATIONS:
        count = (ROOT / D / file).read_text().count(old)
        if count != 1:
            print(f"{name}: its original text is {count} times in {file}: {old!r}")
            bad += 1
    return bad


def build(tree):
    return run(["ninja", "-C", str(tree / "build"), *TESTS], tree, 900)


def caught(tree):
    for test in TESTS:
        status, output, spent = run([str(tree / "build/test/unit/maintenance" / test)], tree, 120)
        if status != 0:
            failed = [line for line in output.splitlines() if line.startswith("[  FAILED  ]") or "seed " in line]
            return f"{test} after {spent:.1f} s: {failed[0][:110] if failed else output[-110:]}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--list", action="store_true")
    o = parser.parse_args()
    if check_texts():
        return 2
    chosen = [m for m in MUTATIONS if not o.only or m[0] in o.only]
    if o.list:
        for name, file, _, _, breaks in chosen:
            print(f"{name:<20} {file:<18} {breaks}")
        return 0
    tree = pathlib.Path(tempfile.mkdtemp(prefix="mainstay-mutate-"))
    try:
        copy_tree(tree)
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        status, output, _ = run(["cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
                                 "-DMAINSTAY_RPC=OFF", "-DMAINSTAY_WERROR=OFF"] + launcher, tree, 300)
        if status == 0:
            status, output, _ = build(tree)
        if status != 0 or caught(tree):
            print(output[-3000:] if status else caught(tree))
            print("the tree as it is does not build or fails")
            return 2
        survived = 0
        for name, file, old, new, breaks in chosen:
            path = tree / D / file
            original = path.read_text()
            path.write_text(original.replace(old, new))
            status, output, _ = build(tree)
            found = "does not build: " + output[-300:] if status else caught(tree)
            if status or not found:
                survived += 1
            print(f"{name:<20} {found or 'SURVIVED: ' + breaks}", flush=True)
            path.write_text(original)
        print(f"{len(chosen) - survived} of {len(chosen)} caught")
        return 1 if survived else 0
    finally:
        shutil.rmtree(tree, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
