"""A measurement's place in the docs: the text between two marks, written anew each time, and its figures as JSON."""
import json
import sys


def keep(path, data):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(data, f, indent=1, sort_keys=True)
        f.write("\n")


def put(path, begin, end, section, heading=None):
    """Puts `section` (which has both marks) into the file; `heading`: what goes before it when it is not there yet."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if heading is not None and begin not in text:
        text = f"{text.rstrip()}\n\n{heading}\n\n{begin}{end}\n"
    if begin not in text or end not in text:
        sys.exit(f"{path} has lost its marks '{begin}' and '{end}': put them back where the figures shall stand")
    before, rest = text.split(begin, 1)
    with open(path, "w", encoding="utf-8") as f:
        f.write(before + section + rest.split(end, 1)[1])
