"""Stand-ins of official images for tests, where those cannot be pulled: made from Debian's packages.

Packages are resolved by apt as for an empty machine, unpacked, not installed: nothing runs but what settle() runs. An image is cooked
again only when its recipe (its module, this one, its files, the packages' versions) changes; archives are cached.

    STANDIN = standin.Standin("redis", "redis:7.0", packages, left_out, pruned, owners, config, settle, files); standin.make(STANDIN, ...)
"""
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections import namedtuple

import archive

HERE = os.path.dirname(os.path.abspath(__file__))
# name: of the archives; folder: of the cache; left_out: beginnings of package files that are of no use in a container; pruned: paths that go;
# owners: {path: (uid, gid)} of what does not belong to root; settle(root): what the packages' scripts and the official build would have
# done; files: what the recipe is made of, beside this module.
Standin = namedtuple("Standin", "name folder tag packages left_out pruned owners config settle files")


class CannotHere(Exception):
    """This machine cannot make it; the text says why and what would help."""


def run(*argv, timeout=600, env=None):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[:6])} ...: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def cache(standin):
    base = os.environ.get("MAINSTAY_CACHE") or os.path.expanduser("~/.cache/mainstay")
    return os.path.join(base, standin.folder)


def apt(folder, *args):
    """apt-get as on a machine where nothing is installed; its archives are ours."""
    os.makedirs(os.path.join(folder, "partial"), exist_ok=True)
    return run("apt-get", "-q", "-y", "-o", "Dir::State::status=/dev/null", "-o", f"Dir::Cache::archives={folder}",
               "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "--no-install-recommends",
               *args, timeout=1200)


def fetch(standin, folder, fresh):
    """The .deb files, from the cache when they are there. Versions that apt no longer names stay unused."""
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as empty:  # apt lists only what its folder does not have
        lines = apt(empty, "--print-uris", "install", *standin.packages).splitlines()
    names = sorted(line.split()[1] for line in lines if line.startswith("'"))
    debs = [os.path.join(folder, n) for n in names]
    if not all(map(os.path.exists, debs)):
        apt(folder, "--download-only", "install", *standin.packages)
    return [d for d in debs if not os.path.basename(d).startswith(standin.left_out)]


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


def accounts(root, user, uid, home, shell="/bin/bash"):
    """/etc/passwd and /etc/group of Debian, and one user more."""
    masters = os.path.join(root, "usr/share/base-passwd")
    for name, line in (("passwd", f"{user}:x:{uid}:{uid}::{home}:{shell}\n"), ("group", f"{user}:x:{uid}:\n")):
        with open(os.path.join(masters, f"{name}.master"), encoding="utf-8") as f:
            put(root, f"etc/{name}", f.read().replace(":*:", ":x:") + line)
    put(root, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    put(root, "etc/hosts", "127.0.0.1 localhost\n")


def folders(root, modes):
    """{path: mode}, made when missing; /var/run is /run."""
    for name, mode in {**modes, "tmp": 0o1777, "proc": 0o755, "sys": 0o755, "dev": 0o755}.items():
        path = os.path.join(root, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
    if os.path.isdir(os.path.join(root, "var/run")):  # some package has files there
        shutil.rmtree(os.path.join(root, "var/run"))
    if not os.path.lexists(os.path.join(root, "var/run")):
        os.symlink("/run", os.path.join(root, "var/run"))


def links(root, names):
    for name, target in names.items():
        link = os.path.join(root, name)
        if not os.path.lexists(link):
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(target, link)


def prune(root, names):
    for name in (*names, "var/cache"):
        path = os.path.join(root, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)


def recipe(standin, debs):
    """What the image is made of, as a digest: the same recipe is not cooked twice."""
    h = hashlib.sha256()
    for path in sorted([os.path.join(HERE, "standin.py"), os.path.join(HERE, "archive.py"), *standin.files]):
        h.update(archive.digest(path).encode())
    for deb in debs:
        h.update(os.path.basename(deb).encode())
    return h.hexdigest()


def make(standin, out, scratch, fresh, say):
    if os.geteuid() != 0:
        raise CannotHere("unpacking packages with their owners needs root")
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise CannotHere("the stand-in is made from Debian's packages by apt: this is no Debian")
    folder, name = cache(standin), standin.name
    kept = [os.path.join(folder, n) for n in (f"{name}.tar", f"{name}.oci.tar")]
    stamp = os.path.join(folder, "recipe")
    try:
        debs = fetch(standin, os.path.join(folder, "debs"), fresh)
    except RuntimeError as failure:
        if fresh or not all(map(os.path.exists, [stamp, *kept])):
            raise CannotHere(f"no packages: apt-get update, then again (or no network): {failure}") from failure
        say(f"{name}: apt does not answer; the one of last time")
        return publish(standin, kept, out, say)
    wanted = recipe(standin, debs)
    if _read(stamp) != wanted or not all(map(os.path.exists, kept)):
        root = os.path.join(scratch, f"root-{name}")
        os.makedirs(root)
        unpack(debs, root)
        standin.settle(root)
        run("chroot", root, "/usr/sbin/ldconfig")
        prune(root, standin.pruned)
        layer = archive.Layer(os.path.join(scratch, f"{name}.layer"))
        layer.tree(root, lambda path, status: standin.owners.get(path, (status.st_uid, status.st_gid)))
        layer.close()
        digest = archive.write(folder, name, standin.tag, layer.path, standin.config)
        with open(stamp, "w", encoding="ascii") as f:
            f.write(wanted)
        say(f"{name}: {digest} from {len(debs)} packages")
    return publish(standin, kept, out, say)


def publish(standin, kept, out, say):
    """From the cache to where archives are looked for."""
    for path in kept:
        target = os.path.join(out, os.path.basename(path))
        if not os.path.exists(target) or os.stat(target).st_mtime_ns != os.stat(path).st_mtime_ns:
            shutil.copy2(path, target)
    say(f"{standin.name}: docker.io/library/{standin.tag} (stand-in), {os.path.getsize(kept[0]) / 1e6:.0f} MB")


def _read(path):
    try:
        with open(path, encoding="ascii") as f:
            return f.read()
    except FileNotFoundError:
        return ""
