"""Evidence for an answer of a model on this machine, and the trial by which it is known whether the model is any good:
a small text, statements about it, and where the words are that show them.

A model that is no good finds words that stand there and show nothing; so it is tried once, behind its first answer, and
what came of that is kept. How quotes are written is left to engine.runtime.quotes.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from threading import Event as Flag

import numpy as np

from engine.answer.quotes import Quotes, QuoteState
from engine.corpus.source import Source
from engine.local.opened import OpenModel
from engine.local.process import EngineProcess
from engine.memory.card import ModelCard
from engine.memory.fingerprint import variant
from engine.prompt.layout import SYSTEM
from engine.prompt.prompt import Exchange, Prompt
from engine.runtime.events import Evidence, Remark, Replied
from engine.runtime.quotes.evidence import OPENING
from engine.runtime.quotes.text import Documents
from engine.tokens.id_cache import IdCache
from engine.tokens.proof import read_kept, write_kept
from engine.tokens.source_ids import text_of

Span = tuple[int, int]  # characters of a reply, from and to
_VERSION = 3  # raise it when the trial changes, so that models are tried anew
_NEEDED = 3  # passages that have to be found
_SMALL_BYTES = 400 << 20  # of a model file
_TEXTS = (
    ("ferry.txt", "Timetable of the island ferry\n\nThe first boat departs from the north pier at 6:50 each morning. "
     "Between June and September a second boat is put in at noon. Dogs travel without a ticket, bicycles for 4 euros.\n"
     "In a gale warning the skipper alone decides whether the boat leaves the harbour.\n"),
    ("kiln.md", "# Firing the small kiln\n\nThe door stays locked until the chamber has cooled below 90 degrees. "
     "Glazed pieces are set on the upper shelf, raw clay on the lower one.\nA firing takes eleven hours. Write the "
     "date and your name into the blue book before you switch it on.\n"),
    ("pump.py", "MAX_RETRIES = 5\n\n\ndef start(pump):\n    if pump.pressure > 3.2:\n        raise Overload(\"vent the "
     "line before starting\")\n    pump.run(speed=SLOW)\n"),
)  # fmt: skip
_QUESTION = "What do the documents say about the ferry, the kiln and the pump?"
# a statement, and the passage that shows it
_STATEMENTS = (
    ("The ferry's first boat of the day leaves at 6:50.", "The first boat departs from the north pier at 6:50"),
    ("Dogs do not need a ticket.", "Dogs travel without a ticket, bicycles for 4 euros."),
    ("A firing of the kiln lasts eleven hours.", "A firing takes eleven hours."),
    ("The kiln's door is locked until it has cooled below 90 degrees.", "The door stays locked until the chamber has "
     "cooled below 90 degrees."),
    ("The pump refuses to start above a pressure of 3.2.", "if pump.pressure > 3.2:\n        raise Overload(\"vent the "
     "line before starting\")"),
)  # fmt: skip


def documents_of(sources: Sequence[Source]) -> Documents:
    """What may be quoted of sources: their texts."""
    digest = blake2b("".join(text_of(source).digest for source in sources).encode(), digest_size=16).hexdigest()
    return Documents(digest, [source.text for source in sources])


def is_tried(card: ModelCard) -> bool:
    """Whether a model is so small that it may be no good at all: larger ones fail at a text as small as this one, where
    every place is near, and find what shows a statement in longer ones."""
    return card.path.stat().st_size < _SMALL_BYTES


@dataclass(frozen=True, slots=True)
class QuoteTrial:
    """Whether a model finds the words of _TEXTS that show _STATEMENTS, _NEEDED of them. fingerprint: of its files.
    folder: where the outcome is kept."""

    opened: OpenModel = field(repr=False)
    fingerprint: str
    folder: Path

    def known(self) -> Quotes | None:
        """What came of it; None where it was not tried."""
        return _known(self.opened.card, self.fingerprint, self.folder)

    def run(self, process: EngineProcess, cancel: Flag) -> Quotes | None:
        """Tries it, and keeps how many it found until that was enough, or could not be any more; None where it was
        cancelled, or there was no room for it."""
        prompt, reply, spans = self._laid_out()
        told = _ask(process, self.opened, prompt, reply, spans, _sources(), question="", apart=True, cancel=cancel)
        n_tried = n_found = 0
        with closing(told):
            for event in told:
                n_tried += isinstance(event, Evidence)
                n_found += isinstance(event, Evidence) and _shows(event)
                if n_found == _NEEDED or n_tried - n_found > len(_STATEMENTS) - _NEEDED:
                    break  # the rest changes nothing
            else:
                return None
        stamp = _stamp(self.fingerprint)
        write_kept(_path(self.folder, stamp), stamp, {"n_found": n_found, "n_tried": n_tried})
        return _outcome(self.opened.card, n_found, n_tried)

    def _laid_out(self) -> tuple[Prompt, Replied, list[Span]]:
        documents = self.opened.documents(_sources(), IdCache())
        prompt = self.opened.prompt(
            [Exchange(_QUESTION, documents, thinking="off")], system=SYSTEM, today=date(2025, 1, 1)
        )
        text, spans = "", []
        for statement, _ in _STATEMENTS:
            text += " " if text else ""
            spans.append((len(text), len(text) + len(statement)))
            text += statement
        return prompt, Replied(self.opened.tokenizer.encode(text).tolist(), text), spans


def quotes_of(card: ModelCard, folder: Path) -> Quotes:
    """Whether words are looked for behind the answers of a model, as far as is known: it is tried behind its first.

    folder: where the outcomes of trials are kept. Raises ModelRefused when a file of the model went away.
    """
    return _known(card, variant(card), folder) or Quotes()


def _known(card: ModelCard, model: str, folder: Path) -> Quotes | None:
    stamp = _stamp(model)
    kept = read_kept(_path(folder, stamp), stamp) or {}
    n_found, n_tried = kept.get("n_found"), kept.get("n_tried")
    if not isinstance(n_found, int) or not isinstance(n_tried, int):
        return None
    return _outcome(card, n_found, n_tried)


def _outcome(card: ModelCard, n_found: int, n_tried: int) -> Quotes:
    if n_found >= _NEEDED:
        return Quotes(n_found=n_found, n_tried=n_tried)
    reason = (
        f"Quotes are off with {card.name}: tried on a small text, it found the words that show what is said of it "
        f"{n_found} times in {n_tried}. The setting quotes = true looks for them all the same."
    )
    return Quotes(state=QuoteState.FAILED, reason=reason, n_found=n_found, n_tried=n_tried)


def _stamp(model: str) -> str:
    return f"quotes {_VERSION} llama-cpp-python {version('llama-cpp-python')} {model}"


def _path(folder: Path, stamp: str) -> Path:
    return folder / f"quotes-{blake2b(stamp.encode(), digest_size=16).hexdigest()}.json"


def evidence(
    process: EngineProcess,
    trial: QuoteTrial,
    prompt: Prompt,
    reply: Replied,
    statements: Sequence[Span],
    *,
    question: str,
    quotable: Sequence[Source],
    anyway: bool,
    cancel: Flag,
) -> Generator[Evidence | Remark, None, None]:
    """See Backend.evidence. The first time, the model is tried, and what came of that is said."""
    if not anyway and is_tried(trial.opened.card):
        known = trial.known()
        outcome = trial.run(process, cancel) if known is None else known
        if outcome is not None and outcome.state is QuoteState.FAILED:
            if known is None:
                yield Remark(outcome.reason)
            return
    yield from _ask(
        process, trial.opened, prompt, reply, statements, quotable, question=question, apart=False, cancel=cancel
    )


def _ask(
    process: EngineProcess,
    opened: OpenModel,
    prompt: Prompt,
    reply: Replied,
    statements: Sequence[Span],
    sources: Sequence[Source],
    *,
    question: str,
    apart: bool,
    cancel: Flag,
) -> Generator[Evidence | Remark, None, None]:
    # thoughts stand between the prompt and the answer; behind some in the midst of it nothing is looked for
    n_thought = reply.thoughts[0][1] if reply.thoughts and reply.thoughts[0][0] == 0 else 0
    if len(reply.thoughts) > bool(n_thought):
        statements = ()
    return process.evidence(
        np.concatenate([prompt.ids(), np.array(reply.ids, dtype=np.int32)]),
        n_prompt=prompt.n_tokens + n_thought,
        statements=statements,
        trimmed=n_thought > 0,
        openings=[opened.tokenizer.encode("\n" * n_ends + OPENING) for n_ends in (2, 1, 0)],
        question=question,
        documents=documents_of(sources),
        apart=apart,
        cancel=cancel,
    )


def _sources() -> list[Source]:
    return [Source.written(path, text) for path, text in _TEXTS]


def _shows(found: Evidence) -> bool:
    """Whether a quote touches the passage that shows its statement."""
    passage = _STATEMENTS[found.statement][1].encode()
    for number, (_, text) in enumerate(_TEXTS):
        start = text.encode().find(passage)
        if start >= 0:
            return number == found.document and found.start < start + len(passage) and found.end > start
    return False
