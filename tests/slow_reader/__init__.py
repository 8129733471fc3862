"""An engine of words that takes its time over each prompt, and can be held: for the page while it reads in passes.

With this folder on PYTHONPATH, the page is answered by it: see sitecustomize.py.
"""

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from threading import Lock
from time import sleep
from typing import Any

from engine.backend import Case, Event, Finished, Ids, Part, Prefill, Sampling, Stop, Text
from engine.corpus.source import Source
from tests.fake_backend import FakeBackend

HELD = "HELD_AFTER"  # the variable that names a file with a number in it: after so many prompts, nothing is read
_STEPS, _STEP_S = 10, 0.02
_FACTS = 2
_SAYS = " says: "


def answers(engines: Callable[..., Any]) -> Callable[..., Any]:
    """What makes a Desk's engines, with a reader in place of all of them."""
    reader = SlowReader()
    return lambda *given, **named: engines(*given, **{**named, "backend": reader})


class SlowReader(FakeBackend):
    """See the package. It finds the first words of sources worth a fact."""

    def __init__(self) -> None:
        super().__init__(window=2_048, shows=lambda statement: statement.partition(_SAYS)[2])
        self.about = replace(self.about, holds_forms=True)
        self._lock = Lock()
        self._held_after = Path(os.environ.get(HELD, "/nonexistent"))
        self._n_read = 0

    def encode(self, text: str) -> Ids:
        with self._lock:
            return super().encode(text)

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
        total = case.prompt.n_tokens
        ended = dict[str, Any](
            prompt_tokens=total, reused_tokens=0, load_s=0.0, restore_s=0.0, prefill_s=0.2, ttft_s=0.2, generate_s=0.0
        )
        for step in range(1, _STEPS + 1):
            sleep(_STEP_S)
            while step == _STEPS // 2 and self._is_held and not cancel.is_set():
                sleep(_STEP_S)
            if cancel.is_set():
                yield Finished(stop=Stop.CANCELLED, reply_ids=(), **ended)
                return
            yield Prefill(total * step // _STEPS, total, 0, _STEP_S * step)
        self._n_read += 1
        facts = self._facts(case)
        lines = "".join(f"Fact: {fact}\n" for fact in facts)
        text = f"{lines}Missing: the rest\nConfidence: high" if form else "".join(f"{fact}. " for fact in facts).strip()
        ids = tuple(self.encode(text).tolist())
        yield Text(text, len(ids), ids=ids)
        yield Finished(stop=Stop.END, reply_ids=ids, **ended)

    @property
    def _is_held(self) -> bool:
        try:
            return self._n_read >= int(self._held_after.read_text())
        except (OSError, ValueError):
            return False

    def _facts(self, case: Case) -> list[str]:
        """What the first sources of a prompt begin with: "a.py says: SPEED = 1"."""
        words = {number: word for word, number in self._words.items()}
        sources = [segment for segment in case.prompt.segments if segment.part is Part.SOURCE]
        told = []
        for segment in sources[:_FACTS]:
            beginning = [words[number] for number in segment.ids[1:4].tolist()]
            told.append(f"{segment.path}{_SAYS}{' '.join(beginning)}")
        return told
