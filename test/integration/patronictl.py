#!/usr/bin/python3
"""Debian's patronictl, unedited, that reads the cluster from a member's HTTP port (/cluster, /config, /history) where it would read a
DCS; what it asks the members it asks as always. Its configuration file: scope, restapi.authentication, and

    mainstay: {url: "http://127.0.0.1:7401"}
"""
import importlib.machinery
import json
import sys
import types
import urllib.request

import dateutil.parser
import patroni.dcs
from patroni.ctl import ctl
from patroni.dcs import AbstractDCS, Cluster, ClusterConfig, Failover, Leader, Member, SyncState, TimelineHistory

NAME = "patroni.dcs.mainstay"
LAST = 1 << 50  # the leader's position; the others' are told as lags


class Mainstay(AbstractDCS):
    def __init__(self, config):
        super().__init__(config)
        self.url = config["url"]

    def read(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def get_cluster(self, _force=False):
        told, config, history = (self.read(path) for path in ("/cluster", "/config", "/history"))
        members = [self.member(told, m) for m in told["members"]]
        leader = next((m for m, t in zip(members, told["members"]) if t["role"] == "leader"), None)
        sync = [m["name"] for m in told["members"] if m["role"] == "sync_standby"]
        planned = told.get("scheduled_switchover")
        return Cluster(
            "1", ClusterConfig(1, config, 1), leader and Leader(1, "", leader), LAST, members,
            planned and Failover(1, planned.get("from"), planned.get("to"), dateutil.parser.parse(planned["at"])),
            SyncState.from_node(1, {"leader": leader.name, "sync_standby": ",".join(sync)} if leader and sync else None),
            TimelineHistory(1, json.dumps(history), history), None, None)

    def member(self, told, m):
        data = {"conn_url": f"postgres://{m['host']}:{m['port']}/postgres", "pause": told.get("pause", False)}
        data.update({k: m[k] for k in ("api_url", "state", "timeline", "tags", "pending_restart", "scheduled_restart") if k in m})
        lag = m.get("lag", 0)
        if isinstance(lag, int):
            data["xlog_location"] = LAST - lag
        return Member.from_node(1, m["name"], "", json.dumps(data))


Mainstay.__abstractmethods__ = frozenset()  # it never writes: what it would write it asks members for


def install():
    module = types.ModuleType(NAME)
    module.__spec__ = importlib.machinery.ModuleSpec(NAME, None)
    module.Mainstay = Mainstay
    sys.modules[NAME] = module
    patroni.dcs.dcs_modules = lambda: [NAME]


if __name__ == "__main__":
    install()
    ctl(prog_name="patronictl")
