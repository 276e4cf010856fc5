"""One connection that speaks RESP2. No client library: nothing retries or redirects behind a test's back."""
import socket


class RespError(Exception):
    """An error that the server answered."""


class Resp:
    """Every wait for the other side is bounded by `timeout`."""
    def __init__(self, port, user="app", password="app-password", timeout=2.0, host="127.0.0.1"):
        self.sock = socket.create_connection((host, port), timeout)
        self.file = None
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeout * 1000))
            self.file = self.sock.makefile("rb")
            if user:
                self("AUTH", user, password)
        except BaseException:
            self.close()
            raise

    def __call__(self, *words):
        self.send(*words)
        return self.read()

    def send(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.sock.sendall(b"".join(parts))

    def all(self, *commands, timeout=None):
        """The answers to commands that are sent together; an error among them is an answer, too."""
        if timeout:
            self.sock.settimeout(timeout)
        for command in commands:
            self.send(*command)
        out = []
        for _ in commands:
            try:
                out.append(self.read())
            except RespError as refused:
                out.append(refused)
        return out

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise RespError(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            data = self.file.read(int(rest) + 2)
            if len(data) != int(rest) + 2:
                raise ConnectionError("closed")
            return data[:-2].decode()
        return [self.read() for _ in range(int(rest))]

    def info(self, section="replication"):
        return fields(self("INFO", section))

    def close(self):
        if self.file:
            self.file.close()
        self.sock.close()


def fields(info):
    """What INFO tells, by name."""
    return dict(line.split(":", 1) for line in info.split("\r\n") if ":" in line)
