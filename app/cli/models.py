"""`models`: the catalogue, what of it is on this machine, fetching it, and checking files."""

import sys

import click

from app.cli.options import JSON
from app.cli.printing import print_document
from app.models import listing
from app.models.download import Progress, fetch
from app.models.places import find_entry, find_model, gguf_files, locate, places
from app.models.verification import verify
from app.settings import Settings, read_settings
from app.sizes import show_bytes, show_seconds


@click.group()
def models() -> None:
    """The catalogue of models: list, find, download and verify them."""


@models.command("list")
@JSON
def list_models(as_json: bool) -> None:
    """Every model of the catalogue: its size, and where it is."""
    settings = read_settings()
    listed = listing.list_models(settings.home, settings.models)
    document = {"models": [listing.placed_json(placed) for placed in listed]}
    print_document(document if as_json else listing.list_text(listed))


@models.command()
@click.argument("name")
@JSON
def where(name: str, as_json: bool) -> None:
    """Where a model lies on this machine, or where it is published."""
    _print_place(_placed(name, read_settings()), as_json)


@models.command()
@click.argument("name")
@JSON
def get(name: str, as_json: bool) -> None:
    """Download a model into LONGDESK_HOME; what was interrupted goes on."""
    settings = read_settings()
    placed = _placed(name, settings)
    entry = placed.entry
    if placed.path is None:
        if entry.released:
            click.echo(f"{entry.model} is under the {entry.licence}: {entry.licence_url}", err=True)
            click.echo(f"{show_bytes(entry.size_bytes)} from {entry.repository}", err=True)
        try:
            path = fetch(entry, settings.home, _show)
            if sys.stderr.isatty():
                click.echo(err=True)
        except KeyboardInterrupt:
            click.echo("\nStopped. What was downloaded is kept; the same command goes on from there.", err=True)
            raise
        placed = listing.Placed(entry, path)
    _print_place(placed, as_json)


@models.command("verify")
@click.argument("file")
@click.option("--digest", is_flag=True, help="Read every byte and print the SHA-256 of each part.")
@JSON
def verify_file(file: str, digest: bool, as_json: bool) -> int:
    """Check a model file, or the first of its parts, without loading it."""
    settings = read_settings()
    verification = verify(find_model(file, settings), cache=settings.cache, digests=digest)
    document = listing.verification_json(verification) if as_json else listing.verification_text(verification)
    print_document(document)
    return 0 if verification.passed else 4


def _placed(name: str, settings: Settings) -> listing.Placed:
    entry = find_entry(name)
    return listing.Placed(entry, locate(entry, gguf_files(places(settings.home, settings.models))))


def _print_place(placed: listing.Placed, as_json: bool) -> None:
    print_document(listing.placed_json(placed) if as_json else listing.where_text(placed))


def _show(progress: Progress) -> None:
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
