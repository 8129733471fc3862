"""The one client: every call to a server goes through it. Chats by the `openai` package, all else by what it stands on.

No prompt is sent twice and no reading of one is timed: a prefill may take hours. Calls run in an event loop in a thread
of its own, so that one that is given up is cancelled at once, whatever it waits for, and its connection closed: that is
how a server hears of it. Proxies and authorities of certificates are taken from the environment, as httpx does.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event as Flag
from threading import Lock, Thread
from typing import Any, TypeVar

import httpx2 as httpx
import openai

from engine.errors import EngineAway, LongdeskError, UsageError, keep_secret
from engine.remote.address import Address
from engine.remote.faults import Overflow, SentOn, broken_off, no_api, overflow_in, refused, unreachable

_CONNECT_S = 10.0  # until there is a connection
SHORT_S, GLANCE_S = 20.0, 1.0  # for calls that ask nothing of the model; while an answer comes, which may be cancelled
_KEPT_S = 2.0  # an idle connection: llama-server and uvicorn close theirs after 5 s, and a call may cross that
_AT_ONCE = 8  # calls, where many are wanted
_POLL_S, _CLOSING_S = 0.05, 5.0

T = TypeVar("T")
Fields = dict[str, Any]


class TooLong(Exception):
    """A prompt that an engine refused for its length; never leaves engine.remote."""

    def __init__(self, overflow: Overflow) -> None:
        super().__init__(overflow)
        self.overflow = overflow


class _Refused(Exception):
    """An error that came with a status of success; its body."""


class Connection:
    """A server as it is spoken to. Safe to use from several threads."""

    def __init__(self, address: Address, key: str | None = None) -> None:
        self.address, self._key = address, key
        if key:
            keep_secret(key)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._made: tuple[httpx.AsyncClient, openai.AsyncOpenAI] | None = None

    def get(
        self, path: str, *, of_api: bool = False, params: Mapping[str, str] | None = None, wait_s: float = SHORT_S
    ) -> Any:
        """What a call answers, from JSON. of_api: below the API's own URL, else below the root. wait_s: at most. Raises
        TooLong, LongdeskError."""
        return self._json(self._wait(self._call("GET", path, None, of_api, params, wait_s)))

    def find(self, path: str, *, params: Mapping[str, str] | None = None, wait_s: float = SHORT_S) -> Any:
        """The same of a call that a server may not have; None then. Raises EngineAway, which says nothing of that, but
        at a glance."""
        try:
            return self.get(path, params=params, wait_s=wait_s)
        except EngineAway:
            if wait_s > GLANCE_S:
                raise
            return None
        except (LongdeskError, ValueError):
            return None

    def text(self, path: str, *, wait_s: float = SHORT_S) -> str | None:
        """A page below the root as it is, such as /metrics; None where a server has none, or not by then."""
        with suppress(LongdeskError):
            answer = self._wait(self._call("GET", path, None, False, None, wait_s))
            return answer.text if answer.status_code == 200 else None
        return None

    def post(self, path: str, body: Fields, *, of_api: bool = False) -> Any:
        """What a call answers, from JSON. Raises TooLong, LongdeskError."""
        return self._json(self._wait(self._call("POST", path, body, of_api, None)))

    def post_all(self, path: str, bodies: Sequence[Fields]) -> list[Any]:
        """The same for many, some at once, in order."""

        async def all_of_them() -> list[httpx.Response]:
            room = asyncio.Semaphore(_AT_ONCE)

            async def one(body: Fields) -> httpx.Response:
                async with room:
                    return await self._call("POST", path, body, False, None)

            return list(await asyncio.gather(*map(one, bodies)))

        return list(map(self._json, self._wait(all_of_them())))

    def chat(self, body: Fields, cancel: Flag) -> Iterator[Fields | None]:
        """The chunks of a chat completion as they come; None now and then while there are none. Ends when cancelled.

        body: of the request, an engine's own members included. Raises TooLong, LongdeskError.
        """
        own = {name: body[name] for name in body if name not in _OF_OPENAI}
        given = {name: value for name, value in body.items() if name in _OF_OPENAI}

        async def chunks() -> AsyncIterator[Fields]:
            _, client = self._clients()
            stream = await client.chat.completions.create(**given, stream=True, extra_body=own)
            async with stream:
                if (said := await _not_streamed(stream.response)) is not None:
                    yield said
                    return
                async for chunk in stream:
                    yield chunk.to_dict(warnings=False)  # what is of another shape than OpenAI's is no news

        return self._heard(chunks, cancel, str(body.get("model", "")))

    def lines(self, path: str, body: Fields, cancel: Flag) -> Iterator[Fields | None]:
        """The same for an answer of JSON lines."""

        async def lines() -> AsyncIterator[Fields]:
            client, _ = self._clients()
            request = client.build_request("POST", self.address.root + path, json=body, headers=self._headers)
            request.headers["Connection"] = "close"
            answer = await client.send(request, stream=True)
            try:
                if answer.status_code != 200:
                    await answer.aread()
                    self._json(answer)
                async for line in answer.aiter_lines():
                    if line.strip():
                        said = json.loads(line)
                        yield said if isinstance(said, dict) else {}
            finally:
                await answer.aclose()

        return self._heard(lines, cancel, str(body.get("model", "")))

    def close(self) -> None:
        """Closes what is open; a later call opens it again."""
        if self._made is not None:
            (client, chats), self._made = self._made, None

            async def close() -> None:
                await client.aclose()
                await chats.close()

            with suppress(Exception):
                _LOOP.run(close()).result(_CLOSING_S)

    def _clients(self) -> tuple[httpx.AsyncClient, openai.AsyncOpenAI]:
        """Made in the loop's thread, which alone uses them. Chats have connections of their own, each a new one: one
        that was left open may be closed by the server as the prompt is on its way."""
        if self._made is None:
            context = _context(self.address)
            forever = httpx.Timeout(None, connect=_CONNECT_S)
            limits = httpx.Limits(max_connections=_AT_ONCE, keepalive_expiry=_KEPT_S)
            calls = httpx.AsyncClient(timeout=forever, limits=limits, verify=context, follow_redirects=True)
            anew = httpx.Limits(max_keepalive_connections=0)
            http = httpx.AsyncClient(timeout=forever, limits=anew, verify=context, follow_redirects=True)
            for each in (calls, http):
                each.event_hooks = {
                    "request": [_without_key] if each is http and not self._key else [],
                    "response": [_stays],
                }
            client = openai.AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self.address.base,
                max_retries=0,
                timeout=forever,
                http_client=http,
            )
            self._made = calls, client
        return self._made

    async def _call(
        self,
        method: str,
        path: str,
        body: Fields | None,
        of_api: bool,
        params: Mapping[str, str] | None,
        wait_s: float = SHORT_S,
    ) -> httpx.Response:
        client, _ = self._clients()
        url = (self.address.base if of_api else self.address.root) + path
        connect_s = min(wait_s, _CONNECT_S)
        timeout = httpx.Timeout(None if body is not None else wait_s, connect=connect_s)
        try:
            return await client.request(method, url, json=body, params=params, headers=self._headers, timeout=timeout)
        except httpx.RemoteProtocolError:  # an idle connection that was closed meanwhile; nothing was computed
            return await client.request(method, url, json=body, params=params, headers=self._headers, timeout=timeout)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return _LOOP.run(work).result()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, SentOn) as error:
            raise unreachable(error, self.address) from None

    def _json(self, answer: httpx.Response) -> Any:
        if answer.status_code != 200:
            raise self._refusal(answer.status_code, answer.text)
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise no_api(self.address) from None

    def _refusal(self, status: int, body: str, model: str = "") -> Exception:
        if (overflow := overflow_in(status, body)) is not None:
            return TooLong(overflow)
        return refused(status, body, self.address, model=model, has_key=self._key is not None)

    def _heard(self, coming: Callable[[], AsyncIterator[Fields]], cancel: Flag, model: str) -> Iterator[Fields | None]:
        """What an asynchronous iterator gives, in this thread. model: that is asked."""
        come: SimpleQueue[Fields | None] = SimpleQueue()

        async def listen() -> None:
            try:
                async for each in coming():
                    come.put(each)
            finally:
                come.put(None)

        future, began = _LOOP.run(listen()), False
        try:
            while not cancel.is_set():
                try:
                    each = come.get(timeout=_POLL_S)
                except Empty:
                    yield None
                    continue
                if each is None:
                    self._raise(future, began, model)
                    return
                began = True
                yield each
        finally:
            future.cancel()
            with suppress(CancelledError, Exception):
                future.result(_CLOSING_S)

    def _raise(self, future: "Future[None]", began: bool, model: str) -> None:
        """What ended a stream, if it was no proper end."""
        try:
            future.result(_CLOSING_S)
        except openai.APIStatusError as error:
            raise self._refusal(error.status_code, error.response.text, model) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            raise self._cut(cause, began) from None
        except openai.APIError as error:  # one that came within the stream
            raise self._refusal(0, json.dumps(error.body) if error.body else error.message) from None
        except _Refused as error:
            raise self._refusal(0, str(error), model) from None
        except (ValueError, RecursionError) as error:
            raise (broken_off(error, self.address) if began else no_api(self.address)) from None
        except (httpx.HTTPError, OSError, SentOn) as error:
            raise self._cut(error, began) from None

    def _cut(self, error: Exception, began: bool) -> LongdeskError:
        return broken_off(error, self.address) if began else unreachable(error, self.address)


async def _without_key(request: httpx.Request) -> None:
    """The client wants one, and would send it."""
    request.headers.pop("Authorization", None)


async def _not_streamed(answer: httpx.Response) -> Fields | None:
    """What a gateway answers that gives a chat as a whole though it was to stream; None for a stream. Raises _Refused
    for an error, ValueError for a page."""
    kind = answer.headers.get("content-type", "").casefold()
    is_whole = kind.startswith("application/json") and "content-length" in answer.headers
    if not is_whole and not kind.startswith("text/html"):
        return None
    said = json.loads(await answer.aread())
    if not isinstance(said, dict):
        raise ValueError("no answer")
    if said.get("error"):
        raise _Refused(answer.text)
    return said


async def _stays(answer: httpx.Response) -> None:
    """A call is sent on within a server alone, and with all that it holds: another one was not named, would be shown
    the corpus, and a call without its body asks nothing. Raises SentOn."""
    if not answer.has_redirect_location:
        return
    request, to = answer.request, answer.request.url.join(answer.headers["location"])
    stays = (to.scheme, to.host, to.port) == (request.url.scheme, request.url.host, request.url.port)
    if not stays or (request.method != "GET" and answer.status_code not in (307, 308)):
        raise SentOn(str(to.copy_with(query=None, fragment=None)))


def _context(address: Address) -> ssl.SSLContext:
    """Whose certificates are trusted: nobody's, where none is asked for; reading them all takes a while. Raises
    UsageError for a file that holds none."""
    if not address.is_secure:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if address.ca_file is None:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=str(address.ca_file))
    except (OSError, ValueError):
        raise UsageError(
            f"{address.ca_file} holds no certificates that can be read.", "Name a PEM file, or leave it out."
        ) from None


class _Loop:
    """The event loop of all connections, in a thread that ends with the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                Thread(target=self._loop.run_forever, name="servers", daemon=True).start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)


_LOOP = _Loop()
_OF_OPENAI = {
    *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop"),
    *("stream_options", "response_format"),
}
