"""What the tests of what is seen of Redis share: members whose programs write into pipes that we read, and a user that may do
everything, as a careless administrator has one.
"""
import json

import outputs
from redis_harness import RedisCluster, RedisMember
from redis_load import PASSWORD, Resp

ROOT = "root"


class SeenMember(outputs.Piped, RedisMember):
    def root(self, *words, timeout=5.0):
        r = Resp(self.pg_port, ROOT, PASSWORD, timeout)
        try:
            return r(*words)
        finally:
            r.close()

    def lines(self, **want):
        """What the agent told, newest last, with these values."""
        entries = map(json.loads, self.out.taken())
        return [e for e in entries if all(e.get(k) == v for k, v in want.items())]

    def told(self, timeout=30, where=lambda e: True, **want):
        def found():
            return next((e for e in self.lines(**want) if where(e)), None)
        return self.cluster.wait(f"{self.name}: a line {want}", found, timeout)

    def everything(self):
        return self.out.text() + self.err.text() + self.shim_err.text()


class SeenCluster(RedisCluster):
    MEMBER = SeenMember
    relay = True
    more_users = (f"user {ROOT} on >{PASSWORD} ~* &* +@all",)

    def close(self):
        super().close()
        for m in self.members:
            m.close_outputs()

    def entries(self, whole=True):
        return {m.name: outputs.check(m.out.taken(), whole) for m in self.members}
