"""A real RabbitMQ node with its shim and its agent, as in a pod, on this machine: the shim starts the node because the agent says so.

    scratch = procs.Scratch(prefix="mainstay-rabbit-")
    servers = Servers(scratch, 0)                  # an epmd and a cookie
    beside = Beside(servers)                       # files, ports, a configuration
    beside.start(); beside.wait_state("running")
    beside.node.ctl(...)                           # Debian's rabbitmqctl
    beside.get("/readyz?verbose"), beside.metrics(), beside.lines()
    beside.close()
"""
import json
import os
import pwd
import urllib.error
import urllib.request

import procs
from rabbit_probe_tool import read_loosely
from rabbit_servers import LOOPBACK, Node, free_ports, sbin, wait
from scrape import get

BUILD = os.environ.get("MAINSTAY_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release"))
AGENT, SHIM = (os.path.abspath(os.path.join(BUILD, p)) for p in ("agent/mainstay", "agent/shim/mainstay-shim"))
USER, PASSWORD, VHOST = "mainstay", "probes geheim", "_mainstay"
# What docs/RABBITMQ.md says that the agent's user needs: of the probe, and of the events.
PROBE_RIGHTS = [r"^amq\.gen-.*", r"^(amq\.default|amq\.gen-.*)$", r"^amq\.gen-.*"]
EVENT_RIGHTS = [r"^_mainstay\.audit$", r"^_mainstay\.audit$", r"^(_mainstay\.audit|amq\.rabbitmq\.event)$"]


class Beside:
    def __init__(self, servers, overrides=None, members=None, name="a", number=1, term_wait=0):
        self.servers, self.scratch, self.name, self.overrides, self.members = servers, servers.scratch, name, overrides or {}, members or []
        self.term_wait = term_wait
        self.node = Node(servers, number, {})  # for its name, ports and rabbitmqctl; never started by itself
        self.user = "rabbitmq" if os.geteuid() == 0 else None
        self.home = os.path.join(servers.dir, "beside-" + name)
        self.volume, self.run_dir = os.path.join(self.home, "volume"), os.path.join(self.home, "run")
        self.data = os.path.join(self.volume, "mnesia")
        for d in (self.home, self.volume, self.run_dir):
            os.mkdir(d, 0o700)
            self.own(d)
        for d in (self.scratch.path, servers.dir):  # the node's user walks through them
            os.chmod(d, 0o711)
        self.grpc_port, self.http_port = free_ports(2)
        with open(servers.cookie_file, encoding="ascii") as f:
            self.cookie = self.write("cookie", f.read(), 0o400)
        self.user_file = self.write("user", USER, 0o600)
        self.password_file = self.write("password", PASSWORD, 0o600)
        self.config_file = os.path.join(self.home, "mainstay.yaml")
        self.socket = os.path.join(self.run_dir, "shim.sock")
        self.out, self.agent_log, self.shim_log = (os.path.join(self.home, n) for n in ("agent.out", "agent.log", "shim.log"))
        self.shim = self.agent = None

    def own(self, path):
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def write(self, name, text, mode):
        path = os.path.join(self.home, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="ascii") as f:
            f.write(text)
        self.own(path)
        return path

    def config(self):
        out = {
            "cluster": "shop", "name": self.name, "engine": "rabbitmq", "members": self.members,
            "election": {"lock": "file", "path": self.home},
            "listen": {"grpc": f"{LOOPBACK}:{self.grpc_port}", "http": f"{LOOPBACK}:{self.http_port}"},
            "advertise": {"database": f"{LOOPBACK}:{self.node.port}"},
            "shim": {"socket": self.socket},
            "rabbitmq": {
                "data_dir": self.data, "node": self.node.name, "port": self.node.port, "dist_port": self.node.dist_port,
                "epmd_port": self.servers.epmd_port, "prometheus_port": self.node.prometheus_port, "cookie_file": self.cookie,
                "parameters": {"disk_free_limit.absolute": "50MB", "vm_memory_high_watermark.absolute": "1GB"},
                "probe_user_file": self.user_file, "probe_password_file": self.password_file, "probe_interval": "1s",
            },
            "log": {"format": "text"},
        }
        for path, value in self.overrides.items():
            *parents, leaf = path.split("/")
            at = out
            for p in parents:
                at = at[p]
            at[leaf] = value
        return out

    def write_config(self):
        with open(self.config_file, "w", encoding="utf-8") as f:
            json.dump(self.config(), f, indent=2)
        self.own(self.config_file)

    # ---- life ----
    def start(self):
        self.start_shim()
        self.start_agent()

    def start_shim(self):
        argv = [SHIM, "--engine", "rabbitmq", "--socket", self.socket, "--bin-dir", sbin(), "--data-dir", self.data, "--set", f"NODENAME={self.node.name}",
                "--set", f"DIST_PORT={self.node.dist_port}", "--stop-timeout", "60", "--term-wait", str(self.term_wait)]
        if self.user:
            argv += ["--user", self.user]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "ERL_EPMD_PORT": str(self.servers.epmd_port), "ERL_EPMD_ADDRESS": LOOPBACK,
               "ERL_CRASH_DUMP": "/dev/null", "RABBITMQ_LOGS": "-", "RABBITMQ_CONF_ENV_FILE": "/nowhere", "SECRET_OF_ANOTHER": "geheim",
               "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"}
        self.shim = procs.Proc("shim", argv, self.shim_log, scratch=self.scratch, env=env)
        wait("the shim listens", lambda: os.path.exists(self.socket))

    def start_agent(self):
        self.write_config()
        env = {k: v for k, v in os.environ.items() if not k.startswith("MAINSTAY_")}
        with open(self.out, "ab") as out:
            self.agent = procs.Proc("agent", [AGENT, "agent", "--config", self.config_file], self.agent_log, user=self.user, scratch=self.scratch,
                                    env=env, stdout=out)

    def close(self):
        for p in (self.agent, self.shim):
            if p is not None and p.running():
                p.kill()

    def beam(self):
        """PID of the node's process, None: there is none."""
        for pid in procs.tree(self.shim.pid):
            try:
                with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                    if f.read().strip() == "beam.smp":
                        return pid
            except OSError:
                continue
        return None

    # ---- what it shows ----
    def get(self, path, timeout=12.0):
        """(status, body)"""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}{path}", timeout=timeout) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def status(self):
        return json.loads(self.get("/status")[1])

    def state(self):
        try:
            return self.status()["broker"]["state"]
        except (OSError, KeyError):
            return None

    def wait_state(self, *states, timeout=240):
        try:
            wait(f"state {' or '.join(states)}", lambda: self.state() in states, timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}; it is {self.state()}\n{self.tail()}") from None

    def metrics(self, timeout=12.0):
        return read_loosely(get(f"http://{LOOPBACK}:{self.http_port}/metrics", timeout=timeout).text)

    def lines(self, **fields):
        """Lines of the agent's standard output with these values on their first level."""
        out = []
        with open(self.out, encoding="utf-8") as f:
            for text in f:
                line = json.loads(text)
                if fields.items() <= line.items():
                    out.append(line)
        return out

    def add_user(self):
        self.node.ctl("add_vhost", VHOST)
        self.node.ctl("add_user", USER, PASSWORD)
        self.node.ctl("set_permissions", "-p", VHOST, USER, *PROBE_RIGHTS)
        self.node.ctl("set_permissions", "-p", "/", USER, *EVENT_RIGHTS)

    def tail(self, size=3000):
        out = ""
        for path in (self.agent_log, self.shim_log, self.out):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    out += f"--- {path}\n{f.read()[-size:]}\n"
        return out
