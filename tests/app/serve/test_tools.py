"""The MCP way in, asked with the SDK's own client over both transports, on a tiny real model."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from storage.store import Store
from tests.command_line import LONGDESK, CommandLine
from tests.patience import PATIENCE_S, until
from tests.serving import TOKEN, Serving, run_apart

pytestmark = pytest.mark.slow

Use = Callable[[Client], Awaitable[None]]


@asynccontextmanager
async def over_http(server: Serving, token: str = TOKEN, mode: str = "auto") -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@asynccontextmanager
async def over_stdio(longdesk: CommandLine, corpus: Path, max_tokens: int = 12) -> AsyncIterator[Client]:
    arguments = ["serve", str(corpus), "--mcp", "stdio", "--max-tokens", str(max_tokens)]
    how = StdioServerParameters(command=str(LONGDESK), args=arguments, env=longdesk.environment)
    async with Client(stdio_client(how)) as client:
        yield client


def data(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def text(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


async def look(client: Client) -> None:
    """All that an editor does with a corpus."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert tools.keys() == {"list_sources", "read", "search", "ask"}
    assert all(tool.description and "context" not in tool.input_schema["properties"] for tool in tools.values())
    listed = data(await client.call_tool("list_sources"))
    assert [source["path"] for source in listed["sources"]] == ["README.md", "long.txt", "src/main.py"]
    assert [source["lines"] for source in listed["sources"]] == [3, 300, 2]
    assert sum(source["tokens"] for source in listed["sources"]) < listed["total_tokens"] and listed["more"] is None
    heard: list[tuple[float, float | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        heard.append((done, total))

    first = await client.call_tool("ask", {"question": "How long is it?"}, progress_callback=progress)
    answer = data(first)
    assert answer["answer"] and text(first).startswith(answer["answer"]) and "citations" in answer
    assert heard and heard[-1] == (answer["prompt_tokens"],) * 2
    second = data(await client.call_tool("ask", {"question": "Why?", "session": answer["session"]}))
    assert second["session"] == answer["session"]
    assert second["reused_tokens"] >= answer["prompt_tokens"] + answer["reply_tokens"] - 1
    part = data(await client.call_tool("ask", {"question": "What?", "only": ["src/"]}))
    assert part["prompt_tokens"] < answer["prompt_tokens"] / 2


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_over_http(server: Serving, mode: str) -> None:
    """legacy: clients that begin with a handshake, as most do."""

    async def use() -> None:
        async with over_http(server, mode=mode) as client:
            await look(client)

    run_apart(use())


def test_over_stdio(longdesk: CommandLine, corpus: Path) -> None:
    async def use() -> None:
        async with over_stdio(longdesk, corpus) as client:
            await look(client)

    run_apart(use())


def test_a_wrong_token_is_refused(server: Serving) -> None:
    async def use() -> None:
        async with over_http(server, "another-token-of-that-length") as client:
            await client.list_tools()

    with pytest.raises(BaseExceptionGroup) as refused:
        run_apart(use())
    assert refused.group_contains(MCPError)
    for token in (None, "another-token-of-that-length"):
        with server.http(token) as http:
            assert http.post("/mcp", json={}).status_code == 401


def test_reading_and_searching(server: Serving) -> None:
    async def use() -> None:
        async with over_http(server) as client:
            some = data(await client.call_tool("read", {"path": "long.txt", "first_line": 3, "last_line": 4}))
            assert some["text"] == "Line 3 of many.\nLine 4 of many.\n" and some["lines"] == [3, 4]
            assert some["n_lines"] == 300 and some["more"] is None
            found = data(await client.call_tool("search", {"text": "LINE 7", "around": 1}))
            assert [hit["line"] for hit in found["hits"]] == [7, *range(70, 80)]
            assert found["hits"][0]["text"].splitlines() == [f"Line {number} of many." for number in (6, 7, 8)]
            assert not data(await client.call_tool("search", {"text": "LINE 7", "match_case": True}))["hits"]
            assert not data(await client.call_tool("search", {"text": "Line", "paths": ["src/"]}))["hits"]
            many = data(await client.call_tool("search", {"text": "of many"}))
            assert len(many["hits"]) == 50 and many["more"] == "250 more: go on with start=51"
            last = data(await client.call_tool("search", {"text": "of many", "start": 251}))
            assert [hit["line"] for hit in last["hits"]] == list(range(251, 301)) and last["more"] is None

    run_apart(use())


def test_what_is_too_long_for_one_answer_is_read_in_several(longdesk: CommandLine, tmp_path: Path) -> None:
    """Also where one line is too long, and where lines end otherwise."""
    texts = {
        "lines.txt": "".join(f"This is line {number}.\n" for number in range(1, 6_001)),
        "one.txt": "word " * 30_000,
        "old.txt": "".join(f"Line {number}.\r" for number in range(1, 9_001)),
        "dos.txt": "a\r\nb\r\n",
    }
    folder = tmp_path / "long"
    folder.mkdir()
    for name, content in texts.items():
        (folder / name).write_bytes(content.encode())

    async def use() -> None:
        async with over_stdio(longdesk, folder) as client:
            listed = data(await client.call_tool("list_sources"))["sources"]
            assert {source["path"]: source["lines"] for source in listed} == {
                "lines.txt": 6_000, "one.txt": 1, "old.txt": 9_000, "dos.txt": 2
            }  # fmt: skip
            for name, content in texts.items():
                found, more, last_line = "", "skip=0", 0
                while more:
                    assert more.rpartition("skip=")[2] == str(len(found))
                    part = data(await client.call_tool("read", {"path": name, "skip": len(found)}))
                    assert 0 < len(part["text"]) <= 50_000 and part["lines"][0] == max(
                        1, last_line + (name != "one.txt")
                    )
                    found, more, last_line = found + part["text"], part["more"], part["lines"][1]
                assert found == content
            part = data(await client.call_tool("search", {"text": "Line 8999", "around": 1}))
            assert part["hits"][0]["text"].splitlines() == ["Line 8998.", "Line 8999.", "Line 9000."]

    run_apart(use())


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("read", {"path": "../secret.txt"}, "has no source ../secret.txt"),
        ("read", {"path": "/etc/passwd"}, "has no source /etc/passwd"),
        ("read", {"path": "src/../README.md"}, "has no source"),
        ("read", {"path": "README.md", "first_line": 9}, "lines 1 to 3"),
        ("read", {"path": "README.md", "first_line": 0}, "lines 1 to 3"),
        ("read", {"path": "README.md", "first_page": 1}, "has no pages"),
        ("search", {"text": ""}, "nothing to search for"),
        ("search", {"text": "x", "paths": ["../secret.txt"]}, "has no source"),
        ("ask", {"question": "  "}, "question is empty"),
        ("ask", {"question": "Who?", "only": ["../secret.txt"]}, "no source ../secret.txt"),
        ("ask", {"question": "Who?", "session": "nobodys"}, "no session nobodys"),
        ("ask", {"question": "word " * 9_000}, "tokens over"),
        ("read", {}, "path"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    server: Serving, tool: str, arguments: dict[str, Any], said: str
) -> None:
    async def use() -> CallToolResult:
        async with over_http(server) as client:
            return await client.call_tool(tool, arguments)

    result = run_apart(use())
    assert result.is_error and said in text(result)


def test_a_call_that_is_given_up_stops_its_answer(longdesk: CommandLine, corpus: Path) -> None:
    """Over stdio, where nothing but the protocol says so."""

    async def use() -> None:
        async with over_stdio(longdesk, corpus, 4_000) as client:
            call = asyncio.create_task(client.call_tool("ask", {"question": "Give it up?"}))
            await asyncio.to_thread(until, lambda: stop_of("Give it up?") is not None)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await asyncio.to_thread(until, lambda: stop_of("Give it up?") == "cancelled")
            assert data(await client.call_tool("list_sources"))["n_sources"] == 3

    def stop_of(title: str) -> str | None:
        with Store(longdesk.home) as store:
            [found] = [each.id for each in store.sessions.list() if each.title == title] or [None]
            turns = store.turns.of(found) if found else ()
            return (turns[0].stop or "runs") if turns else None

    run_apart(use())


def test_standard_output_is_the_protocol_s_alone(longdesk: CommandLine, corpus: Path) -> None:
    """And the end of standard input ends the server."""
    ended = subprocess.run(
        [LONGDESK, "serve", str(corpus), "--mcp", "stdio"],
        env=longdesk.environment,
        input="",
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "") and "Sources: 3." in ended.stderr


def test_a_polite_kill_ends_it_while_the_input_is_open(longdesk: CommandLine, corpus: Path) -> None:
    process = subprocess.Popen(
        [LONGDESK, "serve", str(corpus), "--mcp", "stdio"],
        env=longdesk.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        assert process.stderr is not None
        assert any("Sources: 3." in line for line in process.stderr)
        process.terminate()
        assert process.wait(PATIENCE_S) in (0, 130)
