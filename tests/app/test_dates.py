"""Which date a session's prompts show: a corpus that was read on another day need not be read again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.question import Answered, DeskEvent, Notice, Question
from app.settings import Settings
from engine.backend import Case, Corpus, Document, Exchange, IdCache, Ids, Prompt, Source
from engine.errors import UsageError
from engine.local.opened import OpenModel, open_model
from engine.prompt.choice import OwnTemplate
from tests.fake_backend import FakeBackend
from tests.models.families import CHATML, LLAMA31, SMOLLM3, TEKKEN
from tests.models.scripted import build_scripted

FIRST, LATER = date(2026, 11, 12), date(2026, 11, 30)
SOURCES = (Source.written("a.txt", "Apples are red. " * 60), Source.written("b.txt", "Boats are blue. " * 40))
_REST = (
    "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\n' ~ m.content ~ '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
DATED = {
    "strftime_now": "{{ 'Today: ' ~ strftime_now('%Y-%m-%d') ~ '\n' }}" + _REST,
    "date_string": LLAMA31,
    "d b Y": "{% set today = strftime_now('%d %b %Y') %}{{ '<|im_start|>system\nToday Date: ' ~ today ~ '\n' }}"
    + _REST,
    "in a macro": "{% macro day() %}{{ strftime_now('%A, %d %B %Y') }}{% endmacro %}{{ day() ~ '\n' }}" + _REST,
    "smollm3": SMOLLM3,
}


class Laid(FakeBackend):
    """A FakeBackend whose prompts a chat template lays out, with a real vocabulary."""

    def __init__(self, opened: OpenModel) -> None:
        super().__init__(answer=lambda question: "So it is")
        self.opened, self.ids, self.laid = opened, IdCache(), 0

    def documents(
        self, sources: Sequence[Source], numbers: Mapping[str, int] | None = None, *, max_tiles: int | None = None
    ) -> tuple[Document, ...]:
        return self.opened.documents(sources, self.ids, numbers)

    def encode(self, text: str) -> Ids:
        return self.opened.tokenizer.encode(text)

    def lay_out(self, exchanges: Sequence[Exchange], *, system: str, today: date) -> Prompt:
        self.laid += 1
        return self.opened.prompt(exchanges, system=system, today=today)

    def question(self, case: Case) -> str:
        return ""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_scripted(tmp_path_factory.mktemp("dated") / "m.gguf", ["So"], template=CHATML)


@pytest.fixture
def new_desk(tmp_path: Path, model: Path, cache: Path) -> Iterator[Callable[[str], tuple[Desk, Laid]]]:
    made: list[tuple[Desk, OpenModel]] = []

    def build(template: str) -> tuple[Desk, Laid]:
        opened = open_model(model, cache=cache, own=OwnTemplate("t.jinja", template))
        backend = Laid(opened)
        desk = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8), backend=backend)
        made.append((desk, opened))
        return desk, backend

    yield build
    for desk, opened in made:
        desk.close()
        opened.close()


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[date], None]:
    """Sets the clock."""

    def set_to(day: date) -> None:
        monkeypatch.setattr("app.dates.today", lambda: day)

    set_to(FIRST)
    return set_to


def heard(desk: Desk, text: str = "Why?", **asked: object) -> tuple[Answered, list[DeskEvent]]:
    events = list(desk.ask(Question(text=text, **asked), cancel=Flag()))  # type: ignore[arg-type]
    [answered] = [event for event in events if type(event) is Answered]  # Cited is one too
    return answered, events


def told(events: Sequence[DeskEvent]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Notice))


NewDesk = Callable[[str], tuple[Desk, Laid]]
Clock = Callable[[date], None]


@pytest.mark.parametrize("form", DATED)
def test_a_new_session_on_another_day_reads_nothing_again(form: str, new_desk: NewDesk, on: Clock) -> None:
    desk, backend = new_desk(DATED[form])
    first, events = heard(desk, corpus=Corpus(SOURCES))
    assert "Read with the date" not in told(events)
    on(LATER)
    corpus_end = backend.asked[-1].prompt.corpus_end
    second, events = heard(desk, "And what else?", corpus=Corpus(SOURCES))
    assert second.turn.session_id != first.turn.session_id
    assert (second.turn.reused_tokens or 0) >= corpus_end
    assert "Read with the date of 12 November 2026, which the model is told" in told(events)
    assert desk.session(second.turn.session_id).session.frozen_date == FIRST.isoformat()
    assert second.turn.receipt is not None and second.turn.receipt["date"] == FIRST.isoformat()
    assert backend.asked[-1].prompt.today == FIRST

    today, events = heard(desk, "And what else?", corpus=Corpus(SOURCES), day=LATER)
    assert "Read with the date" not in told(events) and backend.asked[-1].prompt.today == LATER
    assert (today.turn.reused_tokens or 0) < corpus_end / 4, "from the date on it is read anew"
    again, _ = heard(desk, "And then?", corpus=Corpus(SOURCES))
    assert backend.asked[-1].prompt.today == LATER and (again.turn.reused_tokens or 0) >= corpus_end


def test_a_session_takes_another_date_from_then_on(new_desk: NewDesk, on: Clock) -> None:
    desk, backend = new_desk(DATED["strftime_now"])
    first, _ = heard(desk, corpus=Corpus(SOURCES))
    session = first.turn.session_id
    on(LATER)
    _, events = heard(desk, "More?", session=session)
    assert backend.asked[-1].prompt.today == FIRST and "12 November 2026" in told(events)
    _, events = heard(desk, "More?", session=session, day=LATER)
    assert backend.asked[-1].prompt.today == LATER and "Read with" not in told(events)
    heard(desk, "More?", session=session)
    assert backend.asked[-1].prompt.today == LATER
    assert desk.session(session).session.frozen_date == LATER.isoformat()


def test_the_page_says_it_before_anything_is_asked_and_a_click_takes_todays(new_desk: NewDesk, on: Clock) -> None:
    desk, backend = new_desk(DATED["d b Y"])
    heard(desk, corpus=Corpus(SOURCES))
    on(LATER)
    session = desk.begin_session("Mine").id
    desk.add_sources(session, Corpus(SOURCES))
    preview = desk.preview(session)
    assert preview.read_on == FIRST and (preview.reused_tokens or 0) >= preview.prompt.corpus_end
    desk.use_date(session, LATER)
    preview = desk.preview(session)
    assert preview.read_on is None and (preview.reused_tokens or 0) < preview.prompt.corpus_end / 4
    heard(desk, session=session)
    assert backend.asked[-1].prompt.today == LATER


def test_another_corpus_takes_todays(new_desk: NewDesk, on: Clock) -> None:
    desk, backend = new_desk(DATED["strftime_now"])
    heard(desk, corpus=Corpus(SOURCES))
    on(LATER)
    _, events = heard(desk, corpus=Corpus((Source.written("c.txt", "Cars are grey. " * 60),)))
    assert backend.asked[-1].prompt.today == LATER and "Read with" not in told(events)
    _, events = heard(desk, "Why?")  # nothing to read
    assert backend.asked[-1].prompt.today == LATER


def test_a_corpus_that_has_grown_keeps_what_was_read(new_desk: NewDesk, on: Clock) -> None:
    desk, backend = new_desk(DATED["strftime_now"])
    heard(desk, corpus=Corpus(SOURCES))
    on(LATER)
    more = Source.written("c.txt", "Cars are grey. " * 10)
    heard(desk, corpus=Corpus((*SOURCES, more)))
    assert backend.asked[-1].prompt.today == FIRST


def test_the_date_of_what_was_read_last_is_tried_first(new_desk: NewDesk, on: Clock) -> None:
    desk, backend = new_desk(DATED["strftime_now"])
    for day in range(1, 8):
        on(date(2026, 11, day))
        heard(desk, "Why?")
    on(LATER)
    heard(desk, corpus=Corpus(SOURCES))
    on(date(2026, 12, 1))
    before = backend.laid
    heard(desk, corpus=Corpus(SOURCES))
    assert backend.asked[-1].prompt.today == LATER and backend.laid - before <= 6, "few are tried"


def test_a_template_without_a_date_is_laid_out_once(new_desk: NewDesk, on: Clock) -> None:
    desk, backend = new_desk(CHATML)
    heard(desk, corpus=Corpus(SOURCES))
    on(LATER)
    before = backend.laid
    second, events = heard(desk, corpus=Corpus(SOURCES))
    assert backend.laid - before == 1 and backend.asked[-1].prompt.today is None
    assert (second.turn.reused_tokens or 0) >= backend.asked[-1].prompt.corpus_end and "Read with" not in told(events)


def test_a_date_that_is_asked_for_and_not_shown_is_not_said(new_desk: NewDesk, on: Clock) -> None:
    desk, backend = new_desk(TEKKEN)  # which shows it where there is no system text
    first, _ = heard(desk, corpus=Corpus(SOURCES))
    on(LATER)
    more, events = heard(desk, "More?", session=first.turn.session_id)
    assert backend.asked[-1].prompt.today == FIRST and "Read with" not in told(events)
    assert desk.preview(first.turn.session_id).read_on is None


def test_a_reply_that_goes_on_keeps_its_date(new_desk: NewDesk, on: Clock) -> None:
    desk, backend = new_desk(DATED["strftime_now"])
    backend.answer = lambda question: "So it is and so it stays as it was before"
    first, _ = heard(desk, corpus=Corpus(SOURCES))
    assert first.turn.stop == "length"
    on(LATER)
    with pytest.raises(UsageError, match="its date too"):
        heard(desk, "", session=first.turn.session_id, goes_on=0, day=LATER)
    heard(desk, "", session=first.turn.session_id, goes_on=0)
    assert backend.asked[-1].prompt.today == FIRST
    heard(desk, "Why?", session=first.turn.session_id, beside=0)
    assert backend.asked[-1].prompt.today == FIRST
