"""RabbitMQ nodes for tests that bring no agent: one to three of Debian's, in one cluster, on loopback, with an epmd of their own.

Nothing outlives the owner, however it ends: every process is started here (also epmd: no node and no tool may start one), is ended by
PID, and is named to the scratch folder's janitor. Start nodes from the main thread: they die with the thread that started them.

    scratch = procs.Scratch(prefix="mainstay-rabbit-")
    servers = Servers(scratch, 3)          # 15 s for one on an idle machine, 40 s for three; waits until all of them are ready
    servers.nodes[0].port                  # AMQP; .dist_port, .prometheus_port, .management_port (when asked for)
    servers.nodes[0].ctl("list_queues")    # Debian's rabbitmqctl: a CPU-second each time
    servers.nodes[1].stop() / kill() / pause() / resume() / start()
    servers.close()
"""
import glob
import os
import secrets
import signal
import socket
import subprocess
import sys
import time

import procs
from portbook import PortBook

HOME = "/usr/lib/rabbitmq/lib"
EPMD = "/usr/bin/epmd"
LOOPBACK = "127.0.0.1"
BOOT_BOUND = 240  # seconds until a node must be ready: loaded machines took 80


def sbin():
    found = sorted(glob.glob(os.path.join(HOME, "rabbitmq_server-*", "sbin")))
    if not found:
        sys.exit("no RabbitMQ here: ./dev setup")
    return found[-1]


PORTS = PortBook()


def free_ports(n, span=1):
    """`n` ports that nobody has; with `span` each is the first of so many."""
    return [PORTS.take(span) for _ in range(n)]


def connects(port):
    try:
        socket.create_connection((LOOPBACK, port), 1).close()
        return True
    except OSError:
        return False


def wait(what, condition, timeout=30.0, pause=0.1):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(pause)
    raise AssertionError(f"not within {timeout} s: {what}")


def wait_well(what, trouble, timeout, members):
    """Until trouble() has nothing to say; else what it said last, and the ends of the members' logs."""
    last = [""]

    def well():
        last[0] = trouble()
        return not last[0]
    try:
        wait(what, well, timeout, 0.5)
    except AssertionError as e:
        raise AssertionError(f"{e}: {last[0]}\n" + "\n".join(m.tail() for m in members)) from None


class Node:
    """One node: started (blank at first, with its data afterwards), stopped, killed, frozen; its ports and files."""

    def __init__(self, servers, number, settings):
        self.servers, self.number = servers, number
        self.name = f"rmq{number}@localhost"
        self.dir = os.path.join(servers.dir, f"n{number}")
        self.data = os.path.join(self.dir, "data", self.name)  # where RabbitMQ keeps what is its own
        self.log = os.path.join(self.dir, "log", f"{self.name}.log")
        self.output = os.path.join(self.dir, "output")
        for d in ("data", "log"):
            os.makedirs(os.path.join(self.dir, d))
        self.port, self.dist_port, self.prometheus_port, self.management_port = free_ports(4)
        self.proc = None
        self.read_to = 0  # of the log: where the present start began
        with open(os.path.join(self.dir, "enabled_plugins"), "w", encoding="ascii") as f:
            f.write("[" + ",".join(servers.plugins) + "].\n")
        seeds = [*servers.nodes, self]  # those before it: the first has nobody to wait for
        lines = [f"listeners.tcp.1 = {LOOPBACK}:{self.port}", f"prometheus.tcp.ip = {LOOPBACK}", f"prometheus.tcp.port = {self.prometheus_port}",
                 "disk_free_limit.absolute = 50MB", "vm_memory_high_watermark.absolute = 1GB",
                 "cluster_formation.peer_discovery_backend = classic_config"]
        lines += [f"cluster_formation.classic_config.nodes.{i} = {n.name}" for i, n in enumerate(seeds, 1)]
        if "rabbitmq_management" in servers.plugins:
            lines += [f"management.tcp.ip = {LOOPBACK}", f"management.tcp.port = {self.management_port}"]
        lines += [f"{k} = {v}" for k, v in settings.items()]
        with open(os.path.join(self.dir, "rabbitmq.conf"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")

    def env(self):
        s = self.servers
        erl = f'-start_epmd false -kernel inet_dist_use_interface {{127,0,0,1}} {s.erl_args}'
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": s.home,
            "ERL_EPMD_PORT": str(s.epmd_port), "ERL_EPMD_ADDRESS": LOOPBACK, "ERL_CRASH_DUMP": "/dev/null",
            "RABBITMQ_NODENAME": self.name, "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK, "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_CTL_DIST_PORT_MIN": str(s.ctl_ports), "RABBITMQ_CTL_DIST_PORT_MAX": str(s.ctl_ports + CTL_PORTS - 1),
            "RABBITMQ_CTL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_CONFIG_FILE": os.path.join(self.dir, "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": os.path.join(self.dir, "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(self.dir, "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": os.path.join(self.dir, "data"), "RABBITMQ_LOG_BASE": os.path.join(self.dir, "log"),
            "RABBITMQ_PID_FILE": os.path.join(self.dir, "pid"),
            # The program becomes beam.smp itself instead of a shell that waits for it.
            "RABBITMQ_ALLOW_INPUT": "1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput " + erl,
        }

    def start(self, wait_ready=True):
        assert self.proc is None or not self.proc.running(), f"{self.name} runs"
        self.read_to = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        self.proc = procs.Proc(self.name, [os.path.join(sbin(), "rabbitmq-server")], self.output, scratch=self.servers.scratch, env=self.env())
        if wait_ready:
            self.wait_ready()

    @property
    def pid(self):
        return self.proc.pid

    def running(self):
        return self.proc is not None and self.proc.running()

    def ready(self):
        """Its log says that this start is over: no tool, no connection."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                f.seek(self.read_to)
                return "Server startup complete" in f.read()
        except FileNotFoundError:
            return False

    def wait_ready(self, timeout=BOOT_BOUND):
        wait(f"{self.name} starts", lambda: self.ready() or not self.running(), timeout)
        if not self.running():
            raise AssertionError(f"{self.name} ended while it started:\n{self.tail()}")

    def tail(self, size=3000):
        out = ""
        for path in (self.output, self.log):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    out += f"--- {path}\n{f.read()[-size:]}\n"
        return out

    def stop(self, timeout=90):
        """SIGTERM, as a pod's end sends it: RabbitMQ stops in order."""
        if self.running():
            self.proc.terminate(timeout)

    def kill(self):
        if self.running():
            self.proc.kill()

    def pause(self):
        self.proc.pause()

    def resume(self):
        self.proc.resume()

    def wipe(self):
        """A lost disk; the node must not run."""
        assert not self.running()
        subprocess.run(["/bin/rm", "-rf", "--", os.path.join(self.dir, "data")], check=True)
        os.makedirs(os.path.join(self.dir, "data"))

    def ctl(self, *words, tool="rabbitmqctl", timeout=120, check=True):
        """Debian's own tool; its output. Starts an Erlang of its own: a CPU-second."""
        argv = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", os.path.join(sbin(), tool), "-q", "-n", self.name, *words]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/",
                              env=self.env(), start_new_session=True) as p:
            self.servers.scratch.guard(p.pid)
            try:
                out, _ = p.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.kill(p.pid, signal.SIGKILL)  # ours and not yet waited for
                raise
        if check and p.returncode != 0:
            raise AssertionError(f"{tool} {' '.join(words)}: status {p.returncode}\n{out}")
        return out

    def eval(self, expression, **options):
        return self.ctl("eval", expression, **options).strip()


CTL_PORTS = 16  # tools of tests that run at the same time


class Servers:
    """`n` nodes, ready and in one cluster when the constructor returns (start=False: none of them started)."""

    def __init__(self, scratch, n=1, management=False, event_exchange=False, plugins=(), settings=None, erl_args="", start=True):
        self.scratch, self.erl_args = scratch, erl_args
        self.plugins = ["rabbitmq_prometheus", *(["rabbitmq_management"] if management else []),
                        *(["rabbitmq_event_exchange"] if event_exchange else []), *plugins]
        self.dir = os.path.join(scratch.path, "rabbit-" + secrets.token_hex(4))
        self.home = os.path.join(self.dir, "home")
        os.makedirs(self.home, mode=0o700)
        self.cookie_file = os.path.join(self.home, ".erlang.cookie")
        with open(os.open(self.cookie_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="ascii") as f:
            f.write(secrets.token_hex(20))
        (self.ctl_ports,) = free_ports(1, CTL_PORTS)
        (self.epmd_port,) = free_ports(1)
        self.epmd = procs.Proc("epmd", [EPMD, "-address", LOOPBACK, "-port", str(self.epmd_port)], os.path.join(self.dir, "epmd.log"),
                               scratch=scratch)
        wait("epmd listens", lambda: connects(self.epmd_port))
        self.nodes = []
        for i in range(1, n + 1):
            self.nodes.append(Node(self, i, dict({"cluster_partition_handling": "pause_minority"} if n > 2 else {}, **(settings or {}))))
        if start:
            self.start()

    def start(self):
        """The first founds; the others join it, at the same time."""
        self.nodes[0].start()
        for n in self.nodes[1:]:
            n.start(wait_ready=False)
        for n in self.nodes[1:]:
            n.wait_ready()

    def close(self):
        """Ends everything at once; the data is not worth an orderly stop."""
        for n in self.nodes:
            n.kill()
        self.epmd.kill()
