"""All that the command line prints: the JSON documents of its contract, the same for people to read, and progress.

A noun a module; what several of them need is here. The document goes to standard output, all else to standard error.
"""

import json
from collections.abc import Iterable
from typing import Any

import click

from engine.corpus.source import Skipped

Json = dict[str, Any]


def print_document(document: Json | str) -> None:
    """Prints what a command was asked for: a document as JSON, or its text."""
    shown = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, indent=2)
    click.echo(shown, color=True)  # else it would take escape sequences out of what a model wrote


def skipped_json(skipped: Iterable[Skipped]) -> list[Json]:
    """What was left out, and why."""
    return [{"path": one.path, "reason": one.reason} for one in skipped]
