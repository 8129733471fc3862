"""The example and the questions about it: held against its files, and asked of the starter model."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.intake import Intake
from app.question import Answered, Question
from app.settings import Settings
from app.suggestions import EXAMPLE, SUGGESTIONS, Suggestion, holds_example
from engine.corpus.collect import collect
from engine.corpus.order.ordering import order_for_reuse
from storage.records import SourceLink, Turn

ORDERS = list(permutations(SUGGESTIONS))


def test_what_a_right_answer_holds_stands_in_a_file_of_its_own() -> None:
    texts = {source.path: " ".join(source.text.split()) for source in collect([EXAMPLE]).sources}
    homes = [
        {path for path, text in texts.items() for words in suggestion.answers if words.lower() in text.lower()}
        for suggestion in SUGGESTIONS
    ]
    assert homes == [{"welcome.txt"}, {"rent.pdf"}, {"pedal/tariff.py"}]


def test_its_files_stand_in_one_order_whatever_is_known_of_their_changes() -> None:
    corpus = collect([EXAMPLE])
    assert not corpus.skipped
    for volatility in (0.0, 1.0):  # nothing, and one commit for all
        sources = [replace(source, volatility=volatility) for source in corpus.sources]
        assert [source.path for source in order_for_reuse(sources)] == sorted(source.path for source in sources)


def test_its_code_runs_as_it_says() -> None:
    usage = next(line for line in (EXAMPLE / "pedal" / "owed.py").read_text().splitlines() if "python -m" in line)
    arguments = usage.split("python -m ")[1].removesuffix('"""').split()
    run = subprocess.run([sys.executable, "-B", "-m", *arguments], cwd=EXAMPLE, capture_output=True, text=True)
    assert run.stdout == f"{6 * 250}\n", run.stderr  # two hours and 42 minutes are six half hours, by the grace period


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path) -> Iterator[Desk]:
    """As a newcomer has it: every setting is the default."""
    opened = Desk(Settings(home=tmp_path_factory.mktemp("newcomer"), model=str(starter_gguf)))
    yield opened
    opened.close()


def load(desk: Desk) -> str:
    """A session with the example, as the page's button begins it."""
    intake = Intake(desk)
    delivery = intake.read_folder(EXAMPLE)
    session_id = desk.begin_session(delivery.title).id
    intake.add(session_id, delivery)
    return session_id


def links(desk: Desk) -> tuple[SourceLink, ...]:
    return desk.session(load(desk)).links


def test_a_session_with_the_example_is_known_by_its_files(desk: Desk, tmp_path: Path) -> None:
    whole = links(desk)
    assert holds_example(whole)
    assert not holds_example(())
    assert not holds_example(whole[1:])
    assert not holds_example([replace(whole[0], enabled=False), *whole[1:]])
    assert not holds_example([*whole, replace(whole[0], path="other.txt", origin=str(tmp_path / "other.txt"))])
    assert not holds_example([replace(link, origin=None) for link in whole])


def check(suggestion: Suggestion, turn: Turn) -> None:
    assert turn.stop == "end", turn.text
    assert any(words in turn.text for words in suggestion.answers), turn.text
    assert len(turn.text.split()) <= 15, turn.text  # that, and nothing beside it


def ask(desk: Desk, question: Question) -> Turn:
    *_, last = desk.ask(question, cancel=Flag())
    assert isinstance(last, Answered)
    return last.turn


@pytest.mark.slow
@pytest.mark.parametrize("suggestion", SUGGESTIONS, ids=lambda suggestion: suggestion.question)
def test_the_starter_answers_each_rightly(desk: Desk, suggestion: Suggestion) -> None:
    """In a session of its own, as `longdesk ask FOLDER -q` begins one."""
    check(suggestion, ask(desk, Question(text=suggestion.question, corpus=desk.read([EXAMPLE]))))


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(str(SUGGESTIONS.index(each)) for each in order))
def test_the_starter_answers_them_rightly_after_each_other(desk: Desk, order: tuple[Suggestion, ...]) -> None:
    """In one session of the page's, in whatever order they are clicked."""
    session_id = load(desk)
    for suggestion in order:
        check(suggestion, ask(desk, Question(text=suggestion.question, session=session_id)))
