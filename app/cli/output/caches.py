"""What `snapshots` prints."""

import sys
from collections.abc import Iterator, Sequence

import click

from app.cli.output import Json, print_document
from app.kv.disk import Kept, Verified, model_words, session_words
from app.sizes import show_bytes
from engine.corpus.wording import counted
from storage.notes import Pruned
from storage.records import Snapshot


def print_kept(kept: Kept, *, as_json: bool) -> None:
    """Prints what is kept."""
    print_document(list_json(kept) if as_json else list_text(kept))


def print_verified(verified: Sequence[Verified], *, as_json: bool) -> None:
    """Prints what came of reading every file."""
    print_document(verified_json(verified) if as_json else verified_text(verified))


def print_pruned(evicted: Sequence[Snapshot], left: Kept, *, as_json: bool) -> None:
    """Prints what went and what is left."""
    print_document(pruned_json(evicted, left) if as_json else pruned_text(evicted, left))


def print_pruned_notes(gone: Pruned, *, as_json: bool) -> None:
    """Prints what of the notes went and what is left."""
    text = (
        f"Removed {counted(gone.n_notes, 'note')}: {show_bytes(gone.n_bytes)}. {show_bytes(gone.left_bytes)} are left."
    )
    print_document(pruned_notes_json(gone) if as_json else text)


def pruned_notes_json(gone: Pruned) -> Json:
    """The document of `snapshots prune --notes --json`."""
    return {"removed_notes": gone.n_notes, "removed_bytes": gone.n_bytes, "total_bytes": gone.left_bytes}


def showing_progress(verified: Iterator[Verified], n_all: int) -> Iterator[Verified]:
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
        "date": snapshot.date or None,
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
    return counted(number, "kept KV cache")
