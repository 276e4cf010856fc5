#!/usr/bin/python3
"""The agents under exactly the chart's Role: every request they make stands in requests.golden, nothing is refused, and what the
lock costs the API server stays within its budget (0.5 writes a second and cluster, no polling reads).

test_rights.py --rewrite   writes requests.golden anew (review the difference: it is what an auditor of the rights reads)
Status 3: this machine has no API server or helm (./dev kube build).
"""
import json
import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import layout
from kubecluster import FULL, KubeCluster

import procs  # noqa: E402  (test/integration)

GOLDEN = os.path.join(layout.HERE, "requests.golden")
IDLE = 60  # seconds of nothing


def request_line(event):
    """One line for each kind of request: verb, what, which. Not its answer: conflicts come and go with the races of an election."""
    ref = event.get("objectRef", {})
    what = "/".join(filter(None, [ref.get("apiGroup"), ref.get("resource"), ref.get("subresource")]))
    name = re.sub(rf"^{FULL}-\d+$", f"{FULL}-N", ref.get("name", ""))
    uri = event["requestURI"].split("?")[1] if "?" in event["requestURI"] else ""
    selector = re.search(r"fieldSelector=([^&]*)", uri)
    return f"{event['verb']:7} {what:28} {name or '-':14} {selector.group(1).replace('%3D', '=') if selector else ''}".rstrip()


class Rights(unittest.TestCase):
    lock = "configmap"

    def setUp(self):
        self.c = KubeCluster(lock=self.lock, profile="default")
        self.addCleanup(self.c.close)
        self.c.start()
        self.c.prepare()
        self.c.wait_ready(120)

    def audited(self, since=0):
        """Requests of the agents from byte SINCE of the audit log on, and its length."""
        with open(self.c.server.audit_log, "rb") as f:
            f.seek(since)
            data = f.read()
        events = [json.loads(line) for line in data.split(b"\n")[:-1]]
        user = f"system:serviceaccount:db:{self.c.account}"
        return [e for e in events if e["user"]["username"] == user], since + data.rfind(b"\n") + 1

    def labelled(self, primary):
        roles = self.c.roles()
        return all(roles[m.name] == ("primary" if m is primary else "replica") for m in self.c.members)

    def test_requests_and_cost(self):
        first = self.c.primary()
        self.c.wait("labels follow the roles", lambda: self.labelled(first), 20)
        load = self.c.load().start()
        self.assertTrue(load.wait_acked(count=20, timeout=60))
        # A failover, a switchover, an agent that restarts: all that a day brings.
        first.kill_postmaster()
        self.c.wait("a primary with the label", lambda: self.c.primary() is not None and self.labelled(self.c.primary()), 60)
        self.c.wait_ready(60, self.c.members)
        self.c.primary().ctl("switchover", timeout=30)
        self.c.wait("a primary with the label", lambda: self.c.primary() is not None and self.labelled(self.c.primary()), 60)
        self.c.wait_ready(60, self.c.members)
        standby = next(m for m in self.c.members if m is not self.c.primary())
        standby.agent.kill()
        standby.start_agent()
        self.c.wait_ready(60, self.c.members)
        load.stop()
        self.c.check(load, 60)
        self.cost()
        self.golden()
        self.events()

    def cost(self):
        """Requests of a minute in which nothing happens."""
        time.sleep(15)  # second looks, closing of watches
        _, mark = self.audited()
        begun = time.monotonic()
        time.sleep(IDLE)
        seen, _ = self.audited(mark)
        spent = time.monotonic() - begun
        writes = sum(e["verb"] in ("update", "create", "patch") for e in seen) / spent
        reads = [e for e in seen if e["verb"] in ("get", "list")]
        print(f"    {self.lock}: {writes:.3f} writes/s, {len(reads)} reads and {sum(e['verb'] == 'watch' for e in seen)} watches ended "
              f"in {spent:.0f} s", file=sys.stderr)
        self.assertLessEqual(writes, 0.5 + 1 / IDLE, "0.5 renewals a second, and one more may fall into any window")
        # Lease kind: its holder looks every 30 s whether the state beside the lock was edited; nobody else reads.
        looks = IDLE // 30 + 1 if self.lock == "lease" else 0
        self.assertLessEqual(len(reads), looks, "candidates must not poll: " + "; ".join(map(request_line, reads)))

    def golden(self):
        seen = self.audited()[0]
        refused = [f"{request_line(e)} {e['responseStatus']['code']}" for e in seen if e["responseStatus"]["code"] in (400, 401, 403, 405)]
        self.assertEqual(refused, [], "the Role lacks something, or a request is wrong")
        lines = sorted({request_line(e) for e in seen})
        path = GOLDEN if self.lock == "configmap" else GOLDEN.replace(".golden", f"-{self.lock}.golden")
        if "--rewrite" in sys.argv[1:]:
            with open(path, "w", encoding="utf-8") as f:
                f.write("# verb, resource, name, field selector: every kind of request that the agents make (test_rights.py)\n")
                f.write("\n".join(lines) + "\n")
        with open(path, encoding="utf-8") as f:
            known = [line.rstrip("\n") for line in f if not line.startswith("#")]
        self.assertEqual([line for line in lines if line not in known], [], f"requests that {os.path.basename(path)} does not know")

    def events(self):
        reasons = [(e["regarding"]["name"], e["reason"]) for e in self.c.events()]
        self.assertGreaterEqual(sum(r == "BecamePrimary" for _, r in reasons), 3, reasons)
        for e in self.c.events():
            self.assertEqual(e["reportingController"], "mainstay.io/agent")
            self.assertIn("epoch", e["note"])


class RightsOfALease(Rights):
    lock = "lease"


if __name__ == "__main__":
    procs.unwind_on_signals()
    try:
        layout.find("kube-apiserver", assets=True), layout.find("etcd", assets=True), layout.find("helm"), layout.find("kubectl")
    except layout.CannotHere as reason:
        print(f"cannot here: {reason}", file=sys.stderr)
        sys.exit(layout.EXIT_CANNOT)
    unittest.main(argv=[a for a in sys.argv if a != "--rewrite"], verbosity=1)
