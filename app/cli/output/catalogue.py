"""What `models` prints."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from app.cli.output import Json, print_document
from app.models.download import Progress
from app.models.places import Placed
from app.models.verification import Verification
from app.sizes import show_bytes, show_seconds


def print_models(listed: Sequence[Placed], *, as_json: bool) -> None:
    """Prints every model of the catalogue."""
    print_document({"models": [placed_json(placed) for placed in listed]} if as_json else list_text(listed))


def print_place(placed: Placed, *, as_json: bool) -> None:
    """Prints where one model is."""
    print_document(placed_json(placed) if as_json else where_text(placed))


def print_verification(verification: Verification, *, as_json: bool) -> None:
    """Prints what came of a file's checks."""
    print_document(verification_json(verification) if as_json else verification_text(verification))


def placed_json(placed: Placed) -> Json:
    """One model: the document of `models where --json`, and an element of that of `models list --json`."""
    entry = placed.entry
    return {
        "name": entry.name,
        "model": entry.model,
        "quantization": entry.quantization,
        "path": str(placed.path) if placed.path else None,
        "repository": entry.repository or None,
        "files": list(entry.files),
        "size_bytes": entry.size_bytes,
        "size_is_published": entry.size_is_published,
        "size_source": entry.size_source,
        "released": entry.released,
        "licence": entry.licence if entry.released else None,
        "licence_url": entry.licence_url if entry.released else None,
    }


def list_text(listed: Sequence[Placed]) -> str:
    """A table: name, size, where it is. ~ stands before sizes that are not exact."""
    width = max(len(placed.entry.name) for placed in listed)
    lines = [
        f"{placed.entry.name:<{width}}  {_size(placed):>10}  {_place(placed)}{_licence(placed)}" for placed in listed
    ]
    lines.append(
        "\n~ is an estimate. `longdesk models get NAME` downloads one; `longdesk plan --model NAME` needs no download."
    )
    return "\n".join(lines)


def where_text(placed: Placed) -> str:
    """The path alone where it is on this machine, so that a script can use it; else where it is published."""
    entry = placed.entry
    if placed.path:
        return str(placed.path)
    if not entry.released:
        return f"{entry.model} was announced and never released. It can be planned only."
    files = "\n".join(f"  {file}" for file in entry.files) or f"  {entry.stem}*.gguf"
    return (
        f"{entry.name} is not on this machine.\n"
        f"{entry.model} at {entry.quantization}, {_size(placed)} ({entry.size_source})\n"
        f"https://huggingface.co/{entry.repository}\n{files}\n"
        f"{entry.licence}: {entry.licence_url}\n"
        f"`longdesk models get {entry.name}` downloads it."
    )


def verification_json(verification: Verification) -> Json:
    """The document of `models verify --json`."""
    return {
        "path": str(verification.path),
        "name": verification.entry.name if verification.entry else None,
        "passed": verification.passed,
        "checks": [
            {"check": check.name, "passed": check.passed, "detail": check.detail} for check in verification.checks
        ],
        "sha256": dict(verification.sha256),
        "chat_template": verification.template.to_json() if verification.template is not None else None,
    }


def verification_text(verification: Verification) -> str:
    """A line a check, then the digests."""
    lines = [f"{'ok    ' if check.passed else 'FAILED'}  {check.name}: {check.detail}" for check in verification.checks]
    lines += [f"{digest}  {name}" for name, digest in verification.sha256]
    return "\n".join(lines)


@contextmanager
def showing_download(placed: Placed) -> Iterator[Callable[[Progress], None]]:
    """Says what is fetched and under which licence, then how far that is, and what is kept where it is stopped."""
    entry = placed.entry
    if entry.released:
        click.echo(f"{entry.model} is under the {entry.licence}: {entry.licence_url}", err=True)
        click.echo(f"{show_bytes(entry.size_bytes)} from {entry.repository}", err=True)
    try:
        yield _show_progress
    except KeyboardInterrupt:
        click.echo("\nStopped. What was downloaded is kept; the same command goes on from there.", err=True)
        raise
    if sys.stderr.isatty():
        click.echo(err=True)


def _show_progress(progress: Progress) -> None:
    """One line on a terminal's standard error that is written over; nothing where it would fill a log."""
    if not sys.stderr.isatty():
        return
    if progress.checking:
        click.echo(f"\r{f'Checking {progress.name}':<79.79}", nl=False, err=True)
        return
    line = f"\r{progress.done_bytes / progress.total_bytes:4.0%} of {show_bytes(progress.total_bytes)}"
    fetched = progress.done_bytes - progress.resumed_bytes
    if fetched > 0 and progress.seconds:
        rate = fetched / progress.seconds
        left = show_seconds((progress.total_bytes - progress.done_bytes) / rate)
        line += f" · {show_bytes(rate)}/s · {left} left"
    click.echo(f"{line:<80.80}", nl=False, err=True)


def _size(placed: Placed) -> str:
    return ("" if placed.entry.weights_exact else "~") + show_bytes(placed.entry.size_bytes)


def _place(placed: Placed) -> str:
    if placed.path:
        return str(placed.path)
    return placed.entry.repository or "announced, not released: for planning only"


def _licence(placed: Placed) -> str:
    return f"  ({placed.entry.licence})" if placed.entry.released else ""
