"""`templates`: ready-made questions with blanks, listed and shown."""

import click

from app.archive import open_archive
from app.cli.options import JSON
from app.cli.output import Json, print_document
from app.templates.shelf import Blank, Fault, Template


@click.group()
def templates() -> None:
    """Ready-made questions with blanks, for `ask --template`: list and show them."""


@templates.command("list")
@JSON
def list_templates(as_json: bool) -> None:
    """All of them: the user's own, in place of ours where the name is the same."""
    with open_archive() as archive:
        shelf = archive.templates
        found, faults = shelf.all(), shelf.faults()
    if as_json:
        print_document({"templates": [_json(each) for each in found], "faults": [_fault(each) for each in faults]})
        return
    width = max((len(each.name) for each in found), default=0)
    print_document("\n".join(_line(each, width) for each in found))
    for fault in faults:
        click.echo(fault.sentence, err=True)


@templates.command()
@click.argument("name")
@JSON
def show(name: str, as_json: bool) -> None:
    """One of them: its blanks, its settings and its text."""
    with open_archive() as archive:
        template = archive.templates.find(name)
    print_document({**_json(template), "text": template.text} if as_json else _text(template))


def _line(template: Template, width: int) -> str:
    blanks = " ".join(_shown(blank) for blank in template.blanks)
    own = "" if template.is_ours else "  (your own)"
    return f"{template.name:<{width}}  {template.title}{own}{'  ' + blanks if blanks else ''}"


def _shown(blank: Blank) -> str:
    return blank.name if blank.default is None else f"[{blank.name}]"


def _text(template: Template) -> str:
    lines = [f"{template.name}: {template.title}", f"File: {template.place}"]
    for blank in template.blanks:
        default = "has to be filled in" if blank.default is None else f"default: {blank.default}"
        default = "may be left out" if blank.takes and blank.default == "" else default
        lines.append(f"Blank {blank.name}: {blank.about + '; ' if blank.about else ''}{default}")
    settings = {**_settings(template), **({"sources": list(template.sources)} if template.sources else {})}
    lines += [f"Sets {name}: {value}" for name, value in settings.items()]
    return "\n".join([*lines, "", template.text])


def _settings(template: Template) -> Json:
    """By the names that the file has for them."""
    names = {"reply_tokens": "max_tokens", "stops": "stop"}
    return {names.get(name, name): list(v) if isinstance(v, tuple) else v for name, v in template.settings.items()}


def _json(template: Template) -> Json:
    return {
        "name": template.name,
        "title": template.title,
        "own": not template.is_ours,
        "file": template.place,
        "blanks": [
            {"name": each.name, "about": each.about, "default": each.default, **_takes(each)}
            for each in template.blanks
        ],
        "for": list(template.suits),
        "sources": list(template.sources),
        "settings": _settings(template),
    }


def _takes(blank: Blank) -> Json:
    return {"takes": blank.takes} if blank.takes else {}


def _fault(fault: Fault) -> Json:
    return {"name": fault.name or None, "error": fault.sentence}
