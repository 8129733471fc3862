"""`sessions`: what is kept, listed, shown, renamed, exported, imported, verified, searched and deleted."""

from functools import partial
from pathlib import Path

import click

from app.archive import open_archive
from app.cli.input import read_stdin, text_from_stdin
from app.cli.options import JSON
from app.cli.output import print_bytes, print_document
from app.cli.output.session import (
    print_branch,
    print_deleted,
    print_hits,
    print_imported,
    print_note,
    print_notes,
    print_renamed,
    print_sent,
    print_session,
    print_sessions,
    print_verified,
)
from engine.errors import InputRefused, UsageError


@click.group()
def sessions() -> None:
    """List, show, rename, export, import, verify, search and delete sessions."""


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
@click.option("--format", "layout", type=click.Choice(("md", "json", "html", "csv")), default="md", show_default=True)
@click.option("--no-sources", is_flag=True, help="Leave out what the sources hold. Such JSON cannot be imported.")
@JSON
def export(session_id: str, layout: str, no_sources: bool, as_json: bool) -> None:
    """Write a session as Markdown, as JSON that can be imported, as one HTML page; or its tables as CSV."""
    with open_archive() as archive:
        layout = "json" if as_json else layout
        print_bytes(archive.export(session_id, layout, with_sources=not no_sources), is_json=layout == "json")


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.option(
    "--at", "number", type=click.IntRange(1), metavar="N", help="Of the answer to question N. Default: of all."
)
@click.option("--format", "layout", type=click.Choice(("md", "csv")), default="md", show_default=True)
@JSON
def tables(session_id: str, number: int | None, layout: str, as_json: bool) -> None:
    """The tables of a session's answers, each cell with where it stands in the sources."""
    with open_archive() as archive:
        index = None if number is None else number - 1
        print_bytes(archive.tables(session_id, index, "json" if as_json else layout), is_json=as_json)


@sessions.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, readable=False), metavar="FILE")
@JSON
def take_in(file: Path, as_json: bool) -> None:
    """Bring back a session that was exported as JSON; - is standard input."""
    with open_archive() as archive:
        imported = archive.take_in(_read(file))
        print_imported(imported.session, imported.sentence, is_new=imported.is_new, as_json=as_json)


def _read(file: Path) -> bytes:
    """The file, or of one that is too large what says so. Raises UsageError where there is none, InputRefused where it
    cannot be read."""
    from app.exchange.reading import MOST_BYTES

    if file == Path("-"):
        return read_stdin(MOST_BYTES + 1)
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as error:
        kind = UsageError if isinstance(error, (FileNotFoundError, IsADirectoryError)) else InputRefused
        raise kind(f"{file} cannot be read: {error.strerror}.", "Name the JSON file of an export.") from None


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
@click.argument("session_id", metavar="ID")
@click.option(
    "--last", type=click.IntRange(0), metavar="N", required=True, help="Keep the last N questions; 0 keeps the sources."
)
@JSON
def fork(session_id: str, last: int, as_json: bool) -> None:
    """Go on in a copy of a session without its oldest questions: all its sources, and the last N answers."""
    with open_archive() as archive:
        print_renamed(archive.fork(session_id, last), as_json=as_json)


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.option(
    "--at", "number", type=click.IntRange(1), metavar="N", help="The answer to question N. Default: the last."
)
@click.option("--text", metavar="TEXT|-", help="Keep these words of it alone; - reads them from standard input.")
@click.option("--title", metavar="TITLE", help="The note's title. Default: its beginning.")
@JSON
def keep(session_id: str, number: int | None, text: str | None, title: str | None, as_json: bool) -> None:
    """Keep an answer, or some words of it, as a note of its session."""
    words = text_from_stdin() if text == "-" else text
    with open_archive() as archive:
        turns = archive.turns(session_id)
        if not turns:
            raise UsageError("The session has no answer yet.", "Ask something first.")
        at = number - 1 if number is not None else turns[-1].index
        note = archive.keep_note(session_id, at, words=words, title=title or "")
        print_notes([note], as_json=False) if not as_json else print_note(note, as_json=True)


@sessions.command()
@click.argument("session_id", metavar="ID")
@JSON
def notes(session_id: str, as_json: bool) -> None:
    """A session's notes: answers, and pieces of answers, that were kept."""
    with open_archive() as archive:
        print_notes(archive.kept_notes(session_id), as_json=as_json)


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.argument("number", type=click.IntRange(1), metavar="N")
@click.option("--rename", "title", metavar="TITLE", help="Give it another title.")
@click.option("--delete", "deletes", is_flag=True, help="Take it away; a source that it was sent as stays.")
@click.option("--send", "sends", is_flag=True, help="Send it as a source of the session from now on.")
@JSON
def note(session_id: str, number: int, title: str | None, deletes: bool, sends: bool, as_json: bool) -> None:
    """Note N of a session: its text; or rename, delete or send it."""
    if (title is not None) + deletes + sends > 1:
        raise UsageError("A note is renamed, deleted or sent.", "Give one of --rename, --delete and --send.")
    if sends:
        from app.cli.desk import open_desk  # what a source stands beside is Desk's

        with open_desk() as desk:
            kept = desk.kept_note(session_id, number)
            path, notices = desk.send_note(desk.session(session_id).session.id, number)
        print_sent(path, kept, as_json=as_json)
        for notice in notices:
            click.echo(notice.text, err=True)
        return
    with open_archive() as archive:
        if title is not None:
            print_notes([archive.rename_note(session_id, number, title)], as_json=as_json)
        elif deletes:
            archive.delete_note(session_id, number)
            print_document({"deleted": number} if as_json else f"Deleted note {number}.")
        else:
            print_note(archive.kept_note(session_id, number), as_json=as_json)


@sessions.command()
@click.argument("session_id", metavar="ID")
@JSON
def verify(session_id: str, as_json: bool) -> int:
    """Check a session's receipts and citations again: exits with 1 where one does not hold."""
    from app.checking_again import verify_session
    from app.cli.desk import open_desk  # a whole Desk: the prompts are laid out again

    with open_desk() as desk:
        record = desk.record(session_id)
        checked = verify_session(record, partial(desk.backend, session=record.session))
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
