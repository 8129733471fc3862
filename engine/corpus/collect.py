"""The way in: files, folders and zips to one Corpus. Owns the order, and what a path given by name outranks.

What is said where nothing is left to read is left to `refusing`, what is known of files from before to `readings`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO

from engine.corpus.ahead import Ahead
from engine.corpus.formats.format import Waiting, wait_only
from engine.corpus.formats.reader import expect, is_apart, is_zip, read_content, refuse_absent, with_absent_noted
from engine.corpus.formats.sniff import HEAD_BYTES, ending, look
from engine.corpus.order.ordering import Trace, volatilities
from engine.corpus.readings import Place, Readings, Seen
from engine.corpus.rules import DEFAULT_RULES, NESTED_ZIP, ZIP_IN_ZIP, ZIP_TOO_DEEP, Rules
from engine.corpus.source import Cause, Corpus, Skipped, Source
from engine.corpus.walk.disk_tree import DiskTree, GivenFile, more_than
from engine.corpus.walk.folder_walk import File, Start, Take, Tree, Walk, skip_special, skip_unreadable, why_excluded
from engine.corpus.walk.held import Given, Held
from engine.corpus.walk.held import Opener as Opener
from engine.corpus.walk.held import open_given as open_given
from engine.corpus.walk.streams import exists, is_stream, read_stream, stream_name
from engine.corpus.walk.survey import once, start_at
from engine.corpus.walk.zip_tree import ZipTree, open_zip
from engine.corpus.wording import Names, printable
from engine.errors import UsageError

_NO_TRACE = Trace(None, None)
_MAX_NESTING = 1  # a zip in a folder or in a zip may be brought back, a zip in that one may not


def collect(
    paths: Sequence[Path],
    rules: Rules = DEFAULT_RULES,
    *,
    on_found: Callable[[int, str], None] | None = None,
    on_file: Callable[[Source | Skipped], None] | None = None,
    on_wait: Waiting | None = None,
    uploaded: bool = False,
    readings: Readings | None = None,
    open_path: Opener = open_given,
) -> Corpus:
    """Everything readable at these paths, and what was skipped and why.

    A folder is read by .gitignore and the default rules; a zip likewise, from within; a file that is given itself is
    read whatever those say, but not against --exclude; so is a pipe, with Rules.pipes. Paths are relative to what was
    given, POSIX and unique. Order: the paths as given, below each by path, folder by folder, "page 2" before "page 10".

    on_found: called with each path that is found, before what lies below the same folder is read, and with how many are
    known of by then. on_file: called with everything that was read or is skipped, as it comes. on_wait: called again
    and again while one file is read, with its path, and the page that is looked at. What they raise ends the reading.
    uploaded: the paths are copies that tell nothing of where the files lie and when they changed; git is not asked. A
    file with pages is kept, but in a zip: it cannot be read again when other pages are to be drawn.
    What is given twice, or with a folder that it lies in, stands where it was found first.
    readings: what is known of files on disk; those that did not change since are not opened. What is read anew is known
    from then on.
    open_path: opens each path, once; below a folder nothing is found by its name again, and no link is followed.

    Errors: UsageError where a path does not exist, or no file has a page that Rules.draw_pages names. Anything wrong
    with a file becomes a Skipped.
    """
    for path in paths:
        if not exists(path):
            fact = f"There is no file or folder at {printable(str(path))}."
            raise UsageError(fact, "Check the spelling; a relative path starts from the current folder.")
    reading = _Reading(
        rules,
        on_found or (lambda n_known, path: None),
        on_file or (lambda found: None),
        on_wait or wait_only,
        uploaded,
        readings if not uploaded else None,
        open_path,
    )
    roots = once(paths)
    reading.n_known = len(roots)
    for path in roots:
        reading.read_root(path)
    if readings is not None:
        readings.save()
    if not uploaded:
        refuse_absent(reading.sources, reading.skipped, rules)
    return reading.corpus()


def _noted(found: Source | Skipped, note: str | None) -> Source | Skipped:
    return found.changed(notes=(*found.notes, note)) if note and isinstance(found, Source) else found


def _final(found: Source | Skipped, tree: Tree, nesting: int) -> Source | Skipped:
    """What a zip in a zip is called. One below the last level that is opened cannot be brought back."""
    if not isinstance(found, Skipped) or found.reason != NESTED_ZIP:
        return found
    if nesting >= _MAX_NESTING:
        return replace(found, reason=ZIP_TOO_DEEP, can_include=False)
    return replace(found, reason=ZIP_IN_ZIP) if isinstance(tree, ZipTree) else found


@dataclass(frozen=True, slots=True)
class _Found:
    """A source, and what its reader does not know of it."""

    source: Source
    origin: str | None
    trace: Trace
    folder: str | None


@dataclass(slots=True)
class _Reading:
    """A corpus in the making."""

    rules: Rules
    on_found: Callable[[int, str], None]
    on_file: Callable[[Source | Skipped], None]
    on_wait: Waiting
    uploaded: bool
    readings: Readings | None
    open_path: Opener = open_given
    n_known: int = 0  # files, read or to come; of a folder that was not walked yet, one
    found: list[_Found] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    roots: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    origins: set[str | None] = field(default_factory=set)  # of all that was read below the roots before

    @property
    def sources(self) -> list[Source]:
        """As their readers gave them."""
        return [found.source for found in self.found]

    def corpus(self) -> Corpus:
        """What was read, each source with where it lies and with what is known of how often it changes."""
        uploaded = self.uploaded
        traces = [_NO_TRACE if uploaded and found.trace.file else found.trace for found in self.found]
        sources = tuple(
            found.source.changed(origin=None if uploaded else found.origin, folder=found.folder, volatility=volatility)
            for found, volatility in zip(self.found, volatilities(traces), strict=True)
        )
        sources = tuple(with_absent_noted(sources, self.rules))
        if uploaded:
            return Corpus(sources, tuple(self.skipped))
        survey = self.readings.survey.digest if self.readings is not None else None
        return Corpus(sources, tuple(self.skipped), tuple(self.roots), frozenset(self.given), survey)

    def read_root(self, given: Path) -> None:
        """A path as the user gave it; of what an earlier one led to, nothing is read again."""
        begun = len(self.found)
        self._read_root(given)
        self.found[begun:] = [found for found in self.found[begun:] if self._is_new(found.origin)]
        self.origins.update(found.origin for found in self.found[begun:])

    def _is_new(self, origin: str | None) -> bool:
        return origin is None or origin not in self.origins  # None: two pipes are two

    def _read_root(self, path: Path) -> None:
        """A link is followed here and nowhere else."""
        absolute = Path(os.path.abspath(path))
        name, parent_name = printable(absolute.name or "root"), printable(absolute.parent.name or "root")
        try:
            if is_stream(path):
                return self._read_pipe(path)
            given = self.open_path(path)
        except OSError as error:
            self._distrust()
            name = self.names.claim(name, parent_name)
            return self._take(skip_unreadable(name, error))
        if given.is_folder:
            return self._read_folder(given, name)
        try:
            look = self.readings.look_given(Path(given.path)) if self.readings is not None else None
            self._read_given_file(given, absolute.name, parent_name)
            if self.readings is not None:
                after = self.readings.look_given(Path(given.path))
                self.readings.survey.add(given.path, look if look == after else None)
        finally:
            os.close(given.descriptor)
        return None

    def _read_folder(self, given: Given, name: str) -> None:
        self.roots.append(given.path)
        with Held(given.path, given.descriptor) as held:
            tree = DiskTree(held, self.rules.max_file_bytes, given.top)
            self._read_below(tree, start_at(Path(given.path), name, top=given.top), given.path, nesting=0)

    def _distrust(self) -> None:
        """What comes now cannot be told from other things by looking at it."""
        if self.readings is not None:
            self.readings.survey.distrust()

    def _read_given_file(self, given: Given, raw_name: str, parent_name: str) -> None:
        """A file given by name. Default rules and .gitignore do not count; --exclude does."""
        name = self.names.claim(printable(raw_name), parent_name)
        if self._is_excluded(name, raw_name, given.status.st_size):
            return
        there = GivenFile(given, self.rules.max_file_bytes)
        if ending(raw_name) == "zip" and is_zip(there.head(HEAD_BYTES), raw_name):
            self.roots.append(given.path)
            with open(os.dup(given.descriptor), "rb") as file:
                return self._read_zip(file, name, Start(None, name), given.path, nesting=0)
        self.given.add(given.path)
        place = self.readings.place(os.path.dirname(given.path), self.rules) if self.readings is not None else None
        read = partial(there.read, name, self._reader(name, included=True, keep=self.uploaded))
        if place is None:
            seen = Seen(read(), given.status.st_mtime)
        else:
            seen = place.see(given.path, name, read, included=True, status_of=there.status)
            there.is_open = False
        self._take(seen.found, given.path, Trace(given.path, seen.modified, given.top))

    def _is_excluded(self, name: str, raw_name: str, n_bytes: int | None) -> bool:
        reason = why_excluded(self.rules.exclude, raw_name)
        if reason is None or name in self.rules.include:
            return False
        self._take(Skipped(name, Cause.EXCLUDED, reason, n_bytes, can_include=True))
        return True

    def _read_pipe(self, path: Path) -> None:
        """Standard input or another pipe given by name. What it is shows in its content alone."""
        self._distrust()
        raw_name = stream_name(path)
        name = self.names.claim(printable(raw_name), "pipe")
        if self._is_excluded(name, raw_name, None):
            return None
        if not self.rules.pipes:
            return self._take(skip_special(name))
        limit = max(self.rules.max_file_bytes, self.rules.max_text_bytes)
        try:
            data = read_stream(path, limit)
        except OSError as error:
            return self._take(skip_unreadable(name, error))
        if data is None:
            return self._take(Skipped(name, Cause.TOO_LARGE, more_than(limit)))
        if look(data[:HEAD_BYTES], raw_name).holds_zip:
            return self._read_zip(BytesIO(data), name, Start(None, name), None, nesting=0)
        found = read_content(
            name, len(data), BytesIO(data).read, self.rules, included=True, keep=True, waiting=self.on_wait
        )
        return self._take(found)

    def _read_below(self, tree: Tree, start: Start, origin: str | None, *, nesting: int) -> None:
        """origin: where the root, or the zip below it, lies; a file in it lies below that. None: it came by a pipe."""
        folder = start.root_name.removesuffix(".zip")
        known = self.readings if isinstance(tree, DiskTree) else None
        place = known.place(str(start.where), self.rules) if known is not None else None
        walk = Walk(tree, self.rules, self.names, start)
        walked = self._walked(walk, is_new=place is None or place.is_new)
        apart = [  # in a zip, one is read at a time
            (each.path, partial(self._see, tree, place, each))
            for each in walked
            if isinstance(tree, DiskTree) and isinstance(each, File) and is_apart(each.path)
        ]
        with Ahead(self.on_wait, apart) as ahead:
            for found in walked:
                if isinstance(found, Skipped):
                    if known is not None:
                        known.survey.skip(found)
                    self._take(found)
                    continue
                below = found.raw_path.removeprefix(start.raw_path)
                lies_at = f"{origin.rstrip(os.sep)}{os.sep}{below}" if origin else None
                if found.included and ending(found.path) == "zip" and nesting < _MAX_NESTING:
                    self._distrust()
                    self._read_inner_zip(tree, found, start, lies_at, nesting)
                    continue
                if isinstance(tree, DiskTree):
                    seen = ahead.take(found.path, partial(self._see, tree, place, found))
                    if known is not None:
                        known.survey.add(found, seen.look)
                    read, trace = seen.found, Trace(found.where, seen.modified, tree.top)
                else:
                    take = self._reader(found.path, included=found.included)
                    read = _final(tree.read_file(found.where, found.path, take), tree, nesting)
                    trace = Trace(None, tree.modified(found.where))
                self._take(_noted(read, walk.unheeded.get(found.raw_path)), lies_at, trace, folder)

    def _walked(self, walk: Walk, *, is_new: bool) -> list[File | Skipped]:
        """All of it, so that how many there are is known before the first is read. is_new: they will be."""
        found: list[File | Skipped] = []
        self.n_known -= 1  # the folder or zip itself
        for each in walk:
            found.append(each)
            if is_new and isinstance(each, File):
                expect(each.path)
            self.n_known += 1
            self.on_found(self.n_known, each.path)
        return found

    def _see(self, tree: DiskTree, place: Place | None, file: File, waiting: Waiting) -> Seen:
        """place: what is known of the files of a folder that it lies in."""
        where, path = file.where, file.path
        take = partial(self._reader, path, included=file.included, keep=self.uploaded)
        now, again = (  # `waiting` ends with the folder's reading
            partial(tree.read_file, where, path, take(waiting=each)) for each in (waiting, self.on_wait)
        )
        if place is None:
            return Seen(now(), tree.modified(where))
        return place.see(where, path, now, included=file.included, status_of=tree.held.status, again=again)

    def _reader(self, path: str, *, included: bool, keep: bool = False, waiting: Waiting | None = None) -> Take:
        on_wait = waiting or self.on_wait
        return lambda n, read: read_content(path, n, read, self.rules, included=included, keep=keep, waiting=on_wait)

    def _read_inner_zip(self, tree: Tree, found: File, start: Start, origin: str | None, nesting: int) -> None:
        """A zip in a folder or in a zip that the user brought back."""
        inner = Start(None, start.root_name, raw_path=found.raw_path + "/")
        if isinstance(tree, DiskTree):
            try:
                descriptor, _ = tree.held.open_file(found.where)
            except OSError as error:
                return self._take(skip_unreadable(found.path, error))
            with open(descriptor, "rb") as file:
                return self._read_zip(file, found.path, inner, origin, nesting=nesting + 1)
        assert isinstance(tree, ZipTree)
        if found.where.n_bytes > self.rules.max_file_bytes:
            return self._take(tree.read_file(found.where, found.path, self._reader(found.path, included=True)))
        data = tree.read_bytes(found.where, found.path)
        if isinstance(data, Skipped):
            return self._take(data)
        return self._read_zip(BytesIO(data), found.path, inner, origin, nesting=nesting + 1)

    def _read_zip(self, file: IO[bytes], path: str, start: Start, origin: str | None, *, nesting: int) -> None:
        tree = open_zip(file, path, self.rules)
        if isinstance(tree, Skipped):
            return self._take(tree)
        for refused in tree.refused:
            name = self.names.claim(start.raw_path + refused.path, start.root_name)
            self._take(Skipped(name, refused.cause, refused.reason, refused.n_bytes))
        start = Start(tree.root, start.root_name, raw_path=start.raw_path)
        return self._read_below(tree, start, origin, nesting=nesting)

    def _take(
        self,
        found: Source | Skipped,
        origin: str | None = None,
        trace: Trace = _NO_TRACE,
        folder: str | None = None,
    ) -> None:
        """origin: on this machine. folder: see Source. What is skipped is asked for neither."""
        if isinstance(found, Source):
            self.found.append(_Found(found, origin, trace, folder))
        else:
            self.skipped.append(found)
        self.on_file(found)
