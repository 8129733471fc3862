"""formats.pdfium: PDF pages drawn at a size that is known before, whatever is wrong with the PDF."""

import io
import random
from collections.abc import Iterator
from itertools import count
from threading import Thread

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from pypdf import PdfReader, PdfWriter
from pypdf.generic import FloatObject, NameObject, RectangleObject
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from engine.corpus.formats import pdfium
from engine.corpus.formats.pdfium import LONG_SIDE, Pages, PageSize, open_pages
from engine.corpus.source import Cause, Pixels, Skipped

A4 = (595.276, 841.89)


def make_pdf(*sizes: tuple[float, float], form: bool = False) -> bytes:
    """A page of each size: its left upper quarter is black, or a filled-in field, or there is nothing else on it."""
    out = io.BytesIO()
    drawing = canvas.Canvas(out, invariant=True)
    for width, height in sizes:
        drawing.setPageSize((width, height))
        if form:
            drawing.acroForm.textfield("MMMMMMMM", x=10, y=height / 2, width=width / 2, height=height / 4)
        else:
            drawing.rect(0, height / 2, width / 2, height / 2, stroke=0, fill=1)
        drawing.showPage()
    drawing.save()
    return out.getvalue()


def rewritten(data: bytes, change: object) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    change(writer)  # type: ignore[operator]
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def scan(n_pages: int = 1) -> bytes:
    """Pages that are one gray photo each."""
    gray = Pillow.radial_gradient("L").resize((620, 877))
    out = io.BytesIO()
    drawing = canvas.Canvas(out, invariant=True, pagesize=A4)
    for _ in range(n_pages):
        drawing.drawImage(ImageReader(gray), 0, 0, *A4)
        drawing.showPage()
    drawing.save()
    return out.getvalue()


@pytest.fixture
def a4() -> Iterator[Pages]:
    pages = open_pages("a.pdf", make_pdf(A4, A4, A4))
    assert isinstance(pages, Pages)
    with pages:
        yield pages


def rows(pixels: Pixels | Skipped) -> npt.NDArray[np.uint8]:
    assert isinstance(pixels, Pixels), pixels
    return np.frombuffer(pixels.data, dtype=np.uint8).reshape(pixels.height, pixels.width, 3)


def dark_quarters(drawn: npt.NDArray[np.uint8]) -> list[bool]:
    """Whether each quarter is dark: left and right above, left and right below."""
    height, width = drawn.shape[0] // 2, drawn.shape[1] // 2
    corners = ((0, 0), (0, width), (height, 0), (height, width))
    return [bool(drawn[y : y + height, x : x + width].mean() < 128) for y, x in corners]


def test_sizes_are_known_before_anything_is_drawn(a4: Pages) -> None:
    assert len(a4.sizes) == 3
    size = a4.sizes[0]
    assert size is not None and (size.width, size.height) == pytest.approx(A4)
    assert size.pixels() == (713, 1008) and LONG_SIDE == 1008
    assert PageSize(842, 595).pixels(336) == (336, 237)
    assert PageSize(14_400, 1).pixels() == (1008, 1)


@pytest.mark.parametrize(("width", "height"), [(713, 1008), (672, 950), (336, 336), (1, 1), (1001, 7), (2000, 2829)])
def test_a_page_is_drawn_at_exactly_the_size_asked_for(a4: Pages, width: int, height: int) -> None:
    drawn = rows(a4.draw(2, width, height))
    assert drawn.shape == (height, width, 3)
    if min(width, height) > 100:
        assert dark_quarters(drawn) == [True, False, False, False]
        assert (drawn[-1, -1] == 255).all() and (drawn[height // 4, width // 4] == 0).all()


def test_colours_come_red_first() -> None:
    out = io.BytesIO()
    drawing = canvas.Canvas(out, pagesize=(100, 100))
    drawing.setFillColorRGB(1, 0, 0)
    drawing.rect(0, 0, 100, 100, stroke=0, fill=1)
    drawing.save()
    with opened(out.getvalue()) as pages:
        assert (rows(pages.draw(1, 33, 33))[16, 16] == (255, 0, 0)).all()


def opened(data: bytes) -> Pages:
    pages = open_pages("it.pdf", data)
    assert isinstance(pages, Pages), pages
    return pages


def test_a_turned_page_is_upright() -> None:
    data = rewritten(make_pdf((400, 200)), lambda writer: writer.pages[0].rotate(90))
    with opened(data) as pages:
        assert pages.sizes == (PageSize(200, 400),)
        assert dark_quarters(rows(pages.draw(1, 200, 400))) == [False, True, False, False]


def test_what_is_cropped_away_is_not_there() -> None:
    def crop(writer: PdfWriter) -> None:
        writer.pages[0].cropbox = RectangleObject((0, 100, 200, 200))

    with opened(rewritten(make_pdf((400, 200)), crop)) as pages:
        assert pages.sizes == (PageSize(200, 100),)
        assert dark_quarters(rows(pages.draw(1, 200, 100))) == [True] * 4


def test_a_filled_in_form_is_drawn() -> None:
    with opened(make_pdf((400, 200), form=True)) as pages:
        assert rows(pages.draw(1, 400, 200)).min() < 100


def test_a_scan_is_drawn() -> None:
    with opened(scan()) as pages:
        drawn = rows(pages.draw(1, 713, 1008))
    assert drawn[504, 356].max() < 20 and drawn[10, 10].min() > 200


def test_drawing_twice_gives_the_same_bytes() -> None:
    with opened(scan()) as first, opened(scan()) as second:
        assert first.draw(1, 500, 700) == second.draw(1, 500, 700)


def test_too_many_pixels_are_refused_unseen(a4: Pages) -> None:
    for width, height in ((10_000, 10_000), (0, 5), (1 << 40, 1 << 40)):
        skipped = a4.draw(1, width, height)
        assert isinstance(skipped, Skipped) and skipped.cause is Cause.TOO_LARGE
        assert "over the limit of 33,554,432" in skipped.reason


def test_a_page_that_is_not_there_is_skipped(a4: Pages) -> None:
    for number in (0, 4, -1):
        skipped = a4.draw(number, 100, 100)
        assert isinstance(skipped, Skipped) and f"page {number} cannot be drawn" in skipped.reason


def test_encrypted_and_broken_files_are_skipped() -> None:
    secret = rewritten(make_pdf(A4), lambda writer: writer.encrypt("user", "owner", algorithm="AES-256"))
    skipped = open_pages("secret.pdf", secret)
    assert isinstance(skipped, Skipped) and skipped.cause is Cause.ENCRYPTED and "password" in skipped.reason
    open_to_all = rewritten(make_pdf(A4), lambda writer: writer.encrypt("", "owner", algorithm="AES-256"))
    opened(open_to_all).close()
    for data in (b"", b"%PDF-1.7", b"hello", random.Random(0).randbytes(5_000)):
        skipped = open_pages("it.pdf", data)
        assert isinstance(skipped, Skipped) and skipped.cause is Cause.BROKEN and skipped.n_bytes == len(data)


def test_one_bad_page_does_not_cost_the_others() -> None:
    def spoil(writer: PdfWriter) -> None:
        writer.pages[1][NameObject("/MediaBox")] = RectangleObject((0, 0, 0, 0))
        writer.pages[2][NameObject("/Contents")] = FloatObject(3)

    with opened(rewritten(make_pdf(A4, A4, A4, A4), spoil)) as pages:
        for number in (1, 4):
            assert dark_quarters(rows(pages.draw(number, 200, 300)))[0]
        for number in (2, 3):
            assert isinstance(pages.draw(number, 200, 300), Pixels | Skipped)


def test_damaged_bytes_never_raise() -> None:
    whole, draw = scan(2), random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole[: draw.randrange(100, len(whole))] if draw.random() < 0.5 else whole)
        for _ in range(draw.randrange(0, 50)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        pages = open_pages("it.pdf", bytes(damaged))
        if isinstance(pages, Pages):
            with pages:
                for number in range(1, min(3, len(pages.sizes)) + 1):
                    assert isinstance(pages.draw(number, 100, 140), Pixels | Skipped)


def busy() -> bytes:
    """A page of 20,000 strokes."""
    out = io.BytesIO()
    drawing, at = canvas.Canvas(out, pagesize=A4), random.Random(0)
    for _ in range(20_000):
        drawing.line(at.uniform(0, 595), at.uniform(0, 842), at.uniform(0, 595), at.uniform(0, 842))
    drawing.save()
    return out.getvalue()


def test_a_page_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdfium, "_PATIENCE_S", -1.0)
    with opened(busy()) as pages:
        skipped = pages.draw(1, 713, 1008)
        assert isinstance(skipped, Skipped) and "too long" in skipped.reason
        monkeypatch.undo()
        assert isinstance(pages.draw(1, 71, 100), Pixels)


def test_drawing_can_be_stopped() -> None:
    asked = count()
    with opened(busy()) as pages:
        assert isinstance(pages.draw(1, 713, 1008, stopped=lambda: next(asked) > 3), Skipped)
        assert next(asked) < 100


def test_threads_may_draw_at_once() -> None:
    expected = opened(scan())
    whole = expected.draw(1, 200, 280)
    expected.close()
    results: list[bool] = []

    def work() -> None:
        with opened(scan()) as pages:
            results.extend(pages.draw(1, 200, 280) == whole for _ in range(5))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20
