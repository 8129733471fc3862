"""What shows an answer, behind it: kept as it comes, and in nobody's way. On an engine of words, in one process."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest

from app.desk import Desk
from app.jobs import Jobs
from app.question import Answered, Cited, DeskEvent, Notice, Question, Waiting
from app.settings import Settings
from engine.answer.citations import Status
from engine.answer.quotes import Quotes, QuoteState
from engine.backend import HeldQuote
from engine.errors import EngineFailed
from storage.store import Store
from tests.fake_backend import FakeBackend
from tests.patience import PATIENCE_S, until

_TEXT = "# Boats\n\nThe boat leaves at seven.\nDogs travel free of charge.\nDogs travel free of charge.\n"
_ANSWER = "The boat leaves at seven. Dogs need no ticket. It is painted blue. The end comes soon."
_SHOWN = {"The boat": "boat leaves at seven", "Dogs": "Dogs travel free of charge."}

NewDesk = Callable[..., Desk]


def shows(statement: str) -> str:
    return next((words for begins, words in _SHOWN.items() if statement.startswith(begins)), "")


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[NewDesk]:
    desks = []

    def build(backend: FakeBackend, **changes: object) -> Desk:
        desks.append(Desk(replace(Settings(home=tmp_path / "home"), **changes), backend=backend))  # type: ignore[arg-type]
        return desks[-1]

    yield build
    for desk in desks:
        desk.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "boats.md"
    path.write_text(_TEXT)
    return path


def fake(**options: object) -> FakeBackend:
    return FakeBackend(answer=lambda question: _ANSWER, **{"shows": shows, **options})  # type: ignore[arg-type]


def ask(desk: Desk, source: Path, cancel: Flag | None = None) -> Iterator[DeskEvent]:
    return desk.ask(Question(text="When?", corpus=desk.read([source])), cancel=cancel or Flag())


def test_each_statement_gets_words_with_their_place_or_is_said_to_have_none(new_desk: NewDesk, source: Path) -> None:
    desk = new_desk(fake())
    events = list(ask(desk, source))
    [answered] = [event for event in events if type(event) is Answered]
    assert answered.turn.text == _ANSWER and answered.turn.citations is None
    cited = [event for event in events if isinstance(event, Cited)]
    assert [len(event.turn.citations or ()) for event in cited] == [1, 2, 3, 4, 4]
    assert cited[-1] is events[-1] and (cited[-1].n_done, cited[-1].n_statements, cited[-1].n_tokens) == (4, 4, 80)
    kept = desk.turns(answered.turn.session_id)[-1].citations
    assert kept == cited[-1].turn.citations and kept is not None
    boat, dogs, blue, end = kept
    assert (boat.quote, boat.lines, boat.places, boat.status, boat.held) == (
        "boat leaves at seven", (3, 3), 1, Status.VERIFIED, True
    )  # fmt: skip
    assert boat.bytes is not None and _TEXT.encode()[slice(*boat.bytes)] == b"boat leaves at seven"
    assert (dogs.lines, dogs.places, dogs.logprob, dogs.path) == ((4, 4), 2, -0.5, "boats.md")
    assert _ANSWER[slice(*dogs.statement)] == "Dogs need no ticket."
    assert (blue.status, blue.quote, blue.path, blue.held) == (Status.MISSING, "", None, True)
    assert end.status is Status.MISSING


def test_the_receipt_says_whether_words_were_looked_for_and_why_not(new_desk: NewDesk, source: Path) -> None:
    def quotes_of(backend: FakeBackend, **changes: object) -> Mapping[str, object]:
        desk = new_desk(backend, **changes)
        *_, end = ask(desk, source)
        assert isinstance(end, Answered) and end.turn.receipt is not None
        assert desk.turns(end.turn.session_id)[-1].receipt == end.turn.receipt
        assert desk.quotes().state == end.turn.receipt["quotes"]["state"]
        quotes: Mapping[str, object] = end.turn.receipt["quotes"]
        return quotes

    assert quotes_of(fake()) == {"state": "on", "reason": "", "found": None, "tried": None, "remarks": []}
    off = quotes_of(fake(), quotes=False)
    assert off["state"] == "off" and "--no-quotes" in str(off["reason"])
    assert quotes_of(fake(shows=None))["state"] == quotes_of(fake(shows=None), quotes=True)["state"] == "impossible"
    failed = Quotes(state=QuoteState.FAILED, reason="It is no good.", n_found=1, n_tried=4)
    backend = fake()
    backend.looking = lambda: setattr(backend, "found_quotes", failed)  # which shows behind the answer
    assert quotes_of(backend) == {"state": "failed", "reason": "It is no good.", "found": 1, "tried": 4, "remarks": []}
    assert quotes_of(backend, quotes=True)["state"] == "on"


def test_quotes_that_a_model_was_told_to_open_are_held_and_cited_so(new_desk: NewDesk, source: Path) -> None:
    answer = "Yes: <quote>boat leaves at seven</quote>. And <quote>Dogs travel</quote> too."
    backend = FakeBackend(answer=lambda question: answer, shows=shows)
    backend.held = (HeldQuote("boat leaves at seven", -0.25),)
    desk = new_desk(backend, system="Put the words that show it within <quote> and </quote>.")
    *_, end = ask(desk, source)
    assert isinstance(end, Answered) and backend.told
    found = {each.quote: (each.status, each.held, each.logprob) for each in end.turn.citations or ()}
    assert found["boat leaves at seven"] == (Status.VERIFIED, True, -0.25)
    assert found["Dogs travel"] == (Status.VERIFIED, False, None)  # it stands there, and was not held
    desk = new_desk(backend, system="Answer.")
    for text in ("When? Give it as <quote>words</quote>.", "When?"):
        *_, end = desk.ask(Question(text=text, corpus=desk.read([source])), cancel=Flag())
        assert backend.told is ("<quote>" in text)
    assert isinstance(end, Answered) and not backend.told and not any(
        each.held for each in end.turn.citations or () if each.quote
    )  # fmt: skip


@pytest.mark.parametrize("quotes", [None, False])
def test_nothing_is_looked_for_where_that_is_switched_off_or_cannot_be_held(
    new_desk: NewDesk, source: Path, quotes: bool | None
) -> None:
    desk = new_desk(fake(shows=None) if quotes is None else fake(), quotes=quotes)
    events = list(ask(desk, source))
    answered, cited = [event for event in events if isinstance(event, Answered)]
    assert answered.turn.citations is None
    assert isinstance(cited, Cited) and cited.n_statements == 0 and cited.turn.citations == ()  # it quotes nothing


def test_a_next_question_ends_it_and_what_was_found_is_kept(new_desk: NewDesk, source: Path) -> None:
    looked, asked, waits = [], Flag(), Flag()

    def looking() -> None:
        looked.append(1)
        if len(looked) == 2:
            asked.set()
            assert waits.wait(PATIENCE_S)

    desk = new_desk(fake(looking=looking))
    first = ask(desk, source)
    later: list[DeskEvent] = []

    def next_question() -> None:
        assert asked.wait(PATIENCE_S)
        for event in desk.ask(Question(text="And then?"), cancel=Flag()):
            if isinstance(event, Waiting):
                waits.set()
            later.append(event)

    thread = Thread(target=next_question)
    thread.start()
    events = list(first)
    thread.join(PATIENCE_S)
    assert len(looked) == 2  # it was in the midst of the second, and ended there
    last = events[-1]
    assert isinstance(last, Cited) and len(last.turn.citations or ()) == 1
    assert any(type(event) is Answered for event in later)


def test_three_in_a_row_are_answered_one_after_the_other(new_desk: NewDesk, source: Path) -> None:
    """The second waits in a line with the third, and does not look for words while that waits."""
    begun, line = Flag(), Flag()
    looked = []

    def looking() -> None:
        looked.append(1)
        if len(looked) == 1:
            begun.set()
            assert line.wait(PATIENCE_S)

    desk = new_desk(fake(looking=looking))
    ended: list[DeskEvent] = []
    n_waiting = []

    def asks() -> None:
        assert begun.wait(PATIENCE_S)
        events = desk.ask(Question(text="And then?"), cancel=Flag())
        for event in events:
            if isinstance(event, Waiting):
                n_waiting.append(1)
                if len(n_waiting) == 2:
                    line.set()
        ended.append(event)

    threads = [Thread(target=asks) for _ in range(2)]
    for thread in threads:
        thread.start()
    list(ask(desk, source))
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(ended) == 2 and all(isinstance(event, Answered) for event in ended)


def test_a_cancel_and_a_listener_that_goes_away_keep_what_was_found(new_desk: NewDesk, source: Path) -> None:
    desk, cancel = new_desk(fake()), Flag()
    events = ask(desk, source, cancel)
    for event in events:
        if isinstance(event, Cited):
            cancel.set()
    assert isinstance(event, Cited) and event.turn.stop == "end" and len(event.turn.citations or ()) == 1
    again = ask(desk, source)
    cited = next(event for event in again if isinstance(event, Cited))
    again.close()  # type: ignore[attr-defined]
    [turn] = desk.turns(cited.turn.session_id)
    assert turn.stop == "end" and turn.text == _ANSWER and len(turn.citations or ()) == 1
    assert type(next(iter(desk.ask(Question(text="?"), cancel=Flag())))) is not Waiting  # the engine is free again


def test_an_engine_that_breaks_then_takes_nothing_of_the_answer(new_desk: NewDesk, source: Path) -> None:
    looked = []

    def looking() -> None:
        looked.append(1)
        if len(looked) == 3:
            raise EngineFailed("It broke.")

    desk = new_desk(fake(looking=looking))
    events = list(ask(desk, source))
    assert any(isinstance(event, Notice) and "It broke." in event.text for event in events)
    last = events[-1]
    assert isinstance(last, Cited) and last.turn.stop == "end" and len(last.turn.citations or ()) == 2


def test_the_session_is_free_meanwhile(new_desk: NewDesk, source: Path, tmp_path: Path) -> None:
    """Another process may ask in it."""
    desk = new_desk(fake())
    other = Store(tmp_path / "home")
    for event in ask(desk, source):
        if isinstance(event, Cited):
            with other.leases.acquire(event.turn.session_id):
                pass
    other.close()


def test_a_session_that_was_deleted_meanwhile_ends_it(new_desk: NewDesk, source: Path) -> None:
    desk = new_desk(fake())
    events = []
    for event in ask(desk, source):
        events.append(event)
        if isinstance(event, Cited) and len(desk.sessions()):
            desk.delete_session(event.turn.session_id)
    assert isinstance(events[-1], Cited) and desk.sessions() == ()


def test_a_job_lets_its_session_be_asked_again_while_words_are_looked_for(new_desk: NewDesk, source: Path) -> None:
    """And the question does not wait for them."""
    looking_on, go_on = Flag(), Flag()

    def looking() -> None:
        looking_on.set()
        assert go_on.wait(PATIENCE_S)

    desk = new_desk(fake(looking=looking))
    session = desk.begin_session("New")
    desk.add_sources(session.id, desk.read([source]))
    jobs = Jobs(desk)
    first = jobs.ask(session.id, "When?")
    assert looking_on.wait(PATIENCE_S)
    until(lambda: first.citing)
    assert not first.running and jobs.running() == () and first.progress.turn is not None
    second = jobs.ask(session.id, "And then?")
    go_on.set()
    until(lambda: not second.running and not second.citing)
    until(lambda: not first.citing)
    assert [turn.stop for turn in desk.turns(session.id)] == ["end", "end"]
    first_turn, second_turn = desk.turns(session.id)
    assert first_turn.citations is None and len(second_turn.citations or ()) == 4
    jobs.close()
