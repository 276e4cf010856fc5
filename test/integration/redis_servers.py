"""Redis servers for tests that bring no agent: each in a folder of its own, on loopback and a unix socket, started and ended by PID."""
import os
import socket
import time

import procs

SERVER = "/usr/bin/redis-server"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def encode(*words):
    out = b"*%d\r\n" % len(words)
    for w in words:
        w = w if isinstance(w, bytes) else str(w).encode()
        out += b"$%d\r\n%s\r\n" % (len(w), w)
    return out


class Wire:
    """The protocol by hand: what a test sends is what it says, and errors are values."""

    def __init__(self, address, timeout=10.0):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.buffer = b""

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _more(self):
        got = self.sock.recv(65536)
        if not got:
            raise EOFError("closed")
        self.buffer += got

    def read(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            return Exception(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        if kind == b"$":
            n = int(rest)
            if n < 0:
                return None
            while len(self.buffer) < n + 2:
                self._more()
            body, self.buffer = self.buffer[:n], self.buffer[n + 2:]
            return body.decode()
        if kind in b"*>~":
            return None if int(rest) < 0 else [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        raise AssertionError(f"no reply: {line!r}")

    def call(self, *words):
        self.sock.sendall(encode(*words))
        return self.read()

    def close(self):
        self.sock.close()


class Server:
    def __init__(self, scratch, name, *options):
        self.name, self.scratch, self.port = name, scratch, free_port()
        self.dir = os.path.join(scratch.path, name)
        os.makedirs(self.dir)
        self.socket = os.path.join(self.dir, "s")
        self.options = list(options)
        self.start()

    def start(self):
        argv = [SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir, "--unixsocket", self.socket, "--unixsocketperm",
                "700", "--daemonize", "no", "--repl-diskless-sync-delay", "0", *self.options]
        self.proc = procs.Proc(self.name, argv, os.path.join(self.dir, "log"), scratch=self.scratch)
        wait(f"{self.name} answers", self.answers)

    def answers(self):
        try:
            return isinstance(self.call("PING"), (str, Exception))
        except (OSError, EOFError):
            return False

    def call(self, *words):
        w = Wire(self.socket)
        try:
            return w.call(*words)
        finally:
            w.close()

    def info(self, section):
        return dict(line.split(":", 1) for line in self.call("INFO", section).splitlines() if ":" in line)

    def stop(self):
        self.proc.kill()


def wait(what, condition, timeout=30.0, pause=0.02):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(pause)
    raise AssertionError(f"not within {timeout} s: {what}")
