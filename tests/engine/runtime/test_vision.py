"""Pictures through the engine: the logits of mtmd's own helper, to the bit, whatever is kept of what was read."""

from pathlib import Path
from threading import Event as Flag

import numpy as np
import pytest

from engine.errors import EngineFailed
from engine.local.opened import OpenModel
from engine.local.process import EngineProcess
from engine.memory.budget import Placement, Wanted
from engine.memory.projector import read_projector
from engine.runtime.events import Finished, Sampling
from engine.runtime.settings import EngineSettings
from tests.bench.memory import resident
from tests.engine.tokens.test_tiles import MODELS
from tests.models.cache import cached
from tests.models.look import look
from tests.models.shape import ONE_HEAD
from tests.sighted import Ask, Photo, Told, prompt_of, sight_of, told

# text of at least 64 tokens around every picture: larger batches give the same to the bit
BEFORE, BETWEEN, AFTER = list(range(300, 370)), list(range(500, 580)), list(range(400, 470))
LEAST = 0.1  # a difference of logits that no rounding makes
ROUNDING = 0.05  # where cells lie in another order than in a fresh run; two fresh runs' batches make as much


def photo(width: int, height: int, seed: int = 0) -> Photo:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same(a: Told, b: Told) -> bool:
    assert a.logits is not None and b.logits is not None
    return bool(np.array_equal(a.logits, b.logits)) and a.reply == b.reply


def close(a: Told, b: Told) -> bool:
    return differ(a, b) <= ROUNDING and a.reply == b.reply


def differ(a: Told, b: Told) -> float:
    assert a.logits is not None and b.logits is not None
    return float(np.abs(a.logits - b.logits).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("projector", "separators"),
    [
        ("llama4", True),
        ("llama4", False),
        ("gemma3", False),
        pytest.param("idefics3", False, marks=pytest.mark.slow),
    ],
)
def test_the_engine_reads_pictures_as_mtmds_own_helper_does(projector: str, separators: bool) -> None:
    model, path = cached(**MODELS[projector]), cached("mmproj", projector=projector)
    prompts = [[BEFORE, photo(500, 400), AFTER], [BEFORE, photo(1000, 700, 1), BETWEEN, photo(60, 90, 2), AFTER]]
    theirs = look(model, path, prompts, separators=separators)
    assert theirs.status == 0 and theirs.logits is not None, theirs.log
    ours = told(model, path, [Ask(parts=parts, fresh=True) for parts in prompts], separators=separators)
    small = told(model, path, [Ask(parts=parts) for parts in prompts], separators=separators, n_ubatch=320)
    for one, other, logits, cells in zip(ours, small, theirs.logits, theirs.cells, strict=True):
        assert one.logits is not None and other.logits is not None
        np.testing.assert_array_equal(one.logits, logits)
        np.testing.assert_array_equal(other.logits, logits)
        assert one.n_tokens == one.used == cells
        assert one.encoded and one.holds_projector


@pytest.mark.slow
def test_only_what_is_shown_decides_and_nothing_is_encoded_twice() -> None:
    one, other = photo(672, 336, 1), photo(672, 336, 2)
    changed = one.copy()
    changed[300:330, 600:630] = 0
    first = [BEFORE, one, BETWEEN, other, AFTER]
    again, kept, swapped, block, emptied = (
        Ask(parts=first),
        Ask(parts=first, fresh=True),
        Ask(parts=[BEFORE, other, BETWEEN, one, AFTER]),
        Ask(parts=[BEFORE, changed, BETWEEN, other, AFTER]),
        Ask(parts=first, fresh=True, emptied=True),
    )
    follow_up = Ask(parts=[*first[:-1], AFTER + BETWEEN])
    edited = Ask(parts=[BEFORE[:-2] + [7, 8], *first[1:]])
    asks = [Ask(parts=first), again, follow_up, kept, edited, swapped, block, emptied]
    base, same_one, longer, restarted, after_edit, swap, pixels, anew = told(
        cached(**MODELS["llama4"]), cached("mmproj"), asks
    )
    assert base.encoded == 6 and base.reused == 0  # two tiles and an overview each
    assert same(base, same_one) and same_one.reused == base.n_tokens - 1 and same_one.encoded == 0
    assert longer.reused >= base.n_tokens and longer.encoded == 0
    assert same(base, restarted) and restarted.reused == 0 and restarted.encoded == 0
    assert not restarted.holds_projector  # it is read where something has to be encoded
    assert after_edit.reused == len(BEFORE) - 2 and after_edit.encoded == 0 and differ(base, after_edit) > LEAST
    assert swap.reused == len(BEFORE) - 2 and swap.encoded == 0 and differ(base, swap) > LEAST
    assert pixels.encoded == 3 and differ(base, pixels) > LEAST
    assert same(base, anew) and anew.encoded == 6


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_tile_is_encoded_again_alone(damage: str, tmp_path: Path) -> None:
    model = EngineProcess(settings(tmp_path))
    sight = sight_of(model.settings.model, cached("mmproj"))
    prompt = prompt_of([BEFORE, photo(1000, 1000), AFTER], sight)
    first = end_of(model, prompt)
    assert first.encoded == 10
    files = sorted((tmp_path / "embeddings").iterdir())
    assert len(files) == 10 and all(file.suffix == ".rows" for file in files)
    data = bytearray(files[3].read_bytes())
    if damage == "missing":
        files[3].unlink()
    else:
        data[len(data) // 2] ^= 1
        files[3].write_bytes(data[:-8] if damage == "cut" else data)
    model.close()
    second = end_of(model, prompt)
    model.close()
    third = end_of(model, prompt)
    model.close()
    assert (second.encoded, third.encoded) == (1, 0)
    assert first.reply_ids == second.reply_ids == third.reply_ids


def settings(folder: Path, *, n_ctx: int = 4_096, projector: str | None = "llama4") -> EngineSettings:
    return EngineSettings(
        model=cached(**MODELS["llama4"]),
        placement=Placement(n_ctx=n_ctx),
        projector=cached("mmproj", projector=projector) if projector else None,
        embeddings=folder / "embeddings",
        n_threads=1,
    )


def end_of(model: EngineProcess, prompt: object) -> Finished:
    *_, end = model.generate(prompt, Sampling(max_tokens=6), cancel=Flag())  # type: ignore[arg-type]
    assert isinstance(end, Finished)
    return end


@pytest.mark.slow
def test_a_cancel_within_a_picture_keeps_what_was_read_and_encoded() -> None:
    parts = [BEFORE, photo(1000, 1000), AFTER]
    stopped = Ask(parts=parts, stop_at=500)
    asks = [Ask(parts=parts), Ask(parts=parts, fresh=True, emptied=True, stop_at=500), Ask(parts=parts)]
    asks += [Ask(parts=parts, fresh=True, emptied=True, stop_at=500), Ask(parts=parts, kept=True)]
    asks += [Ask(parts=parts, fresh=True, emptied=True, stop_at=500), Ask(parts=parts, fresh=True), stopped]
    whole, cut, on, _, from_file, _, restarted, _ = told(cached(**MODELS["llama4"]), cached("mmproj"), asks)
    assert cut.stop == "cancelled" and 500 <= cut.done[-1] < 660 and cut.encoded < 5
    assert on.reused == cut.done[-1] and same(whole, on) and on.encoded == 10 - cut.encoded
    assert from_file.reused == cut.done[-1] and same(whole, from_file) and from_file.encoded == 10 - cut.encoded
    assert restarted.reused == 0 and same(whole, restarted) and restarted.encoded == 10 - cut.encoded


@pytest.mark.slow
def test_chunks_of_attention_may_begin_within_a_picture() -> None:
    """Six images of 1,452 tokens: the sixth lies across Llama 4's first chunk, and so does every way back to it."""
    images = [photo(1000, 1000, seed) for seed in range(6)]
    head: list[list[int] | Photo] = [BEFORE]
    for image in images:
        head += [image, BETWEEN]
    anchor = len(BEFORE) + 6 * (1_452 + len(BETWEEN))
    assert anchor > 8_192 > anchor - 1_452
    replaced = [*head[:-2], images[0], BETWEEN, AFTER]
    asks = [
        Ask(parts=[*head, AFTER], anchor=anchor),
        Ask(parts=[*head, AFTER * 20], anchor=anchor),
        Ask(parts=[*head, AFTER[1:]], anchor=anchor),  # back by the copy of the windows
        Ask(parts=[*head, AFTER], anchor=anchor, kept=True),
        Ask(parts=[*head[:-1], AFTER]),  # an edit behind the last image: within the second chunk
        Ask(parts=replaced),  # an edit in the first chunk, whose windowed cells are gone
        Ask(parts=[*head, AFTER[1:]], fresh=True),
        Ask(parts=replaced, fresh=True),
    ]
    answers = told(cached(**MODELS["llama4"], **ONE_HEAD), cached("mmproj"), asks, n_ctx=12_288)
    first, _, shorter, kept, edited, other, *fresh = answers
    assert first.done[-1] - first.done[0] == first.n_tokens and first.encoded == 60
    assert shorter.reused == kept.reused == anchor and edited.reused == anchor - len(BETWEEN)
    assert other.reused == 0
    assert close(shorter, fresh[0]) and close(other, fresh[1]) and close(kept, first)
    assert differ(first, edited) > LEAST and differ(edited, other) > LEAST
    assert all(each.encoded == 0 for each in answers[1:])


@pytest.mark.slow
def test_sliding_windows_and_pictures_whose_cells_see_each_other() -> None:
    """Gemma 3's 512 tokens of window hold less than two of its images."""
    images = [photo(400, 300, seed) for seed in range(4)]
    head: list[list[int] | Photo] = [BEFORE]
    for image in images:
        head += [image, BETWEEN]
    model, projector = cached(**MODELS["gemma3"]), cached("mmproj", projector="gemma3")
    anchor = told(model, projector, [Ask(parts=head)])[0].n_tokens
    asks = [
        Ask(parts=[*head, AFTER], anchor=anchor),
        Ask(parts=[*head, AFTER * 12], anchor=anchor),
        Ask(parts=[*head, AFTER[1:]], anchor=anchor),
        Ask(parts=[*head, AFTER], anchor=anchor, kept=True),
        Ask(parts=[*head[:-4], *head[-2:], AFTER]),
        Ask(parts=[*head, AFTER], stop_at=700, fresh=True),
        Ask(parts=[*head, AFTER]),
        Ask(parts=[*head, AFTER], fresh=True),
        Ask(parts=[*head, AFTER[1:]], fresh=True),
        Ask(parts=[*head[:-4], *head[-2:], AFTER], fresh=True),
    ]
    first, _, shorter, kept, without, cut, on, *fresh = told(model, projector, asks)
    assert shorter.reused == anchor and kept.reused == anchor and cut.stop == "cancelled"
    assert on.reused == cut.done[-1]
    assert [close(*pair) for pair in zip([first, shorter, without], fresh, strict=True)] == [True] * 3
    assert close(kept, first) and same(on, first)


@pytest.mark.slow  # 1.2 s
def test_fewer_at_once_than_a_picture_needs_is_an_error_and_no_wrong_answer(tmp_path: Path) -> None:
    model, projector = cached(**MODELS["gemma3"]), cached("mmproj", projector="gemma3")
    sight = sight_of(model, projector)
    prompt = prompt_of([BEFORE, photo(400, 300), AFTER], sight)
    sight.close()
    assert prompt.n_at_once == 256
    engine = EngineProcess(
        EngineSettings(model=model, placement=Placement(n_ctx=2_048, n_ubatch=128), projector=projector)
    )
    with pytest.raises(EngineFailed, match="image 1 takes 256 cells at once, and 128 are computed at once"):
        end_of(engine, prompt)
    engine.close()


@pytest.mark.slow  # 1.5 s
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_a_plan_says_no_less_than_a_projector_takes(tmp_path: Path) -> None:
    engine = EngineProcess(settings(tmp_path))
    path = cached("mmproj")
    sight = sight_of(engine.settings.model, path)
    end_of(engine, prompt_of([BEFORE * 30], sight))
    assert engine.pid is not None
    before = resident(engine.pid)
    prompt = prompt_of([BEFORE, photo(1000, 1000), AFTER], sight)
    assert end_of(engine, prompt).encoded == 10
    grown = resident(engine.pid) - before
    engine.close()
    opened = OpenModel(*[None] * 3, projector=read_projector(path))  # type: ignore[list-item]
    wanted = opened.with_pictures(Wanted(), prompt)
    n_cells = max(shown.view.n_cells for shown in prompt.shown)
    assert 0.3 * read_projector(path).memory_bytes(n_cells) < grown <= wanted.vision_bytes  # with its reader's


def test_an_engine_without_a_projector_says_so(tmp_path: Path) -> None:
    prompt = prompt_of([BEFORE, photo(60, 60), AFTER], sight_of(cached(**MODELS["llama4"]), cached("mmproj")))
    engine = EngineProcess(settings(tmp_path, projector=None))
    with pytest.raises(EngineFailed, match="started without a vision projector"):
        end_of(engine, prompt)
    engine.close()
