"""What is done to the cluster. Each case is one function of the world and the measurement; the sentence of its table is its docstring.

A case calls m.fault(...) at the moment from which an outage counts, and returns when what it did is done (or undone by m.undo). The
runner then waits until all clients write again and all members are well, and compares all rows (run.py).
"""
import time
from collections import namedtuple

import cases_change
from engine import NODE
from world import Failure

# planned: nothing breaks, people only change something. engines: names of those that have the case; None: all.
Case = namedtuple("Case", "name function goal peer quick planned engines", defaults=(False, None))

# CloudNativePG 1.30.0, same kind of machine and bed, through its Service, measured 2026-11-23: seconds. Only what was measured there.
DEAD, KILL, SWITCH, DELETE = "75-79", "7.5-8.0", "7.5-8.7", "188"
FORCE, ISOLATED, API = "17.8-26.5", "75-79; isolated one acknowledged 208", "0.1"


def kill_server(w, m):
    """kill -9 of the primary's server (postmaster, redis-server)"""
    m.fault(lambda: w.bed.kill_in(m.primary, w.engine.container, w.engine.process, "db"))


def kill_agent(w, m):
    """kill -9 of the primary's agent"""
    m.fault(lambda: w.bed.kill_in(m.primary, "mainstay", "main", "db"))


def kill_shim(w, m):
    """kill -9 of the primary's shim: process 1 of the database's container, so of the container"""
    m.fault(lambda: w.bed.kill_in(m.primary, w.engine.container, "main", "db"))


def kill_containers(w, m):
    """kill -9 of everything in the primary's pod, agent and database: nobody is left to tell it, as when a node dies"""
    pids = [p for c in ("mainstay", w.engine.container) for p in w.bed.find_in(m.primary, c, "all", "db")]
    m.fault(lambda: m.send_kill(pids))


def delete_pod(w, m):
    """kubectl delete pod of the primary, 20 sessions open (idle, in a transaction, waiting)"""
    pool = w.engine.pool(m.load.service, m.load.where)
    m.undo(pool.close)
    old = w.pods()[m.primary]["metadata"]["uid"]
    m.fault(lambda: w.kubectl("delete", "pod", m.primary, "--wait=false"))
    w.wait("the pod is made anew", lambda: w.pods()[m.primary]["metadata"]["uid"] != old, 120)


def delete_force(w, m):
    """kubectl delete pod --force --grace-period=0 of the primary"""
    old = w.pods()[m.primary]["metadata"]["uid"]
    m.fault(lambda: w.kubectl("delete", "pod", m.primary, "--force", "--grace-period=0", "--wait=false"))
    w.wait("the pod is made anew", lambda: w.pods()[m.primary]["metadata"]["uid"] != old, 120)


def switchover(w, m):
    """mainstay switchover"""
    m.fault(lambda: w.kubectl("exec", m.primary, "-c", "mainstay", "--", "mainstay", "switchover", "--yes"))
    w.wait("another primary", lambda: w.primary() not in (None, m.primary), 60)


def node_cut(w, m):
    """the primary's node loses its network; a client on it writes on to the pod's own address"""
    m.undo(w.bed.restore, m.node)
    m.fault(lambda: w.bed.cut(m.node))
    m.wait_clients(60)
    w.wait("the session beside the isolated primary is ended", lambda: m.load.broken.get(m.address, 0) > m.at, w.deadline + 20)
    ended = (m.load.broken[m.address] - m.at) / 1e9
    last = max(0, m.load.last_ack_of(m.address) - m.at) / 1e9
    m.figures.update(isolated_last_ack_s=round(last, 2), isolated_ended_s=round(ended, 2))
    m.note(f"isolated primary: last acknowledged {last:.2f} s after the cut, sessions ended after {ended:.1f} s (deadline {w.deadline:g})")
    if last > w.deadline or ended > w.deadline + 1:
        m.problem(f"the isolated primary was not silent within {w.deadline:g} s: last row {last:.2f} s, its session ended {ended:.1f} s after the cut")
    time.sleep(max(0, 20 - m.since()))
    w.bed.restore(m.node)
    m.healing_from()


def node_power(w, m):
    """power cut of the primary's node; power again after 20 s"""
    m.undo(_power_on, w, m.node)
    m.fault(lambda: w.bed.power_off(m.node))
    m.wait_clients(60)
    time.sleep(max(0, 20 - m.since()))
    _power_on(w, m.node)
    m.healing_from()


def _power_on(w, node):
    if node not in w.bed.cluster.ready_nodes() or not w.bed.daemons.pid(f"kubelet-{node}"):
        w.bed.power_on(node)


def api_cut(w, m):
    """the primary's node is cut off from the API server alone, for 30 s"""
    m.undo(w.bed.unblock, m.node)
    m.fault(lambda: w.bed.block(m.node, "api"))
    time.sleep(30)
    m.note(f"led by {m.leader_by_rows()}")
    w.bed.unblock(m.node)
    m.healing_from()


def kubelet_stopped(w, m):
    """the kubelet of the primary's node is stopped for 60 s"""
    m.undo(w.bed.start_kubelet, m.node)
    before = w.primary()
    m.fault(lambda: w.bed.stop_kubelet(m.node))
    time.sleep(20 if m.quick else 60)
    if w.primary() != before or len(m.reigns()) > 1:
        m.problem(f"a stopped kubelet changed the primary from {before} to {w.primary()}")
    w.bed.start_kubelet(m.node)
    m.healing_from()


def api_down(w, m):
    """the API server is stopped for 60 s"""
    m.undo(w.bed.api_start)
    m.fault(w.bed.api_stop)
    time.sleep(20 if m.quick else 60)
    if len(m.reigns()) > 1:
        m.problem("the primary changed while the API server was away")
    w.bed.api_start()
    m.healing_from()


def api_down_kill(w, m):
    """the API server is stopped; 10 s later the primary's server is killed; the API server is back after 30 s more"""
    pids = w.bed.find_in(m.primary, w.engine.container, w.engine.process, "db")[:1]
    # The agents are through within seconds; Kubernetes' own watchers (endpoints, kube-proxy) ask again at intervals of up to a minute.
    m.bound = 180
    m.undo(w.bed.api_start)
    w.bed.api_stop()
    time.sleep(10)
    m.fault(lambda: m.send_kill(pids))
    end = time.monotonic() + 30
    while time.monotonic() < end and not m.load.recovered(m.at):
        time.sleep(0.1)
    back = m.since() if m.load.recovered(m.at) else None
    m.note("written again without the API server" if back else "nobody may take over without the lock: written again when the API server was back")
    time.sleep(max(0.0, end - time.monotonic()))
    w.bed.api_start()
    m.healing_from()


def drain(w, m):
    """kubectl drain of the primary's node (PodDisruptionBudget respected), uncordon"""
    m.undo(w.bed.kubectl, "uncordon", m.node)
    m.fault(lambda: w.bed.kubectl("drain", m.node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=110s", timeout=120))
    m.wait_clients(60)
    if w.primary() == m.primary:
        raise Failure(f"{m.primary} still leads though its node is drained")
    w.bed.kubectl("uncordon", m.node)
    m.healing_from()


def pvc_lost(w, m):
    """the primary's pod, claim and data are gone: cloned anew"""
    claim = f"data-{m.primary}"
    old = w.bed.get("pvc", claim, "db")["metadata"]["uid"]
    w.kubectl("delete", "pvc", claim, "--wait=false")
    m.fault(lambda: w.kubectl("delete", "pod", m.primary, "--wait=false"))
    w.wait("another claim", lambda: w.bed.get("pvc", claim, "db")["metadata"]["uid"] != old, 150)
    w.wait("another volume", lambda: w.bed.get("pvc", claim, "db")["status"]["phase"] == "Bound", 120)
    m.undo(w.bed.recycle_volumes)


def volatile_container(w, m):
    """persistence off: kill -9 of the primary's shim, so that its container starts again, without data"""
    m.fault(lambda: w.bed.kill_in(m.primary, w.engine.container, "main", "db"))


def volatile_pods(w, m):
    """persistence off: the primary's pod is deleted (it hands over), then the next primary's with --force"""
    for kind in ([], ["--force", "--grace-period=0"]):
        lead = w.primary()
        old = w.pods()[lead]["metadata"]["uid"]
        if m.at is None:
            m.fault(lambda: w.kubectl("delete", "pod", m.primary, "--wait=false"))
        else:
            w.kubectl("delete", "pod", lead, "--wait=false", *kind)
        w.wait("the pod is made anew", lambda: w.pods().get(lead, {"metadata": {"uid": old}})["metadata"]["uid"] != old, 120)
        w.wait_well(120)


CASES = [
    Case("kill-server", kill_server, 1.5, KILL, True),
    Case("kill-agent", kill_agent, 1.5, "", False, True),
    Case("kill-shim", kill_shim, 1.5, "", True),
    Case("kill-containers", kill_containers, NODE, "", False),
    Case("switchover", switchover, 1.5, SWITCH, False, True),
    Case("delete-pod", delete_pod, 1.5, DELETE, True, True),
    Case("delete-force", delete_force, 1.5, FORCE, True),
    Case("node-cut", node_cut, NODE, ISOLATED, True),
    Case("node-power", node_power, NODE, DEAD, False),
    Case("kubelet-stopped", kubelet_stopped, 1.5, "", False, True),
    Case("drain", drain, 1.5, "", False, True),
    Case("api-down", api_down, 1.5, API, True, True),
    Case("api-cut-primary", api_cut, NODE, "", False),
    Case("api-down-kill", api_down_kill, None, "", False),
    Case("upgrade-reload", cases_change.upgrade_reload, 1.5, "", False, True),
    Case("upgrade-restart", cases_change.upgrade_restart, 1.5, "", True, True),
    Case("upgrade-other", cases_change.upgrade_other, 1.5, "", False, True),
    Case("scale", cases_change.scale, 1.5, "", False, True),
    Case("pvc-lost", pvc_lost, 1.5, "", False, True),
    Case("password", cases_change.password, 1.5, "", False, True, ("redis",)),
    Case("reinstall", cases_change.reinstall, None, "", True, True),
    # The last ones: they install the release anew.
    Case("volatile", volatile_container, 1.5, "", True, False, ("redis",)),
    Case("volatile-pods", volatile_pods, 1.5, "", False, False, ("redis",)),
]


def cases_of(engine):
    return [c for c in CASES if c.engines is None or engine.name in c.engines]
