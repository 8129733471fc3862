"""Files that are read and drawn by a process of their own, see `readers.pool`: what is asked of it, and what is said
where it fails.

A page that takes too long, or ends its reader, is passed over: the file is read again without it. What readers do is
left to `reading_child` and the formats' own modules.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from engine.corpus.formats.format import Incoming, Waiting, wait_only
from engine.corpus.readers import limits
from engine.corpus.readers.pool import How, Pool, ReaderFailed, Step
from engine.corpus.readers.wire import Frame, Nonsense, content_of, lent, number_in, unpacked
from engine.corpus.source import DAMAGED, Cause, KeptFile, Pixels, Skipped, Source
from engine.corpus.wording import size_in_words, with_notes

Box = tuple[float, float, float, float]  # left, top, right, bottom: shares of width and height from the upper left
_T = TypeVar("_T")
POOL = Pool("engine.corpus.formats.reading_child")
_MOST_SIDE = 1 << 20
_SMALL_BYTES = 8 << 20  # of a file that is kept here until it was read, since most images are
_PASSABLE = frozenset({"read", "look", "frame", "inside", "cell"})
_DOINGS = {"look": "draw", "draw": "draw", "frame": "decode", "find": "search"}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture in a file format of its own, "JPEG" or "PNG", and its size in pixels."""

    width: int
    height: int
    data: bytes


def read(kind: str, file: Incoming, waiting: Waiting) -> Source | Skipped:
    """The file by the format whose sources are of this kind. Errors: those of Incoming.rest, and what `waiting` raises.

    Gives Skipped (UNREADABLE) where a reader gives nothing for it.
    """
    rules = file.rules
    fields = {
        "do": "read",
        "kind": kind,
        "path": file.path,
        "n_bytes": file.n_bytes,
        "included": file.included,
        "keep": file.keep,
        "file_format": file.file_format,
        "rules": {
            "max_text_bytes": rules.max_text_bytes,
            "max_file_bytes": rules.max_file_bytes,
            "max_image_pixels": rules.max_image_pixels,
            "draw_pages": rules.draw_pages,
        },
    }
    too_much: dict[Step, How] = {}

    def wait(at: str) -> None:
        waiting(f"{file.path}, {at}" if at else file.path)

    is_small = file.n_bytes <= _SMALL_BYTES
    data = file.data() if is_small else file.head.data
    with lent(data, file.rest, len(data) if is_small else file.n_bytes) as descriptor:
        while True:
            try:
                frame = POOL.ask({**fields, "passed": list(too_much)}, descriptor, wait)
                found = unpacked(frame, file.path, file.n_bytes, lambda: data if is_small else content_of(descriptor))
            except Nonsense:
                return file.skipped(Cause.UNREADABLE, _words(How.CRASH, ("", 0)))
            except ReaderFailed as error:
                if error.step[0] not in _PASSABLE or error.step in too_much or len(too_much) + 1 >= limits.MOST_TRIES:
                    return file.skipped(Cause.UNREADABLE, _reason(error, too_much))
                too_much[error.step] = error.how
                continue
            return _with_passed(found, too_much)


def _with_passed(found: Source | Skipped, too_much: Mapping[Step, How]) -> Source | Skipped:
    """With what is said of pages that were passed over."""
    if not too_much:
        return found
    said = [_words(how, step) for step, how in too_much.items()]
    notes = [f"{words[0].upper()}{words[1:]}" for words in said]
    if isinstance(found, Skipped):  # what is only called damaged since nothing is left of it, is not
        reason = ", ".join(said) if found.cause is Cause.BROKEN else with_notes(found.reason, notes)
        return replace(found, cause=Cause.UNREADABLE, reason=reason)
    nature = ", ".join(said) if found.nature == DAMAGED else found.nature
    notes = [f"{note}: left out." for note in notes]
    return found.changed(notes=(*found.notes, *notes), nature=nature, is_partial=True)


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
    """See `reader.draw`. Raises what `waiting` raises."""
    asked = {"do": "draw", "number": number, "width": width, "height": height, "quick": quick, "into": None}
    return _asked(name, file, asked, lambda frame: _pixels(frame, width, height), waiting)


def draw_into(
    kind: str,
    name: str,
    file: KeptFile,
    *,
    number: int,
    width: int,
    height: int,
    quick: bool = False,
    waiting: Waiting = wait_only,
) -> Drawn | Skipped:
    """The same as a file, "JPEG" or "PNG"."""
    asked = {"do": "draw", "number": number, "width": width, "height": height, "quick": quick, "into": kind}
    return _asked(name, file, asked, _drawn, waiting)


def encoded(kind: str, pixels: Pixels, waiting: Waiting = wait_only) -> Drawn | Skipped:
    """Pixels that were drawn as a file, "JPEG" or "PNG": the library that writes it is one that reads too."""
    asked = {"do": "encode", "width": pixels.width, "height": pixels.height, "into": kind}
    return _asked("", KeptFile("pixels", pixels.data), asked, _drawn, waiting)


def draw_page(name: str, pdf: bytes, number: int, longest: int) -> Drawn | Skipped:
    """A page of a PDF (from 1) as a JPEG, its longer side so many pixels."""
    asked = {"do": "page", "number": number, "longest": longest, "quick": True}
    return _asked(name, KeptFile("PDF", pdf, scalable=True), asked, _drawn, wait_only)


def find_words(file: KeptFile, *, number: int, words: str, before: str = "") -> Box | None:
    """See `pdfium.find_words`; None too where that takes too long."""
    if file.format != "PDF":
        return None
    asked = {"do": "find", "number": number, "words": words, "before": before, "quick": True}
    found = _asked("", file, asked, lambda frame: frame.fields["box"], wait_only)
    if not isinstance(found, list) or len(found) != 4 or not all(isinstance(side, float | int) for side in found):
        return None
    left, top, right, bottom = (min(1.0, max(0.0, float(side))) for side in found)
    return left, top, right, bottom


def is_plain(file: KeptFile, width: int, height: int) -> bool:
    """Whether an image file shows what is meant as it is: one frame, upright, without transparency, in that size."""
    asked = {"do": "plain", "width": width, "height": height}
    return _asked("", file, asked, lambda frame: frame.fields["plain"], wait_only) is True


def _asked(
    name: str, file: KeptFile, asked: Mapping[str, Any], answer: Callable[[Frame], _T], waiting: Waiting
) -> _T | Skipped:
    """What `answer` makes of a reader's answer; Skipped where that is none."""
    data = file.data
    fields = {"path": name, "format": file.format, "scalable": file.scalable, **asked}
    try:
        with lent(data, lambda n_bytes: b"", len(data)) as descriptor:
            frame = POOL.ask(fields, descriptor, waiting)
        if "skipped" in frame.fields:
            found = unpacked(frame, name, len(data), lambda: b"")
            if isinstance(found, Skipped):
                return found
        return answer(frame)
    except OSError as error:
        reason = f"there is no room to hand it to its reader ({error.strerror or error})"
    except ReaderFailed as error:
        reason = _words(error.how, error.step, error.words)
    except (KeyError, TypeError, ValueError):  # Nonsense is one
        reason = _words(How.CRASH, ("draw", 0))
    return Skipped(name, Cause.UNREADABLE, reason, len(data))


def _pixels(frame: Frame, width: int, height: int) -> Pixels:
    """Raises Nonsense for another number of them than was asked for."""
    if len(frame.payload) != 3 * width * height:
        raise Nonsense("another number of pixels")
    return Pixels(width, height, bytes(frame.payload))


def _drawn(frame: Frame) -> Drawn:
    width, height = frame.fields["size"]
    return Drawn(number_in(width, 1, _MOST_SIDE), number_in(height, 1, _MOST_SIDE), bytes(frame.payload))


def _reason(error: ReaderFailed, before: Mapping[Step, How]) -> str:
    said = [_words(how, step) for step, how in before.items()]
    return ", ".join(dict.fromkeys([*said, _words(error.how, error.step, error.words)]))


def _words(how: How, step: Step, words: str = "") -> str:
    """ "page 3 takes too long to draw"."""
    name, number = step
    what = (
        "what lies inside it"
        if name == "inside"
        else f"{'cell' if name == 'cell' else 'page'} {number}"
        if number
        else "it"
    )
    doing = _DOINGS.get(name, "read")
    if how is How.TIME:
        return f"{what} takes too long to {doing}"
    if how is How.MEMORY:
        return f"{what} takes more memory to {doing} than the limit of {size_in_words(limits.MEMORY_BYTES)}"
    if how is How.CRASH:
        return f"{what} ends the process that is to {doing} it"
    return f"the process that reads it cannot be started ({words})"
