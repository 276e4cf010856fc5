"""Running other programs, all with a time limit, and what namespaces need.

run()      a command's output; Failed (with its last words) when it fails or is late
inside()   the calling THREAD in a network namespace: sockets that it opens meanwhile (libpq's too) belong there
nsenter()  an argv that runs in a network namespace. Never `ip netns exec`: that remounts /sys and hides the cgroups from runc.
"""
import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A command failed; the text has its argv and its last words."""


def run(argv, timeout=30, stdin=None, check=True, env=None):
    """Standard output of a command, as text."""
    try:
        done = subprocess.run(argv, input=stdin, text=True, timeout=timeout, capture_output=True, check=False, env=env,
                              stdin=subprocess.DEVNULL if stdin is None else None)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(argv)}: no end within {timeout} s") from late
    if check and done.returncode:
        raise Failed(f"{' '.join(argv)}: status {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


def nsenter(netns, argv):
    return ["nsenter", f"--net=/run/netns/{netns}", "--", *argv] if netns else list(argv)


@contextlib.contextmanager
def inside(netns):
    """The calling thread enters the namespace and returns to where it was."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there, netns)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(before, "the former namespace")
    finally:
        os.close(before)


def _setns(fd, name):
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns to {name}: {os.strerror(ctypes.get_errno())}")
