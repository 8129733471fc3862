"""The floors of the house: nothing imports upward, and each kind of library has its place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for name in ("app", "engine", "storage") for path in (ROOT / name).rglob("*.py"))

# from the ground up: a module imports only from its own floor's line and from those before it
ENGINE_FLOORS = (
    ("engine.errors", "engine.tensor_types"),
    ("engine.gguf", "engine.child"),
    ("engine.corpus",),
    ("engine.tokens", "engine.memory"),
    ("engine.prompt",),
    ("engine.opened",),
    ("engine.runtime", "engine.answer"),
    ("engine.analyst",),
)
STORAGE_MAY_IMPORT = {"engine.errors", "engine.corpus.source"}
APP_FLOORS = (
    ("app.settings", "app.sizes"),
    ("app.conversation", "app.sources", "app.images", "app.kept", "app.engines", "app.lending"),
    ("app.question", "app.asking"),
    ("app.desk",),
    ("app.jobs", "app.export", "app.intake", "app.outlooks"),
    ("app.state",),
    ("app.parts",),
    ("app.views",),
    ("app.main",),
)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions: `from a import b` counts as a.b where that is one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if is_module(below) else str(node.module)


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def floor_of(module: str, floors: tuple[tuple[str, ...], ...]) -> int | None:
    return next((at for at, floor in enumerate(floors) if any(is_in(module, package) for package in floor)), None)


def under(package: str) -> list[Path]:
    return [path for path in FILES if is_in(module_of(path), package)]


def test_the_files_are_found() -> None:
    assert len(FILES) > 60 and {module_of(path).split(".")[0] for path in FILES} == {"app", "engine", "storage"}


@pytest.mark.parametrize("path", under("engine"), ids=module_of)
def test_engine_imports_downward_and_nothing_of_the_doors(path: Path) -> None:
    own = floor_of(module_of(path), ENGINE_FLOORS)
    for imported in imports(path):
        top = imported.split(".")[0]
        assert top not in {"app", "storage", "tests"}, imported
        assert top not in {"streamlit", "click", "sqlite3", "sqlite_utils"}, imported
        if top == "engine" and own is not None:
            theirs = floor_of(imported, ENGINE_FLOORS)
            assert theirs is not None and theirs <= own, f"{imported} lies above"


def test_every_engine_module_has_a_floor() -> None:
    lost = [module_of(path) for path in under("engine") if floor_of(module_of(path), ENGINE_FLOORS) is None]
    assert lost == ["engine"]


@pytest.mark.parametrize("path", under("engine.memory") + under("engine.tokens"), ids=module_of)
def test_tokens_and_memory_do_not_know_each_other(path: Path) -> None:
    other = "engine.memory" if is_in(module_of(path), "engine.tokens") else "engine.tokens"
    assert not [imported for imported in imports(path) if is_in(imported, other)]


@pytest.mark.parametrize("path", under("storage"), ids=module_of)
def test_storage_imports_the_engines_values_only(path: Path) -> None:
    for imported in imports(path):
        top = imported.split(".")[0]
        assert top not in {"app", "tests", "streamlit", "click", "llama_cpp", "tiktoken"}, imported
        assert top != "engine" or imported in STORAGE_MAY_IMPORT, imported


@pytest.mark.parametrize("path", under("app"), ids=module_of)
def test_app_imports_downward(path: Path) -> None:
    module = module_of(path)
    own = floor_of(module, APP_FLOORS)
    for imported in imports(path):
        assert imported.split(".")[0] != "tests"
        if own is not None and is_in(imported, "app"):
            theirs = floor_of(imported, APP_FLOORS)
            assert theirs is None or theirs <= own, f"{imported} lies above"


@pytest.mark.parametrize("path", under("app"), ids=module_of)
def test_streamlit_stays_on_the_page_and_click_on_the_command_line(path: Path) -> None:
    module = module_of(path)
    tops = {imported.split(".")[0] for imported in imports(path)}
    is_page = any(is_in(module, package) for package in ("app.main", "app.state", "app.views", "app.parts"))
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
        "engine.memory.parameters",
        "engine.tokens.image_tokens",
        "engine.tokens.llama_tokenizer",
        "engine.runtime.batch",
        "engine.runtime.cache",
        "engine.runtime.decoder",
        "engine.runtime.llama",
        "engine.runtime.log",
        "engine.runtime.sampling",
        "engine.runtime.slots",
        "engine.runtime.snapshot",
        "engine.runtime.vision",
        "engine.runtime.window",
    }
