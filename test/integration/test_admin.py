#!/usr/bin/python3
"""What administrators do: switchover, pause, fence, restart, reload, reinit. Under an acknowledging load."""
import json
import time

from base import BOUND, ClusterCase, main, say
from procs import now_ns


class Admin(ClusterCase):
    def standby(self):
        p = self.c.primary()
        return next(m for m in self.c.members if m is not p)

    def test_switchover_there_and_back_20_times(self):
        load, gaps = self.start_load(), []
        for i in range(20):
            old = self.c.wait_ready(BOUND)
            target = self.c.members[i % 2] if self.c.members[i % 2] is not old else self.c.members[(i + 1) % 2]
            since = now_ns()
            old.ctl("switchover", target.name)
            self.assertTrue(load.wait_acked(target.name, since, 3, BOUND), self.c.describe())
            gaps.append(load.outage(since)[0])
        gaps.sort()
        say(f"20 switchovers: median {gaps[10]:.2f} s, worst {gaps[-1]:.2f} s")
        self.finish(load)
        self.assertLess(gaps[10], 5)

    def test_switchover_refused(self):
        """A target that does not exist, or that is down: refused, nothing changes."""
        load, primary = self.start_load(), self.c.primary()
        self.assertEqual(primary.ctl("switchover", "nobody", check=False).returncode, 2)
        target = self.standby()
        target.kill_all()
        time.sleep(1)
        self.assertNotEqual(primary.ctl("switchover", target.name, check=False).returncode, 0)
        self.assertIs(self.c.primary(), primary)
        target.start()
        self.finish(load)

    def test_switchover_target_hangs(self):
        """The target streams, but its agent does nothing: nothing is handed over to it, the primary goes on."""
        load, old, target = self.start_load(), self.c.primary(), self.standby()
        target.agent.pause()
        time.sleep(2)  # longer than what it last said counts
        try:
            since = now_ns()
            self.assertNotEqual(old.ctl("switchover", target.name, check=False).returncode, 0)
            self.assertTrue(load.wait_acked(after_ns=since + 500_000_000, count=5, timeout=BOUND), self.c.describe())
            self.assertIs(self.c.wait_primary(BOUND), old)
            self.assertLess(load.outage(since)[0], 5)
        finally:
            target.agent.resume()
        self.finish(load)

    def test_pause_and_resume(self):
        """While paused nobody is replaced, also when the primary's whole node dies; after resume all is well."""
        load, primary = self.start_load(), self.c.primary()
        primary.ctl("pause")
        self.c.wait("all know of it", lambda: all((s or {}).get("paused") for s in self.c.statuses().values()), BOUND)
        since = now_ns()
        primary.kill_all()
        time.sleep(6)
        self.assertIsNone(self.c.primary())
        primary.start()
        self.c.wait("its agent answers", primary.status, BOUND)
        primary.ctl("resume")
        self.assertTrue(load.wait_acked(after_ns=since + 50_000_000, count=3, timeout=BOUND), self.c.describe())
        self.c.wait("all know of it", lambda: not any((s or {"paused": 1}).get("paused") for s in self.c.statuses().values()), BOUND)
        self.finish(load)

    def test_fence_and_unfence_a_standby(self):
        load, target = self.start_load(), self.standby()
        target.ctl("fence", target.name)
        self.c.wait("its database is stopped", lambda: target.postmaster_pid() is None, BOUND)
        self.assertTrue((target.status() or {}).get("fenced"))
        target.agent.kill()  # the fence survives a restart of the agent
        target.start_agent()
        time.sleep(4)
        self.assertIsNone(target.postmaster_pid())
        target.ctl("unfence", target.name)
        self.finish(load)

    def test_fence_the_primary(self):
        load, old = self.start_load(), self.c.primary()
        since = now_ns()
        old.ctl("fence", old.name)
        new = self.c.wait_primary(BOUND, other_than=old)
        self.assertTrue(load.wait_acked(new.name, since, 3, BOUND), self.c.describe())
        self.c.wait("its database is stopped", lambda: old.postmaster_pid() is None, BOUND)
        old.ctl("unfence", old.name)
        self.finish(load)

    def test_restart(self):
        """Of a standby and of the primary: same roles afterwards."""
        load, primary = self.start_load(), self.c.primary()
        for m in (self.standby(), primary):
            pid = m.postmaster_pid()
            m.ctl("restart", m.name)
            self.c.wait(f"{m.name} has another postmaster", lambda m=m, pid=pid: m.postmaster_pid() not in (None, pid), BOUND)
            self.c.wait_ready(BOUND)
        self.assertIs(self.c.primary(), primary)
        self.finish(load)

    def test_reload(self):
        """work_mem takes effect at once; max_connections waits for a restart and says so; a wrong value changes nothing."""
        load, target = self.start_load(), self.standby()
        pid = target.postmaster_pid()
        parameters = dict(target.config()["postgresql"]["parameters"])
        target.overrides["postgresql/parameters"] = {**parameters, "work_mem": "7MB", "max_connections": "123"}
        target.write_config()
        target.ctl("reload", target.name)
        self.c.wait("work_mem is in force", lambda: target.superuser("SHOW work_mem") == "7MB", BOUND)
        self.c.wait("max_connections is known to wait",
                    lambda: "max_connections" in ((target.status() or {}).get("database") or {}).get("pending_restart", []), BOUND)
        self.assertEqual(target.postmaster_pid(), pid)
        target.overrides["postgresql/parameters"] = {**parameters, "work_mem": "8MB", "port": "1"}  # kept by Mainstay
        target.write_config()
        self.assertNotEqual(target.ctl("reload", target.name, check=False).returncode, 0)
        self.assertEqual(target.superuser("SHOW work_mem"), "7MB")
        target.overrides["postgresql/parameters"] = {**parameters, "work_mem": "7MB", "max_connections": "123"}
        target.write_config()
        target.ctl("reload", target.name)
        target.ctl("restart", target.name)
        self.c.wait("max_connections is in force", lambda: self.show(target, "max_connections") == "123", BOUND)
        self.finish(load)
        del target.overrides["postgresql/parameters"]

    def test_a_changed_file_is_taken_without_a_word(self):
        """As in a pod, where files are swapped and nobody is signalled: the refused one changes nothing, the corrected one does. And
        members are named and taken out so: a chart that scales does just that."""
        load, target = self.start_load(), self.standby()
        configured = target.config()["members"]
        further = {"name": "z", "peer": f"127.0.0.1:{self.c.ports.take()}"}

        def shown():
            return "z" in [m["name"] for m in (target.status() or {}).get("members", [])]
        target.overrides.update({"members": [*configured, further], "tags/priority": 5000})
        target.write_config()
        self.c.wait("the file is refused", lambda: "tags.priority" in self.changes(target), BOUND)
        self.assertFalse(shown())
        target.overrides["tags/priority"] = 99
        target.write_config()
        self.c.wait("the corrected file is in force", shown, BOUND)
        self.assertRegex(self.changes(target), r"members: [^\n]*in effect")
        self.assertNotRegex(self.changes(target), r"members: [^\n]*needs a restart")
        del target.overrides["members"], target.overrides["tags/priority"]
        target.write_config()
        self.c.wait("nobody is waited for that is not there", lambda: not shown(), BOUND)
        self.finish(load)

    @staticmethod
    def changes(member):
        with open(member.agent_log, encoding="utf-8", errors="replace") as f:
            return "".join(json.loads(line)["msg"] + json.loads(line).get("error", {}).get("message", "") + "\n"
                           for line in f if line.startswith('{"ts"') and '"action":"config.change"' in line)

    def show(self, member, name):
        try:
            return member.superuser(f"SHOW {name}")
        except AssertionError:
            return None

    def test_reinit(self):
        load, target = self.start_load(), self.standby()
        before = target.superuser("SELECT pg_postmaster_start_time()")
        target.ctl("reinit", target.name)
        self.c.wait("cloned again", lambda: self.started(target) not in (None, before), BOUND)
        self.assertNotEqual(self.c.primary().ctl("reinit", self.c.primary().name, check=False).returncode, 0)
        self.finish(load)

    def started(self, member):
        try:
            return member.superuser("SELECT pg_postmaster_start_time()")
        except AssertionError:
            return None

    def test_command_line(self):
        """Tables fit 100 columns, JSON is JSON, exit codes are as documented."""
        primary = self.c.primary()
        for verb in (["status"], ["why"], ["why", primary.name]):
            text = primary.ctl(*verb).stdout
            self.assertTrue(text.strip())
            self.assertLessEqual(max(len(line) for line in text.splitlines()), 100, text)
            self.assertNotIn("\x1b", text)
            json.loads(primary.ctl(*verb, "-o", "json").stdout)
        self.assertEqual(primary.ctl("status", "--check").returncode, 0)
        for path in ("/livez", "/readyz", "/startupz", "/metrics", "/status"):
            self.assertEqual(primary.http(path)[0], 200, path)


if __name__ == "__main__":
    main()
