"""What came with a question, on the page: its pictures by their numbers, and the files that were refused."""

from io import BytesIO

import pytest
from PIL import Image as Pillow
from pypdf import PdfWriter
from streamlit.testing.v1 import AppTest

from app import state
from app.attachments import joined_with
from app.session_settings import asked_with
from tests.app.parts.test_images_page import (
    DrawPage,
    attach,
    draw_page,
    labels,
    looks,
    packed,
    photo,
    scan,
    seeing,
    texts,
)

__all__ = ["draw_page", "seeing"]  # fixtures


def uncheck(page: AppTest, name: str) -> None:
    next(box for box in page.checkbox if box.label.startswith(name)).uncheck().run()
    assert not page.exception


def check(page: AppTest, name: str) -> None:
    next(box for box in page.checkbox if box.label.startswith(name)).check().run()
    assert not page.exception


def ask(page: AppTest, question: str) -> None:
    attach(page, {}, question)


def three_and_a_letter() -> dict[str, bytes]:
    images = {f"p{n}.png": photo(300, 200, seed=n) for n in (2, 5, 9)}
    return {**images, "letter.txt": b"A letter."}


@pytest.mark.slow  # 3.0 s
def test_only_what_is_sent_counts_and_stands_at_the_question(draw_page: DrawPage) -> None:
    page = draw_page()
    session = attach(page, three_and_a_letter())
    assert "<span>3 images by llama.cpp's tiles</span><b>441</b>" in texts(page)
    uncheck(page, "p2.png")
    assert "<span>2 images by llama.cpp's tiles</span><b>294</b>" in texts(page)
    ask(page, "What are these?")
    assert looks(page, "joined") == ["Image 2", "Image 3"]
    check(page, "p2.png")
    uncheck(page, "p9.png")
    assert looks(page, "joined") == ["Image 2", "Image 3"]  # what was sent stays, whatever is checked now
    ask(page, "And this one?")
    assert looks(page, "joined") == ["Image 2", "Image 3", "Image 1"]
    turns = state.house().desk.turns(session)
    assert [[one.path for one in joined_with(turn, ())] for turn in turns] == [["p5.png", "p9.png"], ["p2.png"]]
    for name in ("p2.png", "p5.png"):
        uncheck(page, name)
    assert "<span>0 images by llama.cpp's tiles</span><b>0</b>" in texts(page) and page.slider


@pytest.mark.slow  # 3.2 s
def test_an_image_has_one_number_everywhere(draw_page: DrawPage) -> None:
    page = draw_page()
    session = attach(page, {**three_and_a_letter(), "s.pdf": scan(2)})
    uncheck(page, "p5.png")
    ask(page, "What are these?")
    rows = labels(page)
    numbers = {"p2.png": "image 1", "p5.png": "image 2", "p9.png": "image 3", "s.pdf": "images 4–5"}
    assert {name: rows[name].split("**")[1].split(" · ")[0] for name in numbers} == numbers
    assert looks(page, "joined") == ["Image 1", "Image 3", "Images 4–5"]
    prompt = state.house().desk.preview(session).prompt
    assert [shown.number for shown in prompt.shown] == [1, 3, 4, 5]
    encode = state.house().desk.backend().encode
    sent = {segment.path: segment for segment in prompt.segments if segment.shown}
    for path, text in (("p2.png", "[image 1]\n"), ("p9.png", "[image 3]\n"), ("s.pdf", "[page 1]\n\n[image 4]\n")):
        ids, expected = sent[path].ids.tolist(), encode(text).tolist()
        assert any(ids[at : at + len(expected)] == expected for at in range(len(ids)))
    for at, (path, number) in enumerate((("p2.png", 1), ("p5.png", 2), ("p9.png", 3), ("s.pdf", 4), ("s.pdf", 5))):
        page.session_state["viewed"] = (session, path, max(1, at - 2) if path == "s.pdf" else 1)
        page.run()
        assert f"**Image {number}** · {path}" in texts(page)


@pytest.mark.slow  # 2.5 s
def test_the_last_images_are_seen_and_more_can_be_opened(draw_page: DrawPage) -> None:
    page = draw_page()
    attach(page, {f"{n:02}.png": photo(40 + n, 30) for n in range(13)})
    attach(page, {"image.png": photo(200, 100)}, "What was pasted?")
    assert looks(page, "joined") == [f"Image {n}" for n in range(3, 15)]
    (more,) = [button for button in page.button if str(button.key).startswith("earlier-")]
    assert more.label == "Images 1–2"
    more.click().run()
    assert looks(page, "joined") == [f"Image {n}" for n in range(1, 15)]
    assert not [button for button in page.button if str(button.key).startswith("earlier-")]


@pytest.mark.slow  # 2.0 s
def test_an_image_that_was_replaced_is_not_shown_as_the_one_that_was_sent(draw_page: DrawPage) -> None:
    page = draw_page()
    attach(page, {"a.png": photo(300, 200), "b.png": photo(300, 200, seed=2)}, "What are these?")
    attach(page, {"a.png": photo(200, 300, seed=3)}, "And now?")
    chips = [button for button in page.button if button.label.startswith("Image ")]
    assert [(chip.label, chip.disabled) for chip in chips] == [
        ("Image 1", True),
        ("Image 2", False),
        ("Image 1", False),
    ]
    assert "a.png was changed since" in chips[0].help
    assert "Replaced by what was given now" in texts(page)  # said until the next question


def encrypted() -> bytes:
    writer, file = PdfWriter(), BytesIO()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret")
    writer.write(file)
    return file.getvalue()


REFUSED = {
    "cut.png": (photo()[:200], "cut short or damaged"),
    "bomb.png": (packed(Pillow.new("1", (30_000, 30_000)), "PNG"), "over the limit of 100,000,000"),
    "empty.png": (b"", "0 bytes"),
    "locked.pdf": (encrypted(), "a PDF behind a password"),
}


@pytest.mark.slow  # 2.2 s
def test_refused_files_are_named_at_the_question(draw_page: DrawPage) -> None:
    page = draw_page()
    session = attach(page, {"good.png": photo(), **{name: data for name, (data, _) in REFUSED.items()}}, "What is it?")
    said = {line.split("**")[1]: line for line in said_of(page)}
    assert said.keys() == REFUSED.keys() and all(why in said[name] for name, (_, why) in REFUSED.items())
    assert looks(page, "joined") == ["Image 1"]
    (turn,) = state.house().desk.turns(session)
    assert {one.path for one in asked_with(turn).refused} == REFUSED.keys()
    ask(page, "And now?")
    assert len(said_of(page)) == 4  # at the first question alone
    page = draw_page(session=session)
    assert len(said_of(page)) == 4


def said_of(page: AppTest) -> list[str]:
    return [one.value for one in page.markdown if one.value.startswith(":material/block:")]


@pytest.mark.slow  # 2.1 s
def test_many_refused_files_are_a_count(draw_page: DrawPage) -> None:
    page = draw_page()
    attach(page, {f"{n}.png": b"" for n in range(7)}, "What are they?")
    assert not page.error
    (count,) = [one for one in page.expander if "attached" in one.label]
    assert count.label == "7 attached files were not read: why" and len(said_of(page)) == 7


@pytest.mark.slow  # 1.9 s
@pytest.mark.parametrize("n_files", [2, 7])
def test_refused_files_without_a_question_are_said_until_the_next(draw_page: DrawPage, n_files: int) -> None:
    page = draw_page()
    attach(page, {"good.png": photo(), **{f"{n}.png": b"" for n in range(n_files)}})
    (said,) = [one.value for one in page.caption if "not read" in one.value or "not be read" in one.value]
    assert "1.png was not read: " in said if n_files == 2 else said.startswith("7 of the files")
    ask(page, "What is it?")
    assert not [one.value for one in page.caption if "not read" in one.value]
