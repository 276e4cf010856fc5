#!/usr/bin/python3
"""Mutation check of the core: one-line mistakes in the table and the timing rules, each of which the scenarios or the
simulation must notice.

usage: mutate.py [--only NAME...] [--seconds N] [--keep] [--list]

Copies the tree into a scratch folder, builds lib/base, lib/election, the scenarios and the simulation there once, and then,
for each mutation: changes the text, builds, runs the scenarios (any other trace than the one written down catches it), then
the simulation with the profiles named for it, until something is found or --seconds (60) are over. Prints a table; exits with
1 when a mutation survives, 2 when its original text is not in its file exactly once (then the list here is out of date).
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mutations import MUTATIONS  # noqa: E402


def copy_tree(to):
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                           stdout=subprocess.PIPE).stdout.decode().split("\0")
    for name in names:
        source = ROOT / name
        if name and source.is_file():
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def run(command, cwd, seconds):
    """(status, output, seconds); a status of None is a time-out."""
    begun = time.monotonic()
    try:
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return done.returncode, done.stdout.decode(errors="replace"), time.monotonic() - begun
    except subprocess.TimeoutExpired as e:
        return None, (e.stdout or b"").decode(errors="replace"), time.monotonic() - begun


def build(tree, seconds=900):
    return run(["ninja", "-C", str(tree / "build"), "scenarios", "mainstay-sim"], tree, seconds)


def first(output, *marks):
    for line in output.splitlines():
        if any(line.startswith(m) for m in marks):
            return line[:150]
    return output.strip().splitlines()[-1][:150] if output.strip() else "?"


def caught(tree, mutation, seconds):
    """(by, seconds, what), or None when it survives."""
    cases = sorted(str(p) for p in (tree / "test/scenario/cases").glob("*.txt"))
    status, output, spent = run([str(tree / "build/test/scenario/scenarios"), "--quiet"] + cases, tree, 120)
    if status != 0:
        failed = [os.path.basename(line.split(":")[0].split()[-1]) for line in output.splitlines() if line.startswith("FAIL")]
        return "scenarios", spent, ("%d: " % len(failed) + " ".join(failed))[:110] if failed else first(output)
    begun = time.monotonic()
    for profile in mutation["profiles"]:
        left = seconds - (time.monotonic() - begun)
        if left < 1:
            break
        end = time.monotonic() + (left if profile == mutation["profiles"][-1] else seconds / len(mutation["profiles"]))
        seed = 1
        while time.monotonic() < end:
            status, output, _ = run([str(tree / "build/test/sim/mainstay-sim"), "--profile", profile, "--seed", str(seed), "--hours",
                                     str((end - time.monotonic()) / 3600), "--shrink", "0"], tree, left + 30)
            if status == 0:
                break
            what = first(output, "VIOLATION")
            at = re.search(r"seed (\d+)", what)
            if status is None or at is None:
                return "sim " + profile, time.monotonic() - begun, what
            seed = int(at.group(1))
            # The mutation must be to blame: the core as it is passes this seed.
            if run([str(tree / "sim.clean"), "--profile", profile, "--seed", str(seed), "--runs", "1", "--shrink", "0"], tree, 60)[0] == 0:
                return "sim " + profile, time.monotonic() - begun, what[10:]
            seed += 1
    return None


def check_texts():
    bad = 0
    for m in MUTATIONS:
        count = (ROOT / m["file"]).read_text().count(m["old"])
        if count != 1:
            print("%s: its original text is %d times in %s: %r" % (m["name"], count, m["file"], m["old"]))
            bad += 1
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", action="store_true", help="leave the scratch folder")
    parser.add_argument("--list", action="store_true")
    o = parser.parse_args()
    if check_texts():
        return 2
    chosen = [m for m in MUTATIONS if not o.only or m["name"] in o.only]
    if o.list:
        for m in chosen:
            print("%-24s %-22s %s" % (m["name"], os.path.basename(m["file"]), m["breaks"]))
        return 0
    tree = pathlib.Path(tempfile.mkdtemp(prefix="mainstay-mutate-"))
    try:
        copy_tree(tree)
        status, output, _ = run(["cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                                 "-DCMAKE_CXX_FLAGS_RELEASE=-O1", "-DMAINSTAY_AGENT=OFF", "-DMAINSTAY_WERROR=OFF"]
                                + (["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []), tree, 300)
        if status == 0:
            status, output, _ = build(tree)
        if status != 0:
            print(output[-3000:])
            print("the tree as it is does not build")
            return 2
        found = caught(tree, {"profiles": []}, 0)
        if found:
            print("the tree as it is fails: %s: %s" % (found[0], found[2]))
            return 2
        shutil.copy2(tree / "build/test/sim/mainstay-sim", tree / "sim.clean")
        print("%-24s %-18s %6s  %s" % ("mutation", "caught by", "s", "what"), flush=True)
        survived = []
        for m in chosen:
            path = tree / m["file"]
            original = path.read_text()
            path.write_text(original.replace(m["old"], m["new"]))
            status, output, _ = build(tree)
            if status != 0:
                print("%-24s does not build: %s" % (m["name"], output[-600:]))
                survived.append(m["name"])
            else:
                found = caught(tree, m, o.seconds)
                if found:
                    print("%-24s %-18s %6.1f  %s" % (m["name"], found[0], found[1], found[2]), flush=True)
                else:
                    print("%-24s %-18s %6s  %s" % (m["name"], "SURVIVED", "-", m["breaks"]), flush=True)
                    survived.append(m["name"])
            path.write_text(original)
        print("%d of %d caught" % (len(chosen) - len(survived), len(chosen)))
        return 1 if survived else 0
    finally:
        if o.keep:
            print("kept: " + str(tree))
        else:
            shutil.rmtree(tree, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
