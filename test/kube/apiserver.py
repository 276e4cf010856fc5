#!/usr/bin/python3
"""A real API server (etcd + kube-apiserver) on free ports of the loopback, ready in seconds; no nodes, no pods run.

For tests of the lock, of rights and of faults. In a Python test:

    with ApiServer() as server:                   # CannotHere: skip
        server.api.create(...)                    # kubeapi.Api as admin
        server.url, server.ca, server.token, server.kubeconfig
        server.stop(); server.start()             # an outage; the state stays
        server.pause(); server.resume()           # it hangs

For programs of other languages:

    apiserver.py run [--dir DIR] [--audit]        # prints one line of JSON when ready; ends, and removes everything,
                                                  # at the end of its standard input or at SIGTERM

RBAC is on; objects of kind ServiceAccount are not made by themselves (there is no controller-manager), pods need none, and
Api.service_account_token() makes tokens for those that a test creates. Programs: $KUBEBUILDER_ASSETS, else ./dev kube build.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import controlplane
import daemons
import kubeapi
import layout
import pki
import procs
import shell


def free_ports(count):
    """Ports that nobody has now. Somebody may take one before we do: start() tries again with others."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class ApiServer:
    """etcd and kube-apiserver of one test. folder: where to keep its files (default: a scratch folder, removed at the end)."""

    def __init__(self, folder=None, audit=False, extra=()):
        layout.find("etcd", assets=True)
        layout.find("kube-apiserver", assets=True)
        self.scratch = procs.Scratch(prefix="mainstay-api-")
        self.folder = folder or os.path.join(self.scratch.path, "api")
        self.own_folder = folder is None
        os.makedirs(self.folder, exist_ok=True)
        self.daemons = daemons.Daemons(os.path.join(self.folder, "pids"), os.path.join(self.folder, "logs"))
        self.pki = os.path.join(self.folder, "pki")
        self.kubeconfig = os.path.join(self.folder, "admin.kubeconfig")
        self.audit_log = os.path.join(self.folder, "audit.log")
        self.extra = [*extra, *(controlplane.audit_args(self.folder) if audit else [])]
        pki.make_ca(self.pki)
        pki.make_cert(self.pki, "apiserver", "/CN=kube-apiserver",
                      ["DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default.svc", "IP:127.0.0.1", f"IP:{layout.API_SERVICE}"])
        self.tokens = pki.Tokens(os.path.join(self.folder, "tokens.csv"))
        self.token = self.tokens.add("admin", ["system:masters"])
        self.ca = os.path.join(self.pki, "ca.crt")
        self.url = self.port = self.api = None

    def __enter__(self):
        try:
            return self.begin()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    def begin(self):
        """The first start, on ports of its choice."""
        for attempt in range(3):
            client, peer, self.port = free_ports(3)
            self.url = f"https://127.0.0.1:{self.port}"
            self.api = kubeapi.Api(self.url, self.ca, self.token)
            pki.write_kubeconfig(self.kubeconfig, self.url, self.ca, self.token)
            self._start("etcd", controlplane.etcd_argv(os.path.join(self.folder, "etcd"), client, peer), controlplane.etcd_env())
            # The ServiceAccount plug-in wants an account object for each pod, which only a controller-manager makes.
            self._start("apiserver", controlplane.apiserver_argv(
                self.pki, self.tokens.path, client, "127.0.0.1", self.port, modes="RBAC",
                extra=["--disable-admission-plugins=ServiceAccount", "--advertise-address=127.0.0.1", *self.extra]))
            if self.api.wait_ready(30, self._alive):
                return self
            if attempt == 2:
                raise shell.Failed("the API server does not become ready; its last words:\n" + self.daemons.tail("apiserver")
                                   + self.daemons.tail("etcd", 5))
            self.daemons.stop_all(["apiserver", "etcd"], timeout=0)
            shutil.rmtree(os.path.join(self.folder, "etcd"), ignore_errors=True)
        return self

    def _start(self, name, argv, env=None):
        self.scratch.guard(self.daemons.start(name, argv, env=env))

    def _alive(self):
        return bool(self.daemons.pid("etcd") and self.daemons.pid("apiserver"))

    def stop(self, timeout=5):
        """Down: connections are refused."""
        self.daemons.stop("apiserver", timeout)

    def start(self):
        """Up again on the same port with the same state."""
        self.scratch.guard(self.daemons.start_again("apiserver"))
        if not self.api.wait_ready(30, self._alive):
            raise shell.Failed("the API server does not come back:\n" + self.daemons.tail("apiserver"))

    def pause(self):
        """It hangs: connections are taken, nothing is answered."""
        self.daemons.signal("apiserver", signal.SIGSTOP)

    def resume(self):
        self.daemons.signal("apiserver", signal.SIGCONT)

    def close(self):
        self.daemons.stop_all(["apiserver", "etcd"], timeout=0)  # nothing in it is worth a graceful end
        self.scratch.close()
        if not self.own_folder:
            for name in ("etcd", "pids"):
                shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)

    def described(self):
        return {"server": self.url, "ca": self.ca, "token": self.token, "kubeconfig": self.kubeconfig, "folder": self.folder,
                "pki": self.pki, "audit_log": self.audit_log, "pids": {n: self.daemons.pid(n) for n in ("etcd", "apiserver")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    run = parser.add_subparsers(dest="verb", required=True).add_parser("run", help="until standard input ends or SIGTERM")
    run.add_argument("--dir", help="folder for its files (default: a scratch folder)")
    run.add_argument("--audit", action="store_true", help="log the requests of everybody but the admin to audit.log")
    args = parser.parse_args()
    procs.unwind_on_signals()
    begun = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        with ApiServer(args.dir and os.path.abspath(args.dir), audit=args.audit) as server:
            ready = round(time.clock_gettime(time.CLOCK_BOOTTIME) - begun, 2)
            print(json.dumps({**server.described(), "seconds": ready}), flush=True)
            sys.stdin.read()
    except layout.CannotHere as reason:
        print(f"apiserver.py: cannot here: {reason}", file=sys.stderr)
        return layout.EXIT_CANNOT
    except shell.Failed as failure:
        print(f"apiserver.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
