"""`snapshots`: the KV states on disk."""

import click

from app.cli.options import NOT_BUILT
from engine.errors import UsageError


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1)
def snapshots(arguments: tuple[str, ...]) -> None:
    """The KV caches on disk."""
    raise UsageError(f"`longdesk snapshots` {NOT_BUILT}", "KV states are kept under snapshots in LONGDESK_HOME.")
