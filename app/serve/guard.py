"""Who is let in to the API: whoever has the token, and asked for this server by a name of its own."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.door.addresses import is_own_host, is_own_origin
from app.door.keys import is_same


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
    """Stands in front of an application. host: the address that the server listens on; names: further ones it has."""

    def __init__(self, app: ASGIApp, *, token: str, host: str, names: Collection[str] = ()) -> None:
        self._app, self._token, self._host, self._names = app, token, host, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope))
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_own_host(host, self._host, self._names):
            return error_response(421, "This server goes by another name. Ask for it by its address.")
        if origin is not None and not is_own_origin(origin, host):
            return error_response(403, "Pages of other servers are not answered.")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not is_same(token.strip(), self._token):
            sentence = "The token is missing or wrong. Send it as `Authorization: Bearer TOKEN`."
            return error_response(401, sentence, code="invalid_api_key")
        return None
