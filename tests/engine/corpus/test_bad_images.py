"""Images, scans and projectors as users really have them: each read, or a sentence, and the others are kept."""

import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from threading import Event as Flag

import gguf
import numpy as np
import pytest
from PIL import Image as Pillow
from pypdf import PdfWriter
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from app.cli.output import Json
from app.cli.output.count import count_json
from app.counting import Count
from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from engine.errors import DoesNotFit, ModelRefused, UsageError
from engine.runtime.events import Prefill
from storage.records import Turn
from tests.command_line import CommandLine
from tests.engine.tokens.test_tiles import MODELS
from tests.models import broken
from tests.models.cache import build, cached

_N_PAGES = 40


def photo(width: int, height: int, seed: int = 0) -> Pillow.Image:
    rows = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Pillow.fromarray(rows)


def png(picture: Pillow.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of Gemma's shape, which reads any image as 256 tokens."""
    mmproj = cached("mmproj", projector="gemma3")
    return Settings(home=tmp_path / "home", model=str(cached(**MODELS["gemma3"])), mmproj=mmproj, reply_tokens=4)


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    desk = Desk(settings)
    yield desk
    desk.close()


def counted(desk: Desk, *paths: Path) -> Json:
    return count_json(desk.count(desk.read(paths)))


def ask(desk: Desk, *paths: Path) -> tuple[Turn, list[Prefill]]:
    events = list(desk.ask(Question(text="Q", corpus=desk.read(paths)), cancel=Flag()))
    assert isinstance(events[-1], Answered)
    return events[-1].turn, [event for event in events if isinstance(event, Prefill)]


GOOD: dict[str, tuple[Callable[[Path], object], tuple[int, int]]] = {
    "plain.png": (lambda at: photo(200, 100).save(at), (200, 100)),
    "cmyk.jpg": (lambda at: photo(90, 60).convert("CMYK").save(at), (90, 60)),
    "deep.png": (lambda at: Pillow.fromarray(np.full((30, 40), 40_000, dtype=np.uint16)).save(at), (40, 30)),
    "palette.png": (lambda at: photo(50, 60).convert("P").save(at, transparency=3), (50, 60)),
    "moving.gif": (lambda at: photo(20, 30).save(at, save_all=True, append_images=[photo(20, 30, 1)]), (20, 30)),
    "thin.png": (lambda at: photo(1, 20_000).save(at), (1, 20_000)),
    "rotated.jpg": (lambda at: rotated(at), (100, 300)),
}
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated.png": (lambda at: at.write_bytes(png(photo(90, 90))[:9_000]), "cut short or damaged"),
    "bomb.png": (lambda at: Pillow.new("1", (30_000, 30_000)).save(at), "30,000 x 30,000 pixels, over the limit"),
    "empty.png": (lambda at: at.write_bytes(b""), "0 bytes"),
}


def rotated(at: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    photo(300, 100).save(at, exif=exif)


@pytest.mark.slow
def test_each_image_is_read_or_said_to_be_none(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, (make, _) in {**GOOD, **BAD}.items():
        make(folder / name)
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><circle r="3"/></svg>')
    (folder / "text.png").write_text("I am text.\n")
    document = counted(desk, folder)
    kinds = {source["path"]: source["kind"] for source in document["sources"]}
    assert kinds == {**dict.fromkeys(GOOD, "image"), "drawing.svg": "text", "text.png": "text"}
    sizes = {s["path"]: (i["width"], i["height"]) for s in document["sources"] for i in s["images"]}
    assert sizes == {name: size for name, (_, size) in GOOD.items()}  # upright
    skipped = {each["path"]: each["reason"] for each in document["skipped"]}
    assert skipped.keys() == BAD.keys() and all(BAD[name][1] in reason for name, reason in skipped.items())
    turn, prefills = ask(desk, folder)
    assert turn.stop == "length" and turn.error is None and prefills[-1].encoded == len(GOOD)


def scan(at: Path, n_pages: int = _N_PAGES) -> Path:
    pages = [photo(155, 219, seed).convert("L").resize((620, 877)) for seed in range(n_pages)]
    pages[0].save(at, save_all=True, append_images=pages[1:], resolution=75)
    return at


@pytest.mark.slow
def test_a_scan_of_forty_pages(settings: Settings, tmp_path: Path) -> None:
    path = scan(tmp_path / "scan.pdf")
    longdesk = CommandLine(settings.home, settings.model)
    flags = ("--mmproj", settings.mmproj)
    (source,) = longdesk("count", path, *flags, "--json").document["sources"]
    assert source["pages"] == len(source["images"]) == _N_PAGES and source["notes"] == [
        "Pages 1-40 are sent as images."
    ]
    refused = longdesk("ask", path, *flags, "-q", "Q", "--ctx", 6_000)
    assert refused.code == 3 and refused.out == ""
    n_fit = int(refused.err.split(" of the 40 drawn pages of scan.pdf fit")[0].split()[-1])
    assert f"(--draw-pages 1-{n_fit})" in refused.err and 10 < n_fit < 20
    wanted = (path, *flags, "--ctx", 6_000, "--draw-pages")
    assert longdesk("plan", *wanted, f"1-{n_fit}").code == 0
    assert longdesk("plan", *wanted, f"1-{n_fit + 2}").code == 3
    run = longdesk("ask", *wanted, "2-3,7", "-q", "Q", "--max-tokens", 2, "--json")
    assert run.answer["encoded"] == 3 and run.answer["stop"] == "length"
    done = [(event["encoded"], event["done"]) for event in run.events if event["event"] == "prefill"]
    assert {1, 2, 3} <= {encoded for encoded, _ in done} and done == sorted(done)  # page by page


def mixed(at: Path) -> Path:
    """Two pages of text with a scanned one between them."""
    canvas = Canvas(str(at), pagesize=(595, 842))
    for page in range(3):
        if page == 1:
            canvas.drawImage(ImageReader(photo(310, 438)), 0, 0, 595, 842)
        else:
            canvas.drawString(72, 720, f"The text of page {page + 1} of three, and some more of it.")
        canvas.showPage()
    canvas.save()
    return at


@pytest.mark.slow
def test_text_and_scanned_pages_go_together(settings: Settings, tmp_path: Path) -> None:
    path = mixed(tmp_path / "mixed.pdf")
    for draw_pages, drawn in (("bare", [2]), ("all", [1, 2, 3]), ("1", [1]), ("2-99", [2, 3])):
        desk = Desk(Settings(**{**vars_of(settings), "draw_pages": draw_pages}))
        (source,) = counted(desk, path)["sources"]
        assert [image["page"] for image in source["images"]] == drawn and source["pages"] == 3
        if draw_pages == "all":
            turn, prefills = ask(desk, path)
            assert turn.error is None and prefills[-1].encoded == 3
        if draw_pages == "1":
            assert "Page 2 has no text." in source["notes"]
        desk.close()


@pytest.mark.slow
def test_a_session_is_told_which_pages_it_does_not_send_any_more(settings: Settings, tmp_path: Path) -> None:
    desk = Desk(settings)
    turn, _ = ask(desk, mixed(tmp_path / "mixed.pdf"), scan(tmp_path / "scan.pdf", 7))
    session = turn.session_id
    with pytest.raises(UsageError, match=r"--draw-pages 77 names no page of any of the 2 files with pages\."):
        desk.draw_pages(session, "77")
    assert desk.draw_pages(session, "1-7") == ()
    assert desk.draw_pages(session, "5-7") == (
        "mixed.pdf: Page 2 has no text.", "scan.pdf: Pages 1-4 have no text."
    )  # fmt: skip
    desk.draw_pages(session, "bare")
    sentences = desk.draw_pages(session, "bare:2-3")
    assert sentences == ("scan.pdf: Pages 1, 4-7 have no text.",)
    desk.close()
    longdesk = CommandLine(settings.home, settings.model)
    flags = ("--mmproj", settings.mmproj, "-q", "Q", "--max-tokens", 2)
    refused = longdesk("ask", "--session", session, "--draw-pages", 77, *flags)
    assert refused.code == 2 and refused.err.count("\n") == 1 and "names no page" in refused.err
    told = longdesk("ask", "--session", session, "--draw-pages", 1, *flags)
    assert told.code == 0 and "mixed.pdf: Page 2 has no text." in told.err.splitlines()


def vars_of(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in Settings.__slots__}


def test_an_encrypted_scan_is_refused(desk: Desk, tmp_path: Path) -> None:
    writer = PdfWriter(clone_from=scan(tmp_path / "scan.pdf", 2))
    writer.encrypt("password", algorithm="AES-256")
    writer.write(tmp_path / "secret.pdf")
    (skipped,) = desk.read([tmp_path / "secret.pdf"]).skipped
    assert "password" in skipped.reason


@pytest.mark.slow  # 1.5 s
def test_a_scan_that_does_not_fit_with_nothing_to_leave_out(settings: Settings, tmp_path: Path) -> None:
    desk = Desk(Settings(**{**vars_of(settings), "n_ctx": 300, "reply_tokens": 100}))
    with pytest.raises(DoesNotFit) as refused:
        ask(desk, scan(tmp_path / "scan.pdf", 3))
    assert "fit: send" not in str(refused.value)
    desk.close()


@pytest.mark.slow  # 3.0 s
def test_hundreds_of_pages_and_images_are_counted_at_once(desk: Desk, tmp_path: Path) -> None:
    scan(tmp_path / "scan.pdf", 200)
    for seed in range(200):
        photo(20, 10 + seed % 7, seed).save(tmp_path / f"{seed}.png")
    count: Count = desk.count(desk.read([tmp_path]))
    assert sum(len(document.shown) for document in count.documents) == 400


def absurd(source: Path, path: Path) -> Path:
    """A whole projector, but for an epsilon that llama.cpp breaks off on when it first encodes."""
    shutil.copyfile(source, path)
    reader = gguf.GGUFReader(path, "r+")
    field = reader.fields["clip.vision.attention.layer_norm_epsilon"]
    field.parts[field.data[0]][0] = -1.0
    reader.data.flush()
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda at: broken.garbage(at), "not a GGUF"),
        (lambda at: broken.truncated(cached("mmproj", projector="gemma3"), at, 0.5), "cut short"),
        (lambda at: build("mmproj", at, projector="gemma3", n_embd_text=96), "does not belong"),
        (lambda at: Path(shutil.copyfile(cached("llama"), at)), "no vision projector"),
        (lambda at: at, "no projector file"),
    ],
    ids=["garbage", "cut", "another width", "a model", "missing"],
)
def test_a_named_projector_that_cannot_serve_is_refused(
    make: Callable[[Path], Path], words: str, settings: Settings, tmp_path: Path
) -> None:
    desk = Desk(Settings(**{**vars_of(settings), "mmproj": make(tmp_path / "mmproj.gguf")}))
    with pytest.raises(ModelRefused, match=words):
        desk.backend()
    desk.close()


def test_a_projector_beside_that_cannot_serve_is_said(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copyfile(cached("llama"), folder / "llama.gguf")
    shutil.copyfile(cached("mmproj", projector="gemma3"), folder / "mmproj-gemma.gguf")
    photo(20, 20).save(tmp_path / "image.png")
    desk = Desk(Settings(home=settings.home, model=str(folder / "llama.gguf")))
    (skipped,) = counted(desk, tmp_path / "image.png")["skipped"]
    assert (
        "mmproj-gemma.gguf lies beside it, but the mmproj is of the kind gemma3, the model a llama" in skipped["reason"]
    )
    desk.close()


@pytest.mark.slow  # 4.2 s
def test_a_projector_that_crashes_llama_cpp_ends_one_turn_and_no_more(settings: Settings, tmp_path: Path) -> None:
    photo(20, 20).save(tmp_path / "image.png")
    mmproj = absurd(cached("mmproj", projector="gemma3"), tmp_path / "mmproj.gguf")
    desk = Desk(Settings(**{**vars_of(settings), "mmproj": mmproj}))
    turn, _ = ask(desk, tmp_path / "image.png")
    assert turn.stop == "error" and "SIGABRT" in (turn.error or "")
    assert "the projector mmproj.gguf is one that llama.cpp cannot run" in (turn.error or "")
    assert "--mmproj" in (turn.error or "") and "model file" not in (turn.error or "")
    shutil.copyfile(cached("mmproj", projector="gemma3"), mmproj)
    desk.close()
    desk = Desk(Settings(**{**vars_of(settings), "mmproj": mmproj}))
    *_, again = desk.ask(Question(text="Again", session=turn.session_id), cancel=Flag())
    assert isinstance(again, Answered) and again.turn.stop == "length"
    desk.close()
