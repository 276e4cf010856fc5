"""The tests' stand-in of the official image redis:7.0 (standin.py).

The same: user redis (999:999), /data as working directory and volume, /usr/local/bin/redis-server and redis-cli, entry point (drops to the
user as root, umask 0077), PATH, port. Not the same: Redis is Debian's build of 7.0.
"""
import os

import standin

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRY = os.path.join(HERE, "redis", "docker-entrypoint.sh")
TAG = "redis:7.0"
PACKAGES = ["redis-server", "redis-tools", "base-files", "base-passwd", "bash", "dash", "coreutils", "findutils", "grep", "sed", "gzip", "hostname",
            "libc-bin", "gosu", "procps", "mawk", "util-linux", "tar", "tzdata"]
# Depended on, and of no use to a server in a container.
LEFT_OUT = ("perl_", "perl-modules", "libperl5", "dpkg_", "adduser", "passwd_", "login_", "debconf", "openssl_", "ca-certificates",
            "init-system-helpers", "ucf_", "sensible-utils", "netbase", "mount_", "libpam-", "lsb-base", "sysvinit-utils")
PRUNED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/bug", "usr/share/lintian", "usr/share/perl5",
          "usr/lib/udev", "lib/udev", "usr/share/bash-completion", "etc/redis", "etc/init.d", "lib/systemd", "usr/lib/systemd")
CONFIG = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "REDIS_VERSION=7.0.15"],
    "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["redis-server"], "ExposedPorts": {"6379/tcp": {}}, "Volumes": {"/data": {}},
    "WorkingDir": "/data",
    "Labels": {"org.opencontainers.image.title": "redis (stand-in)",
               "org.opencontainers.image.description": "For Mainstay's tests only: the official image's contract on Debian's packages"}}
# Debian names the same program by what it is called as.
PROGRAMS = {f"usr/local/bin/{new}": f"/usr/bin/{old}" for new, old in (
    ("redis-server", "redis-check-rdb"), ("redis-sentinel", "redis-check-rdb"), ("redis-check-aof", "redis-check-rdb"),
    ("redis-check-rdb", "redis-check-rdb"), ("redis-cli", "redis-cli"), ("redis-benchmark", "redis-benchmark"))}


def settle(root):
    """What the packages' scripts and the official Dockerfile would have done."""
    standin.accounts(root, "redis", 999, "/data", "/bin/sh")
    with open(ENTRY, encoding="utf-8") as f:
        standin.put(root, "usr/local/bin/docker-entrypoint.sh", f.read(), 0o755)
    standin.folders(root, {"data": 0o755})
    standin.links(root, {**PROGRAMS, "usr/bin/awk": "mawk"})


STANDIN = standin.Standin("redis", "redis-7.0", TAG, PACKAGES, LEFT_OUT, PRUNED, {"/data": (999, 999)}, CONFIG, settle, [__file__, ENTRY])
