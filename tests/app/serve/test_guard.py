"""Who gets to the API: by names of its own, and with the token. What is a name of its own: tests/app/door/."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from app.serve.guard import Guard

TOKEN = "the-token-of-this-test"
KEY = {"Authorization": f"Bearer {TOKEN}"}


def status(url: str, *, host: str = "127.0.0.1", names: tuple[str, ...] = (), **headers: str) -> int:
    guard = Guard(PlainTextResponse("in"), token=TOKEN, host=host, names=names)
    return TestClient(guard, base_url=url).get("/v1/models", headers=KEY | headers).status_code


def test_a_name_that_is_allowed_gets_in_and_others_do_not() -> None:
    assert status("https://desk.example", names=("desk.example",)) == 200
    assert status("https://desk.example") == status("https://a.desk.example", names=("desk.example",)) == 421
    assert status("http://192.168.1.4:8502", host="0.0.0.0") == 200 and status("http://192.168.1.4:8502") == 421


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "http://127.0.0.1:1", "file://127.0.0.1:8502"])
def test_a_page_of_another_server_gets_nothing_even_with_the_token(origin: str) -> None:
    assert status("http://127.0.0.1:8502", Origin=origin) == 403
    assert status("http://127.0.0.1:8502", Origin="http://127.0.0.1:8502") == 200


@pytest.mark.parametrize(
    "key", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer \u00e4"]
)
def test_a_wrong_token_gets_nothing(key: str) -> None:
    assert status("http://127.0.0.1:8502", Authorization=key.encode("latin-1")) == 401  # type: ignore[arg-type]
