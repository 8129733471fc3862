"""`count`: what a corpus costs. Where that is known and nothing changed since, it is printed from what is kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from app.cli.options import CORPUS, JSON, READ_AGAIN, names_pages
from app.cli.output import Json, print_document
from app.kept_count import kept_count
from app.settings import read_settings
from app.sizes import name_of, show_usd
from engine.corpus.rules import Rules
from engine.errors import UsageError


@click.command()
@CORPUS
@READ_AGAIN
@JSON
def count(paths: Sequence[Path], exclude: tuple[str, ...], read_again: bool, as_json: bool, **flags: Any) -> None:
    """Count the tokens of files, folders, zips and PDFs, with the model's own vocabulary."""
    if not paths:
        raise UsageError("There is nothing to count.", "Name a file or folder.")
    rules = Rules(exclude=exclude, pipes=True, needs_pages=names_pages())
    kept = kept_count(paths, rules, read_settings(**flags))
    document = None if read_again else kept.find()
    if document is None:
        from app.cli.corpus import count_anew  # what counts is imported only where there is something to count

        document, survey = count_anew(paths, rules, read_again=read_again, **flags)
        kept.keep(document, survey)
    print_document(document if as_json else count_text(document))


def count_text(document: Json) -> str:
    """A table: tokens and path of every source, and what its images are called, then the sum and what was skipped."""
    sources, rule = document["sources"], document["image_rule"]
    about = "~" if document.get("estimated") else ""

    def tokens(n_tokens: int) -> str:
        return f"{f'{about}{n_tokens:,}':>12}"

    lines = [f"{tokens(source['tokens'])}  {source['path']}{_called(source['images'])}" for source in sources]
    if rule is not None and any(source["images"] for source in sources):
        lines.append(f"{'':>12}  images by {rule}")
    lines.append(f"{tokens(document['template_tokens'])}  (chat template and instruction)")
    lines.append(f"{tokens(document['total_tokens'])}  tokens in all, with {document['model']}")
    if about:
        lines.append(f"{'':>12}  ~ marks {document['estimated']}")
    if (cost := document.get("cost")) is not None:
        lines.append(f"{'':>12}  {_cost(cost)}")
    lines += [f"{'':>12}  {source['path']}: {note}" for source in sources for note in source["notes"]]
    if note := document["chat_template"]["note"]:
        lines.append(note)
    lines += document["notes"]
    if skipped := document["skipped"]:
        lines.append(f"\n{len(skipped):,} skipped:")
        lines += [f"  {one['path']}: {one['reason']}" for one in skipped]
    return "\n".join(lines)


def _cost(cost: Json) -> str:
    """What sending it costs, as the document has it; what imports costs is imported only where there is one."""
    cached = f", {show_usd(cost['input_cached'])} where the server has it in its cache"
    about = "~" if cost["estimated"] else ""
    return f"{about}{show_usd(cost['input'])} to read{cached if cost['input_cached'] < cost['input'] else ''}"


def _called(images: Sequence[Json]) -> str:
    """What a question can call a source's images, in brackets; nothing where it has none."""
    return f" ({name_of(images[0]['number'], len(images))})" if images else ""
