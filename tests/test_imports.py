"""The floors of the house: nothing imports upward, and each kind of library has its place.

That no packages go in a circle, on one floor or on several, is `test_structure`'s.
"""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from tests.structure import ROOT, House, is_in, module_of
from tests.structure import imports as imports_of

FILES = sorted(path for name in ("app", "engine", "storage") for path in (ROOT / name).rglob("*.py"))
MODULES = frozenset(map(module_of, FILES))

# From the ground up: a module imports only from its own floor and from those before it. A name stands for all below it;
# where several fit a module, the longest counts. Every module is on one.
FLOORS = (
    (
        "engine.errors",
        "engine.tensor_types",
        "engine.model_file",
        "engine.file_clock",
        "engine.watching",
        "engine.cgroups",
    ),
    ("engine.gguf", "engine.child", "engine.kept_files", "engine.cores"),
    ("engine.corpus",),
    ("engine.tokens", "engine.memory"),
    ("engine.prompt",),
    ("engine.runtime", "engine.answer"),
    ("engine.backend",),
    ("engine.local", "engine.remote"),
    ("storage",),
    (
        "app.sizes",
        "app.environment",
        "app.dates",
        "app.endings",
        "app.markdown",
        "app.answers",
        "app.guides",
        "app.sources",
        "app.verdicts",
        "app.templates",
        "app.costs",
        "app.connections",
        "app.door",
    ),
    ("app.settings", "app.models", "app.counting", "app.kept_count"),
    ("app.session_settings", "app.reading"),
    ("app.kv", "app.images", "app.attachments"),
    ("app.promises", "app.forking"),
    ("app.local_engine", "app.local_backend", "app.engines", "app.next_turn"),
    ("app.previews", "app.question"),
    ("app.reach",),
    ("app.citing", "app.receipts", "app.found_again", "app.noting"),
    ("app.passes", "app.record", "app.answering", "app.export", "app.exchange", "app.checking_again"),
    ("app.desk", "app.archive", "app.choosing"),
    ("app.serve", "app.reaching"),
    ("app.cli", "app.command", "app.open_browser"),
    (
        "app.uploads",
        "app.commits",
        "app.roots",
        "app.arrival",
        "app.folders",
        "app.intake",
        "app.forecast",
        "app.first_read",
        "app.suggestions",
        "app.jobs",
        "app.summaries",
        "app.additions",
        "app.pass_plans",
    ),
    ("app.state", "app.redraws"),
    ("app.parts",),
    ("app.views",),
    ("app.main", "app.server"),
)
TO_COME: set[str] = set()  # named above, and not there yet
# neither side knows the other
APART = (
    (("engine.tokens",), ("engine.memory",)),
    (
        ("app.cli", "app.command", "app.serve"),
        (
            "app.main",
            "app.state",
            "app.views",
            "app.parts",
            "app.jobs",
            "app.summaries",
            "app.additions",
            "app.pass_plans",
            "app.intake",
            "app.forecast",
            "app.first_read",
            "app.arrival",
            "app.folders",
            "app.redraws",
            "app.server",
        ),
    ),
)
STORAGE_MAY_IMPORT = {"engine.errors", "engine.file_clock", "engine.corpus.source", "engine.answer.citations"}

Graph = Mapping[str, Collection[str]]


@pytest.fixture(scope="module")
def house() -> House:
    return House()


def floor_of(module: str) -> int | None:
    fitting = [(len(name), at) for at, floor in enumerate(FLOORS) for name in floor if is_in(module, name)]
    return max(fitting)[1] if fitting else None


def upward(graph: Graph) -> list[str]:
    """The imports that lead to a floor above, and those of modules without one."""
    found = []
    for module, imported in sorted(graph.items()):
        own = floor_of(module)
        for other in sorted(imported):
            theirs = floor_of(other)
            if own is None or theirs is None or theirs > own:
                found.append(f"{module} imports {other}")
    return found


def across(graph: Graph) -> list[str]:
    """The imports between what is to be apart."""

    def is_one_of(module: str, names: tuple[str, ...]) -> bool:
        return any(is_in(module, name) for name in names)

    return [
        f"{module} imports {other}"
        for module, imported in sorted(graph.items())
        for other in sorted(imported)
        for side, far in (pair for two in APART for pair in (two, two[::-1]))
        if is_one_of(module, side) and is_one_of(other, far)
    ]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions: `from a import b` counts as a.b where that is one."""
    yield from imports_of(ast.parse(path.read_text()), MODULES)


def under(package: str) -> list[Path]:
    return [path for path in FILES if is_in(module_of(path), package)]


def test_the_files_are_found() -> None:
    assert len(FILES) > 60 and {module_of(path).split(".")[0] for path in FILES} == {"app", "engine", "storage"}


def test_every_module_is_on_a_floor(house: House) -> None:
    lost = {module for module in house.files if floor_of(module) is None}
    assert lost <= {"app", "engine"}
    assert not [module for module in lost if house.imports[module]]


def test_every_floor_is_of_something(house: House) -> None:
    names = {name for floor in FLOORS for name in floor}
    assert names - set(house.files) <= TO_COME


def test_nothing_imports_upward(house: House) -> None:
    assert upward(house.imports) == []


def test_what_is_to_be_apart_is(house: House) -> None:
    assert across(house.imports) == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("app.desk", "app.state"),
        ("app.state", "app.views.ask"),
        ("storage.turns", "app.desk"),
        ("engine.corpus.formats.pdf", "engine.memory.card"),
        ("app.unheard", "engine.errors"),
        ("app.desk", "app.unheard"),
    ],
)
def test_an_import_upward_is_found(module: str, imported: str) -> None:
    assert upward({module: {imported}, imported: {"engine.errors"} - {imported}})[0] == f"{module} imports {imported}"


@pytest.mark.parametrize(
    ("module", "imported"),
    [("engine.tokens.sight", "engine.memory.card"), ("engine.memory.card", "engine.tokens.sight")]
    + [("app.cli.page", "app.jobs"), ("app.views.ask", "app.cli.printing")],
)
def test_what_knows_each_other_and_should_not_is_found(module: str, imported: str) -> None:
    assert across({module: {imported}}) == [f"{module} imports {imported}"]


@pytest.mark.parametrize("path", under("engine"), ids=module_of)
def test_engine_imports_nothing_of_the_doors(path: Path) -> None:
    for imported in imports(path):
        top = imported.split(".")[0]
        assert top not in {"app", "storage", "tests"}, imported
        assert top not in {"streamlit", "click", "sqlite3", "sqlite_utils"}, imported


@pytest.mark.parametrize("path", under("storage"), ids=module_of)
def test_storage_imports_the_engines_values_only(path: Path) -> None:
    for imported in imports(path):
        top = imported.split(".")[0]
        assert top not in {"app", "tests", "streamlit", "click", "llama_cpp", "tiktoken"}, imported
        assert top != "engine" or imported in STORAGE_MAY_IMPORT, imported


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_nothing_imports_the_tests(path: Path) -> None:
    assert "tests" not in {imported.split(".")[0] for imported in imports(path)}


@pytest.mark.parametrize("path", under("app"), ids=module_of)
def test_streamlit_stays_on_the_page_and_click_on_the_command_line(path: Path) -> None:
    module = module_of(path)
    tops = {imported.split(".")[0] for imported in imports(path)}
    page = ("app.main", "app.server", "app.redraws", "app.state", "app.views", "app.parts")
    is_page = any(is_in(module, package) for package in page)
    assert "streamlit" not in tops or is_page
    assert "click" not in tops or is_in(module, "app.cli")
    assert not tops & {"sqlite3", "sqlite_utils", "llama_cpp", "tiktoken", "jinja2"}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_only_state_touches_streamlits_state(path: Path) -> None:
    if module_of(path) == "app.state":
        return
    touched = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not touched & {"session_state", "cache_resource", "cache_data"}
    assert not re.search(r"from streamlit import .*(session_state|cache_resource)", path.read_text())


def test_loading_the_command_line_loads_no_engine() -> None:
    """`longdesk --help` must not wait for llama.cpp; only the child loads it."""
    loaders = [module_of(path) for path in FILES if "llama_cpp" in {name.split(".")[0] for name in imports(path)}]
    assert set(loaders) <= {
        "engine.memory.dry_child",
        "engine.memory.gpus",
        "engine.memory.llama_parameters",
        "engine.tokens.image_tokens",
        "engine.tokens.llama_tokenizer",
        "engine.runtime.batch",
        "engine.runtime.cache",
        "engine.runtime.decoder",
        "engine.runtime.form",
        "engine.runtime.llama",
        "engine.runtime.log",
        "engine.runtime.pieces",
        "engine.runtime.quotes.writing",
        "engine.runtime.recurrence",
        "engine.runtime.sampling",
        "engine.runtime.slots",
        "engine.runtime.snapshot",
        "engine.runtime.vision",
        "engine.runtime.window",
    }
