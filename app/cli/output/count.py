"""What comes of counting: on a terminal's standard error how far reading a corpus is, then the document of
`count --json`, which says all that `count` can print."""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

import click

from app.cli.output import Json, skipped_json
from app.counting import Count
from app.reading import Doing, Progress
from app.sizes import show_bytes, show_seconds
from app.sources.listing import notes_on
from engine.backend import Cost, Document
from engine.corpus.wording import counted

_EVERY_S = 0.1
_FIRST_S = 0.5  # what is read sooner needs no line


def count_json(count: Count, cost: Cost | None = None) -> Json:
    """Reads the same from JSON as it was before."""
    return {
        "model": count.model,
        "total_tokens": count.total_tokens,
        "template_tokens": count.template_tokens,
        "image_rule": count.image_rule,
        "estimated": count.how_counted or None,
        "sources": [
            {
                "path": source.path,
                "folder": source.folder,
                "kind": source.kind,
                "tokens": document.n_tokens,
                "bytes": source.n_bytes,
                "pages": source.n_pages,
                "tiles": _tiles(document),
                "images": [
                    {
                        "number": shown.number,
                        "page": shown.view.number if source.n_pages else None,
                        "width": shown.view.width,
                        "height": shown.view.height,
                        "tiles": shown.view.tiles,
                        "tokens": shown.view.n_tokens,
                    }
                    for shown in document.shown
                ],
                "reader": source.reader,
                "encoding": source.encoding,
                "notes": [*notes_on(source, sees=count.sees), *_unrepresentable(document.unrepresentable)],
            }
            for source, document in zip(count.sources, count.documents, strict=True)
        ],
        "skipped": skipped_json(count.skipped),
        "cost": cost and cost.to_json(),
        "chat_template": count.template.to_json(),
        "notes": list(count.notes),
    }


def _tiles(document: Document) -> list[int] | None:
    """Columns and rows of an image's tiles; None for what has none, or several images."""
    if len(document.shown) != 1 or (tiles := document.shown[0].view.tiles) is None:
        return None
    return list(tiles)


def _unrepresentable(characters: Mapping[str, int]) -> list[str]:
    """What a vocabulary has no token for, as a sentence."""
    if not characters:
        return []
    shown = ", ".join(f"U+{ord(character):04X} ({n:,})" for character, n in sorted(characters.items())[:6])
    return [f"characters this vocabulary has no token for were left out: {shown}"]


@contextmanager
def show_reading() -> Iterator[Callable[[Progress], None] | None]:
    """What to tell of each file: one line that is written over, and gone at the end; None where it would fill a log."""
    if not sys.stderr.isatty():
        yield None
        return
    shown_at = 0.0

    def tell(progress: Progress) -> None:
        nonlocal shown_at
        if progress.seconds >= _FIRST_S and monotonic() - shown_at >= _EVERY_S:
            shown_at = monotonic()
            _write_over(line_of(progress))

    try:
        yield tell
    finally:
        if shown_at:
            _write_over("")
            click.echo("\r", nl=False, err=True)


def line_of(progress: Progress) -> str:
    """ "Reading 1,204 of 4,100 files · 12.3 MiB · 40.1 MiB/s · 3 s left · src/core.py"."""
    left_s = progress.left_s or 0.0
    left = f" · {show_seconds(left_s)} left" if left_s >= 1 else ""
    if progress.doing is Doing.FINDING:
        return f"Looking for files · {progress.n_files:,} found · {progress.path}"
    files = (
        f"{progress.n_files:,} of {counted(progress.n_total, 'file')}"
        if progress.n_total
        else counted(progress.n_files, "file")
    )
    if progress.doing is Doing.COUNTING:
        return f"Counting tokens · {files}{left}"
    read, rate = show_bytes(progress.n_bytes), show_bytes(progress.bytes_per_s)
    return f"Reading {files} · {read} · {rate}/s{left} · {progress.path}"


def _write_over(line: str) -> None:
    width = shutil.get_terminal_size().columns - 1
    click.echo(f"\r{line[:width]:<{width}}", nl=False, err=True)
