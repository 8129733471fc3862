"""All that the command line prints: the JSON documents of its contract, the same for people to read, and progress.

A noun a module; what several of them need is here. The document goes to standard output, all else to standard error.
"""

import json
import sys
from collections.abc import Iterable
from typing import Any

import click

from app.cli.terminal import harmless, harmless_json
from engine.corpus.source import Skipped

Json = dict[str, Any]


def print_document(document: Json | str) -> None:
    """Prints what a command was asked for: a document as JSON, or its text."""
    shown = document if isinstance(document, str) else json_text(document)
    click.echo(harmless(shown) if isinstance(document, str) else shown, color=True)  # else it would take them out


def print_bytes(document: bytes, *, is_json: bool = False) -> None:
    """Prints a document that is a file, to the byte; on a terminal, where it is to be seen, harmless."""
    if not sys.stdout.isatty():
        click.echo(document, nl=False)
        return
    text = document.decode("utf-8", "replace")
    click.echo(harmless_json(text) if is_json else harmless(text), nl=False, color=True)


def json_text(document: Json) -> str:
    """A key a line, and an element of a list a line: json's own indenting is slow of many sources."""
    lines = (f"  {_compact(key)}: {_lines(value)}" for key, value in document.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _compact(value)
    return "[\n" + ",\n".join(f"    {_compact(each)}" for each in value) + "\n  ]"


def _compact(value: Any) -> str:
    return json_line(value)


def json_line(value: Any) -> str:
    """A value as JSON in one line: exact, and harmless on a terminal."""
    return harmless_json(json.dumps(value, ensure_ascii=False))


def skipped_json(skipped: Iterable[Skipped]) -> list[Json]:
    """What was left out, and why."""
    return [{"path": one.path, "reason": one.reason} for one in skipped]
