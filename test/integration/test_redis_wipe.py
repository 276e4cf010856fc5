#!/usr/bin/python3
"""Redis members that come back without their data, or with less, in each way to keep them: none, RDB, AOF, an empty volume."""
import signal
import time

import procs
from base import BOUND, main
from procs import now_ns
from redis_case import RedisCase


class Wipe(RedisCase):
    """A primary that restarts without its data, in each way to keep them. Those of the others survive, always."""
    PARAMETERS = {"save": "", "appendonly": "no"}
    OPTIONS = {"n": 3, "profile": "fast", "parameters": PARAMETERS}

    def fill(self):
        self.c.wait_ready(BOUND)
        load = self.start_load(wait=2, writers=2)
        self.assertTrue(load.wait_acked(count=200, timeout=BOUND))
        return load

    def test_primary_restarts(self):
        """The process alone: it comes back at once, empty or with less."""
        load = self.fill()
        for _ in range(2):
            old = self.c.wait_ready(BOUND)
            since = now_ns()
            old.kill_server()
            self.assertTrue(load.wait_acked(since, 5, BOUND), self.c.describe())
        self.finish(load)

    def test_primary_restarts_while_the_others_are_away(self):
        """Nobody to hand over to: what came back is not opened over the copies that the others have."""
        load = self.fill()
        self.alone(load, self.c.primary())

    def test_young_primary_restarts_while_the_others_are_away(self):
        """The same, moments after it began to lead: its agent may not have seen yet who follows."""
        load = self.fill()
        first = self.c.primary()
        first.kill_server()
        young = self.c.wait_primary(BOUND, other_than=first)
        self.assertTrue(load.wait_acked(now_ns(), 1, BOUND, young.name), self.c.describe())
        self.alone(load, young)

    def alone(self, load, old):
        others = [m for m in self.c.members if m is not old]
        load.stop()
        self.load_running = None
        for m in others:
            procs.send(m.all_pids(), signal.SIGSTOP)
        try:
            old.kill_server()
            time.sleep(4)
            self.assertFalse(old.accepts_writes(), "opened with less than others may have")
        finally:
            for m in others:
                procs.send(reversed(m.all_pids()), signal.SIGCONT)
        self.c.check(load, BOUND, allow_loss=False)

    def test_node_comes_back_without_its_files(self):
        load = self.fill()
        old = self.c.primary()
        old.kill_all()
        old.forget_files()
        self.c.wait_primary(BOUND, other_than=old)
        old.start()
        self.finish(load)

    def test_replica_restarts(self):
        """Its process alone, twice: it copies what it needs, the primary goes on."""
        load = self.fill()
        primary = self.c.primary()
        for m in self.others(primary):
            m.kill_server()
            self.c.wait_ready(BOUND, self.c.members)
        self.finish(load)
        self.assertEqual(load.writers_in_turn(), [primary.name])

    def test_replica_comes_back_without_its_files(self):
        load = self.fill()
        primary = self.c.primary()
        m = self.others(primary)[0]
        m.kill_all()
        m.forget_files()
        m.start()
        self.finish(load, self.c.members)
        self.assertEqual(load.writers_in_turn(), [primary.name])

    def test_empty_volume(self):
        """A new disk, nothing of the agent's own files either: first of a replica, then of the primary."""
        load = self.fill()
        for m in (self.others(self.c.primary())[0], self.c.primary()):
            m.kill_all()
            m.wipe()
            self.c.wait_primary(BOUND, other_than=m)
            m.start()
            self.c.wait_ready(BOUND, self.c.members)
        self.finish(load, self.c.members)


class Nothing(RedisCase):
    """No persistence at all: what every member lost is lost, and nobody waits for ever for what cannot come back."""
    OPTIONS = {"n": 3, "profile": "fast", "parameters": Wipe.PARAMETERS}

    def test_all_at_once(self):
        load = self.start_load()
        time.sleep(12)  # that there are keys is noted a while later
        load.stop()
        self.load_running = None
        before = self.c.wait_ready(BOUND).status().get("epoch")
        for m in self.c.members:
            m.kill_all()
        for m in self.c.members:
            m.start()
        p = self.c.wait_ready(BOUND)
        self.assertEqual(p.ask("SET", "again", "1"), "OK")
        self.assertGreater(p.status().get("epoch"), before)


class AllAtOnce(RedisCase):
    """Every member dies at the same moment."""
    def stopped_load(self):
        load = self.start_load()
        self.assertTrue(load.wait_acked(count=200, timeout=BOUND))
        load.stop()
        self.load_running = None
        time.sleep(6)  # saved by then
        return load

    def all_die(self):
        for m in self.c.members:
            m.kill_all()

    def all_start(self):
        for m in self.c.members:
            m.start()


class AllAtOnceRdb(AllAtOnce):
    OPTIONS = {"n": 3, "profile": "fast", "parameters": {"save": "1 1"}}

    def test_with_files(self):
        load = self.stopped_load()
        self.all_die()
        self.all_start()
        self.c.check(load, BOUND)


class AllAtOnceAof(AllAtOnceRdb):
    OPTIONS = {"n": 3, "profile": "fast", "parameters": {"save": "", "appendonly": "yes"}}

    def test_with_the_files_of_one(self):
        """Whoever was the primary: the member that still has them leads, and waits for nobody that says it has none."""
        for which in range(2):
            load = self.stopped_load()
            primary = self.c.primary()
            keeper = primary if which else self.others(primary)[0]
            self.all_die()
            for m in self.others(keeper):
                m.forget_files()
            self.all_start()
            self.c.check(load, BOUND)

    def test_without_files(self):
        """Nothing is left anywhere, and everybody says so: a new cluster begins under the same record."""
        self.stopped_load()
        before = self.c.wait_ready(BOUND).status().get("epoch")
        self.all_die()
        for m in self.c.members:
            m.forget_files()
        self.all_start()
        p = self.c.wait_ready(BOUND)
        self.assertEqual(p.ask("SET", "again", "1"), "OK")
        self.assertGreater(p.status().get("epoch"), before)

    def test_with_empty_volumes(self):
        self.stopped_load()
        self.all_die()
        for m in self.c.members:
            m.wipe()
        self.all_start()
        self.assertEqual(self.c.wait_ready(BOUND).ask("SET", "again", "1"), "OK")


class WipeRdb(Wipe):
    PARAMETERS = {"save": "3600 1"}
    OPTIONS = {"n": 3, "profile": "fast", "parameters": PARAMETERS}


class WipeAof(Wipe):
    PARAMETERS = {"save": "", "appendonly": "yes", "appendfsync": "everysec"}
    OPTIONS = {"n": 3, "profile": "fast", "parameters": PARAMETERS}

    def test_diverged_tail(self):
        """An old primary comes back with writes that nobody else has: they go, everybody is equal."""
        self.c.wait_ready(BOUND)
        old = self.c.primary()
        others = [m for m in self.c.members if m is not old]
        for m in others:
            procs.send([m.server_pid()], signal.SIGSTOP)
        for i in range(50):
            old.ask("SET", f"tail:{i}", "x" * 100)
        time.sleep(0.2)
        old.kill_all()
        for m in others:
            procs.send([m.server_pid()], signal.SIGCONT)
        new = self.c.wait_primary(BOUND, other_than=old)
        new.ask("SET", "after", "1")
        old.start()
        self.c.wait_ready(BOUND, self.c.members)
        self.c.wait("all have the same", lambda: len({tuple(sorted(m.keys().items())) for m in self.c.members}) == 1, BOUND)
        self.assertEqual(old.ask("GET", "after"), "1")


if __name__ == "__main__":
    main()
