"""What the suite must know of a database: its chart, how clients write to it and know what was acknowledged, how it is asked at the end.

    ENGINES = {"postgresql": engine_postgresql.Postgresql(), "redis": engine_redis.Redis()}     (engines.py)

A target is one line of words NAME=VALUE (host=... port=... user=... password=...), whatever the database.
"""
import os

import layout

NODE = "node"  # goal of a case: that of a dead node


class Engine:
    """Facts and verbs; a subclass for each database."""
    name = release = container = None  # name of chart and engine; of the release; of the database's container
    process = None                     # a word of the server's command line
    values = None                      # of the chart, beside the agent's image
    section = None                     # of the values, with the parameters
    deadline = None                    # {profile: H + K}: after that an isolated primary has ended everything that could acknowledge
    node_goal = None                   # seconds until clients write again after the death of a node
    images = ()                        # archives that the nodes need
    secret = key = None                # the client's password: Secret and its key
    tables = ()                        # what acknowledged writes are compared in
    kept = 2                           # clients of the Service with sessions that stay open
    errors = refused = ()              # what sessions raise; what they raise and stay usable: not the primary
    reload = restart = None            # (parameter, value, other value): reloaded; needs a restart of the server
    clients = ""                       # for people: who writes
    title = ""                         # for people: name and version of the server
    remarks = ""                       # for people: what the figures must be read with
    peer = None                        # for people: whose figures are the cases' `peer`; None: there are none

    @property
    def chart(self):
        return os.path.join(layout.ROOT, "helm", self.name)

    def goal(self, case):
        return self.node_goal if case.goal == NODE else case.goal

    def peer_of(self, case):
        return case.peer if self.peer else ""

    @staticmethod
    def word(target, name):
        return dict(w.split("=", 1) for w in target.split())[name]

    # ---- clients ----
    def target(self, host, password):
        raise NotImplementedError

    def session(self, target, timeout):
        """Open; has close()."""
        raise NotImplementedError

    def write(self, session, source, ident, timeout):
        """(reign, server's address) of an acknowledged write; None: done, and not acknowledged. `source` says what kind of write."""
        raise NotImplementedError

    def table(self, source):
        """The table that a client of that name writes to."""
        raise NotImplementedError

    def promised(self, source, planned):
        """May a write of that client never be lost? `planned`: nothing broke, people only changed something."""
        raise NotImplementedError

    def pool(self, target, where):
        """Sessions as applications have: idle, in a transaction, waiting. Never judged, only in the way. Has close()."""
        raise NotImplementedError

    # ---- the cluster, asked through a World ----
    def prepare(self, world):
        """What clients need. What is wrong, if anything."""
        return []

    def unwell(self, world, pods, primary, status):
        """Why not all members count, though they are Ready; empty: they do."""
        raise NotImplementedError

    def everywhere(self, world, primary, pods):
        """{member: {table: ids}} when each has what the primary had."""
        raise NotImplementedError

    def empty(self, world):
        """What was compared need not be carried on."""

    def write_after(self, world):
        """True: a client wrote through the Service."""
        raise NotImplementedError

    def show(self, world, parameter):
        """{member: value}."""
        raise NotImplementedError
