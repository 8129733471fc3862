"""The page's entry leaves sys.path alone, but for once: other threads import meanwhile."""

import runpy
import sys
from pathlib import Path

import pytest
from streamlit.runtime.scriptrunner.exec_code import modified_sys_path

import app

MAIN = Path(app.__file__).with_name("main.py")


def test_the_pages_folder_goes_to_the_end_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(MAIN.parent), *sys.path])  # as Streamlit begins
    before, seen = set(sys.path), []
    for _ in range(3):
        with modified_sys_path(str(MAIN)):
            runpy.run_path(str(MAIN))
            seen.append(list(sys.path))
        seen.append(list(sys.path))
    assert all(each == seen[0] for each in seen)
    assert sys.path[-1] == str(MAIN.parent) and sys.path[0] != str(MAIN.parent) and before <= set(sys.path)
