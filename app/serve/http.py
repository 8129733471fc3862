"""The web server of `longdesk serve`: both ways in, behind one guard, on one port."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import closing, suppress

import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.door.addresses import is_loopback, listen, url_of
from app.door.keys import SERVE_FILE, token_of
from app.endings import polite_signals
from app.serve.api import Api
from app.serve.guard import Guard, error_response
from app.serve.service import Service
from app.serve.tools import http_app

_GRACE_S = 10  # until what still runs at the end is cut off
_MOST_CONNECTIONS = 200
_WARNED = "The server can be reached from other machines, and what it sends is not encrypted. Let a proxy do that."


def application(service: Service, *, token: str, host: str, names: tuple[str, ...] = ()) -> ASGIApp:
    """All that is served, behind its guard. host, names: see Guard."""
    app = http_app(service)
    app.router.routes.extend(Api(service).routes())
    app.add_exception_handler(HTTPException, _unknown)
    return Guard(app, token=token, host=host, names=names)


async def _unknown(request: Request, error: Exception) -> Response:
    """What no route answers."""
    assert isinstance(error, HTTPException)
    sentence = (
        f"{request.method} {request.url.path[:200]} is not served. There are /v1/chat/completions, /v1/models, /mcp."
    )
    return error_response(error.status_code, sentence)


class _Server(uvicorn.Server):
    """Ends its answers before it waits for its connections."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop()
        await super().shutdown(sockets)


def serve_http(
    service: Service, host: str, port: int, tell: Callable[[str], None], *, names: tuple[str, ...] = ()
) -> None:
    """Answers until a signal ends it; answers that run are stopped then, and kept. tell: hears where it answers.
    names: see Guard.

    Raises LongdeskError where nothing can listen there, and as token_of.
    """
    token, where = token_of(service.settings.home, SERVE_FILE, os.environ)
    with closing(listen(host, port)) as listening:
        address = listening.getsockname()
        tell(f"Longdesk answers at {url_of(address[0], address[1])}/v1, MCP at /mcp (Ctrl-C ends it).")
        tell(f"The token is in {where}: send it as `Authorization: Bearer TOKEN`.")
        if not is_loopback(host):
            tell(_WARNED)
        config = uvicorn.Config(
            application(service, token=token, host=host, names=names),
            log_config=None,
            access_log=False,
            ws="none",
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_S,
        )
        server = _Server(config, service.stop)
        for number in polite_signals():  # a closed terminal too, of which uvicorn knows nothing
            signal.signal(number, server.handle_exit)
        with suppress(KeyboardInterrupt):  # a signal is the way to end it
            asyncio.run(server.serve(sockets=[listening]))
