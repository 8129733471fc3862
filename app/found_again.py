"""What an answer quotes, found again in the sources that were sent: quotes that nobody held while they were written.

Setting up takes seconds for tens of megabytes, so the last corpus stays ready for the next answer.
"""

from collections.abc import Mapping, Sequence
from threading import Event as Flag
from threading import Lock, Thread

from engine.answer.cells import cite_cells
from engine.answer.citations import Citation
from engine.answer.finding import Finder, finder
from engine.answer.images import cite_images, images_of_rows
from engine.answer.places import Box, Places
from engine.answer.quotations import cite_quotations, quotations
from engine.corpus.source import KeptFile, Source
from engine.corpus.walk.held import read_as_it_lay
from engine.errors import LongdeskError

_POLL_S = 0.05
_MOST_KEPT = 64 << 20  # bytes of text: twice as much in memory


def found_again(
    text: str, sources: Sequence[Source], *, question: str = "", shown: Mapping[str, int] | None = None
) -> tuple[Citation, ...]:
    """The citations of an answer's own quotes, and of the images that it names, by the statements that they stand for.

    sources: those that were sent, of any kind. question: what is quoted of it is no quote of the sources. shown: of a
    model that sees, what the first picture of each source is called, by path.
    """
    worded = tuple(source for source in sources if source.n_characters)
    found = list[Citation]()
    if worded and quotations(text):
        places, prepared = _READY.of(worded)
        found += cite_quotations(text, places, prepared, question=question)
    if shown is not None:
        pictured = [source for source in sources if source.pictures]
        found += cite_images(text, pictured, shown)
    return tuple(sorted(found, key=lambda citation: citation.statement))


def found_cells(
    rows: Sequence[Sequence[str]], sources: Sequence[Source], shown: Mapping[str, int]
) -> list[list[Citation | None]]:
    """For each cell of a table where it stands in the sources, else the image that its row is of, else in how many
    places its words stand, see cite_cells; None for nothing of it, and for an empty one. shown: see found_again."""
    worded = tuple(source for source in sources if source.n_characters)
    found: list[list[Citation | None]] = [[None] * len(row) for row in rows]
    if worded:
        _, prepared = _READY.of(worded)
        found = cite_cells(
            rows, Places(worded), prepared, placeless=True
        )  # without boxes: each would have a page drawn
    images = images_of_rows(rows, [source for source in sources if source.pictures], shown)
    return [
        [each if each is not None and each.path is not None else image or each for each in cells]
        for cells, image in zip(found, images, strict=True)
    ]


def found_until(
    stop: Flag, text: str, sources: Sequence[Source], *, question: str, shown: Mapping[str, int] | None
) -> tuple[Citation, ...] | None:
    """The same; None where it was stopped before. What was set up by then serves the next answer. Raises as it does."""
    found: list[tuple[Citation, ...]] = []
    failed: list[Exception] = []

    def find() -> None:
        try:
            found.append(found_again(text, sources, question=question, shown=shown))
        except Exception as error:  # whoever waits raises it
            failed.append(error)

    thread = Thread(target=find, daemon=True)
    thread.start()
    while thread.is_alive() and not stop.is_set():
        thread.join(_POLL_S)
    if failed:
        raise failed[0]
    return found[0] if found else None


def file_of(source: Source) -> KeptFile | None:
    """The file that a source was read from: the one that is kept, or the one that lies there still."""
    if source.kept_file is not None:
        return source.kept_file
    if source.kind != "pdf" or not source.origin:
        return None
    data = read_as_it_lay(source.origin, source.n_bytes)
    if data is None or len(data) != source.n_bytes:  # gone, inside a zip, or another one
        return None
    return KeptFile("PDF", data, scalable=True)


def box_of(source: Source, *, page: int, words: str, before: str) -> Box | None:
    """Where words stand on a page of a source, see Places; None where its file is not there."""
    from engine.corpus.formats.apart import find_words  # which few processes need

    try:
        file = file_of(source)
        return find_words(file, number=page, words=words, before=before) if file is not None else None
    except LongdeskError:  # its bytes are to be read when they are asked for, and are others now
        return None


class _Ready:
    """The sources of the last answer, ready to find quotes in."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: tuple[str, ...] = ()
        self._kept: tuple[Places, Finder] | None = None

    def of(self, sources: Sequence[Source]) -> tuple[Places, Finder]:
        key = tuple(part for source in sources for part in (source.path, source.digest, source.encoding or ""))
        with self._lock:
            if self._kept is not None and key == self._key:
                return self._kept
            self._kept = None  # before there are two
            places = Places(sources, box_of=box_of)
            made = places, finder(places.documents)
            if sum(map(len, places.documents)) <= _MOST_KEPT:
                self._key, self._kept = key, made
            return made


_READY = _Ready()
