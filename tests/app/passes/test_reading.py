"""A corpus in passes, through Desk: each source once, nothing that was read is lost, and what changed alone is read
again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from app.checking_again import verify_session
from app.desk import Desk
from app.passes.given import read_line
from app.passes.planning import most_tokens
from app.question import Answered, DeskEvent, Notice, Passes, Passing, Question
from app.settings import Settings
from engine.answer.citations import Status
from engine.backend import Corpus, Picture, Quotes, QuoteState, Source, Wanted
from engine.errors import DoesNotFit
from storage.records import Turn
from tests.app.passes.noting_backend import NotingBackend

QUESTION = "How long are the piers?"
NewDesk = Callable[..., tuple[Desk, NotingBackend]]


def pier(number: int, *, length: int | None = None, words: int = 100) -> Source:
    start = f"Pier {number} is {length or number + 30} metres long"
    return Source.written(f"piers/{number:02}.md", f"{start}. {' '.join(f'w{number}x{at}' for at in range(words))}\n")


def piers(number: int = 6, **known: Any) -> Corpus:
    return Corpus(tuple(pier(at, **known) for at in range(number)))


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[NewDesk]:
    desks = []

    def build(settings: dict[str, Any] | None = None, **known: Any) -> tuple[Desk, NotingBackend]:
        backend = NotingBackend(**known)
        own = Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=50)
        desks.append(Desk(replace(own, **(settings or {})), backend=backend))
        return desks[-1], backend

    yield build
    for desk in desks:
        desk.close()


def heard(desk: Desk, cancel: Flag | None = None, *, text: str = QUESTION, **known: Any) -> list[DeskEvent]:
    asked = Question(**{"text": text, "in_passes": True, "pass_tokens": 250, **known})
    return list(desk.ask(asked, cancel=cancel or Flag()))


def over(events: Sequence[DeskEvent]) -> list[Passing]:
    return [event for event in events if isinstance(event, Passing) and event.note is not None]


def last(events: Sequence[DeskEvent]) -> Turn:
    return [event for event in events if isinstance(event, Answered)][-1].turn


def test_every_source_is_read_once_and_the_answer_says_so(new_desk: NewDesk) -> None:
    desk, backend = new_desk(answer=lambda question: "They are long.", shows=lambda fact: fact)
    events = heard(desk, corpus=piers())
    [plan] = [event for event in events if isinstance(event, Passes)]
    turn, passes = last(events), over(events)
    assert plan.n_sources == 6 and len(plan.tokens) == len(passes) == 3 and max(plan.tokens) <= 250
    assert sorted(path for read in backend.read[:3] for path in read) == [f"piers/{at:02}.md" for at in range(6)]
    assert [(each.n_facts, each.n_shown, each.kept) for each in passes] == [(2, 2, False)] * 3
    assert (turn.text, turn.stop) == ("They are long.", "end")
    assert read_line(turn.receipt) == "read in 3 passes, 6 of 6 sources, each once"
    assert turn.receipt is not None and [source["path"] for source in turn.receipt["sources"]] == sorted(
        source["path"] for source in turn.receipt["sources"]
    )
    assert all(
        fact["citation"]["status"] == "verified" for fact in turn.receipt["passes"]["slices"][1]["note"]["facts"]
    )
    checked = verify_session(desk.record(turn.session_id), lambda model: backend)
    assert (checked.faults, checked.unchecked) == (
        [],
        ["Question 1: its prompt was not laid out again; Fake is not a file on this machine."],
    )
    assert (checked.n_passes, checked.n_sources, checked.n_citations) == (3, 6, 6)


def test_an_answers_citations_are_places_in_the_sources(new_desk: NewDesk) -> None:
    desk, _ = new_desk(answer=lambda question: "Pier 4 is 34 metres long.", shows=lambda fact: fact.removesuffix("."))
    events = heard(desk, corpus=piers())
    turn = desk.turns(last(events).session_id)[-1]
    [citation] = turn.citations or ()
    assert (citation.status, citation.path, citation.lines) == (Status.VERIFIED, "piers/04.md", (1, 1))


@pytest.mark.parametrize("known", [{"goes_on": 0, "text": ""}, {"beside": 0, "text": ""}, {}])
def test_stop_keeps_what_was_noted_and_going_on_goes_on(new_desk: NewDesk, known: dict[str, Any]) -> None:
    desk, backend = new_desk()
    cancel = Flag()
    backend.before = lambda case: cancel.set() if len(backend.asked) == 3 else None
    stopped = last(heard(desk, cancel, corpus=piers()))
    assert (stopped.stop, stopped.text) == ("cancelled", "") and len(backend.asked) == 3
    events = heard(desk, session=stopped.session_id, **known)
    assert [each.kept for each in over(events)] == [True, True, False] and last(events).stop == "end"
    assert read_line(last(events).receipt) == "read in 3 passes, 6 of 6 sources, each once"


def test_a_turn_that_is_asked_again_is_read_as_it_was(new_desk: NewDesk) -> None:
    desk, backend = new_desk()
    first = last(heard(desk, corpus=piers()))
    n_asked = len(backend.asked)
    *_, again = desk.ask(Question(text="", session=first.session_id, beside=0, as_set=True), cancel=Flag())
    assert isinstance(again, Answered) and again.turn.stop == "end"
    assert len(backend.asked) == n_asked + 1  # all notes are there


def test_a_changed_source_is_read_again_with_its_slice_alone(new_desk: NewDesk) -> None:
    desk, backend = new_desk()
    first = last(heard(desk, corpus=piers()))
    backend.asked.clear()
    changed = Corpus((pier(2, length=99, words=101),))
    events = heard(desk, corpus=changed, session=first.session_id, beside=0)
    assert [each.kept for each in over(events)] == [True, False, True]
    assert backend.read[0] == ["piers/02.md", "piers/03.md"] and len(backend.asked) == 2
    assert "99 metres" in (over(events)[1].note or "")


def test_models_of_one_name_have_notes_of_their_own(new_desk: NewDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As two fine-tunes have, whose headers and sizes are the same."""
    desk, backend = new_desk()
    session = last(heard(desk, corpus=piers())).session_id
    monkeypatch.setattr(backend, "digest", lambda: "0the" * 8)
    assert [each.kept for each in over(heard(desk, session=session, beside=0))] == [False] * 3
    assert [each.kept for each in over(heard(desk, session=session, beside=0))] == [True] * 3


def test_a_note_whose_facts_were_all_looked_at_is_kept_though_a_stop_came_then(new_desk: NewDesk) -> None:
    """Also where a picture was read, so that no fact has to have words."""
    cancel = Flag()
    desk, backend = new_desk(shows=lambda fact: fact if "Pier 1" not in fact else (cancel.set(), "")[1])
    backend.about = replace(backend.about, image_rule="fake")
    first, *others = piers().sources
    pictured = first.changed(pictures=(Picture(1, 10, 10),))
    stopped = last(heard(desk, cancel, corpus=Corpus((pictured, *others))))
    assert stopped.stop == "cancelled"
    assert [each.kept for each in over(heard(desk, session=stopped.session_id, beside=0))] == [True, False, False]


def test_a_slice_whose_reading_fails_ends_the_turn_and_the_others_are_kept(new_desk: NewDesk) -> None:
    desk, backend = new_desk(breaks_in=2)
    broken = last(heard(desk, corpus=piers()))
    assert broken.stop == "error" and "as it was told to" in (broken.error or "")
    events = heard(desk, session=broken.session_id, text="", beside=0)
    assert [each.kept for each in over(events)] == [True, False, False] and last(events).stop == "end"


def test_what_was_said_before_goes_with_every_slice(new_desk: NewDesk) -> None:
    desk, backend = new_desk()
    first = last(heard(desk, corpus=piers(), text="Which piers are there?"))
    backend.asked.clear()
    heard(desk, session=first.session_id, text="And how long?")
    for case in backend.asked:
        words = [word for word, number in backend._words.items() if number in case.prompt.ids().tolist()]
        assert "Which" in words and "So" in words


def test_a_source_that_is_larger_than_a_pass_is_in_slices_that_follow_each_other(new_desk: NewDesk) -> None:
    desk, backend = new_desk()
    long = Source.written("long.md", "".join(f"Line {at} tells of {at} things.\n" for at in range(200)))
    turn = last(heard(desk, corpus=Corpus((pier(0), long, pier(1)))))
    assert turn.receipt is not None
    pieces = [
        piece for each in turn.receipt["passes"]["slices"] for piece in each["pieces"] if piece["path"] == "long.md"
    ]
    assert [piece["characters"][0] for piece in pieces[1:]] == [piece["characters"][1] for piece in pieces[:-1]]
    assert pieces[-1]["characters"][1] == len(long.text) and len(pieces) > 3
    assert read_line(turn.receipt).endswith("3 of 3 sources, each once")
    assert verify_session(desk.record(turn.session_id), lambda model: backend).faults == []


def test_parts_of_a_file_that_one_pass_reads_are_one_document(new_desk: NewDesk) -> None:
    desk, backend = new_desk()
    long = Source.written("long.md", "so it is " * 130 + "".join(f"\n{'long' * 30}{at}" for at in range(160)))
    turn = last(heard(desk, corpus=Corpus((long,))))
    assert turn.receipt is not None
    parts = [[piece["path"] for piece in each["pieces"]] for each in turn.receipt["passes"]["slices"]]
    assert len(parts[-1]) > 1, "else there is nothing to see"
    assert all(paths == ["long.md"] for paths in backend.read[: len(parts)])


def test_notes_that_do_not_fit_together_are_merged(new_desk: NewDesk) -> None:
    desk, backend = new_desk(window=1_100)
    events = heard(desk, corpus=piers(120, words=20), pass_tokens=150)
    merged = [event for event in over(events) if event.merging]
    turn = last(events)
    assert merged and turn.stop == "end" and turn.receipt is not None
    assert len(turn.receipt["passes"]["sent"]) < turn.receipt["passes"]["n_passes"]
    checked = verify_session(desk.record(turn.session_id), lambda model: backend)
    assert checked.faults == [] and checked.n_sources == 120
    n_merged, again = len(merged), Corpus((pier(7, length=99, words=20),))
    events = heard(desk, corpus=again, session=turn.session_id, beside=0, pass_tokens=150)
    read = [event for event in over(events) if not event.kept]
    assert [event.merging for event in read] == [False, True], "its slice, and the notes that its note is merged with"
    assert sum(event.merging for event in over(events)) == n_merged


def test_notes_stay_when_the_model_turns_out_to_be_no_good_at_quoting(new_desk: NewDesk) -> None:
    desk, backend = new_desk(shows=lambda fact: fact)
    first = last(heard(desk, corpus=piers()))
    backend.found_quotes = Quotes(state=QuoteState.FAILED, reason="It found nothing.")
    assert [each.kept for each in over(heard(desk, session=first.session_id, beside=0))] == [True] * 3


def test_a_part_that_moved_within_its_file_is_noted_where_it_stands_now(new_desk: NewDesk) -> None:
    def parts(first: str) -> Corpus:
        long = "\n".join(f"# Part {at}\n{' '.join(f'p{at}x{word}' for word in range(150))}\n" for at in range(3))
        return Corpus((pier(0), Source.written("long.md", f"{first}\n{long}")))

    desk, backend = new_desk(shows=lambda fact: " ".join(fact.rstrip(".").split()[-2:]))
    first = last(heard(desk, corpus=parts("one")))
    n_lines = len(over(heard(desk, corpus=parts("one\n\n\n"), session=first.session_id, beside=0)))
    turn = desk.turns(first.session_id)[-1]
    assert n_lines > 2 and turn.receipt is not None
    facts = [fact for each in turn.receipt["passes"]["slices"][1:] for fact in each["note"]["facts"]]
    [now] = {source["digest"] for source in turn.receipt["sources"] if source["path"] == "long.md"}
    assert {fact["citation"]["source_digest"] for fact in facts if fact["citation"]["path"] == "long.md"} == {now}


@pytest.mark.parametrize("merges", [True, False])
def test_a_merge_loses_no_fact_that_there_is_room_for(new_desk: NewDesk, merges: bool) -> None:
    desk, backend = new_desk(window=1_100, shows=lambda fact: fact)
    write, told = backend.note, ("Fact: Pier 0 is 30 metres long.\n" * merges) + "Missing: all\nConfidence: low"
    backend.note = lambda case: told if "note of" in backend.read[-1][0] else write(case)  # type: ignore[method-assign]
    events = heard(desk, corpus=piers(120, words=20), pass_tokens=150)
    turn = last(events)
    assert turn.stop == "end" and turn.receipt is not None and any(event.merging for event in over(events))
    sent = "".join(each["text"] for each in turn.receipt["passes"]["sent"])
    kept = [at for at in range(120) if f"- Pier {at} is {at + 30} metres long" in sent]
    assert len(kept) > 25 and sent.count("- Pier") == len(kept), "each once"
    assert min(kept) < 20 and max(kept) > 100, "from all of them"
    assert backend.asked[-1].prompt.n_tokens + 50 <= 1_100


def test_one_note_that_is_too_large_for_the_answer_gives_what_fits(new_desk: NewDesk) -> None:
    desk, backend = new_desk({"reply_tokens": 500}, window=1_400, shows=lambda fact: fact)
    backend.note = lambda case: (  # type: ignore[method-assign]
        "".join(f"Fact: {' '.join(f'w0x{at}' for at in range(n, n + 60))}\n" for n in range(6))
        + "Missing: all\nConfidence: low"
    )
    events = heard(desk, corpus=piers(4), pass_tokens=128)
    assert last(events).stop == "end", last(events).error
    assert any(isinstance(event, Notice) and "has no room beside the reply" in event.text for event in events)


@pytest.mark.parametrize("pass_tokens", [1, 127])
def test_a_pass_that_is_too_small_is_refused_before_anything(new_desk: NewDesk, pass_tokens: int) -> None:
    desk, backend = new_desk()
    with pytest.raises(DoesNotFit) as caught:
        heard(desk, corpus=piers(), pass_tokens=pass_tokens)
    assert "--pass-tokens" in str(caught.value) and backend.asked == [] and desk.sessions() == ()


def test_a_pass_that_is_larger_than_the_window_is_as_large_as_can_be(new_desk: NewDesk) -> None:
    desk, backend = new_desk(window=1_300)
    events = heard(desk, corpus=piers(12), pass_tokens=10**9)
    assert last(events).stop == "end" and len(over(events)) > 1
    assert max(case.prompt.n_tokens for case in backend.asked) + 500 <= 1_300


def test_a_window_that_is_too_small_for_the_question_is_refused(new_desk: NewDesk) -> None:
    desk, backend = new_desk(window=600)
    with pytest.raises(DoesNotFit) as caught:
        heard(desk, corpus=piers())
    assert "has room for 0 tokens" in str(caught.value) and backend.asked == []


def test_without_sources_it_is_asked_at_once(new_desk: NewDesk) -> None:
    desk, backend = new_desk()
    events = heard(desk, corpus=Corpus())
    assert last(events).stop == "end" and not over(events) and len(backend.asked) == 1
    assert last(events).receipt is not None and last(events).receipt["passes"] is None  # type: ignore[index]


def test_without_quotes_nothing_is_looked_for(new_desk: NewDesk) -> None:
    looked: list[str] = []
    desk, _ = new_desk({"quotes": False}, shows=lambda fact: looked.append(fact) or fact)
    events = heard(desk, corpus=piers())
    assert looked == [] and [each.n_shown for each in over(events)] == [0] * 3 and last(events).stop == "end"


def test_where_no_slice_has_a_fact_the_answer_is_told_so(new_desk: NewDesk) -> None:
    desk, backend = new_desk()
    backend.note = lambda case: "Missing: all\nConfidence: low"  # type: ignore[method-assign]
    turn = last(heard(desk, corpus=piers()))
    assert turn.stop == "end" and backend.read[-1] == ["notes"] and turn.receipt is not None
    assert "No part of the corpus" in turn.receipt["passes"]["sent"][0]["text"]


def test_a_follow_up_finds_the_slices_as_they_were(new_desk: NewDesk) -> None:
    desk, backend = new_desk(window=2_500)
    first = heard(desk, corpus=piers(40), pass_tokens=None)
    session = last(first).session_id
    n_slices = len(over(first))
    assert n_slices > 2
    for text in ("And how wide?", "Is that all of them, or are there some others that nobody told me of?"):
        n_asked = len(backend.asked)
        events = heard(desk, session=session, text=text, pass_tokens=None)
        assert backend.read[n_asked : n_asked + n_slices] == backend.read[:n_slices]
        assert len(over(events)) == n_slices


def test_the_context_stays_what_it_was_as_long_as_it_fits(new_desk: NewDesk) -> None:
    _, backend = new_desk(window=8_000)
    most = [most_tokens(backend, Wanted(), before=before) for before in (None, 6_000, 8_000, 9_000)]
    assert most == [8_000, 6_000, 8_000, 8_000] and most_tokens(backend, Wanted(n_ctx=5_000), before=6_000) == 5_000


def test_what_fits_into_one_pass_is_asked_at_once(new_desk: NewDesk) -> None:
    desk, backend = new_desk()
    events = heard(desk, corpus=piers(2), pass_tokens=None)
    assert len(backend.asked) == 1 and not over(events) and last(events).stop == "end"
    assert read_line(last(events).receipt) == ""


def test_a_fact_that_no_words_show_is_kept_and_not_used(new_desk: NewDesk) -> None:
    desk, backend = new_desk(shows=lambda fact: fact if fact.startswith("Pier 3") else "")
    turn = last(heard(desk, corpus=piers()))
    assert turn.receipt is not None
    assert [len(each["note"]["facts"]) for each in turn.receipt["passes"]["slices"]] == [2, 2, 2]
    [sent] = turn.receipt["passes"]["sent"]
    assert "Pier 3 is 33 metres" in sent["text"] and "Pier 2" not in sent["text"]
