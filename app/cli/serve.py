"""`serve`: a corpus that answers over HTTP and MCP."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from app.cli.desk import open_desk, take_up
from app.cli.options import ALLOW, CONTEXT, CORPUS, THINKING, Tokens, names_pages
from app.cli.output.count import show_reading
from app.desk import Desk
from app.serve.conversations import corpus_of
from app.serve.http import serve_http
from app.serve.service import Service
from app.serve.tools import serve_stdio
from engine.corpus.refusing import refuse_empty
from engine.corpus.rules import Rules
from engine.corpus.walk.streams import is_stdin
from engine.errors import SourceRefused, UsageError


@click.command()
@CORPUS
@click.option("--session", metavar="ID", help="The corpus of this session, which may go on itself.")
@CONTEXT
@click.option("--threads", "n_threads", type=click.IntRange(1, 4096), metavar="N")
@click.option("--system", metavar="TEXT", help="The standing instruction, in place of Longdesk's own.")
@click.option("--max-tokens", "reply_tokens", type=Tokens(), help="Tokens kept for a reply that does not say how many.")
@THINKING
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
@ALLOW
@click.option(
    "--port", default=8502, show_default=True, type=click.IntRange(0, 65535), help="0 takes one that is free."
)
def serve(
    paths: Sequence[Path], exclude: tuple[str, ...], session: str | None, model: str | None, no_snapshot: bool,
    transport: str, host: str, names: tuple[str, ...], port: int, **flags: Any
) -> int:  # fmt: skip
    """Answer editors and scripts about a corpus: an OpenAI-compatible API, and MCP tools."""
    _refuse_misuse(paths, session, transport, **flags)
    logging.basicConfig(level=logging.WARNING, format="longdesk: %(message)s")
    with (
        open_desk(model=model, snapshot=False if no_snapshot else None, **flags) as desk,
        _serving(
            desk,
            paths,
            exclude,
            session,
            keeps_model=model is not None,
            keeps_template=flags["chat_template"] is not None,
            keeps_lora=flags["lora"] is not None,
        ) as service,
    ):
        if transport == "stdio":
            serve_stdio(service)
        else:
            serve_http(service, host, port, partial(click.echo, err=True), names=names)
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
    desk: Desk,
    paths: Sequence[Path],
    exclude: tuple[str, ...],
    session: str | None,
    *,
    keeps_model: bool,
    keeps_template: bool,
    keeps_lora: bool,
) -> Iterator[Service]:
    """The corpus, read and counted; what still runs at the end is stopped."""
    if session is not None:
        named = {"keeps_template": keeps_template, "keeps_lora": keeps_lora}
        session = _take_up(desk, session, keeps_model=keeps_model, **named)
    desk.about()  # a model that cannot be used is said before a corpus is read
    corpus = None
    if paths:
        with show_reading() as tell:
            rules = Rules(exclude=exclude, pipes=True, needs_pages=names_pages() and session is None)
            corpus = desk.read(paths, rules, tell=tell)
        refuse_empty(desk.legible(corpus), paths)
    if session is not None:
        notices = desk.add_sources(session, corpus) if corpus is not None else ()
        left_out = desk.leave_out(session, exclude) if exclude else ()
        _tell(*(notice.text for notice in notices), *(f"{path} is left out from now on." for path in left_out))
        corpus = corpus_of(desk, session)
        if not corpus.sources:
            raise SourceRefused("The session sends no source.", "Name files or folders beside it.")
    assert corpus is not None
    with closing(Service(desk, corpus, session)) as service:
        _tell(f"Sources: {len(service.sources):,}. Tokens: {service.n_tokens:,}.")
        _tell(*service.about.notes)
        _tell(*service.about.template.notes(desk.settings.thinking or ""))
        if not service.plan.fits:
            _tell("It does not fit. Questions about all of it will be refused; `longdesk plan` says more.")
        yield service


def _tell(*sentences: str) -> None:
    for sentence in sentences:
        click.echo(sentence, err=True)


def _take_up(desk: Desk, session: str, **keeps: bool) -> str:
    """Goes on as the session was begun: its model where none was named, its instruction, what its images are sent as.
    Its whole id."""
    record = desk.session(session).session
    take_up(desk, record.id, **keeps)
    own = desk.settings_of(record)
    desk.settings = replace(
        desk.settings, system=record.system or "", max_tiles=own.max_tiles, draw_pages=own.draw_pages
    )
    return record.id
