"""The walks of `python -m tests.trace` keep short: how many modules each passes, and how often the disk is asked."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.passing import Passed
from tests.trace import WALKS
from tests.trace import traced as trace

pytestmark = pytest.mark.slow  # each walk is a process or two, with an engine

# what is allowed now, and where it is to go
MOST_MODULES = {  # in the process that asks, not in its children
    "command": 119,  # goal: 50; three of them are what remembers counts, nine what cites an answer and its receipt, two
    # which engine and chat template are chosen, as in each walk; six are how it ends, what its terminal does not obey,
    # the memory that engines are promised, room for a full disk, and a container's cores; twenty-three are what a model
    # is (its purpose, adapters, makers, thoughts and words for them), what day it is, and what holds and reads a folder
    "running": 85,  # goal: 50
    "restarted": 99,  # goal: 50; one is what notes a user keeps
    "upload": 99,  # goal: 55
    "plan": 47,
}
MOST_LOOKUPS = {
    "command": 3,  # one for the question, two to save what it left
    "running": 1,
    "restarted": 1,
}
MOST_KV_FILES = {  # one lies there; while the engine runs, where the machine was slow enough for a checkpoint
    "running": 1,
    "restarted": 1,
}
OPENED = ("pypdf", "pdfium")


@cache
def traced(walk: str) -> Passed:
    return trace(walk)


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_passes_few_modules(walk: str) -> None:
    passed = traced(walk)
    assert 20 < len(passed.parent) <= MOST_MODULES[walk], sorted(passed.parent)


def test_what_a_walk_surely_passes_is_seen() -> None:
    """So that a walk is not short for want of sight."""
    passed = traced("restarted")
    assert {"app.desk", "storage.turns", "engine.prompt.layout"} <= passed.parent
    assert {"engine.runtime.worker", "engine.runtime.llama"} <= passed.children - passed.parent
    assert passed.calls["kv files"] >= 1


@pytest.mark.parametrize("walk", MOST_LOOKUPS)
def test_what_is_kept_of_a_prompt_is_looked_up_once(walk: str) -> None:
    assert 1 <= traced(walk).calls["lookups"] <= MOST_LOOKUPS[walk]


@pytest.mark.parametrize("walk", MOST_KV_FILES)
def test_a_saved_kv_cache_is_opened_once(walk: str) -> None:
    assert traced(walk).calls["kv files"] <= MOST_KV_FILES[walk]


@pytest.mark.parametrize("library", OPENED)
def test_an_uploaded_pdf_is_opened_by_a_reader_alone(library: str) -> None:
    assert traced("upload").calls[library] == 0


def test_an_uploaded_pdf_is_opened_at_all() -> None:
    passed = traced("upload")
    assert {"engine.corpus.formats.pdfium", "engine.corpus.formats.pdf_text"} <= passed.children - passed.parent


def test_planning_a_model_touches_nothing_of_the_users() -> None:
    calls = traced("plan").calls
    assert calls["databases"] == calls["kv locks"] == calls["kv files"] == calls["lookups"] == 0


ARCHITECTURE = Path(__file__).parents[1] / "docs" / "architecture.md"
NOT_TRACED = {  # told of, and not passed: why
    "app.views": "a page",
    "app.parts": "a page",
    "app.jobs": "a page",
    "app.command": "it ends the process",
    "app.cli.__init__": "traced by the name of its package",
    "engine.memory.advice": "where it does not fit",
    "engine.tokens.sight": "where there are pictures",
    "engine.runtime.events": "values only",
}


@pytest.mark.parametrize("told", [("upload",), ("running", "command", "restarted"), ("plan",)])
def test_the_walks_are_told_as_they_go(told: tuple[str, ...]) -> None:
    """docs/architecture.md tells them: the modules that it names are passed."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    (walk,) = re.findall(rf"\(`python -m tests.trace {' '.join(told)}`\)\n(.*?)\n##", text, re.DOTALL)
    named = {
        path.removesuffix(".py").replace("/", ".")
        for path in re.findall(r"`((?:app|engine|storage)/[\w/]+\.py)`", walk)
    }
    passed = frozenset[str]().union(*(traced(each).parent | traced(each).children for each in told))
    assert len(named) > 12
    assert [name for name in sorted(named - passed) if not name.startswith(tuple(NOT_TRACED))] == []
