"""docs/deploy.md does what it says: every plan in it is run, and every figure in it comes of a command or a test."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cli
from engine.memory.cluster.kinds import KINDS
from tests.engine.memory.cluster.test_guides import ONE, in_gb
from tests.engine.memory.cluster.test_published import ROWS
from tests.known import settled, starter
from tests.structure import ROOT

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
FENCED = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)


def shown() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each command behind a $, with the lines that stand below it."""
    for block in FENCED:
        for part in block.split("$ ")[1:]:
            line, *below = part.splitlines()
            yield line, tuple(below)


SHOWN = tuple(shown())


@pytest.fixture
def somewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The repository's root, for a user who has no model yet, and that user's home."""
    monkeypatch.chdir(ROOT)
    for name in ("HOME", "LONGDESK_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("LONGDESK_MODEL", raising=False)
    return tmp_path / "home"


def run(line: str) -> tuple[int, str]:
    """A plan, in this process, from the repository's root."""
    words = shlex.split(line)
    assert words[:2] == ["longdesk", "plan"], line
    result = CliRunner().invoke(cli, words[1:], standalone_mode=False)
    assert result.exception is None, (line, result.exception)
    return int(result.return_value), result.output


def test_there_are_plans_and_each_walk_ends_with_a_question() -> None:
    assert len(SHOWN) > 20 and all(line.startswith("longdesk plan ") for line, _ in SHOWN)
    walks = PAGE.split("\n## ")[2:]
    walks = walks[: [walk.split("\n")[0] for walk in walks].index("How near the plans are")]
    assert len(walks) == 9
    for walk in walks:
        last = re.findall(r"^longdesk .*$", walk, re.MULTILINE)[-1]
        assert re.match(r"longdesk ask PATH -q \"[^\"]+\" --model (http://\S+|hosted)$", last), walk.split("\n")[0]


def counts(line: str) -> bool:
    return line.endswith(" docs")


@pytest.mark.parametrize(
    ("line", "below"),
    [pytest.param(*each, id=each[0], marks=[pytest.mark.slow] if counts(each[0]) else []) for each in SHOWN],
)
def test_a_plan_says_what_the_page_says(line: str, below: tuple[str, ...], somewhere: Path) -> None:
    if counts(line):
        settled(somewhere, starter())
    code, output = run(line)
    said = output.splitlines()
    for expected in below:
        assert expected == "..." or expected in said, f"{expected!r} is not in:\n{output}"
    if "It fits." in below:
        assert code == 0
    assert code in (0, 3)


def test_every_figure_in_prose_stands_in_a_block_or_a_table() -> None:
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    rest = "\n".join([*FENCED, *re.findall(r"^\|.*$", prose, re.MULTILINE)])
    prose = re.sub(r"^\|.*$", "", prose, flags=re.MULTILINE)
    figures = set(re.findall(r"\b\d[\d,.]*(?= (?:GiB|TiB|TB|tokens\b))", prose))
    known = {"8,192"}  # the chunk of Llama 4
    assert {figure for figure in figures - known if figure not in rest} == set()


def test_the_table_of_deployments_is_the_tests_own() -> None:
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith(("| vLLM, ", "| SGLang, "))]
    said = [(row[0].strip("| "), row[1], row[2], row[3].split()[0], "and more" in row[3], row[4]) for row in rows]
    names = {"vllm": "vLLM", "sglang": "SGLang"}
    assert said == [
        (
            f"{names[row.engine]}, {row.model}",
            row.gpus,
            ("hybrid" if row.hybrid else "full") + ("" if row.kv_type == "auto" else f", {row.kv_type}"),
            f"{row.n_tokens:,}",
            not row.is_largest,
            f"{row.plan().room_tokens:,}",
        )
        for row in ROWS
    ]


def test_the_table_of_gpus_is_the_plans_own() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\d+) GB \| ([\d.]+) GiB \| (https://\S+) \|$", PAGE, re.MULTILINE)
    assert rows == [
        (kind.name, str(kind.nominal_gb), f"{kind.reported_bytes / (1 << 30):.2f}", kind.source) for kind in KINDS
    ]


def test_the_guides_table_has_the_figures_of_its_test() -> None:
    assert ONE.name == "H200-141G"
    table = PAGE.split("## What the guides say")[1]
    for name, n_tokens in (("scout-int4", 4), ("scout-int4", 128), ("scout-bf16", 128), ("maverick-int4", 128)):
        for hybrid in (True, False):
            assert f"{in_gb(name, n_tokens << 10, hybrid=hybrid):.1f} GB" in table
    assert f"{in_gb('maverick-bf16', 4096, hybrid=False):.1f} GB" in table
