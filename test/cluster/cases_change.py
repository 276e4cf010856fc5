"""Cases in which people change the release: upgrades, scaling, uninstall and reinstall on the kept volumes."""
import base64
import json

from procs import now
from world import Failure, NAMESPACE


def _runs(w):
    """What would differ had a pod or one of its containers been restarted."""
    return {n: (p["metadata"]["uid"], [c["restartCount"] for c in p["status"]["containerStatuses"] + p["status"]["initContainerStatuses"]])
            for n, p in w.pods().items()}


def _rolled(w):
    s = w.bed.get("statefulset", w.release, NAMESPACE)
    st = s["status"]
    return (st.get("observedGeneration") == s["metadata"]["generation"] and st.get("updatedReplicas", 0) == w.instances
            and st["currentRevision"] == st["updateRevision"] and st.get("readyReplicas", 0) == w.instances)


def upgrade_reload(w, m):
    """helm upgrade with parameters that are reloaded: nothing restarts"""
    before = _runs(w)
    name, one, other = w.engine.reload
    want = other if w.engine.show(w, name)[m.primary] == one else one
    w.parameters[name] = want
    m.fault(lambda: w.helm("upgrade"))
    w.wait(f"{name} is {want} at all members", lambda: set(w.engine.show(w, name).values()) == {want}, 200, 1)
    m.note(f"in force everywhere after {m.since():.0f} s")
    if _runs(w) != before:
        m.problem(f"something restarted: {before} before, {_runs(w)} after")
    if len(m.reigns()) > 1:
        m.problem("the primary changed")


def _upgrade(w, m, at_most):
    lead = m.primary
    m.fault(lambda: w.helm("upgrade"))
    w.wait("all pods are of the new revision", lambda: _rolled(w), 400, 0.5)
    changes = len(m.reigns()) - 1
    m.figures["switchovers"] = changes
    m.note(f"{lead} led; rolled in {m.since():.0f} s with {changes} change{'s' * (changes != 1)} of the primary")
    if changes > at_most:
        m.problem(f"{changes} changes of the primary, not at most {at_most}")


def _lead_with(w, m, member):
    if m.primary != member:
        w.kubectl("exec", m.primary, "-c", "mainstay", "--", "mainstay", "switchover", member, "--yes")
        w.wait(f"{member} leads", lambda: w.primary() == member, 60)
        w.wait_well(60)
        m.begin_again()


def upgrade_restart(w, m):
    """helm upgrade with parameters that need a restart and other resources, the lowest ordinal leads: replicas first, one switchover"""
    first = f"{w.release}-0"
    _lead_with(w, m, first)
    name, one, other = w.engine.restart
    w.parameters[name] = other if w.parameters[name] == one else one
    w.values["resources"]["limits"]["memory"] = "640Mi"
    _upgrade(w, m, 1)
    seen = w.engine.show(w, name)
    if set(seen.values()) != {w.parameters[name]}:
        m.problem(f"{name}: {seen}, not {w.parameters[name]}")


def upgrade_other(w, m):
    """helm upgrade with other resources, the highest ordinal leads: Kubernetes takes it first, at most one switchover a member"""
    last = f"{w.release}-{w.instances - 1}"
    _lead_with(w, m, last)
    w.values["resources"]["requests"]["cpu"] = "60m" if w.values["resources"]["requests"]["cpu"] != "60m" else "50m"
    _upgrade(w, m, w.instances)  # who of equals takes over is not said beforehand: it may be the one that restarts next


def scale(w, m):
    """three members to two (the primary is the one that goes) and back to three"""
    last = f"{w.release}-2"
    if m.primary != last:
        w.kubectl("exec", m.primary, "-c", "mainstay", "--", "mainstay", "switchover", last, "--yes")
        w.wait(f"{last} leads", lambda: w.primary() == last, 60)
        w.wait_well(60)
        m.begin_again()
    w.instances = 2
    m.undo(setattr, w, "instances", 3)
    m.fault(lambda: w.helm("upgrade"))
    w.wait(f"{last} is gone", lambda: last not in w.pods(), 150)
    # Refused while its last report is fresh.
    w.wait(f"{last} is forgotten", lambda: w.kubectl("exec", f"{w.release}-0", "-c", "mainstay", "--", "mainstay", "forget", last, "--yes") or True, 60, 1)
    w.wait_well(150)
    m.note(f"two members and well after {m.since():.0f} s")
    w.instances = 3
    w.helm("upgrade")
    m.healing_from()


def password(w, m):
    """a second password is put into the user's Secret: both let in, no session is cut, nothing restarts"""
    before, old = _runs(w), w.password
    new = f"changed-{old[:8]}"
    lines = base64.b64encode(f"{new}\n{old}\n".encode()).decode()
    patch = json.dumps({"data": {w.engine.key: lines}})
    m.fault(lambda: w.kubectl("patch", "secret", w.engine.secret, "--type=merge", "-p", patch))

    def let_in():
        for pod in w.pods().values():
            with w.bed.inside(pod["spec"]["nodeName"]):
                w.engine.session(w.engine.target(pod["status"]["podIP"], new), 5.0).close()
        return True
    w.wait("the new password lets in at all members", let_in, 200, 1)
    m.note(f"in force everywhere after {m.since():.0f} s")
    if _runs(w) != before:
        m.problem(f"something restarted: {before} before, {_runs(w)} after")
    if len(m.reigns()) > 1:
        m.problem("the primary changed")
    w.password = new


def reinstall(w, m):
    """helm uninstall, then install on the kept volumes"""
    system = w.status(m.primary)["database"]["system_id"]
    epoch = w.status(m.primary)["epoch"]
    m.load.stop()
    begun = now()
    w.uninstall()
    gone = now() - begun
    w.helm("install")
    begun = now()
    w.wait_well(180)
    w.service_of()
    m.note(f"uninstalled in {gone:.0f} s, well again {now() - begun:.0f} s after the install")
    s = w.status(w.primary())
    if s["database"]["system_id"] != system:
        raise Failure(f"another database: system identifier {s['database']['system_id']}, it was {system}")
    if s["epoch"] <= epoch:
        m.problem(f"epoch {s['epoch']} after {epoch}")
    m.load.service = w.target(w.service)
    w.wait("a client writes", lambda: w.engine.write_after(w), 30)
