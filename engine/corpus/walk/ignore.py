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
from dataclasses import dataclass, field

MAX_IGNORE_BYTES = 256 * 1024
MAX_PATTERNS = 5_000  # of a file
_MAX_LINE = 4096  # no path is longer
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
    expression: bytes


@dataclass(frozen=True, slots=True)
class Weight:
    """The most work that holding a path against patterns takes, as their bytes: plain: of those without a wildcard,
    each byte of which is looked at once. by_name, by_path: of the others; for each byte of what they are held against.
    """

    plain: int = 0
    by_name: int = 0
    by_path: int = 0

    def __add__(self, other: "Weight") -> "Weight":
        return Weight(self.plain + other.plain, self.by_name + other.by_name, self.by_path + other.by_path)

    def for_path(self, path: bytes, name: bytes) -> int:
        return self.plain + self.by_name * len(name) + self.by_path * len(path)


@dataclass(frozen=True, slots=True)
class Patterns:
    """The lines of one file, with a quick way to see that none of them matches, which is the common case."""

    patterns: tuple[Pattern, ...]
    names: re.Pattern[bytes] | None
    paths: re.Pattern[bytes] | None
    weight: Weight
    _lasts: "dict[tuple[bool, bool], _Last]" = field(default_factory=dict, repr=False, compare=False)

    def last_match(self, path: bytes, name: bytes, is_folder: bool) -> Pattern | None:
        """The last pattern that matches, which is the one that counts. `path` is relative to the file's own folder."""
        at = -1
        if self.names is not None and self.names.fullmatch(name):
            at = self._last(True, is_folder).find(name)
        if self.paths is not None and self.paths.fullmatch(path):
            at = max(at, self._last(False, is_folder).find(path))
        return self.patterns[at] if at >= 0 else None

    def _last(self, by_name: bool, is_folder: bool) -> "_Last":
        """Made when something matches: to try thousands one by one, for each file, would take long."""
        if (by_name, is_folder) not in self._lasts:
            places = [
                at
                for at, pattern in enumerate(self.patterns)
                if pattern.by_name == by_name and (is_folder or not pattern.folders_only)
            ][::-1]
            groups = [b"(" + self.patterns[at].expression + b")" for at in places]
            self._lasts[by_name, is_folder] = _Last(tuple(places), re.compile(b"|".join(groups)))
        return self._lasts[by_name, is_folder]


@dataclass(frozen=True, slots=True)
class _Last:
    """Patterns from the last to the first, one group each. places: in their file."""

    places: tuple[int, ...]
    groups: re.Pattern[bytes]

    def find(self, text: bytes) -> int:
        """The place of the last that matches; -1 where none does."""
        found = self.groups.fullmatch(text) if self.places else None
        return self.places[found.lastindex - 1] if found is not None and found.lastindex else -1


@dataclass(frozen=True, slots=True)
class Level:
    """A file of patterns in force, and those above it, which count only where this one says nothing.

    n_base: length of the path of its folder, in bytes, with its slash; what is asked about is cut there.
    origin: how a reason names the file. weight: of all of them.
    """

    patterns: Patterns
    n_base: int
    origin: str
    above: "Level | None"
    weight: Weight = Weight()


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


def why_unheeded(data: bytes) -> str | None:
    """Why a file's patterns are too much to be applied, in words; None for what people write.

    A path is held against each of them, and what they are made into takes 100 times their size. None of them counts
    then: the last that matches decides, so that some of them alone would say something else.
    """
    if len(data) > MAX_IGNORE_BYTES:
        return f"{len(data):,} bytes, over the limit of {MAX_IGNORE_BYTES:,}"
    lines = data.split(b"\n", MAX_PATTERNS)
    if len(lines) > MAX_PATTERNS and lines[-1]:
        return f"{data.count(bytes([10])) + 1:,} lines, over the limit of {MAX_PATTERNS:,} patterns"
    longest = max(map(len, lines))
    return None if longest <= _MAX_LINE else f"a line of {longest:,} bytes, over the limit of {_MAX_LINE:,}"


def compile_lines(lines: Iterable[bytes]) -> Patterns:
    """The patterns of these lines."""
    patterns = tuple(_compile(line) for line in map(_trim, lines) if line)
    return Patterns(
        patterns,
        _any_of([pattern.expression for pattern in patterns if pattern.by_name]),
        _any_of([pattern.expression for pattern in patterns if not pattern.by_name]),
        sum((_weight(pattern) for pattern in patterns), Weight()),
    )


def _weight(pattern: Pattern) -> Weight:
    n_bytes = len(pattern.line)
    if not _SPECIAL.search(pattern.line.encode()):
        return Weight(plain=n_bytes)
    return Weight(by_name=n_bytes) if pattern.by_name else Weight(by_path=n_bytes)


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
        expression=expression,
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
    inside = _ranges(sorted(allowed))
    return (b"[" + inside + b"]" if inside else _NEVER), at + 1


def _ranges(codes: list[int]) -> bytes:
    """The inside of a class of these bytes: a few ranges, where one by one they might be 255."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return b"".join(b"\\x%02x" % a if a == b else b"\\x%02x-\\x%02x" % (a, b) for a, b in ranges)


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
