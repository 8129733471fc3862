"""What `ask` prints: its events as they come, progress, what was skipped, and a turn as a session shows it too."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Event as Flag
from time import monotonic
from typing import Any

import click

from app.answers.cited import quotes_line
from app.cli.output import Json, json_line, skipped_json
from app.cli.terminal import harmless
from app.costs import cost_words, session_cost, total_words
from app.passes.given import read_line
from app.passes.progress import InPasses
from app.question import Answered, Begun, Cited, DeskEvent, Notice, Passes, Passing
from app.session_settings import asked_with
from app.sizes import show_seconds
from engine.answer.citations import Citation, Status
from engine.backend import Checking, Gauge, Loading, Prefill, Skipped, Text, Thinking
from engine.corpus.wording import counted, printable
from storage.records import Turn

_NAMED = 5  # files that get a sentence of their own
_WAS_THOUGHT = "What stands above was a thought: its end came, and its beginning never did. The answer:"
_STATEMENT, _QUOTE = 48, 160  # characters of each that are printed


def print_answer(
    events: Iterator[DeskEvent], begun: Flag, *, as_json: bool, skipped: Sequence[Skipped] = ()
) -> Answered | None:
    """Prints events as they come: JSON lines, or the text with the progress on standard error.

    begun: set once the turn stands in the store. skipped: what of the paths that were given is not sent, for the JSON,
    whose last line waits for all that shows the answer. None where the question was given up before it began.
    """
    answered, cited, reading, last_read, spoken = None, None, None, None, Spoken()
    for event in events:
        last_read = event if isinstance(event, Prefill) else last_read
        reading = _reading(reading, event)
        if isinstance(event, Begun):
            begun.set()
            if event.cost is not None and not as_json:
                click.echo(f"{cost_words(event.cost)}.", err=True)
            if not as_json:
                spoken.begin(event.turn.text)
            elif event.turn.text:
                click.echo(json_line({"event": "text", "text": event.turn.text}))
        if isinstance(event, Cited) and answered is not None:
            if not as_json:
                print_citations(event.turn, since=cited)
            answered, cited = replace(answered, turn=event.turn), event
        elif isinstance(event, Answered):
            answered = event
            if not as_json:
                spoken.end()
                click.echo()
                click.echo(_receipt(event), err=True)
            continue
        elif as_json and (line := event_json(event, skipped)) is not None:
            click.echo(json_line(line))
        elif isinstance(event, Text):
            spoken.add(event)
        elif isinstance(event, Thinking) and event.takes_text:
            spoken.take_back()
        _show_progress(event, as_json, reading)
    if cited is not None and cited.n_done:
        click.echo(_cost(cited), err=True)
    if as_json and answered is not None:
        if last_read is not None and (read := _as_counted(last_read, answered)) is not None:
            click.echo(json_line(event_json(read)))
        click.echo(json_line(event_json(answered, skipped)))
    return answered


def _as_counted(last: Prefill, answered: Answered) -> Prefill | None:
    """How far the prompt was read by what the server counts after all; None where that was expected of it."""
    turn = answered.turn
    told = ((turn.receipt or {}).get("server") or {}).get("prompt_tokens")
    if not told or told == last.total or last.done < last.total or told != turn.prompt_tokens:
        return None
    return replace(last, done=told, total=told, reused=min(turn.reused_tokens or 0, told - 1))


def print_citations(turn: Turn, *, since: Answered | None = None) -> None:
    """A line for each citation of an answer: the beginning of its statement, and the words that show it with their
    place. since: of that on no line is printed."""
    n_printed = len(since.turn.citations or ()) if since is not None else 0
    for citation in (turn.citations or ())[n_printed:]:
        start, end = citation.statement
        click.echo(f"{_short(turn.text[start:end], _STATEMENT)}: {citation_text(citation)}")


def citation_text(citation: Citation) -> str:
    """What became of a quote, and where; for people."""
    quote = f'"{_short(citation.quote, _QUOTE)}"'
    if citation.status is Status.VERIFIED:
        return f"{quote} ({_place(citation)})"
    if citation.status is Status.ALTERED:
        return f"{quote} stands nowhere in these words; see {_place(citation)}"
    if citation.image is not None:
        where = f", page {citation.page}" if citation.page is not None else ""
        return f"see image {citation.image} ({printable(citation.path or '')}{where})"
    return f"{quote} stands in none of the sources" if citation.quote else "no words found that show this"


def _place(citation: Citation) -> str:
    first, last = citation.lines or (0, 0)
    lines = "" if citation.lines is None else f":{first}" if first == last else f":{first}-{last}"
    page = f", page {citation.page}" if citation.page is not None else ""
    cell = f", cell {citation.cell}" if citation.cell is not None else ""
    more = f", and in {counted(citation.places - 1, 'more place')}" if citation.places > 1 else ""
    return f"{printable(citation.path or '')}{lines}{page}{cell}{more}"


def _short(text: str, width: int) -> str:
    words = printable(" ".join(text.split()))
    return words if len(words) <= width else words[: width - 1].rstrip() + "\u2026"


def _cost(cited: Cited) -> str:
    found = sum(each.held and each.status is not Status.MISSING for each in cited.turn.citations or ())
    return f"words found for {found:,} of {counted(cited.n_done, 'statement')} · {counted(cited.n_tokens, 'token')}"


def _reading(before: InPasses | None, event: DeskEvent) -> InPasses | None:
    """How far reading in passes has come, where that is how the sources are read."""
    if isinstance(event, Passing) and before is not None:
        return before.after(event, monotonic())
    return InPasses(plan=event) if isinstance(event, Passes) else before


def _show_progress(event: DeskEvent, as_json: bool, reading: InPasses | None) -> None:
    """One line on a terminal's standard error that is written over; nothing where it would fill a log."""
    if isinstance(event, Notice):
        click.echo(event.text, err=True)
    if isinstance(event, Passes | Passing) and (line := _pass_line(event)):
        click.echo(line, err=True)
    if as_json or not sys.stderr.isatty():
        return
    if isinstance(event, Checking):
        show_checking(event.share)
    elif isinstance(event, Loading):
        click.echo(f"\r{f'Loading the model {event.share:4.0%}':<60}", nl=False, err=True)
    elif isinstance(event, Thinking):
        line = f"Thinking · {counted(event.n_tokens, 'token')}" if event.text else ""  # marks alone: it has ended
        click.echo(f"\r{line:<60}\r", nl=False, err=True)
    elif isinstance(event, Prefill):
        click.echo(f"\r{_prefill_line(event, reading):<60}", nl=False, err=True)
        if event.done == event.total:
            click.echo("\r" + " " * 60 + "\r", nl=False, err=True)


def _prefill_line(event: Prefill, reading: InPasses | None) -> str:
    """ "Reading 42% · 60 tok/s · 31 s left"; of passes the one that runs, and how long all that are left take."""
    done, fresh = event.done - event.reused, event.total - event.reused
    if event.untold and event.done < event.total:
        return f"Reading {event.total:,} tokens · {show_seconds(event.seconds)} · the server does not say how far"
    line = f"Reading {event.done / event.total:4.0%}"
    left = (fresh - done) * event.seconds / done if done and event.seconds else None
    if reading is not None and (running := reading.running) is not None:
        line = f"{'Notes' if running.merging else 'Pass'} {running.number:,} of {running.n_passes:,} · {line}"
        left = reading.left_s(event, monotonic()) if not running.merging else left
    if done and event.seconds:
        line += f" · {done / event.seconds:,.0f} tok/s"
    return line if left is None else f"{line} · {show_seconds(left)} left"


def _pass_line(event: Passes | Passing) -> str:
    """What is read in passes, and what a pass gave; '' where it only begins."""
    if isinstance(event, Passes):
        time = f", about {show_seconds(event.seconds)}" if event.seconds is not None else ""
        return (
            f"Reading {counted(event.n_sources, 'source')} in {counted(len(event.tokens), 'pass', 'passes')}: "
            f"{counted(sum(event.tokens), 'token')}{time}"
        )
    if event.note is None:
        return ""
    of, shown = "Notes" if event.merging else "Pass", f", {event.n_shown:,} shown by words" if event.n_shown else ""
    kept = f" · {counted(event.n_read, 'token')} read, {event.n_reused:,} from cache"
    if event.kept:
        kept = ", kept from before"
    return (
        f"{of} {event.number:,} of {event.n_passes:,} · {printable(event.title)}: "
        f"{counted(event.n_facts, 'fact')}{shown}{kept}"
    )


def show_checking(share: float) -> None:
    """A model file of many GiB is read: on a terminal, how far that is."""
    if sys.stderr.isatty():
        click.echo(f"\r{f'Checking the model file, once: {share:4.0%}':<60}", nl=False, err=True)


def _receipt(answered: Answered) -> str:
    turn = answered.turn
    line = quotes_line(turn.receipt) if turn.text else ""
    in_passes = turn.receipt is not None and turn.receipt.get("passes") is not None
    how = read_line(turn.receipt) if in_passes else ""
    read = f"{how[:1].upper()}{how[1:]}.\n" if how else ""
    cost = session_cost((turn,)) if (turn.receipt or {}).get("cost") else None
    return read + (
        f"session {turn.session_id} · {counted(turn.prompt_tokens or 0, 'token')} sent, "
        f"{turn.reused_tokens or 0:,} of them from cache · {turn.reply_tokens or 0:,} in the reply · "
        f"{thought_words(turn)}first text after {turn.ttft_s or 0:.1f} s{line and ' · ' + line}"
        f"{' · ' + total_words(cost) if cost else ''}"
    )


def thought_words(turn: Turn) -> str:
    """What a turn has thought before its answer, and what was kept for that, in the line under it."""
    if turn.thought is None or not turn.thought.text:
        return ""
    kept = turn.thinking_kept
    return f"{counted(turn.thought.n_tokens, 'token')} thought{f', {kept:,} kept for that' if kept else ''} · "


def tell_skipped(skipped: Sequence[Skipped], refused: Sequence[Skipped]) -> None:
    """A sentence for each that was given itself, as long as they are few, and how many others there are."""
    for one in refused[:_NAMED]:
        click.echo(f"{one.path} was skipped: {one.reason}.", err=True)
    if rest := len(skipped) - len(refused[:_NAMED]):
        files = counted(rest, "more file" if refused else "file")
        click.echo(f"{files} skipped; `longdesk count` says why.", err=True)


def event_json(event: DeskEvent, skipped: Sequence[Skipped] = ()) -> Json | None:
    """One line of `ask --json`; None for events that the contract does not show.

    skipped: what of the paths that were given is not sent.
    """
    match event:
        case Begun():
            return None if event.cost is None else {"event": "cost", **event.cost.to_json()}
        case Prefill():
            return {
                "event": "prefill",
                "done": event.done,
                "total": event.total,
                "reused": event.reused,
                "encoded": event.encoded,
                **_kv_json(event.gauge),
            }
        case Passes():
            slices = [{"title": title, "tokens": n} for title, n in zip(event.titles, event.tokens, strict=True)]
            return {"event": "passes", "slices": slices, "sources": event.n_sources, "seconds": event.seconds}
        case Passing():
            return {
                "event": "pass",
                "number": event.number,
                "of": event.n_passes,
                "merging": event.merging,
                "title": event.title,
                "prompt_tokens": event.n_tokens,
                "note": event.note,
                "facts": event.n_facts,
                "shown": event.n_shown,
                "kept": event.kept,
                "read_tokens": event.n_read,
                "reused_tokens": event.n_reused,
            }
        case Thinking():
            taken = {"takes_text": True} if event.takes_text else {}
            return {"event": "thinking", "text": event.text, **taken} if event.text else None
        case Text():
            return {"event": "text", "text": event.text}
        case Answered():
            turn = event.turn
            return {
                "event": "answer",
                "session": turn.session_id,
                **turn_json(turn, "question", "created"),
                "encoded": event.encoded,
                "skipped": skipped_json(skipped),
                **_kv_json(event.gauge),
            }
    return None


def _kv_json(gauge: Gauge | None) -> Json:
    """The KV cache: cells used of cells there, its bytes, and where they lie."""
    if gauge is None:
        return {}
    return {"kv": {"used": gauge.used, "cells": gauge.cells, "bytes": gauge.n_bytes, "places": dict(gauge.places)}}


def turn_json(turn: Turn, *without: str) -> Json:
    """A turn's question, text and figures, but for what is named."""
    fields: Mapping[str, Any] = {
        "index": turn.index,
        "created": turn.created,
        "question": turn.question,
        "text": turn.text,
        "thinking": turn.thought.text or None if turn.thought is not None else None,
        "thinking_tokens": turn.thought.n_tokens if turn.thought is not None else 0,
        "thinking_kept": turn.thinking_kept,
        "thinking_s": turn.thought.seconds if turn.thought is not None and turn.thought.text else None,
        "stop": turn.stop,
        "error": turn.error,
        "prompt_tokens": turn.prompt_tokens or 0,
        "reused_tokens": turn.reused_tokens or 0,
        "reply_tokens": turn.reply_tokens or 0,
        "read_s": turn.read_s,
        "load_s": turn.load_s,
        "prefill_s": turn.prefill_s,
        "ttft_s": turn.ttft_s,
        "citations": None if turn.citations is None else [citation.to_json() for citation in turn.citations],
        "receipt": turn.receipt,
        "template": turn.settings.get("template"),
        "cost": (turn.receipt or {}).get("cost"),
        "chat_template": used.to_json() if (used := asked_with(turn).chat_template) else None,
    }
    return {name: value for name, value in fields.items() if name not in without}


class Spoken:
    """An answer's text on standard output, as it comes. What may turn out to be a thought is shown on a terminal all
    the same, and said to have been one if it was; for a file or another program, it waits until that is known."""

    def __init__(self) -> None:
        self._waits, self._has_said = "", False
        self._is_seen = sys.stdout.isatty()

    def begin(self, text: str) -> None:
        """What a reply that goes on says already, so that all of it is printed."""
        self._say(text, waits=not self._is_seen)

    def add(self, event: Text) -> None:
        """The next piece of the answer."""
        self._say(event.text, waits=event.may_be_thought and not self._is_seen)

    def take_back(self) -> None:
        """What came so far was a thought."""
        self._waits = ""
        if self._has_said:
            self._has_said = False
            click.echo()
            click.echo(_WAS_THOUGHT, err=True)

    def end(self) -> None:
        """No more comes: what waits is the answer's."""
        self._say("", waits=False)

    def _say(self, text: str, *, waits: bool) -> None:
        self._waits += text
        if self._waits and not waits:
            click.echo(harmless(self._waits), nl=False, color=True)
            self._waits, self._has_said = "", True
