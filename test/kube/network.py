"""The bed's network: a bridge in a namespace of its own, and a namespace with one cable for the control plane and each node.

Node death is a plug that is pulled out of the switch (cut), or a port that forwards nothing while its light stays on (silence).
Between two nodes alone: block, in one direction or both. Delay and loss rates are not offered: netem is not in every kernel.
"""
import os

import layout
import shell

CHAIN = "MAINSTAY-CUT"


def ip(*args, namespace=None, check=True):
    return shell.run(["ip", *(["-n", namespace] if namespace else []), *args], timeout=10, check=check)


def namespaces(prefix):
    """Those of a bed that exist."""
    try:
        return sorted(n for n in os.listdir("/run/netns") if n.startswith(prefix + "-"))
    except FileNotFoundError:
        return []


def up(bed):
    ip("netns", "add", bed.switch)
    ip("link", "add", "br0", "type", "bridge", namespace=bed.switch)
    ip("link", "set", "br0", "up", namespace=bed.switch)
    _plug(bed, bed.control_plane, "cp", layout.CONTROL_PLANE)
    for node in bed.nodes:
        _plug(bed, node.netns, node.name, node.address)
    for node in bed.nodes:
        route(bed, node)


def _plug(bed, netns, name, address):
    """A namespace with eth0, whose other end v-NAME is in the switch."""
    ip("netns", "add", netns)
    ip("link", "set", "lo", "up", namespace=netns)
    # Made inside the switch's namespace: the host's own list of interfaces is never touched.
    ip("link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0", "netns", netns, namespace=bed.switch)
    ip("link", "set", f"v-{name}", "master", "br0", "up", namespace=bed.switch)
    ip("addr", "add", f"{address}/24", "dev", "eth0", namespace=netns)
    ip("link", "set", "eth0", "up", namespace=netns)
    shell.run(shell.nsenter(netns, ["sysctl", "-qw", "net.ipv4.ip_forward=1"]))


def route(bed, node):
    """Pods of other nodes are reached through those nodes, all else through the control plane (which leads nowhere)."""
    ip("route", "replace", node.pods, "via", node.address, namespace=bed.control_plane)
    for other in bed.nodes:
        if other is not node:
            ip("route", "replace", other.pods, "via", other.address, namespace=node.netns)
    ip("route", "replace", "default", "via", layout.CONTROL_PLANE, namespace=node.netns)


def down(prefix):
    for name in namespaces(prefix):
        ip("netns", "del", name)


def cut(bed, node):
    """Pulls the plug: both ends see the carrier go."""
    ip("link", "set", node.link, "down", namespace=bed.switch)


def silence(bed, node):
    """The switch drops everything to and from the node, which still sees a carrier."""
    shell.run(["bridge", "-n", bed.switch, "link", "set", "dev", node.link, "state", "0"])


def restore(bed, node):
    """Undoes cut, silence and every block at this node."""
    ip("link", "set", node.link, "up", namespace=bed.switch)
    shell.run(["bridge", "-n", bed.switch, "link", "set", "dev", node.link, "state", "3"])
    _iptables(node, "-F", CHAIN, check=False)


def block(node, address, incoming=True, outgoing=True):
    """Packets of ADDRESS (an address or a range: a node's, its pods', the control plane's) are dropped at this node."""
    _iptables(node, "-N", CHAIN, check=False)
    for hook in ("INPUT", "FORWARD", "OUTPUT"):
        if CHAIN not in _iptables(node, "-S", hook):
            _iptables(node, "-I", hook, "-j", CHAIN)
    if incoming:
        _iptables(node, "-A", CHAIN, "-s", address, "-j", "DROP")
    if outgoing:
        _iptables(node, "-A", CHAIN, "-d", address, "-j", "DROP")


def unblock(node):
    _iptables(node, "-F", CHAIN, check=False)


def _iptables(node, *args, check=True):
    return shell.run(shell.nsenter(node.netns, ["iptables", "-w", "5", *args]), check=check)


def reset(node):
    """What a reboot forgets: firewall rules, the pods' bridge and their cables."""
    for table in ("filter", "nat", "mangle", "raw"):
        _iptables(node, "-t", table, "-F", check=False)
        _iptables(node, "-t", table, "-X", check=False)
    ip("link", "del", "cni0", namespace=node.netns, check=False)
    for line in ip("-o", "link", "show", "type", "veth", namespace=node.netns).splitlines():
        name = line.split()[1].split("@")[0].rstrip(":")
        if name != "eth0":
            ip("link", "del", name, namespace=node.netns, check=False)
