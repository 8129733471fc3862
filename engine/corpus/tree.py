"""What `walk` needs to know of a place that holds files: a folder on disk (`disk`) or the inside of a zip
(`archive`)."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from engine.corpus.source import Skipped, Source

Read = Callable[[int], bytes]
"""Takes a number of bytes, gives the next ones; fewer only at the end."""
Take = Callable[[int, Read], Source | Skipped]
"""What becomes of a file: takes its size in bytes as the tree states it, and its bytes."""


class EntryKind(Enum):
    """What an entry of a folder is, its link not followed."""

    FOLDER = auto()
    FILE = auto()
    LINK = auto()
    SPECIAL = auto()  # a fifo, socket or device: never opened


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a folder. name: as it lies, unprintable characters and all. where: what its tree finds it by."""

    name: str
    kind: EntryKind
    where: Any


class Tree(Protocol):
    """A place with files in it."""

    def list_folder(self, where: Any) -> list[Entry]:
        """The entries, in any order. Errors: OSError."""

    def read_ignore(self, where: Any) -> bytes | None:
        """The .gitignore of a folder that has one."""

    def read_exclude(self, where: Any) -> bytes | None:
        """The info/exclude of a folder that is the root of a git checkout."""

    def size(self, where: Any) -> int | None:
        """The size of a file in bytes, None where it cannot be told."""

    def modified(self, where: Any) -> float | None:
        """When a file was last written, in seconds from any fixed moment; None where it cannot be told."""

    def identity(self, where: Any) -> object | None:
        """Tells a folder from every other; None where no folder can come up twice."""

    def read_file(self, where: Any, path: str, take: Take) -> Source | Skipped:
        """What `take` makes of the file, or why it cannot be opened or read to its end, under `path`."""
