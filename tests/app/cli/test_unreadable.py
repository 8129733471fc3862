"""What cannot be read is skipped, or refused with 4; a call that is off is refused with 2. All in this process."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from app import cli as command_line
from app.cli.options import Projector
from tests.engine.corpus.formats.pdf_builder import build, many

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, llama_gguf: Path) -> Run:
    """A command with the tiny model; its exit code."""
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGDESK_MODEL", str(llama_gguf))

    def running(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["longdesk", *map(str, arguments)])
        return command_line._run()

    return running


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of what nobody may open: the tests may run as root, who may."""
    names: set[str] = set()
    real_open, real_access = os.open, os.access

    def opening(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not isinstance(path, int) and os.path.basename(os.fspath(path)) in names:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(path, flags, mode, dir_fd=dir_fd)

    def access(path: str, mode: int, **more: bool) -> bool:
        return os.path.basename(os.fspath(path)) not in names and real_access(path, mode, **more)

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "access", access)
    return names


@pytest.mark.parametrize("command", ["count", "plan"])
@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_what_may_not_be_read_is_refused_with_4_and_skipped_beside_others(
    tmp_path: Path, run: Run, closed: set[str], capsys: pytest.CaptureFixture[str], command: str, what: str
) -> None:
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "shut").write_text("shut") if what == "a file" else (tmp_path / "shut").mkdir()
    closed.add("shut")
    assert run(command, tmp_path / "shut") == 4
    told = capsys.readouterr().err
    assert "no permission to read it" in told and "Usage" not in told
    assert run(command, tmp_path / "good.txt", tmp_path / "shut") == 0


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ELOOP, errno.EACCES, errno.EISDIR, errno.ENOMEM])
def test_whatever_the_system_says_of_a_file_the_others_are_read(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    for name in ("bad.txt", "good.txt"):
        (tmp_path / name).write_text(name)
    real_open = os.open

    def opening(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not isinstance(path, int) and os.path.basename(os.fspath(path)) == "bad.txt":
            raise OSError(code, os.strerror(code))
        return real_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opening)
    for given in ([tmp_path / "bad.txt", tmp_path / "good.txt"], [tmp_path]):
        assert run("count", *given, "--exclude", "home") == 0
        out = capsys.readouterr().out
        assert "  good.txt" in out and "  bad.txt: " in out
    assert run("count", tmp_path / "bad.txt") == 4


def test_a_link_in_a_circle_a_device_and_a_socket_are_refused_with_4(tmp_path: Path, run: Run) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "loop", "/dev/null"):
        assert run("count", path) == 4


def test_a_path_that_is_not_there_is_a_call_that_is_off(tmp_path: Path, run: Run) -> None:
    (tmp_path / "to nowhere").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "nowhere", tmp_path / "to nowhere", "x" * 300, "--no-such-option"):
        assert run("count", path) == 2


PROJECTORS = ("nowhere", "x" * 300, ".", "shut", "words.txt", "pipe", "loop")


def test_a_projector_that_cannot_be_used_is_refused_with_4(
    tmp_path: Path, run: Run, closed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("words.txt", "shut"):
        Path(name).write_text("words")
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    closed.add("shut")
    real_open = Path.open

    def opening(path: Path, *given: str, **more: object) -> object:
        if path.name in closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(path, *given, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", opening)
    for projector in PROJECTORS:
        for command in (("count", "words.txt"), ("plan",)):
            assert run(*command, "--mmproj", projector) == 4, (command, projector)


def test_no_option_of_a_path_asks_whether_it_can_be_read() -> None:
    """click would answer with a code of its own. `up` reads no file of a corpus before its page is open."""
    asking = []
    for name in command_line.COMMANDS.keys() - {"up"}:
        command = command_line.cli.get_command(click.Context(command_line.cli), name)
        below = command.commands.values() if isinstance(command, click.Group) else [command]
        asking += [
            (each.name, parameter.name)
            for each in below
            if each is not None
            for parameter in each.params
            if isinstance(parameter.type, click.Path) and parameter.type.readable and not _is_written(parameter)
        ]
    assert asking == [] and not Projector().readable


def _is_written(parameter: click.Parameter) -> bool:
    return parameter.name in ("out", "ca_file")


@pytest.mark.parametrize("pages", ["50", "bare:50", "4-9", "99999999999999999999"])
@pytest.mark.parametrize("given", [("a.pdf",), ("a.pdf", "words.txt"), ("words.txt",), (".",)])
def test_pages_that_no_file_has_are_refused_with_2(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, pages: str, given: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pdf").write_bytes(build(many(3)))
    Path("words.txt").write_text("words")
    assert run("count", *given, "--draw-pages", pages, "--exclude", "home") == 2


@pytest.mark.parametrize("pages", ["all", "bare", "2", "2-50", "bare:3"])
def test_pages_that_a_file_has_are_not(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, pages: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pdf").write_bytes(build(many(3)))
    Path("words.txt").write_text("words")
    assert run("count", "a.pdf", "words.txt", "--draw-pages", pages) == 0


def test_pages_of_the_settings_are_for_the_files_that_have_some(tmp_path: Path, run: Run) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text('draw_pages = "2-3"\n')
    (tmp_path / "words.txt").write_text("words")
    assert run("count", tmp_path / "words.txt") == 0
