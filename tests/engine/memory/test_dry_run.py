"""engine.memory.dry_run: what llama.cpp itself says, from a child that may die of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.child import Child
from engine.errors import ModelRefused, UsageError
from engine.gguf import read_header
from engine.memory.budget import Device, Hardware, Measured, Placement, Wanted
from engine.memory.card import ModelCard, read_card
from engine.memory.dry_run import DryRun
from engine.memory.planner import make_plan
from tests.models.broken import crashing
from tests.models.cache import cached

MIB = 1 << 20


@pytest.fixture
def dry_run(tmp_path: Path) -> Iterator[DryRun]:
    one = DryRun(tmp_path / "cache")
    yield one
    one.close()


def card_of(path: Path) -> ModelCard:
    return read_card(read_header(path))


def test_what_llama_cpp_says(dry_run: DryRun, llama_gguf: Path) -> None:
    measured = dry_run.measure(card_of(llama_gguf), Placement(n_ctx=4096))
    assert measured.kv_bytes == 4 * MIB  # 4 layers x 4096 cells x (64 + 64) elements x 2 bytes
    assert [name for name, _ in measured.buffers] == ["CPU"] and 4 * MIB < measured.compute_bytes < 8 * MIB
    assert 6 * MIB < measured.runtime_bytes < 20 * MIB
    larger = dry_run.measure(card_of(llama_gguf), Placement(n_ctx=1 << 20))
    cells = larger.runtime_bytes - measured.runtime_bytes
    assert cells / (1 << 20) == pytest.approx(52, rel=0.1)  # bytes of a cell's table entry


def test_an_answer_does_not_depend_on_what_was_asked_before(llama_gguf: Path) -> None:
    """The child keeps the model and makes one context after the other."""
    alone, after = DryRun(), DryRun()
    try:
        first = alone.measure(card_of(llama_gguf), Placement(n_ctx=4096))
        for n_ctx in (300_000, 512):
            after.measure(card_of(llama_gguf), Placement(n_ctx=n_ctx))
        second = after.measure(card_of(llama_gguf), Placement(n_ctx=4096))
    finally:
        alone.close()
        after.close()
    assert (first.kv_bytes, first.buffers) == (second.kv_bytes, second.buffers)
    assert abs(first.runtime_bytes - second.runtime_bytes) < MIB


def test_answers_are_kept_by_what_they_depend_on(
    tmp_path: Path, llama_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = card_of(llama_gguf)
    first = DryRun(tmp_path)
    known = first.measure(card, Placement(n_ctx=512))
    first.close()

    def refuse(self: Child, module: str) -> None:
        raise AssertionError("it is known already")

    monkeypatch.setattr(Child, "__init__", refuse)
    second = DryRun(tmp_path)
    assert second.measure(card, Placement(n_ctx=512)) == known
    assert second.measure(card, Placement(n_ctx=512, repack=False)) == known  # it moves weights, and none are there
    with pytest.raises(AssertionError):
        second.measure(card, Placement(n_ctx=513))


@pytest.mark.parametrize("content", ["", "{", '{"{}": {"kv_bytes": 1}}', "[1]"])
def test_a_spoilt_cache_is_asked_anew(dry_run: DryRun, tmp_path: Path, llama_gguf: Path, content: str) -> None:
    card = card_of(llama_gguf)
    known = dry_run.measure(card, Placement(n_ctx=512))
    (kept,) = (tmp_path / "cache" / "dry-run").iterdir()
    kept.write_text(content)
    other = DryRun(tmp_path / "cache")
    assert other.measure(card, Placement(n_ctx=512)).kv_bytes == known.kv_bytes
    other.close()


def test_a_kv_type_that_does_not_divide_a_head(dry_run: DryRun) -> None:
    card = card_of(cached("llama", head_dim=16))
    with pytest.raises(UsageError, match=r"q8_0 with block size 32 does not divide n_embd_head_k=16\. Use --kv f16"):
        dry_run.measure(card, Placement(n_ctx=512, kv_type="q8_0"))
    assert dry_run.measure(card, Placement(n_ctx=512)).kv_bytes


@pytest.mark.slow  # 1.6 s
def test_a_model_that_kills_llama_cpp(dry_run: DryRun, llama_gguf: Path, tmp_path: Path) -> None:
    for when in ("load", "context"):
        with pytest.raises(ModelRefused, match=r"breaks off on .*: GGML_ASSERT\(.*\) failed\."):
            dry_run.measure(card_of(crashing(tmp_path / f"{when}.gguf", when)), Placement(n_ctx=512))  # type: ignore[arg-type]
    assert dry_run.measure(card_of(llama_gguf), Placement(n_ctx=512)).kv_bytes  # a new child has come


def test_a_model_that_llama_cpp_refuses(dry_run: DryRun, llama_gguf: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(llama_gguf.read_bytes().replace(b"blk.0.attn_q.weight", b"blk.0.attn_Q.weight"))
    with pytest.raises(ModelRefused, match="llama.cpp cannot load"):
        dry_run.measure(card_of(odd), Placement(n_ctx=512))


def test_a_child_that_was_killed_or_has_left_is_replaced(dry_run: DryRun, llama_gguf: Path) -> None:
    card = card_of(llama_gguf)
    dry_run.measure(card, Placement(n_ctx=512))
    child = dry_run._child
    assert child is not None
    child._process.kill()
    child._process.wait()
    assert dry_run.measure(card, Placement(n_ctx=768)).kv_bytes


def test_a_child_that_leaves_just_now_is_replaced(dry_run: DryRun, llama_gguf: Path) -> None:
    """Nobody had asked it for a while: it is alive when it is looked at, and gone before it is asked."""
    card = card_of(llama_gguf)
    dry_run.measure(card, Placement(n_ctx=512))
    child = dry_run._child
    assert child is not None and child.alive
    child._channel.close()
    assert dry_run.measure(card, Placement(n_ctx=768)).kv_bytes
    assert child.has_left and dry_run._child is not child


@pytest.mark.parametrize("model", ["scout", "maverick"])
def test_ten_million_tokens_of_a_ghost(dry_run: DryRun, model: str) -> None:
    """Nothing of 57 GiB and more is there, and nothing of it is read."""
    card = card_of(cached("ghost", model=model, n_ctx_train=10_485_760))
    plan = make_plan(
        card,
        prompt_tokens=0,
        wanted=Wanted(n_ctx=10_485_760),
        hardware=Hardware(Device("RAM", "ram", 1000 << 30, 1000 << 30)),
        measure=dry_run.measure,
    )
    assert plan.kv_bytes == (491_520 + 1_224) * MIB
    assert plan.compute_bytes / MIB == pytest.approx(10_347, rel=0.02)
    assert plan.estimated == ("runtime_bytes",)
    assert plan.runtime_bytes > 520 * MIB


def test_no_gpu_is_asked_for_where_llama_cpp_has_none(dry_run: DryRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.memory.dry_run.has_gpu_back_ends", lambda: False)
    assert dry_run.gpus() == () and dry_run._child is None
    monkeypatch.setattr("engine.memory.dry_run.has_gpu_back_ends", lambda: True)
    assert all(gpu.kind == "gpu" for gpu in dry_run.gpus())


def test_the_sum_of_buffers() -> None:
    assert Measured(1, (("CPU", 2), ("CUDA0", 3)), 4).compute_bytes == 5
