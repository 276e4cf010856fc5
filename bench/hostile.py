#!/usr/bin/python3
"""Bad HTTP clients against a primary's agent: do the renewals of its lock notice?

    bench/hostile.py [--build DIR] [--seconds N] [--out FILE.json]

Three real members under an acknowledging load. First N seconds of calm, then N seconds in which a process of its own does to the
primary's HTTP port what strangers do: a thousand idle connections, made anew as they are closed; a hundred slow lorises; headers of
64 KiB; bodies of a gigabyte, announced and sent; broken chunks; pipelines of a hundred requests; answers that nobody reads. Meanwhile a
well-behaved client probes /livez every 100 ms, as a kubelet would, and Prometheus' /metrics every 2 s.

Judged (exit 1): the epoch is the same and the writes went on, every probe was answered 200 within a second, the agent's memory stayed
within the budget, and p99 of a renewal (from mainstay_lease_renew_duration_seconds, upper edge of its bucket) moved by at most
one bucket. Traffic goes to 127.0.0.1 only and ends by itself.
"""
import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "test", "integration"))
import procs  # noqa: E402
from harness import Cluster  # noqa: E402

RSS_BUDGET_MB = 24


# ---- the attackers (a process of its own) ----

class Attack:
    def __init__(self, port, seconds):
        self.port, self.end = port, time.monotonic() + seconds
        self.counts, self.codes = {}, {}

    def count(self, what, n=1):
        self.counts[what] = self.counts.get(what, 0) + n

    async def connect(self):
        return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), 5)

    async def code(self, reader, what):
        try:
            line = await asyncio.wait_for(reader.readline(), 3)
        except (OSError, asyncio.TimeoutError):
            line = b""
        word = line.split()[1].decode() if line.startswith(b"HTTP/1.") and len(line.split()) > 1 else "closed"
        key = f"{what}: {word}"
        self.codes[key] = self.codes.get(key, 0) + 1

    async def forever(self, what, once, pause):
        while time.monotonic() < self.end:
            writer = None
            try:
                reader, writer = await self.connect()
                self.count(what)
                await once(reader, writer)
            except (OSError, asyncio.TimeoutError, ValueError):
                pass
            finally:
                if writer:
                    writer.close()
            await asyncio.sleep(pause)

    async def idle(self, reader, _writer):
        await asyncio.wait_for(reader.read(1), 20)  # until it is closed for a newcomer

    async def loris(self, _reader, writer):
        for c in b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 600:
            writer.write(bytes([c]))
            await writer.drain()
            await asyncio.sleep(0.3)
            if time.monotonic() > self.end:
                return

    async def header(self, reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"h" * 65536 + b"\r\n\r\n")
        await writer.drain()
        await self.code(reader, "header of 64 KiB")

    async def body(self, reader, writer):
        writer.write(b"POST /switchover HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            for _ in range(64):
                writer.write(b"b" * 65536)
                await asyncio.wait_for(writer.drain(), 0.5)
        except (OSError, asyncio.TimeoutError):
            pass
        await self.code(reader, "body of 1 GB")

    async def chunks(self, reader, writer):
        writer.write(b"POST /config HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n")
        await self.code(reader, "broken chunk")

    async def pipeline(self, reader, writer):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        got = await asyncio.wait_for(reader.read(200), 3)
        key = "pipeline of 100: " + (got.split()[1].decode() if got.startswith(b"HTTP") else "closed")
        self.codes[key] = self.codes.get(key, 0) + 1
        await asyncio.wait_for(reader.read(1 << 20), 3)

    async def unread(self, _reader, writer):
        writer.transport.pause_reading()
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        await asyncio.sleep(6)

    async def password(self, reader, writer):
        writer.write(b"POST /switchover HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\nContent-Length: 2\r\n\r\n{}")
        await self.code(reader, "wrong password")

    async def run(self):
        tasks = [self.forever("idle", self.idle, 0.5) for _ in range(1000)]
        tasks += [self.forever("slow loris", self.loris, 0.2) for _ in range(100)]
        for what, once, n in (("header", self.header, 2), ("body", self.body, 2), ("chunks", self.chunks, 2),
                              ("pipeline", self.pipeline, 2), ("unread", self.unread, 10), ("password", self.password, 2)):
            tasks += [self.forever(what, once, 0.1) for _ in range(n)]
        await asyncio.wait([asyncio.ensure_future(t) for t in tasks], timeout=self.end - time.monotonic() + 1)
        print(json.dumps({"connections": self.counts, "codes": dict(sorted(self.codes.items()))}), flush=True)
        os._exit(0)  # what still waits for an answer


# ---- the measurement ----

def get(port, path, timeout=5.0):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as r:
        return r.status, r.read().decode()


def buckets(port):
    for _ in range(20):  # also under attack somebody gets in
        try:
            text = get(port, "/metrics")[1]
            break
        except OSError:
            time.sleep(0.2)
    else:
        raise SystemExit("hostile: /metrics does not answer")
    return {float(m[1]): int(float(m[2])) for m in re.finditer(
        r'^mainstay_lease_renew_duration_seconds_bucket\{le="([^"]+)"\} (\S+)$', text, re.M)}


def quantile_edge(before, after, q):
    """Upper edge of the bucket that holds the quantile, and how many there were."""
    diff = {le: after[le] - before.get(le, 0) for le in after}
    total = max(diff.values(), default=0)
    for le in sorted(diff):
        if total and diff[le] >= q * total:
            return le, total
    return float("inf"), total


class Prober(threading.Thread):
    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.stopped, self.times, self.bad = port, threading.Event(), [], []

    def run(self):
        n = 0
        while not self.stopped.wait(0.1):
            path = "/metrics" if n % 20 == 0 else "/livez"
            n, began = n + 1, time.monotonic()
            try:
                code = get(self.port, path, 2.0)[0]
            except OSError as e:
                code = str(e)
            took = time.monotonic() - began
            self.times.append(took)
            if code != 200 or took > 1.0:
                self.bad.append(f"{path}: {code} after {took:.2f} s")


def rss_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def phase(member, seconds, attack):
    port, pid = member.http_port, member.agent.pid
    before, cpu, prober = buckets(port), cpu_s(pid), Prober(port)
    prober.start()
    attacker, highest, end = None, 0.0, time.monotonic() + seconds
    if attack:
        attacker = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--attack", str(port), "--seconds", str(seconds)],
                                    stdout=subprocess.PIPE, text=True)
    while time.monotonic() < end:
        highest = max(highest, rss_mb(pid))
        time.sleep(0.2)
    prober.stopped.set()
    prober.join(5)
    edge, n = quantile_edge(before, buckets(port), 0.99)
    times = sorted(prober.times)
    out = {"renewals": n, "renewal_p99_at_most_s": edge, "probes": len(times), "probe_p99_s": round(times[int(len(times) * 0.99) - 1], 4),
           "probes_bad": prober.bad[:5], "agent_rss_mb": round(highest, 1), "agent_cpu_s_per_min": round((cpu_s(pid) - cpu) * 60 / seconds, 2)}
    if attacker:
        out["attack"] = json.loads(attacker.communicate(timeout=30)[0] or "{}")
    return out


def measure(build, seconds):
    with Cluster(3, profile="fast", build=build) as c:
        c.start()
        c.prepare()
        p = c.wait_ready(120)
        load = c.load(writers=1, pause=0.02).start()
        load.wait_acked(count=20, timeout=60)
        epoch = p.status()["epoch"]
        calm, since = phase(p, seconds, False), procs.now_ns()
        hostile = phase(p, seconds, True)
        gap = load.outage(since)[0]
        time.sleep(2)
        after = p.status()
        load.stop()
        lost = c.check(load)
    return {"seconds": seconds, "calm": calm, "hostile": hostile, "lost": lost,
            "same_primary": after["epoch"] == epoch and after["role"] == "primary", "longest_gap_of_writes_s": round(gap, 3)}


def judge(r):
    edges = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, float("inf")]
    calm, hostile = r["calm"], r["hostile"]
    bad = []
    if edges.index(hostile["renewal_p99_at_most_s"]) > edges.index(calm["renewal_p99_at_most_s"]) + 1:
        bad.append(f"renewals' p99 moved from {calm['renewal_p99_at_most_s']} to {hostile['renewal_p99_at_most_s']} s")
    if hostile["probes_bad"]:
        bad.append(f"probes failed: {hostile['probes_bad']}")
    if hostile["agent_rss_mb"] > RSS_BUDGET_MB:
        bad.append(f"the agent grew to {hostile['agent_rss_mb']} MB, budget {RSS_BUDGET_MB}")
    if not r["same_primary"]:
        bad.append("the primary changed")
    if r["lost"]:
        bad.append(f"{r['lost']} acknowledged writes lost")
    return bad


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--build", help="build directory; the newest by default")
    args.add_argument("--seconds", type=int, default=40, help="of calm, and of attack")
    args.add_argument("--out", help="file for the figures, as JSON")
    args.add_argument("--attack", type=int, help=argparse.SUPPRESS)
    a = args.parse_args()
    if a.attack:
        asyncio.run(Attack(a.attack, a.seconds).run())
        return 0
    r = measure(a.build, a.seconds)
    text = json.dumps(r, indent=1)
    print(text)
    if a.out:
        with open(a.out, "w", encoding="utf-8") as f:
            f.write(text + "\n")
    bad = judge(r)
    for line in bad:
        print("hostile: " + line, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
