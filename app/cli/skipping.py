"""What of the paths that a command was given is skipped, as `ask` says it on standard error."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from engine.corpus.source import Skipped
from engine.corpus.wording import printable

_NAMED = 5  # files that get a sentence of their own


def named_by_hand(skipped: Sequence[Skipped], paths: Sequence[Path]) -> tuple[Skipped, ...]:
    """Those that were given themselves, not found in a folder or a zip; what is called alike there counts as such."""
    names = {name for path in paths for name in _names(path)}
    return tuple(one for one in skipped if one.path in names)


def tell_skipped(skipped: Sequence[Skipped], refused: Sequence[Skipped]) -> None:
    """A sentence for each that was given itself, as long as they are few, and how many others there are."""
    for one in refused[:_NAMED]:
        click.echo(f"{one.path} was skipped: {one.reason}.", err=True)
    if rest := len(skipped) - len(refused[:_NAMED]):
        more = " more" if refused else ""
        click.echo(f"{rest:,}{more} file{'' if rest == 1 else 's'} skipped; `longdesk count` says why.", err=True)


def _names(path: Path) -> tuple[str, str]:
    """The paths by which a file that is given itself goes: its name, below its folder's where that is taken."""
    given = Path(os.path.abspath(path))
    name = printable(given.name)
    return name, f"{printable(given.parent.name or 'root')}/{name}"
