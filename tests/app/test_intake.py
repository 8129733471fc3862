"""What the page takes in: names from a browser, roots, collisions, and bringing back what was skipped."""

import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdf
import pypdfium2
import pytest
from PIL import Image as Pillow
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from app.desk import Desk
from app.intake import Intake
from app.settings import Settings
from app.uploads import safe_parts
from engine.errors import SourceRefused, UsageError
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT


class Sent(BytesIO):
    """An upload."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


def zipped(**files: str) -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_py", ".py").replace("_md", ".md"), text)
    return data.getvalue()


@pytest.fixture
def desk(tmp_path: Path, llama_gguf: Path) -> Iterator[Desk]:
    (tmp_path / "root").mkdir()
    opened = Desk(Settings(home=tmp_path / "home", model=str(llama_gguf), roots=(tmp_path / "root",)))
    yield opened
    opened.close()


@pytest.fixture
def intake(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Intake]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    made = Intake(desk)
    yield made
    made.close()
    assert not list((tmp_path / "uploads").iterdir())  # no copy outlives the process


def add(desk: Desk, intake: Intake, *uploads: Sent, session: str | None = None, exclude: tuple[str, ...] = ()) -> str:
    delivery = intake.read_uploads(uploads, exclude=exclude)
    session = session or desk.begin_session(delivery.title).id
    intake.add(session, delivery)
    return session


def paths(desk: Desk, session: str) -> list[str]:
    return [link.path for link in desk.session(session).links]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.txt", ("a.txt",)),
        ("docs/sub/a.txt", ("docs", "sub", "a.txt")),
        ("../../etc/passwd", ("etc", "passwd")),
        ("/etc/passwd", ("etc", "passwd")),
        ("..\\..\\boot.ini", ("boot.ini",)),
        ("a\0b/./c", ("ab", "c")),
        ("..", ("unnamed",)),
        ("", ("unnamed",)),
        ("x" * 500 + ".py", ("x" * 249 + "\u2026.py",)),
    ],
)
def test_names_from_a_browser_stay_in_their_folder(name: str, parts: tuple[str, ...]) -> None:
    assert safe_parts(name) == parts


def test_files_a_zip_and_a_folder(desk: Desk, intake: Intake) -> None:
    session = add(
        desk,
        intake,
        Sent("a.txt", b"alpha"),
        Sent("code.zip", zipped(src__x_py="x = 1")),
        Sent("../docs/b.txt", b"beta"),
        Sent("../docs/.gitignore", b"*.log\n"),
        Sent("../docs/c.log", b"gamma"),
    )
    assert paths(desk, session) == ["a.txt", "src/x.py", ".gitignore", "b.txt"]
    assert desk.session(session).session.title == "a.txt and 2 more"


def test_two_files_of_one_name_are_both_kept(desk: Desk, intake: Intake) -> None:
    session = add(desk, intake, Sent("a.txt", b"one"), Sent("a.txt", b"two"), Sent("a.txt/b", b"three"))
    texts = {kept.source.text for kept in desk.record(session).sources}
    assert texts == {"one", "two", "three"}


def test_a_second_zip_does_not_replace_the_first_ones_files(desk: Desk, intake: Intake) -> None:
    session = add(desk, intake, Sent("one.zip", zipped(README_md="first", a_py="a = 1")))
    add(desk, intake, Sent("two.zip", zipped(README_md="second", b_py="b = 1")), session=session)
    assert paths(desk, session) == ["README.md", "a.py", "two/README.md", "two/b.py"]
    add(desk, intake, Sent("two.zip", zipped(README_md="changed", b_py="b = 1")), session=session)  # the same again
    kept = {each.source.path: each.source.text for each in desk.record(session).sources}
    assert (kept["README.md"], kept["two/README.md"], len(kept)) == ("first", "changed", 4)


def test_a_single_file_replaces_its_namesake(desk: Desk, intake: Intake) -> None:
    session = add(desk, intake, Sent("a.txt", b"old"))
    add(desk, intake, Sent("a.txt", b"new"), session=session)
    assert [kept.source.text for kept in desk.record(session).sources] == ["new"]


def test_what_was_left_out_is_brought_back(desk: Desk, intake: Intake) -> None:
    files = zipped(a_py="a = 1", node_modules__m_py="m = 1", node_modules__n_py="n = 1")
    session = add(desk, intake, Sent("p.zip", files))
    (skipped,) = desk.session(session).skipped
    assert skipped.path == "node_modules/"
    assert intake.can_bring_back(session, skipped.path)
    intake.add(session, intake.read_back(session, skipped.path))
    assert paths(desk, session) == ["a.py", "node_modules/m.py", "node_modules/n.py"]
    assert not desk.session(session).skipped


def test_bringing_back_outranks_exclude_and_finds_prefixed_paths(desk: Desk, intake: Intake) -> None:
    session = add(desk, intake, Sent("one.zip", zipped(a_py="a = 1", b_py="b = 1")))
    add(desk, intake, Sent("two.zip", zipped(a_py="a = 2", b_py="b = 2")), session=session, exclude=("b.py",))
    assert paths(desk, session) == ["a.py", "b.py", "two/a.py"]
    intake.add(session, intake.read_back(session, "two/b.py"))
    kept = {each.source.path: each.source.text for each in desk.record(session).sources}
    assert (kept["b.py"], kept["two/b.py"]) == ("b = 1", "b = 2")


def test_what_was_read_by_another_process_cannot_be_brought_back(desk: Desk, intake: Intake) -> None:
    session = add(desk, intake, Sent("p.zip", zipped(a_py="a = 1", node_modules__m_py="m = 1")))
    later = Intake(desk)
    assert not later.can_bring_back(session, "node_modules/")
    with pytest.raises(UsageError, match="Add it again"):
        later.add(session, later.read_back(session, "node_modules/"))


def test_nothing_readable_is_refused_without_a_private_path(desk: Desk, intake: Intake) -> None:
    with pytest.raises(SourceRefused) as refused:
        intake.read_uploads([Sent("a.bin", bytes(range(256)) * 9), Sent("b.bin", b"\0\1\2" * 99)])
    assert "longdesk-upload" not in str(refused.value)
    assert "a.bin" in str(refused.value)


def test_a_folder_that_is_given_again_is_the_same_folder(desk: Desk, intake: Intake, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "project"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(name)
    session = desk.begin_session("t").id
    intake.add(session, intake.read_path(str(folder)))
    (folder / "a.txt").write_text("edited")
    (folder / "b.txt").unlink()
    later = Intake(desk)  # the page was started anew
    later.add(session, later.read_path(str(folder)))
    found = [(link.path, link.enabled) for link in desk.session(session).links]
    assert found == [("a.txt", True), ("b.txt", False)]
    other = tmp_path / "root" / "other"
    other.mkdir()
    (other / "a.txt").write_text("edited")
    later.add(session, later.read_path(str(other)))
    assert paths(desk, session) == ["a.txt", "b.txt", "other/a.txt"]


def test_only_the_roots_are_read(desk: Desk, intake: Intake, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in.txt").write_text("inside")
    (tmp_path / "out.txt").write_text("outside")
    (root / "link").symlink_to(tmp_path)
    assert intake.read_path("in.txt").parts[0][1].sources[0].text == "inside"
    assert intake.read_path(str(root / "in.txt")).title == "in.txt"
    for outside in (
        str(tmp_path / "out.txt"),
        "link/out.txt",
        "../out.txt",
        "",
        "/",
        "a\0b",
        str(tmp_path / "rootless"),
    ):
        with pytest.raises(UsageError, match="may not read there"):
            intake.read_path(outside)


def test_a_relative_path_is_looked_for_in_every_root(desk: Desk, tmp_path: Path) -> None:
    for name in ("one", "two", "out"):
        (tmp_path / name / "src").mkdir(parents=True)
        (tmp_path / name / f"{name}.txt").write_text(name)
    (tmp_path / "two" / "src" / "a.txt").write_text("a")
    desk.settings = replace(desk.settings, roots=(tmp_path / "one", tmp_path / "two"))
    intake = Intake(desk)
    assert [intake.read_path(f"{name}.txt").parts[0][1].sources[0].text for name in ("one", "two")] == ["one", "two"]
    assert intake.read_path(str(tmp_path / "two" / "two.txt")).title == "two.txt"
    assert intake.read_path("src/a.txt").title == "a.txt"
    for outside in ("out.txt", "../out/out.txt", "a\0b"):
        with pytest.raises(UsageError):
            intake.read_path(outside)


def pdf_of(*scanned: bool) -> bytes:
    """A PDF with a scan or full of text on each page."""
    file, gray = BytesIO(), BytesIO()
    Pillow.new("L", (310, 438), 200).save(gray, "PNG")
    paper = Canvas(file, pagesize=(595, 842))
    for is_scan in scanned:
        for line in range(0 if is_scan else 60):
            paper.drawString(50, 800 - 12 * line, f"Line {line}: a basket of apples costs {line} euros at the market.")
        if is_scan:
            paper.drawImage(ImageReader(gray), 0, 0, 595, 842)
        paper.showPage()
    paper.save()
    return file.getvalue()


@pytest.mark.slow  # 1.8 s
def test_an_uploaded_pdf_is_opened_once_by_each_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its tokens stand in the prompt, with pages drawn or without: pypdf for its text, PDFium for its looks."""
    opened: list[str] = []

    def count(library: Any, name: str) -> None:
        begin = library.__init__

        def counting(self: Any, *arguments: Any, **options: Any) -> None:
            opened.append(name)
            begin(self, *arguments, **options)

        monkeypatch.setattr(library, "__init__", counting)

    count(pypdf.PdfReader, "pypdf")
    count(pypdfium2.PdfDocument, "PDFium")
    model, projector = cached("scout", **SMALL_SCOUT), cached("mmproj")
    desk = Desk(Settings(home=tmp_path / "home", model=str(model), mmproj=projector))
    with closing(desk), closing(Intake(desk)) as intake:
        for data, drawn in ((pdf_of(False, True, True), [2, 3]), (pdf_of(False, False), [])):
            opened.clear()
            session = add(desk, intake, Sent("it.pdf", data))
            prompt = desk.preview(session).prompt
            assert opened == []  # a process apart does that, see test_parent
            assert [shown.picture.number for shown in prompt.shown] == drawn
            (link,) = desk.session(session).links
            assert link.has_file and [picture.number for picture in link.pictures] == drawn
