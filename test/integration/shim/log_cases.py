"""The database's output through the shim: to the reader, to standard error without one, and never in anybody's way."""
import fcntl
import os
import re
import select
import sys
import time

from shimcase import *  # noqa: F403

# Argument of a database that writes: count, bytes a line, seconds to live afterwards. It tells in `told` when it was through.
WRITER = """exec /usr/bin/python3 -c '
import os, sys, time
lines, size, rest = %d, %d, %f
began = time.clock_gettime(time.CLOCK_BOOTTIME)
for i in range(lines):
    line = (b"line %%d " %% i).ljust(size - 1, b"x") + b"\\n"
    while line:
        line = line[os.write(2 if i %% 2 else 1, line):]
with open("told.new", "w") as f:
    f.write(str(time.clock_gettime(time.CLOCK_BOOTTIME) - began))
os.rename("told.new", "told")
time.sleep(rest)
'
"""


class DatabaseLog(Case):
    def writer(self, lines, size=100, rest=60.0):
        s = self.shim(log=False)
        self.tool_script("postgres", WRITER % (lines, size, rest))
        os.set_blocking(s.process.stderr.fileno(), False)
        return s

    def told(self, s, seconds=20.0):
        """Seconds that the database needed to write everything."""
        path = os.path.join(s.data, "told")
        wait_until(lambda: os.path.exists(path), seconds, "the database got rid of its lines")
        with open(path) as f:
            return float(f.read())

    def collect(self, reader, total, seconds=20.0):
        """Reads until `total` bytes are there or accounted for: (text, lost bytes, lost lines)."""
        text, lost_bytes, lost_lines = [], 0, 0
        end = time.monotonic() + seconds
        while sum(map(len, text)) + lost_bytes < total:
            data, missing, lines = reader.log_chunk(max(0.1, end - time.monotonic()))
            text.append(data)
            lost_bytes += missing
            lost_lines += lines
        return b"".join(text), lost_bytes, lost_lines

    def stderr_of(self, s, seconds=0.3):
        out = b""
        while select.select([s.process.stderr], [], [], seconds)[0]:
            piece = os.read(s.process.stderr.fileno(), 1 << 16)
            if not piece:
                break
            out += piece
        return out

    def test_a_reader_gets_all_in_order(self):
        s = self.writer(2000)
        l, reader = s.link(), s.link()
        reader.read_log()
        l.start()
        text, lost, _ = self.collect(reader, 200000)
        self.assertEqual(lost, 0)
        self.assertEqual([int(n) for n in re.findall(rb"line (\d+) ", text)], list(range(2000)))
        self.assertNotIn(b"line", self.stderr_of(s).replace(b"lines", b""))

    def test_without_a_reader_it_follows_on_standard_error(self):
        s = self.writer(20, rest=0.5)
        l = s.link()
        l.start()
        self.assertEqual(len(re.findall(rb"line (\d+) ", self.stderr_of(s))), 20)
        reader = s.link()
        reader.read_log()
        wait_until(lambda: l.state()["phase"] == "idle")
        l.start()
        self.assertEqual(len(re.findall(rb"line (\d+) ", self.collect(reader, 2000)[0])), 20)
        self.assertIn(b"goes to the agent", self.stderr_of(s))
        reader.close()
        wait_until(lambda: l.state()["phase"] == "idle")
        l.start()
        text = self.stderr_of(s, 1)
        self.assertIn(b"it follows here", text)
        self.assertEqual(len(re.findall(rb"line (\d+) ", text)), 20)

    def test_a_second_reader_takes_over(self):
        s = self.writer(10)
        first, second = s.link(), s.link()
        first.read_log()
        second.read_log()
        with self.assertRaises(Closed):
            first.call(STATE)
        s.link().start()
        self.assertEqual(self.collect(second, 1000)[1], 0)

    def test_who_does_not_read_loses_and_is_told_how_much(self):
        total = 200000 * 100
        s = self.writer(200000)
        l, reader = s.link(), s.link()
        reader.read_log()
        l.start()
        took = self.told(s)
        self.assertLess(took, 10)  # it was never held up
        text, lost, lines = self.collect(reader, total)
        self.assertEqual(len(text) + lost, total)
        self.assertGreater(lost, total // 2)
        self.assertEqual(text.count(b"\n") + lines, 200000)
        self.assertTrue(l.state()["phase"] == "running")

    def test_a_stuck_standard_error_holds_nobody_up(self):
        s = self.writer(100000)
        fcntl.fcntl(s.process.stderr.fileno(), 1031, 4096)  # F_SETPIPE_SZ: one page, never read
        l = s.link()
        l.subscribe()
        l.start()
        self.assertLess(self.told(s), 10)
        self.fence_quick(s, l)

    def fence_quick(self, s, l, bound=0.05):
        l.arm(now() + int(0.5 * SEC), 1)
        fenced = l.fenced(10)
        self.assertGreaterEqual(fenced["killed_at"], fenced["deadline"])
        self.assertLess(fenced["killed_at"] - fenced["deadline"], int(bound * SEC))
        return fenced

    def test_a_flood_does_not_delay_the_fence(self):
        for read in (True, False):
            with self.subTest(reader=read):
                s = self.writer(10**9, 200)
                l = s.link()
                l.subscribe()
                reader = s.link()
                reader.read_log()
                l.start()
                self.assertTrue(reader.log_chunk()[0])
                if read:
                    end = time.monotonic() + 0.3
                    while time.monotonic() < end:
                        reader.log_chunk()
                self.fence_quick(s, l)

    def test_a_flood_costs_the_shim_little(self):
        """Fifty thousand lines a second, read: a wake-up for each pause of 2 ms and not one for each line."""
        s = self.shim(log=False)
        self.tool_script("postgres", "exec /usr/bin/python3 -c '\nimport os, time\nfor i in range(3000):\n  os.write(2, b\"x\" * 250 + b\"\\n\")\n"
                         "for i in range(400):\n  for k in range(100): os.write(2, b\"y\" * 250 + b\"\\n\")\n  time.sleep(0.002)\n"
                         "time.sleep(60)\n'\n")
        reader = s.link()
        reader.read_log()
        cpu = lambda: sum(float(open(f"/proc/{s.inner()}/task/{t}/schedstat").read().split()[0]) for t in os.listdir(f"/proc/{s.inner()}/task")) / 1e9
        before, began = cpu(), time.monotonic()
        s.link().start()
        _, lost, _ = self.collect(reader, 43000 * 251)
        used, took = cpu() - before, time.monotonic() - began
        print(f"shim: {43000 / took:.0f} lines/s relayed, {100 * used / took:.1f} % of a CPU, {lost} bytes lost", file=sys.stderr)
        self.assertLess(used / took, 0.25)

    def test_a_file_is_written_by_the_database_itself(self):
        s = self.shim()
        self.refused("no_log", s.link().read_log)

    def test_resident_memory_with_a_full_ring(self):
        s = self.writer(200000)
        reader = s.link()
        reader.read_log()
        s.link().start()
        self.told(s)
        with open(f"/proc/{s.inner()}/status") as f:
            rss = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
        self.assertLessEqual(rss, 1024)
