"""`snapshots`: the KV states on disk, listed, verified and pruned."""

from datetime import timedelta

import click

from app.cli.desk import open_desk
from app.cli.options import JSON, Bytes
from app.cli.output.caches import print_kept, print_pruned, print_pruned_notes, print_verified, showing_progress


@click.group()
def snapshots() -> None:
    """The KV caches kept on disk: list, verify and prune them."""


@snapshots.command("list")
@JSON
def list_snapshots(as_json: bool) -> None:
    """What is kept, what was used last first."""
    with open_desk() as desk:
        saved = desk.saved
        saved.sweep()
        print_kept(saved.kept(), as_json=as_json)


@snapshots.command()
@JSON
def verify(as_json: bool) -> int:
    """Read every file to its end; remove those that are broken."""
    with open_desk() as desk:
        saved = desk.saved
        saved.sweep()
        verified = tuple(showing_progress(saved.verify(), n_all=len(saved.kept().snapshots)))
        print_verified(verified, as_json=as_json)
    return 4 if any(each.problem for each in verified) else 0


@snapshots.command()
@click.option("--older-than", "days", type=click.FloatRange(0, 36_500), metavar="DAYS", help="What was not used since.")
@click.option("--to", "to_bytes", type=Bytes(), help="What was not used for longest, until so much is left.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--notes", "of_notes", is_flag=True, help="The notes of passes and summaries, in place of KV caches.")
@JSON
def prune(days: float | None, to_bytes: int | None, everything: bool, of_notes: bool, as_json: bool) -> None:
    """Remove kept KV caches; without an option, down to the budget. Sessions stay: they are read again when asked."""
    with open_desk() as desk:
        if of_notes:
            to_bytes = 0 if everything else desk.settings.notes_budget if (days, to_bytes) == (None, None) else to_bytes
            gone = desk.prune_notes(older_than=None if days is None else timedelta(days=days), to_bytes=to_bytes)
            print_pruned_notes(gone, as_json=as_json)
            return
        saved = desk.saved
        if everything:
            to_bytes = 0
        elif to_bytes is None and days is None:
            to_bytes = saved.budget_bytes()
        evicted = saved.prune(older_than=None if days is None else timedelta(days=days), to_bytes=to_bytes)
        print_pruned(evicted, saved.kept(), as_json=as_json)
