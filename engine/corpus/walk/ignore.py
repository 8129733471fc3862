"""Which paths the lines of a .gitignore name, decided as git decides it.

Owns the syntax and the precedence of patterns. Finding and reading the files is left to `checkout` and `walk`, which
must also not enter a folder that is ignored: git never looks for a way back into one.

Works on bytes, as git does: "?" is one byte of UTF-8. Patterns become regular expressions; a `*` followed by more is
put into an atomic group, which is exact for globs and keeps a hostile pattern such as `*a*a*a*a*b` from taking forever.
Agreement with git is tested, odd cases included; pathspec's GitIgnoreSpec differed on 66 of 200 random repositories.
The user's global core.excludesFile is not read, and upper and lower case differ. That git tracks a file outranks all
patterns; it is left to `git_index`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SPECIAL = re.compile(rb"[*?\[\\]")
_NEVER = rb"(?!)"
_CLASSES = {
    b"alnum": b"0-9A-Za-z", b"alpha": b"A-Za-z", b"blank": rb" \t", b"cntrl": rb"\x00-\x1f\x7f", b"digit": b"0-9",
    b"graph": b"!-~", b"lower": b"a-z", b"print": b" -~", b"punct": rb"!-/:-@\[-`{-~", b"space": rb" \t-\r",
    b"upper": b"A-Z", b"xdigit": b"0-9A-Fa-f",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line: what it matches, and whether it ignores or brings back.

    by_name: it is held against the last component alone; else against the path below the file that it stands in.
    """

    line: str
    negated: bool
    folders_only: bool
    by_name: bool
    regex: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Patterns:
    """The lines of one file, with a quick way to see that none of them matches, which is the common case."""

    patterns: tuple[Pattern, ...]
    names: re.Pattern[bytes] | None
    paths: re.Pattern[bytes] | None

    def last_match(self, path: bytes, name: bytes, is_folder: bool) -> Pattern | None:
        """The last pattern that matches, which is the one that counts. `path` is relative to the file's own folder."""
        by_name = self.names is not None and self.names.fullmatch(name)
        if not by_name and not (self.paths is not None and self.paths.fullmatch(path)):
            return None
        for pattern in reversed(self.patterns):
            if (is_folder or not pattern.folders_only) and pattern.regex.fullmatch(name if pattern.by_name else path):
                return pattern
        return None


@dataclass(frozen=True, slots=True)
class Level:
    """A file of patterns in force, and those above it, which count only where this one says nothing.

    n_base: length of the path of its folder, in bytes, with its slash; what is asked about is cut there.
    origin: how a reason names the file.
    """

    patterns: Patterns
    n_base: int
    origin: str
    above: "Level | None"


@dataclass(frozen=True, slots=True)
class Ignored:
    """The pattern that ignores a path, and the file that it stands in."""

    line: str
    origin: str


def find_ignoring(level: Level | None, path: bytes, name: bytes, is_folder: bool) -> Ignored | None:
    """What ignores this path, or None. `path` is relative to the topmost folder, `name` its last component."""
    while level is not None:
        pattern = level.patterns.last_match(path[level.n_base :], name, is_folder)
        if pattern is not None:
            return None if pattern.negated else Ignored(pattern.line, level.origin)
        level = level.above
    return None


def parse(data: bytes) -> Patterns:
    """The patterns of a file. Never fails: a line that git would pass over matches nothing."""
    lines = (line.removesuffix(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    return compile_lines(line for line in lines if line and not line.startswith(b"#"))


def compile_lines(lines: Iterable[bytes]) -> Patterns:
    """The patterns of these lines."""
    patterns = tuple(_compile(line) for line in map(_trim, lines) if line)
    return Patterns(
        patterns,
        _any_of([pattern.regex.pattern for pattern in patterns if pattern.by_name]),
        _any_of([pattern.regex.pattern for pattern in patterns if not pattern.by_name]),
    )


def _any_of(expressions: list[bytes]) -> re.Pattern[bytes] | None:
    return re.compile(b"|".join(expressions)) if expressions else None


def _trim(line: bytes) -> bytes:
    """Without the spaces at its end, unless a backslash keeps them."""
    end = len(line)
    while end and line[end - 1] == 0x20:
        end -= 1
    n_backslashes = end - len(line[:end].rstrip(b"\\"))
    return line[: end + 1] if n_backslashes % 2 else line[:end]


def _compile(line: bytes) -> Pattern:
    glob = line.removeprefix(b"!")
    folders_only = glob.endswith(b"/")
    glob = glob[:-1] if folders_only else glob
    by_name = b"/" not in glob
    if by_name:
        expression = _translate(glob, crossing=False) if glob else _NEVER
    else:
        glob = glob.removeprefix(b"/")
        special = _SPECIAL.search(glob)
        # git compares the part before the first wildcard by itself: in `a**/b` the `**` then comes first, and crosses
        n_plain = special.start() if special else len(glob)
        expression = re.escape(glob[:n_plain]) + _translate(glob[n_plain:], crossing=True)
    return Pattern(
        line=line.decode(errors="replace"),
        negated=line.startswith(b"!"),
        folders_only=folders_only,
        by_name=by_name,
        regex=re.compile(expression),
    )


def _translate(glob: bytes, *, crossing: bool) -> bytes:
    """A glob as a regular expression for fullmatch. crossing: whether `**` may stand for several folders."""
    groups: list[list[bytes]] = [[b""]]  # split where folders are crossed, then at every single `*`
    leads: list[bytes] = []
    at = 0
    while at < len(glob):
        byte = glob[at : at + 1]
        if byte == b"*":
            start, at = at, _end_of_stars(glob, at)
            whole = (start == 0 or glob[start - 1 : start] == b"/") and (
                at == len(glob) or glob[at : at + 1] == b"/" or glob[at : at + 2] == b"\\/"
            )
            if crossing and at - start > 1 and whole:
                over_slash = glob[at : at + 1] == b"/"
                leads.append(rb"(?:(?s:.*?)/)??" if over_slash else rb"(?s:.*?)")
                groups.append([b""])
                at += over_slash
            else:
                groups[-1].append(b"")
            continue
        expression, at = _one_byte(glob, at)
        if expression is None:
            return _NEVER
        groups[-1][-1] += expression
    return _assemble(groups, leads)


def _end_of_stars(glob: bytes, at: int) -> int:
    while glob[at : at + 1] == b"*":
        at += 1
    return at


def _one_byte(glob: bytes, at: int) -> tuple[bytes | None, int]:
    """The expression for what stands at `at` and matches one byte (None: it can never match), and where to go on."""
    byte = glob[at : at + 1]
    if byte == b"?":
        return b"[^/]", at + 1
    if byte == b"[":
        return _bracket(glob, at + 1)
    if byte == b"\\":
        at += 1
        byte = glob[at : at + 1]
        if not byte:
            return None, at
    return re.escape(byte), at + 1


def _bracket(glob: bytes, at: int) -> tuple[bytes | None, int]:
    """A `[...]` whose inside starts at `at`."""
    negated = glob[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    previous = 0
    first = True
    while first or glob[at : at + 1] != b"]":
        first = False
        byte = glob[at : at + 1]
        if not byte:
            return None, at
        if byte == b"-" and previous and glob[at + 1 : at + 2] not in (b"", b"]"):
            at += 2 if glob[at + 1 : at + 2] == b"\\" else 1
            if at >= len(glob):
                return None, at
            members.update(range(previous, glob[at] + 1))
            previous = 0
        elif byte == b"[" and glob[at + 1 : at + 2] == b":" and (end := glob.find(b"]", at + 2)) != at + 2:
            if end < 0:
                return None, at
            if glob[end - 1 : end] == b":" and end - at > 2:
                name = glob[at + 2 : end - 1]
                if name not in _CLASSES:
                    return None, at
                members.update(code for code in range(256) if re.match(b"[" + _CLASSES[name] + b"]", bytes([code])))
                at, previous = end, 0
            else:
                members.add(byte[0])
                previous = byte[0]
        else:
            at += byte == b"\\"
            if at >= len(glob):
                return None, at
            members.add(glob[at])
            previous = glob[at]
        at += 1
    allowed = (set(range(256)) - members if negated else members) - {0x2F}
    inside = b"".join(b"\\x%02x" % code for code in sorted(allowed))
    return (b"[" + inside + b"]" if inside else _NEVER), at + 1


def _assemble(groups: list[list[bytes]], leads: list[bytes]) -> bytes:
    bodies = [_within_folders(chunks) for chunks in groups]
    middle = [b"(?>" + lead + body + b")" for lead, body in zip(leads[:-1], bodies[1:-1], strict=True)]
    last = [leads[-1] + bodies[-1]] if leads else []
    return b"".join([bodies[0], *middle, *last])


def _within_folders(chunks: list[bytes]) -> bytes:
    """Chunks with a `*` between each two. The first place where a chunk fits is as good as any later: hence atomic."""
    if len(chunks) == 1:
        return chunks[0]
    return chunks[0] + b"".join(b"(?>[^/]*?" + chunk + b")" for chunk in chunks[1:-1]) + b"[^/]*" + chunks[-1]
