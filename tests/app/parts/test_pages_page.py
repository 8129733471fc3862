"""Which pages are sent as images: the choice on the page, what it costs, and the way back."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as Pillow
from reportlab.pdfgen.canvas import Canvas
from streamlit.testing.v1 import AppTest

from app import state
from app.parts.pages import wrong_in
from engine.corpus.rules import Rules
from tests.app.parts.test_images_page import DrawPage, attach, draw_page, labels, packed, photo, scan, seeing, texts

__all__ = ["draw_page", "seeing"]  # fixtures


def written(n_pages: int) -> bytes:
    """A PDF with text on every page."""
    file = BytesIO()
    paper = Canvas(file, pagesize=(300, 400))
    for number in range(1, n_pages + 1):
        for line in range(8):
            paper.drawString(20, 350 - 20 * line, f"Page {number}, line {line}: a basket of apples costs {line} euros.")
        paper.showPage()
    paper.save()
    return file.getvalue()


def choose(page: AppTest, mode: str, numbers: str | None = None) -> None:
    session = page.query_params["session"]
    session = session[0] if isinstance(session, list) else session
    page.selectbox(key=f"pages-{session}").select(mode).run()
    if numbers is not None:
        page.text_input(key=f"pages-named-{session}").set_value(numbers).run()
    assert not page.exception


def drawn(session: str) -> dict[str, list[int]]:
    return {
        link.path: [picture.number for picture in link.pictures]
        for link in state.house().desk.session(session).links
        if link.enabled
    }


def total(page: AppTest) -> int:
    return int(texts(page).split('data-prompt-tokens="')[1].split('"')[0])


@pytest.mark.slow  # 1.7 s
def test_pages_can_be_chosen_and_the_way_back(draw_page: DrawPage) -> None:
    page = draw_page()
    session = attach(page, {"s.pdf": scan(3), "text.pdf": written(2), "note.txt": b"A note."})
    begun = total(page)
    assert page.selectbox(key=f"pages-{session}").value == "bare"
    choose(page, "all")
    assert drawn(session) == {"note.txt": [], "s.pdf": [1, 2, 3], "text.pdf": [1, 2]} and total(page) > begun
    choose(page, "these")
    assert drawn(session)["text.pdf"] == [1, 2]  # nothing is named yet
    choose(page, "these", "2-3")
    assert drawn(session) == {"note.txt": [], "s.pdf": [2, 3], "text.pdf": [2]}
    assert "2 of 3 pages sent as images" in labels(page)["s.pdf"] and ":orange[" in labels(page)["s.pdf"]
    assert "1 of 2 pages sent as an image**" in labels(page)["text.pdf"]
    choose(page, "these-bare")
    assert drawn(session) == {"note.txt": [], "s.pdf": [2, 3], "text.pdf": []}
    assert state.house().desk.settings_of(state.house().desk.session(session).session).draw_pages == "bare:2-3"
    page = draw_page(session=session)
    assert page.selectbox(key=f"pages-{session}").value == "these-bare"
    assert page.text_input(key=f"pages-named-{session}").value == "2-3"
    choose(page, "bare")
    assert total(page) == begun


@pytest.mark.slow  # 1.1 s
@pytest.mark.parametrize("numbers", ["3-1", "one", "9", "0"])
def test_a_wrong_value_is_said(draw_page: DrawPage, numbers: str) -> None:
    page = draw_page()
    session = attach(page, {"s.pdf": scan(3)})
    choose(page, "these", numbers)
    said = wrong_in(numbers, 3)
    assert said and any(said in one.value for one in page.caption)
    assert drawn(session)["s.pdf"] == [1, 2, 3]
    choose(page, "these", "1, 3")
    assert drawn(session)["s.pdf"] == [1, 3] and not any("names no pages" in one.value for one in page.caption)


@pytest.mark.slow  # 1.1 s
def test_what_no_page_is_left_of_comes_back(draw_page: DrawPage) -> None:
    page = draw_page()
    frames = [Pillow.new("L", (300, 400), 40 * n) for n in range(3)]
    tiff = packed(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    session = attach(page, {"long.pdf": scan(3), "short.pdf": scan(1), "pages.tiff": tiff, "a.png": photo()})
    choose(page, "these", "2-3")
    assert drawn(session) == {"a.png": [1], "long.pdf": [2, 3], "pages.tiff": [2, 3]}
    assert "short.pdf: none of these pages and no text, so nothing of it is sent." in texts(page)
    choose(page, "bare")
    assert drawn(session) == {"a.png": [1], "long.pdf": [1, 2, 3], "pages.tiff": [1, 2, 3], "short.pdf": [1]}
    assert "nothing of it is sent" not in texts(page)


@pytest.mark.slow  # 1.0 s
def test_what_is_added_later_follows_the_choice(draw_page: DrawPage) -> None:
    page = draw_page()
    session = attach(page, {"first.pdf": written(1)})
    choose(page, "all")
    attach(page, {"second.pdf": written(2)})
    assert drawn(session) == {"first.pdf": [1], "second.pdf": [1, 2]}


@pytest.mark.slow  # 1.4 s
def test_a_file_of_this_machine_is_drawn_from_where_it_lies(draw_page: DrawPage, tmp_path: Path) -> None:
    (tmp_path / "text.pdf").write_bytes(written(2))
    page = draw_page()
    desk = state.house().desk
    session = desk.begin_session("t").id
    desk.add_sources(session, desk.read([tmp_path / "text.pdf"], Rules()))
    (link,) = desk.session(session).links
    assert not link.has_file  # a folder of PDFs is not copied into the database
    page = draw_page(session=session)
    choose(page, "all")
    assert drawn(session) == {"text.pdf": [1, 2]} and "not kept" not in texts(page)
    choose(page, "bare")
    (tmp_path / "text.pdf").write_bytes(written(3))
    choose(page, "these", "1")
    assert drawn(session) == {"text.pdf": [1]}  # of the file that was read


@pytest.mark.slow  # 1.3 s
def test_a_file_that_is_not_there_any_more_is_said(draw_page: DrawPage, tmp_path: Path) -> None:
    (tmp_path / "text.pdf").write_bytes(written(2))
    draw_page()
    desk = state.house().desk
    session = desk.begin_session("t").id
    desk.add_sources(session, desk.read([tmp_path / "text.pdf"], Rules()))
    (tmp_path / "text.pdf").unlink()
    page = draw_page(session=session)
    assert "not kept" not in texts(page)
    choose(page, "all")
    assert "text.pdf: the file was not kept. Add it again" in texts(page)
