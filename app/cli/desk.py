"""A Desk for as long as one command runs."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from app.desk import Desk
from app.models.places import own_folder
from app.settings import read_settings


def take_up(desk: Desk, session: str, *, keeps_model: bool, keeps_template: bool, keeps_lora: bool) -> None:
    """Goes on with a session's model, its chat template and its adapters; or, from now on, with those that the settings
    name.

    keeps_model, keeps_template, keeps_lora: whether they were named for this. Raises as Choosing.choose_template and
    choose_lora do.
    """
    if not keeps_model:
        desk.use_model_of(session)
    if keeps_template and (changed := desk.choose_template(session, desk.settings.own_template)):
        click.echo(changed, err=True)
    desk.use_template_of(session)
    if keeps_lora and (changed := desk.choose_lora(session, desk.settings.lora_for(desk.settings.model))):
        click.echo(changed, err=True)
    desk.use_lora_of(session)


@contextmanager
def open_desk(*, makes_home: bool = True, **flags: Any) -> Iterator[Desk]:
    """A Desk with the user's settings, these before all others where they are not None. Raises as read_settings.

    makes_home: False for what keeps nothing of the user's: where there is no home, or none that can be written, what
    llama.cpp said goes when the command ends.
    """
    settings = read_settings(**flags, kv_named=None if flags.get("kv_type") is None else True)
    with ExitStack() as stack:
        if not makes_home and not os.access(settings.home, os.W_OK | os.X_OK):
            passing = Path(stack.enter_context(TemporaryDirectory(prefix="longdesk-")))
            settings = replace(settings, home=passing, models=(own_folder(settings.home), *settings.models))
        yield stack.enter_context(closing(Desk(settings)))
