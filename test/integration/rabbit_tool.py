"""The control of a RabbitMQ node, as tests ask it: test/integration/rabbit/control_tool.cc with a line of JSON for each command."""
import json
import os
import subprocess
import time

BUILD = os.environ.get("MAINSTAY_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release"))
TOOL = os.path.join(BUILD, "test/integration/rabbit/rabbit_control_tool")
UNKNOWN = ("DEADLINE_EXCEEDED", "UNKNOWN")
DOWN = ("UNAVAILABLE", "NOT_FOUND", "UNKNOWN")  # nobody there, or gone while it answered


class Tool:
    def __init__(self, node, cookie_file=None, by_epmd=True):
        s = node.servers
        self.name = node.name
        port = "0" if by_epmd else str(node.dist_port)
        self.p = subprocess.Popen([TOOL, node.name, cookie_file or s.cookie_file, "127.0.0.1", port, str(s.epmd_port)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        """The whole answer; its "took" is what we waited, in seconds."""
        begin = time.monotonic()
        self.p.stdin.write(" ".join(words) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            raise AssertionError("the tool ended")
        return dict(json.loads(line), took=time.monotonic() - begin)

    def get(self, *words):
        answer = self.ask(*words)
        if not answer["ok"]:
            raise AssertionError(f"{self.name}, {' '.join(words)}: {answer['code']}: {answer['message']}")
        return answer["value"]

    def close(self):
        self.p.stdin.close()
        self.p.wait(30)
        self.p.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def declare_quorum_queues(node, n, prefix="q"):
    """Quorum queues on all running nodes, through the server's own code: no client library needed."""
    name = f'<<"{prefix}",(integer_to_binary(I))/binary>>'
    made = node.eval('[element(1, rabbit_amqqueue:declare({resource,<<"/">>,queue,' + name +
                     '}, true, false, [{<<"x-queue-type">>,longstr,<<"quorum">>}], none, <<"test">>)) || I <- lists:seq(1,' + str(n) + ')].')
    assert "error" not in made, made
