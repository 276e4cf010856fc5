"""Speaks mainstay-shim's protocol (lib/shim/wire.h) for the tests and for bench/fence. Debian's python3, nothing else."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

MAGIC, PROTOCOL = 0x3148534D, 1
HEADER = struct.Struct("<IBBHII")
HELLO, STATE, ARM, START, SIGNAL, KILL, RUN_TOOL, CANCEL_TOOL, SUBSCRIBE, READ_LOG = range(1, 11)
REPLY, ARMED, EXITED, FENCED, TERMINATING, TOOL_OUTPUT, TOOL_DONE, LOG_CHUNK = range(128, 136)
CODES = ["ok", "version", "shorter", "epoch", "late", "clock", "fencing", "running", "not_running", "not_armed", "no_standby_signal",
         "busy", "not_allowed", "stale", "exec", "terminating", "no_tool", "no_log"]
STANDBY, PRIMARY, ISOLATED = 1, 2, 3
FAST, IMMEDIATE, RELOAD = 1, 2, 3
ANY = 0xFFFFFFFF
INITDB, BASEBACKUP, REWIND, CONTROLDATA, WALDUMP, CHECKSUMS, POSTGRES_C, VERIFYBACKUP = range(1, 9)
SWAP_DATA, REMOVE_STALE = 32, 33
CAUSES = ["unasked", "signal", "kill", "fence", "term"]
ENDS = ["exited", "cancelled", "deadline", "killed_with_database", "owner_gone"]
EXIT_FMT, FENCE_FMT = struct.Struct("<IIiIqq"), struct.Struct("<qqqq")
STATE_FMT = struct.Struct("<QqqqqIiBBxxIIIIIixxxx")


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Refused(Exception):
    def __init__(self, code, payload):
        super().__init__(CODES[code])
        self.code, self.payload = CODES[code], payload


class Closed(Exception):
    pass


def exit_event(payload):
    starts, cause, status, _, exited_at, empty_at = EXIT_FMT.unpack(payload)
    return {"starts": starts, "cause": CAUSES[cause], "status": status, "exited_at": exited_at, "empty_at": empty_at}


def fence_event(payload):
    return dict(zip(("deadline", "epoch", "killed_at", "empty_at"), FENCE_FMT.unpack(payload)))


class Link:
    """One connection. Events that come while waiting for an answer are kept in .events."""

    def __init__(self, path, hello=True):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(10)
        self.sock.connect(path)
        self.seq = 0
        self.events = []
        if hello:
            self.nonce, _, self.starts = struct.unpack("<QII", self.call(HELLO, struct.pack("<II", PROTOCOL, 0)))

    def close(self):
        self.sock.close()

    def send(self, verb, payload=b"", seq=None):
        if seq is None:
            self.seq += 1
            seq = self.seq
        self.sock.send(HEADER.pack(MAGIC, PROTOCOL, verb, len(payload), seq, 0) + payload)
        return seq

    def receive(self, timeout=10.0):
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        if not data:
            raise Closed()
        _, _, verb, length, seq, code = HEADER.unpack(data[:16])
        assert length == len(data) - 16
        return verb, seq, code, data[16:]

    def call(self, verb, payload=b"", timeout=10.0):
        try:
            seq = self.send(verb, payload)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed()
        while True:
            got, answered, code, body = self.receive(timeout)
            if got == REPLY and answered == seq:
                if code:
                    raise Refused(code, body)
                return body
            self.events.append((got, body))

    def event(self, verb, timeout=10.0):
        end = time.monotonic() + timeout
        while True:
            for i, (got, body) in enumerate(self.events):
                if got == verb:
                    del self.events[i]
                    return body
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no event {verb}")
            got, _, _, body = self.receive(left)
            self.events.append((got, body))

    # The verbs.
    def arm(self, until, epoch=1, sent=None, remaining=None):
        sent = now() if sent is None else sent
        self.call(ARM, struct.pack("<qqqq", until, epoch, sent, until - sent if remaining is None else remaining))

    def start(self, kind=STANDBY, epoch=0, expect=ANY):
        starts, pid, _, _ = struct.unpack("<IiiI", self.call(START, struct.pack("<IIq", kind, expect, epoch)))
        return starts, pid

    def signal(self, kind, expect=ANY):
        self.call(SIGNAL, struct.pack("<II", kind, expect))

    def kill(self, expect=ANY, timeout=10.0):
        self.call(KILL, struct.pack("<II", expect, 0), timeout)

    def subscribe(self):
        self.call(SUBSCRIBE)

    def read_log(self):
        self.call(READ_LOG)

    def log_chunk(self, timeout=10.0):
        """(bytes, bytes lost before them, line breaks among those)"""
        body = self.event(LOG_CHUNK, timeout)
        lost_bytes, lost_lines, _ = struct.unpack("<QII", body[:16])
        return body[16:], lost_bytes, lost_lines

    def exited(self, timeout=10.0):
        return exit_event(self.event(EXITED, timeout))

    def fenced(self, timeout=10.0):
        return fence_event(self.event(FENCED, timeout))

    def state(self):
        body = self.call(STATE)
        names = ("nonce", "now", "until", "epoch", "started_at", "starts", "pid", "phase", "mode", "kind", "flags", "tool_id",
                 "last_tool_id", "last_tool_end", "last_tool_status")
        out = dict(zip(names, STATE_FMT.unpack(body[:STATE_FMT.size])))
        out["phase"] = ["idle", "starting", "running", "emptying"][out["phase"]]
        out["mode"] = [None, "container", "namespace", "session"][out["mode"]]
        at = STATE_FMT.size
        out["last_exit"] = exit_event(body[at:at + EXIT_FMT.size])
        at += EXIT_FMT.size
        out["last_fence"] = fence_event(body[at:at + FENCE_FMT.size])
        at += FENCE_FMT.size
        out["fences"], out["clients"], out["max_lateness"], out["max_emptying"] = struct.unpack("<IIqq", body[at:])
        return out

    def tool_begin(self, tool, args, seconds=20.0, passfile="", flags=0):
        strings = b"".join(a.encode() + b"\0" for a in [passfile, *args])
        body = self.call(RUN_TOOL, struct.pack("<BBHIq", tool, flags, len(args), 0, now() + int(seconds * 1e9)) + strings)
        return struct.unpack("<Ii", body)[0]

    def tool_end(self, timeout=30.0):
        out = {1: b"", 2: b""}
        end = time.monotonic() + timeout
        while True:
            if self.events:
                verb, body = self.events.pop(0)
            else:
                verb, _, _, body = self.receive(max(0.01, end - time.monotonic()))
            if verb == TOOL_OUTPUT:
                out[struct.unpack("<II", body[:8])[1]] += body[8:]
            elif verb == TOOL_DONE:
                _, why, status, _ = struct.unpack("<IIiI", body)
                return ENDS[why], status, out[1].decode(), out[2].decode()

    def tool(self, tool, args, seconds=20.0, passfile="", flags=0):
        self.tool_begin(tool, args, seconds, passfile, flags)
        return self.tool_end(seconds + 5)


class Shim:
    """A running mainstay-shim in a directory of its own under base."""

    def __init__(self, binary, user="postgres", mode="namespace", bin_dir=None, flags=(), run_as=None, base=None, foreign=False, log=True):
        self.base = base or tempfile.mkdtemp(prefix="mainstay-shim.")
        self.own_base = base is None
        self.foreign = foreign  # it would refuse us: only wait for the socket
        self.run_as = run_as
        os.chmod(self.base, 0o755)
        self.volume = os.path.join(self.base, "vol")
        self.data = os.path.join(self.volume, "data")
        self.socket = os.path.join(self.base, "run", "shim.sock")
        os.makedirs(self.volume, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.volume, user, user)
            if run_as:
                shutil.chown(self.base, run_as, run_as)
        self.command = [binary, "--socket", self.socket, "--bin-dir", bin_dir or "/usr/lib/postgresql/15/bin", "--data-dir", self.data,
                        "--mode", mode, *flags]
        if log:
            self.command += ["--log", os.path.join(self.base, "db.log")]
        if os.geteuid() == 0 and not run_as:
            self.command += ["--user", user]
        if run_as:
            self.command = ["setpriv", f"--reuid={run_as}", f"--regid={run_as}", "--clear-groups", *self.command]
        self.process = None
        self.spawn()

    def spawn(self, env=None):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
        try:
            self.wait_socket()
        except BaseException:
            self.stop()
            raise

    def wait_socket(self, seconds=5.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(self.process.stderr.read().decode())  # it said why
            try:
                if self.foreign and os.path.exists(self.socket):
                    return
                Link(self.socket).close()
                return
            except (FileNotFoundError, ConnectionRefusedError, Closed, PermissionError):
                time.sleep(0.01)
        raise TimeoutError("the shim does not serve its socket")

    def link(self):
        return Link(self.socket)

    def inner(self):
        """PID (as we see it) of the process that serves: the outer one's child in namespace mode."""
        if "namespace" in self.command:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
                return int(f.read().split()[0])
        return self.process.pid

    def stop(self):
        if self.process.poll() is None:
            try:
                os.kill(self.inner(), signal.SIGKILL)
            except (ProcessLookupError, IndexError, FileNotFoundError):
                pass
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        if self.own_base:
            shutil.rmtree(self.base, ignore_errors=True)
