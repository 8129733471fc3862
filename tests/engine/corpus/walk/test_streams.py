"""walk.streams: what comes through a pipe that was named, and files that do not say how large they are."""

import json
import os
import threading
from pathlib import Path

import pytest

from engine.corpus.collect import collect
from engine.corpus.refusing import named_by_hand, refuse_empty
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Corpus
from engine.errors import SourceRefused
from tests.pdfs import written
from tests.zips import Entry, raw_zip

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no fifos there")
PIPES = Rules(pipes=True)


def through_a_fifo(folder: Path, data: bytes, rules: Rules = PIPES, name: str = "pipe") -> Corpus:
    """What is read of a named pipe into which somebody writes."""
    path = folder / name
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    corpus = collect([path], rules)
    writer.join()
    return corpus


def through_a_descriptor(data: bytes, rules: Rules = PIPES) -> Corpus:
    """As a shell does it for <(command)."""
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
        os.close(writing)
        return collect([Path(f"/dev/fd/{reading}")], rules)
    finally:
        os.close(reading)


def test_a_named_pipe_goes_by_its_name_and_is_what_it_holds(tmp_path: Path) -> None:
    (source,) = through_a_fifo(tmp_path, "Größe\n".encode()).sources
    assert (source.path, source.kind, source.text, source.n_bytes) == ("pipe", "text", "Größe\n", 8)
    assert source.origin is None


def test_a_pdf_a_notebook_and_a_zip_through_a_pipe(tmp_path: Path) -> None:
    (source,) = through_a_descriptor(written("The rent is 4,200 a month, payable in advance.")).sources
    assert (source.kind, source.n_pages) == ("pdf", 1) and "4,200" in source.text
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "# Margins"}]
    book = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()
    (source,) = through_a_fifo(tmp_path, book, name="b.ipynb").sources
    assert source.kind == "notebook"
    corpus = through_a_fifo(tmp_path, raw_zip(Entry(name=b"a.txt"), Entry(name=b"yarn.lock")))
    assert [source.path for source in corpus.sources] == ["a.txt"]
    assert [(skipped.path, skipped.reason) for skipped in corpus.skipped] == [("yarn.lock", "a lock file")]


def test_a_document_that_is_a_zip_says_what_it_is(tmp_path: Path) -> None:
    data = raw_zip(Entry(name=b"[Content_Types].xml"), Entry(name=b"word/document.xml"))
    (skipped,) = through_a_fifo(tmp_path, data).skipped
    assert skipped.reason == "a Word document; save it as PDF or text"


def test_a_shells_descriptor_goes_by_the_path_that_was_given() -> None:
    (source,) = through_a_descriptor(b"hello\n").sources
    assert source.path.startswith("dev/fd/") and source.text == "hello\n"
    two = [os.pipe() for _ in range(2)]
    for number, (_, writing) in enumerate(two):
        os.write(writing, f"number {number}\n".encode())
        os.close(writing)
    corpus = collect([Path(f"/dev/fd/{reading}") for reading, _ in two], PIPES)
    assert [source.text for source in corpus.sources] == ["number 0\n", "number 1\n"]
    assert len({source.path for source in corpus.sources}) == 2
    for reading, _ in two:
        os.close(reading)


def test_a_file_behind_a_descriptor_that_is_deleted_is_read(tmp_path: Path) -> None:
    """So bash gives a here document."""
    with open(tmp_path / "a", "w+b") as file:
        file.write(b"hello\n")
        file.flush()
        (tmp_path / "a").unlink()
        assert [source.text for source in collect([Path(f"/dev/fd/{file.fileno()}")], PIPES).sources] == ["hello\n"]


def test_what_is_empty_too_large_excluded_or_binary(tmp_path: Path) -> None:
    (skipped,) = through_a_descriptor(b"").skipped
    assert (skipped.cause, skipped.reason) == (Cause.EMPTY, "0 bytes")
    (skipped,) = through_a_descriptor(b"x" * 5000, Rules(pipes=True, max_text_bytes=400, max_file_bytes=300)).skipped
    assert (skipped.cause, skipped.reason) == (Cause.TOO_LARGE, "more than 400 bytes, which is the limit for a file")
    os.mkfifo(tmp_path / "a.log")
    (skipped,) = collect([tmp_path / "a.log"], Rules(pipes=True, exclude=("*.log",))).skipped  # and is not waited for
    assert skipped.reason == "left out by --exclude *.log"
    corpus = through_a_descriptor(b"\x7fELF\x02\x01" + bytes(99))
    assert [one.reason for one in corpus.skipped] == ["a program or library"]
    with pytest.raises(SourceRefused, match="a program or library"):
        refuse_empty(corpus, [Path("/dev/fd/9")])


def test_one_that_was_named_counts_as_such() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    path = Path(f"/dev/fd/{reading}")
    corpus = collect([path], PIPES)
    os.close(reading)
    assert named_by_hand(corpus.skipped, [path]) == corpus.skipped != ()


def test_a_pipe_in_a_folder_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.txt").write_text("a")
    corpus = collect([tmp_path], PIPES)
    assert [source.path for source in corpus.sources] == ["a.txt"]
    assert [(one.path, one.reason) for one in corpus.skipped] == [
        ("pipe", "not a plain file but a pipe, socket or device")
    ]


def test_where_nobody_can_write_into_it_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (skipped,) = collect([tmp_path / "pipe"]).skipped
    assert skipped.reason == "not a plain file but a pipe, socket or device"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc there")
def test_files_of_0_bytes_that_hold_something() -> None:
    for name in ("/proc/cpuinfo", "/proc/self/status", "/proc/version"):
        assert os.stat(name).st_size == 0
        (source,) = collect([Path(name)]).sources
        assert source.path == Path(name).name and source.n_bytes == len(source.text.encode()) > 0
    (skipped,) = collect([Path("/proc/self/status")], Rules(max_file_bytes=20)).skipped
    assert skipped.reason == "more than 20 bytes, which is the limit for a file"


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="no /proc there")
def test_a_folder_of_files_of_0_bytes() -> None:
    corpus = collect([Path("/proc/self/fdinfo")])
    assert corpus.sources and all(source.text.startswith("pos:") for source in corpus.sources)


def test_a_folder_behind_a_descriptor_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    corpus = collect([Path(f"/dev/fd/{descriptor}")], PIPES)
    os.close(descriptor)
    assert [source.path for source in corpus.sources] == ["a.txt"]
