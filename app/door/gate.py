"""The gate before the page: an application that lets requests through to another one, or answers them itself.

Nothing of what is behind it sees a request that is not let in. Asked for are, in this order: a host of ours, an origin
that is this very page's, and a key that is shown once and then remembered as a cookie.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, unquote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.door.addresses import is_own_host, is_own_origin
from app.door.keys import Tickets, Tries, is_password, is_same
from app.door.pages import ask_password, ask_sign_in, going_on, headers_for, how_to_get_in, target
from app.door.setting import Door

HEALTH = "/_stcore/health"
ENTER, LEAVE = "/door/enter", "/door/leave"
TOKEN = "token"
_SIGN_IN = ("/auth/login", "/auth/logout", "/oauth2callback")  # Streamlit's own
_READ = ("GET", "HEAD")
_MOST_FORM = 8_192  # bytes
REFERRER = "Referrer-Policy"

# Who has signed in, by the cookies of a request: "" for one who may not come in, None for nobody.
Identify = Callable[[Mapping[str, str]], str | None]


class Gate:
    """Stands in front of an application.

    token: what gets in where no password and no sign-in is asked for, and what tickets are made of. scripts: digests of
    the scripts that stand in its page. identify, sign_in: who has signed in, and the address where that begins.
    """

    def __init__(
        self,
        app: ASGIApp,
        door: Door,
        token: str,
        *,
        scripts: Sequence[str] = (),
        identify: Identify | None = None,
        sign_in: Callable[[], str] | None = None,
        tries: Tries | None = None,
    ) -> None:
        self._app, self._door, self._token, self._scripts = app, door, token, tuple(scripts)
        self._tickets = Tickets(token, door.password, port=door.port)
        self._identify, self._sign_in = identify, sign_in
        self._tries, self._one_try = tries or Tries(), asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        is_own = is_own_host(host, self._door.host, self._door.names)
        told = headers_for(host if is_own else "127.0.0.1", self._scripts, is_encrypted=self._door.is_encrypted)

        async def send_told(message: Message) -> None:
            """With what every response has; it takes the place of what stands there already."""
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                given = MutableHeaders(scope=message)
                for name, value in told.items():
                    if name != REFERRER or name not in given:
                        given[name] = value
            await send(message)

        answer = self._stranger(scope, headers) if is_own else PlainTextResponse(
            "This server goes by another name. Ask for it by its address, or start it with --allow NAME.\n", 421
        )  # fmt: skip
        if answer is None:
            answer = await self._entry(scope, receive, headers)
        if answer is None:
            await self._app(scope, receive, send_told)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await answer(scope, receive, send_told)

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to what another page made a browser ask for."""
        refusal = PlainTextResponse("Pages of other servers are not answered.\n", 403)
        origins = headers.getlist("origin")
        if any(not is_own_origin(origin, headers["host"]) for origin in origins) or len(origins) > 1:
            return refusal
        site = headers.get("sec-fetch-site", "none")
        if site in ("same-origin", "none"):
            return None
        # a link that leads here is followed; nothing else of ours is shown within, or sent to, what is not ours
        follows = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return None if follows and scope.get("method") in _READ else refusal

    async def _entry(self, scope: Scope, receive: Receive, headers: Headers) -> Response | None:
        """What is answered to somebody who comes to get in, or who may not; None to one who is in."""
        method, path = scope.get("method", ""), scope["path"]
        if path == HEALTH and method in _READ:
            return None
        cookies = _cookies(headers)
        if scope["type"] == "http" and path in (ENTER, LEAVE):
            return (
                await self._enter(Request(scope, receive)) if (method, path) == ("POST", ENTER) else self._leave(path)
            )
        query = scope["query_string"].decode("latin-1")
        if self._door.way == "sign-in":
            if scope["type"] == "http" and path in _SIGN_IN and method == "GET":
                return None
            who = self._identify(cookies) if self._identify else None
            return (
                None if who else self._refusal(scope, headers, note="This account is not let in." if who == "" else "")
            )
        if self._door.way == "token" and scope["type"] == "http" and (given := parse_qs(query).get(TOKEN)):
            if method in _READ and is_same(given[-1], self._token):
                return self._with_ticket(HTMLResponse(going_on(target(path, query, without=TOKEN))))
            return self._refusal(scope, headers, note="The token of this address is not, or no longer, the right one.")
        if self._tickets.holds(cookies.get(self._door.cookie, "")):
            return None
        return self._refusal(scope, headers)

    def _refusal(self, scope: Scope, headers: Headers, *, note: str = "", status: int = 401) -> Response:
        """A page to whoever looks at it, a line to all else."""
        if scope["type"] != "http" or scope["method"] not in _READ or "text/html" not in headers.get("accept", ""):
            return PlainTextResponse("This browser has not been let in.\n", status)
        to = target(scope["path"], scope["query_string"].decode("latin-1"), without=TOKEN)
        if headers.get("sec-fetch-site") == "cross-site" and not note:
            return HTMLResponse(going_on(to), status)  # a link elsewhere led here, and brought no cookies
        # a form of a page that tells no referrer names no origin either
        return HTMLResponse(self._asking(to, note), status, {"Cache-Control": "no-store", REFERRER: "same-origin"})

    def _asking(self, to: str, note: str) -> str:
        if self._door.way == "password":
            return ask_password(to, note=note)
        if self._door.way == "sign-in":
            return ask_sign_in(self._sign_in() if self._sign_in else "/", note=note)
        return how_to_get_in(note=note)

    async def _enter(self, request: Request) -> Response:
        """A password is tried."""
        body = await _small_body(request)
        if self._door.way != "password" or body is None or request.headers.get("origin") is None:
            return PlainTextResponse("Nothing is to be entered here.\n", 400)
        given = parse_qs(body, keep_blank_values=True)
        path, _, query = given.get("to", ["/"])[-1].partition("?")
        to = target(unquote(path), query)
        address = request.client.host if request.client else ""
        if wait := self._tries.wait_s(address):
            note = f"Too many tries. The next one is taken in {max(1, round(wait))} s."
            told = {"Retry-After": str(max(1, round(wait))), REFERRER: "same-origin"}
            return HTMLResponse(ask_password(to, note=note), 429, told)
        async with self._one_try:  # each takes 32 MiB
            password = given.get("password", [""])[-1]
            is_right = await run_in_threadpool(is_password, password, self._door.password)
        if not is_right:
            return HTMLResponse(ask_password(to, note="That is not the password."), 401, {REFERRER: "same-origin"})
        self._tries.forgive(address)
        return self._with_ticket(RedirectResponse(to, 303))

    def _leave(self, path: str) -> Response:
        """The browser is forgotten."""
        if path != LEAVE:
            return RedirectResponse("/", 303)
        answer = HTMLResponse(self._asking("/", "This browser is forgotten."), headers={REFERRER: "same-origin"})
        answer.delete_cookie(self._door.cookie, httponly=True, samesite="strict", secure=self._door.is_encrypted)
        return answer

    def _with_ticket(self, response: Response) -> Response:
        ticket, seconds = self._tickets.issue()
        response.set_cookie(
            self._door.cookie, ticket, seconds, httponly=True, samesite="strict", secure=self._door.is_encrypted
        )
        response.headers["Cache-Control"] = "no-store"
        return response


def _cookies(headers: Headers) -> dict[str, str]:
    """Each cookie by its name."""
    found: dict[str, str] = {}
    for line in headers.getlist("cookie"):
        for piece in line.split(";"):
            name, _, value = piece.strip().partition("=")
            try:
                found.setdefault(name, SimpleCookie(f"a={value}")["a"].value)
            except (CookieError, KeyError):
                continue
    return found


async def _small_body(request: Request) -> str | None:
    """The body of a form; None for one that is too long."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_FORM:
            return None
    return body.decode("utf-8", "replace")
