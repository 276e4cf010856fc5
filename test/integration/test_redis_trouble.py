#!/usr/bin/python3
"""A Redis that does not do what is asked of it, told apart by what is done about it: a busy or loading one is neither hung nor dead, a
full one is not ill, and one that forks goes on. In the default profile: a busy machine shall change no primary either. What becomes of
writes under a full disk, full memory and a slow script: test_redis_full.py.
"""
import signal
import time

import procs
from base import BOUND, main, say
from redis_case import RedisCase
from redis_harness import RedisCluster
from redis_load import PASSWORD, Resp, RespError, leave

WRITES_AND_LOOPS = "redis.call('set', 'by-script', '1') local n = 0 while n < tonumber(ARGV[1]) do n = n + 1 end return n"


def answer(member, *words):
    try:
        return str(member.ask(*words, timeout=2))
    except RespError as e:
        return str(e)
    except OSError as e:
        return f"({e})"


def fill(member, keys, size):
    """In pieces: a script that takes long is another trouble."""
    session = Resp(member.pg_port, timeout=BOUND)
    for first in range(0, keys, 1000):
        session("EVAL", "for i = 0, 999 do redis.call('set', 'f:' .. ARGV[1] + i, string.rep('x', tonumber(ARGV[2]))) end", "0", first, size)
    session.close()


class WithRoot(RedisCluster):
    more_users = (f"user root on >{PASSWORD} ~* &* +@all",)


class Trouble(RedisCase):
    CLUSTER = WithRoot
    OPTIONS = {"n": 3, "profile": "default", "parameters": {"busy-reply-threshold": "100", "save": ""}}

    def database(self, p):
        return (p.status() or {}).get("database") or {}

    def stays(self, p, seconds, epoch):
        """It is the primary all the time, without another election."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            s = p.status()
            if s is not None:
                self.assertEqual((s["leader"], s["epoch"]), (p.name, epoch), self.c.describe())
            time.sleep(0.1)

    def run_script(self, p, rounds):
        session = Resp(p.pg_port, timeout=BOUND)
        session.send("EVAL", WRITES_AND_LOOPS, 0, rounds)
        self.c.wait("it is busy", lambda: answer(p, "GET", "x").startswith("BUSY"), BOUND, 0.02)
        return session

    def test_a_busy_script_is_told(self):
        p = self.c.primary()
        epoch, pid = p.status()["epoch"], p.server_pid()
        session = self.run_script(p, 10_000_000_000)
        try:
            self.c.wait("that is told", lambda: self.database(p).get("verdict") == "saturated", BOUND, 0.05)
            self.assertEqual(self.database(p)["state"], "running")
            self.stays(p, 6, epoch)  # longer than hung_after
            self.assertEqual(p.http("/livez")[0], 200)
        finally:
            p.kill_server()  # nothing else ends such a script
            leave(session)
        self.c.wait("the process is another one", lambda: p.server_pid() not in (None, pid), BOUND)
        self.c.wait_ready(BOUND)

    def test_switchover_from_a_busy_primary(self):
        """It closes for nobody. The administrator gets an answer, at most one member writes, and the cluster ends up healthy."""
        p = self.c.primary()
        session, pid = self.run_script(p, 10_000_000_000), p.server_pid()
        out = p.ctl("switchover", check=False)
        say(f"{self.id()}: exit {out.returncode}: {(out.stderr or out.stdout).strip().splitlines()[-1:]}")
        if p.server_pid() == pid and procs.alive(pid):  # else it was ended by its agent
            procs.send([pid], signal.SIGKILL)
        leave(session)
        self.c.wait_ready(BOUND)

    def test_saving_in_the_background(self):
        p = self.c.primary()
        epoch, pid = p.status()["epoch"], p.server_pid()
        fill(p, 100_000, 100)
        load = self.start_load(wait=1)
        for words in (("BGREWRITEAOF",), ("BGSAVE",)) * 2:
            self.root(p, *words)
            self.stays(p, 1, epoch)
        self.finish(load)
        self.assertEqual(p.server_pid(), pid)
        self.assertEqual(load.writers_in_turn(), [p.name])
        p.ask("FLUSHALL")

    def root(self, p, *words):
        session = Resp(p.pg_port, "root")
        try:
            return session(*words)
        except RespError as e:
            self.assertIn("in progress", str(e))
        finally:
            session.close()

    def test_full_memory_is_no_illness(self):
        p = self.c.primary()
        epoch = p.status()["epoch"]
        self.set_all({"maxmemory": "8mb", "maxmemory-policy": "noeviction", "repl-backlog-size": "1mb"})
        try:
            for n in range(2000):
                if answer(p, "SET", f"m:{n}", "x" * 10_000) != "OK":
                    break
            self.assertRegex(answer(p, "SET", "m", "x" * 10_000), "^OOM")
            self.stays(p, 4, epoch)
            self.assertEqual(self.database(p).get("verdict"), "ok")
            for path in ("/readyz", "/livez"):
                self.assertEqual(p.http(path)[0], 200, path)
        finally:
            p.ask("FLUSHALL")
            self.set_all({"maxmemory": "0"})

    def set_all(self, parameters):
        for m in self.c.members:
            m.parameters.update(parameters)
            m.write_config()
            m.ctl("reload", m.name)


class Loading(RedisCase):
    """Redis reads its file slowly (a hidden parameter of its own tests) and answers LOADING meanwhile."""
    CLUSTER = WithRoot
    OPTIONS = {"n": 3, "profile": "default", "parameters": {"save": "", "key-load-delay": "250", "loading-process-events-interval-bytes": "1024", "repl-backlog-size": "16kb"}}

    def test_loading_replicas_are_not_hung(self):
        """What they miss is more than the backlog has, so they load the primary's data anew."""
        p, seen = self.c.primary(), set()
        epoch, pids = p.status()["epoch"], {m.name: m.server_pid() for m in self.c.members}
        session = Resp(p.pg_port, "root", timeout=BOUND)
        session.all(("MULTI",), ("CLIENT", "KILL", "TYPE", "replica"),
                    ("EVAL", "for i = 1, 20000 do redis.call('set', 'f:' .. i, string.rep('x', 50)) end", "0"), ("EXEC",))
        leave(session)
        s = self.c.wait("one loads", lambda: next((m for m in self.others(p) if answer(m, "GET", "x").startswith("LOADING")), None), BOUND, 0.02)
        while answer(s, "GET", "x").startswith("LOADING"):
            db = (s.status() or {}).get("database") or {}
            seen.add((db.get("state"), db.get("verdict")))
            time.sleep(0.02)
        say(f"{self.id()}: {sorted(map(str, seen))}")
        self.assertIn("starting", {state for state, _ in seen})
        self.assertNotIn("hung", {verdict for _, verdict in seen})
        self.c.wait_ready(BOUND)
        self.assertEqual({m.name: m.server_pid() for m in self.c.members}, pids)
        self.assertEqual(p.status()["epoch"], epoch)
        self.c.wait("all keys", lambda: all(m.ask("DBSIZE") == p.ask("DBSIZE") for m in self.c.members), BOUND)


if __name__ == "__main__":
    main()
