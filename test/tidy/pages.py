#!/usr/bin/python3
"""The pages that the program writes are what it writes now. `--write` writes them: docs/CONFIGURATION.md, docs/STATE_MACHINE.md,
and of docs/METRICS.md what follows the mark."""
import os
import subprocess
import sys

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
MARK = "<!-- written by the program: test/tidy/pages.py -->"


def say(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True, timeout=30).stdout


def pages(program):
    with open(os.path.join(DOCS, "STATE_MACHINE.md"), encoding="utf-8") as f:
        head = f.read().split("```mermaid\n")[0]
    machine = (f"{head}```mermaid\n{say(program, 'fsm', '-o', 'mermaid').rstrip()}\n```\n\n## Rows\n\n"
               f"```\n{say(program, 'fsm').rstrip()}\n```\n")
    with open(os.path.join(DOCS, "METRICS.md"), encoding="utf-8") as f:
        metrics = f.read().split(MARK)[0] + MARK + "\n\n" + say(program, "metrics", "docs")
    return {"METRICS.md": metrics, "CONFIGURATION.md": say(program, "config", "docs"), "STATE_MACHINE.md": machine}


def main():
    program, write, bad = sys.argv[1], "--write" in sys.argv, 0
    for name, text in pages(program).items():
        path = os.path.join(DOCS, name)
        with open(path, encoding="utf-8") as f:
            old = f.read()
        if old == text:
            continue
        if write:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        else:
            bad = 1
            print(f"docs/{name} is not what the program says now: test/tidy/pages.py build/release/agent/mainstay --write")
    return bad


if __name__ == "__main__":
    sys.exit(main())
