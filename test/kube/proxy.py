"""A fault proxy in front of a real API server: what the network, load balancers and a sick control plane do to it.

    proxy = FaultProxy(server)                    # server: apiserver.ApiServer
    url = proxy.listen("pg-0")                    # one address for each client, so that faults can be one client's alone
    proxy.set(Down(), who="pg-0")                 # until proxy.clear(); several rules may stand, the first that fits counts
    proxy.set(Status(429, retry_after=2), share=0.5)
    proxy.set(LoseAnswer(), method="PUT")

It ends TLS with a certificate of the server's own authority (or of another one: proxy.certificate(...)), and speaks HTTP/1.1 to
both sides, one connection upstream for each downstream. One thread runs it.
"""
import asyncio
import os
import random
import ssl
import threading

import pki


class Fault:
    """What happens to one request. `pass_on` forwards it and gives the answer back."""
    at_accept = False  # also told of new connections

    async def act(self, exchange):
        await exchange.pass_on()


class Down(Fault):
    """Nobody listens: connections are reset, also those that were open."""
    at_accept = True

    async def act(self, exchange):
        exchange.abort()


class Hang(Fault):
    """Packets vanish: the request is taken, nothing ever comes back, and it is never executed."""
    async def act(self, exchange):
        await exchange.client_gone()


class Slow(Fault):
    def __init__(self, seconds):
        self.seconds = seconds

    async def act(self, exchange):
        await asyncio.sleep(self.seconds)
        await exchange.pass_on()


class Status(Fault):
    """Answered by somebody in between; never executed."""
    def __init__(self, code, retry_after=None):
        self.code, self.retry_after = code, retry_after

    async def act(self, exchange):
        await exchange.answer(self.code, self.retry_after)


class LoseAnswer(Fault):
    """Executed, but the answer is lost."""
    async def act(self, exchange):
        await exchange.forward()
        await exchange.drop_answer()
        await exchange.client_gone()


class Late(Fault):
    """The request lies somewhere and is executed later, when its sender has given up."""
    def __init__(self, seconds):
        self.seconds = seconds

    async def act(self, exchange):
        await asyncio.wait([asyncio.ensure_future(exchange.client_gone())], timeout=self.seconds)
        await asyncio.sleep(self.seconds)
        await exchange.forward()
        await exchange.drop_answer()
        exchange.abort()


class Stale(Fault):
    """Reads are answered as they were answered first: a cache that lags."""
    def __init__(self):
        self.answers = {}

    async def act(self, exchange):
        if exchange.path not in self.answers:
            await exchange.forward()
            self.answers[exchange.path] = await exchange.whole_answer()
        exchange.send(self.answers[exchange.path])


class CutWatch(Fault):
    """A watch ends in the middle of a line, after a few bytes more each time."""
    def __init__(self):
        self.after = 0

    async def act(self, exchange):
        self.after = (self.after + 37) % 3000
        await exchange.forward()
        await exchange.pass_back(limit=self.after)
        exchange.abort()


class SilentWatch(Fault):
    """A watch that is opened and never says a word."""
    async def act(self, exchange):
        await exchange.forward()
        await exchange.pass_back(head_only=True)
        await exchange.client_gone()


class Exchange:
    """One request of one connection."""
    def __init__(self, connection, head, body):
        self.connection, self.head, self.body = connection, head, body
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        self.method, self.path = words[0], words[1] if len(words) > 1 else ""

    def send(self, data):
        self.connection.writer.write(data)

    def abort(self):
        self.connection.abort()

    async def client_gone(self):
        """Until the client closes (it sends nothing while it waits)."""
        await self.connection.reader.read(1)
        self.connection.abort()

    async def answer(self, code, retry_after):
        body = b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"fault proxy","reason":"","code":%d}' % code
        more = b"Retry-After: %d\r\n" % retry_after if retry_after is not None else b""
        self.send(b"HTTP/1.1 %d Fault\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (code, more, len(body)) + body)
        await self.connection.writer.drain()

    async def forward(self):
        up = await self.connection.upstream()
        up[1].write(self.head + self.body)
        await up[1].drain()

    async def pass_on(self):
        await self.forward()
        await self.pass_back()

    async def _pieces(self):
        """The answer as it comes: its head, then pieces of its body."""
        reader = (await self.connection.upstream())[0]
        head = await reader.readuntil(b"\r\n\r\n")
        yield head
        fields = head.lower()
        if b"transfer-encoding: chunked" in fields:
            while True:
                line = await reader.readuntil(b"\r\n")
                chunk = await reader.readexactly(int(line.split(b";")[0], 16) + 2)
                yield line + chunk
                if chunk == b"\r\n":
                    return
        if b"content-length:" in fields:
            left = int(fields.split(b"content-length:")[1].split(b"\r\n")[0])
            while left > 0:
                data = await reader.read(min(left, 65536))
                if not data:
                    raise ConnectionError("cut by the server")
                left -= len(data)
                yield data

    async def pass_back(self, limit=None, head_only=False):
        first, sent = True, 0
        async for piece in self._pieces():
            if not first and head_only:
                return
            if not first and limit is not None:
                piece = piece[:max(0, limit - sent)]
                sent += len(piece)
            self.send(piece)
            await self.connection.writer.drain()
            if head_only or (limit is not None and not first and sent >= limit):
                return
            first = False

    async def drop_answer(self):
        async for _ in self._pieces():
            pass

    async def whole_answer(self):
        return b"".join([piece async for piece in self._pieces()])


class Connection:
    def __init__(self, proxy, who, reader, writer):
        self.proxy, self.who, self.reader, self.writer = proxy, who, reader, writer
        self.up = None

    async def upstream(self):
        if self.up is None:
            self.up = await asyncio.open_connection("127.0.0.1", self.proxy.server.port, ssl=self.proxy.to_server, server_hostname="127.0.0.1")
        return self.up

    def abort(self):
        for writer in (self.writer, self.up[1] if self.up else None):
            if writer is not None:
                writer.transport.abort()

    async def serve(self):
        rule = self.proxy.find(self.who, "", "", at_accept=True)
        if rule is not None:
            return self.abort()
        while not self.writer.transport.is_closing():
            head = await self.reader.readuntil(b"\r\n\r\n")
            fields, length = head.lower(), 0
            if b"content-length:" in fields:
                length = int(fields.split(b"content-length:")[1].split(b"\r\n")[0])
            exchange = Exchange(self, head, await self.reader.readexactly(length))
            rule = self.proxy.find(self.who, exchange.method, exchange.path)
            await (rule.fault if rule is not None else Fault()).act(exchange)
            await self.writer.drain()
        return None


class Rule:
    def __init__(self, fault, who, method, part, share, watch):
        self.fault, self.who, self.method, self.part, self.share, self.watch = fault, who, method, part, share, watch
        self.hits = 0

    def fits(self, who, method, path):
        if self.who is not None and who not in self.who:
            return False
        if self.method is not None and method != self.method:
            return False
        if self.watch is not None and self.watch != ("watch=" in path):
            return False
        return (self.part is None or self.part in path) and random.random() < self.share


class FaultProxy:
    def __init__(self, server):
        self.server, self.rules, self.connections, self.listeners = server, [], set(), {}
        self.to_server = ssl.create_default_context(cafile=server.ca)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate(server.pki)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def certificate(self, folder):
        """Serves with a certificate of the authority in FOLDER from the next connection on."""
        if not os.path.exists(os.path.join(folder, "proxy.crt")):
            pki.make_cert(folder, "proxy", "/CN=proxy", ["IP:127.0.0.1", "DNS:localhost"])
        self.context.load_cert_chain(os.path.join(folder, "proxy.crt"), os.path.join(folder, "proxy.key"))

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def listen(self, who):
        """The address for this client."""
        async def begin():
            return await asyncio.start_server(lambda r, w: self._accept(who, r, w), "127.0.0.1", 0, ssl=self.context, limit=1 << 22)
        self.listeners[who] = self._run(begin())
        return f"https://127.0.0.1:{self.listeners[who].sockets[0].getsockname()[1]}"

    async def _accept(self, who, reader, writer):
        connection = Connection(self, who, reader, writer)
        self.connections.add(connection)
        try:
            await connection.serve()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # either side went away
        finally:
            connection.abort()
            self.connections.discard(connection)

    def find(self, who, method, path, at_accept=False):
        for rule in self.rules:
            if at_accept and not rule.fault.at_accept:
                continue
            if (at_accept and (rule.who is None or who in rule.who)) or (not at_accept and rule.fits(who, method, path)):
                rule.hits += 1
                return rule
        return None

    def set(self, fault, who=None, method=None, part=None, share=1.0, watch=None, cut=True):
        """Adds a rule. cut: connections that are open now (watches above all) are closed, so that it holds for all."""
        rule = Rule(fault, {who} if isinstance(who, str) else who, method, part, share, watch)
        self.rules = [*self.rules, rule]
        if cut:
            self.cut(rule.who)
        return rule

    def cut(self, who=None):
        async def now():
            for connection in list(self.connections):
                if who is None or connection.who in who:
                    connection.abort()
        self._run(now())

    def clear(self):
        self.rules = []
        self.cut()

    def close(self):
        self.rules = []
        self.cut()
        async def end():
            for listener in self.listeners.values():
                listener.close()
            for _ in range(20):  # what was aborted ends by itself
                if not self.connections:
                    break
                await asyncio.sleep(0.05)
        self._run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
