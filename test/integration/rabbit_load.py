"""A confirming publisher and an acknowledging consumer on quorum queues, all the time; and the account of them.

    load = Load(ports, queues=3)      # a process of its own
    ...
    account = load.finish()           # {"confirmed": n, "lost": [...], "doubled": n, "longest_gap": s}

The publisher sends persistent messages, one by one, and counts a message only when the broker confirmed it. After an error, a nack or a silence it
opens a new connection to the next node. The consumer acknowledges by hand. At the end the queues are emptied; a message is lost when it
was confirmed and never came.
"""
import json
import subprocess
import sys
import threading
import time

import pika

MAX_GAP = 10  # seconds an operation may take before the connection is given up


def connect(ports, i, name):
    params = pika.ConnectionParameters("127.0.0.1", ports[i % len(ports)], heartbeat=10, blocked_connection_timeout=MAX_GAP, socket_timeout=3,
                                       stack_timeout=5, connection_attempts=1, client_properties={"connection_name": name})
    return pika.BlockingConnection(params)


class Worker:
    def __init__(self, ports, queues):
        self.ports, self.queues = ports, queues
        self.confirmed, self.seen = {}, {}
        self.gaps, self.errors = [], 0
        self.stop = threading.Event()
        self.drained = threading.Event()

    def declare(self):
        end = time.monotonic() + 60
        while True:
            try:
                c = connect(self.ports, 0, "declare")
                ch = c.channel()
                for q in self.queues:
                    ch.queue_declare(q, durable=True, arguments={"x-queue-type": "quorum", "x-quorum-initial-group-size": 3})
                c.close()
                return
            except (pika.exceptions.AMQPError, OSError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def publish(self):
        n, i, last = 0, 0, time.monotonic()
        while not self.stop.is_set():
            c = None
            try:
                c = connect(self.ports, i, "publisher")
                ch = c.channel()
                ch.confirm_delivery()
                while not self.stop.is_set():
                    q = self.queues[n % len(self.queues)]
                    n += 1
                    ch.basic_publish("", q, str(n), pika.BasicProperties(delivery_mode=2), mandatory=True)
                    now = time.monotonic()
                    self.gaps.append(now - last)
                    last = now
                    self.confirmed[n] = q
                    time.sleep(0.005)
            except Exception:  # pylint: disable=broad-except  # whatever pika throws: the next node
                self.errors += 1
                i += 1
                time.sleep(0.05)
            finally:
                try:
                    if c is not None and c.is_open:
                        c.close()
                except Exception:  # pylint: disable=broad-except
                    pass

    def consume(self):
        i = 1
        while not self.drained.is_set():
            try:
                c = connect(self.ports, i, "consumer")
                ch = c.channel()
                ch.basic_qos(prefetch_count=50)

                def got(channel, method, _properties, body):
                    key = int(body)
                    self.seen[key] = self.seen.get(key, 0) + 1
                    channel.basic_ack(method.delivery_tag)
                for q in self.queues:
                    ch.basic_consume(q, got)
                while not self.drained.is_set():
                    c.process_data_events(0.2)
                c.close()
            except Exception:  # pylint: disable=broad-except
                i += 1
                time.sleep(0.2)

    def account(self):
        # Copies in one step each: the other threads go on.
        confirmed, seen, gaps = list(self.confirmed), dict(self.seen), list(self.gaps)
        lost = sorted(set(confirmed) - set(seen))
        return {"confirmed": len(confirmed), "lost": lost[:20], "lost_count": len(lost), "errors": self.errors,
                "doubled": sum(1 for n in seen.values() if n > 1), "longest_gap": round(max(gaps, default=0), 2)}


def main():
    config = json.loads(sys.argv[1])
    w = Worker(config["ports"], [f"load{i}" for i in range(config["queues"])])
    w.declare()
    threads = [threading.Thread(target=w.publish, daemon=True), threading.Thread(target=w.consume, daemon=True)]
    for t in threads:
        t.start()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "account":
            print(json.dumps(w.account()), flush=True)
        if line.strip() == "finish":
            break
    w.stop.set()
    threads[0].join(30)
    end = time.monotonic() + 60
    while w.account()["lost_count"] and time.monotonic() < end:
        time.sleep(0.2)
    w.drained.set()
    threads[1].join(10)
    print(json.dumps(w.account()), flush=True)


class Load:
    def __init__(self, ports, queues=3):
        self.p = subprocess.Popen(["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", "/usr/bin/python3", __file__,
                                   json.dumps({"ports": ports, "queues": queues})], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.p.stdout.readline().strip() != "ready":
            raise AssertionError("the load did not start")

    def ask(self, word):
        self.p.stdin.write(word + "\n")
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def account(self):
        return self.ask("account")

    def finish(self):
        out = self.ask("finish")
        self.close()
        return out

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        self.p.stdout.close()
        try:
            self.p.stdin.close()
        except BrokenPipeError:
            pass  # what was still to be sent


if __name__ == "__main__":
    main()
