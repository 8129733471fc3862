"""`sessions`: what is kept, listed, shown, renamed, exported, verified, searched and deleted."""

import click

from app.archive import open_archive
from app.cli.options import JSON
from app.cli.output.session import (
    print_deleted,
    print_hits,
    print_renamed,
    print_session,
    print_sessions,
    print_verified,
)


@click.group()
def sessions() -> None:
    """List, show, rename, export, verify, search and delete sessions."""


@sessions.command("list")
@JSON
def list_sessions(as_json: bool) -> None:
    """All sessions, the newest first."""
    with open_archive() as archive:
        print_sessions(archive.sessions(), as_json=as_json)


@sessions.command()
@click.argument("session_id", metavar="ID")
@JSON
def show(session_id: str, as_json: bool) -> None:
    """One session: its sources, questions and answers."""
    with open_archive() as archive:
        record = archive.record(session_id)
        print_session(record, max_tiles=archive.settings_of(record.session).max_tiles, as_json=as_json)


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.argument("title")
@JSON
def rename(session_id: str, title: str, as_json: bool) -> None:
    """Give a session another title."""
    with open_archive() as archive:
        print_renamed(archive.rename(session_id, title), as_json=as_json)


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.option("--format", "layout", type=click.Choice(("md", "json")), default="md", show_default=True)
@JSON
def export(session_id: str, layout: str, as_json: bool) -> None:
    """Write a session as Markdown or JSON."""
    with open_archive() as archive:
        record = archive.record(session_id)
        print_session(
            record, max_tiles=archive.settings_of(record.session).max_tiles, as_json=as_json or layout == "json"
        )


@sessions.command()
@click.argument("session_id", metavar="ID")
@JSON
def verify(session_id: str, as_json: bool) -> int:
    """Check a session's receipts and citations again: exits with 1 where one does not hold."""
    from app.checking_again import verify_session
    from app.cli.desk import open_desk  # a whole Desk: the prompts are laid out again

    with open_desk() as desk:
        record = desk.record(session_id)
        checked = verify_session(record, desk.backend)
        print_verified(record.session, checked, as_json=as_json)
        return 1 if checked.faults else 0


@sessions.command()
@click.argument("text")
@JSON
def search(text: str, as_json: bool) -> None:
    """Sessions in which every word of TEXT occurs."""
    with open_archive() as archive:
        print_hits(archive.search(text), as_json=as_json)


@sessions.command()
@click.argument("session_id", metavar="ID")
@JSON
def delete(session_id: str, as_json: bool) -> None:
    """Delete a session with its answers and its KV cache."""
    from app.cli.desk import open_desk  # a whole Desk: the KV cache goes too

    with open_desk() as desk:
        print_deleted(desk.delete_session(session_id), as_json=as_json)
