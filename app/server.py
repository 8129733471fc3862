"""The web server of `longdesk up`: Streamlit's own, and the requests that bring a folder (see `folders`).

Runs as a process of its own, `python -m app.server PORT`. A gate stands before all of it (see `door.gate`). A folder is
taken only where it comes from the page itself: its origin is the address that was asked, and its path has the token of
a tab.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from streamlit import file_util, net_util
from streamlit.auth_util import encode_provider_token, get_cookie_with_chunks
from streamlit.web.server import server_util
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from app.arrival import MAX_LIST_BYTES, Receiving
from app.door.gate import Gate
from app.door.keys import PAGE_FILE, token_of
from app.door.pages import scripts_in
from app.door.setting import Door, secrets_file
from app.endings import HUNG_UP, exit_code, polite_signals
from app.folders import FOLDERS, MAX_BYTES, Folders
from app.redraws import begin_at_the_top, lose_no_click, lose_no_redraw
from app.settings import home_of
from app.uploads import sweep
from engine.errors import LongdeskError, UsageError

PAGE = Path(__file__).with_name("main.py")
_FORBIDDEN, _CONFLICT, _TOO_LARGE, _REFUSED = 403, 409, 413, 422

Answer = Callable[[Request], Awaitable[Response]]


def routes(folders: Folders) -> list[Route]:
    """What is served beside Streamlit's own."""

    async def begin(request: Request) -> Response:
        body = await _whole(request)
        return JSONResponse(await run_in_threadpool(folders.begin, _token(request), body))

    async def judge(request: Request) -> Response:
        body = await _whole(request)
        return JSONResponse(await run_in_threadpool(folders.judge, _token(request), _id(request), body))

    async def receive(request: Request) -> Response:
        receiving = await run_in_threadpool(folders.receive, _token(request), _id(request))
        return JSONResponse({"arrived": await _receive(request, receiving)})

    async def cancel(request: Request) -> Response:
        await run_in_threadpool(folders.cancel, _token(request), _id(request))
        return JSONResponse({})

    return [
        Route("/folder/{token}", _guarded(begin), methods=["POST"]),
        Route("/folder/{token}/{id}/rules", _guarded(judge), methods=["POST"]),
        Route("/folder/{token}/{id}/files", _guarded(receive), methods=["POST"]),
        Route("/folder/{token}/{id}", _guarded(cancel), methods=["DELETE"]),
    ]


def _guarded(answer: Answer) -> Answer:
    """Answers the page alone, and says what is wrong in a sentence."""

    async def guarded(request: Request) -> Response:
        try:
            _refuse_foreign(request)
            return await answer(request)
        except ClientDisconnect:
            return Response(status_code=_REFUSED)  # nobody hears it
        except LongdeskError as error:
            status = _CONFLICT if isinstance(error, UsageError) else _REFUSED
            return JSONResponse({"error": str(error)}, status_code=status)
        except _Refused as error:
            return JSONResponse({"error": str(error)}, status_code=error.status)

    return guarded


class _Refused(Exception):
    """A request that no page of ours makes."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _refuse_foreign(request: Request) -> None:
    """Browsers name the page that a request comes from, and do not let pages say otherwise."""
    origin, host = request.headers.get("origin"), request.headers.get("host")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if not origin or not host or urlsplit(origin).netloc != host or site != "same-origin":
        raise _Refused(_FORBIDDEN, "Folders are taken from Longdesk's own page only.")


async def _whole(request: Request) -> bytes:
    """A body that is kept in memory."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_LIST_BYTES:
            raise _Refused(
                _TOO_LARGE, "There are too many files in the folder to list them. Give its folders one by one."
            )
    return bytes(body)


async def _receive(request: Request, receiving: Receiving) -> int:
    """Writes as the bytes come; the server's other requests go on meanwhile."""
    pieces = request.stream()
    try:
        async for piece in pieces:
            await run_in_threadpool(receiving.feed, piece)
    except BaseException as error:
        await asyncio.shield(run_in_threadpool(receiving.abort))
        if isinstance(error, LongdeskError):
            await _drain(pieces)
        raise
    return await run_in_threadpool(receiving.finish)


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Reads on to the end: a browser that is still sending does not hear an answer."""
    n_left = MAX_BYTES
    async for piece in pieces:
        n_left -= len(piece)
        if n_left < 0:
            return


def _token(request: Request) -> str:
    return str(request.path_params["token"])


def _id(request: Request) -> str:
    return str(request.path_params["id"])


class Page(st.App):
    """Streamlit's application behind a gate: what is not let in never gets to any of Streamlit's code."""

    def __init__(self, door: Door, token: str) -> None:
        super().__init__(PAGE, routes=routes(FOLDERS))
        self._gate = Gate(
            super().__call__,
            door,
            token,
            scripts=scripts_in(Path(file_util.get_static_dir()) / "index.html"),
            identify=_identity(door),
            sign_in=lambda: "/auth/login?" + urlencode({"provider": encode_provider_token(door.provider)}),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._gate(scope, receive, send)


def _identity(door: Door) -> Callable[[Mapping[str, str]], str | None]:
    """See Gate: who has signed in by Streamlit's own way, by the cookie that it signs."""

    def identity(cookies: Mapping[str, str]) -> str | None:
        secret = server_util.get_cookie_secret()

        def one(name: str) -> bytes | None:
            value = cookies.get(name)
            return decode_signed_value(secret, name, value.encode("utf-8", "replace")) if value and secret else None

        try:
            user: Any = json.loads(get_cookie_with_chunks(one, USER_COOKIE_NAME) or b"null")
        except ValueError:
            return None
        if not isinstance(user, dict):
            return None
        return str(user["email"]) if door.may_sign_in(user) else ""

    return identity


def look_nothing_up() -> None:
    """Streamlit asks a server on the internet for this machine's address, to compare origins with it. The gate has
    compared them already."""
    for name in ("get_external_ip", "get_internal_ip", "_make_blocking_http_get"):
        assert hasattr(net_util, name), f"Streamlit looks addresses up elsewhere now: {name} is gone"
        setattr(net_util, name, lambda *_, **__: None)


def serve(door: Door) -> None:
    """Runs until it is stopped by a signal, as a polite end: what is to happen at exit happens."""
    code = 0

    def hang_up(number: int, frame: object) -> None:  # a terminal that is closed: the same, and the code says so
        nonlocal code
        code = exit_code(number)
        signal.raise_signal(signal.SIGTERM)

    for each in polite_signals():
        signal.signal(each, lambda *_: sys.exit(code))
        if exit_code(each) == HUNG_UP:
            signal.signal(each, hang_up)
    look_nothing_up()
    lose_no_redraw()
    lose_no_click()
    begin_at_the_top()
    home = home_of(os.environ)
    sweep(home)  # what a page that was killed left of uploads, before anybody looks at this one
    options = {
        "server.port": door.port,
        "server.address": door.host,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.sslCertFile": door.certificate or None,
        "server.sslKeyFile": door.key or None,
        "browser.gatherUsageStats": False,
        "logger.hideWelcomeMessage": True,  # it would look up addresses to show
        "secrets.files": [str(secrets_file(home))],
    }
    Page(door, door.token or token_of(home, PAGE_FILE)[0]).run(config=options)


if __name__ == "__main__":
    serve(Door.taken(int(sys.argv[1])))
