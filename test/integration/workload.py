"""Clients that know exactly what was acknowledged.

Session   one asynchronous PostgreSQL connection: every wait has a deadline of its own, to the millisecond.
Load      for each member: writers (kept sessions) that insert one row per transaction whenever that member accepts, and two
          probers (one kept session, one fresh session each time) that try to write to it all the time, whatever it is.
          A row counts as acknowledged only if COMMIT succeeded without any WARNING: a cancelled wait for the standby is
          answered with success and a warning though the row is only local.
Report    outage, overlap and loss from what the sessions saw.

A writer finds a new primary as a client with target_session_attrs=read-write does: it asks, and when the answer is yes it
connects anew. Kept sessions wait for an answer as long as it takes, also while the server is frozen: those are the dangerous
ones. Times: CLOCK_BOOTTIME nanoseconds.
"""
import bisect
import itertools
import select
import threading
import time
from collections import namedtuple

import psycopg2
import psycopg2.extensions as ext

from procs import now_ns

Ack = namedtuple("Ack", "sent acked member timeline id source")
# An acknowledgement may be noticed late by a busy client: what is later than the other member's first by less than this, and
# was not sent after it, proves nothing.
NOTICE_NS = 200_000_000


class Late(Exception):
    """No answer before the deadline."""


class Session:
    def __init__(self, dsn, timeout):
        self.conn = None
        self.conn = psycopg2.connect(dsn, async_=1)
        self._wait(now_ns() + int(timeout * 1e9))

    def _wait(self, deadline_ns):
        while True:
            state = self.conn.poll()
            if state == ext.POLL_OK:
                return
            left = (deadline_ns - now_ns()) / 1e9
            if left <= 0:
                raise Late()
            fd = self.conn.fileno()
            r, w = ([fd], []) if state == ext.POLL_READ else ([], [fd])
            select.select(r, w, [], left)

    def run(self, sql, args=None, timeout=10.0):
        """Runs one statement; returns the rows (or None). Raises psycopg2.Error or Late."""
        del self.conn.notices[:]
        cur = self.conn.cursor()
        cur.execute(sql, args)
        self._wait(now_ns() + int(timeout * 1e9))
        return cur.fetchall() if cur.description else None

    def warned(self):
        return any("WARNING" in n for n in self.conn.notices)

    def close(self):
        try:
            if self.conn is not None:
                self.conn.close()
        except psycopg2.Error:
            pass


class Load:
    """Starts threads at start(), ends them at stop(). `targets`: {member name: dsn}; may change by add()."""

    TIMELINE = "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
    WRITE = f"INSERT INTO mainstay_rows (id, member, timeline) VALUES (%s, %s, {TIMELINE}) RETURNING timeline"
    PROBE = f"INSERT INTO mainstay_probe (id, member) VALUES (%s, %s) RETURNING {TIMELINE}"

    def __init__(self, targets, writers=2, pause=0.004, probe_pause=0.03, probers=True, hold=30.0, ids=None, attempted=None):
        self.targets, self.writers, self.pause, self.probe_pause = dict(targets), writers, pause, probe_pause
        self.probers, self.hold = probers, hold
        self.ids = ids or itertools.count(1)  # shared by all loads of one cluster
        self.stop_event = threading.Event()
        self.lock = threading.Lock()
        self.write_acks, self.probe_acks, self.fresh_acks = [], [], []
        self.attempted = attempted if attempted is not None else set()
        self.warned = []  # success with a WARNING, not acknowledged
        self.threads = []

    # ---- life ----
    def start(self):
        for name, dsn in self.targets.items():
            self._start_member(name, dsn)
        return self

    def add(self, name, dsn):
        self.targets[name] = dsn
        self._start_member(name, dsn)

    def _start_member(self, name, dsn):
        jobs = [(self._writer, i) for i in range(self.writers)]
        if self.probers:
            jobs += [(self._prober, 0), (self._fresh_prober, 0)]
        for job, i in jobs:
            t = threading.Thread(target=job, args=(name, dsn, i), daemon=True)
            t.start()
            self.threads.append(t)

    def stop(self):
        self.stop_event.set()
        for t in self.threads:
            t.join(self.hold + 5)

    # ---- threads ----
    def _next(self):
        with self.lock:
            i = next(self.ids)
            self.attempted.add(i)
        return i

    def _insert(self, acks, session, sql, member, source, timeout):
        ident, sent = self._next(), now_ns()
        rows = session.run(sql, (ident, member), timeout=timeout)
        acked = now_ns()
        if session.warned():
            self.warned.append(ident)
        else:
            acks.append(Ack(sent, acked, member, rows[0][0], ident, source))

    def _connect(self, dsn, timeout=2.0):
        try:
            return Session(dsn, timeout)
        except (psycopg2.Error, Late):
            return None

    def _writer(self, name, dsn, number):
        source, session, fresh = f"writer{number}", None, False
        while not self.stop_event.is_set():
            if session is None:
                session = self._connect(dsn)
                if session is None:
                    self.stop_event.wait(0.02)
                    continue
            try:
                if not fresh:
                    if session.run("SELECT pg_is_in_recovery()", timeout=self.hold)[0][0]:
                        self.stop_event.wait(0.015)
                        continue
                    session.close()  # it is a primary now: connect as a client would
                    session, fresh = self._connect(dsn), True
                    continue
                self._insert(self.write_acks, session, self.WRITE, name, source, self.hold)
                self.stop_event.wait(self.pause)
            except (psycopg2.Error, Late):
                session.close()
                session, fresh = None, False
        if session is not None:
            session.close()

    def _prober(self, name, dsn, _number):
        session = None
        while not self.stop_event.is_set():
            session = session or self._connect(dsn)
            if session is not None:
                try:
                    self._insert(self.probe_acks, session, self.PROBE, name, "prober", self.hold)
                except psycopg2.errors.ReadOnlySqlTransaction:
                    pass
                except (psycopg2.Error, Late):
                    session.close()
                    session = None
            self.stop_event.wait(self.probe_pause)
        if session is not None:
            session.close()

    def _fresh_prober(self, name, dsn, _number):
        while not self.stop_event.is_set():
            session = self._connect(dsn, 1.0)
            if session is not None:
                try:
                    self._insert(self.fresh_acks, session, self.PROBE, name, "fresh", 2.0)
                except (psycopg2.Error, Late):
                    pass
                session.close()
            self.stop_event.wait(self.probe_pause + 0.02)

    # ---- questions ----
    def acknowledged(self):
        return len(self.write_acks) + len(self.probe_acks) + len(self.fresh_acks)

    def last_ack(self):
        """(time, member) of the last acknowledged write of a writer."""
        return (self.write_acks[-1].acked, self.write_acks[-1].member) if self.write_acks else (0, None)

    def rate(self, seconds=1.0):
        edge = now_ns() - int(seconds * 1e9)
        n = 0
        for a in reversed(self.write_acks):
            if a.acked < edge:
                break
            n += 1
        return n / seconds

    def outage(self, since_ns, until_ns=None):
        """Longest time without an acknowledged write between the two moments, in seconds, and when it began."""
        until_ns = until_ns or now_ns()
        times = sorted(a.acked for a in list(self.write_acks))
        lo = max(0, bisect.bisect_left(times, since_ns) - 1)
        window = [t for t in times[lo:] if t <= until_ns] + [until_ns]
        worst, at = 0, since_ns
        for a, b in zip(window, window[1:]):
            if b - a > worst:
                worst, at = b - a, a
        if not window[:-1]:
            worst = until_ns - since_ns
        return worst / 1e9, at

    def overlap_ms(self, since_ns=0, until_ns=None, kept=frozenset()):
        """For how long two members acknowledged at the same time. `kept`: ids that are on every member at the end."""
        acks = [a for a in self.write_acks + self.probe_acks + self.fresh_acks
                if a.acked >= since_ns and (until_ns is None or a.acked <= until_ns)]
        return overlap_ms(acks, kept)

    def wait_acked(self, member=None, after_ns=None, count=1, timeout=60.0):
        """Waits until `count` writes of writers sent after the moment were acknowledged (by that member)."""
        after_ns, end, seen = after_ns or now_ns(), time.monotonic() + timeout, 0
        while time.monotonic() < end:
            seen = 0
            for a in reversed(self.write_acks):
                if a.acked < after_ns:
                    break
                if a.sent >= after_ns and (member is None or a.member == member):
                    seen += 1
            if seen >= count:
                return True
            time.sleep(0.02)
        return False


def overlap_ms(acks, kept=frozenset()):
    """A reign is what one member acknowledged on one timeline (each promotion makes a new one). Two reigns overlap from the
    later one's first acknowledgement to the earlier one's last: sent after it (proven), or noticed so late after it that a
    busy client does not explain it. Milliseconds, all pairs summed.

    A machine that slept may still hand out, when it wakes, the answer of a write from before. Such an answer is not a second
    primary if the write was made before the other's reign; the proof is the row: `kept` has the ids that every member has at the end,
    so the new primary began its reign with them. A late answer whose row is not there counts (and is a loss as well)."""
    reigns = {}
    for a in acks:
        reigns.setdefault((a.member, a.timeline), []).append(a)
    spans = [(min(a.acked for a in r), max(a.sent for a in r), r) for r in reigns.values()]
    spans.sort(key=lambda span: span[0])
    total = 0
    for i, (_, sent, one) in enumerate(spans):
        for begun, other_sent, other in spans[i + 1:]:
            proven = min(sent, other_sent) - begun
            acked = max((a.acked for a in one if a.sent > begun or a.id not in kept), default=begun)
            noticed = min(acked, max(a.acked for a in other)) - begun
            here = max(0, proven) if noticed <= NOTICE_NS else max(proven, noticed)
            if not here and (inside(one, begun, other_sent) or inside(other, spans[i][0], sent)):
                here = 1_000_000  # a single one in the middle of the other's reign has no length, but it is one too many
            total += here
    return total / 1e6


def inside(acks, begun, sent):
    """Sent after the other's first acknowledgement was there, acknowledged before its last was sent."""
    return any(a.sent > begun and a.acked < sent for a in acks)


def compare(load, read_ids):
    """Final comparison, after the load was stopped. `read_ids(table)` -> {member: set of ids}. Returns what is wrong."""
    problems, lost = [], 0
    for table, acks in (("mainstay_rows", load.write_acks), ("mainstay_probe", load.probe_acks + load.fresh_acks)):
        want = {a.id for a in acks}
        for member, have in read_ids(table).items():
            missing, strange = want - have, have - load.attempted
            if missing:
                lost = max(lost, len(missing))
                by = sorted((a for a in acks if a.id in missing), key=lambda a: a.acked)
                problems.append(f"{table} on {member}: {len(missing)} acknowledged rows are missing, acknowledged by "
                                f"{sorted({a.member for a in by})}, ids {[a.id for a in by[:5]]}...")
            if strange:
                problems.append(f"{table} on {member}: {len(strange)} rows that nobody wrote")
    return lost, problems
