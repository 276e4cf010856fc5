#!/usr/bin/python3
"""Faults at each step of a switchover and of a promotion. The agent's commands to its server come through a door (redis_door.py) that
holds the one that a test names; then server or agent is killed, or stopped, and the door opens.

One fault (of a switchover): what one replica confirmed survives, WAIT 1. Two (the primary died, then who takes over): WAIT 2.
"""
import json
import os
import shutil
import signal
import threading
import time

import procs
from base import BOUND, main, say
from procs import now_ns
from redis_case import RedisCase
from redis_harness import RedisCluster, RedisMember

# (command, after it): of the old primary in a switchover, as lifecycle.cc does them.
GIVING_UP = (("CLIENT UNPAUSE", False), ("CLIENT PAUSE", False), ("CLIENT PAUSE", True), ("REPLICAOF 127.0.0.1", False), ("REPLICAOF 127.0.0.1", True),
             ("CLIENT KILL TYPE NORMAL", False), ("CLIENT KILL TYPE PUBSUB", True))
# Of who takes over, as promote.cc does them.
TAKING_OVER = (("REPLICAOF 127.0.0.1", False), ("REPLICAOF 127.0.0.1", True), ("CONFIG SET MIN-REPLICAS", False), ("REPLICAOF NO ONE", False),
               ("REPLICAOF NO ONE", True), ("ACL SETUSER MAINSTAY-REPL", False), ("ACL SETUSER MAINSTAY-REPL", True))
# Of who follows the new one (attach in follow.cc).
FOLLOWING = (("CONFIG SET MASTERUSER", False), ("CONFIG SET MASTERUSER", True))


class DoorMember(RedisMember):
    def trap(self, words, after):
        with open(self.socket + ".new", "w", encoding="utf-8") as f:
            json.dump({"words": words, "after": after}, f)
        os.chmod(self.socket + ".new", 0o644)
        os.rename(self.socket + ".new", self.socket + ".trap")

    def hit(self):
        return os.path.exists(self.socket + ".hit")

    def open_door(self):
        for end in (".trap", ".hit"):
            try:
                os.unlink(self.socket + end)
            except OSError:
                pass


class DoorCluster(RedisCluster):
    MEMBER = DoorMember

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.redis_bin = os.path.join(self.scratch.path, "door")
        os.mkdir(self.redis_bin, 0o755)
        target = os.path.join(self.redis_bin, "redis-server")
        shutil.copyfile(os.path.join(os.path.dirname(os.path.abspath(__file__)), "redis_door.py"), target)
        os.chmod(target, 0o755)


class Steps(RedisCase):
    CLUSTER = DoorCluster

    def tearDown(self):
        for m in self.c.members:
            m.open_door()
        super().tearDown()

    # ---- what happens while the door is closed; each gives what ends it ----
    @staticmethod
    def kill_server(m):
        m.kill_server()

    @staticmethod
    def kill_agent(m):
        m.agent.kill()
        return m.start_agent

    @staticmethod
    def stop_server(m):
        pid = m.server_pid()
        procs.send([pid], signal.SIGSTOP)
        return lambda: procs.send([pid] if m.server_pid() == pid else [], signal.SIGCONT)

    @staticmethod
    def stop_agent(m):
        m.freeze_agent()
        return m.agent.resume

    @staticmethod
    def kill_all(m):
        m.kill_all()
        return m.start

    def at_step(self, load, traps, begin, fault, victim):
        """Begins something, waits for the first trap to be hit, does `fault` to victim(member), lets everything go on and heal."""
        words, after, members = traps
        name = f"{'after' if after else 'before'} {words}"
        old = self.c.wait_ready(BOUND, self.c.members)
        for m in members(old):
            m.trap(words, after)
        since = now_ns()
        begun = begin(old)
        try:
            held = self.c.wait(name, lambda: next((m for m in self.c.members if m.hit()), None), BOUND, 0.001)
            undo = fault(victim(old, held))
        finally:
            for m in self.c.members:
                m.open_door()
        if begun is not None:
            begun.join(BOUND)
        if undo:
            time.sleep(3)
            undo()
        new = self.c.wait_ready(BOUND, self.c.members)
        self.assertTrue(load.wait_acked(now_ns(), 5, BOUND), self.c.describe())
        say(f"{self.id()}: {name} at {held.name}: gap {load.gap(since):.2f} s, then {new.name} leads")
        self.assertEqual([b for b in self.prober.both(since) if b[2] > self.overlap_ms], [], name)

    def each(self, wait, steps, members, begin, fault, victim):
        load = self.start_load(wait=wait, pause=0.002)
        for words, after in steps:
            self.at_step(load, (words, after, members), begin, fault, victim)
        self.finish(load)


class Switchover(Steps):
    def begin(self, old):
        """As a person does: who is told that no standby streams just now (the last one to come back was seen a probe ago) asks again."""
        def ask():
            until = time.monotonic() + BOUND
            while time.monotonic() < until and not any(m.hit() for m in self.c.members):
                if "not a streaming standby now" not in old.ctl("switchover", check=False, timeout=20).stderr:
                    return
                time.sleep(0.3)
        t = threading.Thread(target=ask, daemon=True)
        t.start()
        return t

    def old(self, fault):
        self.each(1, GIVING_UP, lambda old: [old], self.begin, fault, lambda old, held: old)

    def target(self, fault):
        self.each(1, TAKING_OVER[2:], self.others, self.begin, fault, lambda old, held: held)

    def test_old_server_killed(self):
        self.old(self.kill_server)

    def test_old_agent_killed(self):
        self.old(self.kill_agent)

    def test_old_server_stopped(self):
        self.old(self.stop_server)

    def test_old_agent_stopped(self):
        self.old(self.stop_agent)

    def test_old_dies(self):
        self.old(self.kill_all)

    def test_target_server_killed(self):
        self.target(self.kill_server)

    def test_target_agent_killed(self):
        self.target(self.kill_agent)

    def test_target_server_stopped(self):
        self.target(self.stop_server)

    def test_target_dies(self):
        self.target(self.kill_all)

    def test_target_dies_while_the_old_one_gives_up(self):
        """The old one holds still at each of its steps; the member that it is going to name is gone when it goes on."""
        self.each(1, GIVING_UP, lambda old: [old], self.begin, self.kill_all, lambda old, held: self.likely(old))

    def likely(self, old):
        return self.others(old)[0]


class Promotion(Steps):
    """After kill -9 of the primary's server: the second fault hits who takes over."""
    @staticmethod
    def begin(old):
        old.kill_server()

    def candidate(self, fault):
        self.each(2, TAKING_OVER, self.others, self.begin, fault, lambda old, held: held)

    def test_server_killed(self):
        self.candidate(self.kill_server)

    def test_agent_killed(self):
        self.candidate(self.kill_agent)

    def test_server_stopped(self):
        self.candidate(self.stop_server)

    def test_agent_stopped(self):
        self.candidate(self.stop_agent)

    def test_dies(self):
        self.candidate(self.kill_all)

    def test_follower_killed(self):
        self.each(2, FOLLOWING, self.others, self.begin, self.kill_server, lambda old, held: held)

    def test_follower_agent_killed(self):
        self.each(2, FOLLOWING, self.others, self.begin, self.kill_agent, lambda old, held: held)


if __name__ == "__main__":
    main()
