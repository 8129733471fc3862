"""A Desk for as long as one command runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.desk import Desk
from app.settings import Settings


@contextmanager
def open_desk(settings: Settings) -> Iterator[Desk]:
    desk = Desk(settings)
    try:
        yield desk
    finally:
        desk.close()
