"""NotingBackend: an engine of words that takes notes as it is asked to: a fact of each document, its first words."""

from collections.abc import Callable, Generator, Sequence
from threading import Event as Flag
from typing import Any

from engine.backend import Case, Event, Finished, Part, Prefill, Sampling, Source, Stop, Text
from engine.errors import EngineFailed
from tests.fake_backend import FakeBackend, sent

ASKS_FOR_A_NOTE = "Do not answer yet"
FACT_WORDS = 6  # of a document, its path not counted


class NotingBackend(FakeBackend):
    """breaks_in: the question, from 1, at which it fails; before: called with each case before it is answered."""

    def __init__(
        self, *, breaks_in: int | None = None, before: Callable[[Case], None] = lambda case: None, **known: Any
    ) -> None:
        super().__init__(**known)
        self.breaks_in, self.before = breaks_in, before

    @property
    def read(self) -> list[list[str]]:
        """The paths of what each question was asked about."""
        return [sent(case) for case in self.asked]

    def generate(
        self,
        case: Case,
        sampling: Sampling,
        *,
        session_id: str,
        cancel: Flag,
        quotable: Sequence[Source] = (),
        form: str | None = None,
        told: bool = False,
    ) -> Generator[Event, None, None]:
        self.asked.append(case)
        self.before(case)
        n_tokens = case.prompt.n_tokens
        yield Prefill(n_tokens, n_tokens, 0, 0.001)
        if len(self.asked) == self.breaks_in:
            raise EngineFailed("The fake engine broke, as it was told to.")
        text = self.note(case) if ASKS_FOR_A_NOTE in self.question(case) else self.answer(self.question(case))
        ids = tuple(self.encode(text).tolist())
        stop = Stop.CANCELLED if cancel.is_set() else Stop.END
        if stop is Stop.END:
            yield Text(text, len(ids), ids=ids)
        yield Finished(
            stop=stop,
            reply_ids=ids if stop is Stop.END else (),
            prompt_tokens=n_tokens,
            reused_tokens=0,
            load_s=0.0,
            restore_s=0.0,
            prefill_s=0.001,
            ttft_s=0.001,
            generate_s=0.001,
        )

    def note(self, case: Case) -> str:
        words = {number: word for word, number in self._words.items()}
        documents = [segment.ids.tolist() for segment in case.prompt.segments if segment.part is Part.SOURCE]
        facts = [" ".join(words[each] for each in ids[1 : 1 + FACT_WORDS]) for ids in documents]
        return "".join(f"Fact: {fact}\n" for fact in facts) + "Missing: the rest\nConfidence: low"
