"""What users really drop in: each a clear sentence and the right exit code, never a traceback, and the rest is read."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pypdf import PdfWriter

from tests.command_line import CommandLine
from tests.models import broken
from tests.pdfs import written


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", llama_gguf)


def pdf(path: Path, *pages: str) -> Path:
    path.write_bytes(written(*pages))
    return path


def empty_folder(at: Path) -> Path:
    at.mkdir()
    return at


def folder_of_binaries(at: Path) -> Path:
    at.mkdir()
    for number in range(3):
        (at / f"{number}.bin").write_bytes(bytes(range(256)))
    return at


def encrypted_pdf(at: Path) -> Path:
    writer = PdfWriter(clone_from=pdf(at.with_name("plain.pdf"), "a secret"))
    writer.encrypt("password", algorithm="AES-256")
    writer.write(at.with_suffix(".pdf"))
    return at.with_suffix(".pdf")


def broken_pdf(at: Path) -> Path:
    whole = pdf(at.with_name("whole.pdf"), "cut in the middle").read_bytes()
    at.with_suffix(".pdf").write_bytes(whole[: len(whole) // 2])
    return at.with_suffix(".pdf")


def zip_that_climbs_out(at: Path) -> Path:
    with zipfile.ZipFile(at.with_suffix(".zip"), "w") as archive:
        archive.writestr("../../outside.txt", "gotcha")
    return at.with_suffix(".zip")


def zip_bomb(at: Path) -> Path:
    with zipfile.ZipFile(at.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", b"0" * (64 << 20))
    return at.with_suffix(".zip")


def empty_file(at: Path) -> Path:
    at.touch()
    return at


def two_gigabytes(at: Path) -> Path:
    at.touch()
    os.truncate(at, 2 << 30)
    return at


def broken_zip(at: Path) -> Path:
    at.with_suffix(".zip").write_bytes(b"PK\x03\x04" + os.urandom(500))
    return at.with_suffix(".zip")


REFUSED: list[tuple[Callable[[Path], Path], str]] = [
    (empty_folder, "no files"),
    (folder_of_binaries, "not text"),
    (encrypted_pdf, "password"),
    (broken_pdf, ""),
    (zip_that_climbs_out, "outside.txt"),
    (zip_bomb, "zeros.txt"),
    (empty_file, "0 bytes"),
    (two_gigabytes, "2.0 GiB"),
    (broken_zip, ""),
]


@pytest.mark.slow  # 2.3 s
@pytest.mark.parametrize(("make", "telling"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
@pytest.mark.parametrize("command", ["count", "ask"])
def test_alone_it_is_refused_with_a_sentence(
    longdesk: CommandLine, tmp_path: Path, make: Callable[[Path], Path], telling: str, command: str
) -> None:
    path = make(tmp_path / "ugly")
    run = longdesk(command, path, *(("-q", "Q", "--max-tokens", 2) if command == "ask" else ()))
    assert run.code == 4 and run.out == "" and telling in run.err
    assert run.err.count("\n") == 1 and run.err.rstrip().endswith(".")


@pytest.mark.slow  # 2.8 s
def test_all_of_it_beside_good_files_costs_nothing_but_a_line_each(longdesk: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "good.txt").write_text("good\n")
    made = [make(folder / make.__name__).name for make, _ in REFUSED if make is not empty_folder]
    document = longdesk("count", folder, "--json").document
    read = {source["path"] for source in document["sources"]}
    skipped = {entry["path"].split("/")[0]: entry["reason"] for entry in document["skipped"]}
    assert read == {"good.txt", "plain.pdf", "whole.pdf"}
    assert set(made) <= skipped.keys() and all(len(reason) > 5 for reason in skipped.values())


@pytest.mark.slow  # 1.6 s
def test_a_missing_path_is_a_usage_error(longdesk: CommandLine, tmp_path: Path) -> None:
    run = longdesk("count", tmp_path / "nowhere")
    assert run.code == 2 and "nowhere" in run.err and run.out == ""


@pytest.mark.slow  # 1.7 s
@pytest.mark.parametrize(
    ("make", "telling"),
    [
        (lambda good, at: broken.truncated(good, at, 0.5), "cut short"),
        (broken.cut_header, "cut short"),
        (broken.wrong_magic, "not a GGUF"),
        (lambda good, at: broken.with_f64_tensor(at), "F64"),
        (lambda good, at: broken.garbage(at), "not a GGUF"),
        (lambda good, at: broken.empty(at), "empty"),
        (lambda good, at: empty_folder(at), "folder"),
        (lambda good, at: at, "no model file"),
    ],
    ids=["truncated", "cut header", "wrong magic", "F64", "garbage", "empty", "folder", "missing"],
)
@pytest.mark.parametrize("command", ["count", "plan", "ask"])
def test_a_model_file_that_cannot_run_is_refused_from_its_header(
    longdesk: CommandLine,
    tmp_path: Path,
    llama_gguf: Path,
    make: Callable[[Path, Path], Path],
    telling: str,
    command: str,
) -> None:
    model = make(llama_gguf, tmp_path / "ugly.gguf")
    text = tmp_path / "good.txt"
    text.write_text("good\n")
    run = longdesk(command, text, *(("-q", "Q") if command == "ask" else ()), "--model", model)
    assert run.code == 4 and telling in run.err and run.out == ""


@pytest.mark.slow  # 4.4 s
@pytest.mark.parametrize("when", ["load", "context"])
def test_a_model_that_llama_cpp_breaks_off_on_is_refused_before_anything_begins(
    longdesk: CommandLine, tmp_path: Path, when: str
) -> None:
    model = broken.crashing(tmp_path / "crashing.gguf", when)  # type: ignore[arg-type]
    text = tmp_path / "good.txt"
    text.write_text("good\n")
    for command in (("plan",), ("ask", text, "-q", "Q")):
        run = longdesk(*command, "--model", model)
        assert run.code == 4 and "llama.cpp breaks off on" in run.err and "GGML_ASSERT" in run.err and not run.out
    assert longdesk("sessions", "list", "--json").document == {"sessions": []}


@pytest.mark.slow  # 5.4 s
def test_a_model_that_crashes_llama_cpp_later_is_a_failure_and_the_session_stays(
    longdesk: CommandLine, tmp_path: Path
) -> None:
    model = broken.crashing(tmp_path / "crashing.gguf", "decode")
    text = tmp_path / "good.txt"
    text.write_text("good\n")
    run = longdesk("ask", text, "-q", "Q", "--max-tokens", 2, "--model", model, "--json")
    assert run.code == 1 and "engine" in run.err
    assert run.answer["stop"] == "error" and run.answer["error"]
    shown = longdesk("sessions", "show", run.answer["session"], "--json").document
    assert shown["turns"][0]["stop"] == "error"
    good = longdesk("ask", "--session", run.answer["session"], "-q", "Q", "--max-tokens", 2, "--model", longdesk.model)
    assert good.code == 0
