"""The formats that there are, and a file's way through them: recognised, read, and drawn again with other pages.

A new format is a module beside this one and an entry in FORMATS. Where the bytes come from is left to `collect`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from engine.corpus.formats.format import Format, Incoming, Waiting, wait_only, whole_file
from engine.corpus.formats.image import IMAGE
from engine.corpus.formats.notebook import NOTEBOOK
from engine.corpus.formats.pdf import PDF
from engine.corpus.formats.sniff import HEAD_BYTES, Head, describe, ending, is_called_image, look
from engine.corpus.formats.text import TEXT
from engine.corpus.rules import NESTED_ZIP, Rules
from engine.corpus.source import Cause, KeptFile, Pixels, Skipped, Source
from engine.corpus.wording import over_limit, printable, ranges_in_words
from engine.errors import UsageError

FORMATS = (IMAGE, PDF, NOTEBOOK, TEXT)
"""The first that recognises a file reads it: those with a signature of their own before those that go by a name."""


def format_of(kind: str) -> Format | None:
    """The format of sources of this kind; None for one that a newer Longdesk read."""
    return next((each for each in FORMATS if each.kind == kind), None)


def has_text_pages(kind: str) -> bool:
    """Whether sources of this kind have pages of text, some of which may be drawn."""
    found = format_of(kind)
    return found is not None and found.has_text_pages


@dataclass(frozen=True, slots=True)
class Found:
    """The format that reads a file, and what it calls such files: "PNG", "PDF"."""

    format: Format
    name: str


def recognise(head: Head) -> Found | None:
    """What a file is; None where no format reads it."""
    for each in FORMATS:
        name = each.recognise(head)
        if name is not None:
            return Found(each, name)
    return None


def is_zip(head: bytes, name: str) -> bool:
    """By its first bytes, and its name; what is merely called .zip goes the way of any other file."""
    found = look(head, name)
    return found.is_zip and recognise(found) is None


def read_content(
    path: str,
    n_bytes: int,
    read: Callable[[int], bytes],
    rules: Rules,
    *,
    included: bool = False,
    keep: bool = False,
    waiting: Waiting = wait_only,
) -> Source | Skipped:
    """The file as a source, or why it is none. Reads no more than it must: the head alone of what will be skipped.

    n_bytes: the size as the file system or the archive states it. read: takes a number of bytes and gives the next
    ones. included, keep: see Incoming. waiting: see Waiting. Errors: those of `read` and of `waiting`.
    """
    if n_bytes == 0:
        anew = "; copy or save it anew" if is_called_image(path) else ""
        return Skipped(path, Cause.EMPTY, f"0 bytes{anew}", 0)
    if n_bytes > max(rules.max_text_bytes, rules.max_file_bytes):
        return _too_large_for_all(path, n_bytes, rules)
    head = look(read(min(n_bytes, HEAD_BYTES)), path)
    found = recognise(head)
    if found is None:
        words = NESTED_ZIP if head.is_zip else head.other
        return Skipped(path, Cause.BINARY, words, n_bytes, can_include=head.is_zip)
    return _read(found.format, Incoming(path, n_bytes, head, read, rules, included, keep, found.name), waiting)


def is_apart(path: str) -> bool:
    """Whether a process of its own reads a file of this path, as far as that tells."""
    end = ending(path)
    return any(each.is_apart and end in each.endings for each in FORMATS)


def expect(path: str) -> None:
    """A file of this path is to be read before long: the process that reads such files may start meanwhile."""
    if is_apart(path):
        from engine.corpus.formats import apart

        apart.POOL.expect()


def _read(format_: Format, file: Incoming, waiting: Waiting) -> Source | Skipped:
    if not format_.is_apart:
        return _shown(format_.read(file))
    from engine.corpus.formats import apart  # most folders hold nothing but text

    return _shown(apart.read(format_.kind, file, waiting))


def _shown(read: Source | Skipped) -> Source | Skipped:
    """With what is said of it in characters that can be shown: a file may name its parts as it likes."""
    if isinstance(read, Skipped):
        return replace(read, reason=printable(read.reason))
    return replace(read, notes=tuple(map(printable, read.notes))) if read.notes else read


def _too_large_for_all(path: str, n_bytes: int, rules: Rules) -> Skipped:
    """Without opening it: the name is all there is to go by."""
    words, end = describe(path), ending(path)
    if words:
        return Skipped(path, Cause.BINARY, words, n_bytes)
    if end == "zip" or any(end in each.endings for each in FORMATS):
        reason = over_limit(n_bytes, rules.max_file_bytes, "a file of this kind")
    else:
        reason = over_limit(n_bytes, rules.max_text_bytes, "text")
    return Skipped(path, Cause.TOO_LARGE, reason, n_bytes)


def draw(
    name: str,
    file: KeptFile,
    *,
    number: int,
    width: int,
    height: int,
    quick: bool = False,
    waiting: Waiting = wait_only,
) -> Pixels | Skipped:
    """The page or frame of this number, from 1, at width x height pixels; Skipped where it cannot be drawn.

    name: for messages. quick: for eyes, not for an encoder, see read_pixels. waiting: see Waiting; raises what it does.
    """
    for each in FORMATS:
        if each.draw is not None and file.format in each.drawn_from:
            if each.is_apart:
                from engine.corpus.formats import apart

                return apart.draw(name, file, number=number, width=width, height=height, quick=quick, waiting=waiting)
            return each.draw(name, file, number=number, width=width, height=height, quick=quick)
    return Skipped(name, Cause.BROKEN, f"a file in {file.format}, which cannot be drawn", len(file.data))


def redraw(source: Source, rules: Rules, *, data: bytes | None = None) -> Source | Skipped:
    """The source with the pages that Rules.draw_pages names; Skipped where nothing is left of it.

    It keeps its path and its file, also when no page is drawn now: they can be drawn again. data: its file, of one that
    has kept none. One that has no pages, or no file at all, stays as it is.
    """
    kept, format_ = source.kept_file, format_of(source.kind)
    if format_ is None or not source.n_pages or (kept is None and data is None):
        return source
    file = whole_file(source.path, kept.data if kept else data or b"", rules)
    name = kept.format if kept else format_.recognise(file.head)
    if name is None:  # another file lies there now
        return source
    read = _read(format_, replace(file, file_format=name), wait_only)
    if isinstance(read, Skipped):
        return read
    return replace(
        read,
        kept_file=read.kept_file or source.kept_file,
        origin=source.origin,
        volatility=source.volatility,
        folder=source.folder,
    )


def refuse_absent(sources: Iterable[Source], skipped: Iterable[Skipped], rules: Rules) -> None:
    """Nothing where a file has a page that is named, or there are no files with pages and need not be. Errors:
    UsageError."""
    sources = list(sources)
    reasons = {one.path: one.reason for one in skipped if one.cause is Cause.NO_PAGE}
    for source in sources:
        if source.n_pages is not None:
            if rules.names_any(source.n_pages):
                return
            reasons[source.path] = rules.none_of_its(source.n_pages)
    if not reasons and sources and rules.needs_pages and rules.listed_pages:
        fact = f"--draw-pages {rules.draw_pages} names pages, and none of the files has any."
        raise UsageError(fact, "Leave --draw-pages out, or give a PDF or a TIFF.")
    if len(reasons) == 1:
        ((path, reason),) = reasons.items()
        raise UsageError(f"{path}: {reason}.")
    if reasons:
        fact = f"--draw-pages {rules.draw_pages} names no page of any of the {len(reasons):,} files with pages."
        raise UsageError(fact, "Choose pages that one of them has; `longdesk count` without it says how many.")


def with_absent_noted(sources: Sequence[Source], rules: Rules) -> list[Source]:
    """The sources; the longest of those with pages has a note on what is named beyond its end."""
    longest = max(sources, key=lambda source: source.n_pages or 0, default=None)
    n_pages = longest.n_pages if longest else None
    beyond = sorted({pages[0] for pages in rules.listed_pages if n_pages and pages[0] > n_pages})
    if not beyond:
        return list(sources)
    are = "page {} is" if len(beyond) == 1 else "pages {} are"
    note = f"{are.format(ranges_in_words(beyond)).capitalize()} not there: the last is page {n_pages}."
    return [source.changed(notes=(*source.notes, note)) if source is longest else source for source in sources]
