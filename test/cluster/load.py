"""Clients of a cluster in the bed, that know exactly what was acknowledged.

Load       kept      sessions through the Service of the primary, one write after the other; they reconnect after an error
           fresh     a new session through the Service for every write
           beside    for each member, on its own node, a session to the pod's own address: it tries to write all the time,
                     whatever the member is. On a node that was cut off it is the client that only a fence can silence.
What a write is, the engine says (engine.py); Ack and the judgement of overlaps are test/integration's (workload.py). `member` of an
acknowledgement is the server's own address, as the server told it: a pod that was made anew has another one.

What a client has set (a service without it waits for TCP's own quarter of an hour): 1 s for a connection, 2 s for its segments, 3 s for an
answer. A write that had no answer by then counts as not acknowledged; its session is given up.
"""
import itertools
import threading

import shell
from procs import now_ns
from workload import Ack, overlap_ms

CONNECT, ANSWER = 1.0, 3.0
HOLD = 30.0  # beside the server a client waits longer: that one must be ended, not give up


class Load:
    """start() ... stop(). `where` is the network namespace of the clients of the Service; `members()` gives [(pod, address, netns)]."""

    def __init__(self, engine, service, where, members, ids=None, fresh=1, pause=0.01, fresh_pause=0.03, beside_pause=0.05):
        self.engine, self.service, self.where, self.members = engine, service, where, members
        self.ids = ids or itertools.count(1)
        self.counts, self.pause, self.fresh_pause, self.beside_pause = (engine.kept, fresh), pause, fresh_pause, beside_pause
        self.lock, self.stop_event, self.threads, self.seen = threading.Lock(), threading.Event(), [], set()
        self.write_acks, self.probe_acks, self.attempted, self.warned = [], [], set(), []
        self.last_error = {}
        self.broken = {}  # address: when the session beside it last ended (it was open before)

    # ---- life ----
    def start(self):
        self.begun = now_ns()
        for number in range(self.counts[0]):
            self._thread(self._kept, f"kept{number}")
        for number in range(self.counts[1]):
            self._thread(self._fresh, f"fresh{number}")
        self._thread(self._watch)
        return self

    def _thread(self, job, *args):
        t = threading.Thread(target=job, args=args, daemon=True)
        t.start()
        self.threads.append(t)

    def stop(self):
        self.stop_event.set()
        for t in list(self.threads):
            t.join(HOLD + 5)

    # ---- threads ----
    def _write(self, acks, session, source, timeout):
        with self.lock:
            ident = next(self.ids)
            self.attempted.add(ident)
        sent = now_ns()
        told = self.engine.write(session, source, ident, timeout)
        acked = now_ns()
        if told is None:
            self.warned.append(ident)
        else:
            reign, address = told
            acks.append(Ack(sent, acked, address, reign, ident, source))

    def _failed(self, source, failure):
        self.last_error[source] = f"{type(failure).__name__} {str(failure).strip()[:200]}"

    def _kept(self, source):
        with shell.inside(self.where):
            session = None
            while not self.stop_event.is_set():
                try:
                    session = session or self.engine.session(self.service, CONNECT)
                    self._write(self.write_acks, session, source, ANSWER)
                    self.stop_event.wait(self.pause)
                except self.engine.errors as failure:
                    self._failed(source, failure)
                    if session:
                        session.close()
                    session = None
                    self.stop_event.wait(0.02)

    def _fresh(self, source):
        with shell.inside(self.where):
            while not self.stop_event.is_set():
                session = None
                try:
                    session = self.engine.session(self.service, CONNECT)
                    self._write(self.write_acks, session, source, ANSWER)
                except self.engine.errors as failure:
                    self._failed(source, failure)
                if session:
                    session.close()
                self.stop_event.wait(self.fresh_pause)

    def _watch(self):
        """A client beside each member that is or comes."""
        while not self.stop_event.is_set():
            for pod, target, netns in self.members():
                if (pod, target) not in self.seen:
                    self.seen.add((pod, target))
                    self._thread(self._beside, pod, target, netns)
            self.stop_event.wait(0.5)

    def _beside(self, pod, target, netns):
        """Until its pod's address is another's or the namespace is gone."""
        address = self.engine.word(target, "host")
        try:
            with shell.inside(netns):
                session = None
                while not self.stop_event.is_set():
                    try:
                        session = session or self.engine.session(target, 2.0)
                        self._write(self.probe_acks, session, "beside " + pod, HOLD)
                    except self.engine.refused:
                        pass
                    except self.engine.errors as failure:
                        self._failed("beside " + pod, failure)
                        if session:
                            session.close()
                            self.broken[address] = now_ns()
                        session = None
                        if (pod, target, netns) not in self.members():
                            return
                    self.stop_event.wait(self.beside_pause)
        except OSError as gone:
            self._failed("beside " + pod, gone)

    # ---- questions ----
    def acknowledged(self):
        return len(self.write_acks) + len(self.probe_acks)

    def sources(self, kind):
        return [f"{kind}{i}" for i in range(self.counts[kind == "fresh"])]

    def outage(self, kind, since, until):
        """(longest time that any client of the kind had no acknowledgement within the two moments, its end after `since`), in seconds."""
        worst, end = 0, since
        for source in self.sources(kind):
            times = sorted(a.acked for a in list(self.write_acks) if a.source == source)
            before = [t for t in times if t <= since]
            edge = [before[-1] if before else self.begun] + [t for t in times if since < t <= until] + [until]
            worst, end = max([(worst, end), *((b - a, b) for a, b in zip(edge, edge[1:]))])
        return worst / 1e9, (end - since) / 1e9

    def closed(self, since, until):
        """The longest time that no client at all was acknowledged, those beside the members included: the members' own part of an outage,
        without the Service's."""
        times = sorted(a.acked for a in self.write_acks + self.probe_acks if a.acked <= until)
        before = [t for t in times if t <= since]
        edge = [before[-1] if before else self.begun] + [t for t in times if t > since] + [until]
        return max(b - a for a, b in zip(edge, edge[1:])) / 1e9

    def recovered(self, since, count=3):
        """Every client of the Service was acknowledged `count` writes that were sent after the moment."""
        have = {}
        for a in reversed(self.write_acks):
            if a.acked < since:
                break
            if a.sent >= since:
                have[a.source] = have.get(a.source, 0) + 1
        return all(have.get(s, 0) >= count for kind in ("kept", "fresh") for s in self.sources(kind))

    def last_ack_of(self, address):
        return max((a.acked for a in self.write_acks + self.probe_acks if a.member == address), default=0)

    def reigns(self, since=0):
        """Reigns that acknowledged, in order: each change of the primary makes one."""
        out = []
        for a in sorted(self.write_acks, key=lambda a: a.acked):
            if a.acked >= since and (not out or out[-1] != a.timeline):
                out.append(a.timeline)
        return out

    def overlap_ms(self, kept):
        return overlap_ms(self.write_acks + self.probe_acks, kept)

    def compare(self, have, planned=True):
        """`have`: {member: {table: set of ids}}. (ids that a member lacks and that were promised, ids that were not, what is wrong).
        `planned`: nothing broke (Engine.promised)."""
        problems, lost, open_ = [], set(), {}
        for table in self.engine.tables:
            acks = [a for a in self.write_acks + self.probe_acks if self.engine.table(a.source) == table]
            for member, tables in have.items():
                missing = [a for a in acks if a.id not in tables[table]]
                broken = [a for a in missing if self.engine.promised(a.source, planned)]
                strange = {i for i in tables[table] if i >= 0} - self.attempted
                lost |= {a.id for a in broken}
                open_.update((a.id, a) for a in missing if a not in broken)
                if broken:
                    who = sorted({(a.source, a.member, a.timeline) for a in broken})
                    problems.append(f"{table} on {member}: {len(broken)} acknowledged writes are missing, of {who[:6]}")
                if strange:
                    problems.append(f"{table} on {member}: {len(strange)} rows that nobody wrote")
        return lost, open_, problems
