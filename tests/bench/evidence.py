"""Words that show an answer, looked for behind it. What a held quote costs with 40 MB of sources, in processor time.
And with a real model (`python -m tests.bench evidence --model FILE`): what is found for questions whose answers are
known, and for questions that the sources do not answer.

The sources are modules of the standard library, pages of its language reference and this program's license. No rule was
made on the questions that are asked without `--questions`. Those of `--questions tuned`, `code`, `prose`, `seen` and
`once` are the ones that the rules were made on.
"""

import random
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event as Flag
from time import perf_counter, process_time

import numpy as np

from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from engine.answer.citations import Citation, Status
from engine.backend import Text
from engine.runtime.quotes.evidence import write_quote
from engine.runtime.quotes.index import QuoteIndex, build
from engine.runtime.quotes.nearby import nearby
from engine.runtime.quotes.text import join
from storage.records import Turn
from tests.bench.evidence_questions import SETS, Known, Questions
from tests.bench.table import Row

_MB = 40
_SETUP_S, _MEMORY = 2.0, 2.0
_TOKEN_MS = 1.0  # a twentieth of what a model takes that writes 50 tokens a second
_INSIDE = 1.05
_RELEVANT, _NONE_FOUND = 80.0, 80.0  # per cent
_ENOUGH = 4  # tokens of a reply, to tell what one takes


def rows(model: str | None = None, questions: str = "aside") -> Iterator[Row]:
    """model: a GGUF file of an instruct model. questions: which of SETS it is asked."""
    token_ms = []
    for row in _cost():
        yield row
        if row.unit == "ms":
            token_ms.append(row.ours)
    if model is not None:
        yield from _quality(model, SETS[questions], token_ms[0])


def _cost() -> Iterator[Row]:
    """Set-up, memory, a token within a quote, and where a statement's words stand, with 40 MB of sources."""
    documents = list(_documents())
    n_bytes = sum(map(len, documents))
    begun = process_time()
    index = build(join(documents))
    yield Row(f"set-up for quotes from {_MB} MB", process_time() - begun, _SETUP_S, "s", 1.0)
    yield Row("memory that it keeps, times the text", index.n_bytes / n_bytes, _MEMORY, "x", 1.0)
    yield Row("a token within a quote, beyond the model's own", _token_ms(index, documents), _TOKEN_MS, "ms", 1.0)
    begun, statements = process_time(), ["The `cancel` method removes an event from the queue.", "It returns a tuple."]
    for statement in statements:
        nearby(index, statement, "What does cancel do?")
    yield Row("where a statement's words stand together", (process_time() - begun) / len(statements), 0.5, "s", 1.0)


def _token_ms(index: QuoteIndex, documents: list[bytes]) -> float:
    """Milliseconds that a token takes beyond the model's own time, in a vocabulary of 152,000: what it likes best goes
    on in the text nine times of ten."""
    draw, noise = random.Random(0), np.random.default_rng(0)
    passages = []
    while len(passages) < 60:
        document = draw.choice(documents)
        start = document.find(b"    def ", draw.randrange(max(1, len(document)))) + 4
        if start > 4 and len(document) > start + 200:
            cuts = np.cumsum([0, *(draw.randint(2, 6) for _ in range(25))]) + start
            passages.append([document[a:b] for a, b in pairwise(cuts.tolist())])
    tokens = [b"", *dict.fromkeys(piece for passage in passages for piece in passage)]
    tokens += [b"\xff"] * (152_000 - len(tokens))
    numbers = {piece: number for number, piece in enumerate(tokens[:5_000])}
    background = noise.standard_normal(len(tokens), dtype=np.float32)
    n_written = 0

    class Likely:
        def __init__(self, passage: list[bytes]) -> None:
            self.passage, self.at = passage, 0

        def logits(self) -> np.ndarray:
            logits = background.copy()
            if draw.random() < 0.1:
                logits[draw.randrange(len(tokens))] = 40
            logits[numbers[self.passage[self.at]] if self.at < len(self.passage) else 0] = 30
            return logits

        def write(self, token: int) -> np.ndarray:
            nonlocal n_written
            n_written, self.at = n_written + 1, self.at + 1
            return self.logits()

        def go_back(self) -> bool:
            self.at = 0
            return True

    spent = 0.0
    for passage in passages:
        likely = Likely(passage)
        first, begun = likely.logits(), process_time()
        write_quote(likely, first, index, tokens.__getitem__, lambda token: token == 0, floor=-1e9)
        spent += process_time() - begun
    assert n_written > 600
    begun = process_time()
    for _ in range(n_written):
        Likely(passages[0]).logits()
    return 1_000 * (spent - (process_time() - begun)) / n_written


def _documents() -> Iterator[bytes]:
    n_left = _MB * 1_000_000
    paths = sysconfig.get_paths()
    for root in dict.fromkeys((paths["stdlib"], paths["purelib"], paths["platlib"])):
        for path in sorted(Path(root).rglob("*.py")):
            data = path.read_bytes()
            if n_left > 0:
                n_left -= len(data)
                yield data


def _quality(model: str, questions: Questions, token_ms: float) -> Iterator[Row]:
    """All questions in a row, each in a session of its own, in a home without quotes and in one with them. So both read
    the same in the same batches: a batch of another size can tip the scales between two words.

    token_ms: what a token within a quote takes beyond the model's own time.
    """
    written_ms: list[float] = []
    asked = [*(each.question for each in questions.answerable), *questions.unanswerable]
    with TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        stdlib = Path(sysconfig.get_paths()["stdlib"])
        for name in questions.modules:
            (corpus / name).write_bytes((stdlib / name).read_bytes())
        for name in questions.files:
            (corpus / name).write_bytes((Path(__file__).parents[2] / name).read_bytes())
        for name in questions.topics:
            (corpus / f"{name}.txt").write_text(topics[name], encoding="utf-8")
        turns: dict[bool, list[Turn]] = {False: [], True: []}
        for quotes, answered in turns.items():
            home = Path(folder) / f"home-{quotes}"
            desk = Desk(Settings(home=home, model=model, n_threads=1, reply_tokens=96, quotes=quotes, n_ctx=8192))
            for text in asked:
                answered.append(_answered(desk, Question(text=text, corpus=desk.read([corpus])), written_ms))
                if quotes:
                    _tell(answered[-1])
            desk.close()
        texts = {path.name: path.read_text(encoding="utf-8") for path in corpus.iterdir()}
    plain_ms = median(written_ms)
    yield Row(f"a token within a quote from {_MB} MB, by one outside", plain_ms + token_ms, plain_ms, "ms", _INSIDE)
    yield from _judged(questions, list(zip(turns[False], turns[True], strict=True)), texts)


def _answered(desk: Desk, question: Question, written_ms: list[float]) -> Turn:
    """The turn as it ended. written_ms: gets what a token of the reply took."""
    first: tuple[float, int] | None = None
    for event in desk.ask(question, cancel=Flag()):
        if isinstance(event, Text):
            now = perf_counter(), event.n_tokens
            if first is not None and now[1] - first[1] >= _ENOUGH:
                written_ms.append(1_000 * (now[0] - first[0]) / (now[1] - first[1]))
            first = first or now
        last = event
    assert isinstance(last, Answered)
    return last.turn


def _tell(turn: Turn) -> None:
    print(f"\n{turn.question}\n  {turn.text!r}", file=sys.stderr)
    for each in turn.citations or ():
        lowest = "" if each.logprob is None else f" {each.logprob:.1f}"
        print(f"  {each.status} {'held' if each.held else 'free'}{lowest} {each.quote!r}", file=sys.stderr, flush=True)


def _judged(questions: Questions, pairs: Sequence[tuple[Turn, Turn]], texts: Mapping[str, str]) -> Iterator[Row]:
    changed = sum(plain.reply_ids != quoted.reply_ids for plain, quoted in pairs)
    yield Row("answers that quotes changed", changed, 0.5, "", 1.0)
    held = [each for _, turn in pairs for each in turn.citations or () if each.held and each.status is Status.VERIFIED]
    wrong = sum(each.quote not in texts[str(each.path)].replace("\r\n", "\n") for each in held)
    yield Row(f"of {len(held)} held quotes, not verbatim", wrong, 0.5, "", 1.0)
    free = [each for _, turn in pairs for each in turn.citations or () if not each.held and each.quote]
    yield Row(
        f"of {len(free)} quotes by the model itself, not verbatim",
        sum(each.status is not Status.VERIFIED for each in free), max(1, len(free)), "", None,
    )  # fmt: skip
    known = list(zip(questions.answerable, (turn for _, turn in pairs), strict=False))
    right = [(asked, turn) for asked, turn in known if re.search(asked.answer, turn.text)]
    without = sum(not any(_shows(each, asked, texts) for each in turn.citations or ()) for asked, turn in right)
    share = 100 * without / max(1, len(right))
    yield Row(f"of {len(right)} right answers, without words that show them", share, 100 - _RELEVANT, "%", 1.0)
    invented = [turn for _, turn in pairs[len(questions.answerable) :] if turn.citations]
    shown = sum(any(each.status is Status.VERIFIED for each in turn.citations or ()) for turn in invented)
    share = 100 * shown / max(1, len(invented))
    yield Row(f"of {len(invented)} inventions, with words all the same", share, 100 - _NONE_FOUND, "%", 1.0)


def _shows(citation: Citation, asked: Known, texts: Mapping[str, str]) -> bool:
    """Whether one of the lines that held words touch shows the answer."""
    if not citation.held or citation.lines is None:
        return False
    first, last = citation.lines
    lines = texts[str(citation.path)].splitlines()[first - 1 : last]
    return re.search(asked.shown, "\n".join(lines)) is not None
