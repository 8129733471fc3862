"""Which session a conversation goes on in, on an engine of words, and how questions are heard."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing, closing
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.question import Answered
from app.serve.asked import Asked, Said
from app.serve.service import MOST_AT_ONCE, Crowded, Reply, Service
from app.settings import Settings
from engine.backend import Text
from engine.errors import DoesNotFit, UsageError
from storage.records import Turn
from tests.fake_backend import FakeBackend, sent
from tests.patience import until
from tests.serving import run_apart

Serve = Callable[..., Service]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text("one two three\n")
    (folder / "b.txt").write_text("four five\n")
    return folder


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(window=400, answer=lambda question: f"Of {question.split()[-1]} nothing is known")


@pytest.fixture
def desk(tmp_path: Path, backend: FakeBackend) -> Iterator[Desk]:
    with closing(Desk(Settings(home=tmp_path / "home", reply_tokens=20), backend=backend)) as desk:
        yield desk


@pytest.fixture
def serve(desk: Desk, corpus: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def build(session: str | None = None) -> Service:
            return stack.enter_context(closing(Service(desk, desk.read([corpus]), session)))

        yield build


def ask(service: Service, text: str, *past: Turn | tuple[str, str], session: str | None = None) -> Turn:
    said = tuple(Said(each.question, each.text) if isinstance(each, Turn) else Said(*each) for each in past)
    *_, last = service.ask(Asked(text=text, past=said, session=session), cancel=Flag())
    assert isinstance(last, Reply)
    return last.turn


def test_what_was_said_goes_on_where_it_was_said(serve: Serve, desk: Desk) -> None:
    service = serve()
    one = ask(service, "Apples?")
    two = ask(service, "Pears?", one)
    three = ask(service, "Plums?", one, two)
    assert one.session_id == two.session_id == three.session_id and [one.index, two.index, three.index] == [0, 1, 2]
    assert len(desk.sessions()) == 1


def test_every_first_question_has_a_session_of_its_own(serve: Serve, backend: FakeBackend) -> None:
    service = serve()
    assert ask(service, "Apples?").session_id != ask(service, "Apples?").session_id
    assert sent(backend.asked[0]) == sent(backend.asked[1]) == ["a.txt", "b.txt"]


def test_another_question_in_place_of_one_begins_with_the_same_ids(
    serve: Serve, desk: Desk, backend: FakeBackend
) -> None:
    service = serve()
    one = ask(service, "Apples?")
    two = ask(service, "Pears?", one)
    other = ask(service, "Plums?", one)
    assert other.session_id != two.session_id
    copied, asked = desk.turns(other.session_id)
    assert (copied.question, copied.text, copied.reply_ids) == (one.question, one.text, one.reply_ids)
    assert copied.vocabulary == one.vocabulary and asked == other
    last, before = (backend.asked[-1].prompt.ids().tolist(), backend.asked[-2].prompt.ids().tolist())
    assert last[:-2] == before[:-2] and last != before
    assert ask(service, "Figs?", one, two).session_id == two.session_id
    assert ask(service, "Dates?", one, other).session_id == other.session_id


def test_what_nobody_said_here_is_replayed(serve: Serve, desk: Desk) -> None:
    service = serve()
    one = ask(service, "Apples?")
    edited = ask(service, "Pears?", ("Apples?", "They are round."))
    assert edited.session_id != one.session_id
    assert [turn.text for turn in desk.turns(edited.session_id)] == ["They are round.", edited.text]
    longer = ask(service, "Plums?", one, ("Pears?", "They are not."))
    assert [turn.question for turn in desk.turns(longer.session_id)] == ["Apples?", "Pears?", "Plums?"]
    assert desk.turns(longer.session_id)[0].reply_ids == one.reply_ids
    assert not desk.turns(longer.session_id)[1].reply_ids


def test_white_space_that_a_client_trims_does_not_count(serve: Serve) -> None:
    service = serve()
    one = ask(service, "Apples?\n")
    assert ask(service, "Pears?", ("Apples?", f" {one.text}\n")).session_id == one.session_id
    assert ask(service, "Pears?", ("App les?", one.text)).session_id != one.session_id


def test_what_was_changed_or_deleted_elsewhere_is_not_gone_on_from(serve: Serve, desk: Desk) -> None:
    service = serve()
    one = ask(service, "Apples?")
    desk.delete_session(one.session_id)
    again = ask(service, "Pears?", one)
    assert again.session_id != one.session_id and len(desk.turns(again.session_id)) == 2
    two = ask(service, "Plums?")
    ask(service, "Figs?", session=two.session_id)  # as on the page
    assert ask(service, "Dates?", two).session_id != two.session_id


def test_a_session_that_is_served_goes_on_itself(serve: Serve, desk: Desk, corpus: Path) -> None:
    base = desk.begin_session("Fruit")
    desk.add_sources(base.id, desk.read([corpus]))
    service = serve(base.id)
    one = ask(service, "Apples?")
    assert one.session_id == base.id
    assert ask(service, "Pears?").session_id != base.id
    assert ask(service, "Plums?", one).session_id == base.id


def test_only_sessions_of_the_corpus_can_be_named(serve: Serve, desk: Desk) -> None:
    service, stranger = serve(), desk.begin_session("Private")
    for name in (stranger.id, "nobodys", ""):
        with pytest.raises(UsageError, match="There is no session"):
            ask(service, "What?", session=name)


def test_what_is_refused_leaves_no_session(serve: Serve, desk: Desk) -> None:
    service = serve()
    for past in ((), (("Apples?", "Yes."),)):
        with pytest.raises(DoesNotFit):
            ask(service, "word " * 500, *past)
    assert desk.sessions() == ()
    one = ask(service, "Apples?")
    with pytest.raises(DoesNotFit):
        ask(service, "word " * 500, one)
    assert ask(service, "Pears?", one).session_id == one.session_id and len(desk.sessions()) == 1


def test_settings_of_a_question_are_its_own(serve: Serve, desk: Desk) -> None:
    service = serve()
    asked = Asked(text="Apples?", settings=Settings(home=desk.settings.home, reply_tokens=2))
    *_, last = service.ask(asked, cancel=Flag())
    assert isinstance(last, Reply) and (last.turn.stop, last.turn.reply_tokens) == ("length", 2)
    assert ask(service, "Apples?").stop == "end"


def test_who_stops_listening_cancels(serve: Serve, desk: Desk) -> None:
    service = serve()

    async def leave() -> None:
        async with aclosing(service.hear(Asked(text="Apples?"))) as events:
            async for event in events:
                if isinstance(event, Text):
                    break

    run_apart(leave())
    [session] = desk.sessions()
    until(lambda: desk.turns(session.id)[0].stop is not None)
    assert desk.turns(session.id)[0].text


def test_so_many_wait_and_no_more(serve: Serve, backend: FakeBackend) -> None:
    service, go = serve(), Flag()

    def slow(question: str) -> str:
        go.wait()
        return "Done"

    backend.answer = slow

    async def crowd() -> tuple[int, int]:
        async def one() -> bool:
            async with aclosing(service.hear(Asked(text="Apples?"))) as events:
                return [event async for event in events if isinstance(event, Answered)] != []

        async def open_the_gate() -> None:
            while len(service._running) < MOST_AT_ONCE:
                await asyncio.sleep(0.01)
            go.set()

        waiting = [asyncio.create_task(one()) for _ in range(MOST_AT_ONCE + 3)]
        await open_the_gate()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        return ended.count(True), sum(isinstance(each, Crowded) for each in ended)

    assert run_apart(crowd()) == (MOST_AT_ONCE, 3)


def test_nothing_begins_in_a_service_that_ends(serve: Serve) -> None:
    service = serve()
    service.stop()

    async def one() -> None:
        async with aclosing(service.hear(Asked(text="Apples?"))) as events:
            async for _ in events:
                pass

    with pytest.raises(Crowded):
        run_apart(one())
