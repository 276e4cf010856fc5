"""Processes and scratch folders that never outlive their owner.

Scratch    one folder per run; everything in it and every process that was started through it goes away when the owner ends,
           however it ends: a janitor (its own process, its own session) waits for the end of a pipe that only the owner
           holds, then kills the processes by PID and removes the folder.
Proc       one started program: its PID, log file, kill, stop and continue. Only processes that we started, by PID, checked
           against the start time that the kernel remembers, are ever signalled.

Times are CLOCK_BOOTTIME nanoseconds, as everywhere in Mainstay.
"""
import atexit
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CLOCK = time.CLOCK_BOOTTIME


def now_ns():
    return time.clock_gettime_ns(CLOCK)


def now():
    return time.clock_gettime(CLOCK)


def start_time(pid):
    """Kernel's start time of a process: with the PID it names one process for ever. None: there is none (or a zombie)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else int(fields[19])


def alive(pid):
    return start_time(pid) is not None


def children(pid):
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    out = []
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children") as f:
                out += [int(p) for p in f.read().split()]
        except OSError:
            pass
    return out


def tree(pid):
    """The process and all its descendants, ancestors first."""
    out, todo = [], [pid]
    while todo:
        p = todo.pop(0)
        out.append(p)
        todo += children(p)
    return out


def send(pids, sig):
    for pid in pids:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass


def holds_flock(pid, inode):
    """flock(2) of that file; asked of a process that is stopped."""
    with open("/proc/locks", encoding="ascii") as f:
        return any(w[1] == "FLOCK" and int(w[4]) == pid and int(w[5].rsplit(":", 1)[1]) == inode for w in map(str.split, f) if w[1] != "->")


def rss_kib(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def pss_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def cpu_seconds(pid):
    """User and system time of one process, in seconds (nanosecond source where the kernel offers it)."""
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
        return total / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Proc:
    """A program that we started. Dies with us (parent death signal), whatever happens to us."""

    def __init__(self, name, argv, log, user=None, scratch=None, env=None, stdout=None, stderr=None):
        """Both outputs go to the file `log`, unless descriptors are given."""
        self.name, self.argv, self.log = name, argv, log
        prefix = ["/usr/bin/setpriv", "--pdeathsig", "KILL"]
        if user:
            prefix += ["--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--init-groups"]
        with open(log, "ab") as out:
            # A session of its own: Ctrl-C on the terminal reaches us alone, and we stop things in order.
            self.popen = subprocess.Popen(prefix + ["--"] + argv, stdin=subprocess.DEVNULL, stdout=out if stdout is None else stdout,
                                          stderr=out if stderr is None else stderr, start_new_session=True, cwd="/", env=env)
        self.pid = self.popen.pid
        self.started = start_time(self.pid)
        self.stopped = False
        if scratch:
            scratch.guard(self.pid)

    def running(self):
        return self.popen.poll() is None

    def signal(self, sig):
        if self.running():
            os.kill(self.pid, sig)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.popen.wait(10)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def terminate(self, timeout):
        """SIGTERM, then SIGKILL when it is late. True: it went in time."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.popen.wait(timeout)
            return True
        except subprocess.TimeoutExpired:
            self.kill()
            return False


# The janitor: reads "pid N START" and "dir PATH" lines; at the end of the pipe it kills, waits and removes.
JANITOR = r"""
import os, shutil, signal, sys, time
for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
    signal.signal(s, signal.SIG_IGN)
pids, where, keep = {}, sys.argv[1], False
for line in sys.stdin:
    w = line.split()
    if w and w[0] == "pid": pids[int(w[1])] = w[2]
    if w and w[0] == "keep": keep = True
def started(pid):
    try:
        f = open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()
        return None if f[0] == "Z" else f[19]
    except OSError: return None
def mine():
    # What we were told of, and whatever has its working directory or an argument in the scratch folder (databases do).
    out = {p for p, s in pids.items() if started(p) == s}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid(): continue
        try:
            cwd = os.readlink("/proc/%s/cwd" % name)
            line = open("/proc/%s/cmdline" % name, "rb").read().decode("utf-8", "replace")
        except OSError: continue
        if (cwd + "/").startswith(where + "/") or (where + "/") in line: out.add(int(name))
    return out
segments = []
for root, dirs, files in os.walk(where):
    if "postmaster.pid" in files:
        dirs[:] = []
        try: segments.append(open(os.path.join(root, "postmaster.pid")).read().split("\n")[6].split()[1])
        except (OSError, IndexError): pass
shared = set()  # POSIX shared memory of servers that have no chance to remove it
for _ in range(100):
    left = mine()
    if not left: break
    for p in left:
        try:
            for line in open("/proc/%d/maps" % p):
                if "/dev/shm/PostgreSQL." in line: shared.add(line.split()[5])
        except OSError: pass
    for p in left:
        try: os.kill(p, signal.SIGKILL)
        except OSError: pass
    time.sleep(0.05)
import ctypes
libc = ctypes.CDLL(None)
for s in segments:  # System V shared memory of a killed server stays otherwise
    if s.isdigit(): libc.shmctl(int(s), 0, None)
for path in shared:
    try: os.unlink(path)
    except OSError: pass
if not keep: shutil.rmtree(where, ignore_errors=True)
"""


class Scratch:
    """A folder that belongs to the user that runs the databases, and its janitor."""

    def __init__(self, user=None, prefix="mainstay-"):
        self.path = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
        if user:
            entry = pwd.getpwnam(user)
            os.chown(self.path, entry.pw_uid, entry.pw_gid)
        os.chmod(self.path, 0o711)
        # cmdline of the janitor names the folder too; it knows its own PID and leaves itself out.
        self.janitor = subprocess.Popen(["/usr/bin/python3", "-I", "-c", JANITOR, self.path], stdin=subprocess.PIPE, text=True,
                                        start_new_session=True, cwd="/", stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL if not os.environ.get("MAINSTAY_JANITOR_DEBUG") else None)
        self.kept = False
        atexit.register(self.close)

    def guard(self, pid):
        s = start_time(pid)
        if s is not None:
            self.janitor.stdin.write(f"pid {pid} {s}\n")
            self.janitor.stdin.flush()

    def keep(self):
        """Leave the folder (not the processes) when we end."""
        if not self.kept and self.janitor.poll() is None:
            self.kept = True
            self.janitor.stdin.write("keep\n")
            self.janitor.stdin.flush()

    def close(self):
        if self.janitor.poll() is None:
            self.janitor.stdin.close()
            self.janitor.wait(20)
        atexit.unregister(self.close)


class Interrupted(KeyboardInterrupt):
    """SIGTERM, SIGHUP or SIGINT came: unwind and clean up."""


def unwind_on_signals():
    def handler(signum, _frame):
        raise Interrupted(signal.Signals(signum).name)
    for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(s, handler)


def database_user():
    """PostgreSQL refuses to run as root: then it is `postgres`; otherwise everything runs as ourselves."""
    return "postgres" if os.geteuid() == 0 else None


def find_build(explicit=None):
    """The folder with agent/mainstay in it: --build, $MAINSTAY_BUILD, build/release of this checkout."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build = os.path.abspath(explicit or os.environ.get("MAINSTAY_BUILD") or os.path.join(root, "build", "release"))
    missing = [p for p in ("agent/mainstay", "agent/shim/mainstay-shim") if not os.access(os.path.join(build, p), os.X_OK)]
    if missing:
        sys.exit(f"{build}: no {' and no '.join(missing)} there; build first: ./dev build")
    return build


def copy_binaries(build, to):
    """Copies agent and shim, so that a rebuild or a checkout that the database's user cannot enter does not matter."""
    os.makedirs(to, exist_ok=True)
    for path in ("agent/mainstay", "agent/shim/mainstay-shim"):
        target = os.path.join(to, os.path.basename(path))
        shutil.copyfile(os.path.join(build, path), target)
        os.chmod(target, 0o755)
    os.chmod(to, 0o755)
    return to
