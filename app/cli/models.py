"""`models`: the catalogue, what of it is on this machine, fetching it, and checking files."""

import click

from app.cli.options import CHAT_TEMPLATE, JSON
from app.cli.output.catalogue import print_models, print_place, print_verification, showing_download
from app.models.download import fetch
from app.models.places import Placed, find_entry, find_model, list_models, place
from app.models.verification import verify, verify_server
from app.settings import read_settings
from engine.backend import Wanted
from engine.remote.address import is_address


@click.group()
def models() -> None:
    """The catalogue of models: list, find, download and verify them."""


@models.command("list")
@JSON
def list_command(as_json: bool) -> None:
    """Every model of the catalogue: its size, and where it is."""
    settings = read_settings()
    print_models(list_models(settings.home, settings.models), as_json=as_json)


@models.command()
@click.argument("name")
@JSON
def where(name: str, as_json: bool) -> None:
    """Where a model lies on this machine, or where it is published."""
    settings = read_settings()
    print_place(place(find_entry(name), settings.home, settings.models), as_json=as_json)


@models.command()
@click.argument("name")
@JSON
def get(name: str, as_json: bool) -> None:
    """Download a model into LONGDESK_HOME; what was interrupted goes on."""
    settings = read_settings()
    placed = place(find_entry(name), settings.home, settings.models)
    if placed.path is None:
        with showing_download(placed) as show:
            placed = Placed(placed.entry, fetch(placed.entry, settings.home, show))
    print_place(placed, as_json=as_json)


@models.command("verify")
@click.argument("file")
@click.option("--digest", is_flag=True, help="Read every byte and print the SHA-256 of each part.")
@CHAT_TEMPLATE
@JSON
def verify_file(file: str, digest: bool, chat_template: str | None, as_json: bool) -> int:
    """Check a model file, or the first of its parts, without loading it; or what a server says of its model."""
    settings = read_settings(chat_template=chat_template)
    if is_address(file) or settings.engine(file) is not None:
        from app.cli.desk import open_desk  # the other commands here do without

        with open_desk(makes_home=False, model=file) as desk:
            verification = verify_server(file, desk.about(), desk.plan_for(None, Wanted()))
    else:
        own = settings.own_template
        verification = verify(find_model(file, settings), cache=settings.cache, digests=digest, own=own)
    print_verification(verification, as_json=as_json)
    return 0 if verification.passed else 4
