"""What comes through standard input that is no source: a question, words, the file of an export."""

import sys

import click

from engine.corpus.formats.decoding import decode
from engine.errors import InputRefused, UsageError


def read_stdin(most_bytes: int = -1) -> bytes:
    """All that comes, or so much of it. Raises UsageError where it is closed or cannot be read."""
    try:
        if sys.stdin is not None:
            return sys.stdin.buffer.read(most_bytes)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"Standard input cannot be read: {why}.", "Pipe something into it.") from None
    raise UsageError("Standard input is closed.", "Pipe something into it, or leave - out.")


def text_from_stdin() -> str:
    """The same as text, in whatever encoding it comes: one that has a mark, UTF-8, else the likeliest, which is said to
    be a guess. Raises InputRefused for what is no text, and as read_stdin does."""
    data = read_stdin()
    decoded = decode(data) if data else None
    if decoded is None:
        if not data:
            return ""
        raise InputRefused("What came through standard input is no text.", "Send it as UTF-8.")
    for note in decoded.notes:
        click.echo(f"Standard input: {note}", err=True)
    return decoded.text
