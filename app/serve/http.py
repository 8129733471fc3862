"""The web server of `longdesk serve`: both ways in, behind one guard, on one port."""

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.serve.api import Api
from app.serve.guard import Guard, error_response
from app.serve.service import Service
from app.serve.tools import http_app
from engine.errors import LongdeskError

_GRACE_S = 10  # until what still runs at the end is cut off
_MOST_CONNECTIONS = 200


def application(service: Service, *, token: str, host: str) -> ASGIApp:
    """All that is served, behind its guard. host: see Guard."""
    app = http_app(service)
    app.router.routes.extend(Api(service).routes())
    app.add_exception_handler(HTTPException, _unknown)
    return Guard(app, token=token, host=host)


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


def listen(host: str, port: int) -> socket.socket:
    """A socket at this address; port 0 takes one that is free. Raises LongdeskError when it is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except (OSError, UnicodeError) as error:
        raise LongdeskError(
            f"Nothing can listen at {host}, port {port}: {error}.", "Choose another --port or --host."
        ) from None
    return listening


def serve_http(service: Service, listening: socket.socket, *, token: str, host: str) -> None:
    """Answers until a signal ends it; answers that run are stopped then, and kept."""
    config = uvicorn.Config(
        application(service, token=token, host=host),
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, service.stop)
    asyncio.run(server.serve(sockets=[listening]))
