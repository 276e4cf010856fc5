"""The tests' stand-in of the official image postgres:15, where that one cannot be pulled: made from Debian's packages.

The same: user postgres (999:999), PGDATA, /var/run/postgresql, /docker-entrypoint-initdb.d, entry point and its variables, PATH,
LANG, stop signal, port, volume. Not the same: PostgreSQL is Debian's build of the major version, not the PGDG's, and there is no
LLVM (`jit` stays off): 130 MB that each node of the bed would unpack.

Packages are resolved by apt as for an empty machine, unpacked, not installed: nothing runs but ldconfig and localedef.
"""
import glob
import hashlib
import os
import shutil
import subprocess
import tempfile

import archive

HERE = os.path.dirname(os.path.abspath(__file__))
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
POSTGRES = (999, 999)
CONFIG = {
    "Env": [f"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/{MAJOR}/bin", "LANG=en_US.utf8",
            f"PG_MAJOR={MAJOR}", "PGDATA=/var/lib/postgresql/data"],
    "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"], "ExposedPorts": {"5432/tcp": {}},
    "Volumes": {"/var/lib/postgresql/data": {}}, "StopSignal": "SIGINT",
    "Labels": {"org.opencontainers.image.title": "postgres (stand-in)",
               "org.opencontainers.image.description": "For Mainstay's tests only: the official image's contract on Debian's packages"}}


class CannotHere(Exception):
    """This machine cannot make it; the text says why and what would help."""


def run(*argv, timeout=600, env=None):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[:6])} ...: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def cache():
    base = os.environ.get("MAINSTAY_CACHE") or os.path.expanduser("~/.cache/mainstay")
    return os.path.join(base, f"postgres-{MAJOR}")


def apt(folder, *args):
    """apt-get as on a machine where nothing is installed; its archives are ours."""
    os.makedirs(os.path.join(folder, "partial"), exist_ok=True)
    return run("apt-get", "-q", "-y", "-o", "Dir::State::status=/dev/null", "-o", f"Dir::Cache::archives={folder}",
               "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "--no-install-recommends",
               *args, timeout=1200)


def fetch(folder, fresh):
    """The .deb files, from the cache when they are there. Versions that apt no longer names stay unused."""
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as empty:  # apt lists only what its folder does not have
        lines = apt(empty, "--print-uris", "install", *PACKAGES).splitlines()
    names = sorted(line.split()[1] for line in lines if line.startswith("'"))
    debs = [os.path.join(folder, n) for n in names]
    if not all(map(os.path.exists, debs)):
        apt(folder, "--download-only", "install", *PACKAGES)
    return [d for d in debs if not os.path.basename(d).startswith(LEFT_OUT)]


def unpack(debs, root):
    """All files of the packages. /bin, /lib and /sbin are links into /usr, as on any Debian 12."""
    for name in ("bin", "lib", "sbin", "lib64"):
        os.makedirs(os.path.join(root, "usr", name))
        os.symlink(f"usr/{name}", os.path.join(root, name))
    for deb in debs:
        tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        done = subprocess.run(["tar", "-C", root, "--keep-directory-symlink", "--numeric-owner", "-xpf", "-"], stdin=tar.stdout,
                              capture_output=True, text=True, timeout=120, check=False)
        if tar.wait(60) or done.returncode:
            raise RuntimeError(f"unpacking {deb}: {done.stderr[-300:]}")


def put(root, name, text, mode=0o644):
    path = os.path.join(root, name.lstrip("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def settle(root):
    """What the packages' scripts and the official Dockerfile would have done."""
    masters = os.path.join(root, "usr/share/base-passwd")
    for name, line in (("passwd", "postgres:x:999:999::/var/lib/postgresql:/bin/bash\n"), ("group", "postgres:x:999:\n")):
        with open(os.path.join(masters, f"{name}.master"), encoding="utf-8") as f:
            put(root, f"etc/{name}", f.read().replace(":*:", ":x:") + line)
    put(root, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    put(root, "etc/hosts", "127.0.0.1 localhost\n")
    with open(os.path.join(HERE, "postgres", "docker-entrypoint.sh"), encoding="utf-8") as f:
        put(root, "usr/local/bin/docker-entrypoint.sh", f.read(), 0o755)
    os.makedirs(os.path.join(root, "docker-entrypoint-initdb.d"), exist_ok=True)
    for folder, mode in (("var/lib/postgresql", 0o1777), ("var/lib/postgresql/data", 0o1777), ("run/postgresql", 0o3777),
                         ("tmp", 0o1777), ("proc", 0o755), ("sys", 0o755), ("dev", 0o755)):
        path = os.path.join(root, folder)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
    if os.path.isdir(os.path.join(root, "var/run")):  # some package has files there
        shutil.rmtree(os.path.join(root, "var/run"))
    os.symlink("/run", os.path.join(root, "var/run"))
    for name in ("awk", "nawk"):
        link = os.path.join(root, "usr/bin", name)
        if not os.path.lexists(link):
            os.symlink("mawk", link)
    sample = os.path.join(root, f"usr/share/postgresql/{MAJOR}/postgresql.conf.sample")
    with open(sample, encoding="utf-8") as f:
        text = f.read()
    put(root, sample[len(root):], text.replace("#listen_addresses = 'localhost'", "listen_addresses = '*'"))
    os.makedirs(os.path.join(root, "usr/lib/locale"), exist_ok=True)
    # The image's own localedef: the format belongs to its libc.
    run("chroot", root, "/usr/bin/localedef", "-i", "en_US", "-c", "-f", "UTF-8", "-A", "/usr/share/locale/locale.alias", "en_US.UTF-8")
    run("chroot", root, "/usr/sbin/ldconfig")
    for name in PRUNED:
        path = os.path.join(root, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
    shutil.rmtree(os.path.join(root, "var/cache"), ignore_errors=True)


def owner_of(name, status):
    if name in ("/var/lib/postgresql", "/var/lib/postgresql/data", "/run/postgresql"):
        return POSTGRES
    return status.st_uid, status.st_gid


def recipe(debs):
    """What the image is made of, as a digest: the same recipe is not cooked twice."""
    h = hashlib.sha256()
    for path in sorted([os.path.join(HERE, "postgres_image.py"), os.path.join(HERE, "archive.py"),
                        os.path.join(HERE, "postgres", "docker-entrypoint.sh")]):
        h.update(archive.digest(path).encode())
    for deb in debs:
        h.update(os.path.basename(deb).encode())
    return h.hexdigest()


def make(out, scratch, fresh, say):
    if os.geteuid() != 0:
        raise CannotHere("unpacking packages with their owners needs root")
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise CannotHere("the stand-in is made from Debian's packages by apt: this is no Debian")
    folder = cache()
    kept = [os.path.join(folder, n) for n in ("postgres.tar", "postgres.oci.tar")]
    stamp = os.path.join(folder, "recipe")
    try:
        debs = fetch(os.path.join(folder, "debs"), fresh)
    except RuntimeError as failure:
        if fresh or not all(map(os.path.exists, [stamp, *kept])):
            raise CannotHere(f"no packages: apt-get update, then again (or no network): {failure}") from failure
        say("postgres: apt does not answer; the one of last time")
        return publish(kept, out, say)
    wanted = recipe(debs)
    if _read(stamp) != wanted or not all(map(os.path.exists, kept)):
        root = os.path.join(scratch, "root")
        os.makedirs(root)
        unpack(debs, root)
        settle(root)
        layer = archive.Layer(os.path.join(scratch, "postgres.layer"))
        layer.tree(root, owner_of)
        layer.close()
        digest = archive.write(folder, "postgres", TAG, layer.path, CONFIG)
        with open(stamp, "w", encoding="ascii") as f:
            f.write(wanted)
        say(f"postgres: {digest} from {len(debs)} packages")
    return publish(kept, out, say)


def publish(kept, out, say):
    """From the cache to where archives are looked for."""
    for path in kept:
        target = os.path.join(out, os.path.basename(path))
        if not os.path.exists(target) or os.stat(target).st_mtime_ns != os.stat(path).st_mtime_ns:
            shutil.copy2(path, target)
    say(f"postgres: docker.io/library/{TAG} (stand-in), {os.path.getsize(kept[0]) / 1e6:.0f} MB")


def _read(path):
    try:
        with open(path, encoding="ascii") as f:
            return f.read()
    except FileNotFoundError:
        return ""
