"""`summarize`: a codebase as pages in a folder, and whether pages that are there are still of the sources."""

import os
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Event as Flag
from typing import Any

import click

from app.cli.corpus import read_corpus
from app.cli.desk import open_desk, take_up
from app.cli.options import CONTEXT, CORPUS, JSON, THINKING, Tokens
from app.cli.output.answer import tell_skipped
from app.cli.output.summary import print_checked, print_progress, print_summary
from app.cli.signals import cancelling
from app.desk import Desk
from app.passes.summary.document import Summary
from app.passes.summary.folder import Folder, begin, open_folder, write
from engine.errors import UsageError

_OUT = Path("longdesk-summary")
_GLOB, _LITERAL = r"([\\*?\[\]!#])", r"\\\1"  # signs of a glob, as they stand


@click.command()
@CORPUS
@click.option("--session", metavar="ID", help="Summarize the sources of this session.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help=f"The pages' folder. Default: ./{_OUT}.")
@click.option("--check", is_flag=True, help="Only say which pages are stale; 1 where some are.")
@CONTEXT
@click.option("--threads", "n_threads", type=click.IntRange(1, 4096), metavar="N")
@THINKING
@click.option("--pass-tokens", type=Tokens(auto=0), metavar="N|auto", help="Read at most N tokens at once.")
@click.option("--quotes/--no-quotes", default=None, help="Look for the words that show each statement, or do not.")
@JSON
def summarize(
    paths: Sequence[Path], exclude: tuple[str, ...], session: str | None, out: Path | None, check: bool,
    pass_tokens: int | None, as_json: bool, **flags: Any
) -> int:  # fmt: skip
    """Write pages about a codebase, each statement with the words that show it."""
    if not paths and session is None:
        raise UsageError("There is nothing to summarize.", "Name a file or folder, or a --session.")
    if paths and session is not None:
        raise UsageError("A session is summarized with the sources that it has.", "Leave PATH or --session out.")
    if out is not None and str(out) in ("", "."):
        raise UsageError("The pages need a folder of their own.", "Name one with --out.")
    folder = open_folder(out or _OUT)
    leave_out = (*exclude, *_own(folder.path, paths))
    with open_desk(snapshot=False, **flags) as desk:
        if check:
            return _check(desk, folder, paths, leave_out, session, as_json)
        desk.warm_up()
        given = [os.path.relpath(path, folder.path) for path in paths] + [f"--exclude {glob}" for glob in exclude]
        id = session if session is not None else _session(desk, folder, paths, given)
        has_template, has_lora = flags["chat_template"] is not None, flags["lora"] is not None
        if has_template or has_lora:
            take_up(desk, id, keeps_model=True, keeps_template=has_template, keeps_lora=has_lora)
        folder = begin(folder, desk.session(id).session.id, given)
        if paths:
            corpus = read_corpus(desk, paths, leave_out)
            tell_skipped(desk.legible(corpus).skipped, ())
            for notice in desk.add_sources(folder.session or id, corpus):
                click.echo(notice.text, err=True)
        summary = _summarize(desk, folder, pass_tokens)
        if summary is None:
            click.echo("Stopped. What was read is kept: the same command goes on from there.", err=True)
            return 130
        written = write(folder, summary, desk.origins(summary.session))
        print_summary(summary, folder.summary, folder.path, written, as_json=as_json)
    return 0


def _summarize(desk: Desk, folder: Folder, pass_tokens: int | None) -> Summary | None:
    """The summary; None where it was stopped. Until it has begun, a signal ends the command."""
    session = folder.session or ""
    if folder.summary is not None and (stale := folder.summary.stale(desk.digests(session))):
        write(folder, folder.summary, desk.origins(session), stale)
        folder = open_folder(folder.path)
    cancel, begun = Flag(), Flag()
    events = desk.summarize(session, pass_tokens=pass_tokens or None, cancel=cancel)
    with cancelling(cancel, begun), closing(events):
        return print_progress(events, begun)


def _check(
    desk: Desk, folder: Folder, paths: Sequence[Path], leave_out: tuple[str, ...], session: str | None, as_json: bool
) -> int:  # fmt: skip
    if folder.summary is None:
        raise UsageError(f"There is no summary in {folder.path}.", "Make one: the same command without --check.")
    if session is not None:
        now = desk.digests(desk.session(session).session.id)
    else:
        read = desk.legible(read_corpus(desk, paths, leave_out))
        now = {source.path: source.digest for source in read.sources}
    stale = folder.summary.stale(now)
    print_checked(folder.summary, stale, as_json=as_json)
    return 1 if stale else 0


def _session(desk: Desk, folder: Folder, paths: Sequence[Path], given: Sequence[str]) -> str:
    """The session of the summary in the folder, if it is of the same paths; else a new one."""
    known = {each.id for each in desk.sessions()}
    if folder.session in known and list(folder.given) == list(given):
        return str(folder.session)
    named = Path(os.path.abspath(paths[0])).name or "files"
    return desk.begin_session(f"Summary of {named}").id


def _own(out: Path, paths: Sequence[Path]) -> list[str]:
    """Globs that keep the pages out of what they are made of, where they lie in a folder that was given."""
    there = Path(os.path.realpath(out))
    roots = [Path(os.path.realpath(path)) for path in paths if path.is_dir()]
    below = [there.relative_to(root).as_posix() for root in roots if root in there.parents]
    return [f"/{re.sub(_GLOB, _LITERAL, path)}/" for path in below]
