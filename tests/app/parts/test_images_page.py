"""Images on the page, without a browser: numbers, thumbnails, the viewer, the slider, and models that cannot see."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import unescape
from io import BytesIO
from pathlib import Path
from threading import Event as Flag

import click
import pytest
import streamlit as st
from PIL import Image as Pillow
from PIL import ImageDraw
from streamlit.testing.v1 import AppTest

from app import state
from app.cli import cli
from app.images.jpegs import Drawing, Wish, draw
from app.jobs import Phase, Progress
from app.parts.turns import line_of
from app.question import Answered, Begun, Looking, Question
from engine.corpus.collect import collect
from engine.corpus.source import Source
from engine.runtime.events import Prefill
from tests.engine.corpus.formats.test_embedded import b64
from tests.engine.corpus.formats.test_notebook import code, shown, written
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT
from tests.patience import PATIENCE_S

MAIN = Path(__file__).parents[3] / "app" / "main.py"
DrawPage = Callable[..., AppTest]


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Scout-shaped model with its projector beside it."""
    return beside(tmp_path_factory.mktemp("model"), cached("scout", **SMALL_SCOUT), cached("mmproj"))


def beside(folder: Path, model: Path, projector: Path) -> Path:
    shutil.copy(projector, folder / "mmproj.gguf")
    return Path(shutil.copy(model, folder / "model.gguf"))


@pytest.fixture
def draw_page(tmp_path: Path, seeing: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DrawPage]:
    """Draws the page over a home of its own, with the model that sees or another."""
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LONGDESK_ROOTS", raising=False)
    monkeypatch.delenv("LONGDESK_MMPROJ", raising=False)
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text("reply_tokens = 4\nn_ctx = 8192\n")

    def draw_one(*, model: Path = seeing, **query: str) -> AppTest:
        monkeypatch.setenv("LONGDESK_MODEL", str(model))
        close()
        page = AppTest.from_file(str(MAIN), default_timeout=PATIENCE_S)
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page

    def close() -> None:
        if (tmp_path / "home" / "longdesk.db").exists():
            state.house().close()
        st.cache_resource.clear()

    st.cache_resource.clear()
    yield draw_one
    close()


def photo(width: int = 640, height: int = 480, *, seed: int = 1, format_name: str = "PNG", **how: object) -> bytes:
    """A picture with something in its left upper corner."""
    picture = Pillow.new("RGB", (width, height), (40 * seed % 256, 200, 90))
    ImageDraw.Draw(picture).rectangle((0, 0, width // 4, height // 4), fill="black")
    return packed(picture, format_name, **how)


def packed(picture: Pillow.Image, format_name: str, **how: object) -> bytes:
    file = BytesIO()
    picture.save(file, format_name, **how)  # type: ignore[arg-type]
    return file.getvalue()


def scan(n_pages: int) -> bytes:
    pages = [Pillow.new("L", (850, 1100), 255 - 9 * number) for number in range(n_pages)]
    return packed(pages[0], "PDF", save_all=True, append_images=pages[1:])


def attach(page: AppTest, files: dict[str, bytes], question: str = "") -> str:
    """Drops files into the question, and asks it where there is one; returns the session."""
    box = page.chat_input[0]
    for name, data in files.items():
        box.upload(name, data)
    box.set_value(question).run()
    assert not page.exception
    session = str(page.query_params["session"])
    job = state.house().jobs.of(session)
    if job is not None:
        job.join(PATIENCE_S)
        page.run()
    return session


def labels(page: AppTest) -> dict[str, str]:
    """The rows of the tree, by the name that each begins with."""
    return {label.split()[0]: label for label in (box.label for box in page.checkbox)}


def texts(page: AppTest) -> str:
    return "\n".join(
        [
            *(one.value for one in page.markdown),
            *(one.value for one in page.caption),
            *(unescape(one.proto.body) for one in page.get("html")),
        ]
    )


def looks(page: AppTest, place: str) -> list[str]:
    """The labels of the thumbnails at a place."""
    return [button.label for button in page.button if f"-{place}-" in str(button.key)]


@pytest.mark.slow  # 1.7 s
def test_numbers_grids_and_tokens_stand_at_the_names(draw_page: DrawPage) -> None:
    page = draw_page()
    assert "images, scans" in texts(page)
    attach(
        page, {"b.png": photo(1000, 1000), "a.png": photo(300, 200, seed=2), "note.txt": b"A note.", "s.pdf": scan(3)}
    )
    rows = labels(page)
    assert rows["a.png"].endswith("**image 2 · 1×1**")
    assert rows["b.png"].endswith("**image 1 · 3×3**")
    assert rows["s.pdf"].endswith("**images 3–5 · 3×3**")
    assert "image" not in rows["note.txt"]
    outlook = state.house().desk.preview(str(page.query_params["session"]))
    for document in outlook.documents:
        assert f"{document.n_tokens:,}*" in rows[document.path]
    assert looks(page, "tree") == ["Look at image 1", "Look at image 2", "Look at images 3–5"]
    assert texts(page).count("--ld-picture:url(data:image/jpeg") == 3  # a scan of several pages has one thumbnail


@pytest.mark.slow  # 1.4 s
def test_the_viewer_shows_tiles_and_their_tokens(draw_page: DrawPage) -> None:
    page = draw_page()
    attach(page, {"a.png": photo(1000, 1000), "b.png": photo(300, 200), "s.pdf": scan(2)})
    thumbnail(page, "image 1").click().run()
    assert "3 × 3 tiles of 144 tokens, the overview of 144, and 12 marks: 1,452 tokens, by llama.cpp's tiles." in texts(
        page
    )
    assert "Sent as 1,000 × 1,000 pixels." in texts(page)
    assert texts(page).count("<span>144</span>") == 10
    for expected in ("1 tile of 144 tokens and 3 marks: 147 tokens", "s.pdf, page 1 of 2", "s.pdf, page 2 of 2"):
        page.button(key="viewer-Next").click().run()
        assert expected in texts(page)
    assert page.button(key="viewer-Next").disabled
    page.button(key="viewer-Previous").click().run()
    assert "s.pdf, page 1 of 2" in texts(page)


def test_the_pictures_of_a_notebook_are_images_of_the_session(draw_page: DrawPage, llama_gguf: Path) -> None:
    plots = (shown({"image/png": b64(photo(300 + 400 * at, 200, seed=at))}) for at in range(2))
    page = draw_page()
    session = attach(page, {"a.png": photo(300, 200), "n.ipynb": written(code("x", *plots))})
    assert labels(page)["n.ipynb"].endswith("**images 2–3**") and "n.ipynb" not in "".join(
        one.value for one in page.error
    )
    assert looks(page, "tree") == ["Look at image 1", "Look at images 2–3"]
    assert texts(page).count("--ld-picture:url(data:image/jpeg") == 2
    assert "2 pictures in it are sent as images, each where it stood." in texts(page)
    thumbnail(page, "images 2–3").click().run()
    assert "n.ipynb, picture 1 of 2" in texts(page) and "Sent as 300 × 200 pixels." in texts(page)
    page.button(key="viewer-Next").click().run()
    assert "n.ipynb, picture 2 of 2" in texts(page) and page.button(key="viewer-Next").disabled
    page = draw_page(model=llama_gguf, session=session)
    assert "2 pictures in it are left out, with a mark where it stood: the model cannot see." in texts(page)
    assert "not sent" in labels(page)["n.ipynb"]


def thumbnail(page: AppTest, name: str):  # type: ignore[no-untyped-def]
    return next(button for button in page.button if button.label == f"Look at {name}")


@pytest.mark.slow  # 1.6 s
def test_a_projector_without_a_grid_says_its_total(draw_page: DrawPage, tmp_path: Path) -> None:
    (tmp_path / "gemma").mkdir()
    page = draw_page(
        model=beside(tmp_path / "gemma", cached("gemma3", vision=True), cached("mmproj", projector="gemma3"))
    )
    attach(page, {"a.png": photo()})
    assert not page.slider
    thumbnail(page, "image 1").click().run()
    assert re.search(r"\d+ tokens, by mtmd's count\. Sent as 640 × 480 pixels\.", texts(page))
    assert "look-plain" in texts(page)


@pytest.mark.slow  # 1.7 s
def test_fewer_tiles_are_fewer_tokens_and_what_is_sent(draw_page: DrawPage) -> None:
    page = draw_page()
    session = attach(page, {"a.png": photo(1000, 1000)})
    desk = state.house().desk
    before = desk.preview(session).prompt.n_tokens
    page.slider(key=f"tiles-{session}").set_value(4).run()
    assert not page.exception
    after = desk.preview(session).prompt.n_tokens
    assert before - after == 1452 - (4 * 144 + 144 + 2 + 5)
    assert labels(page)["a.png"].endswith("2×2**") and f'data-prompt-tokens="{after}"' in texts(page)
    assert desk.settings_of(desk.session(session).session).max_tiles == 4

    events = list(desk.ask(Question(text="What is it?", session=session), cancel=Flag()))
    begun = next(event for event in events if isinstance(event, Begun))
    answered = events[-1]
    assert isinstance(answered, Answered) and answered.turn.prompt_tokens == begun.plan.prompt_tokens
    assert [picture.end - picture.start for picture in begun.pictures] == [4 * 144 + 144 + 2 + 5]


@pytest.mark.slow  # 1.2 s
def test_one_click_follows_the_advice_on_images(draw_page: DrawPage) -> None:
    page = draw_page()
    session = attach(page, {"a.pdf": scan(4), "b.pdf": scan(3), "note.txt": b"A note."})  # 7 pages of 3x3 tiles: 10,000
    assert "tokens over" in "".join(error.value for error in page.error)
    changes = [button.label for button in page.button if str(button.key).startswith("over-window")]
    assert [change.split(",")[0] for change in changes] == [
        "Scale images down to 8 tiles at most",
        "4 of the 7 drawn pages of 2 files fit: send those alone",
        "Leave out b.pdf (4",
    ]
    page.button(key="over-window-1").click().run()
    assert not page.error and not page.exception
    assert [len(link.pictures) for link in state.house().desk.session(session).links if link.pictures] == [2, 2]
    state.house().desk.draw_pages(session, "bare")
    page.run()
    page.button(key="over-window-0").click().run()
    assert not page.error and labels(page)["a.pdf"].startswith("a.pdf")
    desk = state.house().desk
    assert desk.settings_of(state.house().desk.session(session).session).max_tiles == 8


def test_a_new_session_keeps_what_the_settings_said(draw_page: DrawPage) -> None:
    draw_page()
    desk = state.house().desk
    session = desk.begin_session("t")
    desk.settings = replace(desk.settings, max_tiles=2)
    assert desk.settings_of(session).max_tiles == 9
    assert desk.settings_of(None).max_tiles == 2
    desk.limit_tiles(session.id, 5)
    assert desk.settings_of(desk.session(session.id).session).max_tiles == 5
    up = cli.get_command(click.Context(cli), "up")
    assert up is not None
    assert "--mmproj" in {flag for option in up.params for flag in option.opts}


@pytest.mark.slow  # 1.8 s
def test_images_are_shown_at_the_question_they_joined_with(draw_page: DrawPage) -> None:
    page = draw_page()
    session = attach(page, {"a.png": photo(300, 200), "b.png": photo(300, 200, seed=2)}, "What are these?")
    assert looks(page, "joined") == ["Image 1", "Image 2"]
    attach(page, {"c.png": photo(200, 200)}, "And this?")
    assert looks(page, "joined") == ["Image 1", "Image 2", "Image 3"]
    turns = state.house().desk.turns(session)
    assert [turn.question for turn in turns] == ["What are these?", "And this?"]
    links = state.house().desk.session(session).links
    assert [(link.path, link.turn_index) for link in links] == [("a.png", 0), ("b.png", 0), ("c.png", 1)]


@pytest.mark.slow  # 1.2 s
def test_a_second_pasted_picture_replaces_nothing(draw_page: DrawPage) -> None:
    page = draw_page()
    attach(page, {"image.png": photo(300, 200)})
    session = attach(page, {"image.png": photo(300, 200, seed=2), "a.txt": b"a"})
    attach(page, {"a.txt": b"another"})
    links = state.house().desk.session(session).links
    assert [link.path for link in links] == ["image.png", "image 2.png", "a.txt"]


@pytest.mark.slow  # 1.7 s
def test_a_model_that_cannot_see_says_so_and_what_to_do(draw_page: DrawPage, llama_gguf: Path) -> None:
    page = draw_page(model=llama_gguf)
    assert "images, scans" not in texts(page)
    session = attach(page, {"photo.png": photo()})
    for words in ("photo.png", "cannot see", "mmproj", "--model FILE.gguf", "as soon as the model can", "not sent"):
        assert words in texts(page), words
    assert not page.error and "add what is missing" not in texts(page)
    attach(page, {"note.txt": b"Some words."}, "What is in the photo?")
    assert "photo.png" in texts(page) and "cannot see" in texts(page)
    assert len(state.house().desk.turns(session)) == 1


@pytest.mark.slow  # 5.0 s
@pytest.mark.parametrize("how", ["another model", "its projector is added"])
def test_images_added_to_a_model_that_cannot_see_wait_for_one_that_can(
    draw_page: DrawPage, tmp_path: Path, llama_gguf: Path, how: str
) -> None:
    (tmp_path / "blind").mkdir()
    blind = Path(shutil.copy(cached("scout", **SMALL_SCOUT), tmp_path / "blind" / "model.gguf"))
    page = draw_page(model=llama_gguf if how == "another model" else blind)
    session = attach(page, {"photo.png": photo(), "scan.pdf": scan(2), "note.txt": b"Some words."}, "What is it?")
    assert labels(page)["photo.png"].endswith("*0* **image 1 · not sent: the model cannot see**")
    assert "*2 p · 0* **images 2–3 · not sent" in labels(page)["scan.pdf"]
    assert "photo.png, scan.pdf" in texts(page) and len(looks(page, "tree")) == 2
    if how == "another model":
        page = draw_page(session=session)
    else:
        shutil.copy(cached("mmproj"), blind.with_name("mmproj.gguf"))
        page = draw_page(model=blind, session=session)
    assert "cannot see" not in texts(page)
    assert labels(page)["photo.png"].endswith("**image 1 · 2×2**")
    events = list(state.house().desk.ask(Question(text="And now?", session=session), cancel=Flag()))
    begun, turn = next(event for event in events if isinstance(event, Begun)), answered(events).turn
    assert turn.error is None and [picture.number for picture in begun.pictures] == [1, 2, 3]
    assert answered(events).encoded == 5 + 2 * 10


def answered(events: Sequence[object]) -> Answered:
    assert isinstance(events[-1], Answered)
    return events[-1]


@pytest.mark.slow  # 2.1 s
def test_notes_say_what_the_model_of_now_is_sent(draw_page: DrawPage, llama_gguf: Path, tmp_path: Path) -> None:
    page = draw_page()
    session = attach(page, {"scan.pdf": scan(2)})
    assert "scan.pdf: Pages 1-2 are sent as images." in texts(page)
    page = draw_page(model=llama_gguf, session=session)
    assert "scan.pdf: Pages 1-2 are not sent as images: the model cannot see." in texts(page)
    page = draw_page(model=tmp_path / "gone.gguf", session=session)
    assert "scan.pdf: Pages 1-2 are sent as images to a model that sees." in texts(page)


@pytest.mark.slow  # 2.3 s
def test_a_session_with_images_under_a_model_that_cannot_see(draw_page: DrawPage, llama_gguf: Path) -> None:
    session = attach(draw_page(), {"photo.png": photo(), "scan.pdf": scan(2), "note.txt": b"Some words."})
    page = draw_page(model=llama_gguf, session=session)
    assert "**photo.png, scan.pdf: " in texts(page) and "add what is missing" not in texts(page)
    rows = labels(page)
    assert rows["photo.png"].endswith("*0* **image 1 · not sent: the model cannot see**")
    assert "images 2–3 · not sent" in rows["scan.pdf"]
    assert not page.slider
    outlook = state.house().desk.preview(session)
    head = next(one.proto.body for one in page.get("html") if one.proto.body.startswith("<b>"))
    assert head == f"<b>{sum(s.n_tokens for s in outlook.prompt.segments if s.path):,}</b>"
    thumbnail(page, "image 1").click().run()
    assert "Not sent: the model cannot see." in texts(page)
    events = list(state.house().desk.ask(Question(text="What?", session=session), cancel=Flag()))
    assert any("the images of photo.png, scan.pdf are not sent" in getattr(event, "text", "") for event in events)


UGLY = {
    "thin.png": photo(1, 20_000),
    "wide.png": photo(20_000, 1),
    "cmyk.jpg": packed(Pillow.new("CMYK", (400, 300), (0, 200, 0, 0)), "JPEG"),
    "palette.png": packed(Pillow.new("RGB", (400, 300), "red").convert("P"), "PNG", transparency=0),
    "moving.gif": packed(
        Pillow.new("P", (90, 60), 1), "GIF", save_all=True, append_images=[Pillow.new("P", (90, 60), n) for n in (2, 3)]
    ),
    "deep.png": packed(Pillow.new("I;16", (200, 100), 40_000), "PNG"),
    "pages.tiff": packed(
        Pillow.new("L", (300, 400)), "TIFF", save_all=True, append_images=[Pillow.new("L", (400, 300))]
    ),
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><circle r='3'/></svg>",
    "broken.png": photo()[:200],
    "text.png": b"Only words.",
}


@pytest.mark.slow  # 1.2 s
def test_odd_images_are_drawn_or_said(draw_page: DrawPage) -> None:
    page = draw_page()
    session = attach(page, UGLY)
    rows = labels(page)
    assert re.search(r"\*\*images \d–\d\*\*$", rows["pages.tiff"])  # each page has a grid of its own
    assert "broken.png" in texts(page) and "cut short or damaged" in texts(page)
    svg = next(box for box in page.checkbox if box.label.startswith("drawing.svg"))
    assert svg.help == "An SVG is sent as its text, not as an image; save it as PNG to have it looked at."
    pictured = [link for link in state.house().desk.session(session).links if link.pictures]
    wishes = [Wish(link.path, link.digest, picture.number) for link in pictured for picture in link.pictures]
    drawn = state.house().thumbnails.draw(session, wishes, within_s=PATIENCE_S)
    assert not drawn.missing and len(drawn.addresses) == len(wishes) == 8
    for link in pictured:
        page.session_state["viewed"] = (session, link.path, link.pictures[0].number)
        page.run()
        assert not page.exception and "look-cost" in texts(page) and "cannot be shown" not in texts(page), link.path


def test_a_rotated_photo_is_drawn_upright(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left upper corner comes to the right
    (tmp_path / "r.jpg").write_bytes(photo(800, 400, format_name="JPEG", exif=exif))
    (source,) = collect([tmp_path / "r.jpg"]).sources
    drawing = drawn(source, 96)
    assert (drawing.width, drawing.height) == (48, 96)
    picture = Pillow.open(BytesIO(drawing.jpeg))
    assert max(picture.getpixel((44, 4))) < 60 < max(picture.getpixel((4, 4)))  # type: ignore[arg-type, type-var]


def drawn(source: Source, longest: int) -> Drawing:
    drawing = draw(source, 1, longest)
    assert isinstance(drawing, Drawing)
    return drawing


@pytest.mark.slow  # 1.1 s
def test_thumbnails_come_bit_by_bit_and_once(draw_page: DrawPage, monkeypatch: pytest.MonkeyPatch) -> None:
    page = draw_page()
    session = attach(page, {f"{n}.png": photo(40 + n, 30) for n in range(6)})
    links = state.house().desk.session(session).links
    wishes = [Wish(link.path, link.digest, 1) for link in links]
    calls: list[str] = []
    thumbnails = type(state.house().thumbnails)(state.house().desk.source)
    monkeypatch.setattr(
        "app.images.jpegs.draw",
        lambda source, number, longest: (calls.append(source.path), draw(source, number, longest))[1],
    )
    missing: Sequence[int] = [thumbnails.draw(session, wishes, within_s=0).missing for _ in range(7)]
    assert missing == [5, 4, 3, 2, 1, 0, 0]
    assert calls == [link.path for link in links]


def test_the_line_says_which_image_is_looked_at() -> None:
    pictures = (Looking(100, 200, 1), Looking(300, 500, 2))

    def line(done: int, *shown: Looking) -> str:
        prefill = Prefill(done, 1000, 0, 0.0)
        return line_of(Progress(phase=Phase.READING, prefill=prefill, pictures=shown))

    assert line(50, *pictures) == "Reading 5 %"
    assert line(100, *pictures) == "Looking at image 1 of 2 · 10 %"
    assert line(499, *pictures) == "Looking at image 2 of 2 · 50 %"
    assert line(500, *pictures) == "Reading 50 %"
    assert line(150, Looking(100, 200, 4)) == "Looking at image 4 · 15 %"
