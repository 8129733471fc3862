"""A corpus in passes. Notes held to their form, by models that would write anything: all of them parse. Or, with a real
model (`python -m tests.bench passes --model FILE [--texts N]`), N questions over a corpus of four windows whose facts
are spread over slices, beside the same questions with one window of it; and what a question reads that finds the slices
read.

The corpus is made of pages of the language reference and of docstrings, with sentences planted, by a seed. Twelve
questions ask for one fact, four for three facts in as many quarters of the corpus, four go on from one fact to another
in another quarter. An answer is right that has all the words that it must.
"""

import ast
import random
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event as Flag
from time import perf_counter

import numpy as np

from app.desk import Desk
from app.models.places import starter_model
from app.passes.notes import FORM, read_note
from app.question import Answered, DeskEvent, Passing, Question
from app.settings import Settings
from engine.backend import Corpus, Part, Prompt, Sampling, Segment, Source, Stop, Text
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.runtime.settings import EngineSettings
from storage.records import Turn
from tests.bench.table import Row
from tests.models.cache import cached

_N_NOTES = 200
_LONGEST = 1_900  # tokens: more than a note's characters
_WINDOW, _WINDOWS = 4096, 4
_REPLY = 128
_QUARTERS = 4
_WORSE = 1.0  # as many wrong as with one window only would be no gain
_READ_AGAIN = 0.5  # of the corpus, by a question that finds all slices read
_BIRDS = ("Heron", "Kestrel", "Osprey", "Wren", "Plover", "Avocet", "Dunlin", "Merlin", "Siskin", "Linnet", "Curlew",
          "Garganey", "Whimbrel", "Bittern", "Redstart", "Goldcrest", "Nightjar", "Turnstone", "Shrike", "Pipit",
          "Wagtail", "Dotterel", "Fulmar", "Gannet", "Hobby", "Knot", "Smew", "Twite")  # fmt: skip
_CITIES = ("Lisbon", "Tromso", "Gdansk", "Porto", "Bergen", "Trieste", "Malaga", "Tartu")
_TEAMS = ("Amber", "Cobalt", "Indigo", "Saffron")
_LEADS = ("Ada Brandt", "Joris Vink", "Mirela Costa", "Teun Hak")


@dataclass(frozen=True, slots=True)
class _Asked:
    """facts: sentences, each with the quarter of the corpus that it stands in. words: that a right answer has."""

    question: str
    facts: tuple[tuple[int, str], ...]
    words: tuple[str, ...]


def rows(model: str | None = None, texts: int | None = None) -> Iterator[Row]:
    """model: a GGUF file of an instruct model. texts: how many questions, all where it is None."""
    if model is not None:
        with TemporaryDirectory() as home:
            yield from _quality(Path(home), model, texts)
        return
    for name, path in (("the starter", starter_model()), *((name, cached(name)) for name in ("llama", "scout"))):
        yield Row(f"notes of {name} that do not parse, of {_N_NOTES}", _N_NOTES - _whole(path), 1.0, "", 0.0)


def _whole(model: Path) -> int:
    """How many notes have their form to the end."""
    process = EngineProcess(EngineSettings(model=model, placement=Placement(n_ctx=2_048, n_ubatch=128)))
    n_whole = 0
    try:
        for seed in range(_N_NOTES):
            ids = np.random.default_rng(seed).integers(10, 2_000, 8, dtype=np.int32)
            sampling = Sampling(max_tokens=_LONGEST, temperature=seed % 4 / 2, top_p=1.0, min_p=0.0, seed=seed)
            events = list(process.generate(Prompt((Segment(Part.QUESTION, ids),)), sampling, cancel=Flag(), form=FORM))
            note = read_note("".join(event.text for event in events if isinstance(event, Text)))
            n_whole += bool(note.missing and note.confidence) and getattr(events[-1], "stop", None) is Stop.END
    finally:
        process.close()
    return n_whole


def _quality(home: Path, model: str, texts: int | None) -> Iterator[Row]:
    settings = Settings(home=home, model=model, n_ctx=_WINDOW, reply_tokens=_REPLY)
    desk = Desk(settings)
    try:
        every = _asked(random.Random(15))
        corpus = _corpus(desk, every, random.Random(16))
        chosen = every if texts is None else every[:: max(1, len(every) // texts)][:texts]
        one = _one_window(desk, corpus)
        session, other = desk.begin_session("passes"), desk.begin_session("one window")
        desk.add_sources(session.id, corpus)
        desk.add_sources(other.id, one)
        costs = [document.n_tokens for document in desk.backend().documents(corpus.sources)]
        told = [_told(desk, asked, session.id, other.id, at) for at, asked in enumerate(chosen)]
    finally:
        desk.close()
    wrong, wrong_in_one = (100 - 100 * sum(each[at] for each in told) / len(told) for at in (0, 1))
    yield Row(f"wrong of {len(told)}, in passes and with one window", wrong, wrong_in_one, "%", _WORSE)
    if len(told) > 1:
        again = median(each[2] for each in told[1:])
        yield Row("tokens that a later question reads, of the corpus", again, sum(costs), "", _READ_AGAIN)
        yield Row("a later question, and the first", median(each[3] for each in told[1:]), told[0][3], "s", None)


def _told(desk: Desk, asked: _Asked, session: str, other: str, at: int) -> tuple[bool, bool, int, float]:
    """Whether it was answered right in passes, and with one window; tokens that were read, and seconds, in passes."""
    beside = 0 if at else None
    begun, events = perf_counter(), list[DeskEvent]()
    in_passes = Question(text=asked.question, session=session, beside=beside, in_passes=True)
    turn = _answered(desk, in_passes, events)
    took = perf_counter() - begun
    passes = [event for event in events if isinstance(event, Passing) and event.note is not None]
    n_read = sum(event.n_read for event in passes) + (turn.prompt_tokens or 0) - (turn.reused_tokens or 0)
    n_reused = sum(event.n_reused for event in passes)
    in_one = _answered(desk, Question(text=asked.question, session=other, beside=beside), [])
    right, right_in_one = (_is_right(text, asked.words) for text in (turn.text, in_one.text))
    print(
        f"{'right' if right else 'wrong'} in {len(passes)} passes ({n_read:,} tokens read, {n_reused:,} reused, "
        f"{took:,.0f} s), {'right' if right_in_one else 'wrong'} with one window: {asked.question} "
        f"{' '.join(turn.text.split())!r} | {' '.join(in_one.text.split())!r}",
        file=sys.stderr,
        flush=True,
    )
    for event in passes:
        print(
            f"    {event.title}, {event.n_shown} of {event.n_facts} shown: {event.note!r}", file=sys.stderr, flush=True
        )
    return right, right_in_one, n_read, took


def _answered(desk: Desk, question: Question, events: list[DeskEvent]) -> Turn:
    """The turn with its answer; words that show it are not waited for. events: all until then are put there."""
    with closing(desk.ask(question, cancel=Flag())) as told:
        for event in told:
            events.append(event)
            if isinstance(event, Answered):
                return event.turn
    raise AssertionError("It was not answered.")


def _is_right(text: str, words: Sequence[str]) -> bool:
    return all(word.casefold() in text.casefold() for word in words)


def _asked(draw: random.Random) -> list[_Asked]:
    """Twenty questions, the kinds mixed."""
    birds, asked = list(_BIRDS), list[_Asked]()
    draw.shuffle(birds)
    for number in range(12):
        bird, quarter = birds.pop(), number % _QUARTERS
        kind, value = number % 3, str(draw.randrange(2_000, 9_999))
        text, question = (
            (f"The service {bird} listens on port {value}.", f"On which port does the service {bird} listen?"),
            (f"The buffer of {bird} holds {value} records.", f"How many records does the buffer of {bird} hold?"),
            (f"Tickets about {bird} go to room {value}.", f"To which room do tickets about {bird} go?"),
        )[kind]
        asked.append(_Asked(question, ((quarter, text),), (value,)))
    for number in range(4):
        city, three = _CITIES[number], [birds.pop() for _ in range(3)]
        facts = tuple(
            ((number + at) % _QUARTERS, f"The service {bird} runs in {city}.") for at, bird in enumerate(three)
        )
        asked.append(_Asked(f"Which services run in {city}? Name all of them.", facts, tuple(three)))
    for number, (team, lead) in enumerate(zip(_TEAMS, _LEADS, strict=True)):
        bird = birds.pop()
        facts = (
            (number, f"The service {bird} belongs to the team {team}."),
            ((number + 2) % _QUARTERS, f"The team {team} is led by {lead}."),
        )
        asked.append(_Asked(f"Who leads the team that the service {bird} belongs to?", facts, (lead.split()[1],)))
    draw.shuffle(asked)
    return asked


def _corpus(desk: Desk, asked: Sequence[_Asked], draw: random.Random) -> Corpus:
    """Four windows of pages; a fact stands alone between two paragraphs, each in a page of its quarter."""
    texts = sorted(_texts().items())
    draw.shuffle(texts)
    pages, n_tokens = list[Source](), 0
    while n_tokens < _WINDOW * _WINDOWS:
        name, text = texts.pop()
        pages.append(Source.written(f"pages/{len(pages):03}-{name}.txt", text.strip() + "\n"))
        n_tokens += desk.backend().documents(pages[-1:])[0].n_tokens
    facts = [fact for each in asked for fact in each.facts]
    for quarter in range(_QUARTERS):
        its = [text for at, text in facts if at == quarter]
        first, behind = (len(pages) * (quarter + at) // _QUARTERS for at in (0, 1))
        for text in its:
            at = draw.randrange(first, behind)
            paragraphs = pages[at].text.split("\n\n")
            paragraphs.insert(draw.randrange(len(paragraphs) + 1), text)
            pages[at] = Source.written(pages[at].path, "\n\n".join(paragraphs))
    return Corpus(tuple(pages))


def _texts() -> dict[str, str]:
    """Pages of the language reference, and what modules of the standard library say of themselves, by their names."""
    modules = {path.stem: path.read_text("utf-8") for path in Path(sysconfig.get_path("stdlib")).glob("*.py")}
    found = topics | {name: ast.get_docstring(ast.parse(text)) or "" for name, text in modules.items()}
    return {name: text for name, text in found.items() if 500 < len(text) < 4_000}


def _one_window(desk: Desk, corpus: Corpus) -> Corpus:
    """As much of it, from its beginning, as is sent at once."""
    room, fitting = _WINDOW - _REPLY - 256, list[Source]()
    for source, document in zip(corpus.sources, desk.backend().documents(corpus.sources), strict=True):
        room -= document.n_tokens
        if room < 0:
            break
        fitting.append(source)
    return Corpus(tuple(fitting))
