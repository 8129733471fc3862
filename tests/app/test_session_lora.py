"""A session goes on with the LoRA adapters that it was begun with, whatever is set later, until others are named."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from app.cli.desk import take_up
from app.desk import Desk
from app.exchange.document import export_document, to_bytes
from app.exchange.reading import read_export
from app.next_turn import notices_of, prepare
from app.session_settings import begun_with, kept_lora
from app.settings import Settings
from engine.errors import InputRefused, ModelRefused
from engine.memory.lora import Lora, in_words
from storage.records import Session
from tests.models.lora import build_lora


@pytest.fixture
def settings(tmp_path: Path, llama_gguf: Path) -> Settings:
    return Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=4, quotes=False)


@pytest.fixture
def adapter(tmp_path: Path, llama_gguf: Path) -> Path:
    return build_lora(tmp_path / "tone.gguf", llama_gguf)


@pytest.fixture
def desk(settings: Settings, adapter: Path) -> Generator[Desk, None, None]:
    """Without one now; its home has a session that was begun with the adapter."""
    with closing(Desk(replace(settings, lora=(Lora(adapter, 0.5),)))) as before:
        before.begin_session("toned")
    with closing(Desk(settings)) as desk:
        yield desk


def session_of(desk: Desk) -> Session:
    [one] = desk.sessions()
    return desk.session(one.id).session


def applied(desk: Desk, session: Session | None = None) -> list[tuple[str, float]]:
    origin = desk.about(session).origin
    assert origin is not None
    return [(Path(path).name, scale) for path, scale, _ in origin.lora]


def test_it_goes_on_with_its_own(desk: Desk) -> None:
    assert applied(desk, session_of(desk)) == [("tone.gguf", 0.5)] and applied(desk) == []
    assert applied(desk, desk.begin_session("plain")) == []


def test_one_that_was_begun_without_stays_so(desk: Desk, adapter: Path) -> None:
    plain = desk.begin_session("plain")
    desk.settings = replace(desk.settings, lora=(Lora(adapter),))
    assert applied(desk, plain) == [] and applied(desk) == [("tone.gguf", 1.0)]


def test_one_that_is_older_takes_what_is_set(settings: Settings, adapter: Path) -> None:
    old = SimpleNamespace(settings={"max_tiles": 9})
    [kept] = kept_lora(cast(Session, old), replace(settings, lora=(Lora(adapter),)), settings.model)
    assert (kept.path, kept.model) == (adapter, settings.model)


def test_others_are_taken_where_they_are_named(
    desk: Desk, adapter: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, llama_gguf: Path
) -> None:
    session, other = session_of(desk), build_lora(tmp_path / "other.gguf", llama_gguf, seed=3)
    take_up(desk, session.id, keeps_model=False, keeps_template=False, keeps_lora=False)
    assert desk.settings.lora == (Lora(adapter, 0.5, desk.settings.model),) and not capsys.readouterr().err
    desk.settings = replace(desk.settings, lora=(Lora(other),))
    take_up(desk, session.id, keeps_model=False, keeps_template=False, keeps_lora=True)
    said = "From now on the session is asked with LoRA other.gguf, in place of LoRA tone.gguf at 0.5."
    assert capsys.readouterr().err == f"{said}\n" and applied(desk, session_of(desk)) == [("other.gguf", 1.0)]
    desk.settings = replace(desk.settings, lora=())  # --lora none
    take_up(desk, session.id, keeps_model=False, keeps_template=False, keeps_lora=True)
    assert "is asked with no LoRA, in place of LoRA other.gguf" in capsys.readouterr().err
    assert applied(desk, session_of(desk)) == []


def test_one_that_went_away_is_a_sentence(desk: Desk, adapter: Path) -> None:
    adapter.unlink()
    with pytest.raises(ModelRefused, match=r"There is no LoRA adapter at .*tone.gguf.*--lora none"):
        desk.about(session_of(desk))
    assert desk.choose_lora(session_of(desk).id, ()) is not None and applied(desk, session_of(desk)) == []


def test_another_model_is_asked_without_and_that_is_said(desk: Desk, settings: Settings, gemma3_gguf: Path) -> None:
    session = session_of(desk)
    desk.use_model(str(gemma3_gguf))
    backend = desk.backend(session=session)
    turn = prepare(session, "Why?", store=desk._store, backend=backend, settings=desk.settings)
    said = list(notices_of(turn, "Why?", backend, desk.settings))
    assert "The session's LoRA tone.gguf at 0.5 goes with another model, and is left out." in said
    assert desk.settings_of(session).lora == ()


def test_an_export_takes_them_along(desk: Desk, adapter: Path) -> None:
    document = export_document(desk.record(session_of(desk).id), max_tiles=9)
    read = read_export(to_bytes(document)).session
    assert read.settings["lora"] == [[str(adapter), 0.5, desk.settings.model]]
    for bad in ("x", [["a"]], [[1, 2, 3, 4]], [["a", "b", "c"]]):
        document["settings"]["lora"] = bad
        with pytest.raises(InputRefused):
            read_export(to_bytes(document))


def test_words(tmp_path: Path) -> None:
    assert in_words(()) == "no LoRA" and in_words((Lora(tmp_path / "a.gguf"),)) == "LoRA a.gguf"
    assert in_words((Lora(tmp_path / "a.gguf", 0.5), Lora(tmp_path / "b.gguf"))) == "LoRA a.gguf at 0.5 and b.gguf"
    assert begun_with(Settings(home=tmp_path)).to_json("lora") == {"lora": []}
