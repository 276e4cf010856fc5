"""Scrapes for tests and benchmarks: a strict reader of Prometheus' text, promtool, and Debian's postgres_exporter on a member."""
import gzip
import os
import re
import subprocess
import time
import urllib.error
import urllib.request

import procs

EXPORTER = "/usr/bin/prometheus-postgres-exporter"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Family:
    def __init__(self, name):
        self.name, self.kind, self.help, self.samples = name, None, None, {}

    def value(self, **labels):
        """Of the one sample that has these labels among its own; None: there is none."""
        found = [v for (_, ls), v in self.samples.items() if labels.items() <= dict(ls).items()]
        assert len(found) < 2, f"{self.name} {labels}: {len(found)} samples"
        return found[0] if found else None


def read(text):
    """{name: Family}. AssertionError for anything that is not exactly as the format says: order, escapes, repeated samples."""
    out, family = {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line == "# EOF":
            continue
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            if word == "HELP":
                assert name not in out, f"{name} is there twice"
                family = out[name] = Family(name)
                family.help = rest
            else:
                assert name == family.name, line
                if word == "TYPE":
                    family.kind = rest
            continue
        m = SAMPLE.match(line)
        assert m, f"no sample: {line!r}"
        suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}.get(family.kind, ("", "_total"))
        assert m[1] in [family.name + s for s in suffixes], f"{line} is not of {family.name}"
        key = (m[1], tuple(sorted(LABEL.findall(m[2] or ""))))
        assert key not in family.samples, f"twice: {line}"
        family.samples[key] = float(m[3])
    return out


class Answer:
    def __init__(self, code, headers, body, seconds):
        self.code, self.headers, self.body, self.seconds = code, headers, body, seconds
        self.text = (gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body).decode()


def get(url, timeout=None, accept=None, encoding=None, wait=10.0):
    """`timeout`: what a Prometheus would say of its own."""
    headers = {}
    if timeout is not None:
        headers["X-Prometheus-Scrape-Timeout-Seconds"] = str(timeout)
    if accept:
        headers["Accept"] = accept
    if encoding:
        headers["Accept-Encoding"] = encoding
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=wait) as r:
            body = r.read()
            return Answer(r.status, r.headers, body, time.monotonic() - begun)
    except urllib.error.HTTPError as e:
        return Answer(e.code, e.headers, e.read(), time.monotonic() - begun)


def promtool(text):
    """What `promtool check metrics` says; [] when nothing."""
    r = subprocess.run(["/usr/bin/promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False)
    return [line for line in (r.stdout + r.stderr).splitlines() if line.strip()]


class Exporter:
    """Debian's prometheus-postgres-exporter, over TCP as a role of its own with the rights that its manual asks for."""
    def __init__(self, cluster, member, database):
        self.port = cluster.ports.take()
        self.url = f"http://127.0.0.1:{self.port}/metrics"
        member.superuser("DO $$ BEGIN CREATE ROLE exporter LOGIN PASSWORD 'exporter' IN ROLE pg_monitor;"
                         " EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        env = dict(cluster.environment(),
                   DATA_SOURCE_NAME=f"postgresql://exporter:exporter@127.0.0.1:{member.pg_port}/{database}?sslmode=disable")
        self.proc = procs.Proc("exporter", [EXPORTER, f"--web.listen-address=127.0.0.1:{self.port}"],
                               os.path.join(cluster.scratch.path, "exporter.log"), user=cluster.user, scratch=cluster.scratch, env=env)
        cluster.wait("the exporter answers", lambda: self._answers(), 20)

    def _answers(self):
        try:
            return get(self.url).code == 200
        except OSError:
            return False

    def log(self):
        with open(self.proc.log, encoding="utf-8") as f:
            return f.read()[-2000:]

    def stop(self):
        self.proc.terminate(5)
