"""One cgroup per node, in every hierarchy: the kubelet puts its pods below it, and killing a node is killing what is in it.

Both layouts: cgroup v1 (a folder per controller) and v2 (one tree, in which the kubelet switches the controllers on itself).
"""
import os
import signal
import time

import layout  # noqa: F401  (puts procs.py on the path)
import procs
import shell

CPUSET = ("cpuset.cpus", "cpuset.mems")  # empty in a new v1 cpuset: nothing could run in it


def hierarchies():
    """Folders in which a node needs its own (v1: one per controller, and the unified one beside them); empty: none is writable."""
    out = []
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, where, kind, options = line.split()[:4]
            if kind in ("cgroup", "cgroup2") and "rw" in options.split(","):
                out.append(where)
    return out


def writable():
    found = hierarchies()
    return bool(found) and all(os.access(h, os.W_OK) for h in found)


def make(name):
    for base in hierarchies():
        folder = os.path.join(base, name)
        os.makedirs(folder, exist_ok=True)
        if os.path.exists(os.path.join(base, CPUSET[0])):  # v1; the root of v2 has no such file
            for setting in CPUSET:
                with open(os.path.join(base, setting), encoding="ascii") as f:
                    value = f.read()
                with open(os.path.join(folder, setting), "w", encoding="ascii") as f:
                    f.write(value)


def folders(name):
    """The node's folder and all below, deepest first, in every hierarchy."""
    out = []
    for base in hierarchies():
        for where, _, _ in os.walk(os.path.join(base, name), topdown=False):
            out.append(where)
    return out


def pids(name, inside=""):
    """Processes of a node; INSIDE: only those in a cgroup whose path has this in it (a container's id)."""
    out = set()
    for folder in folders(name):
        if inside in folder:
            try:
                with open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as f:
                    out.update(int(p) for p in f.read().split())
            except OSError:  # went meanwhile
                pass
    return sorted(out)


def kill(name, timeout=10):
    """SIGKILL for all of a node's processes, until there is none."""
    end = procs.now() + timeout
    while left := [p for p in pids(name) if procs.alive(p)]:
        if procs.now() > end:
            raise shell.Failed(f"cgroup {name}: processes {left} do not end")
        procs.send(left, signal.SIGKILL)
        time.sleep(0.02)


def remove(name, timeout=5):
    """The folders; a process that was just killed holds its folder for a moment."""
    end = procs.now() + timeout
    while left := folders(name):
        for folder in left:
            try:
                os.rmdir(folder)
            except OSError:
                pass
        if procs.now() > end:
            raise shell.Failed(f"cgroups of {name} stay: {left[:3]}")
        time.sleep(0.01)
