"""Every file below a folder, in order, or why it is left out: --exclude, the defaults, .gitignore, links, specials.

Owns the order of files and of the reasons, and what is asked of a place that holds files: a folder on disk
(`disk_tree`), the inside of a zip (`zip_tree`), a list of paths (`listed_tree`). What becomes of a file, and of a zip,
is left to `collect`.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import lru_cache, partial
from typing import Any, Protocol

from engine.corpus.rules import Rules, why_contents_left_out, why_file_left_out, why_folder_left_out
from engine.corpus.source import Cause, Skipped, Source
from engine.corpus.walk.checkout import EXCLUDE, level_from, level_of_checkout
from engine.corpus.walk.git_index import Tracked
from engine.corpus.walk.held import NotPlain, is_link
from engine.corpus.walk.ignore import Ignored, Level, Pattern, Patterns, find_ignoring, parse, why_unheeded
from engine.corpus.wording import Names, natural_key, printable

MAX_PATTERNS_IN_ALL = 20_000  # of all .gitignore files of a walk
MAX_WORK = 4_000_000_000  # in bytes that are looked at, see `ignore.Weight`: 200,000 files by a hundred patterns
_NOT_TO_ALL = "Its patterns were not applied to all files: there are too many of both."

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


class Listing(Protocol):
    """A place with files in it, as far as a walk must know it: folders, and the files that rules stand in."""

    def list_folder(self, where: Any) -> list[Entry]:
        """The entries, in any order. Errors: OSError."""

    def read_ignore(self, where: Any) -> bytes | None:
        """The .gitignore of a folder that has one."""

    def read_git(self, where: Any, name: str) -> bytes | None:
        """A file of the .git of a folder that is the root of a git checkout, see `checkout.read_in_git`."""

    def size(self, where: Any) -> int | None:
        """The size of a file in bytes, None where it cannot be told."""

    def identity(self, where: Any) -> object | None:
        """Tells a folder from every other; None where no folder can come up twice."""


class Tree(Listing, Protocol):
    """A place whose files can be read."""

    def modified(self, where: Any) -> float | None:
        """When a file was last written, in seconds from any fixed moment; None where it cannot be told."""

    def read_file(self, where: Any, path: str, take: Take) -> Source | Skipped:
        """What `take` makes of the file, or why it cannot be opened or read to its end, under `path`."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to be read. path: its unique path in the corpus. raw_path: below the root, as it lies.

    included: the user brought it back by its path.
    """

    path: str
    raw_path: str
    where: Any
    included: bool


@dataclass(frozen=True, slots=True)
class Start:
    """Where a walk begins.

    root_name: stands before a path that an earlier root has taken.
    raw_path: of `where` below the root; "" for the root itself, "inner.zip/" for a zip below it.
    level, prefix: the .gitignore files above, and the path from the topmost of them; see `checkout.level_above`.
    tracked: what git tracks in the checkout that it lies in.
    """

    where: Any
    root_name: str
    raw_path: str = ""
    level: Level | None = None
    prefix: bytes = b""
    tracked: Tracked | None = None


@dataclass(frozen=True, slots=True)
class _Ignoring:
    """What .gitignore says in a folder. level: the patterns in force. tracked: what git tracks in spite of them.

    whole: what ignores the folder itself, of which only what is tracked counts then.
    """

    level: Level | None
    tracked: Tracked | None
    whole: Ignored | None = None


@dataclass(slots=True)
class _Folder:
    """A folder in the middle of being walked. ignoring: None where .gitignore does not count in it."""

    entries: Iterator[Entry]
    raw_path: str
    ignoring: _Ignoring | None


@dataclass(slots=True)
class Walk:
    """One root's files. State: the folders seen, so that none is read twice; how much patterns took so far.

    unheeded: what is to be said of files of patterns that were too much to be applied, by their raw paths; whole once
    the walk is done.
    """

    tree: Listing
    rules: Rules
    names: Names
    start: Start
    unheeded: dict[str, str] = field(default_factory=dict)
    _heeded: list[str] = field(default_factory=list)
    _n_patterns: int = 0
    _work: int = 0
    _seen: set[object] = field(default_factory=set)
    _excludes: Patterns = field(init=False)

    def __post_init__(self) -> None:
        self._excludes = _compiled(self.rules.exclude)

    def __iter__(self) -> Iterator[File | Skipped]:
        """Files and what is skipped, by path, folder by folder. Open folders are kept on a list, not on the call stack:
        they may lie thousands deep."""
        start = self.start
        ignoring = _Ignoring(start.level, start.tracked)
        first = self._enter(start.where, start.raw_path, ignoring, path=start.root_name + "/")
        if isinstance(first, Skipped):
            yield first
            return
        stack = [first]
        while stack:
            folder = stack[-1]
            entry = next(folder.entries, None)
            if entry is None:
                stack.pop()
                continue
            found = self._judge(entry, folder)
            if isinstance(found, _Folder):
                stack.append(found)
                continue
            if (
                isinstance(found, Skipped)
                and self.unheeded
                and (said := self.unheeded.get(folder.raw_path + entry.name))
            ):
                found = replace(found, reason=f"{found.reason}; {said[:1].lower()}{said[1:]}")
            yield found

    def _judge(self, entry: Entry, folder: _Folder) -> File | Skipped | _Folder:
        is_folder = entry.kind is EntryKind.FOLDER
        raw_path = folder.raw_path + entry.name
        slash = "/" if is_folder else ""
        path = self.names.claim(printable(raw_path) + slash, self.start.root_name)
        if entry.kind is EntryKind.LINK:
            return Skipped(path, Cause.LINK, "a link; what it points to is not followed")
        if entry.kind is EntryKind.SPECIAL:
            return skip_special(path)
        included = path in self.rules.include or (is_folder and path[:-1] in self.rules.include)
        ignoring = None if included else folder.ignoring
        if not included:
            skipped = self._why_left_out(entry, raw_path, path)
            if skipped is not None:
                return skipped
            ignored = self._ignored(entry, raw_path, folder)
            if ignored is not None and not self._is_tracked(entry, raw_path, folder):
                return self._skip(entry, path, Cause.IGNORED, _ignored_by(ignored, folder))
            if ignored is not None and ignoring is not None:
                ignoring = replace(ignoring, whole=ignored)
        if not is_folder:
            return File(path, raw_path, entry.where, included)
        return self._enter(entry.where, raw_path + "/", ignoring, path=path, included=included)

    def _why_left_out(self, entry: Entry, raw_path: str, path: str) -> Skipped | None:
        is_folder = entry.kind is EntryKind.FOLDER
        if self._excludes.patterns:  # else the common case is spared the bytes
            pattern = self._excludes.last_match(os.fsencode(raw_path), os.fsencode(entry.name), is_folder)
            if pattern is not None and not pattern.negated:
                return self._skip(entry, path, Cause.EXCLUDED, _excluded_by(pattern))
        why = why_folder_left_out(entry.name) if is_folder else why_file_left_out(entry.name)
        return self._skip(entry, path, Cause.GENERATED, why) if why is not None else None

    def _ignored(self, entry: Entry, raw_path: str, folder: _Folder) -> Ignored | None:
        """What ignores this entry, itself or with the folder that it lies in."""
        ignoring = folder.ignoring
        if ignoring is None or (ignoring.whole is None and ignoring.level is None):
            return None
        path, name = self.start.prefix + os.fsencode(raw_path), os.fsencode(entry.name)
        if ignoring.level is not None:
            self._work += ignoring.level.weight.for_path(path, name)
            if self._work > MAX_WORK:
                self.unheeded.update(dict.fromkeys(self._heeded, _NOT_TO_ALL))
                return None
        return ignoring.whole or find_ignoring(ignoring.level, path, name, entry.kind is EntryKind.FOLDER)

    def _is_tracked(self, entry: Entry, raw_path: str, folder: _Folder) -> bool:
        tracked = folder.ignoring.tracked if folder.ignoring else None
        path = self.start.prefix + os.fsencode(raw_path)
        return tracked is not None and tracked.has(path, is_folder=entry.kind is EntryKind.FOLDER)

    def _skip(self, entry: Entry, path: str, cause: Cause, reason: str) -> Skipped:
        n_bytes = None if entry.kind is EntryKind.FOLDER else self.tree.size(entry.where)
        return Skipped(path, cause, reason, n_bytes, can_include=True)

    def _enter(
        self, where: Any, raw_path: str, ignoring: _Ignoring | None, *, path: str, included: bool = False
    ) -> _Folder | Skipped:
        """The folder, ready to be walked, or why it is not."""
        try:
            identity = self.tree.identity(where)
            if identity is not None and identity in self._seen:
                return Skipped(path, Cause.LINK, "the same folder as one already read")
            self._seen.add(identity)
            entries = self.tree.list_folder(where)
        except OSError as error:
            return skip_unreadable(path, error)
        kinds = {entry.name: entry.kind for entry in entries}
        is_root = raw_path == self.start.raw_path
        why = why_contents_left_out(kinds.keys())
        if why is not None and not (included or is_root):
            return Skipped(path, Cause.GENERATED, why, can_include=True)
        if ignoring is not None:
            ignoring = self._ignoring_in(where, raw_path, kinds, ignoring)
        entries.sort(key=lambda entry: natural_key(entry.name))
        return _Folder(iter(entries), raw_path, ignoring)

    def _ignoring_in(self, where: Any, raw_path: str, kinds: dict[str, EntryKind], above: _Ignoring) -> _Ignoring:
        """What is ignored inside a folder. A checkout within a checkout has only its own patterns, as in git."""
        n_base = len(self.start.prefix) + len(os.fsencode(raw_path))
        if ".git" in kinds:
            level = level_of_checkout(
                self._heed(self.tree.read_git(where, EXCLUDE), f"{raw_path}.git", EXCLUDE), n_base
            )
            above = _Ignoring(level, Tracked(partial(self.tree.read_git, where), n_base))
        if kinds.get(".gitignore") is not EntryKind.FILE:
            return above
        origin = printable(raw_path.removeprefix(self.start.raw_path)) + ".gitignore"
        data = self._heed(self.tree.read_ignore(where), f"{raw_path}.gitignore")
        return replace(above, level=level_from(data, n_base, origin, above.level))

    def _heed(self, data: bytes | None, raw_path: str, name: str = "") -> bytes | None:
        """A file of patterns, None where it is too much to be applied. name: of one that is no file of the walk, in a
        folder that is one."""
        if not data:
            return data
        why = why_unheeded(data)
        n_patterns = data.count(b"\n") + 1
        if why is None and self._n_patterns + n_patterns > MAX_PATTERNS_IN_ALL:
            why = f"with those of other folders more than {MAX_PATTERNS_IN_ALL:,}"
        if why is None:
            self._n_patterns += n_patterns
            self._heeded.append(raw_path)
            return data
        whose = f"The patterns of its {name}" if name else "Its patterns"
        self.unheeded[raw_path] = f"{whose} were not applied: {why}."
        return None


@lru_cache
def _compiled(globs: tuple[str, ...]) -> Patterns:
    """The globs of --exclude. "./docs" is taken as the shell's way of saying "/docs"."""
    lines = [glob[1:] if glob.startswith("./") else glob for glob in globs]
    return parse("\n".join(lines).encode("utf-8", "surrogateescape"))


def why_excluded(globs: tuple[str, ...], raw_name: str) -> str | None:
    """Why --exclude leaves out a file that was given by this name itself, or None."""
    if not globs:
        return None
    name = os.fsencode(raw_name)
    pattern = _compiled(globs).last_match(name, name, is_folder=False)
    return _excluded_by(pattern) if pattern is not None and not pattern.negated else None


def _ignored_by(ignored: Ignored, folder: _Folder) -> str:
    reason = f"ignored by {printable(ignored.origin)}: {printable(ignored.line)}"
    tracked = folder.ignoring.tracked if folder.ignoring else None
    if tracked is None or tracked.is_known:
        return reason
    return f"{reason} (whether git tracks it cannot be told from here)"


def _excluded_by(pattern: Pattern) -> str:
    return f"left out by --exclude {printable(pattern.line)}"


def excludes(globs: tuple[str, ...], path: str) -> bool:
    """Whether the globs leave out a file by its path in a corpus: itself, or a folder that it lies in."""
    patterns, parts = _compiled(globs), path.split("/")
    for depth in range(1, len(parts) + 1):
        raw = os.fsencode("/".join(parts[:depth]))
        found = patterns.last_match(raw, os.fsencode(parts[depth - 1]), depth < len(parts))
        if found is not None and not found.negated:
            return True
    return False


def skip_special(path: str) -> Skipped:
    """A fifo, socket or device."""
    return Skipped(path, Cause.UNREADABLE, "not a plain file but a pipe, socket or device")


def skip_unreadable(path: str, error: OSError) -> Skipped:
    """What the system refused, in its own words."""
    if isinstance(error, PermissionError):
        return Skipped(path, Cause.UNREADABLE, "no permission to read it")
    if isinstance(error, NotPlain):
        return skip_special(path)
    if is_link(error):  # it was none when its folder was listed; or links lead in a circle
        return Skipped(path, Cause.LINK, "a link that was put there meanwhile, or leads nowhere; it is not followed")
    return Skipped(path, Cause.UNREADABLE, f"cannot be read ({error.strerror or error})")
