"""`longdesk reading` as scripts meet it, on real models: the starter, and a tiny model of Scout's shape."""

import json
import signal
import subprocess
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.reading import reading
from app.desk import Desk
from app.reach.probes import depths_of, planted
from engine.backend import Case, Event, Sampling
from engine.errors import EngineFailed
from tests.app.reach.corpus import corpus, settings
from tests.command_line import CommandLine
from tests.fake_backend import FakeBackend
from tests.models.cache import cached
from tests.models.scout import SMALL
from tests.patience import PATIENCE_S


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "corpus"
    made.mkdir()
    for source in corpus(6, 6).sources:
        (made / source.path).write_text(source.text)
    return made


def digests(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def lines_planted(n_depths: int, seed: int) -> list[str]:
    probes = planted(seed, depths_of(n_depths), frozenset())
    return [plant.line for probe in probes for plant in probe.plants]


@pytest.mark.slow  # 20 s
@pytest.mark.parametrize("name", ["starter", "scout"])
def test_the_grid_of_a_real_model(name: str, tmp_path: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    """Drawn and in JSON, each length read once, the files as they were, and nothing planted left anywhere."""
    model = request.getfixturevalue("starter_gguf") if name == "starter" else cached("scout", **SMALL)
    longdesk = CommandLine(tmp_path / "home", model)
    before = digests(folder)
    options = ("--lengths", "600,1200", "--depths", "2", "--seed", "3")
    run = longdesk("reading", folder, *options, "--json")
    assert run.code == 0, run.err
    document = run.document
    assert document["depths"] == [0, 100] and document["seed"] == 3 and document["corpus"]["sources"] == 6
    assert [each["tokens"] for each in document["lengths"]] == [600, 1200]
    for length in document["lengths"]:
        assert 0.9 * length["tokens"] <= length["prompt_tokens"] <= length["tokens"]
        first, *others = (each["decoded"] for each in length["questions"])
        assert first > length["tokens"] - 300 and max(others) < 200  # the rest came from the KV cache
        assert length["read_tokens"] == first + sum(others) < length["tokens"] + 200 * len(others)
        assert [each["depth"] for each in length["cells"]] == [0, 100]
        assert sum(each["asked"] for each in length["cells"]) == length["asked"] == len(length["questions"])
    assert digests(folder) == before
    planted_words = [line.encode() for line in lines_planted(2, 3)]
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert not any(line in path.read_bytes() for path in left for line in planted_words)
    assert not list((tmp_path / "home").glob("snapshots/*.kv"))  # nothing that nobody asked for is saved

    again = longdesk("reading", folder, *options)  # nothing is read again: what is kept is drawn
    assert again.code == 0 and "score" in again.out and "600    1,200" in again.out
    assert longdesk("reading", folder, *options, "--json").out == run.out


@pytest.mark.slow  # 10 s
def test_a_model_that_cannot_go_back_reads_each_length_once_too(tmp_path: Path, folder: Path) -> None:
    """Its state is saved where the questions begin, and taken away when they were asked."""
    longdesk = CommandLine(tmp_path / "home", cached("hybrid"))
    run = longdesk("reading", folder, "--lengths", "800", "--depths", "2", "--ctx", "2048", "--json")
    assert run.code == 0, run.err
    [length] = run.document["lengths"]
    first, *others = (each["decoded"] for each in length["questions"])
    assert first > length["tokens"] - 300 and max(others) < 200
    assert not list((tmp_path / "home").glob("snapshots/*.kv"))


@pytest.mark.slow  # 10 s
def test_the_same_seed_gives_the_same_document_in_another_home(tmp_path: Path, folder: Path) -> None:
    model = cached("scout", **SMALL)
    options = ("--lengths", "600", "--depths", "2", "--seed", "11", "--json")
    first, second = (CommandLine(tmp_path / home, model)("reading", folder, *options) for home in "ab")
    assert first.code == second.code == 0 and first.out == second.out


@pytest.mark.slow  # 5 s
def test_ctrl_c_keeps_the_lengths_that_are_done(tmp_path: Path, folder: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", cached("scout", **SMALL))
    options = ("--lengths", "600,700,800,1200", "--depths", "2", "--json")
    kept = tmp_path / "home" / "readings"
    with longdesk.start("reading", folder, *options) as running:
        while running.poll() is None and not list(kept.glob("*.reading")):
            with suppress(subprocess.TimeoutExpired):
                running.wait(0.02)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err
    if running.returncode == 130:  # else it was done before the signal came
        assert "The lengths that are done are kept" in err and '"lengths"' in out
    after = longdesk("reading", folder, *options)
    assert after.code == 0 and [each["tokens"] for each in after.document["lengths"]] == [600, 700, 800, 1200]


def test_what_is_done_is_printed_where_the_engine_breaks(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaking(FakeBackend):
        def generate(self, case: Case, sampling: Sampling, **given: Any) -> Generator[Event, None, None]:
            if len(self.asked) == 15:
                raise EngineFailed("It broke.", "Mend it.")
            yield from super().generate(case, sampling, **given)

    @contextmanager
    def opened(**flags: Any) -> Iterator[Desk]:
        with closing(Desk(settings(tmp_path / "home"), backend=Breaking())) as desk:
            yield desk

    monkeypatch.setattr("app.cli.reading.open_desk", opened)
    ran = CliRunner().invoke(reading, [str(folder), "--lengths", "600,700", "--depths", "2", "--json"])
    document = json.loads(ran.stdout)
    assert isinstance(ran.exception, EngineFailed) and [each["tokens"] for each in document["lengths"]] == [600]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--lengths", "1k,many"), 2, "no number of tokens"),
        (("--lengths", "auto,1k"), 2, "auto stands alone"),
        (("--lengths", "64"), 2, "64 tokens have no room for the probes"),
        (("--depths", "0"), 2, "--depths"),
        (("--ctx", "300"), 2, "The context has no room for the probes"),
        (("--model", "nosuch.gguf"), 4, "nosuch.gguf"),
    ],
)
def test_what_cannot_be_tried_is_a_sentence(
    tmp_path: Path, folder: Path, llama_gguf: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    run = CommandLine(tmp_path / "home", llama_gguf)("reading", folder, *arguments)
    assert (run.code, run.out) == (code, "") and says in run.err


def test_what_has_no_room_in_memory_is_refused_with_3(tmp_path: Path) -> None:
    """A window of ten million tokens is planned as `plan` does it: before anything is loaded."""
    made = tmp_path / "corpus"
    made.mkdir()
    (made / "long.txt").write_text("A line of a letter that says little and goes on for a while.\n" * 120_000)
    wide = cached("scout", n_layer=48, n_head=8, n_head_kv=8, head_dim=128)  # 384 KiB of KV cache a token
    longdesk = CommandLine(tmp_path / "home", wide)
    run = longdesk("reading", made, "--kv", "f32", "--lengths", "2M")
    assert run.code == 3 and "missing" in run.err and run.out == ""
