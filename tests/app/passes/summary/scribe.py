"""A FakeBackend that writes as it is asked: plans, notes and pages in their forms, and finds the words of the sources
that its lines name."""

import re
from collections.abc import Callable, Generator, Sequence
from threading import Event as Flag

from engine.backend import Case, Event, Finished, Part, Prefill, Sampling, Source, Stop, Text
from engine.errors import EngineFailed
from tests.fake_backend import FakeBackend

_NOTHING = Flag()


class Scribe(FakeBackend):
    """Notes of each document its first definition; pages repeat the notes. breaks_at: the call at which it fails.

    stops: set before the reply of a call is written; by number from 1. form: whether each reply was held to one.
    """

    def __init__(self, *, window: int = 2_000, shows_words: bool = True, breaks_at: int | None = None) -> None:
        super().__init__(window=window, shows=(lambda text: _words(text)) if shows_words else None)
        self.breaks_at, self.calls = breaks_at, list[tuple[str, list[str]]]()
        self.sampled = list[Sampling]()
        self.before_reply: Callable[[int], None] = lambda number: None

    def generate(
        self,
        case: Case,
        sampling: Sampling,
        *,
        session_id: str,
        cancel: Flag = _NOTHING,
        quotable: Sequence[Source] = (),
        form: str | None = None,
        told: bool = False,
    ) -> Generator[Event, None, None]:
        question = self.question(case)
        paths = [str(segment.path) for segment in case.prompt.segments if segment.part is Part.SOURCE]
        self.calls.append((question, paths))
        self.asked.append(case)
        self.sampled.append(sampling)
        if len(self.calls) == self.breaks_at:
            raise EngineFailed("The fake engine broke, as it was told to.")
        total = case.prompt.n_tokens
        yield Prefill(total, total, 0, 0.001)
        self.before_reply(len(self.calls))
        text = self._reply(question, case)
        stop = Stop.CANCELLED if cancel.is_set() else Stop.END
        ids = tuple(self.encode(text).tolist())
        yield Text(text, len(ids), ids=ids)
        yield Finished(
            stop=stop, reply_ids=ids, prompt_tokens=total, reused_tokens=0, load_s=0.0, restore_s=0.0, prefill_s=0.001,
            ttft_s=0.001, generate_s=0.001,
        )  # fmt: skip

    def _reply(self, question: str, case: Case) -> str:
        if "skeleton of a codebase" in question:
            labels = re.findall(r"\S+ to \S+|all files|\S+", question.split("does. ")[-1])
            return "Purpose: It does things.\n" + "".join(f"{label}: Piece. It is a piece.\n" for label in labels)
        said = self.text_of(case)
        if "one part of a codebase" in question:
            names = re.findall(r"def (\w+)", said)
            lines = "".join(f"- It defines {name}.\n" for name in names)
            return (
                f"Summary: This part has {len(names)} functions, {names[0] if names else 'none'} first.\n"
                f"What it does:\n{lines}Entry points:\n{lines[: lines.find(chr(10)) + 1]}Data flow:\nRun and test:\n"
                "Risks:\n- It may fail at odd_words.\nTerms:\n" + "".join(f"- {name}: a function.\n" for name in names)
            )
        names = re.findall(r"defines (\w+)\.", said)[:4]
        return "".join(f"- It defines {name}.\n" for name in names) or "- So it is.\n"

    def text_of(self, case: Case) -> str:
        """The documents of a case, in words."""
        words = {number: word for word, number in self._words.items()}
        segments = [segment for segment in case.prompt.segments if segment.part is Part.SOURCE]
        return " ".join(words[number] for segment in segments for number in segment.ids.tolist())


def _words(statement: str) -> str:
    """What a line is shown by: the definition that it names."""
    found = re.search(r"defines (\w+)|^(\w+): a function|functions, (\w+) first", statement)
    name = found and next(filter(None, found.groups()))
    return f"def {name}" if name and name != "none" else ""
