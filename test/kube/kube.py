#!/usr/bin/python3
"""A real Kubernetes of one to nine nodes on this machine, in network namespaces. `./dev kube` calls this.

  up [--nodes N] [--image FILE]...   make it; ready when this returns. Images of build/images go into every node
  down                               stop and remove all of it
  status                             nodes, pods, programs
  load FILE...                       import image archives into every node
  kubectl ...  /  helm ...           run against it (also: any program, with `run PROGRAM ...`, in the control plane's network)
  node NAME cut|restore|silence|off|on|reboot     a cable pulled, a power cut
  build                              make and install what all this needs (once; a quarter of an hour on two cores)
  node NAME run PROGRAM ...                        a program of this machine in the node's network

--prefix P (or $MAINSTAY_BED) before the verb names another bed beside the first. Needs root. docs/TESTBED.md tells how it works.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 this machine cannot (the text says why and what to do)
"""
import argparse
import glob
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bed as bed_
import build
import cluster
import layout
import node as node_
import procs
import shell


def say(text):
    print(f"    {text}", file=sys.stderr, flush=True)


def up(args):
    begun = procs.now()
    found = cluster.Cluster(args.prefix, args.nodes)
    if args.replace and found.exists():
        found.down()
    images = args.image or sorted(i for i in glob.glob(os.path.join(layout.images_dir(), "*.tar"))
                                  if not i.endswith((".oci.tar", "/pause.tar")))
    try:
        found.up(grace=args.grace, audit=args.audit, images=images, say=say)
    except (shell.Failed, OSError, KeyboardInterrupt):
        if not args.keep:
            found.down()
        raise
    say(f"up in {procs.now() - begun:.1f} s; images: {', '.join(os.path.basename(i) for i in images) or 'none (./dev image makes them)'}")
    say("./dev kube kubectl get nodes     ./dev kube helm ...     ./dev kube down")


def down(args):
    found = cluster.Cluster(args.prefix)
    begun = procs.now()
    there = found.exists()
    found.down()
    left = found.leftovers()
    if left:
        raise shell.Failed("left behind: " + ", ".join(left[:10]))
    say(f"down in {procs.now() - begun:.1f} s" if there else "there was none")


def status(args):
    found = cluster.Cluster(args.prefix)
    if not found.exists():
        print(f"no bed '{found.bed.prefix}' is up")
        return 1
    state = found.state()
    print(f"bed '{found.bed.prefix}' in {found.bed.dir}, made {state.get('made', 'half')}; kubeconfig {found.bed.kubeconfig}")
    for name in found.daemons.names():
        pid = found.daemons.pid(name)
        print(f"  {name:22} {f'PID {pid}, {procs.rss_kib(pid) // 1024} MiB' if pid else 'not running'}")
    if found.daemons.pid("apiserver"):
        print(bed_.Bed.attach(args.prefix).kubectl("get", "nodes,pods", "-A", "-o", "wide", check=False), end="")
    return 0


def load(args):
    bed_.Bed.attach(args.prefix).load(*map(os.path.abspath, args.files))


def tool(args):
    """Becomes kubectl, helm or another program: terminal, signals and exit status are its own."""
    found = bed_.Bed.attach(args.prefix)
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if args.verb == "run":
        if not words:
            raise ValueError("run: which program?")
    else:
        words = [layout.find(args.verb), *words]
    os.execvpe("nsenter", shell.nsenter(found.layout.control_plane, words), bed_.tool_env(found.layout))


def node(args):
    found = bed_.Bed.attach(args.prefix)
    if args.action == "run":
        os.execvpe("nsenter", shell.nsenter(found.netns(args.name), args.words), os.environ)
    {"cut": found.cut, "restore": found.restore, "silence": found.silence, "off": found.power_off, "on": found.power_on,
     "reboot": found.reboot}[args.action](args.name)
    say(f"{args.name}: {args.action}")


def janitor(args):
    """Waits for the end of a test that made a bed; takes the bed down unless the test says that it did."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read() != b"done":
        found = cluster.Cluster(args.prefix)
        if (found.state().get("owner") or [0])[0] == args.owner:
            found.down()


def make(args):
    build.build(args.programs or None, say)
    left = build.missing()
    say(f"programs in {layout.bin_dir()}" + (f"; missing: {', '.join(left)}" if left else ""))


def parse():
    parser = argparse.ArgumentParser(prog="./dev kube", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="name of the bed (default ms)")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    one = verbs.add_parser("up")
    one.add_argument("--nodes", type=int, default=3, help="1 to 9 (default 3)")
    one.add_argument("--grace", type=int, default=16, help="seconds of silence until a node is NotReady (Kubernetes' default is 50)")
    one.add_argument("--audit", action="store_true", help="log requests of all but components and admin")
    one.add_argument("--image", action="append", help="import this archive (default: all of build/images)")
    one.add_argument("--replace", action="store_true", help="take down a bed of this prefix first")
    one.add_argument("--keep", action="store_true", help="when it fails, leave what there is for a look")
    one.set_defaults(run=up)
    verbs.add_parser("down").set_defaults(run=down)
    verbs.add_parser("status").set_defaults(run=status)
    one = verbs.add_parser("load")
    one.add_argument("files", nargs="+")
    one.set_defaults(run=load)
    for verb in ("kubectl", "helm", "run"):
        one = verbs.add_parser(verb, add_help=False)
        one.add_argument("words", nargs=argparse.REMAINDER)
        one.set_defaults(run=tool)
    one = verbs.add_parser("node")
    one.add_argument("name")
    one.add_argument("action", choices=("cut", "restore", "silence", "off", "on", "reboot", "run"))
    one.add_argument("words", nargs=argparse.REMAINDER)
    one.set_defaults(run=node)
    one = verbs.add_parser("janitor")  # of bed.Bed.up
    one.add_argument("owner", type=int)
    one.set_defaults(run=janitor)
    one = verbs.add_parser("build")
    one.add_argument("programs", nargs="*", choices=[*build.PROGRAMS, []], help="default: what is missing")
    one.set_defaults(run=make)
    return parser


def main():
    # What follows kubectl and helm is theirs, options too: argparse must not look at it.
    argv = sys.argv[1:]
    verb = 2 if argv[:1] == ["--prefix"] else int(argv[:1] != [] and argv[0].startswith("--prefix="))
    own, rest = argv, []
    if argv[verb:verb + 1] and argv[verb] in ("kubectl", "helm", "run"):
        own, rest = argv[:verb + 1], argv[verb + 1:]
    args = parse().parse_args(own)
    if rest:
        args.words = rest
    try:
        return args.run(args) or 0
    except layout.CannotHere as reason:
        print(f"kube: cannot here: {reason}", file=sys.stderr)
        return layout.EXIT_CANNOT
    except (ValueError, KeyError, cluster.AlreadyUp) as wrong:
        print(f"kube: {wrong.args[0]}", file=sys.stderr)
        return 2
    except (shell.Failed, RuntimeError, OSError) as failure:
        print(f"kube: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
