"""What a container runtime and a log collector do with a program's output, for tests.

Output      the read end of a program's standard output: read by a thread, whole lines kept; pause() stops reading, as a stuck
            runtime does.
cri_split   containerd: lines of at most 16 KiB as "TIME STREAM P|F TEXT"; cri_join: Fluent Bit's parser `cri` and Fluentd's
            filter concat, which put them together again. The expressions are those of their configurations in docs/AUDIT.md.
check       lines of an agent against their schemas (docs/schema), in order, without gaps, pairs complete.
"""
import fcntl
import json
import os
import re
import select
import threading
import time

import jsonschema

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CRI = re.compile(rb"^(?P<time>.+?) (?P<stream>stdout|stderr) (?P<logtag>F|P) (?P<message>.*)$", re.S)
LIMIT = 16384  # containerd's max_container_log_line_size
F_SETPIPE_SZ = 1031


class Output:
    def __init__(self, size=None):
        self.read_end, self.write_end = os.pipe()
        if size:
            fcntl.fcntl(self.write_end, F_SETPIPE_SZ, size)
        self.lines, self.rest, self.raw_writes = [], b"", 0
        self.reading, self.closed = threading.Event(), False
        self.reading.set()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.closed:
            self.reading.wait()
            if not select.select([self.read_end], [], [], 0.1)[0] or not self.reading.is_set():
                continue
            data = os.read(self.read_end, 1 << 16)
            if not data:
                return
            with self.lock:
                *whole, self.rest = (self.rest + data).split(b"\n")
                self.lines += whole

    def pause(self):
        self.reading.clear()
        time.sleep(0.15)

    def resume(self):
        self.reading.set()

    def taken(self):
        with self.lock:
            return list(self.lines)

    def text(self):
        with self.lock:
            return b"\n".join(self.lines) + self.rest

    def close(self):
        self.closed = True
        self.reading.set()
        self.thread.join(5)
        os.close(self.read_end)


def cri_split(data, stream=b"stdout"):
    """As containerd writes a container's log file."""
    out = []
    for line in data.split(b"\n")[:-1]:
        while True:
            piece, line = line[:LIMIT], line[LIMIT:]
            out.append(b"2026-11-24T17:00:00.000000000Z " + stream + (b" P " if line else b" F ") + piece + b"\n")
            if not line:
                break
    return b"".join(out)


def cri_join(data):
    """As the collectors read it: the texts of whole lines."""
    out, parts = [], []
    for line in data.split(b"\n")[:-1]:
        m = CRI.match(line)
        assert m, line[:200]
        parts.append(m["message"])
        if m["logtag"] == b"F":
            out.append(b"".join(parts))
            parts = []
    assert not parts
    return out


def schema(name):
    with open(os.path.join(ROOT, "docs", "schema", name + ".json")) as f:
        s = json.load(f)
    jsonschema.Draft202012Validator.check_schema(s)
    return jsonschema.Draft202012Validator(s)


def strict(pairs):
    keys = [k for k, _ in pairs]
    assert len(keys) == len(set(keys)), f"a key twice: {keys}"
    return dict(pairs)


VALIDATORS = {"mainstay.audit/v1": schema("mainstay.audit.v1"), "mainstay.log/v1": schema("mainstay.log.v1")}
TAKEN = {"log", "stream", "time", "logtag", "_p", "kubernetes"}  # keys of the collectors


def parse(line):
    """One line, checked against its schema."""
    assert len(line) < 8192, f"{len(line)} bytes: {line[:200]}"
    entry = json.loads(line.decode("utf-8"), object_pairs_hook=strict)
    assert not TAKEN & set(entry), entry
    errors = [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in VALIDATORS[entry["schema"]].iter_errors(entry)]
    assert not errors, f"{errors}\n{line[:2000]}"
    return entry


def check(lines, whole=True):
    """Entries of one agent's output. `whole`: nothing was dropped, and every run but a killed one has ended its pairs."""
    entries = [parse(line) for line in lines]
    for boot in dict.fromkeys(e["boot"] for e in entries):
        for name in VALIDATORS:
            mine = [e for e in entries if e["boot"] == boot and e["schema"] == name]
            numbers = [e["seq"] for e in mine]
            assert numbers == sorted(set(numbers)), f"{name} of {boot}: not in order"
            if name == "mainstay.audit/v1":
                missing = (numbers[-1] if numbers else 0) - len(numbers)
                told = sum(e["dropped"]["lines"] for e in mine if e["action"] == "audit.dropped")
                assert missing == told, f"{missing} lines are missing, {told} are told of"
                assert not whole or missing == 0
                check_pairs(mine, whole)
            elif whole:
                assert numbers == list(range(1, len(numbers) + 1)), f"{name} of {boot}: gaps in {numbers[:50]}"
    return entries


def check_pairs(entries, whole):
    """Each started line has one end with its id and action; other ids stand once."""
    open_, used = {}, set()
    for e in entries:
        if e["stage"] == "started":
            assert e["id"] not in used, e
            open_[e["id"]] = e
        elif e["id"] in open_:
            began = open_.pop(e["id"])
            assert began["action"] == e["action"] and "duration_ms" in e, (began, e)
        elif whole:
            assert e["id"] not in used, e
        used.add(e["id"])
    return open_


class Piped:
    """Of a member: its programs' outputs are pipes that we read, as a container's are."""
    def __init__(self, *args):
        super().__init__(*args)
        self.out, self.err, self.shim_err = Output(), Output(), Output()

    def outputs(self, program):
        if program == "shim":
            return {"stdout": self.shim_err.write_end, "stderr": self.shim_err.write_end}
        return {"stdout": self.out.write_end, "stderr": self.err.write_end}

    def tails(self, count):
        for title, output in (("stdout", self.out), ("stderr", self.err), ("shim", self.shim_err)):
            yield f"{self.name}: {title}", output.text().decode(errors="replace").splitlines()[-count:]

    def close_outputs(self):
        for o in (self.out, self.err, self.shim_err):
            o.close()
