"""`models`: the catalogue."""

import click

from app.cli.options import NOT_BUILT
from engine.errors import UsageError


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1)
def models(arguments: tuple[str, ...]) -> None:
    """The catalogue of models."""
    raise UsageError(f"`longdesk models` {NOT_BUILT}", "Name a GGUF file with --model.")
