"""`sessions`: what is kept, listed, shown, renamed, exported, searched and deleted."""

import click

from app.archive import open_archive
from app.cli.options import JSON
from app.cli.output.session import print_branch, print_deleted, print_hits, print_renamed, print_session, print_sessions


@click.group()
def sessions() -> None:
    """List, show, rename, export, search and delete sessions."""


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
@click.argument("number", type=click.IntRange(1), metavar="N")
@JSON
def branch(session_id: str, number: int, as_json: bool) -> None:
    """Go back to the branch of question N: it is shown, and the next question goes on from its end."""
    with open_archive() as archive:
        whole = archive.session(session_id).session.id
        archive.choose_branch(whole, number - 1)
        print_branch(whole, archive.turns(whole), as_json=as_json)


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
