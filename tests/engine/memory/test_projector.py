"""engine.memory.projector: what an mmproj says of itself, and which one belongs to a model."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest

from engine.errors import ModelRefused
from engine.gguf import read_header
from engine.local.opened import OpenModel
from engine.local.process import EngineProcess
from engine.memory.budget import Placement, Wanted
from engine.memory.card import ModelCard, read_card
from engine.memory.projector import projector_for, projectors_beside, read_projector, unfit_beside
from engine.runtime.settings import EngineSettings
from tests.bench.memory import resident
from tests.engine.runtime.test_vision import AFTER, BEFORE, end_of, photo
from tests.engine.tokens.test_tiles import MODELS
from tests.models import broken
from tests.models.cache import build, cached
from tests.models.writer import Weights, new_gguf
from tests.sighted import prompt_of, sight_of


@pytest.mark.parametrize(
    ("projector", "kind", "facts", "n_embd"),
    [
        ("llama4", "llama4", (336, 14, 2), 64),
        ("gemma3", "gemma3", (896, 14, 4), 64),
        ("qwen2vl", "qwen2vl_merger", (560, 14, 2), 128),
        ("idefics3", "idefics3", (512, 16, 4), 64),
    ],
)
def test_a_projector_says_what_it_is(projector: str, kind: str, facts: tuple[int, int, int], n_embd: int) -> None:
    path = cached("mmproj", projector=projector)
    found = read_projector(path)
    assert (found.kind, found.n_embd, found.n_bytes) == (kind, n_embd, path.stat().st_size)
    assert (found.image_size, found.patch_size, found.merge) == facts
    assert found.name == f"Tiny {projector}" and found.files[0].header_digest == read_header(path).digest


def test_llama_4s_tile_is_144_tokens() -> None:
    assert read_projector(cached("mmproj")).tile_tokens == 144
    assert read_projector(cached("mmproj", image_size=224, merge=4)).tile_tokens == 16


@pytest.mark.parametrize("projector", ["llama4", "gemma3", "qwen2vl", "idefics3"])
def test_the_width_is_the_tensors_not_the_fields(projector: str, tmp_path: Path) -> None:
    path = build("mmproj", tmp_path / "mmproj.gguf", projector=projector, n_embd_text=96)
    reader = gguf.GGUFReader(path, "r+")
    field = reader.fields["clip.vision.projection_dim"]
    field.parts[field.data[0]][0] = 7
    reader.data.flush()
    assert read_header(path).integer("clip.vision.projection_dim") == 7
    assert read_projector(path).n_embd == 96


def test_an_unknown_kind_is_taken_at_its_word(llama_gguf: Path, tmp_path: Path) -> None:
    found = read_projector(write(tmp_path / "mmproj.gguf", {"clip.vision.projection_dim": 5120}))
    assert (found.kind, found.n_embd, found.merge) == ("nonsuch", 5120, 1)
    wide, narrow = (card(llama_gguf, n_embd=n_embd, architecture="llama") for n_embd in (5120, 64))
    assert not found.refusal(wide) and found.refusal(narrow)
    assert not read_projector(write(tmp_path / "mute.gguf", {})).refusal(narrow)  # mtmd will say


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"clip.has_vision_encoder": False}, "not one for images"),
        ({"clip.projector_type": ""}, "not one for images"),
        ({"clip.vision.patch_size": 0}, "malformed: images of 336 pixels, patches of 0"),
        ({"clip.vision.image_size": 8193}, "malformed: images of 8193 pixels"),
        ({"clip.vision.projector.scale_factor": 1 << 20}, "1048576 a side"),
        ({"clip.projector_type": "llama4", "clip.vision.projector.scale_factor": 30}, "30 a side to a token"),
        ({"clip.projector_type": "llama4", "clip.vision.image_size": 0}, "images of 0 pixels"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=words):
        read_projector(write(tmp_path / "mmproj.gguf", fields))


def test_a_language_model_is_no_projector_nor_the_other_way_round(llama_gguf: Path) -> None:
    with pytest.raises(ModelRefused, match="is no vision projector: it is a llama model"):
        read_projector(llama_gguf)
    with pytest.raises(ModelRefused, match="is a vision projector"):
        read_card(read_header(cached("mmproj")))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    for damaged in (
        broken.garbage(tmp_path / "garbage.gguf"),
        broken.empty(tmp_path / "empty.gguf"),
        broken.cut_header(cached("mmproj"), tmp_path / "cut.gguf"),
        broken.truncated(cached("mmproj"), tmp_path / "truncated.gguf", 0.9),
        tmp_path / "missing.gguf",
    ):
        with pytest.raises(ModelRefused):
            read_projector(damaged)


def test_a_named_projector_of_another_model_is_refused(llama_gguf: Path) -> None:
    named = cached("mmproj", projector="qwen2vl")
    with pytest.raises(ModelRefused, match="the mmproj makes 128 wide embeddings, the model reads 64"):
        projector_for(card(llama_gguf, architecture="llama"), named)
    assert projector_for(card(llama_gguf, n_embd=128, architecture="llama"), named) == read_projector(named)


@pytest.mark.parametrize(
    ("kind", "architecture", "width"),
    [("gemma3", "llama4", 64), ("llama4", "llama", 64), ("qwen2vl", "gemma3", 128), ("llama4", "gemma3", 64)],
)
def test_a_stranger_of_the_same_width_is_refused(llama_gguf: Path, kind: str, architecture: str, width: int) -> None:
    """llama.cpp takes it, and reads noise."""
    named = cached("mmproj", projector=kind)
    with pytest.raises(ModelRefused, match=rf"the mmproj is of the kind \w+, the model a {architecture}"):
        projector_for(card(llama_gguf, n_embd=width, architecture=architecture), named)


def test_the_projector_beside_a_model_is_found(tmp_path: Path) -> None:
    model = tmp_path / "Scout-17B-Q4_K_M.gguf"
    shutil.copyfile(cached("llama"), model)
    scout = card(model)
    assert projector_for(scout) is None and unfit_beside(scout) == ()
    shutil.copyfile(cached("mmproj", projector="qwen2vl"), tmp_path / "mmproj-wide.gguf")
    broken.garbage(tmp_path / "mmproj-broken.gguf")
    (tmp_path / "mmproj-notes.txt").write_text("no model")
    (tmp_path / "mmproj-folder.gguf").mkdir()
    shutil.copyfile(cached("mmproj", projector="gemma3"), tmp_path / "mmproj-gemma.gguf")
    assert projector_for(scout) is None
    unfit = " ".join(unfit_beside(scout))
    assert "mmproj-wide.gguf lies beside it, but the mmproj is of the kind qwen2vl_merger, the model a llama4." in unfit
    assert all(name in unfit for name in ("mmproj-broken", "mmproj-folder", "mmproj-gemma")) and "notes" not in unfit
    names = ["A-mmproj-f16.gguf", "Scout-17B-mmproj.gguf", "mmproj-Maverick.GGUF", "mmproj-Scout.gguf"]
    for name in names:
        shutil.copyfile(cached("mmproj"), tmp_path / name)
    found = [projector.path.name for projector in projectors_beside(scout)]
    assert found == [names[1], names[3], names[0], names[2]]
    chosen = projector_for(scout)
    assert chosen is not None and chosen.path.name == names[1]


def test_of_two_named_alike_the_larger_is_taken(tmp_path: Path) -> None:
    shutil.copyfile(cached("mmproj"), tmp_path / "mmproj-F16.gguf")
    shutil.copyfile(cached("mmproj", dtype="F32"), tmp_path / "mmproj-F32.gguf")
    shutil.copyfile(cached("llama"), tmp_path / "model.gguf")
    found = projectors_beside(card(tmp_path / "model.gguf"))
    assert [projector.path.name for projector in found] == ["mmproj-F32.gguf", "mmproj-F16.gguf"]


def card(model: Path, *, n_embd: int = 64, architecture: str = "llama4") -> ModelCard:
    """A model's card, as if it were of this architecture."""
    return replace(read_card(read_header(model)), n_embd=n_embd, architecture=architecture)


def write(path: Path, fields: dict[str, Any]) -> Path:
    """A projector of an unknown kind with one tensor, and these fields."""
    given = {
        "clip.has_vision_encoder": True,
        "clip.projector_type": "nonsuch",
        "clip.vision.image_size": 336,
        "clip.vision.patch_size": 14,
    } | fields
    with new_gguf(path, "clip", name="Odd", kind=gguf.GGUFType.MMPROJ) as writer:
        for key, value in given.items():
            kind = {bool: gguf.GGUFValueType.BOOL, str: gguf.GGUFValueType.STRING, int: gguf.GGUFValueType.UINT32}
            writer.add_key_value(key, value, kind[type(value)])
        Weights(writer).norm("v.post_ln", 64)
    return path


@pytest.mark.parametrize(("projector", "n_cells"), [("llama4", 1_440), ("gemma3", 256), ("idefics3", 1_100)])
def test_what_is_cut_or_scaled_takes_as_much_whatever_its_size(projector: str, n_cells: int) -> None:
    found = read_projector(cached("mmproj", projector=projector))
    embeddings = 12 * n_cells * found.n_embd
    assert found.memory_bytes(n_cells) - found.memory_bytes(0) == embeddings


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_an_image_of_any_size_takes_no_more_than_was_said(tmp_path: Path) -> None:
    """Of Qwen 2 VL's kind, whose encoder takes as many patches as the image has."""
    path, model = cached("mmproj", projector="qwen2vl", n_embd=256, n_ff=1_024), cached(**MODELS["qwen2vl"])
    sight = sight_of(model, path)
    engine = EngineProcess(EngineSettings(model=model, placement=Placement(n_ctx=4_096), projector=path))
    try:
        end_of(engine, prompt_of([BEFORE], sight))
        assert engine.pid is not None
        before = resident(engine.pid)
        prompt = prompt_of([BEFORE, photo(1_400, 1_400), AFTER], sight)
        assert end_of(engine, prompt).encoded == 1
        grown = resident(engine.pid, "VmHWM") - before
    finally:
        engine.close()
        sight.close()
    opened = OpenModel(*[None] * 3, projector=read_projector(path))  # type: ignore[list-item]
    planned = opened.with_pictures(Wanted(), prompt).vision_bytes
    n_cells = max(shown.view.n_cells for shown in prompt.shown)
    assert 0.6 * read_projector(path).memory_bytes(n_cells) < grown <= planned  # the reader is a process of its own
