"""What `summarize` prints: progress on standard error, and what was written, or is stale, as its document."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event as Flag

import click

from app.cli.output import print_document
from app.passes.summary.as_markdown import figures
from app.passes.summary.document import Page, Summary, stale_sentence
from app.passes.summary.steps import Planned, Step, Summarized, SummaryEvent
from app.question import Notice, Waiting
from engine.backend import Loading, Prefill
from engine.corpus.wording import counted, printable

_DOING = {"plan": "planning", "read": "reading", "write": "writing"}
_WIDTH = 78


def print_progress(events: Iterator[SummaryEvent], begun: Flag) -> Summary | None:
    """Prints what is heard, a line for each step; the summary, None where it was stopped. begun: set once it runs."""
    summary, step = None, None
    for event in events:
        if isinstance(event, Planned):
            begun.set()
            click.echo(_plan_line(event), err=True)
        elif isinstance(event, Step):
            step = None if event.is_over else event
            if event.is_over:
                _write_over("")
                click.echo(_step_line(event), err=True)
            else:
                _write_over(_step_line(event))
        elif isinstance(event, Notice):
            click.echo(event.text, err=True)
        elif isinstance(event, Waiting):
            others = (
                "Another question has the engine" if event.before == 1 else f"{event.before:,} questions come first"
            )
            click.echo(f"{others}: waiting.", err=True)
        elif isinstance(event, Loading):
            _write_over(f"Loading the model {event.share:4.0%}")
        elif isinstance(event, Prefill) and step is not None:
            _write_over(f"{_step_line(step)} {event.done / event.total:.0%}")
        elif isinstance(event, Summarized):
            summary = event.summary
    return summary


def _plan_line(planned: Planned) -> str:
    return (
        f"Reading {counted(planned.n_sources, 'source')} in {counted(planned.n_parts, 'part')} and "
        f"{counted(len(planned.tokens), 'pass', 'passes')} of at most {planned.room:,} tokens: "
        f"{counted(planned.n_tokens, 'token')}"
    )


def _step_line(step: Step) -> str:
    line = f"{step.number:,} of {step.n_steps:,} · {_DOING[step.doing]} {printable(step.title)}"
    if step.is_over and step.doing != "plan":
        line += f": {counted(step.n_said, 'line')}" + (f", {step.n_shown:,} shown by words" if step.n_said else "")
    if step.kept:
        line += ", kept from before"
    return line + step.left


def _write_over(line: str) -> None:
    """On a terminal, a line that the next one takes the place of."""
    if sys.stderr.isatty():
        click.echo(f"\r{line[:_WIDTH]:<{_WIDTH}}" + ("" if line else "\r"), nl=False, err=True)


def print_summary(
    summary: Summary, earlier: Summary | None, out: Path, written: Sequence[Path], *, as_json: bool
) -> None:
    if as_json:
        files = [path.relative_to(out).as_posix() for path in written]
        print_document({**summary.to_json(), "out": str(out), "files": files})
        return
    lines = [f"{out / 'index.md'}", f"{out / 'summary.html'}"]
    lines += [f"  {_state(page, earlier):<14} {printable(page.name)}" for page in summary.pages]
    lines += [f"  {'':<14} {page.title}: {page.why_not}" for page in summary.pages if not page.is_published]
    print_document("\n".join([*lines, *figures(summary)]))


def _state(page: Page, earlier: Summary | None) -> str:
    if not page.is_published:
        return "not published"
    if not page.redone:
        return "kept"
    return "redone" if earlier is not None and earlier.page(page.name) is not None else "written"


def print_checked(summary: Summary, stale: Mapping[str, Sequence[str]], *, as_json: bool) -> None:
    """Which pages are not of the sources as they are now."""
    if as_json:
        pages = [{"page": name, "changed": list(changed)} for name, changed in stale.items()]
        print_document({"pages": len(summary.pages), "stale": pages})
        return
    lines = [f"{printable(name)}: {printable(stale_sentence(changed))}" for name, changed in stale.items()]
    n_fresh = len(summary.pages) - len(stale)
    print_document("\n".join([*lines, f"{counted(len(stale), 'page')} stale, {n_fresh:,} up to date."]))
