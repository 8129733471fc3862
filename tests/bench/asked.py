"""Asking Longdesk as its users do, through Desk and through `longdesk ask`, with an eye on what it says of reuse."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from threading import Event as Flag
from time import perf_counter

import numpy as np

from app.desk import Desk
from app.question import Answered, Question
from engine.runtime.events import Prefill, Text
from engine.tokens.document import Ids, common_prefix
from tests.command_line import CommandLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One answer, or the medians of several: seconds to the first text without loading the model, and tokens.

    said_s: the answer's own ttft_s. common: what the prompt shares with the earlier one that it shares most with.
    true: whether nothing more was said to be reused than that, and the same in every event. process_s: seconds to the
    first text from the start of a process of its own.
    """

    ttft_s: float
    said_s: float
    prompt_tokens: int
    reused_tokens: int
    common: int
    true: bool
    process_s: float | None = None

    @property
    def decoded(self) -> int:
        """Tokens of the prompt that were decoded."""
        return self.prompt_tokens - self.reused_tokens

    @property
    def behind(self) -> int:
        """Tokens of the prompt behind what it shares with an earlier one."""
        return self.prompt_tokens - self.common


def medians(answers: Sequence[Asked]) -> Asked:
    """Median seconds; the tokens of the answer that decoded most."""
    worst = max(answers, key=lambda asked: asked.decoded)
    return replace(
        worst,
        ttft_s=median(asked.ttft_s for asked in answers),
        said_s=median(asked.said_s for asked in answers),
        true=all(asked.true for asked in answers),
    )


class Asker:
    """Asks, and remembers every prompt and reply, since any of them may be what a later prompt is said to reuse."""

    def __init__(self, longdesk: CommandLine) -> None:
        self._longdesk = longdesk
        self._before: list[Ids] = []

    def ask(self, desk: Desk, session: str, question: str, ids: Ids) -> Asked:
        """Through Desk, as the page does. ids: what the prompt has to be."""
        prefills, first_at = [], 0.0
        begun = perf_counter()
        for event in desk.ask(Question(text=question, session=session), cancel=Flag()):
            if isinstance(event, Text) and not first_at:
                first_at = perf_counter()
            elif isinstance(event, Prefill):
                prefills.append((event.done, event.total, event.reused))
        assert isinstance(event, Answered)
        turn = event.turn
        assert turn.load_s is not None and turn.ttft_s is not None, turn.error
        answer = {"prompt_tokens": turn.prompt_tokens, "reused_tokens": turn.reused_tokens, "ttft_s": turn.ttft_s}
        asked = self._asked(ids, answer, prefills)
        self._before[-1] = np.concatenate([ids, np.array(turn.reply_ids, dtype=np.int32)])
        return replace(asked, ttft_s=(first_at or perf_counter()) - begun - turn.load_s)

    def ask_process(self, ids: Ids, *arguments: object) -> Asked:
        """With `longdesk ask` in a process of its own."""
        begun, first_s, prefills = perf_counter(), 0.0, []
        process = self._longdesk.start("ask", "--json", *arguments)
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "prefill":
                prefills.append((event["done"], event["total"], event["reused"]))
            else:
                first_s = first_s or perf_counter() - begun
        process.communicate()
        assert event["event"] == "answer" and event["stop"] != "error", event
        return replace(self._asked(ids, event, prefills), process_s=first_s)

    def _asked(self, ids: Ids, answer: dict, prefills: list[tuple[int, int, int]]) -> Asked:
        common = max((common_prefix(ids, before) for before in self._before), default=0)
        self._before.append(ids)
        total, reused = answer["prompt_tokens"], answer["reused_tokens"]
        alike = {each[1:] for each in prefills} == {(total, reused)}
        from_to = prefills[0][0] == reused and prefills[-1][0] == total == len(ids)
        return Asked(
            ttft_s=answer["ttft_s"],
            said_s=answer["ttft_s"],
            prompt_tokens=total,
            reused_tokens=reused,
            common=common,
            true=alike and from_to and reused <= min(common, total - 1),
        )
