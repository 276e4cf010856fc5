"""RabbitMQ's parts of the agent for tests: the tool that runs them beside a broker, a plugin that says what a test wants, readers of pages."""
import http.server
import json
import os
import re
import subprocess
import threading

from scrape import get, read

BUILD = os.environ.get("MAINSTAY_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release"))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(BUILD, "test/integration/rabbit/rabbit_probe_tool")
VHOST, USER, PASSWORD = "_mainstay", "mainstay", "first-of-the-probe"


def names():
    """{page: [names]} of test/metrics/rabbitmq_names.txt that a healthy 3.10 has."""
    out = {}
    with open(os.path.join(ROOT, "test", "metrics", "rabbitmq_names.txt"), encoding="utf-8") as f:
        for line in f:
            if line.startswith("#") or not line.strip():
                continue
            name, *words = line.split()
            rules = dict(w.split("=", 1) for w in words)
            if "since" not in rules:
                out.setdefault(rules.get("page", "/metrics"), []).append(name)
    return out


def series(text, skip=lambda name: False):
    """HELP and TYPE, and names with labels, in their order; without values."""
    return [line if line.startswith("#") else line.rsplit(" ", 1)[0] for line in text.splitlines() if not skip(re.split(r"[ {]", line.lstrip("# "))[0])]


class Tool:
    def __init__(self, test, amqp, plugin, password=PASSWORD, user=USER, tls=None):
        self.dir = os.path.join(test.scratch.path, f"tool-{len(test.tools)}")
        os.makedirs(self.dir)
        self.user_file, self.password_file = (os.path.join(self.dir, n) for n in ("user", "password"))
        self.write(self.user_file, user)
        self.write(self.password_file, password)
        argv = [TOOL, str(amqp), str(plugin), self.user_file, self.password_file, VHOST, *(tls or [])]
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        test.scratch.guard(self.p.pid)
        test.tools.append(self)
        self.url = f"http://127.0.0.1:{self.p.stdout.readline().split()[1]}"

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text + "\n")
        os.chmod(path, 0o600)

    def say(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        got = self.p.stdout.readline()
        if not got:
            raise AssertionError("the tool ended")
        return json.loads(got)

    def check(self, ms=10000):
        return self.say(f"check {ms}")

    def page(self, path="/metrics", timeout=8.0):
        a = get(self.url + path, timeout=timeout, wait=20)
        assert a.code == 200, f"{path}: {a.code} {a.text[:300]}"
        return a.text

    def state(self):
        a = get(self.url + "/state")
        return a.code, a.text

    def close(self):
        if self.p.poll() is None:
            self.p.stdin.close()
            self.p.wait(20)
        self.p.stdout.close()


class Plugin:
    """Something that answers everything with one text, as rabbitmq_prometheus would."""

    def __init__(self, text):
        body = text.encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # whoever has enough hangs up

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmHWM:")).split()[1])


def read_loosely(text):
    """As scrape.read, for a page that has a part of RabbitMQ's: there TYPE comes before HELP, and families may be without samples."""
    lines, out = [line for line in text.splitlines() if line], []  # it ends with an empty one
    for i, line in enumerate(lines):
        if line.startswith("# TYPE ") and i + 1 < len(lines) and lines[i + 1].startswith("# HELP " + line.split()[2] + " "):
            continue
        out.append(line)
        if line.startswith("# HELP ") and i > 0 and lines[i - 1].startswith("# TYPE " + line.split()[2] + " "):
            out.append(lines[i - 1])
    return read("\n".join(out) + "\n")
