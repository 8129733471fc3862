"""Answers that have to be ended: a model that goes round in circles, and one that computes no numbers. On real ones."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from app.desk import Desk
from app.question import Answered, Notice, Question
from app.settings import Settings
from engine.backend import Corpus, Source
from storage.records import Turn
from tests.models.families import CHATML
from tests.models.scripted import build_scripted

SCRIPT = ["Hello", " there", ",", " my", " old", " friend", " of", " mine", "."]
SOURCE = Source.written("a.txt", "Apples are red, and so on. " * 60)
NewDesk = Callable[..., Desk]


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[NewDesk]:
    made: list[Desk] = []

    def build(*, quotes: bool = False, **options: Any) -> Desk:
        model = build_scripted(tmp_path / "m.gguf", SCRIPT, template=CHATML, **options)
        settings = Settings(home=tmp_path / "home", model=str(model), n_threads=1, quotes=quotes)
        made.append(Desk(settings))
        return made[-1]

    yield build
    for desk in made:
        desk.close()


def ask(desk: Desk, text: str, **asked: Any) -> Turn:
    *_, end = desk.ask(Question(text=text, **asked), cancel=Flag())
    assert isinstance(end, Answered)
    return end.turn


def kept(desk: Desk) -> list[Path]:
    """What is saved: what the index has, and the files that lie there."""
    files = list((desk.settings.home / "snapshots").glob("*.kv"))
    assert sorted(files) == sorted(each.path for each in desk.saved.kept().snapshots)
    return files


@pytest.mark.slow  # loads a model
def test_a_model_that_goes_round_in_circles(new_desk: NewDesk) -> None:
    desk = new_desk(back_to=" there")
    turn = ask(desk, "Why?", corpus=Corpus((SOURCE,)))
    assert turn.stop == "error" and turn.error is not None
    said = re.match(r"The model repeats itself: the same 8 tokens came (\d+) times in a row", turn.error)
    assert said is not None and 96 <= int(said[1]) <= 106, "it is seen within some tokens"
    assert turn.text.startswith("Hello there, my old friend of mine. there, my") and turn.reply_tokens == len(
        turn.reply_ids
    )
    assert 768 <= (turn.reply_tokens or 0) < 850
    assert desk.save() is None and len(kept(desk)) == 1, "what was read is worth keeping"
    more = ask(desk, "More?", session=turn.session_id)
    assert (more.reused_tokens or 0) >= (turn.prompt_tokens or 0)


@pytest.mark.slow  # loads a model
def test_a_model_that_computes_no_numbers_while_it_reads(new_desk: NewDesk) -> None:
    desk = new_desk(spoiled_by="p")
    turn = ask(desk, "Why?", corpus=Corpus((SOURCE,)))
    assert (turn.stop, turn.text) == ("error", "") and turn.error is not None
    assert "After 512 tokens, what the model computes is no number (NaN)" in turn.error, "before all was read"
    assert "Nothing of its KV cache is kept" in turn.error
    desk.save()
    assert kept(desk) == []
    assert desk.engine is not None and desk.engine.gauge is not None and desk.engine.gauge.used == 0


@pytest.mark.slow  # loads a model
def test_a_model_that_computes_no_numbers_only_later(new_desk: NewDesk) -> None:
    desk = new_desk(spoiled_by=" friend")
    turn = ask(desk, "Why?", corpus=Corpus((SOURCE,)))
    assert (turn.stop, turn.text) == ("error", "Hello there, my old friend") and turn.error is not None
    desk.save()
    assert kept(desk) == []
    again = ask(desk, "Why?", session=turn.session_id)
    assert again.stop == "error" and again.reused_tokens == 0 or again.reused_tokens is None


@pytest.mark.slow  # loads a model
def test_what_a_session_has_saved_goes_too(new_desk: NewDesk) -> None:
    desk = new_desk(spoiled_by="Z")
    first = ask(desk, "Why?", corpus=Corpus((SOURCE,)))
    assert first.stop == "end"
    desk.save()
    assert len(kept(desk)) == 1
    other = ask(desk, "Why?", corpus=Corpus((SOURCE,)))
    assert other.stop == "end" and (other.reused_tokens or 0) > 1_000
    spoiled = ask(desk, "Z?", session=first.session_id)
    assert spoiled.stop == "error" and kept(desk) == []
    fine = ask(desk, "And why?", corpus=Corpus((SOURCE,)))
    assert fine.stop == "end" and fine.reused_tokens == 0, "all is read again"


@pytest.mark.slow  # loads a model
@pytest.mark.parametrize("spoiled_by", ["T", "W"])
def test_no_numbers_while_words_are_looked_for(new_desk: NewDesk, spoiled_by: str) -> None:
    """Behind the answer a quote is opened by words that it was not asked with: what they make of the cache is not kept,
    and the answer stays."""
    desk = new_desk(quotes=True, spoiled_by=spoiled_by)
    said = Source.written("a.txt", "Hello there, my old friend of mine. " * 60)
    events = list(desk.ask(Question(text="why?", corpus=Corpus((said,))), cancel=Flag()))
    [turn] = [event.turn for event in events if isinstance(event, Answered)][:1]
    told = [event.text for event in events if isinstance(event, Notice)]
    broke = "The search for words that show the answer broke off: After "
    if spoiled_by == "W":  # no word of what is decoded
        assert turn.stop == "end" and not any(broke in text for text in told)
        return
    assert (turn.stop, turn.text) == ("end", "Hello there, my old friend of mine.")
    assert any(text.startswith(broke) and "is no number (NaN)" in text for text in told), told
    assert desk.save() is None and kept(desk) == []
    assert desk.engine is not None and desk.engine.gauge is not None and desk.engine.gauge.used == 0
    again = ask(desk, "why?", session=turn.session_id)
    assert again.stop == "end" and not again.reused_tokens
