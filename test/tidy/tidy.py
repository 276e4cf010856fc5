#!/usr/bin/python3
"""The house rules as a test. Exit status 1 and one line per finding when a rule is broken.

  arrow     a link or an #include that test/tidy/arrows.txt does not allow (and rooms it does not know)
  length    a file of more than 600 lines (warning at 400), a C++ function of more than 70 (warning at 60)
  pure      lib/election, and of lib/maintenance what decides: no threads, clocks, randomness, I/O - in its text and in the symbols its archive asks for
  clock     CLOCK_BOOTTIME is the only clock: no wall clock, no CLOCK_MONOTONIC, no std::chrono clock
  process   only agent/shim starts processes
  throw     no exceptions of our own
  header    every header opens with a banner of comment and has the guard MAINSTAY_<PATH>_H_
  here      nothing of one machine: absolute paths of a checkout, a home, a scratch folder

Exceptions stand in test/tidy/allow.txt, each with its reason.
usage: tidy.py [--root DIR] [--build DIR]   (--build adds the rules that need a configured, built tree)
"""
import argparse
import os
import re
import subprocess
import sys

import cpp

FILE_FAIL, FILE_WARN = 600, 400
FUNCTION_FAIL, FUNCTION_WARN = 70, 60

THIRD_PARTIES = [  # (name, include as written, linked target)
    ("absl", r"absl/", r"absl::"),
    ("json", r"nlohmann/", r"nlohmann_json::"),
    ("boost", r"boost/", r"(mainstay_dep_boost|Boost::)"),
    ("openssl", r"openssl/", r"(mainstay_dep_openssl|OpenSSL::)"),
    ("pq", r"(libpq|pg_config|postgres_ext)", r"(mainstay_dep_pq|PostgreSQL::)"),
    ("hiredis", r"hiredis/", r"mainstay_dep_hiredis"),
    ("ei", r"ei\.h$", r"mainstay_dep_ei"),
    ("amqp", r"amqp(_\w+)?\.h", r"mainstay_dep_amqp"),
    ("protobuf", r"(google/protobuf/|.*(?<!\.grpc)\.pb\.h)", r"(mainstay_dep_protobuf|protobuf::)"),
    ("grpc", r"(grpc|grpcpp|grpc\+\+)/|.*\.grpc\.pb\.h", r"(mainstay_dep_grpc|gRPC::)"),
    ("yaml", r"yaml-cpp/", r"(mainstay_dep_yaml|yaml-cpp)"),
    ("cli11", r"CLI/", r"(mainstay_dep_cli11|CLI11::)"),
    ("zlib", r"zlib\.h", r"(mainstay_dep_zlib|ZLIB::)"),
]
HARMLESS_LINKS = re.compile(r"(mainstay_flags|mainstay_dep_static|Threads::Threads|-[lWf].*|\$<BUILD_INTERFACE:mainstay_flags>|m|rt|dl|::@.*)?$")

PURE_TEXT = [
    (re.compile(r"#\s*include\s*<(thread|random|iostream|mutex|shared_mutex|condition_variable|atomic|future|fstream|"
                r"unistd\.h|time\.h|ctime|fcntl\.h|sys/.*|pthread\.h)>"), "includes"),
    (re.compile(r"::now\s*\("), "reads a clock"),
    (re.compile(r"\bgetenv\s*\("), "reads the environment"),
    (re.compile(r"\bs?rand(om)?\s*\("), "is random"),
    (re.compile(r"\b(BootClock|UnixMillis|Random(Bytes|Hex|Uint64)|UuidV7)\s*\("), "calls what is not pure"),
]
PURE_FILES = re.compile(r"lib/election/|lib/maintenance/(facts|findings|member|memory|plan\w*)\.(h|cc)$")
PURE_ARCHIVES = ("lib/election/libmainstay_election.a", "lib/maintenance/libmainstay_maintenance_plan.a")
PURE_SYMBOLS = re.compile(
    r"^(clock_gettime|gettimeofday|time|nanosleep|usleep|sleep|socket|connect|send\w*|recv\w*|open(at)?(64)?|fopen(64)?|creat|"
    r"read|write|p(read|write)v?|close|pthread_\w+|s?rand(om)?(_r)?|getrandom|getentropy|(secure_)?getenv|syscall|fork|v?exec\w*|"
    r"system|popen|puts|printf|std::thread.*|std::random_device.*|std::chrono::_V2::.*::now.*|std::condition_variable.*|"
    r"std::(cout|cerr|clog|cin).*|std::basic_(o|i)?fstream.*|mainstay::(BootClock|UnixMillis|Random\w*|UuidV7)\(.*)$")

CLOCK = re.compile(r"\bCLOCK_(REALTIME|MONOTONIC)\w*|\b(system|steady|high_resolution)_clock\b|\bgettimeofday\s*\(|"
                   r"(?<![\w.>])time\s*\(\s*(nullptr|NULL|0)\s*\)|\babsl::Now\s*\(|\babsl::GetCurrentTimeNanos\b")
PROCESS = re.compile(r"(?<![\w.>:])(::)?(v?fork|exec(l|v)p?e?|execve(at)?|popen|system|posix_spawnp?|clone3?)\s*\(")
THROW = re.compile(r"\bthrow\b")
HERE = re.compile(r"(?<![\w.])/(work|Users/\w+)/[\w.]")


class Tree:
    def __init__(self, root):
        self.root = root
        self.failures, self.warnings = [], []
        self.allowed = {}
        for words in table(os.path.join(root, "test/tidy/allow.txt")):
            fields = words.split(None, 2)
            if len(fields) < 3:
                self.fail("allow", "test/tidy/allow.txt", 0, f"an exception without a reason: {words}")
            else:
                self.allowed.setdefault(tuple(fields[:2]), False)

    def fail(self, rule, path, line, text):
        if (rule, path) in self.allowed:
            self.allowed[(rule, path)] = True
            return
        self.failures.append((path, line, rule, text))

    def warn(self, path, line, text):
        self.warnings.append((path, line, text))

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def files(self):
        """Tracked and new files, not ignored ones; without git (an unpacked archive) all but build/."""
        try:
            out = subprocess.run(["git", "-C", self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                 check=True, capture_output=True, timeout=60).stdout.decode()
            names = [name for name in out.split("\0") if name]
        except (subprocess.SubprocessError, OSError):
            names = [os.path.relpath(os.path.join(d, f), self.root) for d, _, fs in os.walk(self.root) for f in fs]
        return sorted({n for n in names if not n.startswith(("build/", ".git/")) and os.path.isfile(os.path.join(self.root, n))})


def table(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        lines = (line.split("#")[0].strip() for line in file)
        return [line for line in lines if line]


# ---- arrows ---------------------------------------------------------------------------------------------------------------

class Rooms:
    """The table of arrows.txt: what each room and each directory may use."""

    def __init__(self, tree):
        self.path, self.uses, self.third = {}, {}, {}
        for line in table(os.path.join(tree.root, "test/tidy/arrows.txt")):
            head, _, tail = line.partition(":")
            room, path = head.split()
            words = tail.split()
            self.third[room] = {w[1:] for w in words if w.startswith("+")}
            self.uses[room] = [w for w in words if not w.startswith("+")]
            for used in self.uses[room]:
                if used not in self.path:
                    tree.fail("arrow", "test/tidy/arrows.txt", 0, f"{room} may not use {used}: it is not above it in the table")
            self.path[room] = path

    def directory(self, file):
        """The room directory a file belongs to: the deepest one that is a prefix."""
        best = ""
        for path in self.path.values():
            if file.startswith(path + "/") and len(path) > len(best):
                best = path
        return best

    def directory_uses(self, path):
        rooms = [r for r, p in self.path.items() if p == path]
        return ({self.path[u] for r in rooms for u in self.uses[r] if u in self.path} | {path},
                set().union(*(self.third[r] for r in rooms)) if rooms else set())


INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)


def check_includes(tree, rooms, files):
    for file in files:
        if not file.endswith((".cc", ".h", ".c")) or not file.startswith(("lib/", "agent/", "proto/")):
            continue
        here = rooms.directory(file)
        if not here:
            tree.fail("arrow", file, 1, "belongs to no room of test/tidy/arrows.txt")
            continue
        may, third = rooms.directory_uses(here)
        text = cpp.strip_comments(tree.read(file))
        for match in INCLUDE.finditer(text):
            line, target = text.count("\n", 0, match.start()) + 1, match.group(2)
            if target.startswith(("test/", "bench/")):
                tree.fail("arrow", file, line, f"product code includes {target}")
            elif target.startswith(("lib/", "agent/")):
                if rooms.directory(target) not in may:
                    tree.fail("arrow", file, line, f"{here} may not include {target}")
            else:
                name = next((n for n, include, _ in THIRD_PARTIES if re.match(include, target)), None)
                if name and name not in third:
                    tree.fail("arrow", file, line, f"{here} may not use {name} ({target})")
                if match.group(1) == '"' and not name and not target.startswith("mainstay/"):
                    tree.fail("arrow", file, line, f'"{target}": name headers from the root of the tree')


def check_links(tree, rooms, build):
    """links.txt is written by test/tidy/CMakeLists.txt: target|directory|its link libraries."""
    path = os.path.join(build, "links.txt")
    if not os.path.exists(path):
        tree.fail("arrow", path, 0, "missing: configure the build tree with tests on")
        return
    for line in table(path):
        target, directory, libraries = line.split("|")
        room = target.removeprefix("mainstay_")
        if not directory.startswith(("lib/", "agent", "proto")) or target == "mainstay-shim" or target.startswith("mainstay_dep"):
            continue
        if room not in rooms.path:
            tree.fail("arrow", directory + "/CMakeLists.txt", 0, f"target {target}: no such room in test/tidy/arrows.txt")
            continue
        for library in filter(None, libraries.split(";")):
            library = re.sub(r"^\$<LINK_ONLY:(.*)>$", r"\1", library)
            if HARMLESS_LINKS.match(library):
                continue
            third = next((n for n, _, link in THIRD_PARTIES if re.match(link, library)), None)
            name = library.removeprefix("mainstay::").removeprefix("mainstay_")
            ok = third in rooms.third[room] if third else name in rooms.uses[room]
            if not ok:
                tree.fail("arrow", directory + "/CMakeLists.txt", 0, f"{room} may not link {library}")


# ---- the other rules ------------------------------------------------------------------------------------------------------

def check_length(tree, files):
    for file in files:
        if file.endswith((".cc", ".h", ".c", ".py", ".cmake", ".proto")) or file == "dev":
            text = tree.read(file)
            lines = text.count("\n")
            if lines > FILE_FAIL:
                tree.fail("length", file, 1, f"{lines} lines (at most {FILE_FAIL}): split it")
            elif lines > FILE_WARN:
                tree.warn(file, 1, f"{lines} lines")
            if file.endswith((".cc", ".h", ".c")):
                for name, line, length in cpp.functions(text):
                    if length > FUNCTION_FAIL:
                        tree.fail("length", file, line, f"{name} has {length} lines (at most {FUNCTION_FAIL})")
                    elif length > FUNCTION_WARN:
                        tree.warn(file, line, f"{name} has {length} lines")


def grep(tree, rule, file, text, pattern, what):
    for match in pattern.finditer(text):
        tree.fail(rule, file, text.count("\n", 0, match.start()) + 1, f"{what}: {match.group(0).strip()}")


def check_text(tree, files):
    for file in files:
        raw = tree.read(file) if not file.endswith((".png", ".ico", ".gz")) else ""
        if not file.startswith("test/tidy/"):
            grep(tree, "here", file, raw, HERE, "a path of one machine")
        if not file.endswith((".cc", ".h", ".c")):
            continue
        code = cpp.strip_comments_and_strings(raw)
        product = file.startswith(("lib/", "agent/"))
        if PURE_FILES.match(file):
            for pattern, what in PURE_TEXT:
                grep(tree, "pure", file, code, pattern, what)
        if product:
            grep(tree, "clock", file, code, CLOCK, "not CLOCK_BOOTTIME")
            grep(tree, "throw", file, code, THROW, "an exception of our own")
            if not file.startswith("agent/shim/"):
                grep(tree, "process", file, code, PROCESS, "only the shim starts processes")
        if file.endswith(".h"):
            check_header(tree, file, raw)


def check_header(tree, file, text):
    if not re.match(r"//.*\n//.*\n|// .{40,}\n", text):
        tree.fail("header", file, 1, "opens without a banner that says what it is and when to use it")
    guard = "MAINSTAY_" + re.sub(r"[^A-Za-z0-9]", "_", file).upper() + "_"
    if not re.search(rf"^#ifndef {guard}\n#define {guard}\n", text, re.M):
        tree.fail("header", file, 1, f"has no guard {guard}")


def check_symbols(tree, room, archive):
    out = subprocess.run(["nm", "-uC", archive], check=True, capture_output=True, text=True, timeout=120).stdout
    member = ""
    for line in out.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        name = line.strip().removeprefix("U ").split("@")[0]
        if line.startswith(" ") and PURE_SYMBOLS.match(name):
            tree.fail("pure", room, 0, f"{member} asks for {name}")


def main():
    parser = argparse.ArgumentParser(description="The house rules as a test.")
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(here)), help="the tree to look at")
    parser.add_argument("--build", help="its build directory (for links and symbols)")
    parser.add_argument("--quiet", action="store_true", help="no warnings")
    options = parser.parse_args()
    tree = Tree(os.path.abspath(options.root))
    files = tree.files()
    rooms = Rooms(tree)
    check_includes(tree, rooms, files)
    check_length(tree, files)
    check_text(tree, files)
    if options.build:
        check_links(tree, rooms, options.build)
        for archive in PURE_ARCHIVES:
            room, built = os.path.dirname(archive), os.path.join(options.build, archive)
            if os.path.exists(built):
                check_symbols(tree, room, built)
            elif any(f.startswith(room + "/") for f in files):
                tree.fail("pure", built, 0, "not built")
    for rule_and_path, used in tree.allowed.items():
        if not used:
            tree.warn("test/tidy/allow.txt", 0, f"not needed: {' '.join(rule_and_path)}")
    if not options.quiet:
        for path, line, text in tree.warnings:
            print(f"{path}:{line}: warning: {text}")
    for path, line, rule, text in tree.failures:
        print(f"{path}:{line}: {rule}: {text}")
    print(f"tidy: {len(files)} files, {len(tree.failures)} findings, {len(tree.warnings)} warnings")
    return 1 if tree.failures else 0


if __name__ == "__main__":
    sys.exit(main())
