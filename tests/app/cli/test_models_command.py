"""`longdesk models`: list, where, get and verify, and what a catalogue name means elsewhere."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.models.download import sha256_of
from app.models.places import find_model, find_plannable, gguf_files, locate, parts, places
from app.models.verification import verify
from app.settings import Settings, absolute_model
from engine.errors import ModelRefused, UsageError
from engine.memory.catalog.entry import ENTRIES, find
from engine.memory.catalog.ghost import ghost_of
from tests.command_line import CommandLine, Run
from tests.hub import Hub, serving
from tests.patience import PATIENCE_S, until

STEM = "Llama-4-Scout-17B-16E-Instruct"
TWO_PARTS = {f"Q4_K_M/{STEM}-Q4_K_M-0000{n}-of-00002.gguf": bytes([n]) * (3 << 20) for n in (1, 2)}
CHUNK = 10 << 20  # what the transfer hands over at once
OTHERS = {"README.md": b"#", f"{STEM}-Q2_K_L.gguf": b"other", "mmproj-F16.gguf": b"other"}


@dataclass(frozen=True, slots=True)
class Machine(CommandLine):
    """A command line whose user owns nothing but what a test puts there."""

    endpoint: str = "http://127.0.0.1:9"  # nobody listens there

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "LONGDESK_", "XDG_"))}
        mine = {"HOME": str(self.home), "LONGDESK_HOME": str(self.home / "longdesk"), "LONGDESK_MODEL": str(self.model)}
        return {**kept, **mine, "HF_ENDPOINT": self.endpoint, "NO_PROXY": "*"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, "starter")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serving(Hub({**TWO_PARTS, **OTHERS})) as hub:
        yield hub


def at(hub: Hub, home: Path) -> Machine:
    return Machine(home, "starter", endpoint=hub.address)


def own(home: Path, name: str = "scout-q4_k_m") -> Path:
    return home / "longdesk" / "models" / name


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"GGUF")
    return folder / names[0]


def error(run: Run, code: int) -> str:
    assert run.code == code, (run.code, run.out, run.err)
    return run.err


@pytest.mark.slow  # 1.8 s
def test_list_shows_every_entry_and_what_is_here(machine: Machine) -> None:
    here = put(own(machine.home), f"{STEM}-Q4_K_M-00001-of-00002.gguf", f"{STEM}-Q4_K_M-00002-of-00002.gguf")
    put(machine.home / ".lmstudio" / "models" / "a" / "b", f"{STEM}-Q8_0-00001-of-00003.gguf")  # the others are missing
    document = machine("models", "list", "--json").document["models"]
    assert [model["name"] for model in document] == [entry.name for entry in ENTRIES]
    assert {model["name"]: model["path"] for model in document if model["path"]} == {"scout-q4_k_m": str(here)}
    behemoth = document[-1]
    assert not behemoth["released"] and behemoth["licence"] is None and behemoth["repository"] is None
    text = machine("models", "list").out
    assert str(here) in text and "~31.5 GiB" in text and "Llama 4 Community License" in text


@pytest.mark.slow
def test_where_says_the_path_or_the_place(machine: Machine) -> None:
    away = machine("models", "where", "Scout-Q4_K_M", "--json")
    assert away.code == 0 and away.document["path"] is None and away.document["files"] == list(TWO_PARTS)
    assert away.document["size_bytes"] == 65_359_900_160 and "llama-bench" in away.document["size_source"]
    assert "https://huggingface.co/unsloth/" in machine("models", "where", "scout").out
    assert (
        f"{STEM.replace('Scout-17B-16E', 'Maverick-17B-128E')}-Q6_K*.gguf"
        in machine("models", "where", "maverick-q6_k").out
    )
    assert "never released" in machine("models", "where", "behemoth").out
    here = put(own(machine.home, "anywhere"), f"{STEM}-Q2_K.gguf")
    assert machine("models", "where", "scout-q2_k").out == f"{here}\n"
    wrong = error(machine("models", "where", "scot"), 2)
    assert "Did you mean scout" in wrong


def test_places(tmp_path: Path) -> None:
    home, named = tmp_path / "longdesk", tmp_path / "named"
    name = f"{STEM}-Q2_K.gguf"
    entry = find("scout-q2_k")
    assert entry is not None
    user = {"HOME": str(tmp_path)}
    assert places(home, [named], user)[2] == tmp_path / ".cache" / "huggingface" / "hub"
    assert places(home, (), {**user, "XDG_CACHE_HOME": "/c"})[1] == Path("/c/huggingface/hub")
    assert places(home, (), {**user, "HF_HOME": "/h"})[1] == Path("/h/hub")
    assert places(home, (), {**user, "HF_HOME": "/h", "HF_HUB_CACHE": "/k"})[1] == Path("/k")
    blob = put(tmp_path / "k" / "models--x" / "blobs", "a" * 64)
    snapshot = tmp_path / "k" / "models--x" / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / name).symlink_to(blob)
    (snapshot / f"{STEM}-Q8_0.gguf").symlink_to(tmp_path / "gone")  # a download that was never finished
    found = tuple(gguf_files(places(home, [named], {**user, "HF_HUB_CACHE": str(tmp_path / "k")})))
    assert locate(entry, found) == snapshot / name and len(found) == 2
    put(named, name)
    files = gguf_files(places(home, [named], {**user, "HF_HUB_CACHE": str(tmp_path / "k")}))
    assert locate(entry, files) == named / name
    assert parts(Path("a/b-00001-of-00002.gguf")) == (Path("a/b-00001-of-00002.gguf"), Path("a/b-00002-of-00002.gguf"))


def test_a_name_means_the_file_on_disk_or_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = Settings(home=tmp_path, models=(tmp_path / "named",))
    with pytest.raises(ModelRefused, match=r"scout-q4_k_m is not on this machine.* models get scout-q4_k_m"):
        find_model("Scout", settings)
    with pytest.raises(ModelRefused, match="never released"):
        find_model("behemoth", settings)
    with pytest.raises(UsageError, match="Did you mean maverick"):
        find_model("mavrick", settings)
    with pytest.raises(UsageError, match="models list"):
        find_model("xyz", settings)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scout").mkdir()  # does not hide the name
    assert absolute_model("scout") == "scout" and absolute_model("named") == "named"
    assert find_plannable("scout", settings) is find("scout")
    whole = put(tmp_path / "named", f"{STEM}-Q4_K_M.gguf")
    assert find_model("scout", settings) == whole
    assert find_plannable("scout", settings) == whole


@pytest.mark.slow  # 1.4 s
def test_counting_and_asking_need_the_file(machine: Machine) -> None:
    (machine.home / "a.txt").write_text("words")
    for command in (("count",), ("ask", "-q", "?")):
        refused = error(machine(*command, machine.home / "a.txt", "--model", "maverick-ud-iq1_s"), 4)
        assert "longdesk models get maverick-ud-iq1_s" in refused


@pytest.mark.slow  # 1.7 s
@pytest.mark.parametrize(
    ("command", "given", "remedy"),
    [
        (("plan",), "scout-q4_k_m", "scout-q4_k_m is a model: name it with --model scout-q4_k_m."),
        (("count",), "Maverick", "Maverick is a model: name it with --model Maverick."),
        (("ask", "-q", "What?"), "starter", "starter is a model: name it with --model starter."),
        (("plan",), "mavrick", "Check the spelling. If a model is meant: --model maverick."),
        (("ask", "-q", "?"), "http://localhost:80/v1", "answers is named with --model http://localhost:80/v1."),
        (("count",), "notes/scout", "Check the spelling; a relative path starts from the current folder."),
    ],
)
def test_a_model_given_as_a_path_names_the_option_that_was_meant(
    machine: Machine, command: tuple[str, ...], given: str, remedy: str
) -> None:
    refused = error(machine(*command, given), 2)
    assert f"There is no file or folder at {given}." in refused and remedy in refused


@pytest.mark.slow  # 2.5 s
def test_a_file_that_is_called_like_a_model_is_read(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine.home / "scout").write_text("A scout goes ahead.")
    monkeypatch.chdir(machine.home)
    counted = machine("count", "scout", "--json")
    assert counted.code == 0 and [source["path"] for source in counted.document["sources"]] == ["scout"]


@pytest.mark.slow  # 1.9 s
def test_get_fetches_all_parts_and_only_those(hub: Hub, tmp_path: Path) -> None:
    got = at(hub, tmp_path)("models", "get", "scout", "--json")
    assert got.code == 0, got.err
    assert "Llama 4 Community License" in got.err and got.document["path"].endswith("-00001-of-00002.gguf")
    files = {path.name: path.read_bytes() for path in own(tmp_path).iterdir()}
    assert files == {name.rpartition("/")[2]: data for name, data in TWO_PARTS.items()}
    assert (tmp_path / "longdesk").stat().st_mode & 0o777 == 0o700
    assert len(hub.paths) == 3 and not any("telemetry" in path or "harness" in path for path in hub.paths)
    again = at(hub, tmp_path)("models", "get", "scout")
    assert again.out == f"{got.document['path']}\n" and len(hub.paths) == 3  # it is there: nothing is asked


@pytest.mark.slow  # 1.1 s
def test_what_is_there_is_kept_and_what_was_cut_off_goes_on(hub: Hub, tmp_path: Path) -> None:
    first, second = TWO_PARTS
    put(own(tmp_path), "x")
    (own(tmp_path) / first.rpartition("/")[2]).write_bytes(TWO_PARTS[first])
    hub.files[second] = os.urandom(12 << 20)
    hub.break_after = 11 << 20
    got = at(hub, tmp_path)("models", "get", "scout")
    assert got.code == 0, got.err
    assert (own(tmp_path) / second.rpartition("/")[2]).read_bytes() == hub.files[second]
    assert hub.ranges == ["", f"bytes={CHUNK}-"]


@pytest.mark.slow  # 2.6 s
def test_ctrl_c_leaves_a_part_that_the_next_run_goes_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 11 << 20
    name = f"Q3_K_M/{STEM}-Q3_K_M.gguf"
    hub.files[name] = os.urandom(12 << 20)
    running = at(hub, tmp_path).start("models", "get", "scout-q3_k_m")
    assert hub.stalled.wait(PATIENCE_S)
    folder = own(tmp_path, "scout-q3_k_m")
    until(lambda: any(path.stat().st_size >= CHUNK for path in folder.glob(".*.part")))
    running.send_signal(signal.SIGINT)
    _, words = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130 and "goes on from there" in words and "Traceback" not in words
    (part,) = folder.iterdir()
    assert part.name.endswith(".part") and part.stat().st_size == CHUNK
    hub.stall_after = None
    got = at(hub, tmp_path)("models", "get", "scout-q3_k_m")
    assert got.code == 0 and hub.ranges[-1] == f"bytes={CHUNK}-"
    assert [path.read_bytes() for path in folder.iterdir()] == [hub.files[name]]


@pytest.mark.slow
def test_get_refuses_what_cannot_come(hub: Hub, tmp_path: Path) -> None:
    machine = at(hub, tmp_path)
    assert "never released" in error(machine("models", "get", "behemoth"), 4)
    assert "has no file" in error(machine("models", "get", "scout-q6_k"), 4)
    first, second = TWO_PARTS
    hub.claims[first] = {"size": 10**15}
    assert "TiB too few" in error(machine("models", "get", "scout"), 3)
    hub.claims = {second: {"sha256": "0" * 64}}
    damaged = error(machine("models", "get", "scout"), 1)
    assert "damaged" in damaged and [path.name for path in own(tmp_path).iterdir()] == [first.rpartition("/")[2]]
    nobody = error(Machine(tmp_path, "starter")("models", "get", "scout-q8_0"), 1)
    assert "could not be downloaded" in nobody and "Run the same command again" in nobody


@pytest.mark.slow
def test_a_downloaded_model_counts_by_its_name(hub: Hub, tmp_path: Path, scout_gguf: Path) -> None:
    hub.files[f"{STEM}-Q2_K.gguf"] = scout_gguf.read_bytes()
    machine = at(hub, tmp_path)
    assert machine("models", "get", "scout-q2_k").code == 0
    (tmp_path / "a.txt").write_text("Overdue books cost 25 cents a day.")
    counted = machine("count", tmp_path / "a.txt", "--model", "scout-q2_k", "--json")
    assert counted.code == 0 and counted.document["total_tokens"] > 10
    verified = machine("models", "verify", "scout-q2_k", "--json")
    assert verified.code == 4  # it is no Scout by its size
    checks = {check["check"]: check["passed"] for check in verified.document["checks"]}
    assert checks == {
        "header": True, "parts": True, "model": True, "size": False,
        "vocabulary": True, "template": True, "sampling": True, "tokenizer": True, "quotes": True,
    }  # fmt: skip


@pytest.mark.slow  # 3.5 s
def test_verify_names_each_check(machine: Machine, starter_gguf: Path) -> None:
    good = machine("models", "verify", starter_gguf, "--digest", "--json")
    assert good.code == 0 and good.document["passed"] and good.document["name"] is None
    assert good.document["sha256"] == {starter_gguf.name: sha256_of(starter_gguf)}
    text = machine("models", "verify", starter_gguf).out
    assert "ok      header" in text and "vocabulary: 49,152 tokens" in text and "template: renders" in text
    assert "ok      tokenizer: tiktoken" in text and "for much text gigatoken" in text


@pytest.mark.slow  # 1.1 s
def test_verify_says_what_is_wrong(tmp_path: Path, llama_gguf: Path, starter_gguf: Path) -> None:
    def failed(path: Path) -> str:
        checks = verify(path, cache=tmp_path / "cache").checks
        return " ".join(f"{check.name}: {check.detail}" for check in checks if not check.passed)

    cut = tmp_path / "cut.gguf"
    cut.write_bytes(llama_gguf.read_bytes()[:-100])
    assert "cut short" in failed(cut)
    part = tmp_path / "x-00001-of-00002.gguf"
    shutil.copy(llama_gguf, part)
    assert "missing (x-00002-of-00002.gguf)" in failed(part)
    entry = find("scout")
    assert entry is not None
    assert "vocabulary" in failed(ghost_of(entry, tmp_path))
    assert "There is no model file" in failed(tmp_path / "gone.gguf")
    blob = tmp_path / ("f" * 64)
    shutil.copy(starter_gguf, blob)
    (tmp_path / "link.gguf").symlink_to(blob)
    checks = verify(tmp_path / "link.gguf", cache=tmp_path / "cache", digests=True).checks
    assert [check.name for check in checks if not check.passed] == ["digest"]
