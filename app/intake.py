"""What the user hands to the page: uploads, and folders of this machine, on their way into a session.

Remembers, as long as the process runs, where a session's files were read from, so that what was skipped can be brought
back. Uploads lie in private folders only as long as that may be asked for. Reading itself is left to engine.corpus.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from types import MappingProxyType

from app.arrival import Arrival
from app.commits import read_commits
from app.desk import Desk
from app.question import Notice
from app.reading import Tell, open_given
from app.roots import Roots
from app.sources.joining import is_another, lies_there
from app.uploads import Upload, discard, is_pasted, private_folder, sweep, write
from engine.backend import Corpus, Skipped, Source
from engine.corpus.refusing import refuse_empty
from engine.corpus.rules import Rules
from engine.corpus.wording import printable
from engine.errors import SourceRefused, UsageError


@dataclass(frozen=True, slots=True)
class Origin:
    """Where files were read from, and how. title: what the user would call it.

    private: a copy of an upload, deleted when it is not needed any more. in_roots: it lies in a folder that the page
    may read, and is opened by that alone. prefix: stands before every path in the
    session, since the paths themselves were taken by another origin.
    """

    title: str
    paths: tuple[Path, ...]
    exclude: tuple[str, ...] = ()
    include: frozenset[str] = frozenset()
    prefix: str = ""
    private: Path | None = None
    in_roots: bool = False
    can_replace: bool = False  # single files replace their namesakes, whole folders and zips do not


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was read and waits to be added to a session. brought_back: the path of what was skipped there until now."""

    parts: tuple[tuple[Origin, Corpus], ...]
    brought_back: str | None = None

    @property
    def title(self) -> str:
        """What a session with nothing else in it is called."""
        titles = [title for origin, _ in self.parts for title in origin.title.split("\n")]
        return titles[0] if len(titles) == 1 else f"{titles[0]} and {len(titles) - 1:,} more"

    @property
    def has_sources(self) -> bool:
        return any(corpus.sources for _, corpus in self.parts)

    @property
    def refused(self) -> tuple[Skipped, ...]:
        """What was handed over by itself, not in a folder or a zip, and cannot be read."""
        by_hand = {printable(path.name) for origin, _ in self.parts for path in origin.paths}
        by_hand |= {title for origin, _ in self.parts if not origin.paths for title in origin.title.split("\n")}
        return tuple(one for _, corpus in self.parts for one in corpus.skipped if one.path in by_hand)


@dataclass(slots=True)
class _Record:
    """What is remembered of a session: its origins, and which of them each path came from."""

    origins: list[Origin] = field(default_factory=list)
    came_from: dict[str, int] = field(default_factory=dict)


class Intake:
    """Reads what is handed over and adds it to sessions. Safe to use from several threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._roots = Roots(desk.settings.roots)
        self._records: dict[str, _Record] = {}
        self._lock = Lock()
        sweep(desk.settings.home)  # what a program that was killed left

    def read_uploads(
        self,
        uploads: Sequence[Upload],
        *,
        exclude: tuple[str, ...] = (),
        session: str | None = None,
        may_be_empty: bool = False,
        tell: Tell | None = None,
    ) -> Delivery:
        """Copies uploads into a private folder and reads them. Raises SourceRefused when nothing can be read, unless
        it may be empty.

        session: that they will be added to; what was pasted replaces nothing there. tell: as for Desk.read, here and
        below; where it raises, nothing is left of what was copied.
        """
        folder, lost = private_folder(self._desk.settings.home), dict[Path, tuple[Skipped, ...]]()
        try:
            taken = self._pasted(session) if session is not None else frozenset()
            return self._read(
                write(uploads, folder, taken, lost=lost),
                exclude,
                private=folder,
                session=session,
                may_be_empty=may_be_empty,
                left_out=lost,
                tell=tell,
            )
        except BaseException:
            discard(folder)
            raise

    def read_arrival(self, arrival: Arrival, *, session: str | None = None, tell: Tell | None = None) -> Delivery:
        """Reads folders that the browser has sent as a whole. What it did not send is skipped, with its reason. Raises
        SourceRefused when nothing can be read."""
        try:
            return self._read(
                arrival.tops,
                arrival.exclude,
                private=arrival.folder,
                session=session,
                left_out=arrival.left_out,
                tell=tell,
            )
        except BaseException:
            arrival.discard()
            raise

    def read_path(
        self, text: str, *, exclude: tuple[str, ...] = (), session: str | None = None, tell: Tell | None = None
    ) -> Delivery:
        """Reads a file or folder of this machine, if it lies in one of the roots after links are followed.

        Raises UsageError for one that does not, SourceRefused when nothing can be read.
        """
        return self._read([self._roots.find(text)], exclude, in_roots=True, session=session, tell=tell)

    def read_commits(self, wanted: str, *, session: str | None = None) -> Delivery:
        """Reads the commits of a range, see `commits`. Raises as read_commits does."""
        links = self._desk.session(session).links if session is not None else ()
        origins, known = [link.origin for link in links if link.origin], [link.path for link in links]
        corpus = read_commits(wanted, self._roots, origins=origins, known=known)
        return Delivery(((Origin(f"Commits {wanted}", (), can_replace=True), corpus),))

    def read_folder(self, path: Path, *, tell: Tell | None = None) -> Delivery:
        """Reads a folder of Longdesk's own: the example."""
        return self._read([path], (), tell=tell)

    def add(self, session_id: str, delivery: Delivery) -> tuple[Notice, ...]:
        """Adds what was read to a session. Returns what that changed of what was there."""
        if delivery.brought_back is not None:
            return self._add_back(session_id, delivery, delivery.brought_back)
        notices: list[Notice] = []
        for origin, corpus in delivery.parts:
            with self._lock:
                record = self._records.setdefault(session_id, _Record())
            prefix = "" if origin.can_replace else self._prefix(session_id, record, origin, corpus)
            origin, corpus = replace(origin, prefix=prefix), _prefixed(corpus, prefix)
            notices += self._desk.add_sources(session_id, corpus, in_folder=not origin.can_replace)
            with self._lock:
                _remember(record, origin, corpus)
        if not any(skipped.can_include for _, corpus in delivery.parts for skipped in corpus.skipped):
            self._delete_copies([origin for origin, _ in delivery.parts])
        return tuple(notices)

    def discard(self, delivery: Delivery) -> None:
        """What was read is not to be added after all."""
        if delivery.brought_back is None:  # else its copies still serve the session
            self._delete_copies([origin for origin, _ in delivery.parts])

    def can_bring_back(self, session_id: str, path: str) -> bool:
        """Whether the place that a skipped file was read from is still known and there."""
        found = self._origin_of(session_id, path)
        return found is not None and all(map(os.path.lexists, found[1].paths))

    def read_back(self, session_id: str, path: str, *, tell: Tell | None = None) -> Delivery:
        """Reads a skipped file or folder after all. Raises UsageError or SourceRefused where that fails."""
        found = self._origin_of(session_id, path)
        if found is None or not self.can_bring_back(session_id, path):
            raise UsageError(f"The place that {path} was read from is not there any more.", "Add it again.")
        inner = path.removeprefix(found[1].prefix)
        origin = replace(found[1], include=found[1].include | {inner})
        corpus = _prefixed(self._read_origin(origin, session_id, tell), origin.prefix)
        brought = _below(corpus, path)
        if not brought.sources:
            reason = next((skipped.reason for skipped in brought.skipped), "nothing in it can be read")
            raise SourceRefused(f"{path} cannot be brought back: {reason}.")
        return Delivery(((origin, brought),), brought_back=path)

    def _add_back(self, session_id: str, delivery: Delivery, path: str) -> tuple[Notice, ...]:
        ((origin, brought),) = delivery.parts
        found = self._origin_of(session_id, path)
        if found is None:
            raise UsageError(f"The place that {path} was read from is not there any more.", "Add it again.")
        notices = self._desk.add_sources(session_id, brought, brought_back=path)
        with self._lock:
            record, at = self._records[session_id], found[0]
            record.origins[at] = replace(origin, include=record.origins[at].include | origin.include)
            record.came_from.update(dict.fromkeys(_paths(brought), at))
        return notices

    def forget(self, session_id: str) -> None:
        """Deletes what was kept for a session."""
        with self._lock:
            record = self._records.pop(session_id, None)
        self._delete_copies(record.origins if record else ())

    def close(self) -> None:
        """Deletes all private copies."""
        for session_id in list(self._records):
            self.forget(session_id)

    def _delete_copies(self, origins: Sequence[Origin]) -> None:
        for origin in origins:
            if origin.private:
                discard(origin.private)

    def _pasted(self, session_id: str) -> frozenset[str]:
        """The paths of a session that pasted pictures have, and may not have again."""
        paths = (link.path for link in self._desk.session(session_id).links)
        return frozenset(path for path in paths if is_pasted(path))

    def _read(
        self,
        tops: Sequence[Path],
        exclude: tuple[str, ...],
        *,
        private: Path | None = None,
        in_roots: bool = False,
        session: str | None = None,
        may_be_empty: bool = False,
        left_out: Mapping[Path, tuple[Skipped, ...]] = MappingProxyType({}),
        tell: Tell | None = None,
    ) -> Delivery:
        """Single files are read together; each folder and each zip by itself, so that it can get a prefix.

        left_out: what is not there to be read of a top, or of one that is not there itself.
        """
        parts = []
        for group in [*_groups(tops), *((path,) for path in left_out if path not in tops)]:
            title = "\n".join(printable(path.name) for path in group)
            there = tuple(path for path in group if path in tops)
            can_replace = _is_single(group[0])
            origin = Origin(title, there, exclude, private=private, in_roots=in_roots, can_replace=can_replace)
            absent = [skipped for path in group for skipped in left_out.get(path, ())]
            parts.append((origin, _with_absent(self._read_origin(origin, session, tell), absent)))
        whole = Corpus(
            tuple(source for _, corpus in parts for source in corpus.sources),
            tuple(skipped for _, corpus in parts for skipped in corpus.skipped),
        )
        if not may_be_empty:
            refuse_empty(whole, [Path(path.name) for path in dict.fromkeys((*tops, *left_out))], on_page=True)
        return Delivery(tuple(parts))

    def _read_origin(self, origin: Origin, session: str | None, tell: Tell | None) -> Corpus:
        """What lies there, with the pages drawn that the session chose."""
        rules = Rules(exclude=origin.exclude, include=origin.include, draw_pages=self._pages_of(session))
        opened_by = self._roots.open if origin.in_roots else open_given
        return self._desk.read(origin.paths, rules, uploaded=origin.private is not None, tell=tell, open_path=opened_by)

    def _pages_of(self, session: str | None) -> str:
        begun = self._desk.session(session).session if session is not None else None
        return self._desk.settings_of(begun).draw_pages

    def _prefix(self, session_id: str, record: _Record, origin: Origin, corpus: Corpus) -> str:
        """What to put before the paths, so that they replace nothing that came from elsewhere."""
        there = {link.path: link for link in self._desk.session(session_id).links}

        def replaces(source: Source) -> bool:
            link, at = there.get(source.path), record.came_from.get(source.path)
            if link is None or None not in (link.origin, source.origin):
                return link is not None and is_another(link, source)
            return link.digest != source.digest and (at is None or record.origins[at].title != origin.title)

        return f"{origin.title.removesuffix('.zip')}/" if any(map(replaces, corpus.sources)) else ""

    def _origin_of(self, session_id: str, path: str) -> tuple[int, Origin] | None:
        with self._lock:
            record = self._records.get(session_id)
            at = record.came_from.get(path) if record else None
            return None if record is None or at is None else (at, record.origins[at])


def _is_single(path: Path) -> bool:
    return lies_there(str(path)) and path.suffix.lower() != ".zip"


def _groups(tops: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Files that follow each other together; every folder and zip by itself."""
    groups: list[tuple[Path, ...]] = []
    for path in tops:
        if groups and _is_single(path) and _is_single(groups[-1][0]):
            groups[-1] = (*groups[-1], path)
        else:
            groups.append((path,))
    return groups


def _remember(record: _Record, origin: Origin, corpus: Corpus) -> None:
    record.origins.append(origin)
    at = len(record.origins) - 1
    record.came_from.update(dict.fromkeys(_paths(corpus), at))


def _with_absent(corpus: Corpus, absent: Sequence[Skipped]) -> Corpus:
    """The corpus, and what of its folder is not there to be read. Where a part of a folder is there, what is said of
    the whole of it counts."""
    known = {skipped.path for skipped in absent}
    return replace(corpus, skipped=(*(one for one in corpus.skipped if one.path not in known), *absent))


def _paths(corpus: Corpus) -> list[str]:
    return [*(source.path for source in corpus.sources), *(skipped.path for skipped in corpus.skipped)]


def _prefixed(corpus: Corpus, prefix: str) -> Corpus:
    if not prefix:
        return corpus
    return replace(
        corpus,
        sources=tuple(replace(source, path=prefix + source.path) for source in corpus.sources),
        skipped=tuple(replace(skipped, path=prefix + skipped.path) for skipped in corpus.skipped),
    )


def _below(corpus: Corpus, path: str) -> Corpus:
    """The part of a corpus that is this file, or lies in this folder (which ends with a slash)."""

    def lies(other: str) -> bool:
        return other == path or (path.endswith("/") and other.startswith(path))

    return Corpus(
        tuple(source for source in corpus.sources if lies(source.path)),
        tuple(skipped for skipped in corpus.skipped if lies(skipped.path)),
    )
