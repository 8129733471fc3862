"""The MCP way in: the tools list_sources, read, search and ask, on the official SDK, over stdio and HTTP.

What is read and searched is the corpus as it was read when the server began: no file is opened for a call, so that
nothing outside it can be reached by any path. Every result has a limit, and says where it goes on.
"""

import asyncio
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import aclosing
from importlib.metadata import version
from inspect import getdoc
from itertools import islice
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from starlette.applications import Starlette

from app.serve.asked import Asked
from app.serve.service import Prefill, Reply, Service, Source
from engine.errors import EngineFailed, LongdeskError

_MOST_LISTED = 500
_MOST_READ = 50_000  # characters
_MOST_HITS = 50
_MOST_COUNTED = 1_000  # hits behind those
_MOST_AROUND = 20  # lines
_MOST_LINE = 500  # characters of a line that a hit shows
_MOST_SESSIONS = 100
_LINE_END = re.compile(r"\r\n?|\n")
_READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_INSTRUCTIONS = (
    "A corpus of files that a model on this machine has read whole. ask answers a question about all of it, with "
    "citations that were checked against the files; list_sources, read and search show the files themselves."
)

Fields = dict[str, Any]


def http_app(service: Service) -> Starlette:
    """The tools over streamable HTTP, at /mcp. Who may ask is left to the guard in front of it."""
    open_to_all = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    return tools_of(service).streamable_http_app(transport_security=open_to_all, max_sessions=_MOST_SESSIONS)


def tools_of(service: Service) -> MCPServer:
    """A server of the tools."""
    server = MCPServer(
        "longdesk", title="Longdesk", instructions=_INSTRUCTIONS, version=version("longdesk"), log_level="ERROR"
    )
    tools = _Tools(service)
    for tool in (tools.list_sources, tools.read, tools.search, tools.ask):
        server.add_tool(tool, description=getdoc(tool), annotations=_READ_ONLY)
    return server


def serve_stdio(service: Service) -> None:
    """The tools over standard input and output, until the input ends. Whatever else is printed goes to standard error:
    the SDK takes both streams for itself."""
    asyncio.run(tools_of(service).run_stdio_async())


class _Tools:
    """The tools; their docstrings and arguments are what a client's model sees of them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def list_sources(self, under: str = "", start: int = 1) -> Fields:
        """Lists the sources of the corpus: path, kind, tokens, lines and pages of each.

        under: only those whose path begins so. start: the number of the first one to list, from 1, for what did not fit
        into the answer before.
        """
        named = [source for source in self._service.sources if source.path.startswith(under)]
        listed = named[max(start, 1) - 1 :][:_MOST_LISTED]
        n_left = len(named) - max(start, 1) + 1 - len(listed)
        return {
            "sources": [self._row(source) for source in listed],
            "total_tokens": self._service.n_tokens,
            "n_sources": len(named),
            "more": f"{n_left:,} more: go on with start={max(start, 1) + len(listed)}" if n_left > 0 else None,
        }

    def read(
        self, path: str, first_line: int = 1, last_line: int | None = None,
        first_page: int | None = None, last_page: int | None = None, skip: int = 0,
    ) -> Fields:  # fmt: skip
        """Reads the text of one source, by the path that list_sources gives: all of it, lines, or pages of a PDF.

        first_line, last_line: from 1, the last included. first_page, last_page: the same for pages, in place of lines.
        skip: so many characters of that, which an earlier answer had.
        """
        source = self._source(path)
        lines = _Lines(source.text)
        if first_page is not None or last_page is not None:
            begin, end = _pages(source, first_page or 1, last_page)
        else:
            begin, end = lines.span(first_line, last_line)
        start = min(end, begin + max(skip, 0))
        stop = lines.last_start(start, start + _MOST_READ) if end > start + _MOST_READ else end
        last = max(start, stop - 1)
        return {
            "path": path,
            "lines": [lines.at(start), lines.at(last)],
            "n_lines": lines.n_lines,
            "pages": [source.page_at(start), source.page_at(last)] if source.page_starts else None,
            "text": source.text[start:stop],
            "more": f"It goes on: read the same again with skip={stop - begin}" if stop < end else None,
        }

    def search(
        self, text: str, paths: list[str] | None = None, match_case: bool = False, around: int = 2, start: int = 1
    ) -> Fields:
        """Finds words in the sources, as they are written: each hit with path, line, page and the lines around it.

        text: plain text, no pattern. paths: only in these sources; a slash at the end makes it a folder. around: lines
        before and behind each hit. start: the number of the first hit to show, from 1.
        """
        if not text:
            raise ToolError("There is nothing to search for. Give text.")
        pattern, first = re.compile(re.escape(text), 0 if match_case else re.IGNORECASE), max(start, 1)
        found = ((source, match.start()) for source in self._named(paths) for match in pattern.finditer(source.text))
        shown = list(islice(found, first - 1, first - 1 + _MOST_HITS))
        n_more = sum(1 for _ in islice(found, _MOST_COUNTED))
        lines = {source.path: _Lines(source.text) for source, _ in shown}
        n_around = min(max(around, 0), _MOST_AROUND)
        at_least = "at least " if n_more == _MOST_COUNTED else ""
        return {
            "hits": [_hit(source, lines[source.path], offset, n_around) for source, offset in shown],
            "more": f"{at_least}{n_more:,} more: go on with start={first + len(shown)}" if n_more else None,
        }

    async def ask(
        self, question: str, context: Context, only: list[str] | None = None, session: str | None = None
    ) -> CallToolResult:
        """Asks the model a question about the whole corpus, which it has read. The first question takes longest.

        only: asks about these paths alone; a slash at the end makes it a folder. session: goes on in the session that
        an earlier answer named, which has what was said in it.
        """
        if not question.strip():
            raise ToolError("The question is empty.")
        asked = Asked(text=question, only=frozenset(only) if only else None, session=session)
        try:
            async with aclosing(self._service.hear(asked)) as events:
                async for event in events:
                    if isinstance(event, Prefill):
                        sentence = f"Read {event.done:,} of {event.total:,} tokens"
                        await context.report_progress(event.done, event.total, sentence)
                    elif isinstance(event, Reply):
                        return _answer(event)
        except LongdeskError as error:
            raise ToolError(str(error)) from error
        raise ToolError("The server is ending. Ask again when it runs.")

    def _row(self, source: Source) -> Fields:
        return {
            "path": source.path,
            "kind": source.kind,
            "tokens": self._service.document(source.path).n_tokens,
            "lines": _Lines(source.text).n_lines if source.text else 0,
            "pages": source.n_pages,
        }

    def _source(self, path: str) -> Source:
        source = self._service.source(path)
        if source is None:
            raise ToolError(f"The corpus has no source {path[:300]}. list_sources names them all.")
        return source

    def _named(self, paths: list[str] | None) -> Iterator[Source]:
        for path in paths or ("/",):
            if not path.endswith("/"):
                yield self._source(path)
            else:
                yield from (each for each in self._service.sources if path == "/" or each.path.startswith(path))


class _Lines:
    """Where the lines of a text begin, numbered as those of citations are: they end with LF, CR LF or CR."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
        if len(self._starts) > 1 and self._starts[-1] == len(text):
            self._starts.pop()

    @property
    def n_lines(self) -> int:
        return len(self._starts)

    def at(self, offset: int) -> int:
        """The number of the line of a character, from 1."""
        return bisect_right(self._starts, offset)

    def span(self, first: int, last: int | None) -> tuple[int, int]:
        """Characters of these lines. Raises ToolError where there are none."""
        last = self.n_lines if last is None else min(last, self.n_lines)
        if not 1 <= first <= last:
            raise ToolError(f"There are no such lines: the source has lines 1 to {self.n_lines:,}.")
        return self._starts[first - 1], self._starts[last] if last < self.n_lines else len(self._text)

    def last_start(self, after: int, most: int) -> int:
        """Where the last line begins that does so behind `after` and up to `most`; `most` where none does."""
        start = self._starts[self.at(most) - 1]
        return start if start > after else most

    def around(self, line: int, n_around: int) -> list[str]:
        """A line with those before and behind it, long ones cut where it shows."""
        start, end = self.span(max(1, line - n_around), line + n_around)
        found = _LINE_END.split(self._text[start:end])
        if not found[-1]:  # behind the last line's end
            found.pop()
        return [
            each if len(each) <= _MOST_LINE else f"{each[:_MOST_LINE]}… [{len(each):,} characters]" for each in found
        ]


def _pages(source: Source, first: int, last: int | None) -> tuple[int, int]:
    """Characters of these pages. Raises ToolError where there are none."""
    starts = source.page_starts
    if not starts:
        raise ToolError(f"{source.path} has no pages. Read its lines.")
    last = len(starts) if last is None else min(last, len(starts))
    if not 1 <= first <= last:
        raise ToolError(f"There are no such pages: {source.path} has pages 1 to {len(starts):,}.")
    return starts[first - 1], starts[last] if last < len(starts) else len(source.text)


def _hit(source: Source, lines: _Lines, offset: int, n_around: int) -> Fields:
    line = lines.at(offset)
    return {
        "path": source.path,
        "line": line,
        "page": source.page_at(offset),
        "first_line": max(1, line - n_around),
        "text": "\n".join(lines.around(line, n_around)),
    }


def _answer(reply: Reply) -> CallToolResult:
    """An answer for the client's model to read, and the same as data."""
    turn, citations = reply.turn, reply.turn.citations
    if turn.stop == "error":
        raise EngineFailed(turn.error or "The engine broke off.")
    text = turn.text + ("\n\n[cut at the reply's limit]" if turn.stop == "length" else "")
    if citations:
        text += "\n\n" + "\n".join(("Citations:", *_cited(reply)))
    data = {
        "answer": turn.text,
        "stop": turn.stop,
        "session": turn.session_id,
        "citations": None if citations is None else [citation.to_json() for citation in citations],
        "receipt": turn.receipt,
        "notices": list(reply.notices),
        "prompt_tokens": turn.prompt_tokens,
        "reused_tokens": turn.reused_tokens,
        "reply_tokens": turn.reply_tokens,
    }
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=data)


def _cited(reply: Reply) -> Iterator[str]:
    """A line for each citation: what became of it, where, and the words."""
    for citation in reply.turn.citations or ():
        place = citation.path or "nowhere"
        if citation.page is not None:
            place += f", page {citation.page}"
        elif citation.lines is not None:
            place += f", lines {citation.lines[0]} to {citation.lines[1]}"
        words = citation.quote or "no words found that show this"
        yield f"- {citation.status}: {place}: {words}"
