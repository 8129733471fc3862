"""What is known of files from reading them before: a file that is as it was is not opened again.

A part of the count cache: a file of it for a folder that was read. A file is as it was where `walk.survey` says so, for
the same reader and the same rules. What a record holds is left to `unread`.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Skipped, Source
from engine.corpus.unread import packed, unpacked
from engine.corpus.walk.survey import Look, Survey, is_alive, is_settled, look_at, look_given
from engine.kept_files import KeptFiles

_ENDING = ".read"
_LIBRARIES = ("pypdf", "pypdfium2", "pillow")
_STABLE = frozenset(Cause) - {Cause.UNREADABLE}  # what the same bytes are skipped for again

Read = Callable[[], Source | Skipped]
StatusOf = Callable[[str], os.stat_result]
"""Of what lies at a path, a link not followed. Errors: OSError."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was read, or known. modified: when it was last written, in seconds; None where it cannot be told.
    look: what it is told by; None where it would be read again."""

    found: Source | Skipped
    modified: float | None
    look: Look | None = None


@dataclass(frozen=True, slots=True)
class _Record:
    """look: what the file's size, inode and times were. found: see `unread.packed`."""

    look: Look
    found: dict[str, Any]


@dataclass(slots=True)
class Place:
    """A folder's files as they are known, by their path below it and whether they were brought back."""

    root: str
    _read_again: bool
    _now_ns: Callable[[], int]
    _known: dict[str, _Record]
    _met: set[str] = field(default_factory=set)
    _fresh: dict[str, _Record] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """Whether nothing is known of it."""
        return self._read_again or not self._known

    def see(
        self, where: str, path: str, read: Read, *, included: bool, status_of: StatusOf, again: Read | None = None
    ) -> Seen:
        """A file of the folder, which goes by `path`: as it is known, or else as `read` gives it. again: reads what is
        known once somebody asks for its text, long after this; None where `read` does."""
        try:
            status = status_of(where)
        except (OSError, ValueError):
            return Seen(read(), None)
        key = ("+" if included else "-") + where.removeprefix(self.root)
        self._met.add(key)
        look, record = look_at(status), self._known.get(key)
        if record is not None and record.look == look and not self._read_again:
            with suppress(ValueError, TypeError, KeyError):
                return Seen(unpacked(record.found, path, again or read), status.st_mtime, look)
        begun_ns = self._now_ns()
        found = read()
        if is_settled(status, begun_ns) and _is_stable(found):
            with suppress(OSError):
                if look_at(status_of(where)) == look:
                    self._fresh[key] = _Record(look, packed(found))
                    return Seen(found, status.st_mtime, look)
        return Seen(found, status.st_mtime)

    def records(self) -> dict[str, _Record] | None:
        """All that is known now, of files that are there; None where that is nothing new."""
        if not self._fresh:
            return None
        kept = {
            key: record
            for key, record in self._known.items()
            if key in self._met or os.path.lexists(self.root + key[1:])
        }
        return kept | self._fresh


def _is_stable(found: Source | Skipped) -> bool:
    """Whether the same bytes give the same again."""
    return not found.is_partial if isinstance(found, Source) else found.cause in _STABLE


class Readings:
    """What is known of the files below any folder. For one reading of a corpus.

    read_again: nothing that is known is believed. now_ns: the clock that files' times are held against. survey: what
    the reading comes across.
    """

    def __init__(self, files: KeptFiles, *, read_again: bool = False, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._files, self._read_again, self._now_ns = files, read_again, now_ns
        self._places: dict[str, Place] = {}
        self.survey = Survey()

    def look_given(self, path: Path) -> Look | None:
        """What a file given by name is told by now; None where that cannot be trusted."""
        with suppress(OSError, ValueError):
            return look_given(path, self._now_ns())
        return None

    def place(self, root: str, rules: Rules) -> Place | None:
        """A folder, for the files in it; None where files change without their times telling."""
        if is_alive(root):
            return None
        name = _name(root, rules)
        if name not in self._places:
            self._places[name] = Place(root, self._read_again, self._now_ns, self._load(name))
        return self._places[name]

    def save(self) -> None:
        """Keeps what was read anew."""
        for name, place in self._places.items():
            if (records := place.records()) is not None:
                rows = {key: [*record.look, record.found] for key, record in records.items()}
                self._files.write(name, json.dumps({"reader": _reader(), "files": rows}).encode())

    def _load(self, name: str) -> dict[str, _Record]:
        head = self._files.read_head(name)
        with suppress(ValueError, KeyError, TypeError, AttributeError, IndexError):
            kept = json.loads(head or b"{}")
            if kept.get("reader") == _reader():
                return {key: _Record((row[0], row[1], row[2], row[3]), row[4]) for key, row in kept["files"].items()}
        return {}


def _name(root: str, rules: Rules) -> str:
    """By the folder and by the rules that change what is read of a file."""
    reading = replace(rules, exclude=(), include=frozenset(), pipes=False, needs_pages=False)
    return blake2b(os.fsencode(root) + repr(reading).encode(), digest_size=16).hexdigest() + _ENDING


@cache
def _reader() -> str:
    """Tells the code that reads from any other: its files, and the libraries that it stands on."""
    parts: list[object] = [sys.version, *map(version, _LIBRARIES)]
    for folder, _, names in sorted(os.walk(Path(__file__).parent)):
        for name in sorted(names):
            if name.endswith((".py", ".txt")):
                status = os.stat(os.path.join(folder, name))
                parts.append((os.path.basename(folder), name, status.st_size, status.st_mtime_ns))
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()
