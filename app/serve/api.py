"""The OpenAI-compatible way in: GET /v1/models and POST /v1/chat/completions, in its shapes and with its errors.

A message, and a stream's last piece, also have `citations`, each as Citation.to_json() gives it, and `longdesk`: the
session, what was reused of the prompt, the receipt, and notices. While the corpus is read, a stream has comments, which
clients skip: they show that the server lives.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from time import time
from typing import Any, TypeVar
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.serve.guard import error_response
from app.serve.messages import BadRequest, ChatRequest, chat_request
from app.serve.service import Begun, Crowded, Heard, Prefill, Reply, Service, Text, Thinking
from engine.errors import DoesNotFit, EngineFailed, InputRefused, LongdeskError, SessionBusy, UsageError

_MOST_BYTES = 32 << 20  # of a request
_BODY_S = 60.0  # until it has to be there
_LOG = logging.getLogger(__name__)

Answer = Callable[[Request], Awaitable[Response]]
Fields = dict[str, Any]
T = TypeVar("T")


class Api:
    """What is asked of one service over HTTP."""

    def __init__(self, service: Service) -> None:
        self._service = service
        about, model = service.about, service.settings.model
        self._id = about.name if about.server else Path(model).stem if "/" in model else model
        self._names = tuple(dict.fromkeys((self._id, service.about.name, "longdesk")))
        self._since = int(time())

    def routes(self) -> list[Route]:
        """All that it answers."""
        return [
            Route("/v1/models", _guarded(self._models), methods=["GET"]),
            Route("/v1/models/{name:path}", _guarded(self._model), methods=["GET"]),
            Route("/v1/chat/completions", _guarded(self._complete), methods=["POST"]),
        ]

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def _model(self, request: Request) -> Response:
        if request.path_params["name"] not in self._names:
            return error_response(404, f"There is no such model here. It is {self._id}.", code="model_not_found")
        return JSONResponse(self._card())

    def _card(self) -> Fields:
        service = self._service
        own = {"name": service.about.name, "window": service.about.window}
        corpus = {"sources": len(service.sources), "tokens": service.n_tokens}
        return {
            "id": self._id,
            "object": "model",
            "created": self._since,
            "owned_by": "longdesk",
            "longdesk": {**own, "corpus": corpus},
        }

    async def _complete(self, request: Request) -> Response:
        wanted = chat_request(
            await _body(request), models=self._names, settings=self._service.settings, sees=self._service.about.sees
        )
        answer = _Answer(self._id, wanted)
        if not wanted.stream:
            whole = await _unless_left(request, self._whole(answer))
            return Response(json.dumps(whole), media_type="application/json")  # in ASCII: text may hold anything
        pieces = self._pieces(answer)
        first = await _unless_left(request, anext(pieces))  # a refusal comes before it, and has a status of its own
        return StreamingResponse(_joined(first, pieces), media_type="text/event-stream")

    async def _whole(self, answer: "_Answer") -> Fields:
        async with aclosing(self._service.hear(answer.wanted.asked)) as events:
            async for event in events:
                if isinstance(event, Reply):
                    return answer.completion(event)
        raise Crowded("The server is ending.", "Ask again when it runs.")

    async def _pieces(self, answer: "_Answer") -> AsyncGenerator[str, None]:
        """A stream's lines. What goes wrong once it has begun is told in it."""
        begun = False
        try:
            async with aclosing(self._service.hear(answer.wanted.asked)) as events:
                async for event in events:
                    for piece in answer.pieces(event):
                        begun = True
                        yield piece
        except Exception as error:
            if not begun:
                raise
            yield _line(json.loads(bytes(_refusal(error).body)))
        if not begun:
            raise Crowded("The server is ending.", "Ask again when it runs.")
        yield "data: [DONE]\n\n"


class _Answer:
    """One answer in OpenAI's shapes. Raises EngineFailed where the engine broke off."""

    def __init__(self, model: str, wanted: ChatRequest) -> None:
        self.wanted = wanted
        self._fields: Fields = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time()), "model": model}

    def completion(self, reply: Reply) -> Fields:
        """All of it at once."""
        _refuse_broken(reply)
        thought = reply.turn.thought
        apart = {"reasoning_content": thought.text} if thought is not None and thought.text else {}
        message = {"role": "assistant", "content": reply.turn.text, "refusal": None, **apart, **self._extras(reply)}
        choice = {"index": 0, "message": message, "finish_reason": _finish(reply), "logprobs": None}
        return {**self._fields, "object": "chat.completion", "choices": [choice], "usage": _usage(reply)}

    def pieces(self, event: Heard) -> list[str]:
        """What an event adds to a stream."""
        match event:
            case Begun():
                return [self._piece({"role": "assistant", "content": ""})]
            case Prefill():
                return [f": read {event.done:,} of {event.total:,} tokens\n\n"]
            case Thinking():
                taken = {"longdesk": {"takes_text": True}} if event.takes_text else {}
                return [self._piece({"reasoning_content": event.text, **taken})] if event.text else []
            case Text():
                return [self._piece({"content": event.text})]
            case Reply():
                _refuse_broken(event)
                end = self._piece(self._extras(event), _finish(event))
                usage = _line({**self._chunk(), "choices": [], "usage": _usage(event)})
                return [end, usage] if self.wanted.with_usage else [end]
        return []

    def _extras(self, reply: Reply) -> Fields:
        return _extras(reply, self.wanted.asked.unheeded)

    def _piece(self, delta: Fields, finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _line({**self._chunk(), "choices": [choice], **({"usage": None} if self.wanted.with_usage else {})})

    def _chunk(self) -> Fields:
        return {**self._fields, "object": "chat.completion.chunk"}


def _refuse_broken(reply: Reply) -> None:
    if reply.turn.stop == "error":
        raise EngineFailed(reply.turn.error or "The engine broke off.")


def _finish(reply: Reply) -> str:
    return "length" if reply.turn.stop == "length" else "stop"


def _extras(reply: Reply, unheeded: Sequence[str]) -> Fields:
    """What OpenAI's shapes have no place for."""
    turn = reply.turn
    return {
        "citations": None if turn.citations is None else [citation.to_json() for citation in turn.citations],
        "longdesk": {
            "session": turn.session_id,
            "prompt_tokens": turn.prompt_tokens,
            "reused_tokens": turn.reused_tokens,
            "receipt": turn.receipt,
            "notices": [*unheeded, *reply.notices],
        },
    }


def _usage(reply: Reply) -> Fields:
    turn = reply.turn
    n_thought = turn.thought.n_tokens if turn.thought is not None else 0
    n_prompt, n_reply = turn.prompt_tokens or 0, (turn.reply_tokens or 0) + n_thought
    return {
        "prompt_tokens": n_prompt,
        "completion_tokens": n_reply,
        "total_tokens": n_prompt + n_reply,
        "prompt_tokens_details": {"cached_tokens": turn.reused_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": n_thought},
    }


def _line(fields: Fields) -> str:
    return f"data: {json.dumps(fields)}\n\n"


async def _joined(first: str, rest: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


async def _body(request: Request) -> bytes:
    """A request's body, as long as it comes in time and is not too long."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for piece in request.stream():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise BadRequest(f"The request has more than {_MOST_BYTES >> 20} MiB.", "Say less.", status=413)
    except TimeoutError:
        raise BadRequest(f"The request was not there after {_BODY_S:.0f} s.", "Send it again.", status=408) from None
    return bytes(body)


async def _unless_left(request: Request, coming: Awaitable[T]) -> T:
    """Waits as long as the client does. Raises ClientDisconnect when that has gone."""

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    async def come() -> T:
        return await coming

    waiting, leaving = asyncio.create_task(come()), asyncio.create_task(left())
    try:
        await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise ClientDisconnect
    finally:
        for task in (waiting, leaving):
            task.cancel()
        await asyncio.wait((waiting, leaving))


def _guarded(answer: Answer) -> Answer:
    """Whatever goes wrong is told in OpenAI's shape."""

    async def guarded(request: Request) -> Response:
        try:
            return await answer(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody hears it
        except Exception as error:
            return _refusal(error)

    return guarded


def _refusal(error: Exception) -> Response:
    """What a client is told of an error."""
    match error:
        case BadRequest():
            return error_response(error.status, str(error), param=error.param, code=error.code)
        case DoesNotFit():
            return error_response(400, str(error), param="messages", code="context_length_exceeded")
        case SessionBusy():
            return error_response(409, str(error), code="session_busy")
        case Crowded():
            return error_response(429, str(error), kind="rate_limit_error", code="crowded")
        case UsageError() | InputRefused():
            return error_response(400, str(error))
        case LongdeskError():
            return error_response(500, str(error), kind="server_error")
    _LOG.error("A request broke off", exc_info=error)
    return error_response(500, "The answer broke off because of a mistake in Longdesk.", kind="server_error")
