"""The tour: one fault after the other on a running cluster, while writers count what was acknowledged.

    tour = Tour(cluster, load, say=print)
    for name, title, run in tour.steps(): result = tour.step(name, run)

A result is {step, outage_s, acknowledged, lost, overlap_ms, primary, why} and more that --json keeps: took_s, from, epoch.
  outage_s      the longest time without an acknowledged write, from the fault until everybody had joined again
  acknowledged  writes acknowledged to the writers and probers during the step
  lost          those of them that are missing on any running member after it replayed everything
  overlap_ms    time during which two members acknowledged writes
"""
import datetime
import time

import psycopg2

from harness import Failure
from procs import now_ns
from workload import Late, overlap_ms

# Bound of a whole step; a step's own target is in bench/budgets.json.
BOUND = 90
# Acknowledged writes after a fault before the step ends: a row's figures speak of that many at least.
ENOUGH = 30


class Tour:
    def __init__(self, cluster, load, say=lambda text: None):
        self.c, self.load, self.say = cluster, load, say
        self.dead = None  # the member that the node death took

    def steps(self):
        out = [("crash", "kill -9 of the primary's postmaster", self.crash),
               ("agent_freeze", "SIGSTOP of the primary's agent until it is fenced and replaced, then SIGCONT", self.agent_freeze),
               ("node_death", "agent, shim and database of the primary killed at once", self.node_death),
               ("switchover", "planned switchover", self.switchover),
               ("return", "the dead node comes back", self.come_back)]
        if len(self.c.members) < 2:
            return [out[0]]
        return out

    def step(self, name, run):
        c, load = self.c, self.load
        old = c.wait_ready(BOUND)
        time.sleep(0.5)
        mark = (len(load.write_acks), len(load.probe_acks), len(load.fresh_acks))
        begun, wall = now_ns(), datetime.datetime.utcnow().isoformat()
        run(old)
        until = now_ns()
        primary = c.wait_ready(BOUND)
        joined = now_ns()
        acks = load.write_acks[mark[0]:] + load.probe_acks[mark[1]:] + load.fresh_acks[mark[2]:]
        outage, _ = load.outage(begun, joined)
        lost, missing = self.lost(primary, acks)
        status = primary.status() or {}
        return {
            "step": name, "outage_s": round(outage, 3), "acknowledged": len(acks), "lost": lost,
            "overlap_ms": round(overlap_ms(acks), 1), "primary": primary.name, "why": self.why(primary, old, wall),
            "from": old.name, "epoch": status.get("epoch"), "fault_s": round((until - begun) / 1e9, 3),
            "joined_s": round((joined - begun) / 1e9, 3), "missing": missing,
        }

    def lost(self, primary, acks):
        """(count, what) of the acknowledged rows that are missing on a running member once it replayed everything."""
        want = {"mainstay_rows": set(), "mainstay_probe": set()}
        for a in acks:
            want["mainstay_rows" if a.source.startswith("writer") else "mainstay_probe"].add(a.id)
        lsn = primary.superuser("SELECT pg_current_wal_flush_lsn()")
        worst, missing = 0, []
        for m in self.c.members:
            if not m.running():
                continue
            if m is not primary:
                self.c.wait(f"{m.name} replayed {lsn}", lambda m=m: self.c._replayed(m, lsn), BOUND)
            for table, ids in want.items():
                if not ids:
                    continue
                have = {r[0] for r in m.sql(f"SELECT id FROM {table} WHERE id >= %s", (min(ids),), timeout=60)}
                gone = sorted(ids - have)
                if gone:
                    worst = max(worst, len(gone))
                    missing.append({"member": m.name, "table": table, "count": len(gone), "ids": gone[:10]})
        return worst, missing

    def why(self, primary, old, begun_wall):
        """Why this member is the primary: the trigger and the judgement, in the core's own words and facts."""
        decisions = self.c.why(primary, 100)
        if primary is old:
            kept = [d for d in decisions if d["row"] in STAYS and d.get("time", "") >= begun_wall]
            return sentence(kept[-1]) if kept else "it went on leading"
        for i in range(len(decisions) - 1, -1, -1):
            if decisions[i]["row"] in TAKES:
                cause = next((d for d in reversed(decisions[:i]) if d["row"] in CAUSES), None)
                return (sentence(cause) + " " if cause else "") + sentence(decisions[i])
        return "its decisions are no longer kept"

    # ---- the faults; each returns when writes go on and the cluster may heal ----
    def crash(self, old):
        old.kill_postmaster()
        self.writes_again()

    def agent_freeze(self, old):
        old.freeze_agent()
        try:
            self.say("waiting until the frozen primary is fenced and replaced")
            new = self.c.wait_primary(BOUND, other_than=old)
            self.writes_again(new)
            self.c.wait("the old primary's database is gone or no primary", lambda: not old.accepts_writes(), BOUND)
        finally:
            old.agent.resume()

    def node_death(self, old):
        old.kill_all()
        self.dead = old
        self.writes_again()

    def switchover(self, old):
        old.ctl("switchover", timeout=60)
        self.writes_again(self.c.wait_primary(BOUND, other_than=old))

    def come_back(self, _old):
        member, self.dead = self.dead, None
        if member is None:
            raise Failure("nobody is away")
        member.start()
        self.c.wait_ready(BOUND)

    def writes_again(self, member=None):
        """Writes that were sent after now are acknowledged (by that member)."""
        if not self.load.wait_acked(member.name if member else None, now_ns(), ENOUGH, BOUND):
            raise Failure(f"no write was acknowledged within {BOUND} s\n{self.c.describe()}")


# Rows of the core's table (mainstay fsm) that answer "why is it the primary".
CAUSES = ("replica.suspect", "replica.candidate", "replica.found")
TAKES = ("candidate.take", "replica.found", "acquire.probation")
STAYS = ("primary.crash-reopen", "holder.recreate", "switchover.rolled-back", "holder.failsafe")


def sentence(d):
    facts = d.get("facts", "")
    return d.get("sentence", "") + (f" ({facts})" if facts else "")


def safe_primary(cluster):
    try:
        return cluster.primary()
    except (psycopg2.Error, Late, OSError):
        return None
