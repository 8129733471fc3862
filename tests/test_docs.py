"""What the README and the docs say, held against the code."""

import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import click

from app.cli import cli
from app.cli.output.caches import list_json, pruned_json, verified_json
from app.kv.disk import Kept, Verified
from app.settings import Settings, read_settings
from engine.memory.catalog.entry import find
from engine.memory.kv_cache import KV_TYPES
from storage.records import Snapshot
from tests.bench.__main__ import BENCHMARKS

ROOT = Path(__file__).parent.parent
COMMAND_LINE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def usage_of(command: str) -> str:
    """The lines of the docs' usage block that belong to a command."""
    usages = COMMAND_LINE.split("```")[1].strip().split("\nlongdesk ")
    return next(usage for usage in usages if usage.removeprefix("longdesk ").split()[0] == command)


def test_every_option_is_documented_and_every_documented_one_exists() -> None:
    for name in ("up", "count", "plan", "ask"):
        command = cli.commands[name]
        options = {flag for option in command.params if isinstance(option, click.Option) for flag in option.opts}
        long_ones = {flag for flag in options if flag.startswith("--") and flag != "--question"}
        assert long_ones == set(re.findall(r"--[a-z-]+", usage_of(name))), name


def test_every_command_of_a_group_is_documented() -> None:
    for name in ("sessions", "models", "snapshots"):
        group = cli.commands[name]
        assert isinstance(group, click.Group)
        assert set(group.commands) <= set(usage_of(name).split()), name


def test_every_key_of_the_snapshots_documents_is_documented() -> None:
    kept = Kept((Snapshot(path=Path("a"), binding={}, n_tokens=1, n_bytes=1, created="", last_used="",
                          session_ids=("a",), titles=("t",)),), 1)  # fmt: skip
    found = verified_json([Verified(kept.snapshots[0], "broken")]), pruned_json(kept.snapshots, kept), list_json(kept)
    paragraph = COMMAND_LINE.split("`snapshots list --json`:")[1].split("\n\n")[0]
    keys = set(re.findall(r'"(\w+)": ', json.dumps(found)))
    assert keys == set(re.findall(r"`(\w+)`", paragraph))


def test_the_catalogues_names_in_the_docs_are_in_it() -> None:
    named = re.findall(r"`((?:scout|maverick|behemoth)[\w-]*)`", COMMAND_LINE + README)
    assert len(named) >= 4 and all(find(name) for name in named)


def test_the_kv_types_are_those_named() -> None:
    assert all(kv_type in COMMAND_LINE for kv_type in KV_TYPES)


def test_the_documented_settings_are_the_defaults(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.*?)```", COMMAND_LINE, re.DOTALL)
    assert block is not None
    (tmp_path / "config.toml").write_text(block[1])
    documented = read_settings({"LONGDESK_HOME": str(tmp_path)})
    assert documented == Settings(home=tmp_path)
    mentioned = {*tomllib.loads(block[1]), *re.findall(r"^# (\w+) =", block[1], re.MULTILINE)}
    assert mentioned == {field.name for field in fields(Settings)} - {"home"}


def test_every_file_in_the_readmes_tree_is_there() -> None:
    tree = README.split("```")[-2]
    folder = ""
    for line in tree.splitlines():
        if match := re.match(r"^(\s*)([\w./]+)\s", line):
            indent, name = match.groups()
            folder = name if not indent else folder
            assert (ROOT / (name if not indent else folder + name)).exists(), name


def test_the_makefile_has_what_the_readme_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:`|^)make (\w+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_no_host_of_a_registry_is_named() -> None:
    assert "http" not in (ROOT / "constraints.txt").read_text(encoding="utf-8").replace("httpcore", "").replace(
        "httpx", ""
    )


def test_every_benchmark_is_documented_in_its_order() -> None:
    table = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == BENCHMARKS
