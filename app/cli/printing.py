"""What a command prints: documents, an answer as it comes, progress, and the line that says what was sent."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from threading import Event as Flag

import click

from app import documents
from app.cli.signals import cancelling
from app.desk import Desk
from app.question import Answered, Begun, DeskEvent, Notice, Question
from app.sizes import show_seconds
from engine.corpus.source import Skipped
from engine.errors import Cancelled
from engine.runtime.events import Checking, Loading, Prefill, Text


def print_document(document: documents.Json | str) -> None:
    click.echo(document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, indent=2))


def answer(desk: Desk, question: Question, as_json: bool, *, skipped: Sequence[Skipped] = ()) -> Answered:
    """Asks and prints. Until the turn has begun a signal ends the command; then it stops the answer, which is kept.

    skipped: what of the paths that were given is not sent, for the JSON.
    """
    cancel, begun = Flag(), Flag()
    with cancelling(cancel, begun), closing(desk.ask(question, cancel=cancel)) as events:
        return _stream(events, begun, as_json, skipped)


def _stream(events: Iterator[DeskEvent], begun: Flag, as_json: bool, skipped: Sequence[Skipped]) -> Answered:
    """Prints events as they come: JSON lines, or the text with the progress on standard error."""
    for event in events:
        if isinstance(event, Begun):
            begun.set()
        if as_json and (line := documents.event_json(event, skipped)) is not None:
            click.echo(json.dumps(line, ensure_ascii=False))
        elif isinstance(event, Text):
            click.echo(event.text, nl=False)
        else:
            _show_progress(event, as_json)
        if isinstance(event, Answered):
            if not as_json:
                click.echo()
                click.echo(_receipt(event), err=True)
            return event
    raise Cancelled("The question was cancelled before it began.")


def _show_progress(event: DeskEvent, as_json: bool) -> None:
    """One line on a terminal's standard error that is written over; nothing where it would fill a log."""
    if isinstance(event, Notice):
        click.echo(event.text, err=True)
    if as_json or not sys.stderr.isatty():
        return
    if isinstance(event, Checking):
        show_checking(event.share)
    elif isinstance(event, Loading):
        click.echo(f"\r{f'Loading the model {event.share:4.0%}':<60}", nl=False, err=True)
    elif isinstance(event, Prefill):
        done, fresh = event.done - event.reused, event.total - event.reused
        line = f"\rReading {event.done / event.total:4.0%}"
        if done and event.seconds:
            rate = done / event.seconds
            line += f" · {rate:,.0f} tok/s · {show_seconds((fresh - done) / rate)} left"
        click.echo(f"{line:<60}" + ("\r" + " " * 60 + "\r" if event.done == event.total else ""), nl=False, err=True)


def show_checking(share: float) -> None:
    """A model file of many GiB is read: on a terminal, how far that is."""
    if sys.stderr.isatty():
        click.echo(f"\r{f'Checking the model file, once: {share:4.0%}':<60}", nl=False, err=True)


def _receipt(answered: Answered) -> str:
    turn = answered.turn
    return (
        f"session {turn.session_id} · {turn.prompt_tokens or 0:,} tokens sent, {turn.reused_tokens or 0:,} of them "
        f"from cache · {turn.reply_tokens or 0:,} in the reply · first text after {turn.ttft_s or 0:.1f} s"
    )
