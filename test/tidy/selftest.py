#!/usr/bin/python3
"""The test of the test: a small clean tree passes tidy.py, and each way to break a rule is caught by that rule, at that file.

usage: selftest.py [--compiler g++]
"""
import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

ARROWS = "base lib/base : +absl\nelection lib/election : base\nlease lib/lease : base election\n"
LINKS = "mainstay_base|lib/base|absl::strings\nmainstay_election|lib/election|mainstay::base\n" \
        "mainstay_lease|lib/lease|mainstay::election;$<BUILD_INTERFACE:mainstay_flags>\n"


def header(path, body=""):
    guard = "MAINSTAY_" + path.upper().replace("/", "_").replace(".", "_") + "_"
    return f"// What this is.\n// When to use it.\n#ifndef {guard}\n#define {guard}\n{body}\n#endif  // {guard}\n"


CLEAN = {
    "test/tidy/arrows.txt": ARROWS,
    "test/tidy/allow.txt": "clock lib/base/clock.cc the one clock\n",
    "lib/base/time.h": header("lib/base/time.h", "int Now();"),
    "lib/base/clock.cc": "int Now() { return CLOCK_REALTIME; }\n",
    "lib/election/core.h": header("lib/election/core.h", '#include "lib/base/time.h"'),
    # Words that are banned in code are free in comments and strings; a function of 60 lines is fine.
    "lib/election/core.cc": '#include "lib/election/core.h"\n// never call getenv() or std::chrono::steady_clock::now()\n'
                            'const char* k = "throw system_clock /* ";\nint F() {\n' + "  ;\n" * 57 + "  return 1;\n}\n",
    "lib/lease/store.h": header("lib/lease/store.h", '#include "lib/election/core.h"'),
    "links.txt": LINKS,
}

LONG = "int G(int a,\n      int b) {\n" + "  ++a;\n" * 69 + "  return a;\n}\n"
BREAKS = [  # (rule, file that must be named, {file: text})
    ("arrow", "lib/base/time.h", {"lib/base/time.h": header("lib/base/time.h", '#include "lib/election/core.h"')}),
    ("arrow", "lib/election/core.cc", {"lib/election/core.cc": '#include "lib/lease/store.h"\n'}),
    ("arrow", "lib/election/core.cc", {"lib/election/core.cc": "#include <absl/strings/str_cat.h>\n"}),
    ("arrow", "lib/base/clock.cc", {"lib/base/clock.cc": '#include "time.h"\n'}),
    ("arrow", "lib/base/clock.cc", {"lib/base/clock.cc": '#include "test/fakes/clock.h"\n'}),
    ("arrow", "lib/new/new.cc", {"lib/new/new.cc": "int x;\n"}),
    ("arrow", "test/tidy/arrows.txt", {"test/tidy/arrows.txt": ARROWS.replace("base lib/base : +absl", "base lib/base : lease +absl")}),
    ("arrow", "lib/base/CMakeLists.txt", {"links.txt": LINKS.replace("absl::strings", "absl::strings;mainstay::lease")}),
    ("arrow", "lib/base/CMakeLists.txt", {"links.txt": LINKS.replace("absl::strings", "mainstay_lease")}),
    ("arrow", "lib/election/CMakeLists.txt", {"links.txt": LINKS.replace("election|mainstay::base", "election|mainstay::base;gRPC::grpc++")}),
    ("arrow", "lib/election/CMakeLists.txt", {"links.txt": LINKS.replace("election|mainstay::base", "election|$<LINK_ONLY:mainstay::lease>")}),
    ("arrow", "lib/base/CMakeLists.txt", {"links.txt": LINKS + "mainstay_rogue|lib/base|\n"}),
    ("length", "lib/base/clock.cc", {"lib/base/clock.cc": "int x;\n" * 601}),
    ("length", "lib/base/long.cc", {"lib/base/long.cc": "namespace a {\n" + LONG + "}\n"}),
    ("length", "lib/base/long.cc", {"lib/base/long.cc": "class A {\n A() : x_{1}, y_(2) {\n" + "  f();\n" * 70 + "}\n};\n"}),
    ("length", "lib/base/long.cc", {"lib/base/long.cc": "auto H() -> std::vector<int> {\n" + "  g([] { return 1; });\n" * 70 + "}\n"}),
    ("length", "lib/base/long.cc", {"lib/base/long.cc": "TEST(A, B) {\n" + "  ;\n" * 70 + "}\n"}),
    ("pure", "lib/election/core.cc", {"lib/election/core.cc": "#include <thread>\n"}),
    ("pure", "lib/election/core.cc", {"lib/election/core.cc": "#include <random>\n"}),
    ("pure", "lib/election/core.cc", {"lib/election/core.cc": "#include <iostream>\n"}),
    ("pure", "lib/election/core.cc", {"lib/election/core.cc": "auto t = C::now();\n"}),
    ("pure", "lib/election/core.cc", {"lib/election/core.cc": 'auto e = getenv("X");\n'}),
    ("pure", "lib/election/core.cc", {"lib/election/core.cc": "int r = rand();\n"}),
    ("pure", "lib/election/core.cc", {"lib/election/core.cc": "auto t = BootClock().Now();\n"}),
    ("clock", "lib/lease/a.cc", {"lib/lease/a.cc": "int c = CLOCK_REALTIME;\n"}),
    ("clock", "lib/lease/a.cc", {"lib/lease/a.cc": "int c = CLOCK_MONOTONIC;\n"}),
    ("clock", "lib/lease/a.cc", {"lib/lease/a.cc": "auto t = std::chrono::steady_clock::now();\n"}),
    ("clock", "lib/lease/a.cc", {"lib/lease/a.cc": "std::chrono::system_clock::time_point t;\n"}),
    ("clock", "lib/lease/a.cc", {"lib/lease/a.cc": "long t = time(nullptr);\n"}),
    ("process", "lib/lease/a.cc", {"lib/lease/a.cc": "int p = fork();\n"}),
    ("process", "lib/lease/a.cc", {"lib/lease/a.cc": 'int p = ::system("ls");\n'}),
    ("throw", "lib/lease/a.cc", {"lib/lease/a.cc": "void F() { throw 1; }\n"}),
    ("header", "lib/lease/a.h", {"lib/lease/a.h": "#ifndef MAINSTAY_LIB_LEASE_A_H_\n#define MAINSTAY_LIB_LEASE_A_H_\n#endif\n"}),
    ("header", "lib/lease/a.h", {"lib/lease/a.h": "// A banner of two lines\n// and no guard.\n#pragma once\n"}),
    ("here", "docs/a.md", {"docs/a.md": "see " + "/wo" + "rk/main/x\n"}),
    ("allow", "test/tidy/allow.txt", {"test/tidy/allow.txt": "clock lib/base/clock.cc the one clock\nclock lib/lease/a.cc\n"}),
]
IMPURE = ["#include <time.h>\nvoid F() { timespec t; clock_gettime(CLOCK_BOOTTIME, &t); }\n",
          "#include <sys/socket.h>\nint F() { return socket(1, 1, 0); }\n",
          "#include <fcntl.h>\nint F() { return open(\"x\", 0); }\n",
          "#include <stdlib.h>\nint F() { return rand(); }\n",
          "#include <stdlib.h>\nchar* F() { return getenv(\"X\"); }\n",
          "#include <pthread.h>\nint F(pthread_mutex_t* m) { return pthread_mutex_lock(m); }\n",
          "#include <chrono>\nlong F() { return std::chrono::steady_clock::now().time_since_epoch().count(); }\n",
          "#include <iostream>\nvoid F() { std::cout << 1; }\n"]
PURE = "#include <string>\nstd::string F(int n) { return std::to_string(n); }\n"


def write(root, files):
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)


def archive(root, compiler, source):
    directory = os.path.join(root, "lib/election")
    write(directory, {"probe.in": source})
    subprocess.run([compiler, "-x", "c++", "-std=c++20", "-O1", "-c", "probe.in", "-o", "probe.o"], cwd=directory, check=True, timeout=60)
    target = os.path.join(directory, "libmainstay_election.a")
    if os.path.exists(target):
        os.unlink(target)
    subprocess.run(["ar", "rc", target, "probe.o"], cwd=directory, check=True, timeout=60)


def tidy(root):
    done = subprocess.run([sys.executable, os.path.join(HERE, "tidy.py"), "--root", root, "--build", root, "--quiet"],
                          capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="g++")
    options = parser.parse_args()
    wrong, checks = [], 0
    with tempfile.TemporaryDirectory(prefix="mainstay-tidy-") as base:
        # One compiled object for all that are not about symbols.
        pure = os.path.join(base, "pure")
        write(pure, CLEAN)
        archive(pure, options.compiler, PURE)
        with open(os.path.join(pure, "lib/election/libmainstay_election.a"), "rb") as file:
            clean_archive = file.read()

        cases = [(None, None, {}, None)] + [(*b, None) for b in BREAKS] + [("pure", "lib/election", {}, s) for s in IMPURE]
        for number, (rule, path, change, source) in enumerate(cases):
            root = os.path.join(base, str(number))
            write(root, CLEAN | change)
            if source:
                archive(root, options.compiler, source)
            else:
                with open(os.path.join(root, "lib/election/libmainstay_election.a"), "wb") as file:
                    file.write(clean_archive)
            status, output = tidy(root)
            checks += 1
            caught = any(line.startswith(path + ":") and f": {rule}: " in line for line in output.splitlines()) if rule else False
            if (rule is None and status != 0) or (rule is not None and not (status == 1 and caught)):
                wrong.append(f"case {number} ({rule}, {path}, {list(change.values()) or source}): status {status}\n{output}")
    print("\n".join(wrong))
    print(f"selftest: {checks} trees, {len(wrong)} wrong verdicts")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
