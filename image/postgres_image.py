"""The tests' stand-in of the official image postgres:15 (standin.py).

The same: user postgres (999:999), PGDATA, /var/run/postgresql, /docker-entrypoint-initdb.d, entry point and its variables, PATH,
LANG, stop signal, port, volume. Not the same: PostgreSQL is Debian's build of the major version, not the PGDG's, and there is no
LLVM (`jit` stays off): 130 MB that each node of the bed would unpack.
"""
import os

import standin

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRY = os.path.join(HERE, "postgres", "docker-entrypoint.sh")
MAJOR = "15"
TAG = f"postgres:{MAJOR}"
PACKAGES = [
    f"postgresql-{MAJOR}", "base-files", "base-passwd", "bash", "dash", "coreutils", "findutils", "grep", "sed", "gzip", "hostname",
    "xz-utils", "zstd", "libc-bin", "locales", "gosu", "libnss-wrapper", "procps", "less", "mawk", "util-linux", "tar", "tzdata"]
# Depended on, and of no use to a server in a container.
LEFT_OUT = ("libllvm", "libz3-", "perl-modules", "libperl5", "perl_", "dpkg_", "adduser", "passwd_", "login_", "libpam-", "debconf",
            "openssl_", "ca-certificates", "postgresql-common", "postgresql-client-common", "ssl-cert", "init-system-helpers", "ucf_",
            "sensible-utils", "netbase", "mount_")
PRUNED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/i18n", "usr/share/locale", "usr/share/bug", "usr/share/lintian",
          f"usr/lib/postgresql/{MAJOR}/lib/bitcode", f"usr/lib/postgresql/{MAJOR}/lib/llvmjit.so", "usr/share/perl5", "usr/lib/udev",
          "lib/udev", "usr/share/bash-completion")
CONFIG = {
    "Env": [f"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/{MAJOR}/bin", "LANG=en_US.utf8",
            f"PG_MAJOR={MAJOR}", "PGDATA=/var/lib/postgresql/data"],
    "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"], "ExposedPorts": {"5432/tcp": {}},
    "Volumes": {"/var/lib/postgresql/data": {}}, "StopSignal": "SIGINT",
    "Labels": {"org.opencontainers.image.title": "postgres (stand-in)",
               "org.opencontainers.image.description": "For Mainstay's tests only: the official image's contract on Debian's packages"}}


def settle(root):
    """What the packages' scripts and the official Dockerfile would have done."""
    standin.accounts(root, "postgres", 999, "/var/lib/postgresql")
    with open(ENTRY, encoding="utf-8") as f:
        standin.put(root, "usr/local/bin/docker-entrypoint.sh", f.read(), 0o755)
    standin.folders(root, {"docker-entrypoint-initdb.d": 0o755, "var/lib/postgresql": 0o1777, "var/lib/postgresql/data": 0o1777,
                           "run/postgresql": 0o3777, "usr/lib/locale": 0o755})
    standin.links(root, {"usr/bin/awk": "mawk", "usr/bin/nawk": "mawk"})
    sample = os.path.join(root, f"usr/share/postgresql/{MAJOR}/postgresql.conf.sample")
    with open(sample, encoding="utf-8") as f:
        text = f.read()
    standin.put(root, sample[len(root):], text.replace("#listen_addresses = 'localhost'", "listen_addresses = '*'"))
    # The image's own localedef: the format belongs to its libc.
    standin.run("chroot", root, "/usr/bin/localedef", "-i", "en_US", "-c", "-f", "UTF-8", "-A", "/usr/share/locale/locale.alias", "en_US.UTF-8")


OWNERS = {name: (999, 999) for name in ("/var/lib/postgresql", "/var/lib/postgresql/data", "/run/postgresql")}
STANDIN = standin.Standin("postgres", f"postgres-{MAJOR}", TAG, PACKAGES, LEFT_OUT, PRUNED, OWNERS, CONFIG, settle, [__file__, ENTRY])
