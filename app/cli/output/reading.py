"""What `reading` prints: the grid of depth and length, and how far it is while it runs."""

import sys
from collections.abc import Iterable

import click

from app.cli.output import Json, print_document, skipped_json
from app.reach.results import Read, Reading, to_json
from app.reaching import Step
from app.sizes import show_seconds
from engine.corpus.source import Skipped

_WIDTH = 9
_KINDS = {
    "function": "function by its docstring",
    "fact": "fact in other words",
    "chain": "two steps",
    "third": "third of five alike",
    "absent": "no answer",
}


def print_reading(reading: Reading, skipped: Iterable[Skipped], *, as_json: bool) -> None:
    """Prints how far it was found to read. skipped: what of the paths that were given was not read."""
    print_document(reading_json(reading, skipped) if as_json else reading_text(reading))


def reading_json(reading: Reading, skipped: Iterable[Skipped] = ()) -> Json:
    """The document of `reading --json`."""
    return to_json(reading) | {"skipped": skipped_json(skipped)}


def reading_text(reading: Reading) -> str:
    """The same for people: right answers of all that were asked, a row a depth and a column a length."""
    what = "Longdesk's own program" if reading.own else f"{reading.corpus_sources:,} sources"
    quantization = f" {reading.quantization}" if reading.quantization else ""
    lines = [
        f"{reading.model}{quantization}, {reading.kv_type} KV, in {what} ({reading.corpus_tokens:,} tokens), "
        f"seed {reading.seed}",
        "",
        f"{'depth':>8}" + "".join(f"{read.tokens:>{_WIDTH},}" for read in reading.lengths) + "  tokens",
    ]
    lines += [f"{depth:>6} %" + "".join(_cell(read, depth) for read in reading.lengths) for depth in reading.depths]
    lines += [
        f"{'score':>8}" + "".join(f"{f'{read.score:.0%}':>{_WIDTH}}" for read in reading.lengths),
        f"{'read':>8}" + "".join(f"{read.read_tokens:>{_WIDTH},}" for read in reading.lengths) + "  tokens decoded",
        "",
    ]
    for tally in reading.tallies:
        guess = "" if tally.above_chance else "; no better than guessing"
        lines.append(
            f"  {_KINDS[tally.kind]:<26}{tally.right:>4} of {tally.asked:,} (chance {tally.chance:.0%}{guess})"
        )
    lines.append("")
    lines.append(_finding(reading))
    lines += [f"- {remark}" for remark in reading.remarks()]
    return "\n".join(lines)


def _cell(read: Read, depth: int) -> str:
    asked = read.at(depth)
    return f"{f'{sum(each.right for each in asked)}/{len(asked)}' if asked else '-':>{_WIDTH}}"


def _finding(reading: Reading) -> str:
    effective = reading.effective_tokens
    if effective is None:
        return "Effective length: cannot be said."
    more = ", the longest that was tried" if effective == reading.longest else ""
    return (
        f"Effective length: {effective:,} tokens{more}. It is the longest that keeps 85 % of the score at the shortest."
    )


def show_step(step: Step) -> None:
    """One line on a terminal's standard error that is written over; nothing where it would fill a log."""
    if not sys.stderr.isatty():
        return
    if step.doing == "loading":
        line = f"Loading the model {step.done:4.0%}"
    elif step.doing == "reading":
        line = f"{step.tokens:,} tokens: reading {step.done / max(1, step.total):4.0%}"
    else:
        line = f"{step.tokens:,} tokens: {step.done:.0f} of {step.total:.0f} questions"
    if step.left_s is not None:
        line += f" · {show_seconds(step.left_s)} left in all"
    is_last = step.doing == "asking" and step.done == step.total
    click.echo(f"\r{line:<72}" + ("\r" + " " * 72 + "\r" if is_last else ""), nl=False, err=True)
