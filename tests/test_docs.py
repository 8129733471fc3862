"""What the README and the docs say, held against the code."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path

import click
import pytest

from app.cli import cli
from app.cli.output.caches import list_json, pruned_json, pruned_notes_json, verified_json
from app.cli.output.reading import reading_json
from app.kv.disk import Kept, Verified
from app.reach.results import Asked, Read, Reading
from app.settings import Settings, read_settings
from engine.corpus.readers import limits
from engine.corpus.rules import Rules
from engine.corpus.walk.streams import PATIENCE_S
from engine.memory.catalog.entry import find
from engine.tensor_types import KV_TYPES
from engine.watching import ANSWERING, EnginePatience
from storage.notes import Pruned
from storage.records import Snapshot
from tests.bench.__main__ import BENCHMARKS
from tests.screenshots import IMAGES, MOST_BYTES, SIZE
from tests.structure import HOUSES, ROOT, House, module_of

PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        "docs/architecture.md",
        "docs/benchmarks.md",
        "docs/command-line.md",
        "docs/serve.md",
        "docs/reading.md",
        "docs/deploy.md",
        "SECURITY.md",
    )
}
README, ARCHITECTURE, BENCHMARKS_PAGE, COMMAND_LINE, _, _, _, SECURITY = PAGES.values()
MOST_WORDS = 40  # of a sentence
RULES = Rules()


# the tree


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one."""
    return text.split(f"## {heading}\n")[1].split("\n## ")[0]


def tree(block: str) -> Iterator[tuple[str, str]]:
    """The paths of a tree, folders with a slash at their end, and what is said of each."""
    folders: list[str] = []
    for line in filter(str.strip, block.splitlines()):
        found = re.fullmatch(r"((?:  )*)(\S+)(?: +(\S.*))?", line)
        assert found, line
        depth = len(found[1]) // 2
        folders[depth:] = [found[2]] if found[2].endswith("/") else []
        assert depth <= len(folders), line
        yield "".join(folders[:depth]) + found[2], found[3] or ""


def the_tree() -> dict[str, str]:
    return dict(tree(section(ARCHITECTURE, "The tree").split("```")[1]))


def test_everything_in_the_tree_is_there() -> None:
    for path in the_tree():
        assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file(), path


def test_every_line_of_the_tree_says_what_it_is_for() -> None:
    assert [
        path for path, purpose in the_tree().items() if not purpose and path not in {f"{top}/" for top in HOUSES}
    ] == []


def test_every_module_and_every_package_is_in_the_tree() -> None:
    named = the_tree()
    modules = {str(path.relative_to(ROOT)): path for path in House().files.values()}
    missing = {name for name, path in modules.items() if name not in named and not _is_but_a_docstring(path)}
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in modules.values()}
    assert sorted(missing) == [] and sorted(packages - set(named)) == []


def _is_but_a_docstring(path: Path) -> bool:
    """An __init__ without code: the line of its folder says as much."""
    body = ast.parse(path.read_text()).body
    return path.name == "__init__.py" and all(isinstance(each, ast.Expr) for each in body)


def test_a_line_of_the_tree_that_leads_nowhere_is_found() -> None:
    block = "app/\n  desk.py  Desk\n  kv/  saved\n    reuse.py  finding\n  question.py  Question\nMakefile  run\n"
    paths = ["app/", "app/desk.py", "app/kv/", "app/kv/reuse.py", "app/question.py", "Makefile"]
    assert [path for path, _ in tree(block)] == paths


# what is named in sentences


@cache
def names_in(path: str) -> frozenset[str]:
    """What a module defines: functions, classes, their methods and fields, constants."""
    found: set[str] = set()
    if not (ROOT / path).is_file():
        return frozenset()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))
    return frozenset(found)


@pytest.mark.parametrize("name", PAGES)
def test_every_path_that_is_named_is_there(name: str) -> None:
    tops = "app|engine|storage|tests|docs"
    named = set(re.findall(rf"(?<![\w/.-])((?:{tops}|\.streamlit|\.ci)/[\w./-]*\w/?)", PAGES[name]))
    assert {path for path in named if not (ROOT / path).exists()} <= {f"docs/{path}" for path in ("deploy.md",)}
    assert len(named) > 150 or name != "docs/architecture.md"


def test_every_name_that_is_said_to_be_in_a_module_is_in_it() -> None:
    found = re.findall(r"`(\w+)`(?: of `(\w+)`)?\s+\(`([\w/]+\.py)`\)", ARCHITECTURE)
    assert len(found) > 60
    lost = [(name, path) for *names, path in found for name in names if name and name not in names_in(path)]
    assert lost == []


def test_the_commands_of_the_docs_are_there() -> None:
    commands = {module for page in PAGES.values() for module in re.findall(r"python -m (tests\.\w+)", page)}
    assert {"tests.trace", "tests.structure", "tests.bench"} <= commands
    for module in commands:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def dotted(path: Path) -> Iterator[str]:
    """The modules of the house that a file names in its words: docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    speaking = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, speaking)]
    for each in (*docstrings, *re.findall(r"#.*", text)):
        yield from re.findall(rf"(?<![\w./])(?:{'|'.join((*HOUSES, 'tests'))})(?:\.[a-z_0-9]+)+\b(?!\()", each)


@pytest.mark.parametrize("top", [*HOUSES, "tests"])
def test_every_module_that_a_docstring_names_is_there(top: str) -> None:
    """`engine.corpus.order` in a sentence is a module, or a name in one; what has moved is said where it is."""
    lost = []
    for path in sorted((ROOT / top).rglob("*.py")):
        if path.relative_to(ROOT).parts[:2] == ("app", "example") or path in MADE_UP:
            continue
        lost += [f"{module_of(path)}: {name}" for name in dotted(path) if not _is_there(name)]
    assert lost == []


MADE_UP = {ROOT / "tests" / name for name in ("test_docs.py", "test_imports.py", "test_structure.py")}


def _is_there(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module, _, attribute = name.rpartition(".")
    above = (ROOT / module.replace(".", "/")).with_suffix(".py")
    return above.is_file() and attribute in names_in(str(above.relative_to(ROOT)))


# the command line


@pytest.mark.parametrize("name", PAGES)
def test_sentences_are_short(name: str) -> None:
    assert [sentence for sentence in sentences(PAGES[name]) if len(sentence.split()) > MOST_WORDS] == []


def sentences(page: str) -> Iterator[str]:
    """Of paragraphs, of points of a list and of cells of a table; code is none."""
    text = re.sub(r"^```.*?^```$|^#.*$|^<.*>$", "", page, flags=re.DOTALL | re.MULTILINE)
    for block in re.split(r"\n\s*\n|\n(?=- |\d+\. |\|)|\|", text):
        yield from re.split(r"(?<=[.?!])\s+", " ".join(block.split()).strip())


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that can be run, by its whole name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def tables(page: str) -> dict[tuple[str, ...], dict[frozenset[str], tuple[str, str]]]:
    """The tables of options by the commands that they are of: what each option does, and its default."""
    found = {}
    for block in page.split("\n### Options of ")[1:]:
        of = tuple(re.findall(r"`([\w ]+)`", block.split("\n")[0]))
        rows = re.findall(r"^\| (`-.*?) \| (.*?) \| (.*?) \|$", re.split(r"\n##+ ", block)[0], re.MULTILINE)
        found[of] = {frozenset(re.findall(r"`(--?[\w-]+)`", option)): (what, default) for option, what, default in rows}
    return found


def faults(page: str, every: Mapping[str, click.Command]) -> list[str]:
    """Where the tables of options and the program differ."""
    found, documented = [], tables(page)
    for name, command in every.items():
        rows = {flags: row for of, table in documented.items() if name in of for flags, row in table.items()}
        for option in (each for each in command.params if isinstance(each, click.Option)):
            flags = frozenset({*option.opts, *option.secondary_opts})
            if flags == {"--json"} and flags not in rows:
                continue  # said once for all
            what, default = rows.pop(flags, ("", None))
            if default is None:
                found.append(f"{name}: {sorted(flags)} is missing")
            elif not is_default(option, default):
                found.append(f"{name}: the default of {sorted(flags)} is not {default}")
            if isinstance(option.type, click.Choice) and option.name != "kv_type":
                found += [f"{name}: {each} is missing" for each in option.type.choices if f"`{each}`" not in what]
        found += [f"{name}: there is no {sorted(flags)}" for flags in rows]
    return found


def is_default(option: click.Option, said: str) -> bool:
    """Whether a cell says what is taken where an option is not given: its own default, or that of its setting."""
    if option.required:
        return said == "required"
    value = option.to_info_dict()["default"] if not option.multiple else None
    if value is None or isinstance(option.type, click.types.UnprocessedParamType):
        value = asdict(Settings(home=Path())).get(option.name or "")
    if value is None or value == ():
        return not said.startswith("`") and said not in ("", "on", "off", "required")
    return said == (("on" if value else "off") if isinstance(value, bool) else f"`{value}`")


def test_every_option_and_its_default_is_in_a_table_and_no_others() -> None:
    every = dict(commands(cli))
    assert faults(COMMAND_LINE, every) == []
    assert {name for of in tables(COMMAND_LINE) for name in of} <= set(every)


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        ("| `2048` |", "| `4096` |", "the default of ['--reply'] is not `4096`"),
        ("| `8501` |", "| `8500` |", "the default of ['--port'] is not `8500`"),
        ("| `9` |", "| none |", "the default of ['--max-tiles'] is not none"),
        ("| `--swa-full` |", "| `--swa` |", "plan: ['--swa-full'] is missing"),
        ("| `--swa-full` |", "| `--swa` |", "plan: there is no ['--swa']"),
        ("| keeps the whole", "| off | keeps the whole", "plan: the default of ['--swa-full'] is not"),
        ("| `md`, `json`, `html` or `csv`; ", "| `md`; ", "sessions export: json is missing"),
    ],
)
def test_what_is_wrong_in_a_table_of_options_is_found(said: str, instead: str, fault: str) -> None:
    assert said in COMMAND_LINE
    assert any(fault in each for each in faults(COMMAND_LINE.replace(said, instead), dict(commands(cli))))


def test_every_command_is_in_the_table_of_commands_and_no_others() -> None:
    said = re.findall(r"^\| `longdesk ([a-z ]+?)(?: [\[A-Z].*)?` \|", section(COMMAND_LINE, "Commands"), re.MULTILINE)
    assert sorted(said) == sorted(name for name, _ in commands(cli))


@pytest.mark.parametrize("name", ["answer", "caches", "catalogue", "cluster", "count", "plan", "session"])
def test_every_key_of_a_json_document_is_documented(name: str) -> None:
    path = ROOT / "app" / "cli" / "output" / f"{name}.py"
    functions = [each for each in ast.parse(path.read_text()).body if isinstance(each, ast.FunctionDef)]
    dictionaries = [
        node
        for each in functions
        if each.name.endswith("_json")
        for node in ast.walk(each)
        if isinstance(node, ast.Dict)
    ]
    keys = {key.value for each in dictionaries for key in each.keys if isinstance(key, ast.Constant)}
    assert len(keys) > 5
    assert keys - set(re.findall(r"`(\w+)`", section(COMMAND_LINE, "JSON documents"))) == set()


def test_every_key_of_a_reading_is_documented() -> None:
    asked = Asked("fact", 0, "Who?", "Yrsa", "Yrsa", True, 0.1, 9)
    reading = Reading(
        model="m", model_digest="d", quantization="", kv_type="f16", corpus_digest="c", corpus_sources=1,
        corpus_tokens=1, own=False, seed=0, depths=(0,), reply_tokens=48,
        lengths=(Read(1024, 1020, 1, None, (asked,)),),
    )  # fmt: skip
    said = COMMAND_LINE.split("### `reading --json`")[1].split("\n### ")[0]
    keys = set(re.findall(r'"(\w+)": ', json.dumps(reading_json(reading))))
    assert keys | {"path", "reason"} == set(re.findall(r"`(\w+)`", said))


def test_every_key_of_the_snapshots_documents_is_documented() -> None:
    kept = Kept((Snapshot(path=Path("a"), binding={}, n_tokens=1, n_bytes=1, created="", last_used="",
                          session_ids=("a",), titles=("t",)),), 1)  # fmt: skip
    found = (
        *(verified_json([Verified(kept.snapshots[0], "broken")]), pruned_json(kept.snapshots, kept), list_json(kept)),
        pruned_notes_json(Pruned(1, 1, 1)),
    )
    said = COMMAND_LINE.split("### `snapshots --json`")[1].split("\n## ")[0]
    keys = set(re.findall(r'"(\w+)": ', json.dumps(found)))
    assert keys == set(re.findall(r"`(\w+)`", said)) - {"list", "verify", "prune"}


def test_the_catalogues_names_in_the_docs_are_in_it() -> None:
    named = re.findall(r"`((?:scout|maverick|behemoth)[\w-]*)`", COMMAND_LINE + README)
    named += re.findall(r"--model ((?:scout|maverick|behemoth)[\w-]*)", COMMAND_LINE + README)
    assert len(named) >= 4 and all(find(name) for name in named)


def test_the_kv_types_are_those_named() -> None:
    row = re.search(r"^\| KV type \| (.*) \|$", COMMAND_LINE, re.MULTILINE)
    assert row is not None and tuple(re.findall(r"`(\w+)`", row[1])) == KV_TYPES


def test_the_documented_settings_are_the_defaults(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.*?)```", COMMAND_LINE, re.DOTALL)
    assert block is not None
    (tmp_path / "config.toml").write_text(block[1])
    documented = read_settings({"LONGDESK_HOME": str(tmp_path)})
    assert documented == Settings(home=tmp_path)
    mentioned = {*tomllib.loads(block[1]), *re.findall(r"^# (\w+) =", block[1], re.MULTILINE)}
    assert mentioned == {field.name for field in fields(Settings)} - {"home", "kv_named"}


def test_the_limits_of_files_are_those_that_hold() -> None:
    said = COMMAND_LINE.split("### Limits of files\n")[1].split("\n## ")[0].split("\n\nA session orders")[0]
    for figure in (
        f"{RULES.max_text_bytes >> 20} MiB | a text; one that was named by itself may have",
        f"may have {RULES.max_file_bytes >> 20} MiB, as may a PDF",
        f"{RULES.max_image_pixels // 10**6} million pixels | an image",
        f"{RULES.max_archive_bytes >> 30} GiB, {RULES.max_archive_entries:,} entries, {RULES.max_archive_ratio} times",
        f"{limits.STEP_CPU_S:g} s of processor time",
        f"{limits.EYES_CPU_S:g} s where it is drawn",
        f"{limits.FILE_S / 60:g} min, and {limits.PAGE_S:g} s for each page",
        f"{limits.MEMORY_BYTES >> 30} GiB of memory",
        f"{limits.MOST_PAGE_CHARACTERS // 10**6} million characters | a page",
        f"{limits.MOST_CHARACTERS >> 20} million characters, and no more than a million and",
        f"a million and {limits.CHARACTERS_PER_BYTE} for each of its bytes",
        f"{limits.MOST_PAGES:,} pages",
        f"a thousand million pixels, and {limits.PIXELS_PER_BYTE:,} more",
        f"{limits.MOST_CELLS:,} cells",
        f"{PATIENCE_S:g} s | a named pipe",
    ):
        assert figure in said, figure
    in_words = (limits.OPEN_TIMES, limits.FREE_CHARACTERS, limits.FREE_PIXELS)
    assert in_words == (3, 1 << 20, 10**9), "three times, a million, a thousand million"


def test_the_waits_for_an_engine_are_those_that_hold() -> None:
    said, patience = section(COMMAND_LINE, "How long is waited"), EnginePatience()
    assert f"{patience.loading.still_s / 60:g} min while it loads its model, else" in said
    assert f"else {patience.answering.still_s / 60:g} min |" in said and patience.saving.still_s == ANSWERING.still_s
    assert f"{patience.loading.silent_s / 3600:g} h while it loads" in said
    assert patience.saving.silent_s == patience.loading.silent_s
    assert f"else {patience.answering.silent_s / 60:g} min |" in said
    assert f"{patience.stopping.still_s:g} s; {patience.stopping.silent_s:g} s where it works" in said


# the README and the rest


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 90


def test_the_readmes_commands_are_longdesks() -> None:
    every = {name.split()[0]: {} for name, _ in commands(cli)}
    said = re.findall(r"^longdesk (\w+)", README, re.MULTILINE)
    assert len(said) > 5 and set(said) <= set(every)


def test_the_pictures_of_the_page_are_there_and_small() -> None:
    pictures = [ROOT / path for path in re.findall(r'(?:src|srcset)="(docs/images/[\w-]+\.png)"', README)]
    assert {path.name for path in pictures} == {path.name for path in IMAGES.glob("*.png")} and len(pictures) == 2
    for path in pictures:
        head = path.read_bytes()[:26]
        assert (int.from_bytes(head[16:20]), int.from_bytes(head[20:24])) == SIZE and head[25] == 3, "no palette"
        assert path.stat().st_size <= MOST_BYTES


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page = PAGES[name]
    anchors = {
        re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    }
    for link in re.findall(r"\]\(([^)]+)\)", page):
        if link.startswith("#"):
            assert link[1:] in anchors, link
        elif not link.startswith("http"):
            assert ((ROOT / name).parent / link.split("#")[0]).exists(), link


def test_the_makefile_has_what_the_docs_name() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {target for page in PAGES.values() for target in re.findall(r"(?:`|^)make (\w+)", page, re.MULTILINE)}
    assert {"run", "test", "check"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_no_host_of_a_registry_is_named() -> None:
    assert "http" not in (ROOT / "constraints.txt").read_text(encoding="utf-8").replace("httpcore", "").replace(
        "httpx", ""
    )


def test_every_benchmark_is_documented_in_its_order() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \|", BENCHMARKS_PAGE, re.MULTILINE)) == BENCHMARKS
    there = {path.stem for path in (ROOT / "tests" / "bench").glob("*.py") if "\ndef rows(" in path.read_text()}
    assert there == set(BENCHMARKS)


def test_every_threat_names_tests_that_are_there() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (`tests/.*`) \|$", section(SECURITY, "Threats"), re.MULTILINE)
    assert len(rows) == section(SECURITY, "Threats").count("\n| ") - 1  # but for the head
    assert {
        "a stranger's file",
        "a stranger's page",
        "another user of the machine",
        "a shared home",
        "a model file",
    } <= {who for who, _, _ in rows}
    for _, _, named in rows:
        for test in re.findall(r"`([^`]+)`", named):
            path, *names = test.split("::")
            assert names and set(names) <= names_in(path), test
