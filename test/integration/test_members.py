#!/usr/bin/python3
"""Members come and go: founding, single member, one more, one fewer, a diverged old primary, a wiped disk."""
import time
import unittest

from base import BOUND, ClusterCase, main, say
from harness import Cluster
from procs import now_ns


class Members(ClusterCase):
    def test_member_added_and_removed(self):
        load = self.start_load()
        fresh = self.c.add_member()
        load.add(fresh.name, fresh.dsn())
        self.c.wait_ready(BOUND, self.c.members)
        fresh.stop()
        self.c.members.remove(fresh)
        primary = self.c.wait_ready(BOUND)

        def forgotten():
            primary.ctl("forget", fresh.name, check=False)
            s = primary.status() or {}
            return fresh.name not in [m["name"] for m in s.get("members", []) if m.get("in_record")]
        self.c.wait("it is forgotten", forgotten, BOUND, 1)
        self.c.wait("its slot is gone", lambda: primary.superuser(
            f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'ms_{fresh.name}'") == "0", BOUND)
        self.finish(load)

    def test_wiped_disk(self):
        """A member comes back without its data: it is cloned, never founds a second cluster."""
        load, primary = self.start_load(), self.c.primary()
        system = primary.status()["database"]["system_id"]
        for m in (next(m for m in self.c.members if m is not primary), primary):
            since = now_ns()
            m.kill_all()
            self.assertTrue(load.wait_acked(after_ns=since + 50_000_000, count=3, timeout=BOUND), self.c.describe())
            m.wipe()
            m.start()
            self.c.wait_ready(BOUND)
            self.assertEqual(m.status()["database"]["system_id"], system)
        self.finish(load)

    def test_all_stopped_and_started(self):
        """Power cut: everybody comes back with all that was acknowledged."""
        load = self.start_load()
        for m in self.c.members:
            m.kill_all()
        time.sleep(1)
        since = now_ns()
        for m in self.c.members:
            m.start()
        self.assertTrue(load.wait_acked(after_ns=since, count=5, timeout=BOUND), self.c.describe())
        self.finish(load)


class Async(ClusterCase):
    OPTIONS = {"n": 3, "profile": "fast", "durability": "async"}

    def test_diverged_tail(self):
        """An asynchronous primary writes on without its standbys, dies, and comes back after another took over: its tail is not
        on the new timeline, so its data must be rewound or cloned; nobody may keep a row that the others lack."""
        load, old = self.start_load(), self.c.primary()
        load.stop()
        self.load_running = None
        others = [m for m in self.c.members if m is not old]
        for m in others:
            m.pause_database()
        # More than the sockets between them can hold: what is in there still reaches a standby that goes on.
        old.sql("CREATE TABLE filler AS SELECT i, md5(i::text) FROM generate_series(1, 400000) i", timeout=60)
        for i in range(200):
            old.sql("INSERT INTO mainstay_rows (id, member, timeline) VALUES (%s, 'tail', 0)", (10_000_000 + i,))
        old.kill_all()
        for m in others:
            m.resume_database()
        new = self.c.wait_primary(BOUND, other_than=old)
        new.sql("INSERT INTO mainstay_rows (id, member, timeline) VALUES (20000000, 'after', 0)")
        old.start()
        self.c.wait_ready(BOUND, self.c.members)
        seen = {}

        def same():
            for m in self.c.members:
                seen[m.name] = m.sql("SELECT count(*), sum(id) FROM mainstay_rows")[0]
            return len(set(seen.values())) == 1
        self.c.wait("all have the same rows", same, BOUND)
        tail = new.sql("SELECT count(*) FROM mainstay_rows WHERE id >= 10000000 AND id < 20000000")[0][0]
        say(f"{self.id()}: {200 - tail} rows of the tail were on the old primary alone, and are gone")
        self.assertLess(tail, 200, "the tail did not diverge: the test proves nothing")
        self.assertEqual(new.sql("SELECT count(*) FROM mainstay_rows WHERE id = 20000000")[0][0], 1)


class Founding(unittest.TestCase):
    def test_single_member(self):
        """No standby: guarded goes on alone, crashes are repaired in place, and it survives a restart of everything."""
        with Cluster(1, profile="fast") as c:
            c.start()
            c.prepare()
            load = c.load().start()
            try:
                self.assertTrue(load.wait_acked(count=20, timeout=BOUND))
                for hurt in (c.members[0].kill_postmaster, c.members[0].agent.kill, c.members[0].kill_all):
                    since = now_ns()
                    hurt()
                    if not c.members[0].shim.running():
                        c.members[0].start_shim()
                    if not c.members[0].agent.running():
                        c.members[0].start_agent()
                    self.assertTrue(load.wait_acked(after_ns=since + 50_000_000, count=5, timeout=BOUND), c.describe())
                    say(f"{self.id()}: {hurt.__name__}: outage {load.outage(since)[0]:.2f} s")
            finally:
                load.stop()
            self.assertEqual(c.check(load), 0)

    def test_the_others_come_late(self):
        """One of three founds nothing: the two others might have the data. With a second one that has none either it does; the third
        is cloned."""
        with Cluster(3, profile="fast") as c:
            c.members[0].start()
            time.sleep(8)  # more than twice the lease
            status = c.members[0].status()
            self.assertEqual((status["role"], status["database"]["empty"]), ("replica", True))
            self.assertIn("more than half of the members", " ".join(status["warnings"]))
            c.members[1].start()
            c.prepare()
            c.wait_ready(BOUND, c.members[:2])
            c.members[2].start()
            c.wait_ready(BOUND, c.members)
            # The primary sees the third one stream a moment before that one's own probe has seen its new data.
            ids = lambda: {(m.status() or {}).get("database", {}).get("system_id", "") for m in c.members}  # noqa: E731
            c.wait("all have the data of one cluster", lambda: len(ids()) == 1 and "" not in ids(), 20)


if __name__ == "__main__":
    main()
