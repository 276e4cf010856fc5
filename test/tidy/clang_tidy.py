#!/usr/bin/python3
"""clang-tidy over the files of a build, in parallel, remembering what was clean.

A file is skipped when nothing that its verdict depends on has changed: the text of the file and of all headers of ours that it
includes, its compile command, .clang-tidy. With --budget, no file is started after that many seconds; what was left out is said.

usage: clang_tidy.py --build DIR [--jobs N] [--budget SECONDS] [--all] [path...]
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = "clang-tidy-14"
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.M)
PER_FILE = 300  # seconds


def our_text(path, build, seen):
    """The texts of a file and of our headers below it (system headers change with their packages, rarely)."""
    if path in seen:
        return
    try:
        with open(path, "rb") as file:
            seen[path] = file.read()
    except OSError:
        return
    for name in INCLUDE.findall(seen[path]):
        name = name.decode(errors="replace")
        for base in (ROOT, os.path.join(build, "proto"), os.path.dirname(path)):
            if os.path.exists(os.path.join(base, name)):
                our_text(os.path.join(base, name), build, seen)
                break


def key(entry, build, config):
    seen = {}
    our_text(entry["file"], build, seen)
    digest = hashlib.sha256(config + entry["command"].encode())
    for path in sorted(seen):
        digest.update(path.encode() + b"\0" + seen[path] + b"\0")
    return digest.hexdigest()


def arguments(entry):
    """The compile command for clang: without the cache, the output and what only g++ knows."""
    words = shlex.split(entry["command"])
    while words and not os.path.basename(words[0]).startswith(("c++", "g++", "gcc", "cc", "clang")):
        words = words[1:]
    out, words = [], iter(words[1:])
    for word in words:
        if word in ("-o", "-include"):  # -include: g++'s precompiled header; clang shall see what a file forgets to include
            next(words, None)
        elif word not in ("-c", entry["file"]) and not word.startswith(("-Wno-restrict", "-Wno-maybe-uninitialized", "-Werror", "-Winvalid-pch", "-fsanitize")):
            out.append(word)
    return out + ["-Wno-unknown-warning-option", "-Wno-everything"]


def check(entry):
    start = time.monotonic()
    try:
        done = subprocess.run([TOOL, "--quiet", entry["file"], "--", *arguments(entry)], cwd=ROOT, capture_output=True, text=True,
                              timeout=PER_FILE, check=False)
        return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr, time.monotonic() - start
    except subprocess.TimeoutExpired:
        return 1, f"{entry['file']}: clang-tidy took more than {PER_FILE} s\n", PER_FILE


def single_files(entries):
    """CMake compiles some rooms several files at a time (UNITY in MainstayRooms.cmake): each of them by itself, with the same command."""
    for entry in entries:
        if "/Unity/unity_" not in entry["file"]:
            yield entry
            continue
        with open(entry["file"], encoding="utf-8") as file:
            for name in re.findall(r'^#include "([^"]+)"', file.read(), re.M):
                yield {**entry, "file": name, "command": entry["command"].replace(entry["file"], name)}


def changed_first(entries):
    """Files that differ from the last commit's, or are of it, come first: a budget must reach them."""
    out = subprocess.run("git diff --name-only HEAD~1 2>/dev/null; git ls-files --others --exclude-standard", cwd=ROOT, shell=True,
                         capture_output=True, text=True, check=False).stdout.split()
    fresh = {os.path.join(ROOT, name) for name in out}
    return sorted(entries, key=lambda e: (e["file"] not in fresh, "/test/" in e["file"], e["file"]))


def main():
    parser = argparse.ArgumentParser(description="clang-tidy over the files of a build, remembering what was clean.")
    parser.add_argument("--build", required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--budget", type=int, default=0, help="start no file after so many seconds (0: all files)")
    parser.add_argument("--all", action="store_true", help="forget what was clean")
    parser.add_argument("paths", nargs="*", help="only files below these")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    cache = os.path.join(build, "clang-tidy")
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(ROOT, ".clang-tidy"), "rb") as file:
        config = file.read()
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = {e["file"]: e for e in single_files(json.load(file))}.values()
    wanted = [os.path.abspath(p) for p in options.paths] or [ROOT]
    entries = [e for e in entries if e["file"].startswith(ROOT + "/") and not e["file"].startswith(build + "/")
               and e["file"].endswith(".cc") and "/cmake/" not in e["file"] and any((e["file"] + "/").startswith(w + "/") for w in wanted)]
    todo = []
    for entry in changed_first(entries):
        entry["key"] = os.path.join(cache, key(entry, build, config))
        if options.all or not os.path.exists(entry["key"]):
            todo.append(entry)
    print(f"clang-tidy: {len(entries)} files, {len(entries) - len(todo)} clean since before", flush=True)
    start, failed, left, done = time.monotonic(), 0, 0, 0

    def run(entry):
        if options.budget and time.monotonic() - start > options.budget:
            return entry, None
        return entry, check(entry)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for entry, verdict in pool.map(run, todo):
            name = os.path.relpath(entry["file"], ROOT)
            if verdict is None:
                left += 1
                continue
            done += 1
            status, text, seconds = verdict
            print(f"[{done}/{len(todo)}] {name} {seconds:.1f} s {'ok' if status == 0 else 'FAILED'}", flush=True)
            if status:
                failed += 1
                print(text, flush=True)
            else:
                open(entry["key"], "w", encoding="utf-8").close()
    print(f"clang-tidy: {done} checked in {time.monotonic() - start:.0f} s, {failed} with findings, {left} not reached within the budget")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
