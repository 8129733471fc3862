"""Sources on their way into a session: the path they go by in it, their place, and what is not there any more.

A session keeps every source where it first stood, so that what was decoded before it holds; a new one begins as an
earlier one does. How it is kept is left to storage.sources, ordering by how often something changes to
engine.corpus.order.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.backend import Cause, Corpus, Skipped, Source
from engine.corpus.order.ordering import order_for_reuse
from engine.corpus.walk.disk_tree import is_gone
from engine.corpus.walk.disk_tree import lies_there as lies_there
from engine.corpus.wording import Names, listed, printable
from storage.records import SourceLink
from storage.sources import Arrived, Sources

# what says that a file can still be read, if somebody wants it
_STILL_READABLE = {Cause.IGNORED, Cause.EXCLUDED, Cause.GENERATED}


@dataclass(frozen=True, slots=True)
class Joining:
    """What a reading changes in a session.

    sources: all that was read, under the paths of the session; new ones last, in the order of their places.
    changed: paths whose content was another before. beside: new ones whose own path another file has.
    gone: sources that are left out now, and why. back: paths that had been left out because the file was gone.
    named: paths that had been left out and were named by themselves now. still_out: those that were merely found again.
    """

    sources: tuple[Source, ...] = ()
    changed: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    gone: tuple[Skipped, ...] = ()
    back: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    still_out: tuple[str, ...] = ()

    @property
    def returning(self) -> tuple[str, ...]:
        """Paths of the session that were not sent, and are from now on."""
        return *self.back, *self.named

    def sentences(self) -> Iterator[str]:
        """What the user should know of it."""
        deleted = [skipped.path for skipped in self.gone if skipped.cause is Cause.GONE]
        if deleted:
            yield f"{listed(deleted)} {_was(deleted)} deleted: left out from here on."
        for skipped in self.gone:
            if skipped.cause is not Cause.GONE:
                yield f"{skipped.path} is left out from here on: {skipped.reason}."
        if self.back:
            yield f"{listed(self.back)} {_was(self.back)} deleted and is there again: sent from here on."
        if self.named:
            yield f"{listed(self.named)} {_was(self.named)} left out and named again: sent from here on."
        if self.still_out:
            stay, it = ("stays", "it") if len(self.still_out) == 1 else ("stay", "them")
            yield (
                f"{listed(self.still_out)} {stay} left out of this session. To send {it} again, name {it} without the "
                f"folder, or check {it} on the page."
            )
        if self.beside:
            yield f"Sent beside other files of the same path: {listed(self.beside)}."
        if self.changed:
            yield f"Replaced by what was given now, and read again from there on: {listed(self.changed)}."


def join(
    links: Sequence[SourceLink], read: Corpus, *, missing: frozenset[str] = frozenset(), in_folder: bool = False
) -> Joining:
    """What a reading means for a session that has these sources.

    missing: paths of the session that are left out since an earlier reading found their files gone. in_folder: of an
    upload that was a folder or a zip, so that none of its files was named by itself.
    """
    named = _named(links, read)
    link_of = {link.path: link for link in links}
    known = {source.path: source for source in named if source.path in link_of}.values()
    new = [source for source in named if source.path not in link_of]
    unsent = dict.fromkeys(source.path for source in known if not link_of[source.path].enabled)
    by_hand = frozenset() if in_folder else _by_hand(named, read)
    still_out = tuple(path for path in unsent if path not in by_hand | missing)
    return Joining(
        sources=(*known, *order_for_reuse(new)),
        changed=tuple(
            source.path
            for source in known
            if link_of[source.path].digest != source.digest and source.path not in still_out
        ),
        beside=tuple(
            named_so.path
            for named_so, source in zip(named, read.sources, strict=True)
            if named_so.path != source.path and named_so.path not in link_of
        ),
        gone=tuple(_gone(links, read)),
        back=tuple(path for path in unsent if path in missing),
        named=tuple(path for path in unsent if path in by_hand - missing),
        still_out=still_out,
    )


def join_session(stored: Sources, session_id: str | None, read: Corpus, *, in_folder: bool = False) -> Joining:
    """What a reading means for a session as it is stored, or for one that is begun with it. in_folder: see join.

    A session that begins as an earlier one does goes on as that one, as far as nothing changed since.
    """
    links: tuple[SourceLink, ...] = ()
    if session_id is None:
        joining = join(links, read)
    else:
        missing = {skipped.path for skipped in stored.skipped(session_id) if skipped.cause is Cause.GONE}
        links = stored.links(session_id)
        joining = join(links, read, missing=frozenset(missing), in_folder=in_folder)
    known = {link.path for link in links}
    new = [source for source in joining.sources if source.path not in known]
    before = [source for source in joining.sources if source.path in known]
    sent = [link for link in links if link.enabled]
    return replace(joining, sources=(*before, *arrange(stored, new, behind=sent))) if new else joining


def arrange(stored: Sources, sources: Sequence[Source], *, behind: Sequence[SourceLink] = ()) -> tuple[Source, ...]:
    """Sources in the order in which they join a session that sends these: see order_for_reuse."""
    digests = {link.path: link.digest for link in behind} | {source.path: source.digest for source in sources}
    n_sent, sent = len(behind), tuple(link.path for link in behind)
    beginnings = stored.beginnings(digests)
    return order_for_reuse(sources, earlier=[paths[n_sent:] for paths in beginnings if paths[:n_sent] == sent])


def arrived(
    joining: Joining, skipped: Sequence[Skipped], *, turn_index: int, brought_back: str | None = None
) -> Arrived:
    """What joins, as it is written down. New sources are carried first by that turn."""
    return Arrived(
        turn_index=turn_index,
        sources=joining.sources,
        skipped=(*skipped, *joining.gone),
        left_out=[one.path for one in joining.gone],
        sent_again=joining.returning,
        brought_back=brought_back,
    )


def _named(links: Sequence[SourceLink], read: Corpus) -> list[Source]:
    """Every source under its path in the session. The same file keeps its path, whichever folder it was given by;
    another file of a path that is taken gets its folder's name in front, as if both had been given at once."""
    path_of = {link.origin: link.path for link in links if link.origin is not None}
    link_of = {link.path: link for link in links}
    names = Names(set(link_of))
    named = []
    for source in read.sources:
        link = link_of.get(source.path)
        if source.origin is not None and source.origin in path_of:
            path = path_of[source.origin]
        elif link is not None and not is_another(link, source):
            path = source.path
        else:
            path = names.claim(source.path, _root_name(source, read.roots))
        named.append(source if path == source.path else replace(source, path=path))
    return named


def _by_hand(named: Sequence[Source], read: Corpus) -> frozenset[str]:
    """Paths that were given by themselves; of an upload all."""
    return frozenset(source.path for source in named if source.origin is None or source.origin in read.given)


def is_another(link: SourceLink, source: Source) -> bool:
    """Whether they are two files, as far as one can know: one whose file is gone may have been moved."""
    return None not in (link.origin, source.origin) and link.origin != source.origin and not is_gone(link.origin or "")


def _root_name(source: Source, roots: Sequence[str]) -> str:
    """The name of the folder or zip that a source was given by, or of the folder that a single file lies in."""
    origin = source.origin or ""
    root = max((root for root in roots if _lies_in(origin, root)), key=len, default=os.path.dirname(origin))
    return printable(os.path.basename(root) or "root")


def _lies_in(origin: str, root: str) -> bool:
    return origin.startswith(root.rstrip(os.sep) + os.sep)


def _gone(links: Sequence[SourceLink], read: Corpus) -> Iterator[Skipped]:
    """Sources from folders and zips that were read again now, which are no sources any more."""
    here = {source.origin for source in read.sources}
    skipped = {one.path: one for one in read.skipped}
    for link in links:
        root = next((root for root in read.roots if _lies_in(link.origin or "", root)), None)
        if link.origin is None or root is None or not link.enabled or link.origin in here:
            continue
        below = printable(link.origin[len(root) :].lstrip(os.sep))
        why = skipped.get(below) or skipped.get(link.path)
        if why is not None:
            if why.cause not in _STILL_READABLE:
                yield replace(why, path=link.path)
        elif is_gone(link.origin) or (lies_there(root) and not _in_skipped_folder(below, read)):
            yield Skipped(link.path, Cause.GONE, "deleted since it was read", link.n_bytes)


def _in_skipped_folder(path: str, read: Corpus) -> bool:
    return any(one.path.endswith("/") and path.startswith(one.path) for one in read.skipped)


def _was(paths: Sequence[str]) -> str:
    return "was" if len(paths) == 1 else "were"
