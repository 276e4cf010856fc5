#!/usr/bin/python3
"""The real mainstay-shim against hostile process trees and hostile clients, and with a real PostgreSQL 15.

Usage: shim_test.py SHIM STORM [unittest arguments: Deadline, Tools.test_refusals, -v ...]. Needs root (it drops to `postgres` and
`nobody` where a test needs that); without root only the session and user-namespace tests make sense and the rest is skipped.
"""
import os
import resource
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from database_cases import *  # noqa: E402,F403
from fence_cases import *  # noqa: E402,F403
from log_cases import *  # noqa: E402,F403
from shimcase import Case  # noqa: E402
from socket_cases import *  # noqa: E402,F403

if __name__ == "__main__":
    Case.shim_binary, Case.storm_binary = map(os.path.abspath, sys.argv[1:3])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], warnings="ignore")
