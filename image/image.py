#!/usr/bin/python3
"""Image archives without a registry, a builder or a container engine: docker archive and OCI layout. `./dev image` calls this.

  agent     mainstay/agent:dev: agent, shim, what they need of glibc, CA bundle (image/agent/files.txt is the whole list)
  postgres  docker.io/library/postgres:15 as the tests need it: a stand-in of the official image, from Debian's packages (cached)
  redis     docker.io/library/redis:7.0, in the same way
  pause     docker.io/mainstay/pause:1: holds a pod's namespaces on the test bed
  (none)    all of them

Archives: build/images/NAME.tar (docker archive, what the test bed imports) and NAME.oci.tar (OCI layout).
Exit status: 0 done, 1 failed, 2 wrong usage, 3 this machine cannot (the text says why)
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, HERE)
import archive
import postgres_image
import redis_image
import standin

LIMIT_MB = 40
LOADERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
TRIPLETS = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}


def say(text):
    print(f"    {text}", file=sys.stderr, flush=True)


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()[-800:]}")
    return done.stdout


# ---- the agent -------------------------------------------------------------------------------------------------------


def entries(path=os.path.join(HERE, "agent", "files.txt")):
    """(kind, mode, path, source) of files.txt, for this architecture; folders that LOADER needs are added."""
    machine = platform.machine()
    if machine not in LOADERS:
        raise standin.CannotHere(f"no image for {machine}: amd64 (x86_64) and arm64 (aarch64) are known")
    out, folders = [], set()
    with open(path, encoding="utf-8") as f:
        for line in f:
            if not line.strip() or line.startswith("#"):
                continue
            kind, mode, name, source = line.split()
            name = name.replace("TRIPLET", TRIPLETS[machine]).replace("LOADER", LOADERS[machine])
            if kind == "dir":
                folders.add(name)
            elif os.path.dirname(name) not in folders:
                folders.add(os.path.dirname(name))
                out.append(("dir", 0o755, os.path.dirname(name), "-"))
            out.append((kind, int(mode, 8), name, source))
    return out


def libraries(program):
    """{libc.so.6: path} that a program asks the loader for."""
    found = dict(re.findall(r"^\s*(\S+) => (/\S+) ", run("ldd", program), re.M))
    return {name: os.path.realpath(path) for name, path in found.items()}


def check_libraries(listed, program):
    """A library that files.txt does not list would be missed at the first start, on somebody's cluster."""
    needed = set(libraries(program))
    has = {source for kind, _, _, source in listed if kind == "lib"}
    if needed != has:
        raise RuntimeError(f"{program} needs {sorted(needed)}; image/agent/files.txt has {sorted(has)}: make them equal")


def source_of(kind, source, build, scratch):
    """The file that becomes an entry."""
    if kind == "file":
        return os.path.join(ROOT, source)
    if kind == "host":
        return os.path.realpath(source)
    if kind == "loader":
        return os.path.realpath(LOADERS[platform.machine()])
    if kind == "lib":
        return libraries(os.path.join(build, "agent", "mainstay"))[source]
    stripped = os.path.join(scratch, os.path.basename(source))
    run("strip", "--strip-all", "-o", stripped, os.path.join(build, source))  # symbols stay in the build folder, by build id
    return stripped


def agent_layer(build, scratch):
    listed = entries()
    for program in ("agent/mainstay", "agent/shim/mainstay-shim"):
        if not os.access(os.path.join(build, program), os.X_OK):
            raise RuntimeError(f"no {program} in {build}: ./dev build release mainstay mainstay-shim")
    check_libraries(listed, os.path.join(build, "agent", "mainstay"))
    layer = archive.Layer(os.path.join(scratch, "agent.layer"))
    for kind, mode, name, source in listed:
        if kind == "dir":
            layer.folder(name, mode)
        elif kind == "link":
            layer.link(name, source)
        else:
            layer.file(name, source_of(kind, source, build, scratch), mode)
    layer.close()
    return layer


def agent_config():
    with open(os.path.join(HERE, "agent", "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as f:
        version = re.search(r"project\(\s*mainstay\s+VERSION\s+([\d.]+)", f.read(), re.I)[1]
    config["Labels"]["org.opencontainers.image.version"] = version
    return config


def make_agent(args, scratch):
    layer = agent_layer(os.path.abspath(args.build), scratch)
    if args.rootfs:  # for the Containerfile: the same entries, unpacked
        os.makedirs(args.rootfs, exist_ok=True)
        run("tar", "-C", args.rootfs, "--numeric-owner", "-xpf", layer.path)
        return
    digest = archive.write(args.out, "agent", "mainstay/agent:dev", layer.path, agent_config())
    size = os.path.getsize(layer.path) / 1e6
    say(f"agent: mainstay/agent:dev, {size:.1f} MB, {digest}")
    if size > LIMIT_MB:
        raise RuntimeError(f"the agent's image has {size:.1f} MB; {LIMIT_MB} MB is the limit")


# ---- the others ------------------------------------------------------------------------------------------------------


def make_pause(args, scratch):
    program = os.path.join(scratch, "pause")
    run("cc", "-O2", "-static", "-s", "-Wall", "-Wextra", "-o", program, os.path.join(HERE, "pause.c"))
    layer = archive.Layer(os.path.join(scratch, "pause.layer"))
    layer.file("/pause", program, 0o755)
    layer.close()
    digest = archive.write(args.out, "pause", "mainstay/pause:1", layer.path, {"User": "65535:65535", "Entrypoint": ["/pause"]})
    say(f"pause: mainstay/pause:1, {os.path.getsize(layer.path) / 1e6:.1f} MB, {digest}")


def make_postgres(args, scratch):
    standin.make(postgres_image.STANDIN, args.out, scratch, args.fresh, say)


def make_redis(args, scratch):
    standin.make(redis_image.STANDIN, args.out, scratch, args.fresh, say)


MAKERS = {"agent": make_agent, "postgres": make_postgres, "redis": make_redis, "pause": make_pause}


def main():
    parser = argparse.ArgumentParser(prog="./dev image", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", metavar="agent|postgres|redis|pause")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"), help="where agent and shim are (build/release)")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "images"), help="where archives go (build/images)")
    parser.add_argument("--rootfs", help="agent only: unpack its files into this folder instead (the Containerfile does this)")
    parser.add_argument("--fresh", action="store_true", help="postgres, redis: from newly fetched packages")
    args = parser.parse_args()
    chosen = args.images or list(MAKERS)
    for name in chosen:
        if name not in MAKERS:
            parser.error(f"no image '{name}'; there are {', '.join(MAKERS)}")
    if args.rootfs and chosen != ["agent"]:
        parser.error("--rootfs is for agent alone")
    os.makedirs(args.out, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix="mainstay-image-")
    try:
        for name in chosen:
            MAKERS[name](args, scratch)
    except standin.CannotHere as reason:
        print(f"image: cannot here: {reason}", file=sys.stderr)
        return 3
    except (RuntimeError, OSError, subprocess.SubprocessError) as failure:
        print(f"image: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
