"""Asking again: the time to the first token, and the tokens decoded again, beside llama.cpp's own server.

The corpus ends just before one of Scout's chunks does, so that questions and replies run into the next chunk and push
the corpus's windowed cells out. Desk and the server are asked the same prompts, as ids, in the same order and in turns;
only the replies within a conversation are each one's own. Ours is what passes from the call of Desk.ask to the first
text, without loading the model; after a restart it is the ttft_s of `longdesk ask`.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from app.desk import Desk
from app.settings import Settings
from engine.cores import usable_cores
from engine.prompt.prompt import Part, Prompt
from tests.bench.asked import Asked, Asker, medians
from tests.bench.corpus import corpus_of, edit
from tests.bench.llama_server import LlamaServer, Served
from tests.command_line import CommandLine
from tests.models.cache import cached
from tests.models.scout import CHUNK

_TIMES, _N_REPLY = 5, 8
_N_TOKENS = 3 * CHUNK - 100
_EDITS = (0.25, 0.5, 0.9)
_SHARE_OF_COLD, _RATIO, _GRACE_S = 0.05, 1.1, 0.03


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of question, asked of both. checks: what has to hold, in words, and whether it does."""

    name: str
    ours: Asked
    theirs: Served
    checks: tuple[tuple[str, bool], ...] = ()

    @property
    def holds(self) -> bool:
        return self.ours.true and all(holds for _, holds in self.checks)

    def __str__(self) -> str:
        ours, theirs = self.ours, self.theirs
        facts = [
            f"decoded {ours.decoded:,} / {theirs.decoded:,} of {ours.prompt_tokens:,}",
            f"ttft_s {ours.said_s:.3f}",
        ]
        if ours.process_s is not None:
            facts.append(f"{ours.process_s:.2f} s from the start of the process")
        if not ours.true:
            facts.append(f"{ours.reused_tokens:,} said to be reused of {ours.common:,} shared: FAILS")
        facts += [f"{what}: {'holds' if holds else 'FAILS'}" for what, holds in self.checks]
        times = f"{ours.ttft_s:>10.3f} {theirs.ttft_s:>10.3f} {'s':<4} {ours.ttft_s / theirs.ttft_s:>6.3f}"
        return f"{self.name:<58} {times} ({'; '.join(facts)})"


def rows() -> Iterator[Reading]:
    """Every kind of question in the order of a working day, Desk's seconds against the server's."""
    with tempfile.TemporaryDirectory() as folder:
        day = _Day(Path(folder))
        try:
            yield from day.readings()
        finally:
            day.close()


class _Day:
    """Both sides: one home, one server, and the replies that the server gave where ours stand in a prompt."""

    def __init__(self, folder: Path) -> None:
        model = cached("scout")
        self._corpus, self._slots, home = folder / "corpus", folder / "slots", folder / "home"
        self._slots.mkdir()
        settings = Settings(home=home, model=str(model), reply_tokens=_N_REPLY, n_threads=usable_cores())
        self._desk = Desk(settings)
        self._asker = Asker(CommandLine(home, model))
        self._replies: dict[str, list[tuple[int, ...]]] = {}
        self._n_questions = 0
        self._cold_s = 0.0
        self._n_ctx = 0

    def close(self) -> None:
        self._desk.close()

    def readings(self) -> Iterator[Reading]:
        corpus_of(_N_TOKENS, folder=self._corpus, desk=self._desk)
        session, question = self._begin(), self._question()
        prompt = self._prompt(session, question)
        ours = self._asker.ask(self._desk, session, question, prompt.ids())
        assert self._desk.engine is not None
        self._cold_s, self._n_ctx = ours.ttft_s, self._desk.engine.n_ctx
        with self._server() as server:
            yield Reading("first question, cold", ours, self._serve(server, session, prompt))
            yield self._several("follow-up", lambda: session, server)
            yield self._several("new session on the same corpus", self._begin, server)
            server.save("slot")
        yield from self._after_restart(session)

    def _several(self, name: str, session: Callable[[], str], server: LlamaServer) -> Reading:
        """Medians, each asked of both in turn."""
        pairs = [self._both(session(), server) for _ in range(_TIMES)]
        ours, served = medians([pair[0] for pair in pairs]), [pair[1] for pair in pairs]
        theirs = replace(max(served, key=lambda each: each.decoded), ttft_s=median(each.ttft_s for each in served))
        limit = f"at most {_RATIO} x the server's + {_GRACE_S * 1_000:.0f} ms"
        near = (limit, ours.ttft_s <= _RATIO * theirs.ttft_s + _GRACE_S)
        return Reading(f"{name}, median of {_TIMES}", ours, theirs, (self._of_cold(ours), near))

    def _after_edit(self, share: float, session: str, server: LlamaServer) -> Reading:
        """In the same session, with the file at that share of the corpus changed."""
        edit(share, folder=self._corpus, desk=self._desk)
        self._desk.add_sources(session, self._desk.read([self._corpus]))
        ours, theirs = self._both(session, server)
        limit = ours.behind + CHUNK - 1
        check = (f"at most {ours.behind:,} behind the edit + {CHUNK - 1:,}", ours.decoded <= limit)
        return Reading(f"after an edit at {share:.0%} of the corpus", ours, theirs, (check,))

    def _after_restart(self, session: str) -> Iterator[Reading]:
        """In new processes: a new session, where the server starts over, the old one, where its slot is back, edits."""
        new, follow_up = self._question(), self._question()
        begun = self._begin()
        new_prompt, old_prompt = self._prompt(begun, new), self._prompt(session, follow_up)
        self._desk.close()

        ours = self._process(new_prompt, self._corpus, "-q", new)
        with self._server() as server:
            theirs = self._serve(server, begun, new_prompt)
        yield Reading("new session after a restart", ours, theirs, (self._of_cold(ours),))

        ours = self._process(old_prompt, "--session", session, "-q", follow_up)
        with self._server() as server:
            restored_s = server.restore("slot")
            theirs = self._serve(server, session, old_prompt)
            theirs = replace(theirs, ttft_s=theirs.ttft_s + restored_s)
            name = "follow-up after a restart (server: slot saved by hand)"
            yield Reading(name, ours, theirs, (self._of_cold(ours),))

            self._desk = Desk(self._desk.settings)
            for share in _EDITS:
                yield self._after_edit(share, session, server)

    def _both(self, session: str, server: LlamaServer) -> tuple[Asked, Served]:
        question = self._question()
        prompt = self._prompt(session, question)
        return self._asker.ask(self._desk, session, question, prompt.ids()), self._serve(server, session, prompt)

    def _process(self, prompt: Prompt, *arguments: object) -> Asked:
        options = ("--max-tokens", _N_REPLY, "--threads", usable_cores())
        return self._asker.ask_process(prompt.ids(), *arguments, *options)

    def _server(self) -> LlamaServer:
        placed = {"n_ctx": self._n_ctx, "n_threads": usable_cores()}
        return LlamaServer(Path(self._desk.settings.model), slots=self._slots, **placed)

    def _serve(self, server: LlamaServer, session: str, prompt: Prompt) -> Served:
        """The same prompt, with the server's replies in this session in place of ours."""
        replies = self._replies.setdefault(session, [])
        given = iter(replies)
        parts = [next(given) if part.part is Part.REPLY else part.ids for part in prompt.segments]
        served = server.ask(np.concatenate(parts), n_reply=_N_REPLY)
        replies.append(served.reply_ids)
        return served

    def _of_cold(self, ours: Asked) -> tuple[str, bool]:
        share = ours.ttft_s / self._cold_s
        return f"{share:.1%} of cold, at most {_SHARE_OF_COLD:.0%}", share <= _SHARE_OF_COLD

    def _begin(self) -> str:
        session = self._desk.begin_session("bench")
        self._desk.add_sources(session.id, self._desk.read([self._corpus]))
        return session.id

    def _question(self) -> str:
        self._n_questions += 1
        return f"Question {self._n_questions}: which of the documents speak of the harbour, and what do they say of it?"

    def _prompt(self, session: str, question: str) -> Prompt:
        return self._desk.preview(session, question).prompt
