"""`serve`: a corpus that answers over HTTP and MCP."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from app.cli.desk import open_desk
from app.cli.options import CONTEXT, CORPUS, Tokens
from app.cli.output.count import show_reading
from app.desk import Desk
from app.serve.conversations import Conversations
from app.serve.guard import is_loopback, token_of
from app.serve.http import listen, serve_http
from app.serve.service import Service
from app.serve.tools import serve_stdio
from app.verdicts import verdict
from engine.backend import Corpus
from engine.corpus.refusing import refuse_empty
from engine.corpus.rules import Rules
from engine.corpus.walk.streams import is_stdin
from engine.corpus.wording import counted
from engine.errors import SourceRefused, UsageError
from storage.store import Store

_WARNED = "The server can be reached from other machines, and what it sends is not encrypted. Let a proxy do that."


@click.command()
@CORPUS
@click.option("--session", metavar="ID", help="The corpus of this session, which may go on itself.")
@CONTEXT
@click.option("--threads", "n_threads", type=click.IntRange(1, 4096), metavar="N")
@click.option("--system", metavar="TEXT", help="The standing instruction, in place of Longdesk's own.")
@click.option("--max-tokens", "reply_tokens", type=Tokens(), help="Tokens kept for a reply that does not say how many.")
@click.option("--no-snapshot", is_flag=True, help="Do not keep the KV cache for the next start.")
@click.option(
    "--quotes/--no-quotes",
    default=None,
    help="Look for the words that show each statement of an answer, or do not. Default: with models good at it.",
)
@click.option(
    "--mcp",
    "transport",
    type=click.Choice(("http", "stdio")),
    default="http",
    show_default=True,
    help="Where the MCP tools are: at /mcp beside the API, or alone on standard input and output.",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen at.")
@click.option(
    "--port", default=8502, show_default=True, type=click.IntRange(0, 65535), help="0 takes one that is free."
)
def serve(
    paths: Sequence[Path], exclude: tuple[str, ...], session: str | None, model: str | None, no_snapshot: bool,
    transport: str, host: str, port: int, **flags: Any
) -> int:  # fmt: skip
    """Answer editors and scripts about a corpus: an OpenAI-compatible API, and MCP tools."""
    _refuse_misuse(paths, session, transport, **flags)
    logging.basicConfig(level=logging.WARNING, format="longdesk: %(message)s")
    with (
        open_desk(model=model, snapshot=False if no_snapshot else None, **flags) as desk,
        _serving(desk, paths, exclude, session, keeps_model=model is not None) as service,
    ):
        if transport == "stdio":
            serve_stdio(service)
        else:
            _serve_http(service, host, port)
    return 0


def _refuse_misuse(paths: Sequence[Path], session: str | None, transport: str, **flags: Any) -> None:
    if not paths and session is None:
        raise UsageError("There is nothing to serve.", "Name a file or folder, or a --session.")
    if session is not None and flags["system"] is not None:
        raise UsageError("A session keeps the instruction that it was begun with.", "Leave --system out.")
    if transport == "stdio" and any(map(is_stdin, paths)):
        raise UsageError("Standard input cannot be the protocol and a source.", "Name a file or folder.")


@contextmanager
def _serving(
    desk: Desk, paths: Sequence[Path], exclude: tuple[str, ...], session: str | None, *, keeps_model: bool
) -> Iterator[Service]:
    """The corpus, read and counted; what still runs at the end is stopped."""
    if session is not None:
        session = _take_up(desk, session, keeps_model=keeps_model)
    desk.about()  # a model that cannot be used is said before a corpus is read
    corpus = Corpus()
    if paths:
        with show_reading() as tell:
            corpus = desk.read(paths, Rules(exclude=exclude, pipes=True), tell=tell)
        refuse_empty(desk.legible(corpus), paths)
    if session is not None:
        corpus = _joined(desk, session, corpus, exclude)
    count = desk.count(corpus)
    plan = desk.plan(count)
    click.echo(f"{counted(len(count.sources), 'source')}, {counted(count.total_tokens, 'token')}.", err=True)
    if not plan.fits:
        click.echo(f"{verdict(plan)} Questions about all of it will be refused; `longdesk plan` says more.", err=True)
    with closing(Store(desk.settings.home)) as store:
        conversations = Conversations(desk, store, corpus, session)
        with closing(Service(desk, conversations, count)) as service:
            yield service


def _take_up(desk: Desk, session: str, *, keeps_model: bool) -> str:
    """Goes on as the session was begun: its model where none was named, its instruction, what its images are sent as.
    Its whole id."""
    record = desk.session(session).session
    if not keeps_model:
        desk.use_model_of(record.id)
    own = desk.settings_of(record)
    desk.settings = replace(
        desk.settings, system=record.system or "", max_tiles=own.max_tiles, draw_pages=own.draw_pages
    )
    return record.id


def _joined(desk: Desk, session: str, corpus: Corpus, exclude: tuple[str, ...]) -> Corpus:
    """All that the session sends, with what was read beside it."""
    notices = desk.add_sources(session, corpus) if corpus != Corpus() else ()
    left_out = desk.leave_out(session, exclude) if exclude else ()
    for sentence in (*(notice.text for notice in notices), *(f"{path} is left out from now on." for path in left_out)):
        click.echo(sentence, err=True)
    sources = tuple(placed.source for placed in desk.record(session).sources if placed.enabled)
    if not sources:
        raise SourceRefused("The session sends no source.", "Name files or folders beside it.")
    return Corpus(sources)


def _serve_http(service: Service, host: str, port: int) -> None:
    token, where = token_of(service.settings.home)
    listening = listen(host, port)
    with closing(listening):
        address = listening.getsockname()
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        click.echo(f"Longdesk answers at http://{name}:{address[1]}/v1, MCP at /mcp (Ctrl-C ends it).", err=True)
        click.echo(f"The token is in {where}: send it as `Authorization: Bearer TOKEN`.", err=True)
        if not is_loopback(host):
            click.echo(_WARNED, err=True)
        with suppress(KeyboardInterrupt):  # a signal is the way to end it
            serve_http(service, listening, token=token, host=host)
