"""Who owns the brokers' processes in tests of the maintenance, in place of the shim; and the members' maintenance programs.

    cluster = Cluster(scratch, 3)          # no broker is started by us
    cluster.start()                        # the members' programs; they found and join
    cluster.wait_whole()
    cluster.members[0].status()            # see maintainer_tool.cc
    cluster.members[0].kill_agent() / start_agent() / lose_disk() / broker.kill()
    cluster.close()
"""
import json
import os
import queue
import selectors
import shutil
import socket
import subprocess
import threading
import time

import procs
from rabbit_servers import Servers, wait, wait_well

BUILD = os.environ.get("MAINSTAY_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release"))
TOOL = os.path.join(BUILD, "test/integration/rabbit/rabbit_maintainer_tool")
STOP_PATIENCE = 60


class Keeper(threading.Thread):
    """One thread that starts and stops all brokers: they die with it."""

    def __init__(self, members, run):
        super().__init__(daemon=True, name="keeper")
        self.members = members
        self.poll = selectors.DefaultSelector()
        self.ends = threading.Event()
        self.stopping = {}
        self.tasks = queue.Queue()
        for m in members:
            s = socket.socket(socket.AF_UNIX)
            s.bind(os.path.join(run, f"keeper-{m.name}.sock"))
            s.listen(16)
            self.poll.register(s, selectors.EVENT_READ, m)

    def run(self):
        while not self.ends.is_set():
            for key, _ in self.poll.select(0.2):
                conn, _ = key.fileobj.accept()
                with conn:
                    conn.settimeout(2)
                    try:
                        line = conn.makefile().readline()
                        answer = self.answer(key.data, json.loads(line))
                        conn.sendall(json.dumps(answer).encode())
                    except (OSError, ValueError):
                        pass  # its program was killed
            for m, since in list(self.stopping.items()):
                if not m.broker.running():
                    del self.stopping[m]
                elif time.monotonic() - since > STOP_PATIENCE:
                    m.broker.kill()
        for m in self.members:
            m.broker.kill()

    def answer(self, m, asked):
        if asked["do"] == "look":
            running = m.broker.running()
            return {"running": running, "start": m.run_id if running else ""}
        if asked["do"] == "start":
            if m.broker.running():
                return {"error": "it runs"}
            m.configure(asked["conf"])
            m.runs += 1
            m.run_id = f"{m.name}-run{m.runs}"
            m.broker.start(wait_ready=False)
            return {}
        if asked["do"] == "stop":
            if m.broker.running() and m not in self.stopping:
                self.stopping[m] = time.monotonic()
                os.kill(m.broker.pid, 15)
            return {}
        return {"error": "what?"}


class Member:
    def __init__(self, cluster, broker):
        self.cluster, self.broker = cluster, broker
        self.name = f"n{broker.number}"
        self.runs, self.run_id = 0, ""
        self.agent = None
        self.stdout = None
        self.conf = os.path.join(broker.dir, "rabbitmq.conf")
        self.note = os.path.join(broker.dir, "data", "mainstay-disk")
        self.log = os.path.join(broker.dir, "maintenance.log")

    def configure(self, formation):
        with open(self.conf, encoding="utf-8") as f:
            kept = [line for line in f if not line.startswith("cluster_formation.")]
        with open(self.conf, "w", encoding="utf-8") as f:
            f.writelines(kept)
            f.write(formation)

    def start_agent(self):
        c = self.cluster
        config = os.path.join(self.broker.dir, "maintenance.json")
        with open(config, "w", encoding="utf-8") as f:
            json.dump({"name": self.name, "node": self.broker.name, "members": [{"name": m.name, "node": m.broker.name} for m in c.members],
                       "run": c.run, "data_dir": self.broker.data, "note": self.note, "cookie": c.servers.cookie_file,
                       "epmd_port": c.servers.epmd_port, "quiet": 5}, f)
        with open(self.log, "a", encoding="utf-8") as log:
            self.agent = subprocess.Popen(["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", TOOL, config], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=log, text=True)
        c.scratch.guard(self.agent.pid)

    def kill_agent(self):
        if self.agent is not None:
            self.agent.kill()
            self.agent.wait()
            self.agent.stdin.close()
            self.agent.stdout.close()
            self.agent = None

    def ask(self, *words):
        self.agent.stdin.write(" ".join(words) + "\n")
        self.agent.stdin.flush()
        line = self.agent.stdout.readline()
        if not line:
            raise AssertionError(f"the program of {self.name} ended:\n{self.tail()}")
        return json.loads(line)

    def status(self):
        return self.ask("status")

    def lose_disk(self):
        """Pod and volume are gone at once; another, blank volume comes."""
        self.kill_agent()
        self.broker.kill()
        shutil.rmtree(os.path.join(self.broker.dir, "data"))
        os.makedirs(os.path.join(self.broker.dir, "data"))
        self.start_agent()

    def tail(self, size=4000):
        try:
            with open(self.log, encoding="utf-8") as f:
                return f"--- {self.log}\n{f.read()[-size:]}"
        except FileNotFoundError:
            return ""


class Cluster:
    def __init__(self, scratch, n=3, **servers):
        self.scratch = scratch
        self.servers = Servers(scratch, n, start=False, **servers)
        self.run = os.path.join(self.servers.dir, "run")
        os.makedirs(self.run)
        self.members = [Member(self, b) for b in self.servers.nodes]
        self.keeper = Keeper(self.members, self.run)
        self.keeper.start()

    def start(self):
        for m in self.members:
            m.start_agent()

    def leader(self):
        for m in self.members:
            if m.agent is not None and m.status()["leading"]:
                return m
        return None

    def memory(self):
        """As it lies in the store; None: none."""
        try:
            with open(os.path.join(self.run, "memory", "lock.json"), encoding="utf-8") as f:
                return json.loads(json.load(f)["state"])
        except (FileNotFoundError, ValueError, KeyError):
            return None

    def delete_lock(self, memory=True):
        for d in ["lock", *(["memory"] if memory else [])]:
            try:
                os.unlink(os.path.join(self.run, d, "lock.json"))
            except FileNotFoundError:
                pass

    def unwhole(self):
        """What keeps it from being whole; "": nothing."""
        ids = set()
        memory = self.memory()
        if not memory or not memory["cluster_id"]:
            return "no cluster on record"
        for what in ("repair", "token", "removal", "founding"):
            if what in memory:
                return f"{what}: {memory[what]}"
        names = sorted(m.broker.name for m in self.members)
        for m in self.members:
            if m.agent is None:
                return f"no agent of {m.name}"
            f = m.status()["facts"]
            if f["broker"] != "ready" or f["running"] != names or f["draining"]:
                return f"{m.name}: {f['broker']}, sees {f['running']}"
            if f["marker"] != memory["cluster_id"]:
                return f"{m.name} is not marked"
            ids.add(f["cluster_id"])
        entries = {e["name"]: e for e in memory["members"]}
        for m in self.members:
            if entries.get(m.name, {}).get("state") != "member":
                return f"{m.name} is not on record"
        return "" if ids == {memory["cluster_id"]} else f"clusters {ids}"

    def wait_whole(self, timeout=240):
        wait_well("the cluster is whole", self.unwhole, timeout, self.members)

    def told(self, row):
        """Lines of all members' logs with that row."""
        out = []
        for m in self.members:
            with open(m.log, encoding="utf-8") as f:
                out += [line.strip() for line in f if f" {row}: " in line]
        return out

    def close(self):
        for m in self.members:
            m.kill_agent()
        self.keeper.ends.set()
        self.keeper.join(30)
        self.servers.close()
