#!/usr/bin/python3
"""The Sentinel port under real clients: redis-py and Ruby's redis, unedited, through failovers of real servers that the test drives."""
import os
import subprocess
import threading
import time
import unittest

import redis
import redis.sentinel

import procs
from redis_servers import Server, Wire, free_port, wait

BUILD = os.environ.get("MAINSTAY_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release"))
TOOL = os.path.join(BUILD, "test/integration/redis/redis_sentinel_tool")
NAMES = "shop,mymaster"
BOUND = 30  # seconds until a client must write again

# Writes for ever; tells each second's worth of what happened: where the last write went and how many there were.
RUBY = r"""
require "redis"
$stdout.sync = true
password = ENV["SENTINEL_PASSWORD"]
sentinels = ARGV.map { |p| s = {host: "127.0.0.1", port: p.to_i}; s[:password] = password if password; s }
r = Redis.new(url: "redis://mymaster", sentinels: sentinels, role: :master, timeout: 1, reconnect_attempts: 0)
s = Redis.new(url: "redis://mymaster", sentinels: sentinels, role: :slave, timeout: 1, reconnect_attempts: 0)
n = 0
loop do
  begin
    r.set("ruby", n)
    n += 1
    to = r.info("server")["tcp_port"]
    puts "wrote #{n} #{to}"
  rescue Redis::BaseError, SystemCallError => e
    puts "error #{e.class} #{e.message}"
  end
  begin
    puts "read #{s.info("server")["tcp_port"]}"
  rescue Redis::BaseError, SystemCallError => e
    puts "error #{e.class} #{e.message}"
  end
  sleep 0.02
end
"""


class Port:
    """redis_sentinel_tool: a member's Sentinel port."""

    def __init__(self, *arguments, address="127.0.0.1:0"):
        self.p = subprocess.Popen([TOOL, address, NAMES, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.p.stdout.readline().rsplit(":", 1)[1])

    def publish(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        assert self.p.stdout.readline() == "published\n"

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait(10)
        self.p.stdin.close()
        self.p.stdout.close()

    def wire(self):
        return Wire(("127.0.0.1", self.port))


class PythonClient(threading.Thread):
    """An application with redis-py: writes, reads from a replica, hears of switches."""

    def __init__(self, ports, **sentinel_kwargs):
        super().__init__(daemon=True)
        self.sentinel = redis.sentinel.Sentinel([("127.0.0.1", p) for p in ports], socket_timeout=1, sentinel_kwargs=sentinel_kwargs or None)
        self.writes, self.reads, self.errors, self.ended = [], [], [], False

    def run(self):
        primary = self.sentinel.master_for("shop", socket_timeout=1)
        replica = self.sentinel.slave_for("shop", socket_timeout=1)
        while not self.ended:
            for to, what in ((self.writes, self._write(primary)), (self.reads, self._read(replica))):
                try:
                    to.append(what())
                except redis.RedisError as e:
                    self.errors.append(repr(e))
            time.sleep(0.02)

    @staticmethod
    def _write(r):
        def write():
            r.incr("python")
            return r.info("server")["tcp_port"]
        return write

    @staticmethod
    def _read(r):
        return lambda: (r.get("python"), r.info("server")["tcp_port"])[1]

    def stop(self):
        self.ended = True
        self.join(10)


class RubyClient(threading.Thread):
    def __init__(self, ports, password=None):
        super().__init__(daemon=True)
        env = dict(os.environ, **({"SENTINEL_PASSWORD": password} if password else {}))
        self.p = subprocess.Popen(["/usr/bin/ruby", "-W0", "-e", RUBY, *map(str, ports)], stdout=subprocess.PIPE, text=True, env=env)
        self.writes, self.reads, self.errors = [], [], []

    def run(self):
        for line in self.p.stdout:
            words = line.split()
            if words[0] == "wrote":
                self.writes.append(int(words[2]))
            elif words[0] == "read":
                self.reads.append(int(words[1]))
            else:
                self.errors.append(line.strip())

    def stop(self):
        self.p.kill()
        self.p.wait(10)
        self.join(10)
        self.p.stdout.close()


class SentinelCase(unittest.TestCase):
    def setUp(self):
        self.scratch = procs.Scratch(prefix="mainstay-sentinel-")
        self.addCleanup(self.scratch.close)
        self.a = Server(self.scratch, "a")
        self.b = Server(self.scratch, "b", "--replicaof", f"127.0.0.1 {self.a.port}")
        self.c = Server(self.scratch, "c", "--replicaof", f"127.0.0.1 {self.a.port}")
        for replica in (self.b, self.c):
            self.follows(replica, self.a)
        self.ports = []

    def open_ports(self, *arguments):
        for _ in range(3):
            port = Port(*arguments)
            self.addCleanup(port.kill)
            self.ports.append(port)

    def follows(self, replica, primary):
        wait("a replica follows", lambda: replica.info("replication").get("master_link_status") == "up"
             and replica.info("replication")["master_port"] == str(primary.port))

    def publish(self, epoch, primary, *replicas):
        for port in self.ports:
            if port.p.poll() is not None:
                continue
            peers = ",".join(f"127.0.0.1:{p.port}{'' if p.p.poll() is None else '!'}" for p in self.ports if p is not port)
            port.publish(f"{epoch} {'127.0.0.1:%d' % primary.port if primary else '-'} "
                         f"{','.join(f'127.0.0.1:{r.port}{chr(33) if not r.proc.running() else str()}' for r in replicas) or '-'} {peers}")

    def clients(self, **password):
        ports = [p.port for p in self.ports]
        out = [PythonClient(ports, **password), RubyClient(ports, password.get("password"))]
        for client in out:
            client.start()
            self.addCleanup(client.stop)
        return out

    def all_write_to(self, clients, server):
        marks = [(len(c.writes), len(c.errors)) for c in clients]
        begun = time.monotonic()
        for c, (writes, _) in zip(clients, marks):
            wait(f"{type(c).__name__} writes to {server.name}; {c.writes[-3:]} {c.errors[-3:]}", lambda: server.port in c.writes[writes:], BOUND)
        return time.monotonic() - begun

    def all_read_from(self, clients, *servers):
        marks = [len(c.reads) for c in clients]
        for c, mark in zip(clients, marks):
            wait(f"{type(c).__name__} reads", lambda: len(c.reads) > mark + 10, BOUND)
            self.assertLessEqual(set(c.reads[-5:]), {s.port for s in servers})

    # ---- failovers ----

    def test_failover_and_switchover_under_two_clients(self):
        self.open_ports()
        self.publish(1, self.a, self.b, self.c)
        clients = self.clients()
        self.all_write_to(clients, self.a)
        self.all_read_from(clients, self.b, self.c)
        listener = redis.Redis(port=self.ports[0].port, socket_timeout=10).pubsub(ignore_subscribe_messages=True)
        self.addCleanup(listener.close)
        listener.subscribe("+switch-master")
        listener.get_message(timeout=5)

        # The primary dies; for a moment nobody leads; then the best replica does.
        self.a.stop()
        self.publish(2, None, self.a, self.b, self.c)
        self.b.call("REPLICAOF", "NO", "ONE")
        self.c.call("REPLICAOF", "127.0.0.1", self.b.port)
        self.publish(2, self.b, self.a, self.c)
        self.b.call("CLIENT", "KILL", "TYPE", "normal")  # readers that came for a replica; a Sentinel and the engine do the same
        self.all_write_to(clients, self.b)
        self.follows(self.c, self.b)
        self.all_read_from(clients, self.c)
        message = None
        while message is None or not message["data"].startswith(b"shop "):
            message = listener.get_message(timeout=10)
            self.assertIsNotNone(message)
        self.assertEqual(message["data"].decode(), f"shop 127.0.0.1 {self.a.port} 127.0.0.1 {self.b.port}")

        # A planned switchover, both alive, and a member's port gone: clients find their way by the others.
        self.ports[0].kill()
        wait("c has all of b", lambda: self.c.info("replication")["slave_repl_offset"] == self.b.info("replication")["master_repl_offset"])
        self.b.call("REPLICAOF", "127.0.0.1", self.c.port)
        self.c.call("REPLICAOF", "NO", "ONE")
        self.publish(3, self.c, self.a, self.b)
        for server in (self.b, self.c):
            server.call("CLIENT", "KILL", "TYPE", "normal")
        self.all_write_to(clients, self.c)
        self.follows(self.b, self.c)
        self.all_read_from(clients, self.b)
        for c in clients:
            order = [port for i, port in enumerate(c.writes) if i == 0 or c.writes[i - 1] != port]
            self.assertEqual(order, [self.a.port, self.b.port, self.c.port], "each primary in its turn, never back")

    def test_the_same_with_a_password_that_changes(self):
        password = os.path.join(self.scratch.path, "password")
        with open(password, "w", encoding="utf-8") as f:
            f.write("first\nsecond\n")
        self.open_ports(password)
        self.publish(1, self.a, self.b, self.c)
        with self.assertRaises(redis.RedisError):
            redis.Redis(port=self.ports[0].port).execute_command("SENTINEL", "MASTERS")
        clients = self.clients(password="second")
        self.all_write_to(clients, self.a)
        with open(password, "w", encoding="utf-8") as f:
            f.write("second\n")
        with self.assertRaises(redis.RedisError):
            redis.Redis(port=self.ports[0].port, password="first").ping()
        self.a.stop()
        self.b.call("REPLICAOF", "NO", "ONE")
        self.publish(2, self.b, self.c)
        self.all_write_to(clients, self.b)

    # ---- what clients ask ----

    def test_discovery_by_redis_py(self):
        self.open_ports()
        s = redis.sentinel.Sentinel([("127.0.0.1", p.port) for p in self.ports], socket_timeout=2, min_other_sentinels=2)
        with self.assertRaises(redis.sentinel.MasterNotFoundError):
            s.discover_master("shop")
        self.publish(7, self.a, self.b, self.c)
        for name in NAMES.split(","):
            self.assertEqual(s.discover_master(name), ("127.0.0.1", self.a.port))
            self.assertEqual(sorted(s.discover_slaves(name)), sorted([("127.0.0.1", self.b.port), ("127.0.0.1", self.c.port)]))
        r = s.sentinels[0]
        state = r.sentinel_master("shop")
        self.assertTrue(state["is_master"] and not state["is_sdown"])
        self.assertEqual((state["config-epoch"], state["num-other-sentinels"], state["quorum"], state["num-slaves"]), (7, 2, 2, 2))
        self.assertEqual(len(r.sentinel_sentinels("shop")), 2)
        self.assertIn(b"3 usable", r.execute_command("SENTINEL", "CKQUORUM", "shop"))  # redis-py 4.3's own sentinel_ckquorum is broken
        self.assertEqual(r.info("sentinel")["master0"]["address"], f"127.0.0.1:{self.a.port}")
        self.assertEqual(r.execute_command("ROLE")[0], b"sentinel")
        with self.assertRaises(redis.ResponseError):
            r.sentinel_failover("shop")
        self.b.stop()
        self.publish(7, self.a, self.b, self.c)
        self.assertEqual(s.discover_slaves("shop"), [("127.0.0.1", self.c.port)])
        self.publish(8, None, self.b, self.c)
        with self.assertRaises(redis.sentinel.MasterNotFoundError):
            s.discover_master("shop")

    def test_the_same_answers_as_debians_sentinel(self):
        """Field by field: what a real Sentinel tells of the same servers, ours does too."""
        self.open_ports()
        self.publish(0, self.a, self.b, self.c)
        conf = os.path.join(self.scratch.path, "sentinel.conf")
        real_port = free_port()
        with open(conf, "w", encoding="utf-8") as f:
            f.write(f"port {real_port}\nbind 127.0.0.1\ndir {self.scratch.path}\nsentinel monitor shop 127.0.0.1 {self.a.port} 1\n")
        real = procs.Proc("sentinel", ["/usr/bin/redis-server", conf, "--sentinel"], os.path.join(self.scratch.path, "sentinel.log"), scratch=self.scratch)
        self.addCleanup(real.kill)

        def ask(port, *words):
            w = Wire(("127.0.0.1", port))
            try:
                return w.call(*words)
            finally:
                w.close()

        def found():
            try:
                return len(ask(real_port, "SENTINEL", "REPLICAS", "shop")) == 2
            except (OSError, TypeError):
                return False
        wait("the real Sentinel knows the replicas", found, 60)
        ours = self.ports[0].port
        self.assertEqual(ask(ours, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop"), ask(real_port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop"))
        for what in (("MASTER", "shop"), ("REPLICAS", "shop")):
            theirs, mine = ask(real_port, "SENTINEL", *what), ask(ours, "SENTINEL", *what)
            theirs, mine = (theirs, mine) if what[0] == "MASTER" else (theirs[0], mine[0])
            self.assertEqual(theirs[::2], mine[::2], what)
        self.assertEqual(ask(real_port, "SENTINEL", "MASTERS")[0][::2], ask(ours, "SENTINEL", "MASTERS")[0][::2])
        for words in (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "x"), ("SENTINEL", "MASTER", "x"), ("SENTINEL", "REPLICAS", "x"), ("PING",),
                      ("UNSUBSCRIBE",), ("SUBSCRIBE", "c"), ("HELLO", "9")):
            self.assertEqual(repr(ask(real_port, *words)), repr(ask(ours, *words)), words)
        self.assertEqual(ask(real_port, "ROLE")[0], ask(ours, "ROLE")[0])

    def test_version_three(self):
        self.open_ports()
        self.publish(1, self.a, self.b)
        w = self.ports[0].wire()
        self.assertEqual(w.call("HELLO", "3")["mode"], "sentinel")
        self.assertEqual(w.call("SENTINEL", "MASTER", "shop")["port"], str(self.a.port))
        self.assertEqual(w.call("SUBSCRIBE", "+switch-master"), ["subscribe", "+switch-master", 1])
        self.publish(2, self.b)
        self.assertEqual(w.read(), ["message", "+switch-master", f"shop 127.0.0.1 {self.a.port} 127.0.0.1 {self.b.port}"])
        w.close()


if __name__ == "__main__":
    unittest.main()
