#!/usr/bin/python3
"""A real cluster of pods is broken in every way that people and machines have: helm install on the test bed, then case after case while
clients write; after each all acknowledged writes are compared with every member.

What must hold exactly: no acknowledged write is lost that was promised, never do two members acknowledge at the same time. Times are measured and printed
beside the goal; they fail a case only when they are many times worse. Needs what ./dev kube needs; status 3: this machine cannot.
"""
import argparse
import contextlib
import json
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "kube"), os.path.join(os.path.dirname(HERE), "integration")]

import cluster
import layout
import procs
import shell
from cases import CASES, cases_of
from engines import ENGINES
from procs import now_ns
from report import print_row, print_table, verdict, write_docs
from world import LOGS, Failure, World

BOUND = 60.0  # seconds until clients must write again, whatever was done
HEAL = 240.0  # seconds until all members must be well again


class Measure:
    """One case's clients, moments and findings."""

    def __init__(self, world, quick, say, goal=None):
        self.world, self.quick, self.say, self.goal = world, quick, say, goal
        self.at, self.healing, self.notes, self.problems, self.figures = None, None, [], [], {}
        self.bound = BOUND
        self.cleanup = contextlib.ExitStack()
        self.load = None
        self.loads = []
        self.begin_again()

    def begin_again(self):
        """Clients on a node without the primary; returns when they write."""
        if self.load:
            self.load.stop()
        self.primary = self.world.primary()
        self.node, self.address = self.world.node_of(self.primary), self.world.address(self.primary)
        self.load = self.world.load().start()
        self.loads.append(self.load)
        since = now_ns()
        self.world.wait("clients write", lambda: self.load.recovered(since, 5), 30)
        time.sleep(1)

    def fault(self, do):
        """An outage counts from before it was done: what a client sees may come before the call returns."""
        self.at = now_ns()
        self.say(f"fault at {self.primary} on {self.node}")
        do()

    @staticmethod
    def send_kill(pids):
        procs.send(pids, 9)

    def since(self):
        return (now_ns() - self.at) / 1e9

    def undo(self, do, *args):
        """Done at the end of the case, whatever happens."""
        self.cleanup.callback(do, *args)

    def healing_from(self):
        """The time until all is well counts from here: the fault was there until now."""
        self.healing = now_ns()
        self.say("undone")

    def note(self, text):
        self.notes.append(text)
        self.say(text)

    def problem(self, text):
        self.problems.append(text)
        self.say("PROBLEM " + text)

    def reigns(self):
        return self.load.reigns(self.load.begun)

    def leader_by_rows(self):
        last = max(self.load.write_acks, key=lambda a: a.acked).member
        return next((n for n, p in self.world.pods().items() if p["status"].get("podIP") == last), last)

    def wait_clients(self, timeout):
        since = now_ns()
        try:
            self.world.wait("all clients write", lambda: self.load.recovered(since), timeout)
        except Failure as late:
            raise Failure(f"{late}; last errors: {self.load.last_error}") from late

    def close(self):
        for load in self.loads:
            load.stop_event.set()
        for load in self.loads:
            load.stop()


def heal(m):
    """After the fault: clients write, members are well, a second more. Seconds until well."""
    if not m.load.stop_event.is_set():
        m.wait_clients(m.bound)
    well = m.world.wait_well(HEAL)
    if not m.load.stop_event.is_set():
        m.wait_clients(30)
        time.sleep(1)
    m.until = now_ns()
    m.load.stop()
    return well - (m.healing or m.at or m.load.begun) / 1e9


def judge(world, case, m, took):
    result = {"case": case.name, "what": case.function.__doc__, "goal_s": m.goal, "peer": world.engine.peer_of(case), "well_s": round(took, 1)}
    if m.at:
        result["closed_s"] = round(m.load.closed(m.at, m.until), 2)
        for kind in ("kept", "fresh"):
            gap, end = m.load.outage(kind, m.at, m.until)
            result.update({f"{kind}_s": round(gap, 2), f"{kind}_until_s": round(end, 2)})
            # A generous multiple: machines that run tests are noisy.
            if m.goal and result[f"{kind}_s"] > max(30, 10 * m.goal):
                m.problem(f"{kind} sessions were without service for {result[kind + '_s']} s; the goal is {m.goal:g} s")
    lost, unconfirmed, overlap, problems = 0, {}, 0.0, []
    for load in m.loads:  # they write into the same tables
        world.attempted |= load.attempted
    for load in m.loads:
        missing, open_, both, wrong = world.judge(load, case.planned)
        unconfirmed.update(open_)
        lost, overlap, problems = lost + missing, overlap + both, problems + wrong
    if unconfirmed:
        beside = sum(a.source.startswith("beside") for a in unconfirmed.values())
        m.note(f"unconfirmed and gone: {len(unconfirmed) - beside} of clients of the Service, {beside} of those beside members")
    result.update(acknowledged=sum(load.acknowledged() for load in m.loads), lost=lost, unconfirmed=len(unconfirmed),
                  overlap_ms=round(overlap, 1), notes=m.notes, **m.figures)
    result["problems"] = m.problems + problems
    return result


def run_case(world, case, quick):
    def say(text):
        print(f"    {time.strftime('%H:%M:%S')} {case.name}: {text}", flush=True)
    world.say = say
    m, failure, goal = None, None, world.engine.goal(case)
    say(case.function.__doc__)
    try:
        # Kubernetes' own parts ask again at intervals of up to a minute after the API server was away.
        world.wait("all nodes are Ready", lambda: len(world.bed.cluster.ready_nodes()) == len(world.bed.layout.nodes), 180, 0.5)
        world.wait_well(120)
        m = Measure(world, quick, say, goal)
        try:
            case.function(world, m)
            took = heal(m)
        finally:
            try:
                m.cleanup.close()
            finally:
                m.close()
        result = judge(world, case, m, took)
    except (AssertionError, shell.Failed, OSError, *world.engine.errors) as found:
        failure = f"{type(found).__name__}: {found}"
        result = {"case": case.name, "what": case.function.__doc__, "goal_s": goal, "peer": world.engine.peer_of(case), "notes": m.notes if m else [],
                  "problems": (m.problems if m else []) + [failure]}
    result["ok"] = not result["problems"]
    if verdict(result) != "ok":
        result["evidence"] = world.keep_evidence(case.name, "\n".join(result["problems"]) or verdict(result))
    if failure:
        say("the release is made anew: " + failure[:400])
        world.reset()
    else:
        world.empty()
    print_row(result)
    return result


def parse(argv):
    p = argparse.ArgumentParser(prog="./dev test --cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="Cases:\n" + "\n".join(f"  {c.name:16} {c.function.__doc__}" for c in CASES))
    p.add_argument("--engine", choices=sorted(ENGINES), default="postgresql", help="the database: its chart, its clients (default: postgresql)")
    p.add_argument("--only", metavar="CASE,...", help="these cases, in the given order")
    p.add_argument("--quick", action="store_true", help="a subset of less than ten minutes, with shorter waits")
    p.add_argument("--prefix", default="clus", help="of the bed (docs/TESTBED.md)")
    p.add_argument("--lock", choices=("configmap", "lease"), default="configmap", help="election.lock of the release")
    p.add_argument("--profile", choices=("default", "fast"), default="default", help="election.profile of the release")
    p.add_argument("--keep", action="store_true", help="leave the bed up")
    p.add_argument("--json", metavar="FILE", help="write the results there, too")
    p.add_argument("--write-docs", action="store_true", help="put the table into docs/RELIABILITY.md")
    o = p.parse_args(argv)
    known = {c.name: c for c in cases_of(ENGINES[o.engine])}
    wrong = [n for n in (o.only or "").split(",") if n and n not in known]
    if wrong:
        p.error(f"--only: no case '{wrong[0]}'; there are {', '.join(known)}")
    if o.write_docs and (o.only or o.quick):
        p.error("--write-docs: the page has all cases; not with --only or --quick")
    o.cases = [known[n] for n in o.only.split(",") if n] if o.only else [c for c in known.values() if c.quick or not o.quick]
    return o


def run(o, results):
    def say(text):
        print(f"    {text}", flush=True)
    shutil.rmtree(os.path.join(LOGS, o.engine), ignore_errors=True)
    world = World.up(o.prefix, ENGINES[o.engine], say, o.keep)
    try:
        world.values["mainstay"]["election"] = {"lock": o.lock, "profile": o.profile}
        took = world.install()
        problems = world.prepare() + world.helm_test()
        results.append({"case": "install", "what": "helm install until all members are Ready and acknowledge", "well_s": round(took, 1),
                        "ok": not problems, "problems": problems, "notes": [], "goal_s": None, "peer": ""})
        print_row(results[-1])
        for case in o.cases:
            if case.name.startswith("volatile") and world.values.get("persistence") is None:  # claims of a StatefulSet cannot change
                say("the release is made anew, without volumes")
                world.clear()
                world.values.update(persistence={"enabled": False})
                world.parameters.update(appendonly="no", save="")
                world.install()
            results.append(run_case(world, case, o.quick))
    finally:
        if o.keep:
            say(f"the bed stays: ./dev kube --prefix {o.prefix} kubectl -n db get pods; ./dev kube --prefix {o.prefix} down")
        else:
            world.close()


def main(argv):
    o = parse(argv)
    procs.unwind_on_signals()
    results, begun, broken = [], time.monotonic(), None
    try:
        run(o, results)
    except layout.CannotHere as reason:
        print(f"cluster: cannot here: {reason}", file=sys.stderr)
        return layout.EXIT_CANNOT
    except (AssertionError, shell.Failed, cluster.AlreadyUp, OSError, *ENGINES[o.engine].errors) as failure:
        broken = f"{type(failure).__name__}: {failure}"
    except (KeyboardInterrupt, procs.Interrupted):
        broken = "interrupted"
    print_table(results, ENGINES[o.engine].peer)
    print(f"\n{len(results)} results in {time.monotonic() - begun:.0f} s" + (f"; ended early: {broken}" if broken else ""))
    if o.json:
        with open(o.json, "w", encoding="utf-8") as f:
            json.dump({"date": time.strftime("%F %T"), "engine": o.engine, "lock": o.lock, "profile": o.profile, "quick": o.quick, "results": results,
                       "ended_early": broken}, f, indent=1)
            f.write("\n")
    if o.write_docs and results:
        write_docs(results, o)
    return 1 if broken or not all(r["ok"] for r in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
