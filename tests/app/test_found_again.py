"""What answers quote is found again behind them, whatever engine wrote them, and printed below them."""

from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from threading import Event as Flag

import pytest

from app.answers.cited import rows_of
from app.checking_again import verify_session
from app.cli.output.answer import event_json, print_answer
from app.desk import Desk
from app.export import session_markdown
from app.found_again import box_of, file_of, found_again, found_until
from app.question import Answered, Cited, Question
from app.settings import Settings
from engine.answer.citations import Status
from engine.corpus.collect import collect
from engine.corpus.rules import Rules
from engine.corpus.source import Source
from tests.fake_backend import FakeBackend
from tests.pdfs import written

_TEXT = "# Boats\n\nThe boat leaves at seven.\nDogs travel free of charge.\n"
_ANSWER = (
    'It says "The boat leaves at seven." so. It says "Dogs travel free of fleas." too. '
    'It says "cats pay twice as much". Nothing else is known.'
)

NewDesk = Callable[[FakeBackend], Desk]


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[NewDesk]:
    desks = []

    def build(backend: FakeBackend) -> Desk:
        desks.append(Desk(Settings(home=tmp_path / "home"), backend=backend))
        return desks[-1]

    yield build
    for desk in desks:
        desk.close()


@pytest.fixture
def boats(tmp_path: Path) -> Path:
    path = tmp_path / "boats.md"
    path.write_text(_TEXT)
    return path


def test_an_engine_that_holds_nothing_gets_its_quotes_checked(new_desk: NewDesk, boats: Path) -> None:
    desk = new_desk(FakeBackend(answer=lambda question: _ANSWER))
    *_, answered, cited = desk.ask(Question(text="When?", corpus=desk.read([boats])), cancel=Flag())
    assert type(answered) is Answered and answered.turn.citations is None and answered.turn.receipt is not None
    assert isinstance(cited, Cited) and cited.turn.citations is not None
    true, altered, missing = cited.turn.citations
    assert (true.status, true.path, true.lines, true.places) == (Status.VERIFIED, "boats.md", (3, 3), 1)
    assert (altered.status, altered.lines, altered.quote) == (Status.ALTERED, (4, 4), "Dogs travel free of fleas")
    assert (missing.status, missing.path) == (Status.MISSING, None)
    assert [_ANSWER[slice(*each.statement)][:20] for each in cited.turn.citations] == [
        'It says "The boat le',
        'It says "Dogs travel',
        'It says "cats pay tw',
    ]
    assert desk.turns(cited.turn.session_id)[0] == cited.turn


def test_a_statement_that_quotes_truly_needs_no_more_words(new_desk: NewDesk, boats: Path) -> None:
    asked = []

    def shows(statement: str) -> str:
        asked.append(statement)
        return "Dogs travel" if "Dogs" in statement else ""

    desk = new_desk(FakeBackend(answer=lambda question: _ANSWER, shows=shows))
    *_, cited = desk.ask(Question(text="When?", corpus=desk.read([boats])), cancel=Flag())
    assert len(asked) == 3 and not any("boat" in statement for statement in asked)
    assert isinstance(cited, Cited) and cited.n_statements == cited.n_done == 3
    found = desk.turns(cited.turn.session_id)[0].citations
    assert found is not None and cited.turn.citations == found
    assert [(each.held, str(each.status)) for each in found] == [
        (False, "verified"),
        (False, "altered"),
        (True, "verified"),
        (False, "missing"),
        (True, "missing"),
        (True, "missing"),
    ]
    assert list(found) == sorted(found, key=lambda each: each.statement)


def test_older_answers_are_caught_up_with(new_desk: NewDesk, boats: Path) -> None:
    desk = new_desk(FakeBackend(answer=lambda question: _ANSWER if question == "When?" else "So it is"))
    *_, first = desk.ask(Question(text="When?", corpus=desk.read([boats])), cancel=Flag())
    assert isinstance(first, Cited)
    with desk._store._database.write() as connection:
        connection.execute("UPDATE turns SET citations = NULL")
    *_, second = desk.ask(Question(text="And then?", session=first.turn.session_id), cancel=Flag())
    assert isinstance(second, Cited) and second.turn.citations == ()
    assert [turn.citations for turn in desk.turns(first.turn.session_id)] == [first.turn.citations, ()]


def test_what_is_printed(new_desk: NewDesk, boats: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = new_desk(FakeBackend(answer=lambda question: _ANSWER))
    question = Question(text="When?", corpus=desk.read([boats]))
    print_answer(desk.ask(question, cancel=Flag()), Flag(), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        'It says "The boat leaves at seven." so.: "The boat leaves at seven." (boats.md:3)',
        'It says "Dogs travel free of fleas." too.: "Dogs travel free of fleas" stands nowhere in these words; '
        "see boats.md:4",
        'It says "cats pay twice as much".: "cats pay twice as much" stands in none of the sources',
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_code_that_is_copied_whole_comes_out_as_it_stands_on_disk(
    new_desk: NewDesk, tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    """Found again in a fence that dedents it, and held; in ask --json, the list of the page and the export."""
    code = "    if cafe:\r\n\t    return 1\r\n        else_(2)"
    text = f"# \u00e9\r\nif cafe:\r\n  return 1\r\nelse_(2)\r\ndef f():\r\n{code}\r\n"
    data = text.encode(encoding)
    (tmp_path / "a.py").write_bytes(data)
    answer = "It is this.\n\n```py\n" + code.replace("\r\n", "\n") + "\n```\n"
    [copied] = found_again(answer, [source_of(tmp_path / "a.py")])
    desk = new_desk(FakeBackend(answer=lambda _: "It is this.", shows=lambda _: code.strip()))
    corpus = desk.read([tmp_path / "a.py"])
    answered = print_answer(desk.ask(Question(text="?", corpus=corpus), cancel=Flag()), Flag(), as_json=True)
    assert answered is not None and (line := event_json(answered)) is not None
    [held] = line["citations"]
    assert held["held"] and not copied.held and copied.places == 2
    for each in (held, copied.to_json()):
        start, end = each["bytes"]
        assert each["quote"] == code and each["lines"] == [6, 8]
        assert data[start:end] == code.encode("utf-16-le" if encoding == "utf-16" else encoding.removesuffix("-sig"))
    turn = desk.turns(line["session"])[0]
    [row] = rows_of(turn.text, turn.citations or ())
    assert f'<span class="words as-code">{escape(code)}</span>'.replace("\r\n", "\n") in row
    exported = session_markdown(desk.record(line["session"]))
    assert exported.count(f"\n   ```text\n   {code}".replace("\r\n", "\r\n   ")) == 1
    checked = verify_session(desk.record(line["session"]), desk.backend)
    assert (checked.n_citations, checked.faults) == (1, [])


def test_the_answer_event_is_last_and_carries_both(
    new_desk: NewDesk, boats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = new_desk(FakeBackend(answer=lambda question: _ANSWER))
    answered = print_answer(
        desk.ask(Question(text="When?", corpus=desk.read([boats])), cancel=Flag()), Flag(), as_json=True
    )
    assert answered is not None
    line = event_json(answered)
    assert line is not None and line["event"] == "answer" and line["receipt"]["sources_sent"] == 1
    assert list(line["citations"][0]) == [
        *("statement", "status", "quote", "places", "held", "logprob"),
        *("path", "source_digest", "bytes", "lines", "page", "cell", "image", "box"),
    ]
    assert [each["status"] for each in line["citations"]] == ["verified", "altered", "missing"]
    assert capsys.readouterr().out.splitlines()[-1].startswith('{"event": "answer"')


def source_of(path: Path) -> Source:
    [source] = collect([path], Rules()).sources
    return source


def test_a_page_is_boxed_by_the_file_that_lies_there(tmp_path: Path) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(written("First page", "The boat leaves at seven."))
    source = source_of(path)
    answer = 'It says "The boat leaves at seven" there.'
    [found] = found_again(answer, [source])
    assert (found.page, found.path) == (2, "paper.pdf") and found.box is not None and found.box[0] > 0.1
    path.write_bytes(written("Another file lies here now, and a longer one."))
    assert file_of(source) is None and box_of(source, page=2, words="The boat", before="") is None
    path.unlink()
    assert file_of(source) is None


def test_the_last_corpus_stays_ready(boats: Path) -> None:
    from app.found_again import _READY

    first = _READY.of((source_of(boats),))
    assert _READY.of((source_of(boats),)) is first
    boats.write_text("Another text.")
    assert _READY.of((source_of(boats),)) is not first


def test_who_is_stopped_finds_nothing(boats: Path) -> None:
    stop = Flag()
    stop.set()
    large = Source("large.txt", "text", "word after word, and so on. " * 400_000, 1, "d")
    found = found_until(stop, 'It says "The boat leaves at seven".', [large], question="", shown=None)
    assert found is None
    assert found_until(Flag(), "No quote.", [source_of(boats)], question="", shown=None) == ()
