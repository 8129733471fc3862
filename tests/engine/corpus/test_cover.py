"""formats.cover and pdf: which pages of a PDF are drawn, by what lies on them, and what is said of the others."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Pillow
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from engine.corpus.collect import collect
from engine.corpus.formats.cover import Cover
from engine.corpus.formats.format import whole_file
from engine.corpus.formats.pdf import read_pdf
from engine.corpus.formats.pdfium import Pages, open_pages
from engine.corpus.refusing import refuse_empty
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Skipped, Source
from engine.errors import UsageError

SIZE = WIDTH, HEIGHT = 600, 800
INVISIBLE = 3  # PDF's mode of rendering for text
STAMP = "Case 1:20-cv-01234-ABC-DEF Document 123-4 Filed 03/04/2020 Page 1 of 40 PageID #: 12345"
BATES = "CONFIDENTIAL - SUBJECT TO PROTECTIVE ORDER    SMITH_00012345"
LIBRARY = (
    "This content downloaded from 192.0.2.17 on Tue, 03 Mar 2020 12:00:00 UTC. "
    "All use subject to the terms and conditions of the library that gave it."
)
PARAGRAPH = "The parties agree that what was said in the third schedule stays as it is. " * 8
Draw = Callable[[Canvas], object]


def make_pdf(*pages: Draw) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=SIZE, invariant=True)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def image(seed: int = 0, width: float = WIDTH, height: float = HEIGHT, at: tuple[float, float] = (0, 0)) -> Draw:
    """Of few pixels: what counts is the share of the page."""
    picture = ImageReader(Pillow.effect_noise((60 + seed, 80), 50))
    return lambda canvas: canvas.drawImage(picture, *at, width, height)


BACKGROUND = image()


def words(text: str, mode: int = 0) -> Draw:
    def draw(canvas: Canvas) -> None:
        written = canvas.beginText(20, 780)
        written.setTextRenderMode(mode)
        for at in range(0, len(text), 100):
            written.textLine(text[at : at + 100])
        canvas.drawText(written)

    return draw


def both(*draws: Draw) -> Draw:
    return lambda canvas: [draw(canvas) for draw in draws]


def nothing(canvas: Canvas) -> None:
    pass


def white(canvas: Canvas) -> None:
    """As a presentation has it: a background, and a line without words."""
    canvas.setFillColorRGB(1, 1, 1)
    canvas.rect(0, 0, *SIZE, stroke=0, fill=1)
    canvas.drawString(20, 20, " ")


def drawn(data: bytes, draw_pages: str = "bare") -> list[int]:
    source = read_pdf(whole_file("it.pdf", data, Rules(draw_pages=draw_pages)))
    return [picture.number for picture in source.pictures] if isinstance(source, Source) else []


def notes(data: bytes, draw_pages: str = "bare") -> tuple[str, ...]:
    source = read_pdf(whole_file("it.pdf", data, Rules(draw_pages=draw_pages)))
    assert isinstance(source, Source), source
    return source.notes


def covers(data: bytes) -> list[Cover]:
    pages = open_pages("it.pdf", data)
    assert isinstance(pages, Pages)
    with pages:
        found = [pages.cover(number) for number in range(1, len(pages.sizes) + 1)]
    return [cover for cover in found if cover]


@pytest.mark.parametrize("stamp", [STAMP, f"{STAMP} {STAMP} {BATES}", BATES, LIBRARY, "Page 3", ""])
def test_a_scan_is_drawn_whatever_its_stamp(stamp: str) -> None:
    data = make_pdf(*(both(image(seed), words(stamp)) for seed in range(40)))
    source = read_pdf(whole_file("scan.pdf", data, Rules(draw_pages="bare")))
    assert isinstance(source, Source) and [picture.number for picture in source.pictures] == [*range(1, 41)]
    assert source.text.count(stamp[:99]) >= 40 and source.notes == ()


@pytest.mark.parametrize(
    ("page", "is_drawn"),
    [
        (both(image(), words(PARAGRAPH)), False),
        (both(image(), words(STAMP, INVISIBLE)), False),
        (both(image(), words("Chapter 3", INVISIBLE)), True),
        (both(image(height=HEIGHT / 2 + 20), words("A slide's title, and what there is to say. " * 4)), True),
        (both(image(height=HEIGHT / 3), words(STAMP)), False),
        (both(image(width=WIDTH / 2, height=HEIGHT / 3), words("Exhibit 12")), True),
        (both(image(width=60, height=60), words("Report 2020")), False),
        (both(*(image(k, height=100, at=(0, 100 * k)) for k in range(8)), words(STAMP)), True),
        (both(*(image(k, height=100) for k in range(8)), words(STAMP)), False),
        (both(image(at=(WIDTH, 0)), words(STAMP)), False),
        (words(STAMP), False),
    ],
    ids=["a text over an image", "recognised", "recognised noise", "a slide", "a figure", "a receipt", "a logo",
         "strips", "layers", "beside the page", "no image"],
)  # fmt: skip
def test_what_lies_on_a_page_decides(page: Draw, is_drawn: bool) -> None:
    assert drawn(make_pdf(page, words(PARAGRAPH))) == ([1] if is_drawn else [])


def test_images_in_forms_are_seen_where_they_lie() -> None:
    def form(canvas: Canvas) -> None:
        canvas.beginForm("inner")
        image(width=WIDTH / 2, height=HEIGHT / 2)(canvas)
        canvas.endForm()
        canvas.beginForm("outer")
        canvas.translate(0, HEIGHT / 4)
        canvas.doForm("inner")
        canvas.endForm()
        canvas.scale(2, 1)
        canvas.doForm("outer")

    data = make_pdf(both(form, words(STAMP)))
    assert drawn(data) == [1] and covers(data)[0].share == pytest.approx(0.5, abs=0.02)


def test_what_is_laid_over_text_is_known() -> None:
    (cover,) = covers(make_pdf(both(words("behind it"), image(), words("stamp"), words("unseen ink", INVISIBLE))))
    assert (cover.share, cover.n_objects, cover.n_behind, cover.n_invisible) == (1, 4, 8, 9)


def test_a_blank_page_is_not_drawn_and_said_to_be_one() -> None:
    data = make_pdf(image(), nothing, white, words("Text"), lambda canvas: canvas.line(9, 9, 300, 10))
    assert drawn(data) == [1, 5] and notes(data) == ("Pages 2-3 are blank.",)
    assert drawn(data, "all") == drawn(data, "1-5") == [1, 2, 3, 4, 5] and notes(data, "all") == ()
    skipped = read_pdf(whole_file("it.pdf", make_pdf(nothing, white), Rules(draw_pages="bare")))
    assert isinstance(skipped, Skipped) and skipped.cause is Cause.NO_TEXT
    assert skipped.reason == "2 pages with nothing on them"


def test_pages_that_are_mostly_image_and_not_sent_are_noted() -> None:
    scans = make_pdf(*(both(image(seed), words(STAMP)) for seed in range(4)), words(PARAGRAPH))
    assert notes(scans, "2") == ("Pages 1, 3-4 are mostly images that are not sent (--draw-pages 1-4).",)
    form = make_pdf(both(image(1), words(PARAGRAPH)), image(2))
    assert notes(form) == ("Page 1 is mostly an image that is not sent (--draw-pages 1-2).",)
    assert drawn(form, "1-2") == [1, 2]


@pytest.mark.parametrize(
    "pages",
    [
        [both(image(seed), words(PARAGRAPH, INVISIBLE)) for seed in range(3)],
        [both(words(PARAGRAPH), image(seed)) for seed in range(3)],
        [both(BACKGROUND, words(PARAGRAPH))] * 3,
        [both(image(height=300), words(PARAGRAPH)), words(PARAGRAPH)],
        [both(image(), words(PARAGRAPH * 6))],
    ],
    ids=["recognised", "recognised, the image in front", "a background", "figures", "a full page"],
)
def test_ordinary_documents_have_no_notes(pages: list[Draw]) -> None:
    assert drawn(make_pdf(*pages)) == [] and notes(make_pdf(*pages)) == ()


def write(path: Path, *pages: Draw) -> Path:
    path.write_bytes(make_pdf(*pages))
    return path


def tiff(path: Path) -> Path:
    pages = [Pillow.new("L", (20, 30), shade) for shade in (0, 99, 200)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def test_pages_that_no_file_has_are_refused(tmp_path: Path) -> None:
    scan, text = write(tmp_path / "scan.pdf", *[image()] * 40), write(tmp_path / "text.pdf", words("A"), image())
    pages, one = tiff(tmp_path / "pages.tif"), write(tmp_path / "one.pdf", image())
    for path, reason in (
        (scan, r"^scan\.pdf: --draw-pages 50 names none of its 40 pages; choose from 1-40\.$"),
        (text, r"^text\.pdf: --draw-pages 50 names none of its 2 pages; choose from 1-2\.$"),
        (pages, r"^pages\.tif: --draw-pages 50 names none of its 3 pages; choose from 1-3\.$"),
        (one, r"^one\.pdf: --draw-pages 50 does not name its only page; choose 1\.$"),
    ):
        with pytest.raises(UsageError, match=reason):
            collect([path], Rules(draw_pages="50"))
    with pytest.raises(UsageError, match=r"^--draw-pages bare:50 names no page of any of the 4 files with pages\. "):
        collect([scan, text, pages, one], Rules(draw_pages="bare:50"))
    (tmp_path / "a.txt").write_text("A")
    collect([tmp_path / "a.txt"], Rules(draw_pages="50"))


def test_of_several_files_those_without_such_a_page_say_so(tmp_path: Path) -> None:
    scan, pages = write(tmp_path / "scan.pdf", *[image()] * 40), tiff(tmp_path / "pages.tif")
    corpus = collect([scan, pages], Rules(draw_pages="9,50,60-70"))
    assert [(skipped.path, skipped.cause, skipped.reason) for skipped in corpus.skipped] == [
        ("pages.tif", Cause.NO_PAGE, "--draw-pages 9,50,60-70 names none of its 3 pages; choose from 1-3")
    ]
    (source,) = corpus.sources
    assert source.notes[-1] == "Pages 50, 60 are not there: the last is page 40."
    assert source.notes[0] == "Pages 1-8, 10-40 have no text."


def test_a_scan_of_which_nothing_can_be_chosen_says_why(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.pdf", image(), nothing)
    corpus = collect([path], Rules(draw_pages="bare:2"))
    reason = "2 pages without text: none of those that --draw-pages bare:2 names can be drawn; choose others"
    assert corpus.skipped[0].reason == reason
    with pytest.raises(Exception, match="choose others.$"):
        refuse_empty(corpus, [path])
