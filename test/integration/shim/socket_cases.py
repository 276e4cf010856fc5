"""Who may connect and what hostile clients do; the tools that the shim runs and their refusals."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from shimcase import *  # noqa: F403


class Socket(Case):
    def test_other_users_are_refused(self):
        s = self.shim()
        code = ("import sys; sys.path.insert(0, sys.argv[1]); from shimlib import *\n"
                "try: Link(sys.argv[2]); print('in')\nexcept (Closed, PermissionError) as e: print(type(e).__name__)")
        here = os.path.dirname(os.path.abspath(__file__))

        def attempt(user):
            return subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3", "-c", code, here, s.socket],
                                  stdout=subprocess.PIPE, timeout=10).stdout.decode().strip()
        self.assertEqual(attempt("postgres"), "in")
        self.assertEqual(attempt("daemon"), "PermissionError")
        # Even with the directory and the socket open to all, the peer's credentials are checked.
        os.chmod(os.path.dirname(s.socket), 0o755)
        os.chmod(s.socket, 0o666)
        self.assertEqual(attempt("daemon"), "Closed")
        self.assertEqual(attempt("postgres"), "in")

    def test_installs_itself(self):
        base = tempfile.mkdtemp(prefix="mainstay-shim.")
        self.addCleanup(shutil.rmtree, base, True)
        copy = os.path.join(base, "mainstay-shim")
        for _ in range(2):  # over the one of before, too
            subprocess.run([self.shim_binary, "--install", base], check=True, timeout=10)
            with open(copy, "rb") as new, open(self.shim_binary, "rb") as old:
                self.assertEqual(new.read(), old.read())
        self.assertEqual(os.listdir(base), ["mainstay-shim"])
        self.assertEqual(os.stat(copy).st_mode & 0o777, 0o755)
        self.assertIn(b"protocol 1", subprocess.run([copy, "--version"], check=True, stdout=subprocess.PIPE, timeout=10).stdout)
        missing = subprocess.run([self.shim_binary, f"--install={base}/none"], stderr=subprocess.PIPE, timeout=10)
        self.assertEqual(missing.returncode, 2)
        self.assertIn(b"No such file or directory", missing.stderr)

    def test_directory_and_socket_are_private(self):
        s = self.shim()
        self.assertEqual(os.stat(os.path.dirname(s.socket)).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(s.socket).st_mode & 0o777, 0o600)
        base = tempfile.mkdtemp(prefix="mainstay-shim.")
        self.addCleanup(shutil.rmtree, base, True)
        os.mkdir(base + "/run", 0o755)
        with self.assertRaises(RuntimeError) as caught:
            Shim(self.shim_binary, bin_dir=self.bin, base=base)
        self.assertIn("0700", str(caught.exception))

    def test_a_second_shim_does_not_steal_the_socket(self):
        s = self.shim()
        second = subprocess.run(s.command, stderr=subprocess.PIPE, timeout=5)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(b"another shim", second.stderr)
        self.assertEqual(s.link().state()["phase"], "idle")

    def test_bad_frames_close_the_connection(self):
        s = self.shim()
        hello = HEADER.pack(MAGIC, PROTOCOL, HELLO, 8, 1, 0) + struct.pack("<II", PROTOCOL, 0)
        cases = {
            "no hello": [HEADER.pack(MAGIC, PROTOCOL, STATE, 0, 1, 0)],
            "magic": [HEADER.pack(MAGIC + 1, PROTOCOL, HELLO, 0, 1, 0)],
            "unknown verb": [hello, HEADER.pack(MAGIC, PROTOCOL, 77, 0, 1, 0)],
            "an event": [hello, HEADER.pack(MAGIC, PROTOCOL, FENCED, 0, 1, 0)],
            "length": [hello, HEADER.pack(MAGIC, PROTOCOL, STATE, 5, 1, 0)],
            "payload size": [hello, HEADER.pack(MAGIC, PROTOCOL, ARM, 3, 1, 0) + b"abc"],
            "too long": [hello, b"x" * 9000],
            "short": [hello, b"x"],
            "start kind": [hello, HEADER.pack(MAGIC, PROTOCOL, START, 16, 1, 0) + struct.pack("<IIq", 9, ANY, 0)],
            "tool strings": [hello, HEADER.pack(MAGIC, PROTOCOL, RUN_TOOL, 16, 1, 0) + struct.pack("<BBHIq", 1, 0, 3, 0, 5)],
        }
        for name, packets in cases.items():
            with self.subTest(name):
                l = Link(s.socket, hello=False)
                for p in packets:
                    l.sock.send(p)
                with self.assertRaises(Closed):
                    while True:
                        l.receive(2)
        self.assertEqual(s.link().state()["phase"], "idle")

    def test_another_version_is_told_and_closed(self):
        s = self.shim()
        l = Link(s.socket, hello=False)
        l.sock.send(HEADER.pack(MAGIC, 2, HELLO, 8, 1, 0) + struct.pack("<II", 2, 0))
        verb, _, code, body = l.receive()
        self.assertEqual((verb, CODES[code], struct.unpack("<QII", body)[1]), (REPLY, "version", 1))
        with self.assertRaises(Closed):
            l.receive()

    def test_eight_clients_and_no_more(self):
        s = self.shim()
        time.sleep(0.1)
        links = [s.link() for _ in range(8)]
        with self.assertRaises((Closed, OSError)):
            s.link()
        links.pop().close()
        wait_until(lambda: links[0].state()["clients"] == 7)
        s.link()

    def test_slow_readers_are_dropped(self):
        s = self.shim()
        l = s.link()
        slow = s.link()
        slow.sock.settimeout(0.3)
        with self.assertRaises((OSError, Closed)):
            for _ in range(100000):  # ask and never read
                slow.send(STATE)
        wait_until(lambda: l.state()["clients"] == 1, 10, "the slow reader's end")

    def test_resident_memory(self):
        s = self.shim("plain")
        l = s.link()
        l.start()
        l.subscribe()
        l.kill()
        self.tool_script("initdb", "seq 20000\n")
        l.tool(INITDB, ["-k"])
        text = open(f"/proc/{s.inner()}/status").read()
        value = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.startswith(("VmRSS", "VmLck", "VmHWM", "VmSwap"))}
        print("shim memory", value, file=sys.stderr)
        self.assertLessEqual(int(value["VmRSS"]), 1024)
        self.assertLessEqual(int(value["VmHWM"]), 1024)
        self.assertTrue(l.state()["flags"] & 1, "memory is locked")
        # Idle: it does not wake up at all.
        ticks = lambda: sum(map(int, open(f"/proc/{s.inner()}/stat").read().rsplit(")", 1)[1].split()[11:13]))
        before = ticks()
        time.sleep(1)
        self.assertLessEqual(ticks() - before, 1)


class Tools(Case):
    def test_refusals(self):
        s = self.shim()
        l = s.link()
        for tool, args in ((99, []), (INITDB, ["-L", "/x"]), (CONTROLDATA, ["/etc"]), (CONTROLDATA, [s.data + "/../../x"]), (POSTGRES_C, ["-D", s.data]),
                           (BASEBACKUP, ["-d", "host=a password=b"]), (REMOVE_STALE, [s.data]), (SWAP_DATA, [])):
            self.refused("not_allowed", l.tool_begin, tool, args)
        self.refused("not_allowed", l.tool_begin, INITDB, ["-k"], 5, "/etc/passwd")
        self.refused("late", l.tool_begin, INITDB, ["-k"], -1)
        l.start()
        self.refused("running", l.tool_begin, REWIND, ["-D", s.data])
        self.refused("running", l.tool_begin, SWAP_DATA, [s.data + ".new"])

    def test_output_status_and_environment(self):
        self.tool_script("initdb", 'echo "out $*"; echo "err $PGPASSFILE" >&2; id -un; exit 7\n')
        s = self.shim()
        end, status, out, err = s.link().tool(INITDB, ["-D", s.data, "--locale=C"], passfile=s.volume + "/pgpass")
        self.assertEqual((end, os.waitstatus_to_exitcode(status)), ("exited", 7))
        self.assertEqual(out, f"out -D {s.data} --locale=C\npostgres\n")
        self.assertEqual(err, f"err {s.volume}/pgpass\n")

    def test_much_output_reaches_a_slow_reader_whole(self):
        self.tool_script("initdb", "seq 400000\n")
        s = self.shim()
        l = s.link()
        l.tool_begin(INITDB, ["-k"])
        time.sleep(0.5)
        self.assertEqual(s.link().state()["phase"], "idle")  # the shim is not held up
        end, status, out, _ = l.tool_end()
        self.assertEqual((end, status), ("exited", 0))
        self.assertEqual(out.count("\n"), 400000)
        self.assertTrue(out.endswith("\n400000\n"))

    def test_cancel_deadline_and_owner(self):
        # Ignores SIGTERM and has a child of its own in the group.
        self.tool_script("initdb", "trap '' TERM\nsleep 30 & echo $!\nwait; sleep 30\n")
        s = self.shim()
        l = s.link()
        tool = l.tool_begin(INITDB, ["-k"])
        self.refused("busy", s.link().tool_begin, CONTROLDATA, [s.data])
        time.sleep(0.2)
        self.refused("no_tool", l.call, CANCEL_TOOL, struct.pack("<II", tool + 1, 0))
        l.call(CANCEL_TOOL, struct.pack("<II", tool, 0))
        self.assertEqual(l.tool_end(4)[0], "cancelled")
        self.assertEqual(l.tool(INITDB, ["-k"], 0.3)[0], "deadline")
        l.tool_begin(INITDB, ["-k"])
        l.close()
        l = s.link()
        wait_until(lambda: l.state()["tool_id"] == 0, 5)
        self.assertEqual(ENDS[l.state()["last_tool_end"]], "owner_gone")

    def test_keep_running_outlives_its_owner(self):
        self.tool_script("pg_rewind", "sleep 0.5; seq 100000; exit 4\n")
        s = self.shim()
        l = s.link()
        tool = l.tool_begin(REWIND, ["-D", s.data], flags=1)
        l.close()
        l = s.link()
        self.assertEqual(l.state()["tool_id"], tool)
        wait_until(lambda: l.state()["tool_id"] == 0, 5)
        state = l.state()
        self.assertEqual((state["last_tool_id"], os.waitstatus_to_exitcode(state["last_tool_status"])), (tool, 4))

    def test_no_start_while_a_tool_needs_the_directory(self):
        self.tool_script("pg_rewind", "sleep 5\n")
        s = self.shim()
        l = s.link()
        l.tool_begin(REWIND, ["-D", s.data])
        self.refused("busy", s.link().start)

    def test_swap_and_remove(self):
        s = self.shim()
        l = s.link()
        end, status, _, err = l.tool(SWAP_DATA, [s.data + ".new"])
        self.assertNotEqual(status, 0)
        self.assertIn("PG_VERSION", err)
        os.makedirs(s.data + ".new/base/1")
        for name in ("PG_VERSION", "base/1/x"):
            open(f"{s.data}.new/{name}", "w").write("new")
        outside = os.path.join(s.base, "outside")
        os.makedirs(outside)
        open(outside + "/keep", "w").close()
        os.symlink(outside, s.data + ".new/tablespace")
        subprocess.run(["chown", "-R", "postgres:", s.volume], check=True)
        end, status, old, err = l.tool(SWAP_DATA, [s.data + ".new"])
        self.assertEqual((end, status, err), ("exited", 0, ""))
        self.assertTrue(old.startswith(s.data + ".old-"))
        self.assertTrue(os.path.exists(old + "/standby.signal"))
        self.assertEqual(open(s.data + "/base/1/x").read(), "new")
        self.assertFalse(os.path.exists(s.data + ".new"))
        os.rename(s.data, s.data + ".gone")
        end, status, _, err = l.tool(REMOVE_STALE, [s.data + ".gone"])
        self.assertEqual((status, err), (0, ""))
        self.assertFalse(os.path.exists(s.data + ".gone"))
        self.assertTrue(os.path.exists(outside + "/keep"), "a symbolic link was followed")
        self.assertEqual(l.tool(REMOVE_STALE, [s.data + ".gone"])[1], 0, "removing nothing is fine")
        # With no data directory at all (first clone), swapping just renames.
        os.makedirs(s.data + ".new")
        open(s.data + ".new/PG_VERSION", "w").close()
        self.assertEqual(l.tool(SWAP_DATA, [s.data + ".new"])[:3], ("exited", 0, ""))
        self.assertTrue(os.path.exists(s.data + "/PG_VERSION"))
