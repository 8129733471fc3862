"""Citations on their way out: verified words with their place, to OpenAI's client and to an MCP client.

The server runs in this process, on an engine of words that finds what it is told to find.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from threading import Thread
from typing import Any

import httpx2
import pytest
import uvicorn
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from openai import OpenAI

from app.desk import Desk
from app.serve.http import application, listen
from app.serve.service import Service
from app.settings import Settings
from tests.fake_backend import FakeBackend
from tests.patience import PATIENCE_S, until
from tests.serving import TOKEN, run_apart

_TEXT = "# Boats\n\nThe boat leaves at seven.\nDogs travel free of charge.\n"
_ANSWER = "The boat leaves at seven. It is painted blue."


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over one file, until the last test is done."""
    folder = tmp_path_factory.mktemp("boats")
    (folder / "boats.md").write_text(_TEXT)
    backend = FakeBackend(
        answer=lambda question: _ANSWER, shows=lambda text: "boat leaves at seven" if "boat" in text else ""
    )
    with ExitStack() as stack:
        desk = stack.enter_context(closing(Desk(Settings(home=folder / "home", model="fake"), backend=backend)))
        service = stack.enter_context(closing(Service(desk, desk.read([folder / "boats.md"]))))
        listening = stack.enter_context(closing(listen("127.0.0.1", 0)))
        yield from _served(service, listening)


def _served(service: Service, listening: socket.socket) -> Iterator[str]:
    config = uvicorn.Config(application(service, token=TOKEN, host="127.0.0.1"), log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key=TOKEN, timeout=PATIENCE_S, max_retries=0) as client:
        yield client


def verified(citations: Any) -> None:
    boat, blue = citations
    assert (boat["status"], boat["path"], boat["lines"], boat["held"]) == ("verified", "boats.md", [3, 3], True)
    assert _TEXT.encode()[slice(*boat["bytes"])].decode() == boat["quote"] == "boat leaves at seven"
    assert _ANSWER[slice(*boat["statement"])] == "The boat leaves at seven."
    assert (blue["status"], blue["path"], blue["quote"]) == ("missing", None, "")


def test_the_message_has_them(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "When?"}])
    message = answer.choices[0].message
    own = message.model_extra or {}
    assert message.content == _ANSWER
    verified(own["citations"])
    assert own["longdesk"]["receipt"]["sources_sent"] == 1


def test_the_last_piece_of_a_stream_has_them(client: OpenAI) -> None:
    *pieces, last = client.chat.completions.create(
        model="fake", messages=[{"role": "user", "content": "When?"}], stream=True
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == _ANSWER
    assert last.choices[0].finish_reason == "stop"
    verified((last.choices[0].delta.model_extra or {})["citations"])


def test_none_are_looked_for_where_nobody_wants_them(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="fake", messages=[{"role": "user", "content": "When?"}], extra_body={"longdesk": {"quotes": False}}
    )
    assert (answer.choices[0].message.model_extra or {})["citations"] == []


def test_a_conversation_goes_on_as_soon_as_its_text_is_there(client: OpenAI) -> None:
    first = client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "When?"}])
    said: Any = [{"role": "user", "content": "When?"}, {"role": "assistant", "content": _ANSWER}]
    second = client.chat.completions.create(model="fake", messages=[*said, {"role": "user", "content": "And back?"}])
    sessions = [(each.choices[0].message.model_extra or {})["longdesk"]["session"] for each in (first, second)]
    assert sessions[0] == sessions[1]


def test_the_tool_s_answer_has_them(url: str) -> None:
    async def use() -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            result = await client.call_tool("ask", {"question": "When?"})
        assert result.structured_content is not None
        verified(result.structured_content["citations"])
        text = getattr(result.content[0], "text", "")
        assert "- verified: boats.md, lines 3 to 3: boat leaves at seven" in text
        assert "- missing: nowhere: no words found that show this" in text

    run_apart(use())
