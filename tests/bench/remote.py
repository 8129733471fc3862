"""Time to first token through Longdesk against the openai client alone: the same server, llama.cpp's own, and prompts
of the same length, in turns. Of a long prompt that is read whole, and of one that the server's prefix cache holds.

The prompts of the two sides differ in a word at their beginning, so that neither finds what the other has read.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event as Flag

import openai

from app.desk import Desk
from app.question import Question
from app.settings import Settings
from engine.backend import Corpus, Source, Text
from tests.bench.table import Row
from tests.known import starter
from tests.llama_cpp_server import LlamaCppServer
from tests.models.cache import cached

_TIMES, _WORDS = 9, 600
_SHARE, _FIXED_S = 0.03, 0.005  # what Longdesk may take beside the client: of the time, and at all


class _Sides:
    """Both ways to ask one server. In turns: what one sends, the other has not sent."""

    def __init__(self, server: LlamaCppServer, desk: Desk) -> None:
        self._server, self._desk, self._n_asked = server, desk, 0
        self._client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=None)
        self._model = server.call("/v1/models")["data"][0]["id"]
        self._messages: list[dict[str, str]] = []
        self._session = ""

    def ours(self) -> float:
        """Seconds from the question to the first text, of a new session with a corpus; sources are read and counted."""
        corpus = self._corpus()
        self._desk.count(corpus)
        session = self._desk.begin_session("bench").id
        self._desk.add_sources(session, corpus)
        self._session = session
        return self._first_text(session, "What is it?")

    def ours_again(self) -> float:
        """The same of a question more in that session."""
        return self._first_text(self._session, f"And then ({self._n_asked})?")

    def theirs(self) -> float:
        """Seconds from the request to the first text, by the client alone."""
        (source,) = self._corpus().sources
        text = f'<document path="{source.path}">\n{source.text}\n</document>\n\nWhat is it?'
        system = self._desk.session(self._session).session.system or ""
        self._messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        return self._first_chunk()

    def theirs_again(self) -> float:
        self._n_asked += 1
        self._messages += [
            {"role": "assistant", "content": self._said},
            {"role": "user", "content": f"And then ({self._n_asked})?"},
        ]
        return self._first_chunk()

    def _corpus(self) -> Corpus:
        self._n_asked += 1
        text = f"{self._n_asked} " + " ".join(f"word{at % 97}" for at in range(_WORDS))
        return Corpus((Source.written("words.txt", text),))

    def _first_text(self, session: str, question: str) -> float:
        first = 0.0
        self._server.rest()
        begun = time.perf_counter()
        for event in self._desk.ask(Question(text=question, session=session), cancel=Flag()):
            if isinstance(event, Text):
                first = first or time.perf_counter() - begun
        return first

    def _first_chunk(self) -> float:
        first, self._said = 0.0, ""
        self._server.rest()
        begun = time.perf_counter()
        stream = self._client.chat.completions.create(
            model=self._model,
            messages=self._messages,
            stream=True,
            max_tokens=8,
            temperature=0,  # type: ignore[call-overload]
        )
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                first = first or time.perf_counter() - begun
                self._said += chunk.choices[0].delta.content
        return first


def rows(times: int = _TIMES, model: str | None = None) -> Iterator[Row]:
    """Whole prompts with the starter, or another model; follow-ups with the same."""
    path = Path(model) if model else starter() or cached("llama")
    with TemporaryDirectory() as home, LlamaCppServer(path, n_ctx=8192) as server:
        settings = Settings(home=Path(home), model=server.url, reply_tokens=8)
        with closing(Desk(settings)) as desk:
            sides = _Sides(server, desk)
            sides.ours(), sides.theirs()  # what is made once is made
            whole, again = list[tuple[float, float]](), list[tuple[float, float]]()
            for _ in range(times):
                ours, ours_again = sides.ours(), sides.ours_again()
                theirs, theirs_again = sides.theirs(), sides.theirs_again()
                whole.append((ours, theirs))
                again.append((ours_again, theirs_again))
    for name, pairs in (("first text, prompt read whole", whole), ("first text, prompt in the prefix cache", again)):
        ours, theirs = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
        limit = 1 + _SHARE + _FIXED_S / theirs
        yield Row(f"remote: {name}", ours, theirs, "s", limit)
