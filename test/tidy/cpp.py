"""Just enough C++ to measure it: comments and strings taken out, and the functions of a file with their lengths."""
import re

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^()\\ \n]{0,16})\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\'', re.S)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def strip_comments(text):
    return TOKEN.sub(lambda m: _blank(m.group(0)) if m.group(0).startswith("/") else m.group(0), text)


def strip_comments_and_strings(text):
    """Every line keeps its number; #include "x" loses its name, so look for includes in strip_comments()."""
    return TOKEN.sub(lambda m: _blank(m.group(0)), text)


SCOPE = re.compile(r"\b(namespace|class|struct|union|enum)\b[^;(){}]*$|\bextern\s*$")
NAME = re.compile(r"(~?[\w:]+|operator\s*\S+?)\s*\(")


def functions(text):
    """Yields (name, line, lines) of each function with a body; a lambda counts as part of the function around it."""
    code = strip_comments_and_strings(text)
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: _blank(m.group(0)), code, flags=re.M)
    scopes, start, index, line = [], 0, 0, 1
    while index < len(code):
        char = code[index]
        if char == "\n":
            line += 1
        elif char == ";" and not code[start:index].count("(") > code[start:index].count(")"):
            start = index + 1
        elif char == "}":
            if scopes:
                scopes.pop()
            start = index + 1
        elif char == "{":
            head = code[start:index]
            if _is_function(head):
                end = _closing(code, index)
                lines = code.count("\n", index, end) + 1
                match = NAME.search(head)
                yield (match.group(1) if match else "?"), line, lines
                line += code.count("\n", index, end)
                index = end
                start = end + 1
            elif SCOPE.search(head) or re.search(r"\b(class|struct)\b", head):
                scopes.append("{")
                start = index + 1
            else:  # an initialiser: its braces are not a scope
                end = _closing(code, index)
                line += code.count("\n", index, end)
                index = end
        index += 1


def _is_function(head):
    """Is what stands before a brace the head of a function, not of a type, a namespace or an initialiser?"""
    flat = head.strip()
    if not flat or "(" not in flat or re.search(r"(^|[^=!<>])=\s*$", flat):
        return False
    before = flat.split("(")[0]
    if re.search(r"(?<![=!<>])=(?!=)", before) and "operator" not in before:
        return False
    if re.match(r"(template\s*<[^{}]*>\s*)?(class|struct|union|enum|namespace)\b", flat) and not re.search(r"\)\s*(const|noexcept|override|final|&|\s)*$", flat):
        return False
    if flat.count("(") != flat.count(")"):
        return False
    # After the parameters: qualifiers, a trailing return type, or an initialiser list that ends before this brace.
    return bool(re.search(r"(\)|\}|\bconst|\bnoexcept|\boverride|\bfinal|\btry|&|->\s*[\w:<>,&*\s]+)$", flat))


def _closing(code, index):
    depth = 0
    for position in range(index, len(code)):
        if code[position] == "{":
            depth += 1
        elif code[position] == "}":
            depth -= 1
            if depth == 0:
                return position
    return len(code) - 1
