"""Folders on their way from a browser: what they arrive at, and a tab that sends them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.folders import Folders
from tests.app.tab import TOKEN, Tab, left


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    made = Folders(max_bytes=10_000)
    made.expect(TOKEN, tmp_path, ())
    with closing(made):
        yield made
    assert left(tmp_path) == []


@pytest.fixture
def tab(folders: Folders) -> Tab:
    return Tab(folders)
