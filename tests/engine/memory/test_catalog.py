"""engine.memory.catalog: shapes, recipes and ghosts, held against llama.cpp's own answers and published sizes."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.errors import EngineFailed
from engine.gguf import read_header
from engine.memory.card import ModelCard, read_card
from engine.memory.catalog.entry import ENTRIES, Entry, find, near
from engine.memory.catalog.ghost import ghost_of
from engine.memory.catalog.tensors import BEHEMOTH, MAVERICK, SCOUT, Shape, typed_tensors, weight_bytes
from engine.memory.kv_cache import kv_bytes
from tests.models.probe import probe
from tests.models.quantize_types import quantized

GIB = 1 << 30
NAMES = [entry.name for entry in ENTRIES]


@pytest.fixture(scope="module")
def ghosts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ghosts")


def entry_of(name: str) -> Entry:
    entry = find(name)
    assert entry is not None
    return entry


def card_of(entry: Entry, folder: Path) -> ModelCard:
    return read_card(read_header(ghost_of(entry, folder)))


def n_active(shape: Shape) -> int:
    """Parameters that one token meets: of the routed experts it meets one a layer."""
    return sum(tensor.n_elements // (shape.n_experts if "_exps." in tensor.name else 1) for tensor in shape.tensors)


def test_the_shapes_have_the_parameters_that_were_counted() -> None:
    assert f"{SCOUT.n_parameters / 1e9:.2f}" == "107.77" and f"{n_active(SCOUT) / 1e9:.0f}" == "17"
    assert f"{MAVERICK.n_parameters / 1e9:.2f}" == "400.71" and f"{n_active(MAVERICK) / 1e9:.0f}" == "17"
    assert (len(SCOUT.tensors), len(MAVERICK.tensors)) == (628, 531)
    assert 287e9 < n_active(BEHEMOTH) < 289e9 and 1.9e12 < BEHEMOTH.n_parameters < 2e12
    assert SCOUT.known and MAVERICK.known and not BEHEMOTH.known


@pytest.mark.parametrize(
    ("name", "printed_gib"),  # what llama-bench prints for published files
    [("scout-q6_k", "82.35"), ("scout-q4_k_m", "60.86"), ("scout-q3_k_m", "48.19")],
)
def test_computed_weights_are_what_llama_bench_prints(name: str, printed_gib: str) -> None:
    assert f"{entry_of(name).weights_bytes / GIB:.2f}" == printed_gib


def test_files_of_known_bytes_are_their_weights_and_a_header() -> None:
    for name in ("scout-q3_k_s", "maverick-bf16"):
        entry = entry_of(name)
        assert entry.size_is_published and 13_090_000 < entry.size_bytes - entry.weights_bytes < 13_110_000


@pytest.mark.parametrize("name", ["scout", "maverick"])
@pytest.mark.parametrize(
    "quantization", ["Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K"]
)
def test_the_recipe_is_llama_cpps_own(name: str, quantization: str, ghosts: Path) -> None:
    whole = entry_of(f"{name}-bf16")
    theirs = quantized(ghost_of(whole, ghosts), quantization)
    assert theirs.types == {typed.tensor.name: typed.type.name for typed in typed_tensors(whole.shape, quantization)}
    assert theirs.total_mib == pytest.approx(weight_bytes(whole.shape, quantization) / (1 << 20), abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_a_ghost_is_the_model_without_its_weights(name: str, ghosts: Path) -> None:
    entry = entry_of(name)
    path = ghost_of(entry, ghosts)
    card = card_of(entry, ghosts)
    assert (card.architecture, card.n_vocab, card.window) == ("llama4", 202_048, entry.shape.window)
    assert len(card.layers) == entry.shape.n_layers and card.attention_window == 8_192 and card.exact
    if entry.weights_exact or not entry.released:
        assert card.weights_bytes == entry.weights_bytes
    else:  # its types are Unsloth's own: close, and the published size is what counts
        assert card.weights_bytes == pytest.approx(entry.weights_bytes, rel=0.005)
    assert path.stat().st_size > card.weights_bytes and path.stat().st_blocks * 512 < 200_000


def test_a_ghosts_cache_is_scouts(ghosts: Path) -> None:
    """FACTS measured off the engine itself, in MiB."""
    card = card_of(entry_of("scout"), ghosts)
    assert kv_bytes(card, 131_072) == (6_144 + 1_224) << 20
    assert kv_bytes(card, 10_485_760) == (491_520 + 1_224) << 20
    assert kv_bytes(card_of(entry_of("maverick"), ghosts), 131_072) == (6_144 + 1_224) << 20


@pytest.mark.parametrize("name", ["scout-q4_k_m", "maverick-ud-iq1_s", "behemoth-q4_k_m"])
def test_llama_cpp_lays_a_ghost_out(name: str, ghosts: Path) -> None:
    seen = probe(ghost_of(entry_of(name), ghosts), no_alloc=True, n_ctx=131_072)
    assert seen.status == 0, seen.log[-2000:]
    assert seen.facts["n_vocab"] == 202_048 and seen.facts["n_ctx_train"] == entry_of(name).shape.window
    assert seen.log.count("llama_kv_cache: size =") == 2


def test_a_ghost_is_written_once_and_whole(tmp_path: Path) -> None:
    entry = entry_of("scout")
    first = ghost_of(entry, tmp_path / "new" / "folder")
    before = first.stat()
    assert ghost_of(entry, first.parent) == first and first.stat().st_mtime_ns == before.st_mtime_ns
    assert {path.name for path in first.parent.iterdir()} == {first.name, "CACHEDIR.TAG"}
    assert stat.S_ISREG(before.st_mode) and first.name.startswith("scout-q4_k_m-")


def test_a_folder_that_cannot_hold_a_ghost_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineFailed, match="scout-q4_k_m cannot be written .*sparse files"):
        ghost_of(entry_of("scout"), tmp_path / "file")
    limit_the_size_of_files(monkeypatch)
    with pytest.raises(EngineFailed, match="too large"):
        ghost_of(entry_of("scout"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "CACHEDIR.TAG"}


def limit_the_size_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT32, where a file has less than 4 GiB."""
    real: Callable[[int, int], None] = os.truncate

    def truncate(file: int, n_bytes: int) -> None:
        if n_bytes >= 4 * GIB:
            raise OSError(27, "File too large")
        real(file, n_bytes)

    monkeypatch.setattr("engine.memory.catalog.ghost.os.truncate", truncate)


def test_a_file_system_without_holes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = SimpleNamespace(st_blocks=1 << 30, st_size=0)
    monkeypatch.setattr("engine.memory.catalog.ghost.os.fstat", lambda _: filled)
    with pytest.raises(EngineFailed, match="full length on disk"):
        ghost_of(entry_of("scout"), tmp_path)
    assert not list(tmp_path.glob("*scout*"))


def test_names() -> None:
    assert len(set(NAMES)) == len(NAMES) and all(name == name.lower() for name in NAMES)
    assert entry_of("scout") is entry_of("Scout-Q4_K_M") and entry_of("behemoth").name == "behemoth-q4_k_m"
    assert find("scout-q9_k") is None and find("") is None and find("scout-") is None
    assert near("scot-q4_k_m")[0] == "scout-q4_k_m" and near("mavrick")[0].startswith("maverick")
    assert near("xyz") == ()


def test_every_entry_says_what_it_must() -> None:
    for entry in ENTRIES:
        assert entry.released == bool(entry.repository) == (not entry.name.startswith("behemoth"))
        assert entry.size_source and entry.size_bytes >= 0.99 * entry.weights_bytes
        assert all(entry.owns(file) for file in entry.files)
        assert entry.files == tuple(sorted(entry.files))
    assert entry_of("behemoth-q2_k").estimated == ("weights_bytes", "kv_bytes", "compute_bytes", "runtime_bytes")
    assert entry_of("scout").weights_exact and not entry_of("scout-ud-iq1_s").weights_exact


def test_files_are_told_by_their_names() -> None:
    scout = entry_of("scout")
    assert scout.stem == "Llama-4-Scout-17B-16E-Instruct-Q4_K_M"
    assert scout.owns("x/Llama-4-Scout-17B-16E-Instruct-Q4_K_M-00002-of-00002.gguf")
    assert scout.owns("Llama-4-Scout-17B-16E-Instruct-Q4_K_M.gguf")
    for other in ("Q4_K_S", "Q4_K_M.gguf.part", "UD-Q4_K_M", "Q4_K_M-00001-of-00002"):
        assert not scout.owns(f"Llama-4-Scout-17B-16E-Instruct-{other}")
    assert not entry_of("behemoth").owns(".gguf") and not entry_of("behemoth").stem
