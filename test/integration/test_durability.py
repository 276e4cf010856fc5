#!/usr/bin/python3
"""The durability modes, end to end: what strict blocks, what guarded says before it goes on, what both keep."""
import threading
import time

import psycopg2

from base import BOUND, ClusterCase, main
from procs import now_ns
from workload import Late


def insert(member, ident, timeout):
    """True: acknowledged."""
    member.cluster.attempted.add(ident)
    try:
        member.sql("INSERT INTO mainstay_rows (id, member, timeline) VALUES (%s, 'hand', 0)", (ident,), timeout)
        return True
    except (psycopg2.Error, Late):
        return False


class Strict(ClusterCase):
    OPTIONS = {"n": 3, "profile": "fast", "durability": "strict"}

    def test_blocks_without_a_standby(self):
        load, primary = self.start_load(), self.c.primary()
        standbys = [m for m in self.c.members if m is not primary]
        for m in standbys:
            m.kill_all()
        time.sleep(1)
        since = now_ns()
        time.sleep(6)
        self.assertEqual([a for a in load.write_acks if a.sent > since], [], "strict acknowledged a write without any standby")
        self.assertFalse(insert(primary, 30_000_000, 2))
        standbys[0].start()
        self.assertTrue(load.wait_acked(after_ns=since, count=5, timeout=BOUND), self.c.describe())
        standbys[1].start()
        self.finish(load)

    def test_failover_keeps_everything(self):
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        old.kill_all()
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertTrue(load.wait_acked(new.name, since, 3, BOUND))
        old.start()
        self.finish(load)


class Guarded(ClusterCase):
    OPTIONS = {"n": 3, "profile": "fast", "durability": "guarded"}

    def test_goes_on_after_the_record_says_so(self):
        """Both standbys die: writes pause, the record drops its voters, then writes go on; and a member that may lack one of them
        never leads by itself."""
        load, primary = self.start_load(), self.c.primary()
        standbys = [m for m in self.c.members if m is not primary]
        since = now_ns()
        for m in standbys:
            m.kill_all()
        self.assertTrue(load.wait_acked(after_ns=since + 100_000_000, count=20, timeout=BOUND), self.c.describe())
        status = primary.status()
        self.assertEqual(status["durability"].get("voters", []), [])
        # Alone it wrote on; it dies, the stale ones come back: none of them may lead.
        primary.kill_all()
        for m in standbys:
            m.start()
        time.sleep(12)
        self.assertIsNone(self.c.primary(), "a member that lacks acknowledged writes became primary")
        since = now_ns()
        primary.start()
        self.assertTrue(load.wait_acked(primary.name, since, 5, BOUND), self.c.describe())
        self.finish(load)

    def test_cancelled_wait_is_no_acknowledgement(self):
        """A client's cancel during the wait for a standby is answered with success and a warning: not counted, and seen here."""
        load, primary = self.start_load(), self.c.primary()
        load.stop()
        self.load_running = None
        standbys = [m for m in self.c.members if m is not primary]
        for m in standbys:
            m.pause_all()
        notices = []
        self.c.attempted.add(40_000_000)

        def wait_and_be_cancelled():
            conn = psycopg2.connect(primary.dsn())
            conn.autocommit = True
            timer = threading.Timer(0.3, conn.cancel)
            timer.start()
            try:
                conn.cursor().execute("INSERT INTO mainstay_rows (id, member, timeline) VALUES (40000000, 'cancel', 0)")
            except psycopg2.Error as e:
                notices.append(str(e))
            notices.extend(conn.notices)
            conn.close()
        wait_and_be_cancelled()
        for m in standbys:
            m.resume_all()
        self.assertTrue(any("WARNING" in n for n in notices), notices)
        self.c.wait_ready(BOUND, self.c.members)

    def test_mode_is_changed_while_it_runs(self):
        load, primary = self.start_load(), self.c.primary()
        for mode in ("strict", "async", "guarded"):
            primary.ctl("durability", mode)
            self.c.wait(f"{mode} is in force", lambda mode=mode: (primary.status() or {})["durability"]["in_force"] == mode, BOUND)
        self.finish(load)


if __name__ == "__main__":
    main()
