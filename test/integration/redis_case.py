"""What the tests of whole Redis clusters have in common.

What must hold exactly: two members never are primaries at the same time, a planned switchover loses nothing and needs no full
resync, what a replica confirmed (WAIT) survives every fault of one member, and a server that came back without its data never
makes the others lose theirs. Bounds on times are generous multiples of the targets (docs/REDIS.md).
"""
from base import BOUND, ClusterCase, say
from procs import now_ns
from redis_harness import RedisCluster
from redis_load import Prober, RedisLoad


class RedisCase(ClusterCase):
    CLUSTER = RedisCluster
    OPTIONS = {"n": 3, "profile": "fast"}

    @classmethod
    def make(cls):
        cls.cluster = cls.CLUSTER(**cls.OPTIONS)
        cls.cluster.start()
        cls.cluster.wait_ready(120)

    def setUp(self):
        super().setUp()
        self.prober = Prober(self.c).start()
        self.kept = None
        self.overlap_ms = 0  # a test may set what docs/REDIS.md does not promise

    def tearDown(self):
        if self.kept:
            self.kept.stop()
        self.prober.stop()
        both = [b for b in self.prober.both() if b[2] > self.overlap_ms]
        super().tearDown()
        self.assertEqual(both, [], "two primaries at the same time")

    def others(self, m):
        return [o for o in self.c.members if o is not m]

    def switch_over(self, old, *args):
        """Refused until the leader's agent has heard that the target streams."""
        self.c.wait("a switchover", lambda: old.ctl("switchover", *args, check=False).returncode == 0, BOUND, 0.2)

    def beside(self, member, **options):
        """Clients that know this member only and wait for its answers as long as it takes: the dangerous ones."""
        self.kept = RedisLoad(self.c, writers=3, members=[member], timeout=60, pause=0.002, **options).start()
        self.assertTrue(self.kept.wait_acked(count=10, timeout=BOUND))
        return self.kept

    def ended_with_its_reign(self, load, old, since):
        """Nothing that was sent to the old primary after another one had acknowledged was acknowledged by it."""
        with load.lock:
            first = min((a.acked for a in load.acks if a.member != old.name and a.acked > since), default=None)
        self.assertIsNotNone(first, "nobody else acknowledged anything")
        for acks in (load.acks, self.kept.acks if self.kept else []):
            late = [a for a in acks if a.member == old.name and a.sent > first]
            self.assertEqual(late, [], "acknowledged by a primary that another had replaced")

    def finish(self, load, members=None, least=20, allow_loss=False):
        self.c.wait_ready(BOUND, members)
        self.assertTrue(load.wait_acked(after_ns=now_ns(), count=5, timeout=BOUND), "no writes at the end\n" + self.c.describe())
        load.stop()
        self.load_running = None
        lost = self.c.check(load, BOUND, members, allow_loss)
        self.assertGreater(load.acknowledged(), least)
        if not allow_loss:
            self.assertEqual(lost, 0)
        return lost

    def outage(self, load, since):
        gap = load.gap(since)
        say(f"{self.id()}: outage {gap:.3f} s")
        return gap
