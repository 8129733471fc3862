"""How fast PDF pages become images: text and scans of A4, at three of Llama 4's tiles on the long side."""

import io
from collections.abc import Iterator
from time import process_time

import numpy as np
from PIL import Image as Pillow
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from engine.corpus.formats.pdfium import Pages, open_pages
from engine.corpus.source import Pixels
from tests.bench.table import Row

_N_PAGES = 20
_LIMIT_S = 0.1  # ten pages a second
_A4 = (595, 842)
_SCAN = {"at 150 dots an inch": (1240, 1754), "at 300 dots an inch": (2480, 3508)}


def rows() -> Iterator[Row]:
    """Processor seconds a page, drawn and copied out on one core, against a tenth of one."""
    yield Row("a page of text drawn at 713 x 1008", _each(_text()), _LIMIT_S, "s", 1.0)
    for name, size in _SCAN.items():
        yield Row(f"a scan {name} drawn at 713 x 1008", _each(_scans(size)), _LIMIT_S, "s", 1.0)


def _each(data: bytes) -> float:
    def draw() -> None:
        pages = open_pages("bench.pdf", data)
        assert isinstance(pages, Pages)
        with pages:
            for number, size in enumerate(pages.sizes, 1):
                assert size is not None
                assert isinstance(pages.draw(number, *size.pixels()), Pixels)

    begun = process_time()
    draw()
    return (process_time() - begun) / _N_PAGES


def _text() -> bytes:
    out = io.BytesIO()
    drawing = canvas.Canvas(out, pagesize=_A4)
    for page in range(_N_PAGES):
        for line in range(60):
            drawing.drawString(
                50, 800 - 12 * line, f"{page}.{line} The quick brown fox jumps over the lazy dog, again."
            )
        drawing.showPage()
    drawing.save()
    return out.getvalue()


def _scans(size: tuple[int, int]) -> bytes:
    """Gray pages with lines of dark specks for text, and a scanner's noise over all."""
    random = np.random.default_rng(0)
    width, height = size
    paper = random.normal(235, 4, (height, width))
    lines = (np.arange(height) * 70 // height) % 2 == 1
    paper[lines] -= 190 * (random.random((lines.sum(), width)) < 0.2)
    photo = io.BytesIO()
    Pillow.fromarray(paper.clip(0, 255).astype(np.uint8)).save(photo, "JPEG", quality=80)
    out = io.BytesIO()
    drawing = canvas.Canvas(out, pagesize=_A4)
    for _ in range(_N_PAGES):
        drawing.drawImage(ImageReader(io.BytesIO(photo.getvalue())), 0, 0, *_A4)
        drawing.showPage()
    drawing.save()
    return out.getvalue()
