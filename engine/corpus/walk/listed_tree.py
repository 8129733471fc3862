"""A folder of which only the list is here: its paths, and the few files that rules stand in. What of it would be read?

So that a browser need not send what is left out anyway. The rules are those of `folder_walk`, which walks through the
list as it walks through a disk; what may be asked for is decided here, what becomes of it is left to who asked.
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from engine.corpus.rules import Rules, why_folder_left_out
from engine.corpus.source import Skipped
from engine.corpus.walk.checkout import EXCLUDE, MAX_IGNORE_BYTES
from engine.corpus.walk.folder_walk import Entry, EntryKind, File, Start, Walk
from engine.corpus.wording import Names, printable

_Found = TypeVar("_Found")
_IGNORE = ".gitignore"
_INDEXES = ("index", "sharedindex.")  # below .git: what it tracks; git may split that over two files


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What would not be read. at: its place in the list, None for a folder. n_files: that it stands for."""

    skipped: Skipped
    at: int | None
    n_files: int

    def not_sent(self) -> Skipped:
        """The same once it is known that nobody can bring it back: it is not here."""
        n, said = self.n_files, self.skipped
        what = "it was not sent" if self.at is not None else f"its {n:,} file{'s were' if n != 1 else ' was'} not sent"
        if n == 0:
            return said
        return replace(said, reason=f"{said.reason}; {what}: give it by itself to read it", can_include=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a list would be opened, by places in it, and what would be left out."""

    wanted: tuple[int, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(slots=True)
class _Node:
    """A folder of the list. closed: its inside could not be listed. raw: names that cannot be printed, by what is
    written for them; empty until it is asked for."""

    folders: dict[str, "_Node"] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    closed: bool = False
    raw: dict[str, str] = field(default_factory=dict)

    def count(self) -> int:
        """The files in it and below."""
        n_files, stack = 0, [self]
        while stack:
            node = stack.pop()
            n_files += len(node.files)
            stack.extend(node.folders.values())
        return n_files

    def find(self, path: str) -> "_Node | int | None":
        """What a printable path below it leads to: the node of a folder, the place of a file."""
        node: _Node | None = self
        *above, last = path.removesuffix("/").split("/")
        for part in above:
            node = node._named(node.folders, part) if node else None
        if node is None:
            return None
        return node._named(node.folders, last) if path.endswith("/") else node._named(node.files, last)

    def _named(self, there: Mapping[str, _Found], name: str) -> _Found | None:
        """What goes by this name, or by one that is written so where it cannot be printed."""
        if name in there:
            return there[name]
        if not self.raw:
            self.raw = {"": ""}  # once: a folder may hold very many
            for raw in (*self.files, *self.folders):
                if not raw.isprintable():
                    self.raw.setdefault(printable(raw), raw)
        return there.get(self.raw.get(name, name))


def rule_files(files: Sequence[str]) -> list[int]:
    """The places of the files whose content decides what is left out, in a list as `choose` takes it."""
    return [at for at, path in enumerate(files) if _holds_rules(path.split("/"))]


def _holds_rules(parts: Sequence[str]) -> bool:
    if parts[-1] == _IGNORE:
        above = parts[1:-1]
    elif ".git" in parts[:-1]:
        at = parts.index(".git")
        name, above = "/".join(parts[at + 1 :]), parts[1:at]
        if name not in (EXCLUDE, _INDEXES[0]) and not name.startswith(_INDEXES[1]):
            return False
    else:
        return False
    return not any(why_folder_left_out(part) for part in above)


@dataclass(slots=True)
class ListedTree:
    """The list as a tree to walk through. `where` is a node for a folder, a place in the list for a file.

    contents: of the files of `rule_files`, by their places.
    """

    contents: Mapping[int, bytes]

    def list_folder(self, where: _Node) -> list[Entry]:
        if where.closed:
            raise PermissionError(errno.EACCES, "its inside could not be listed")
        folders = [Entry(name, EntryKind.FOLDER, node) for name, node in where.folders.items()]
        return [*folders, *(Entry(name, EntryKind.FILE, at) for name, at in where.files.items())]

    def read_ignore(self, where: _Node) -> bytes | None:
        data = self._read(where, _IGNORE)
        return data if data is None else data[: MAX_IGNORE_BYTES + 1]

    def read_git(self, where: _Node, name: str) -> bytes | None:
        if ".git" not in where.folders:
            return None  # a .git file: what it points to is not in the list
        content = self._read(where, ".git", *name.split("/"))
        return b"" if content is None else (_small(content) if name == EXCLUDE else content)

    def size(self, where: int) -> int | None:
        return None

    def identity(self, where: _Node) -> object | None:
        return None

    def _read(self, where: _Node, *path: str) -> bytes | None:
        *folders, name = path
        for folder in folders:
            if folder not in where.folders:
                return None
            where = where.folders[folder]
        at = where.files.get(name)
        return None if at is None else self.contents.get(at)


def _small(data: bytes | None) -> bytes | None:
    """What is larger is no file of patterns, here as on a disk."""
    return data if data is None or len(data) <= MAX_IGNORE_BYTES else None


def choose(
    files: Sequence[str], contents: Mapping[int, bytes], rules: Rules, *, closed: Sequence[str] = ()
) -> dict[str, Choice]:
    """What of each top of a list of files would be opened, by its name. A file that is a top itself always is.

    files: POSIX paths, from the top's name on. contents: of the files of `rule_files`, by their places.
    closed: the paths of folders whose inside could not be listed; they are left out as unreadable, unless a rule
    leaves them out.
    """
    root = _plant(files, closed)
    tree = ListedTree(contents)
    chosen = {name: Choice((at,), ()) for name, at in root.files.items()}
    for name, node in root.folders.items():
        wanted, left_out = [], []
        for found in Walk(tree, rules, Names(), Start(node, printable(name))):
            if isinstance(found, File):
                wanted.append(found.where)
            else:
                left_out.append(_left_out(found, node))
        chosen[name] = Choice(tuple(wanted), tuple(left_out))
    return chosen


def _left_out(skipped: Skipped, root: _Node) -> LeftOut:
    there = root.find(skipped.path)
    if isinstance(there, _Node):
        return LeftOut(skipped, None, there.count())
    return LeftOut(skipped, there, 0 if there is None else 1)


def _plant(files: Sequence[str], closed: Sequence[str]) -> _Node:
    root = _Node()
    for at, path in enumerate(files):
        *above, name = path.split("/")
        _reach(root, above).files[name] = at
    for path in closed:
        _reach(root, path.split("/")).closed = True
    return root


def _reach(node: _Node, parts: Sequence[str]) -> _Node:
    for part in parts:
        node = node.folders.setdefault(part, _Node())
    return node
