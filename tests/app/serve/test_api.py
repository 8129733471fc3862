"""The OpenAI-compatible way in, asked with OpenAI's own client and with bare requests, on a tiny real model."""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from storage.records import Turn
from storage.store import Store
from tests.command_line import CommandLine
from tests.patience import until
from tests.serving import TOKEN, Serving

pytestmark = pytest.mark.slow

Messages = Sequence[ChatCompletionMessageParam]


def user(text: str) -> ChatCompletionMessageParam:
    return {"role": "user", "content": text}


def assistant(text: str) -> ChatCompletionMessageParam:
    return {"role": "assistant", "content": text}


def complete(server: Serving, *messages: ChatCompletionMessageParam, **options: Any) -> ChatCompletion:
    answer: ChatCompletion = server.client.chat.completions.create(model=server.model, messages=messages, **options)
    return answer


def text_of(answer: ChatCompletion) -> str:
    return answer.choices[0].message.content or ""


def extras(answer: ChatCompletion) -> dict[str, Any]:
    found: dict[str, Any] = (answer.choices[0].message.model_extra or {})["longdesk"]
    return found


def usage(answer: ChatCompletion) -> tuple[int, int, int]:
    """Prompt tokens, of them cached, reply tokens."""
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    told = answer.usage
    assert told.total_tokens == told.prompt_tokens + told.completion_tokens
    return told.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens or 0, told.completion_tokens


def turns_of(longdesk: CommandLine, answer: ChatCompletion) -> list[Turn]:
    """The turns of an answer's session, as they are kept."""
    with Store(longdesk.home) as store:
        return list(store.turns.of(extras(answer)["session"]))


def corpus_tokens(server: Serving) -> int:
    card: dict[str, Any] = (server.client.models.list().data[0].model_extra or {})["longdesk"]
    assert card["corpus"]["sources"] == 3
    return int(card["corpus"]["tokens"])


class TestAnswers:
    def test_the_answer_is_that_of_ask(self, server: Serving, longdesk: CommandLine, corpus: Path) -> None:
        answer = complete(server, user("How long is the bridge?"))
        asked = longdesk("ask", corpus, "-q", "How long is the bridge?", "--max-tokens", 12, "--json").answer
        assert text_of(answer) == asked["text"] and answer.choices[0].message.role == "assistant"
        prompt, _, reply = usage(answer)
        assert (prompt, reply) == (asked["prompt_tokens"], asked["reply_tokens"])
        stops = {"end": "stop", "length": "length"}
        assert answer.choices[0].finish_reason == stops[asked["stop"]]

    def test_the_corpus_is_read_once(self, server: Serving) -> None:
        """Another question, and another client's instructions, read nothing of it again."""
        complete(server, user("What is in it?"))
        instructed: ChatCompletionMessageParam = {"role": "system", "content": "Be brief."}
        for messages in ((user("Who wrote it?"),), (instructed, user("When?"))):
            prompt, cached, _ = usage(complete(server, *messages))
            assert 0 < prompt - cached < 40 and cached >= corpus_tokens(server) - 20

    def test_a_conversation_goes_on_in_its_session_with_the_sampled_ids(self, server: Serving) -> None:
        first = complete(server, user("Is it long?"))
        second = complete(server, user("Is it long?"), assistant(f"{text_of(first)}  \n"), user("And wide?"))
        assert extras(second)["session"] == extras(first)["session"]
        _, cached, _ = usage(second)
        prompt, _, reply = usage(first)
        assert cached >= prompt + reply - 1  # the last id was never decoded

    def test_one_that_was_edited_branches_off_and_keeps_what_both_share(
        self, server: Serving, longdesk: CommandLine
    ) -> None:
        first = complete(server, user("Is it old?"))
        said = (user("Is it old?"), assistant(text_of(first)))
        second = complete(server, *said, user("Since when?"))
        other = complete(server, *said, user("Until when?"))
        assert extras(other)["session"] != extras(second)["session"]
        prompt, _, reply = usage(first)
        assert usage(other)[1] >= prompt + reply - 1
        questions = [[turn.question for turn in turns_of(longdesk, each)] for each in (second, other)]
        assert questions == [["Is it old?", "Since when?"], ["Is it old?", "Until when?"]]

    def test_what_another_said_is_replayed_as_text(self, server: Serving, longdesk: CommandLine) -> None:
        answer = complete(server, user("Who are you?"), assistant("A desk."), user("Since when?"))
        assert [turn.text for turn in turns_of(longdesk, answer)] == ["A desk.", text_of(answer)]
        assert usage(answer)[1] >= corpus_tokens(server) - 20

    def test_only_some_of_the_corpus(self, server: Serving) -> None:
        prompt, _, _ = usage(complete(server, user("What?"), extra_body={"longdesk": {"only": ["src/"]}}))
        assert prompt < corpus_tokens(server) / 2

    def test_sampling_is_the_request_s_own(self, server: Serving) -> None:
        how: dict[str, Any] = {"temperature": 1.5, "top_p": 0.9, "seed": 5, "max_completion_tokens": 7}
        one, two = (complete(server, user("Sample."), **how) for _ in range(2))
        assert text_of(one) == text_of(two) and usage(one)[2] <= 7
        assert text_of(complete(server, user("Sample."), **{**how, "seed": 6})) != text_of(one)

    def test_citations_are_carried(self, server: Serving) -> None:
        message = complete(server, user("Quote it.")).choices[0].message
        assert "citations" in (message.model_extra or {})


class TestStreams:
    def test_a_stream_says_the_same_and_what_it_took(self, server: Serving) -> None:
        whole = complete(server, user("Stream it."))
        how: dict[str, Any] = {"model": server.model, "stream_options": {"include_usage": True}}
        pieces = list(server.client.chat.completions.create(messages=[user("Stream it.")], stream=True, **how))
        *chunks, last = pieces
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text_of(whole)
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        end = chunks[-1].choices[0]
        assert end.finish_reason == whole.choices[0].finish_reason
        assert {"citations", "longdesk"} <= (end.delta.model_extra or {}).keys()
        assert last.choices == [] and last.usage is not None
        assert last.usage.prompt_tokens == usage(whole)[0]
        assert all(chunk.usage is None for chunk in chunks)

    def test_without_the_option_no_usage_is_told(self, server: Serving) -> None:
        pieces = list(server.client.chat.completions.create(model=server.model, messages=[user("Go.")], stream=True))
        assert all(piece.choices and piece.usage is None for piece in pieces)

    def test_the_lines_are_events(self, server: Serving) -> None:
        body = {"model": server.model, "messages": [user("Lines.")], "stream": True}
        with server.http() as http:
            answer = http.post("/v1/chat/completions", json=body)
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = answer.text.split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        assert any(event.startswith(": read ") for event in events)
        for event in events[:-2]:
            assert event.startswith(": ") or json.loads(event.removeprefix("data: "))["object"]

    def test_two_at_once_are_both_right(self, server: Serving) -> None:
        questions = ["First of two?", "Second of two?"]
        barrier = threading.Barrier(2)

        def ask(question: str) -> str:
            barrier.wait()
            return text_of(complete(server, user(question)))

        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(ask, questions))
        assert together == [text_of(complete(server, user(question))) for question in questions]

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_client_that_leaves_stops_its_answer(self, server: Serving, longdesk: CommandLine, stream: bool) -> None:
        question = f"Leave {stream}?"
        body = {"model": server.model, "messages": [user(question)], "max_tokens": 4_000, "stream": stream}
        with Store(longdesk.home) as store:

            def turn() -> Turn | None:
                found = [session.id for session in store.sessions.list() if session.title == question]
                return next(iter(store.turns.of(found[0])), None) if found else None

            with bare_request(server, body):
                until(lambda: (found := turn()) and found.text)
            until(lambda: (found := turn()) and found.stop == "cancelled")
        assert text_of(complete(server, user("Still there?")))


@contextmanager
def bare_request(server: Serving, body: dict[str, Any]) -> Iterator[None]:
    """A request on a connection that is closed at the end, whether it was answered or not."""
    where, data = urlsplit(server.url), json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection((where.hostname or "", where.port or 0)) as connection:
        connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        yield


class TestRefusals:
    def test_a_wrong_token_is_refused(self, server: Serving) -> None:
        with server.openai("another-token-of-that-length") as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
        with server.http(None) as http:
            answer = http.post("/v1/chat/completions", json={})
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "invalid_api_key"

    def test_a_wrong_host_is_refused_whatever_the_token(self, server: Serving) -> None:
        with server.http() as http:
            assert http.get("/v1/models", headers={"Host": "rebound.example"}).status_code == 421
            assert http.get("/v1/models", headers={"Origin": "http://stranger.example"}).status_code == 403
            assert http.get("/v1/models", headers={"Origin": server.url}).status_code == 200
            assert http.post("/mcp", headers={"Host": "rebound.example"}).status_code == 421

    def test_what_does_not_fit_is_refused_and_leaves_nothing(self, server: Serving, longdesk: CommandLine) -> None:
        said = (user("Too much?"), assistant("Perhaps."), user("word " * 9_000))
        for stream in (True, False):
            with pytest.raises(openai.BadRequestError) as refused:
                complete(server, *said, stream=stream)
            assert refused.value.code == "context_length_exceeded" and "tokens over" in str(refused.value)
        with Store(longdesk.home) as store:
            assert "Too much?" not in [session.title for session in store.sessions.list()]

    def test_a_reply_that_does_not_fit_is_refused(self, server: Serving) -> None:
        with pytest.raises(openai.BadRequestError, match="tokens over"):
            complete(server, user("Long?"), max_tokens=100_000)

    @pytest.mark.parametrize(
        ("body", "status"),
        [(b"{", 400), (b"[]", 400), (b"", 400), (b'"' + b"[" * 100_000, 400), (b"[" * 100_000, 400), (b"\xff", 400)],
    )
    def test_a_body_that_is_no_request(self, server: Serving, body: bytes, status: int) -> None:
        with server.http() as http:
            answer = http.post("/v1/chat/completions", content=body)
        assert answer.status_code == status and answer.json()["error"]["type"] == "invalid_request_error"

    def test_a_body_that_is_too_long(self, server: Serving) -> None:
        with server.http() as http:
            answer = http.post("/v1/chat/completions", content=b" " * (33 << 20))
        assert answer.status_code == 413

    def test_a_model_that_is_not_there(self, server: Serving) -> None:
        with pytest.raises(openai.NotFoundError) as refused:
            server.client.chat.completions.create(model="gpt-6", messages=[user("Who?")])
        assert refused.value.code == "model_not_found"
        with pytest.raises(openai.NotFoundError):
            server.client.models.retrieve("gpt-6")
        assert server.client.models.retrieve(server.model).id == server.model

    def test_what_is_not_served(self, server: Serving) -> None:
        with server.http() as http:
            for method, path, status in (("POST", "/v1/embeddings", 404), ("GET", "/v1/chat/completions", 405)):
                answer = http.request(method, path)
                assert answer.status_code == status and "/v1/chat/completions" in answer.json()["error"]["message"]
