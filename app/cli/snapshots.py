"""`snapshots`: the KV states on disk, listed, verified and pruned."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click

from app.cli.options import JSON
from app.cli.printing import print_document
from app.documents.json import Json
from app.kv.disk import Kept, Tier, Verified, model_words, session_words
from app.settings import read_settings
from app.sizes import parse_bytes, show_bytes
from storage.snapshots import Snapshot
from storage.store import Store


class Bytes(click.ParamType[int]):
    """A size: 500M, 20G, 0."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, context)


@click.group()
def snapshots() -> None:
    """The KV caches kept on disk: list, verify and prune them."""


@snapshots.command("list")
@JSON
def list_snapshots(as_json: bool) -> None:
    """What is kept, what was used last first."""
    with _open_tier() as tier:
        tier.sweep()
        kept = tier.kept()
        print_document(list_json(kept) if as_json else list_text(kept))


@snapshots.command()
@JSON
def verify(as_json: bool) -> int:
    """Read every file to its end; remove those that are broken."""
    with _open_tier() as tier:
        tier.sweep()
        verified = tuple(_told(tier.verify(), n_all=len(tier.kept().snapshots)))
        print_document(verified_json(verified) if as_json else verified_text(verified))
    return 4 if any(each.problem for each in verified) else 0


@snapshots.command()
@click.option("--older-than", "days", type=click.FloatRange(0, 36_500), metavar="DAYS", help="What was not used since.")
@click.option("--to", "to_bytes", type=Bytes(), help="What was not used for longest, until so much is left.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@JSON
def prune(days: float | None, to_bytes: int | None, everything: bool, as_json: bool) -> None:
    """Remove kept KV caches; without an option, down to the budget. Sessions stay: they are read again when asked."""
    with _open_tier() as tier:
        if everything:
            to_bytes = 0
        elif to_bytes is None and days is None:
            to_bytes = tier.budget_bytes()
        evicted = tier.prune(older_than=None if days is None else timedelta(days=days), to_bytes=to_bytes)
        left = tier.kept()
        print_document(pruned_json(evicted, left) if as_json else pruned_text(evicted, left))


@contextmanager
def _open_tier() -> Iterator[Tier]:
    """Without a Desk: no model is looked at."""
    settings = read_settings()
    with Store(settings.home) as store:
        yield Tier(settings, store.snapshots)


def _told(verified: Iterator[Verified], n_all: int) -> Iterator[Verified]:
    """Passes on, with one line on a terminal's standard error that is written over."""
    is_seen = sys.stderr.isatty()
    for number, each in enumerate(verified, 1):
        if is_seen:
            click.echo(f"\r{f'Checked {number:,} of {n_all:,}':<79}\r", nl=False, err=True)
        yield each


def list_json(kept: Kept) -> Json:
    """The document of `snapshots list --json`."""
    return {
        "budget_bytes": kept.budget_bytes,
        "total_bytes": kept.total_bytes,
        "snapshots": [snapshot_json(snapshot) for snapshot in reversed(kept.snapshots)],
    }


def list_text(kept: Kept) -> str:
    """A table, then the sum."""
    lines = [
        f"{snapshot.n_tokens:>12,} tokens  {show_bytes(snapshot.n_bytes):>10}  {snapshot.last_used}  "
        f"{snapshot.kv_type:<5}  {model_words(snapshot)}  {session_words(snapshot)}"
        for snapshot in reversed(kept.snapshots)
    ]
    n_kept = len(kept.snapshots)
    total, budget = show_bytes(kept.total_bytes), show_bytes(kept.budget_bytes)
    return "\n".join([*lines, f"{_count(n_kept)}: {total} of {budget}."])


def snapshot_json(snapshot: Snapshot) -> Json:
    """One state, as `list` and `prune` have it."""
    return {
        "path": str(snapshot.path),
        "tokens": snapshot.n_tokens,
        "bytes": snapshot.n_bytes,
        "model": snapshot.model_name or None,
        "model_digest": snapshot.model,
        "kv_type": snapshot.kv_type,
        "created": snapshot.created,
        "last_used": snapshot.last_used,
        "sessions": [
            {"id": session_id, "title": title}
            for session_id, title in zip(snapshot.session_ids, snapshot.titles, strict=True)
        ],
    }


def verified_json(verified: Sequence[Verified]) -> Json:
    """The document of `snapshots verify --json`."""
    return {
        "checked": len(verified),
        "checked_bytes": sum(each.snapshot.n_bytes for each in verified),
        "broken": [{**snapshot_json(each.snapshot), "reason": each.problem} for each in verified if each.problem],
    }


def verified_text(verified: Sequence[Verified]) -> str:
    """Those that are broken and why, then the sum."""
    broken = [each for each in verified if each.problem]
    lines = [f"{each.snapshot.path}: {each.problem}; removed." for each in broken]
    return "\n".join([*lines, f"{_count(len(verified))} checked, {len(broken):,} broken."])


def pruned_json(evicted: Sequence[Snapshot], left: Kept) -> Json:
    """The document of `snapshots prune --json`."""
    return {
        "removed": [snapshot_json(snapshot) for snapshot in evicted],
        "removed_bytes": sum(snapshot.n_bytes for snapshot in evicted),
        "total_bytes": left.total_bytes,
    }


def pruned_text(evicted: Sequence[Snapshot], left: Kept) -> str:
    """What went and what is left."""
    freed = show_bytes(sum(snapshot.n_bytes for snapshot in evicted))
    return f"Removed {_count(len(evicted))}: {freed}. {show_bytes(left.total_bytes)} are left."


def _count(number: int) -> str:
    return f"{number:,} kept KV cache{'' if number == 1 else 's'}"
