"""A Desk for as long as one command runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.desk import Desk
from app.settings import read_settings


@contextmanager
def open_desk(**flags: Any) -> Iterator[Desk]:
    """A Desk with the user's settings, these before all others where they are not None. Raises as read_settings."""
    desk = Desk(read_settings(**flags))
    try:
        yield desk
    finally:
        desk.close()
