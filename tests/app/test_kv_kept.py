"""A session goes on with the KV type that it was asked with, so that what was saved of it is used, until another is
chosen; and it says so."""

from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.question import Notice, Question
from app.session_settings import begun_with
from app.settings import Settings, read_settings
from storage.records import Turn
from tests.models.cache import cached


def turn(kv_type: object) -> Turn:
    return replace(_BLANK, settings={"kv_type": kv_type})


_BLANK = Turn.__new__(Turn)
for each in Turn.__dataclass_fields__:
    object.__setattr__(_BLANK, each, None)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ([], "f16"),
        (["q8_0"], "q8_0"),
        (["q8_0", "q4_0"], "q4_0"),
        (["q8_0", ""], "q8_0"),  # a turn that is older than this
        (["nonsuch"], "f16"),  # a stranger's session may say anything
        ([7], "f16"),
        ([["q8_0"]], "f16"),
    ],
)
def test_the_last_question_that_has_one_says_it(asked: list[object], kept: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    turns, chosen = [turn(each) for each in asked], replace(settings, kv_named=True)
    assert begun_with(settings).with_kv_of(turns, settings).kv_type == kept
    assert begun_with(chosen).with_kv_of(turns, chosen).kv_type == "f16"


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ([("q8_0", "b.gguf")], "f16"),
        ([("q8_0", "a.gguf"), ("q4_0", "b.gguf")], "q8_0"),
        ([("q8_0", "b.gguf"), ("q4_0", "a.gguf"), ("", "http://here/v1")], "q4_0"),
        ([("q8_0", ""), ("q4_0", "b.gguf")], "q8_0"),  # older than that models are told
        ([("q8_0", ["a.gguf"])], "f16"),
    ],
)
def test_what_another_model_was_asked_with_is_not_this_ones(
    asked: list[tuple[str, object]], kept: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, model="a.gguf")
    turns = [replace(_BLANK, settings={"kv_type": kv_type, "model": model}) for kv_type, model in asked]
    assert begun_with(settings).with_kv_of(turns, settings).kv_type == kept


def test_a_model_that_cannot_have_a_sessions_kv_type_is_asked_all_the_same(tmp_path: Path) -> None:
    """llama.cpp quantizes no heads of 16."""
    settings = Settings(home=tmp_path, model=str(cached("llama")), kv_type="q8_0", reply_tokens=2, quotes=False)
    desk = Desk(settings)
    try:
        list(desk.ask(Question(text="One two?"), cancel=Flag()))
        session = desk.sessions()[0].id
        desk.settings = replace(settings, kv_type="f16", model=str(cached("llama", head_dim=16)))
        assert not said(desk, Question(text="And?", session=session))
        assert [each.settings["kv_type"] for each in desk.turns(session)] == ["q8_0", "f16"]
        desk.settings = replace(settings, kv_type="f16")
        assert desk.preview(session, "And?").plan.kv_type == "q8_0"
    finally:
        desk.close()


def test_a_file_of_settings_names_one_for_new_sessions_alone(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('kv_type = "q4_0"\n')
    settings = read_settings({"LONGDESK_HOME": str(tmp_path)})
    assert settings.kv_type == "q4_0"
    assert begun_with(settings).with_kv_of([turn("q8_0")], settings).kv_type == "q8_0"


def said(desk: Desk, question: Question) -> list[str]:
    return [
        event.text for event in desk.ask(question, cancel=Flag()) if isinstance(event, Notice) and "KV" in event.text
    ]


def test_a_follow_up_uses_what_was_saved_and_says_so(tmp_path: Path) -> None:
    path = str(cached("llama", n_ctx_train=131_072))
    settings = Settings(home=tmp_path, model=path, kv_type="q8_0", reply_tokens=4, n_ctx=4_096)
    desk = Desk(settings)
    try:
        assert not said(desk, Question(text="One two three four five six?"))
        session = desk.sessions()[0].id
        desk.settings = replace(settings, kv_type="f16")  # as another run has it
        assert desk.preview(session, "And?").kv_note == (
            "The KV cache stays q8_0, as the session was asked with; the settings say f16."
        )
        assert said(desk, Question(text="And?", session=session)) == [
            "The KV cache stays q8_0, as the session was asked with; the settings say f16."
        ]
        assert [each.settings["kv_type"] for each in desk.turns(session)] == ["q8_0", "q8_0"]
        desk.settings = replace(settings, kv_type="f16", kv_named=True)
        assert said(desk, Question(text="And now?", session=session)) == [
            "The KV cache is f16 from now on: what was kept in q8_0 is not used."
        ]
        assert desk.turns(session)[-1].settings["kv_type"] == "f16"
        desk.settings = replace(settings, kv_type="q4_0")
        assert desk.preview(session, "And?").plan.kv_type == "f16"
    finally:
        desk.close()
