"""Clients of Redis that know exactly what was acknowledged, and one that watches who is a primary.

RedisLoad  writers that send the next only after an answer; errors and silence make them look for the primary. Three kinds:
             set       each key once
             register  one key, rising numbers, acknowledged when a replica confirmed it too (WAIT): what it holds never falls
                       below what was acknowledged
             append    a list: what was acknowledged is in it once and in order
           With wait=N every kind counts only what N replicas confirmed.
Prober     asks every member by ROLE, all the time.

The tests speak RESP themselves (resp.py).
"""
import threading
import time
from collections import namedtuple

from procs import now_ns
from resp import Resp, RespError

APP, PASSWORD = "app", "app-password"
KINDS = ("set", "register", "append")

Ack = namedtuple("Ack", "sent acked member key value")


def leave(session):
    if session is not None:
        try:
            session.close()
        except OSError:
            pass


class RedisLoad:
    """`members`: those that may be written to (default all). `timeout`: how long an answer is waited for."""
    def __init__(self, cluster, writers=3, pause=0.0, wait=None, kinds=KINDS, members=None, timeout=1.0):
        self.members = list(members or cluster.members)
        self.pause, self.wait, self.timeout = pause, wait, timeout
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.acks = []
        self.sent = {}  # key of a list -> values ever sent
        self.run = f"{now_ns():x}"
        self.more = len(cluster.members) > 1
        self.threads = [threading.Thread(target=self._write, args=(i, kinds[i % len(kinds)]), daemon=True) for i in range(writers)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join(20 + self.timeout)

    def _once(self, session, kind, i, n):
        """Writes; gives (key, value) once it is acknowledged, None when too few replicas confirmed it."""
        wait = self.wait if self.wait is not None or kind != "register" or not self.more else 1
        if kind == "set":
            key = f"w:{self.run}:{i}:{n}"
            session("SET", key, n)
        elif kind == "register":
            key = f"r:{self.run}:{i}"
            session("SET", key, n)
        else:
            key = f"l:{self.run}:{i}"
            self.sent.setdefault(key, set()).add(n)
            session("RPUSH", key, n)
        if wait and session("WAIT", wait, 1000) < wait:
            return None
        return key, n

    def _write(self, i, kind):
        n, at, session = 0, 0, None
        while not self.ended.is_set():
            member = self.members[at]
            try:
                if session is None:
                    with member.inside():
                        session = Resp(member.pg_port, timeout=self.timeout)
                sent = now_ns()
                n += 1  # also after silence: it may have been done
                done = self._once(session, kind, i, n)
                if done:
                    with self.lock:
                        self.acks.append(Ack(sent, now_ns(), member.name, *done))
                    if self.pause:
                        time.sleep(self.pause)
            except (RespError, OSError):
                leave(session)
                session, at = None, (at + 1) % len(self.members)
                time.sleep(0.001)
        leave(session)

    # ---- what was seen ----
    def wait_acked(self, after_ns=0, count=5, timeout=60, member=None):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with self.lock:
                fresh = [a for a in self.acks[-5000:] if a.acked > after_ns and (member is None or a.member == member)]
            if len(fresh) >= count:
                return True
            time.sleep(0.01)
        return False

    def acknowledged(self):
        with self.lock:
            return len(self.acks)

    def rate(self, seconds=2.0):
        since = now_ns() - int(seconds * 1e9)
        with self.lock:
            return sum(a.acked > since for a in self.acks[-100_000:]) / seconds

    def last_ack(self):
        """(ns, member); (0, None) when there is none."""
        with self.lock:
            return (self.acks[-1].acked, self.acks[-1].member) if self.acks else (0, None)

    def gap(self, since, until=None):
        """The longest time without an acknowledgement after `since`, in seconds."""
        with self.lock:
            times = sorted(a.acked for a in self.acks if a.acked >= since and (until is None or a.acked <= until))
        times = [since] + times
        return max((b - a for a, b in zip(times, times[1:])), default=0) / 1e9

    def outage(self, since, until=None):
        """As workload.Load's: (seconds, where it is not known)."""
        return self.gap(since, until), None

    def writers_in_turn(self):
        """Members in the order in which they acknowledged, without repetitions: as many as there were reigns."""
        with self.lock:
            acks = sorted(self.acks, key=lambda a: a.acked)
        out = []
        for a in acks:
            if not out or out[-1] != a.member:
                out.append(a.member)
        return out

    def lost(self, members, acks=None):
        """Acknowledged writes that are missing on any of the members, as words."""
        acks = self.acks if acks is None else acks
        out, registers, lists = set(), {}, {}
        for a in acks:
            if a.key[0] == "r":
                registers[a.key] = max(registers.get(a.key, 0), a.value)
            elif a.key[0] == "l":
                lists.setdefault(a.key, []).append(a.value)
        for m in members:
            have = m.keys()
            out |= {a.key for a in acks if a.key[0] == "w" and a.key not in have}
            out |= {f"{k}={v}" for k, v in registers.items() if int(have.get(k) or 0) < v}
            for key, want in lists.items():
                out |= {f"{key}[{v}]" for v in misplaced(want, [int(v) for v in m.ask("LRANGE", key, 0, -1, timeout=30)], self.sent[key])}
        return out


def misplaced(want, have, sent):
    """Acknowledged values of a list that are missing, double or out of order; and values that nobody sent."""
    places = {}
    for at, value in enumerate(have):
        places.setdefault(value, []).append(at)
    bad, last = {v for v in places if v not in sent}, -1
    for value in sorted(want):
        at = places.get(value, [])
        if len(at) != 1 or at[0] < last:
            bad.add(value)
        last = max([last] + at)
    return bad


class Prober:
    """Asks every member by ROLE, without pause, whether it writes. Two that do at the same moment are told by `both`."""
    def __init__(self, cluster):
        self.ended, self.spans = threading.Event(), {m.name: [] for m in cluster.members}
        self.threads = [threading.Thread(target=self._look, args=(m,), daemon=True) for m in cluster.members]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join(10)

    def _look(self, m):
        session, spans = None, self.spans[m.name]
        while not self.ended.is_set():
            try:
                if session is None:
                    with m.inside():
                        session = Resp(m.pg_port, user=None, timeout=1.0)
                    session("AUTH", "watch", PASSWORD)
                sent = now_ns()
                role = session("ROLE")[0]
                answered = now_ns()
                if role == "master":
                    # A primary at some moment between both: joined to the one before when nothing else was seen since.
                    if spans and spans[-1][2]:
                        spans[-1][1] = sent
                    else:
                        spans.append([answered, answered, True])
                elif spans:
                    spans[-1][2] = False
            except (OSError, RespError):
                if spans:
                    spans[-1][2] = False
                leave(session)
                session = None
                time.sleep(0.005)
            time.sleep(0.0005)

    def both(self, since=0):
        """[(member, member, ms)]: certainly primaries at the same time."""
        out, names = [], sorted(self.spans)
        for i, a in enumerate(names):
            for b in names[i + 1:]:
                for x in self.spans[a]:
                    for y in self.spans[b]:
                        common = min(x[1], y[1]) - max(x[0], y[0], since)
                        if common > 0:
                            out.append((a, b, common / 1e6))
        return out
