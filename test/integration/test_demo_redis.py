#!/usr/bin/python3
"""./dev demo redis as its visitors use it: test_demo.py's tests."""
import os
import unittest

import procs
import test_demo


class DemoRedis(test_demo.Demo):
    PROGRAM = os.path.join(test_demo.HERE, "demo_redis.py")
    STEPS = ["crash", "hang", "agent_freeze", "node_death", "switchover", "return"]
    CONNECT = "redis-cli --user"


if __name__ == "__main__":
    procs.unwind_on_signals()
    unittest.main()
