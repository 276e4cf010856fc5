#!/usr/bin/python3 -I
"""redis-server with a door before its unix socket, for faults at exact steps: put into a folder as `redis-server` (--bin-dir of the shim).

The server listens at SOCKET.in; the agent's commands come through SOCKET one by one. A file SOCKET.trap names the command to
wait for: {"words": "REPLICAOF NO ONE", "after": false}. Before that command (or after it was done and before its answer) the
door renames the file to SOCKET.hit and holds the session until SOCKET.hit is gone. Other sessions go on.
"""
import ctypes
import json
import os
import select
import signal
import socket
import sys
import threading
import time

SERVER = "/usr/bin/redis-server"


def unix_socket(conf):
    with open(conf, encoding="utf-8") as f:
        for line in f:
            if line.startswith("unixsocket "):
                return line.split(" ", 1)[1].strip().strip('"')
    sys.exit(f"{conf} names no unixsocket")


class Session:
    """One of the agent's; its commands are taken apart, the answers pass as they are."""
    def __init__(self, client, path):
        self.client, self.path, self.buffer = client, path, b""
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(path + ".in")

    def command(self):
        """The next whole command as (bytes, words), taken out of the buffer; None: not all of it is there."""
        parts = self.buffer.split(b"\r\n", 1)
        if len(parts) < 2:
            return None
        at, words = len(parts[0]) + 2, []
        for _ in range(int(parts[0][1:])):
            end = self.buffer.find(b"\r\n", at)
            if end < 0:
                return None
            size = int(self.buffer[at + 1:end])
            if len(self.buffer) < end + 2 + size + 2:
                return None
            words.append(self.buffer[end + 2:end + 2 + size])
            at = end + 2 + size + 2
        raw, self.buffer = self.buffer[:at], self.buffer[at:]
        return raw, b" ".join(words).decode("utf-8", "replace").upper()

    def trap(self, words):
        try:
            with open(self.path + ".trap", encoding="utf-8") as f:
                wanted = json.load(f)
        except (OSError, ValueError):
            return None
        return wanted if words.startswith(wanted["words"]) else None

    def hold(self):
        try:
            os.rename(self.path + ".trap", self.path + ".hit")
        except OSError:
            return
        while os.path.exists(self.path + ".hit"):
            time.sleep(0.002)

    def run(self):
        while True:
            readable, _, _ = select.select([self.client, self.server], [], [])
            if self.server in readable:
                data = self.server.recv(65536)
                if not data:
                    return
                self.client.sendall(data)
            if self.client in readable:
                data = self.client.recv(65536)
                if not data:
                    return
                self.buffer += data
                self.forward()

    def forward(self):
        while True:
            found = self.command()
            if found is None:
                return
            wanted = self.trap(found[1])
            if wanted and not wanted["after"]:
                self.hold()
            self.server.sendall(found[0])
            if wanted and wanted["after"]:
                select.select([self.server], [], [], 5)
                self.hold()


def serve(client, path):
    try:
        Session(client, path).run()
    except OSError:
        pass
    client.close()


def door(path, parent):
    libc = ctypes.CDLL(None)
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: it goes with the server
    libc.prctl(15, b"door", 0, 0, 0)  # PR_SET_NAME
    if os.getppid() != parent:
        return
    try:
        os.unlink(path)
    except OSError:
        pass
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o700)
    listener.listen(64)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, path), daemon=True).start()


def main():
    conf = sys.argv[1]
    path = unix_socket(conf)
    parent = os.getpid()
    if os.fork() == 0:
        try:
            door(path, parent)
        finally:
            os._exit(1)
    os.execv(SERVER, ["redis-server", conf, "--unixsocket", path + ".in", *sys.argv[2:]])


if __name__ == "__main__":
    main()
