"""A codebase summarized: every source read once, stopped and gone on with, and after an edit only what is touched."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest

from app.desk import Desk
from app.passes.summary.document import Summary, summary_from
from app.passes.summary.steps import Planned, Step, Summarized
from app.question import Answered, Notice, Question, Waiting
from app.settings import Settings
from engine.backend import Case, Event, Finished, Sampling, Source
from engine.corpus.rules import Rules
from engine.errors import DoesNotFit, EngineFailed, SessionBusy
from tests.app.passes.summary.scribe import Scribe
from tests.patience import PATIENCE_S, until

FILES = {
    "README.md": "# Shop\n\nSells things.\n",
    "pyproject.toml": '[project]\nname = "shop"\n',
    "shop/__init__.py": "from shop.cart import add\n",
    "shop/cart.py": "import shop.money\n\n\ndef add(item):\n    return item\n" + "# cart\n" * 300,
    "shop/money.py": "def total(items):\n    return sum(items)\n" + "# money\n" * 300,
    "shop/web/page.py": "from shop import cart\n\n\ndef render(cart):\n    return str(cart)\n" + "# page\n" * 300,
    "tests/test_cart.py": "from shop.cart import add\n\n\ndef test_add():\n    assert add(1)\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(text)
    return tmp_path / "code"


@pytest.fixture
def scribe() -> Scribe:
    return Scribe()


@pytest.fixture
def desk(tmp_path: Path, scribe: Scribe) -> Iterator[Desk]:
    with closing(Desk(Settings(home=tmp_path / "home"), backend=scribe)) as desk:
        yield desk


def session_of(desk: Desk, folder: Path, session: str | None = None) -> str:
    session = session or desk.begin_session("Summary of code").id
    desk.add_sources(session, desk.read([folder], Rules()))
    return session


def summarized(desk: Desk, session: str, **options: int) -> tuple[Summary, list[Step]]:
    events = list(desk.summarize(session, cancel=Flag(), **options))
    assert isinstance(events[0], Planned) and isinstance(events[-1], Summarized)
    return events[-1].summary, [event for event in events if isinstance(event, Step) and event.is_over]


def redone(summary: Summary) -> set[str]:
    return {page.name for page in summary.pages if page.redone}


@pytest.mark.parametrize("pass_tokens", [300, 450, 1_000])
def test_every_source_is_read_once(desk: Desk, scribe: Scribe, shop: Path, pass_tokens: int) -> None:
    summary, _ = summarized(desk, session_of(desk, shop), pass_tokens=pass_tokens)
    read = [case for (question, _), case in zip(scribe.calls, scribe.asked, strict=True) if "one part of a" in question]
    words = Counter(word for case in read for word in scribe.text_of(case).split())
    for word in {word for text in FILES.values() for word in text.split()}:
        assert words[word] == sum(text.split().count(word) for text in FILES.values()), word
    assert summary.reading.n_once == summary.reading.n_sources == len(FILES)
    assert f"{len(FILES)} of {len(FILES)} sources, each once" in summary.reading.sentence
    assert sorted(path for part in summary.parts for path in part.sources) == sorted(FILES)


def test_what_the_engine_did_not_decode_was_not_read(desk: Desk, scribe: Scribe, shop: Path) -> None:
    """The plan may have it all: an engine that cuts a prompt has not read its sources."""
    decodes, cut = scribe.generate, list[set[str]]()

    def cuts(case: Case, sampling: Sampling, **given: Any) -> Iterator[Event]:
        for event in decodes(case, sampling, **given):
            if isinstance(event, Finished) and "one part of a" in scribe.calls[-1][0] and not cut:
                cut.append(set(scribe.calls[-1][1]))
                event = replace(event, prompt_tokens=event.prompt_tokens - 9)
            yield event

    scribe.generate = cuts  # type: ignore[method-assign, assignment]
    session = session_of(desk, shop)
    for _ in range(2):  # read, and kept
        summary, _ = summarized(desk, session, pass_tokens=450)
        assert cut[0] and summary.reading.n_once == len(FILES) - len(cut[0])
        assert f"{len(FILES) - len(cut[0])} of {len(FILES)} sources, each once" in summary.reading.sentence


def test_a_summary_is_read_from_the_store_once(desk: Desk, shop: Path) -> None:
    """The page asks for it at each of its redraws, and it may be megabytes of JSON."""
    session = session_of(desk, shop)
    summarized(desk, session, pass_tokens=450)
    first = desk.summary(session)
    assert first is not None and desk.summary(session) is first
    (shop / "shop/money.py").write_text("def total(items):\n    return 1\n")
    session_of(desk, shop, session)
    again, _ = summarized(desk, session, pass_tokens=450)
    assert desk.summary(session) == again != first
    assert desk.summary(desk.begin_session("Another").id) is None


def test_a_question_of_the_session_comes_between(desk: Desk, scribe: Scribe, shop: Path) -> None:
    session, answered = session_of(desk, shop), list[str]()
    events = desk.summarize(session, pass_tokens=450, cancel=Flag())
    question = Question(text="Are you there?", session=session, settings=replace(desk.settings, reply_tokens=64))

    def ask() -> None:
        answered.extend(event.turn.text for event in desk.ask(question, cancel=Flag()) if isinstance(event, Answered))

    asker = Thread(target=ask)
    for event in events:
        if isinstance(event, Step) and event.number == 2 and not event.is_over:
            asker.start()
            until(lambda: desk._line.is_long)
            with pytest.raises(SessionBusy, match="summarizing"):
                desk.delete_session(session)
    asker.join()
    assert isinstance(event, Summarized) and answered[0] == "- So it is.\n"
    assert desk.summary(session) == event.summary and len(desk.turns(session)) == 1


def test_two_do_not_summarize_one_session_at_once(desk: Desk, shop: Path, tmp_path: Path) -> None:
    session = session_of(desk, shop)
    events = desk.summarize(session, pass_tokens=450, cancel=Flag())
    next(events)
    with (
        closing(Desk(Settings(home=tmp_path / "home"), backend=Scribe())) as other,
        pytest.raises(SessionBusy, match="summarizing session"),
    ):
        list(other.summarize(session, cancel=Flag()))
    events.close()
    assert summarized(desk, session, pass_tokens=450)[0].reading.n_once == len(FILES)


def test_stop_is_heard_while_it_is_planned(desk: Desk, scribe: Scribe, shop: Path) -> None:
    """And while a question's passes are: nothing was read, and there is no trace."""
    session, cancel = session_of(desk, shop), Flag()
    documents, n_counted = scribe.documents, list[int]()

    def counts(sources: Sequence[Source], *given: Any, **known: Any) -> Any:
        n_counted.append(len(sources))
        cancel.set()
        return documents(sources, *given, **known)

    scribe.documents = counts  # type: ignore[method-assign, assignment]
    assert list(desk.summarize(session, pass_tokens=450, cancel=cancel)) == []
    assert len(n_counted) <= 2 and desk.summary(session) is None
    n_counted.clear()
    short = replace(desk.settings, reply_tokens=64)
    asked = Question(text="What is it?", session=session, in_passes=True, pass_tokens=250, settings=short)
    assert list(desk.ask(asked, cancel=cancel)) == [] and desk.turns(session) == ()
    assert len(n_counted) <= 2 and scribe.calls == []


def test_pages_stand_on_words_of_the_sources(desk: Desk, shop: Path) -> None:
    summary, _ = summarized(desk, session_of(desk, shop), pass_tokens=450)
    assert summary.title == "code" and not summary.evidence
    for page in summary.pages:
        shown = [each for each in page.statements if each.is_shown]
        assert bool(shown) == page.is_published, page
        for each in shown:
            citation = each.citation
            assert citation is not None and citation.lines is not None and citation.path is not None
            line = FILES[citation.path].splitlines()[citation.lines[0] - 1]
            assert citation.quote in line
    risks = summary.page("risks")
    assert risks is not None and risks.why_not.startswith("No words of the sources were found")
    flow = summary.page("data-flow")
    assert flow is not None and flow.why_not == "The notes of the parts say nothing about it."


def test_it_comes_back_as_it_was_kept(desk: Desk, shop: Path) -> None:
    session = session_of(desk, shop)
    summary, _ = summarized(desk, session, pass_tokens=450)
    assert desk.summary(session) == summary == summary_from(summary.to_json())


def test_one_edit_redoes_its_pages_and_their_parents(desk: Desk, scribe: Scribe, shop: Path) -> None:
    session = session_of(desk, shop)
    before, steps = summarized(desk, session, pass_tokens=450)
    assert not any(step.kept for step in steps) and redone(before) == {page.name for page in before.pages}
    again, steps = summarized(desk, session, pass_tokens=450)
    assert all(step.kept for step in steps) and not redone(again)
    assert [page.sections for page in again.pages] == [page.sections for page in before.pages]

    (shop / "shop/money.py").write_text(FILES["shop/money.py"].replace("sum(items)", "max(items)"))
    session_of(desk, shop, session)
    stale = before.stale(desk.digests(session))
    touched = next(part for part in before.parts if "shop/money.py" in part.sources)
    n_calls = len(scribe.calls)
    after, steps = summarized(desk, session, pass_tokens=450)
    assert f"parts/{touched.key}" in redone(after) <= set(stale)
    assert not any(name.startswith("parts/") and name != f"parts/{touched.key}" for name in redone(after))
    read = {path for question, paths in scribe.calls[n_calls:] if "one part" in question for path in paths}
    assert read == set(touched.sources)
    assert not after.stale(desk.digests(session))


def test_a_new_and_a_deleted_file(desk: Desk, shop: Path) -> None:
    session = session_of(desk, shop)
    before, _ = summarized(desk, session, pass_tokens=450)
    (shop / "shop/coupon.py").write_text("def coupon():\n    return 1\n")
    (shop / "tests/test_cart.py").unlink()
    session_of(desk, shop, session)
    stale = before.stale(desk.digests(session))
    assert "shop/coupon.py" in stale["map"] and "tests/test_cart.py" in stale["map"]
    after, _ = summarized(desk, session, pass_tokens=450)
    paths = [path for part in after.parts for path in part.sources]
    assert sorted(paths) == sorted({*FILES, "shop/coupon.py"} - {"tests/test_cart.py"})
    assert after.reading.n_once == after.reading.n_sources == len(FILES)


def test_what_was_stopped_goes_on(desk: Desk, scribe: Scribe, shop: Path) -> None:
    session, cancel = session_of(desk, shop), Flag()
    scribe.before_reply = lambda number: cancel.set() if number == 4 else None
    events = list(desk.summarize(session, pass_tokens=450, cancel=cancel))
    assert not isinstance(events[-1], Summarized) and desk.summary(session) is None
    scribe.before_reply = lambda number: None
    whole, steps = summarized(desk, session, pass_tokens=450)
    assert [step.kept for step in steps[:4]] == [True, True, True, False]
    assert whole.reading.n_once == len(FILES)


def test_what_broke_goes_on(desk: Desk, scribe: Scribe, shop: Path) -> None:
    session = session_of(desk, shop)
    scribe.breaks_at = 3
    with pytest.raises(EngineFailed):
        list(desk.summarize(session, pass_tokens=450, cancel=Flag()))
    scribe.breaks_at = None
    _, steps = summarized(desk, session, pass_tokens=450)
    assert [step.kept for step in steps[:3]] == [True, True, False]


def test_without_evidence_pages_say_so(tmp_path: Path, shop: Path) -> None:
    with closing(Desk(Settings(home=tmp_path / "home"), backend=Scribe(shows_words=False))) as desk:
        summary, _ = summarized(desk, session_of(desk, shop), pass_tokens=450)
    assert summary.evidence and all(page.is_published for page in summary.pages if any(page.statements))


def test_notes_that_are_more_than_a_call_are_merged(tmp_path: Path, shop: Path) -> None:
    for number in range(60):
        (shop / f"shop/f{number:02}.py").write_text(f"def f{number}():\n    return {number}\n" + "# more\n" * 60)
    with closing(Desk(Settings(home=tmp_path / "home"), backend=Scribe())) as desk:
        summary, steps = summarized(desk, session_of(desk, shop), pass_tokens=300)
    assert any(", notes 1 of" in step.title for step in steps)
    assert summary.page("entry-points") is not None and summary.reading.n_once == len(FILES) + 60
    assert steps[-1].number == steps[-1].n_steps


def test_a_window_without_room_is_refused(tmp_path: Path, shop: Path) -> None:
    with (
        closing(Desk(Settings(home=tmp_path / "home"), backend=Scribe(window=700))) as desk,
        pytest.raises(DoesNotFit, match="--ctx"),
    ):
        list(desk.summarize(session_of(desk, shop), cancel=Flag()))


def test_a_question_that_waits_comes_between(desk: Desk, scribe: Scribe, shop: Path) -> None:
    session, other = session_of(desk, shop), desk.begin_session("Another", with_sources=False).id
    reached, asking, answered, short = Flag(), Flag(), Flag(), replace(desk.settings, reply_tokens=64)

    def reply(number: int) -> None:
        if number == 3:
            reached.set()
            assert asking.wait(PATIENCE_S)

    def ask() -> None:
        for event in desk.ask(Question(text="Are you there?", session=other, settings=short), cancel=Flag()):
            if isinstance(event, Waiting):
                asking.set()
        answered.set()

    scribe.before_reply = reply
    events, n_after = desk.summarize(session, pass_tokens=450, cancel=Flag()), 0
    asker = Thread(target=lambda: (reached.wait(PATIENCE_S), ask()))
    asker.start()
    for event in events:
        n_after += isinstance(event, Step) and answered.is_set()
    asker.join()
    assert answered.is_set() and n_after > 2, "it was asked before the summary was done"


def test_stop_is_heard_while_a_question_has_the_engine(desk: Desk, scribe: Scribe, shop: Path) -> None:
    session, cancel, line = session_of(desk, shop), Flag(), desk._line
    events, n_waits = desk.summarize(session, pass_tokens=450, cancel=cancel), 0
    for event in events:
        if isinstance(event, Step) and event.is_over and not n_waits:
            line._waiting.append(other := object())
        elif isinstance(event, Waiting):  # its question has the engine now, and goes on and on
            n_waits += 1
            assert line.engine.acquire(blocking=False)
            line._waiting.remove(other)
            cancel.set()
    assert n_waits == 1 and desk.summary(session) is None
    assert not line.engine.acquire(blocking=False), "it is the question's, not the summary's to give away"
    line.engine.release()
    assert summarized(desk, session, pass_tokens=450)[1][0].kept


@pytest.mark.parametrize(
    ("thinking", "holds", "said", "kept"),
    [
        (None, True, "", 0),
        ("off", True, "", 0),
        ("on", True, "no room for thoughts: --thinking on is not heeded", 0),
        ("64", True, "--thinking 64 is not heeded", 0),
        ("64", False, "", 64),  # no form holds what it writes
        ("off", False, "", 0),
    ],
)
def test_whether_it_thinks(tmp_path: Path, shop: Path, thinking: str | None, holds: bool, said: str, kept: int) -> None:
    scribe = Scribe()
    scribe.about = replace(scribe.about, holds_forms=holds)
    with closing(Desk(Settings(home=tmp_path / "home", thinking=thinking), backend=scribe)) as desk:
        events = list(desk.summarize(session_of(desk, shop), cancel=Flag()))
    notices = " ".join(event.text for event in events if isinstance(event, Notice))
    assert isinstance(events[-1], Summarized) and said in notices and bool(said) is bool(notices)
    assert {case.plan.thinking_tokens for case in scribe.asked} == {kept}
    assert {sampling.thinking for sampling in scribe.sampled} == {thinking or ""}
