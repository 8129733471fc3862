"""What makes a format: how its files are recognised, read and drawn; and what several formats need for that.

Which formats there are is left to `reader`.
"""

import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from engine.corpus.formats.sniff import Head, look
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, KeptFile, Pixels, Skipped, Source

_LOCK = threading.RLock()  # the warning filters are the process's own, not a thread's
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


Waiting = Callable[[str], None]
"""Is called again and again while a reader's process is at work, with what is looked at, as far as that is known. What
it raises ends the reading."""


def wait_only(at: str) -> None:
    """Waits until it is done or its time is up."""


def go_on(name: str, number: int) -> bool:
    """A step that is always taken."""
    return True


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file on its way to become a source: its head is there, the rest is read when it is asked for.

    n_bytes: the size as the file system or the archive states it. rest: takes a number of bytes and gives the next
    ones, fewer only at the end. included: the user brought it back. keep: its file is kept where it has pages, drawn or
    not, since it cannot be read again. file_format: what it was recognised as. step: is told before each page ("read",
    "look" at what is on it) or frame is begun, and says whether it is; False for one that was too much before. whole:
    all of it, where that is there.
    """

    path: str
    n_bytes: int
    head: Head
    rest: Callable[[int], bytes] = field(repr=False)
    rules: Rules
    included: bool = False
    keep: bool = False
    file_format: str = ""
    step: Callable[[str, int], bool] = field(default=go_on, repr=False, compare=False)
    whole: bytes | None = field(default=None, repr=False)

    def data(self) -> bytes:
        """The whole file; to be asked for once. Errors: those of `rest`."""
        if self.whole is not None:
            return self.whole
        n_left = self.n_bytes - len(self.head.data)
        return self.head.data + self.rest(n_left) if n_left > 0 else self.head.data

    def skipped(self, cause: Cause, reason: str, *, can_include: bool = False) -> Skipped:
        return Skipped(self.path, cause, reason, self.n_bytes, can_include)


class Draw(Protocol):
    """How a page or frame becomes pixels."""

    def __call__(
        self, name: str, file: KeptFile, *, number: int, width: int, height: int, quick: bool
    ) -> Pixels | Skipped:
        """See `reader.draw`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format that sources come in.

    kind: what its sources are called, see Source.kind. recognise: what a file is called whose head this is, None where
    it is of another format. read: the file as a source, or why it is none. draw: its pictures, None where it has none;
    drawn_from: the names that its kept files go by. endings: of names that its files have. has_text_pages: whether it
    has pages of text, some of which may be drawn, so that it is worth saying which. is_apart: whether `read` and `draw`
    are a process's of its own, see `apart`: all that others' libraries do.
    """

    kind: str
    recognise: Callable[[Head], str | None]
    read: Callable[[Incoming], Source | Skipped]
    draw: Draw | None = None
    drawn_from: frozenset[str] = frozenset()
    endings: frozenset[str] = frozenset()
    has_text_pages: bool = False
    is_apart: bool = False


def whole_file(path: str, data: bytes, rules: Rules, *, file_format: str = "") -> Incoming:
    """A file whose bytes are all there."""
    return Incoming(path, len(data), look(data, path), lambda n_bytes: b"", rules, file_format=file_format)


def without_surrogates(text: str) -> str:
    """The text with pairs of surrogates joined and lone ones replaced: neither can be written as UTF-8."""
    if not _LONE_SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@contextmanager
def quietly() -> Iterator[None]:
    """No Python warnings and no log lines of pypdf or Pillow inside: what is wrong with a file is said in a reason or a
    note. One thread at a time."""
    loggers = [logging.getLogger(name) for name in ("pypdf", "PIL")]
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
