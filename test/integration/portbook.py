"""Free ports for the servers of tests."""
import contextlib
import random
import socket

FIRST, LAST = 20000, 32000  # below the range that the kernel gives to outgoing connections: thousands of ended ones lie there for a minute


class PortBook:
    def __init__(self):
        self.given = set()

    def take(self, span=1):
        """A port that nobody has, with `span` the first of so many in a row. None is given twice."""
        for _ in range(1000):
            first = random.randrange(FIRST, LAST - span)
            ports = range(first, first + span)
            if self.given.isdisjoint(ports) and free(ports):
                self.given.update(ports)
                return first
        raise AssertionError(f"no {span} free ports in a row between {FIRST} and {LAST}")


def free(ports):
    with contextlib.ExitStack() as kept:
        try:
            for port in ports:
                kept.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return True
        except OSError:
            return False
