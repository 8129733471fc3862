"""The forms of notes and pages, which are in llguidance's Lark, in GBNF: what llama-server, vLLM and SGLang take.

Only what our forms are made of is known: rules and terminals, texts, alternatives, groups, repeats, and regular
expressions of characters and classes.
"""

import re
from collections.abc import Iterator

_RULE = re.compile(r"^(?P<name>\w+)\s*:\s*(?P<body>.*)$")
_PART = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\")|/(?P<regex>(?:[^/\\]|\\.)+)/|(?P<name>\w+)|(?P<mark>[()|?*+])"
    r"|(?P<repeat>\{\d+(?:,\d*)?\}))"
)
_ATOM = re.compile(
    r"(?P<set>\[(?:[^\]\\]|\\.)*\])|(?P<escaped>\\.)|(?P<repeat>\{\d+(?:,\d*)?\}|[?*+])|(?P<plain>.)", re.S
)


class Untold(ValueError):
    """A form with something in it that is not known here."""


def gbnf(form: str) -> str:
    """A form in Lark as GBNF; `start` becomes `root`. Raises Untold."""
    rules = []
    for line in _joined(form):
        if (match := _RULE.match(line)) is None:
            raise Untold(line)
        rules.append(f"{_name(match['name'])} ::= {' '.join(_parts(match['body']))}")
    if not any(rule.startswith("root ::=") for rule in rules):
        raise Untold("start is missing")
    return "\n".join(rules) + "\n"


def _joined(form: str) -> Iterator[str]:
    """A line a rule."""
    rule = ""
    for line in form.splitlines():
        if not line.strip():
            continue
        if _RULE.match(line) and not line[0].isspace():
            if rule:
                yield rule
            rule = line.rstrip()
        else:
            rule += " " + line.strip()
    if rule:
        yield rule


def _name(name: str) -> str:
    """GBNF's names have no underscore; terminals, which are written in capitals, may be called as a rule is."""
    plain = name.replace("_", "-").casefold()
    return "root" if name == "start" else f"{plain}-signs" if name.isupper() else plain


def _parts(body: str) -> Iterator[str]:
    at = 0
    while at < len(body.rstrip()):
        if (match := _PART.match(body, at)) is None:
            raise Untold(body[at:])
        at = match.end()
        if match["text"]:
            yield match["text"]
        elif match["regex"]:
            yield "(" + " ".join(_atoms(match["regex"])) + ")"
        elif match["name"]:
            yield _name(match["name"])
        else:
            yield match["mark"] or match["repeat"]


def _atoms(regex: str) -> Iterator[str]:
    """A regular expression of characters, classes and repeats, as a sequence."""
    held = ""
    for match in _ATOM.finditer(regex):
        if match["repeat"]:
            held += match["repeat"]
            continue
        if held:
            yield held
        if match["set"]:
            held = _set(match["set"])
        elif match["escaped"]:
            held = _set(f"[{match['escaped']}]")
        elif match["plain"] in "()|.^$":
            raise Untold(regex)
        else:
            held = f"[{match['plain']}]"
    if held:
        yield held


def _set(characters: str) -> str:
    """A class of characters: GBNF knows no \\s and no \\/, and escapes a bracket, a backslash and a dash."""
    inner = characters[1:-1].replace(r"\s", r" \t\n\r").replace(r"\/", "/").replace(r"\d", "0-9").replace(r"\.", ".")
    if re.search(r"\\[wWSDbB]", inner):
        raise Untold(characters)
    return f"[{_dash_last(inner)}]"


def _dash_last(inner: str) -> str:
    """A dash that stands for itself goes to the end, where it cannot be part of a range."""
    if r"\-" not in inner:
        return inner
    return inner.replace(r"\-", "") + "-"
