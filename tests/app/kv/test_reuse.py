"""What of a prompt need not be read is found once a question: counted, over a tiny real model."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.kv import reuse
from app.kv.reuse import SavedCaches
from app.question import Answered, Question
from app.settings import Settings
from engine.backend import Text
from engine.memory.fingerprint import Contents
from engine.runtime import state_file
from storage.snapshots import Snapshots

_opened: Counter[str] = Counter()
_listening = False


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _listening and event == "open" and str(arguments[0]).endswith(".kv"):
        _opened[Path(str(arguments[0])).name] += 1


sys.addaudithook(_hear)  # which stays: there is no way to take one off again


@contextmanager
def listening() -> Iterator[Counter[str]]:
    """How often each file of a saved KV cache is opened in this process meanwhile."""
    global _listening
    _opened.clear()
    _listening = True
    try:
        yield _opened
    finally:
        _listening = False


@pytest.fixture
def settings(tmp_path: Path, llama_gguf: Path) -> Settings:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text("".join(f"part {number}, line {line}\n" for line in range(60)))
    return Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=8)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the disk is asked, a binding is made, the model is identified."""
    calls: Counter[str] = Counter()
    for name, owner, attribute in (
        ("matches", Snapshots, "matches"),
        ("identify", Contents, "identify"),
        ("find", SavedCaches, "find"),
        ("binding", reuse, "binding_of"),
        ("promise", reuse, "promise"),
    ):
        real = getattr(owner, attribute)

        def count(*what: object, _real: object = real, _name: str = name, **how: object) -> object:
            calls[_name] += 1
            return _real(*what, **how)  # type: ignore[operator]

        monkeypatch.setattr(owner, attribute, count)
    return calls


def until_text(desk: Desk, question: Question, counted: Counter[str]) -> tuple[Counter[str], Answered]:
    """What was asked until the first text, and how it ended."""
    counted.clear()
    before = None
    for event in desk.ask(question, cancel=Flag()):
        if isinstance(event, Text) and before is None:
            before = counted.copy()
    assert isinstance(event, Answered) and before is not None
    return before, event


@pytest.mark.slow  # 2.6 s
def test_a_question_looks_once(settings: Settings, tmp_path: Path, counted: Counter[str]) -> None:
    """A follow-up, a new session on the same files, and both after a restart."""
    desk = Desk(settings)
    read = desk.read([tmp_path / "corpus"])
    _, first = until_text(desk, Question(text="Which?", corpus=read), counted)
    desk.save()
    questions = [Question(text="And now?", session=first.turn.session_id), Question(text="Who?", corpus=read)]
    for again in (False, True):
        if again:
            desk.close()
            desk = Desk(settings)
        for question in questions:
            with listening() as opened:
                asked, end = until_text(desk, question, counted)
            saves = asked["matches"] - 1  # where what the engine holds is saved before it turns to another session
            assert asked["identify"] == asked["find"] == asked["binding"] == 1, (question.text, asked)
            assert saves <= 2 and (end.turn.reused_tokens or 0) > 0
            assert not opened or max(opened.values()) == 1, opened
            assert len(opened) == asked["promise"]
    desk.close()


@pytest.mark.slow  # 1.4 s
def test_a_state_file_is_opened_once_for_its_promise(settings: Settings, tmp_path: Path) -> None:
    desk = Desk(settings)
    *_, end = desk.ask(Question(text="Which?", corpus=desk.read([tmp_path / "corpus"])), cancel=Flag())
    assert isinstance(end, Answered)
    desk.close()
    (path,) = (settings.home / "snapshots").glob("*.kv")
    manifest, ids = state_file.read_manifest(path), state_file.read_state_ids(path)
    assert isinstance(manifest, state_file.Manifest) and ids is not None
    shape = reuse.shape_of(Desk(settings)._engines.local.card(settings.model), swa_full=False)
    with listening() as opened:
        kept = state_file.promise(path, ids, manifest.binding, shape)
    assert isinstance(kept, state_file.Promise) and kept.n_tokens == len(ids) - 1 and opened == {path.name: 1}
