#!/usr/bin/python3
"""./dev demo redis: three members of Redis on this machine, to look at and to break.

Starts three redis-servers, each with its shim and its agent, in a scratch folder on free ports; shows what there is and what to
try; Ctrl-C stops and removes everything. --tour breaks them one way after the other while writers count what was acknowledged
(each write is confirmed by a replica, WAIT 1) and a prober asks every member all the time whether it is a primary.
"""
import argparse
import os
import sys
import time

import procs
from demo import Progress, bold, cluster_activity, dim, introduce_command, live, out, paint, status_text, walk, write_pids
from harness import Failure
from redis_harness import APP, PASSWORD, REDIS_BIN, RedisCluster
from redis_load import Prober
from redis_tour import RedisTour

# How the data are kept, as redis.parameters say it.
KEEP = {"rdb": {}, "aof": {"save": "", "appendonly": "yes"}, "none": {"save": "", "appendonly": "no"}}


def parse(argv):
    p = argparse.ArgumentParser(prog="./dev demo redis", description=__doc__.split("\n\n", 1)[1],
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tour", action="store_true", help="crash, hang, agent freeze, node death, switchover, return; then end")
    p.add_argument("--json", metavar="FILE", help="with --tour: write the results as a JSON array")
    p.add_argument("--members", type=int, default=3, metavar="N", help="1 to 7 (default 3)")
    p.add_argument("--profile", choices=("default", "fast"), default="default", help="timing: lease of 8 s or of 2.2 s")
    p.add_argument("--persistence", choices=tuple(KEEP), default="rdb", help="files of the servers (default rdb: now and then)")
    p.add_argument("--keep", action="store_true", help="leave the folder with data and logs at the end")
    p.add_argument("--build", metavar="DIR", help=argparse.SUPPRESS)
    p.add_argument("--seconds", type=float, help=argparse.SUPPRESS)  # for tests: end by itself
    o = p.parse_args(argv)
    if not 1 <= o.members <= 7:
        p.error("--members: 1 to 7")
    if o.json and not o.tour:
        p.error("--json goes with --tour")
    return o


def introduce(cluster):
    """Connections and things to try."""
    c = cluster
    command = introduce_command(c)
    primary = c.primary() or c.members[0]
    client = f"redis-cli --user {APP} --pass {PASSWORD} --no-auth-warning"
    out()
    out(bold("Connect"))
    for m in c.members:
        out(f"  {m.name}: {client} -p {m.pg_port}   HTTP http://127.0.0.1:{m.http_port}/status   logs {m.home}/")
    out(f"  where is the primary, for clients that know Sentinel:  redis-cli -p {primary.sentinel_port} sentinel get-master-addr-by-name {c.name}")
    out()
    out(bold("Try, in another terminal"))
    out(f"  alias mainstay={command}")
    pids = os.path.join(c.scratch.path, "pids")
    tries = [
        ("watch it", "mainstay status --watch"),
        ("write something", f"{client} -p {primary.pg_port} set greeting hello"),
        ("kill the primary's server", f"kill -9 $(cat {pids}/primary-server)"),
        ("freeze the primary's agent: the shim ends the server's reign without it (later: kill -CONT)", f"kill -STOP $(cat {pids}/primary-agent)"),
        ("change the primary as planned: nothing is lost, nothing is copied again", "mainstay switchover --yes"),
        ("no automatic failover for a while", "mainstay pause --yes; mainstay status; mainstay resume --yes"),
        ("ask why", "mainstay why"),
        ("throw a replica's data away and let it be copied again",
         f"mainstay reinit {next((m.name for m in c.members if m is not primary), primary.name)} --yes"),
    ]
    for i, (what, how) in enumerate(tries if len(c.members) > 1 else tries[:3] + tries[6:7], 1):
        out(f"  {i}. {what}\n       {bold(how)}")


def tour(cluster, load, o):
    prober = Prober(cluster).start()
    t = RedisTour(cluster, load, prober)
    out()
    out(bold(f"{'step':13} {'outage':>9} {'acked':>7} {'lost':>5} {'overlap':>8} {'copies':>7}  primary"))
    failed = walk(t, load, o, lambda r: f"{r['step']:13} {r['outage_s']:8.3f}s {r['acknowledged']:7d} {r['lost']:5d} {r['overlap_ms']:6.0f}ms "
                                        f"{r['full_resyncs']:7d}  {bold(r['primary'])} (epoch {r['epoch']})")
    load.stop()
    prober.stop()
    with Progress("comparing all acknowledged writes with all members"):
        lost = cluster.check(load, allow_loss=True)
    both = prober.both()
    out()
    out(f"{load.acknowledged()} writes acknowledged, {lost} lost, on {len(cluster.members)} members compared key by key; two primaries at the "
        f"same time: {'never seen' if not both else both}. (copies: full resyncs)")
    return 1 if failed or lost or both else 0


def run(o):
    cluster, code, began = RedisCluster(o.members, profile=o.profile, parameters=KEEP[o.persistence], build=o.build), 0, time.monotonic()
    try:
        out(f"{o.members} members of Redis ({REDIS_BIN}), profile {o.profile}, persistence {o.persistence}, in {cluster.scratch.path}")
        if o.keep:
            cluster.keep()
        cluster.start()
        with Progress("founding the cluster", lambda: cluster_activity(cluster)):
            cluster.wait_ready(180)
        out(f"ready after {time.monotonic() - began:.0f} s\n")
        out(status_text(cluster))
        load = cluster.load(pause=0.004 if o.tour else 0.02, wait=1 if o.members > 1 else None).start()
        if o.tour:
            code = tour(cluster, load, o)
        else:
            write_pids(cluster, "server")
            introduce(cluster)
            live(cluster, load, o.seconds, "server")
    except (KeyboardInterrupt, procs.Interrupted):
        out("\nstopping")
    except Failure as e:
        cluster.keep()
        out(f"\n{paint('31', 'demo: ' + str(e))}\n\nlogs are kept in {cluster.scratch.path}")
        code = 1
    finally:
        with Progress("stopping everything"):
            cluster.close()
    if o.keep:
        out(f"data and logs are in {cluster.scratch.path}")
    return code


if __name__ == "__main__":
    procs.unwind_on_signals()
    sys.exit(run(parse(sys.argv[1:])))
