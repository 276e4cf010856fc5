#!/usr/bin/python3
"""./dev torture: random faults on a real cluster for as long as you like, judged after every few of them.

Draws, from a seed, members and faults (kill and stop of postmaster, whole database, agent, shim, everything; two at once; switchover,
restart, reinit, lock deleted) while clients write, lets things heal, compares row by row, and goes on. Ends at the first loss,
overlap or cluster that does not heal, keeps all logs and prints the seed and the schedule.

With --durability async a failover may lose writes: they are counted. Two members that acknowledge at the same time end it all the
same. The whole machine is not stopped then: what it had in its hands when it was stopped it may still answer when it goes on, and
without synchronous standbys nothing tells that apart from a second primary.
"""
import argparse
import os
import random
import subprocess
import sys
import time

import procs
from base import save_logs
from harness import APP, Cluster, Failure
from procs import now_ns

HEAL = 120


class Torture:
    def __init__(self, cluster, rng, spared=()):
        self.c, self.rng, self.schedule = cluster, rng, []
        kept = [(f, w) for f, w in zip(self.FAULTS, self.WEIGHTS) if f.__name__ not in spared]
        self.faults, self.weights = zip(*kept)

    def pick(self):
        """The primary half of the time: that is where it hurts."""
        p = self.c.primary()
        return p if p is not None and self.rng.random() < 0.5 else self.rng.choice(self.c.members)

    # Each returns a function that undoes it, or None.
    def kill_postmaster(self, m):
        if m.postmaster_pid():
            m.kill_postmaster()

    def stop_database(self, m):
        if m.postmaster_pid():
            m.pause_database()
        return m.resume_database

    def kill_agent(self, m):
        m.agent.kill()

    def stop_agent(self, m):
        m.agent.pause()
        return m.agent.resume

    def kill_shim(self, m):
        m.shim.kill()

    def stop_shim(self, m):
        m.pause_shim()
        return m.resume_all

    def kill_all(self, m):
        m.kill_all()

    def stop_all(self, m):
        m.pause_all()
        return m.resume_all

    def switchover(self, m):
        m.ctl("switchover", timeout=20, check=False)

    def restart(self, m):
        m.ctl("restart", m.name, timeout=20, check=False)

    def reinit(self, m):
        m.ctl("reinit", m.name, timeout=20, check=False)

    def delete_lock(self, _m):
        try:
            os.unlink(os.path.join(self.c.lock_dir, "lock.json"))
        except FileNotFoundError:
            pass

    FAULTS = (kill_postmaster, stop_database, kill_agent, stop_agent, kill_shim, stop_shim, kill_all, stop_all, switchover, restart,
              reinit, delete_lock)
    WEIGHTS = (4, 3, 3, 4, 2, 2, 4, 4, 2, 1, 1, 1)

    def round(self, say):
        undo = []
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            m, fault = self.pick(), self.rng.choices(self.faults, self.weights)[0]
            if not m.running():
                continue
            entry = f"{fault.__name__} {m.name}{' (primary)' if m is self.c.announced_primary() else ''}"
            self.schedule.append(entry)
            say(entry)
            back = fault(self, m)
            if back:
                undo.append((m, back))
            time.sleep(self.rng.choice((0, 0.2, 1)))
        time.sleep(self.rng.choice((0.5, 2, 5, 12)))
        for m, back in undo:
            if m.shim.running():
                try:
                    back()
                except ProcessLookupError:
                    pass
        self.restart_what_is_gone()

    def restart_what_is_gone(self):
        for m in self.c.members:
            if not m.shim.running():
                m.start_shim()
            if not m.agent.running():
                m.start_agent()


def emptied(cluster):
    """What was compared need not be carried on. Tried again when the primary changes just now."""
    primary = cluster.primary()
    try:
        return primary is not None and primary.superuser("TRUNCATE mainstay_rows, mainstay_probe", APP) == ""
    except (Failure, subprocess.TimeoutExpired):
        return False


def parse(argv):
    p = argparse.ArgumentParser(prog="./dev torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--members", type=int, default=3)
    p.add_argument("--profile", choices=("default", "fast"), default="fast")
    p.add_argument("--durability", choices=("guarded", "strict", "async"), default="guarded")
    p.add_argument("--takeover", choices=("quorum", "lease"), default="quorum")
    p.add_argument("--logs", default="build/torture-logs", metavar="DIR", help="where the logs of a failure go")
    p.add_argument("--build", metavar="DIR", help=argparse.SUPPRESS)
    return p.parse_args(argv)


def main(argv):
    o = parse(argv)
    procs.unwind_on_signals()
    rng, end, rounds, acked, gaps = random.Random(o.seed), time.monotonic() + o.minutes * 60, 0, 0, []
    print(f"seed {o.seed}, {o.minutes:g} minutes, {o.members} members, {o.profile}, {o.durability}, {o.takeover}", flush=True)
    cluster = Cluster(o.members, profile=o.profile, durability=o.durability, takeover=o.takeover, build=o.build)
    loses = o.durability == "async"
    torture, load, lost = Torture(cluster, rng, ("stop_all",) if loses else ()), None, 0
    try:
        cluster.start()
        cluster.prepare()
        cluster.wait_ready(120)
        while time.monotonic() < end:
            load = cluster.load().start()
            if not load.wait_acked(count=10, timeout=HEAL):
                raise Failure("no writes\n" + cluster.describe())
            for _ in range(3):
                since = now_ns()
                torture.round(lambda text: print(f"  {time.strftime('%H:%M:%S')} {text}", flush=True))
                # A deleted lock is noticed with the next renewal: until then its holder only seems ready.
                cluster.wait("there is a lock", lambda: os.path.exists(os.path.join(cluster.lock_dir, "lock.json")), HEAL)
                cluster.wait_ready(HEAL, cluster.members)
                if not load.wait_acked(after_ns=now_ns(), count=3, timeout=HEAL):
                    raise Failure("no writes\n" + cluster.describe())
                gaps.append(load.outage(since)[0])
                rounds += 1
            load.stop()
            lost += cluster.check(load, HEAL, cluster.members, allow_loss=loses)
            acked += load.acknowledged()
            cluster.wait("the tables are emptied", lambda: emptied(cluster), HEAL)
            gaps.sort()
            print(f"{time.strftime('%H:%M:%S')} {rounds} rounds, {acked} acknowledged, {lost} lost, no overlap; outage median "
                  f"{gaps[len(gaps) // 2]:.2f} s, worst {gaps[-1]:.2f} s", flush=True)
        return 0
    except Failure as e:
        save_logs(cluster, os.path.abspath(o.logs))
        print(f"FAILED after {rounds} rounds, seed {o.seed}: {e}\nschedule: {'; '.join(torture.schedule[-20:])}", flush=True)
        return 1
    except (KeyboardInterrupt, procs.Interrupted):
        print(f"\nstopped after {rounds} rounds, nothing wrong so far")
        return 0
    finally:
        if load:
            load.stop_event.set()
        cluster.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
