"""What opening a model keeps for the next time, and that it is believed only where it is whole."""

import subprocess
from datetime import date
from pathlib import Path

import pytest

from engine.errors import EngineFailed
from engine.local.opened import open_model
from engine.prompt import rendering


def forget() -> None:
    """As another process would begin."""
    rendering._rendered.cache_clear()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The processes that rendered."""
    run, found = subprocess.run, []

    def counting(*arguments: object, **options: object) -> object:
        found.append(arguments)
        return run(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(rendering.subprocess, "run", counting)
    return found


def test_a_template_is_rendered_once_for_all_processes(
    starter_gguf: Path, tmp_path: Path, started: list[object]
) -> None:
    forget()
    first = open_model(starter_gguf, cache=tmp_path).template
    pieces = [first.pieces(1, system=system, today=date(2026, 1, 1)) for system in (True, False)]
    assert len(started) == 1, "the first turns are rendered with the trial"
    forget()
    again = open_model(starter_gguf, cache=tmp_path).template
    assert again == first and len(started) == 1
    assert [again.pieces(1, system=system, today=date(2026, 1, 1)) for system in (True, False)] == pieces
    assert len(started) == 1
    again.pieces(2, system=True, today=date(2026, 1, 1))
    assert len(started) == 2
    forget()


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-9], lambda raw: raw.replace(b"user", b"usar"), lambda raw: b""])
def test_a_spoilt_rendering_is_made_anew(
    spoil: object, starter_gguf: Path, tmp_path: Path, started: list[object]
) -> None:
    forget()
    first = open_model(starter_gguf, cache=tmp_path).template
    (path,) = tmp_path.glob("template-*.json")
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))  # type: ignore[operator]
    forget()
    assert open_model(starter_gguf, cache=tmp_path).template == first
    assert len(started) == 2 and path.read_bytes() == whole
    forget()


def test_a_process_that_failed_is_not_remembered(
    starter_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been the machine that was busy."""
    forget()
    with monkeypatch.context() as patch:
        patch.setattr(rendering, "python_command", lambda module: ["false"])
        with pytest.raises(EngineFailed, match="renders the chat template was ended from outside"):
            open_model(starter_gguf, cache=tmp_path)
    assert not list(tmp_path.glob("template-*"))
    forget()
    assert open_model(starter_gguf, cache=tmp_path).template.name == "model"
    forget()
