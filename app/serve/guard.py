"""Who is let in: whoever has the token, and asked for this server by a name of its own.

A page of a stranger's that is open in a browser on this machine can reach a port of it, also under a name of its own
that it lets point here (DNS rebinding). It cannot read the token; still it is turned away before that, by the host that
it asked for and by the origin that browsers name.
"""

import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.errors import LongdeskError, UsageError

TOKEN_VARIABLE = "LONGDESK_TOKEN"
_FILE = "serve-token"
_LEAST = 16  # characters of a token
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def token_of(home: Path, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The token, and where it can be read: LONGDESK_TOKEN, else a file of the home, made where it is not there yet.

    Raises UsageError for one that could be guessed or sent by no client, LongdeskError where no file can be written.
    """
    if given := environment.get(TOKEN_VARIABLE):
        return _checked(given, f"${TOKEN_VARIABLE}"), f"${TOKEN_VARIABLE}"
    path = home / _FILE
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(f"{secrets.token_urlsafe(32)}\n")
        return _checked(path.read_text(encoding="ascii").strip(), str(path)), str(path)
    except (OSError, UnicodeDecodeError) as error:
        raise LongdeskError(f"{path} cannot be used: {error}.", f"Mend it, or set {TOKEN_VARIABLE}.") from None


def _checked(token: str, where: str) -> str:
    if len(token) < _LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"The token in {where} is not one.", f"It has at least {_LEAST} characters of ASCII, without spaces."
        )
    return token


def error_response(
    status: int,
    sentence: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> JSONResponse:
    """An error in OpenAI's shape."""
    body = {"error": {"message": sentence, "type": kind, "param": param, "code": code}}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(body, status_code=status, headers=headers)


class Guard:
    """Stands in front of an application. host: the address that the server listens on."""

    def __init__(self, app: ASGIApp, *, token: str, host: str) -> None:
        self._app, self._token, self._host = app, token.encode(), host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope))
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_own_host(host, self._host):
            return error_response(421, "This server goes by another name. Ask for it by its address.")
        if origin is not None and urlsplit(origin).netloc != host:
            return error_response(403, "Pages of other servers are not answered.")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip().encode("utf-8", "replace")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._token):
            sentence = "The token is missing or wrong. Send it as `Authorization: Bearer TOKEN`."
            return error_response(401, sentence, code="invalid_api_key")
        return None


def is_own_host(header: str, host: str) -> bool:
    """Whether a Host header names a server that listens on this address.

    On the loopback, only that. Elsewhere also any IP address, which no name of a stranger's can stand for.
    """
    name = _name(f"//{header}")
    if not name:
        return False
    if name in _LOOPBACK or name == host.lower():
        return True
    if is_loopback(host):
        return False
    with suppress(ValueError):
        ip_address(name)
        return True
    return False


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


def _name(url: str) -> str:
    with suppress(ValueError):  # brackets that do not close
        return (urlsplit(url).hostname or "").lower()
    return ""
