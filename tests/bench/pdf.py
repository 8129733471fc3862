"""PDFs by the programs on this machine: words right against the known text, by each reader and by the choice; and time.

Which programs there were, and each one's shares, go to standard error. A word is right where the text has it as often
as the PDF was given it; words that the end of a line parts are joined first. Order is not looked at: columns have
several.
"""

import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import process_time

import pypdfium2
from pypdf import PdfReader

from engine.corpus.formats.format import quietly, whole_file
from engine.corpus.formats.pdf import read_pdf
from engine.corpus.rules import Rules
from engine.corpus.source import Source
from tests.bench.pdf_makers import MAKERS, paragraphs
from tests.bench.table import Row

_N_WORDS = 2_500  # a file: four to seven pages
_SLOWER = 2.0  # than pypdf alone
_MARK = re.compile(r"(?m)\s*^\[page \d+\]$")
_PARTED = re.compile(r"(?<=\w)[-\u00ad\u2010\ufffe]\n(?=\w)")


@dataclass(frozen=True, slots=True)
class _File:
    maker: str
    language: str
    truth: str
    data: bytes
    n_pages: int


@dataclass(frozen=True, slots=True)
class _Read:
    """Shares of words right, 0 to 1, and processor seconds."""

    pypdf: float
    pdfium: float
    choice: float
    pypdf_s: float
    choice_s: float

    @property
    def better(self) -> float:
        return max(self.pypdf, self.pdfium)


def rows() -> Iterator[Row]:
    """Words wrong, files on which the choice is the worse one, and seconds a page."""
    files = list(_files())
    read = {file: _measure(file) for file in files}
    for maker in dict.fromkeys(file.maker for file in files):
        _show(maker, [read[file] for file in files if file.maker == maker])
    n_pages, n_makers = sum(file.n_pages for file in files), len({file.maker for file in files})
    wrong = 100 - 100 * sum(each.choice for each in read.values()) / len(files)
    better = 100 - 100 * sum(each.better for each in read.values()) / len(files)
    yield Row(f"words wrong in {n_pages:,} PDF pages by {n_makers} programs", wrong, better, "%", 1.0)
    n_worse = sum(each.choice < each.better - 1e-9 for each in read.values())
    yield Row(f"files of {len(files)} read worse than by one reader", n_worse, 0.01 * len(files), "", 1.0)
    ours, theirs = (sum(getattr(each, name) for each in read.values()) / n_pages for name in ("choice_s", "pypdf_s"))
    yield Row("a PDF page read, against pypdf alone", ours, theirs, "s", _SLOWER)


def _files() -> Iterator[_File]:
    for maker in MAKERS:
        for language in maker.languages:
            texts = paragraphs(language, n_words=_N_WORDS)
            try:
                data = maker.make(texts)
            except Exception as error:  # not installed, or it cannot
                print(f"{maker.name} is left out: {str(error)[:100]}", file=sys.stderr)
                break
            yield _File(maker.name, language, "\n".join(texts), data, len(pypdfium2.PdfDocument(data)))


def _measure(file: _File) -> _Read:
    pypdf, pypdf_s = _timed(lambda: _by_pypdf(file.data))
    pdfium, _ = _timed(lambda: _by_pdfium(file.data))
    choice, choice_s = _timed(lambda: _by_choice(file.data))
    return _Read(*(_share(file.truth, text) for text in (pypdf, pdfium, choice)), pypdf_s, choice_s)


def _timed(read: Callable[[], str]) -> tuple[str, float]:
    begun = process_time()
    return read(), process_time() - begun


def _by_pypdf(data: bytes) -> str:
    with quietly():
        return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def _by_pdfium(data: bytes) -> str:
    document = pypdfium2.PdfDocument(data)
    return "\n".join(page.get_textpage().get_text_range() for page in document).replace("\r", "")


def _by_choice(data: bytes) -> str:
    source = read_pdf(whole_file("bench.pdf", data, Rules(draw_pages="never")))
    return _MARK.sub("", source.text) if isinstance(source, Source) else ""


def _share(truth: str, text: str) -> float:
    wanted, found = Counter(_words(truth)), Counter(_words(text))
    return (wanted & found).total() / max(wanted.total(), found.total(), 1)


def _words(text: str) -> list[str]:
    return _PARTED.sub("", text).replace("\ufffe", "").replace("\x02", "").split()


def _show(maker: str, read: list[_Read]) -> None:
    shares = [sum(getattr(each, name) for each in read) / len(read) for name in ("pypdf", "pdfium", "choice")]
    words = ", ".join(f"{name} {share:.2%}" for name, share in zip(("pypdf", "PDFium", "choice"), shares, strict=True))
    print(f"{maker:<24} words right: {words}", file=sys.stderr)
