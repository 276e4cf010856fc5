"""The tour of Redis: one fault after the other on a running cluster, while writers count what was acknowledged.

As tour.py, whose results these are too, with the writers and the prober of redis_load.py: {step, outage_s, acknowledged, lost,
overlap_ms, full_resyncs, primary, why, ...}.
  outage_s      the longest time without an acknowledged write, from the fault until everybody had joined again
  acknowledged  writes acknowledged during the step; with three members each is confirmed by a replica (WAIT 1)
  lost          those of them that are missing on any running member after it has what the primary has
  overlap_ms    time during which two members certainly were primaries
"""
import datetime
import os
import signal
import time

import procs
from harness import Failure
from procs import now_ns
from tour import BOUND, ENOUGH, Tour


class RedisTour(Tour):
    def __init__(self, cluster, load, prober):
        super().__init__(cluster, load)
        self.prober = prober

    def steps(self):
        out = [("crash", "kill -9 of the primary's redis-server", self.crash),
               ("hang", "SIGSTOP of the primary's redis-server until another one leads, then SIGCONT", self.hang),
               ("agent_freeze", "SIGSTOP of the primary's agent until it is fenced and replaced, then SIGCONT", self.agent_freeze),
               ("node_death", "agent, shim and server of the primary killed at once", self.node_death),
               ("switchover", "planned switchover", self.switchover),
               ("return", "the dead node comes back", self.come_back)]
        return out if len(self.c.members) > 1 else out[:1]

    def step(self, name, run):
        c, load = self.c, self.load
        old = c.wait_ready(BOUND)
        time.sleep(0.5)
        mark, copies = load.acknowledged(), c.sync_counts()
        begun, wall = now_ns(), datetime.datetime.utcnow().isoformat()
        run(old)
        until = now_ns()
        primary = c.wait_ready(BOUND)
        joined = now_ns()
        c.caught_up(primary)
        with load.lock:
            acks = load.acks[mark:]
        lost = load.lost([m for m in c.members if m.running()], acks)
        return {
            "step": name, "outage_s": round(load.gap(begun, joined), 3), "acknowledged": len(acks), "lost": len(lost),
            "overlap_ms": round(sum(ms for _, _, ms in self.prober.both(begun)), 1), "full_resyncs": c.copies_since(copies),
            "primary": primary.name, "why": self.why(primary, old, wall), "from": old.name, "epoch": (primary.status() or {}).get("epoch"),
            "fault_s": round((until - begun) / 1e9, 3), "joined_s": round((joined - begun) / 1e9, 3), "missing": sorted(lost)[:10],
        }

    # ---- the faults ----
    def crash(self, old):
        old.kill_server()
        self.writes_again()

    def hang(self, old):
        pid = old.server_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.writes_again(self.c.wait_primary(BOUND, other_than=old))
        finally:
            if old.server_pid() == pid:
                procs.send([pid], signal.SIGCONT)

    def writes_again(self, member=None):
        if not self.load.wait_acked(now_ns(), ENOUGH, BOUND, member.name if member else None):
            raise Failure(f"no write was acknowledged within {BOUND} s\n{self.c.describe()}")
