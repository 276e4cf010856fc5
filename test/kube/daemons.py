"""The long-running programs of a bed: started once, found again by any later command, stopped by PID.

A record FOLDER/NAME.json holds PID, start time and argv. The start time tells a program from a later one with the same PID, so
nothing that we did not start is ever signalled. Programs outlive the command that started them (`./dev kube up` ends, the bed
stays); apiserver.py, whose programs must not outlive a test, hands their PIDs to a janitor (procs.Scratch) as well.
"""
import json
import os
import signal
import subprocess
import time

import layout  # noqa: F401  (puts procs.py on the path)
import procs
import shell


def _started(pid):
    """procs.start_time, but a program is there until its last thread is: a first thread that is a zombie already leaves the others
    holding their sockets for a moment."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
        return None if fields[0] == b"Z" and len(os.listdir(f"/proc/{pid}/task")) < 2 else int(fields[19])
    except OSError:
        return None


class Outliving(subprocess.Popen):
    """A program that may outlive us: no warning when we forget it."""

    def __del__(self, *_, **__):
        pass


class Daemons:
    """The programs whose records stand in one folder."""

    def __init__(self, folder, logs):
        self.folder, self.logs = folder, logs
        self.children = []  # those that we started ourselves: to be reaped

    def _file(self, name):
        return os.path.join(self.folder, name + ".json")

    def names(self):
        try:
            return sorted(f[:-5] for f in os.listdir(self.folder) if f.endswith(".json"))
        except FileNotFoundError:
            return []

    def record(self, name):
        try:
            with open(self._file(name), encoding="utf-8") as f:
                return json.load(f)
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def pid(self, name):
        """PID of the program while it runs, else None."""
        self.children = [c for c in self.children if c.poll() is None]
        record = self.record(name)
        return record["pid"] if record and _started(record["pid"]) == record["start"] else None

    def start(self, name, argv, netns=None, env=None):
        """Starts it in a session of its own; its output is appended to LOGS/NAME.log."""
        os.makedirs(self.folder, exist_ok=True)
        os.makedirs(self.logs, exist_ok=True)
        with open(os.path.join(self.logs, name + ".log"), "ab") as log:
            # nsenter becomes the program: the PID is the program's own.
            started = Outliving(shell.nsenter(netns, argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                start_new_session=True, env={**os.environ, **(env or {})})
        self.children.append(started)
        record = {"pid": started.pid, "start": procs.start_time(started.pid), "argv": argv, "netns": netns, "env": env or {}}
        with open(self._file(name), "w", encoding="utf-8") as f:
            json.dump(record, f)
        return started.pid

    def start_again(self, name):
        """The same program with the same arguments, when it does not run."""
        record = self.record(name)
        if record is None:
            raise KeyError(f"{name} was never started")
        if self.pid(name):
            return self.pid(name)
        return self.start(name, record["argv"], record["netns"], record["env"])

    def signal(self, name, number):
        pid = self.pid(name)
        if pid:
            procs.send([pid], number)
        return pid

    def kill(self, name):
        return self.stop(name, timeout=0)

    def stop(self, name, timeout=5):
        """SIGTERM, after TIMEOUT seconds SIGKILL; returns when it is gone. The record stays, for start_again()."""
        self.stop_all([name], timeout)

    def stop_all(self, names, timeout=5):
        """Several at the same time."""
        end = procs.now() + timeout
        for name in names:
            self.signal(name, signal.SIGCONT)
            self.signal(name, signal.SIGTERM if timeout else signal.SIGKILL)
        while any(self.pid(n) for n in names) and procs.now() < end:
            time.sleep(0.02)
        for name in names:
            self.signal(name, signal.SIGKILL)
        end = procs.now() + 10
        while any(self.pid(n) for n in names):
            if procs.now() > end:
                raise shell.Failed(f"of {', '.join(names)} one does not end 10 s after SIGKILL (stuck in the kernel?)")
            time.sleep(0.02)

    def tail(self, name, lines=15):
        """The last lines of its log, for an error's text."""
        try:
            with open(os.path.join(self.logs, name + ".log"), encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except FileNotFoundError:
            return ""
