"""Syntax colours of a part of a source, by Pygments, in a child process.

A lexer is regular expressions over a stranger's text, and some take for ever on some texts; while they do, no other
thread of their process runs. So they run in a child that is ended when it does not answer; then there are no colours.
The child leaves when nobody has asked it anything for a while.
"""

import re
import resource
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Any

from engine.child import Child, channel_of_child
from engine.errors import LongdeskError

Colour = tuple[int, int, str]  # characters from and up to, and a class of the style sheet
_PATIENCE_S = 4.0  # Pygments takes 0.1 s for what is asked, on a machine that has nothing else to do
_IDLE_S = 120.0
_RETRY_S = 30.0
_MEMORY_BYTES = 1 << 30
_BEFORE = 60_000  # characters that are read before the part: a comment may have begun there
_LONGEST_LINE = 2_000  # of code that people read
_KEPT = 32
_CELL = re.compile(r"^\[cell \d+, code\]\n(.*?)(?=^\[(?:cell|output of cell) \d+|\Z)", re.MULTILINE | re.DOTALL)
_NAMES = (
    ("Comment", "c"), ("Keyword", "k"), ("Literal.String", "s"), ("Literal.Number", "n"), ("Literal.Date", "n"),
    ("Name.Function", "f"), ("Name.Class", "f"), ("Name.Decorator", "d"), ("Name.Tag", "k"), ("Name.Attribute", "d"),
    ("Name.Builtin", "b"), ("Name.Constant", "b"), ("Name.Exception", "b"), ("Generic.Heading", "k"),
    ("Generic.Subheading", "k"), ("Generic.Deleted", "c"), ("Generic.Inserted", "s"),
)  # fmt: skip


class Colourist:
    """The child while it runs, and what was coloured lately. Safe to use from several threads. To be closed."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._kept: OrderedDict[tuple[str, int, int], tuple[Colour, ...]] = OrderedDict()
        self._failed: dict[tuple[str, int, int], float] = {}  # until when it is not tried again
        self._lock = Lock()

    def colours(self, digest: str, path: str, kind: str, text: str, start: int, end: int) -> tuple[Colour, ...]:
        """Of these characters of a source's text, in order; none where its name says no language, or it took too long.

        digest: of the text.
        """
        with self._lock:
            key = (f"{digest} {path}", start, end)
            if key not in self._kept:
                if monotonic() < self._failed.get(key, 0.0):
                    return ()
                found = self._asked(path, kind, text, start, end)
                self._failed.pop(key, None)
                if found is None:  # it took too long, or its child was killed: the next time may go better
                    self._failed[key] = monotonic() + _RETRY_S
                    while len(self._failed) > _KEPT:
                        del self._failed[next(iter(self._failed))]
                    return ()
                self._kept[key] = found
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]

    def close(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _asked(self, path: str, kind: str, text: str, start: int, end: int) -> tuple[Colour, ...] | None:
        """None where the child gave no answer."""
        if any(len(line) > _LONGEST_LINE for line in text[start:end].split("\n")):
            return ()
        begin = text.rfind("\n", 0, max(0, start - _BEFORE)) + 1 if start > _BEFORE else 0
        try:
            if self._child is None or not self._child.alive:
                self._end()
                self._child = Child(__name__)
            self._child.send({"path": path, "kind": kind}, text[begin:end].encode("utf-8", "replace"))
            frame = self._child.receive(_PATIENCE_S)
        except LongdeskError:
            frame = None
        if frame is None:
            self._end()
            return None
        found = ((begin + a, begin + b, str(name)) for a, b, name in frame.fields["colours"])
        return tuple(one for one in found if one[1] > start)


def _lex(path: str, kind: str, text: str) -> Iterator[tuple[int, str, str]]:
    """Where each token begins, its class ("" for none), and its text."""
    from pygments.lexers import PythonLexer, TextLexer, get_lexer_for_filename
    from pygments.util import ClassNotFound

    if kind == "notebook":
        parts = [(PythonLexer(), match.start(1), match[1]) for match in _CELL.finditer(text)]
    else:
        try:
            lexer = get_lexer_for_filename(path.rsplit("/", 1)[-1])
        except ClassNotFound:
            return
        parts = [] if isinstance(lexer, TextLexer) else [(lexer, 0, text)]
    names: dict[Any, str] = {}
    for lexer, begin, part in parts:
        for at, token, value in lexer.get_tokens_unprocessed(part):
            if token not in names:
                said = str(token).removeprefix("Token.")
                names[token] = next((short for name, short in _NAMES if said.startswith(name)), "")
            yield begin + at, names[token], value


def _colours(path: str, kind: str, text: str) -> list[list[Any]]:
    """Spans in order, none within another, as the parent is told them."""
    found: list[list[Any]] = []
    for at, name, value in _lex(path, kind, text):
        if found and found[-1][1] == at and found[-1][2] == name:
            found[-1][1] = at + len(value)
        elif name and (not found or at >= found[-1][1]):
            found.append([at, at + len(value), name])
    return found


def main() -> None:
    """The child: answers one question after another."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    channel = channel_of_child()
    while channel.has_frame(_IDLE_S):
        frame = channel.receive()
        if frame is None:
            return
        colours: list[list[Any]] = []
        with suppress(Exception):  # whatever a lexer runs into: then there are no colours
            text = frame.payload.decode("utf-8")
            colours = _colours(str(frame.fields["path"]), str(frame.fields["kind"]), text)
        channel.send({"colours": colours})


if __name__ == "__main__":
    main()
