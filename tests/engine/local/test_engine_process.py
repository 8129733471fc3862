"""The engine in its child process, on real models: reuse, cancelling, dying, and KV states that cannot be trusted."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import numpy as np
import psutil
import pytest

from engine.errors import EngineDied, EngineFailed
from engine.local.process import EngineProcess, SavedState
from engine.memory.budget import Placement
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.binding import Binding
from engine.runtime.checkpoint import Speeds
from engine.runtime.events import Event, Finished, Loading, Prefill, Remark, Sampling, Stop, Text
from engine.runtime.keeping import Keeping
from engine.runtime.settings import EngineSettings
from tests.models import broken
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT
from tests.models.shape import ONE_HEAD

GREEDY = Sampling(max_tokens=8)
SMALL: dict[str, dict[str, Any]] = {"scout": {**SMALL_SCOUT, **ONE_HEAD}, "gemma3": {}}
BINDING = Binding(model="m", llama_cpp="1", kv_k="f16", kv_v="f16")


def prompt_of(ids: list[int] | np.ndarray) -> Prompt:
    return Prompt((Segment(Part.SOURCE, np.asarray(ids, dtype=np.int32)),))


def asking(corpus: np.ndarray, question: np.ndarray) -> Prompt:
    return Prompt((Segment(Part.SOURCE, corpus), Segment(Part.QUESTION, question)))


def random_ids(n_tokens: int, *, seed: int = 0, n_vocab: int = 2_000) -> np.ndarray:
    return np.random.default_rng(seed).integers(10, n_vocab, n_tokens, dtype=np.int32)


def run(model: EngineProcess, ids: np.ndarray, sampling: Sampling = GREEDY, cancel: Flag | None = None) -> list[Event]:
    return list(model.generate(prompt_of(ids), sampling, cancel=cancel or Flag()))


def end_of(events: list[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last


@pytest.fixture
def llama(llama_gguf: Path) -> Iterator[EngineProcess]:
    model = EngineProcess(EngineSettings(model=llama_gguf, placement=Placement(n_ctx=4096, n_ubatch=256)))
    yield model
    model.close()


@pytest.fixture
def scout() -> Iterator[EngineProcess]:
    model = EngineProcess(EngineSettings(model=cached("scout", **SMALL["scout"]), placement=Placement(n_ctx=20_480)))
    yield model
    model.close()


def test_events_come_in_order_and_add_up(llama: EngineProcess) -> None:
    ids = random_ids(700)
    events = run(llama, ids)
    assert isinstance(events[0], Loading)
    prefills = [event for event in events if isinstance(event, Prefill)]
    assert [event.done for event in prefills] == [0, 256, 512, 700]
    assert {(event.total, event.reused) for event in prefills} == {(700, 0)}
    end = end_of(events)
    assert end.prompt_tokens == 700 and end.reused_tokens == 0
    assert end.stop in (Stop.LENGTH, Stop.END) and len(end.reply_ids) <= 8
    assert end.load_s > 0 and 0 < end.prefill_s <= end.ttft_s
    texts = [event for event in events if isinstance(event, Text)]
    assert [event.n_tokens for event in texts] == sorted(event.n_tokens for event in texts)


@pytest.mark.slow  # 1.4 s
def test_a_follow_up_decodes_its_own_tokens_and_one(llama: EngineProcess) -> None:
    ids = random_ids(600)
    first = end_of(run(llama, ids))
    longer = np.concatenate([ids, first.reply_ids, random_ids(100, seed=1)]).astype(np.int32)
    llama.settle(Flag())
    second = end_of(run(llama, longer))
    # the reply's last token was sampled but not decoded when the limit ended it
    assert second.reused_tokens == 600 + len(first.reply_ids) - (first.stop is Stop.LENGTH)
    fresh = EngineProcess(llama.settings)
    assert end_of(run(fresh, longer)).reply_ids == second.reply_ids
    fresh.close()


def test_the_same_prompt_again_decodes_one_token(llama: EngineProcess) -> None:
    ids = random_ids(600)
    first, second = end_of(run(llama, ids)), end_of(run(llama, ids))
    assert second.reused_tokens == 599
    assert second.reply_ids == first.reply_ids


@pytest.mark.slow  # 8.1 s
def test_a_rewind_across_chunks_answers_as_a_fresh_run(scout: EngineProcess) -> None:
    """Going back to the middle of Llama 4's first chunk after the windowed cells moved on: re-decode from its start."""
    ids = random_ids(18_000)
    run(scout, ids, Sampling(max_tokens=1))
    edited = np.concatenate([ids[:9_000], random_ids(500, seed=2)]).astype(np.int32)
    again = end_of(run(scout, edited, Sampling(max_tokens=4)))
    assert again.reused_tokens == 8_192
    fresh = EngineProcess(scout.settings)
    assert end_of(run(fresh, edited, Sampling(max_tokens=4))).reply_ids == again.reply_ids
    fresh.close()


def test_cancelling_in_prefill_stops_it_and_keeps_what_was_read(scout: EngineProcess) -> None:
    ids = random_ids(18_000)
    cancel, done = Flag(), 0
    for event in scout.generate(prompt_of(ids), GREEDY, cancel=cancel):
        if isinstance(event, Prefill):
            done = event.done
            if done >= 2_000:  # and the next batch is under way
                cancel.set()
    assert isinstance(event, Finished) and event.stop is Stop.CANCELLED and event.reply_ids == ()
    assert 2_000 <= done < 18_000
    again = end_of(run(scout, ids[:2_000], Sampling(max_tokens=1)))
    assert again.reused_tokens == 1_999


@pytest.mark.slow  # 1.6 s
def test_cancelling_in_generation_keeps_the_reply_so_far(starter_gguf: Path) -> None:
    model = EngineProcess(EngineSettings(model=starter_gguf, placement=Placement(n_ctx=2048)))
    cancel = Flag()
    ids, end = random_ids(50), None
    for event in model.generate(prompt_of(ids), Sampling(max_tokens=1500, temperature=2.0, seed=1), cancel=cancel):
        if isinstance(event, Text):
            cancel.set()
        end = event
    model.close()
    assert isinstance(end, Finished) and end.stop in (Stop.CANCELLED, Stop.END)
    assert 0 < len(end.reply_ids) < 1500


def test_a_seed_repeats_and_another_differs(llama: EngineProcess) -> None:
    ids = random_ids(100)
    run(llama, ids)  # the first one decodes in another batch shape, which moves logits in their last digits
    seeded = [Sampling(max_tokens=12, temperature=1.5, top_p=1.0, min_p=0.0, seed=seed) for seed in (7, 7, 8)]
    replies = [end_of(run(llama, ids, sampling)).reply_ids for sampling in seeded]
    assert replies[0] == replies[1] != replies[2]


def test_a_reply_stops_where_the_cache_is_full(llama_gguf: Path) -> None:
    model = EngineProcess(EngineSettings(model=llama_gguf, placement=Placement(n_ctx=256)))
    end = end_of(run(model, random_ids(250), Sampling(max_tokens=100, temperature=1.5, seed=3)))
    model.close()
    assert end.stop in (Stop.LENGTH, Stop.END) and len(end.reply_ids) <= 7


@pytest.mark.slow  # 1.0 s
def test_whoever_stops_listening_stops_the_engine(llama: EngineProcess) -> None:
    events = llama.generate(prompt_of(random_ids(3_000)), Sampling(max_tokens=900), cancel=Flag())
    next(event for event in events if isinstance(event, Prefill))
    events.close()
    assert end_of(run(llama, random_ids(3_000))).stop is not Stop.CANCELLED


def test_a_killed_child_is_a_clear_error_and_the_next_question_starts_a_new_one(llama: EngineProcess) -> None:
    run(llama, random_ids(100))
    killed = llama.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(EngineDied, match="killed from outside"):
        run(llama, random_ids(100))
    end = end_of(run(llama, random_ids(100)))
    assert end.stop is not Stop.ERROR and llama.pid not in (None, killed)
    assert not psutil.pid_exists(killed)


@pytest.mark.parametrize("when", ["load", "context", "decode"])
def test_a_model_that_crashes_llama_cpp_ends_only_the_child(when: str, tmp_path: Path) -> None:
    path = broken.crashing(tmp_path / "crashing.gguf", when)  # type: ignore[arg-type]
    model = EngineProcess(EngineSettings(model=path, placement=Placement(n_ctx=512)))
    with pytest.raises((EngineDied, EngineFailed)) as caught:
        run(model, random_ids(20))
    model.close()
    assert "Traceback" not in str(caught.value)


@pytest.mark.slow  # 1.1 s
def test_a_load_that_failed_fails_the_same_way_again(tmp_path: Path, llama_gguf: Path) -> None:
    model = EngineProcess(EngineSettings(model=tmp_path / "gone.gguf", placement=Placement(n_ctx=512)))
    for _ in range(2):
        with pytest.raises(EngineFailed, match="cannot load"):
            run(model, random_ids(20))
        assert model.pid is None


@pytest.mark.slow  # 1.2 s
def test_whoever_stops_listening_while_it_loads_is_no_trouble_to_the_next(llama: EngineProcess) -> None:
    events = llama.generate(prompt_of(random_ids(50)), GREEDY, cancel=Flag())
    assert isinstance(next(events), Loading)
    events.close()
    assert end_of(run(llama, random_ids(50))).stop is not Stop.ERROR


@pytest.mark.slow  # 1.1 s
def test_closing_twice_and_asking_again_is_fine(llama: EngineProcess) -> None:
    run(llama, random_ids(50))
    llama.close()
    llama.close()
    assert end_of(run(llama, random_ids(50))).load_s > 0


@pytest.mark.slow  # 5.5 s
@pytest.mark.parametrize("which", ["llama", "scout", "gemma3"])
def test_a_kv_state_on_disk_is_as_good_as_the_live_cache(which: str, tmp_path: Path) -> None:
    settings = EngineSettings(model=cached(which, **SMALL.get(which, {})), placement=Placement(n_ctx=4096))
    ids = random_ids(1_500)
    model = EngineProcess(settings)
    first = end_of(run(model, ids))
    saved = model.save(BINDING, tmp_path / "state.kv")
    model.close()
    assert saved is not None and saved.n_bytes == (tmp_path / "state.kv").stat().st_size
    assert (tmp_path / "state.kv").stat().st_mode & 0o077 == 0
    # batches under 64 tokens take another path through ggml's attention, whose last digits differ
    longer = np.concatenate([ids, first.reply_ids, random_ids(100, seed=4)]).astype(np.int32)
    model.keep(Keeping(binding=BINDING, states=(saved.path,)))
    restored = end_of(run(model, longer))
    model.close()
    model.keep(None)
    fresh = end_of(run(model, longer))
    model.close()
    assert restored.reused_tokens == len(saved.ids) >= 1_500
    assert restored.reply_ids == fresh.reply_ids and fresh.reused_tokens == 0


@pytest.mark.slow  # 1.5 s
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "another"}, "made with another model file"),
        ({"kv_k": "q8_0"}, "made with another KV type"),
        ({"llama_cpp": "0.0.1"}, "made with another version of llama.cpp"),
    ],
)
def test_a_state_of_something_else_is_not_used(
    llama: EngineProcess, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    ids = random_ids(800)
    run(llama, ids)
    saved = llama.save(BINDING, tmp_path / "state.kv")
    assert saved is not None
    llama.close()
    llama.keep(Keeping(binding=replace(BINDING, **change), states=(saved.path,)))  # type: ignore[arg-type]
    events = run(llama, ids)
    assert end_of(events).reused_tokens == 0
    assert [words in event.text for event in events if isinstance(event, Remark)] == [True]


@pytest.mark.slow  # 6.2 s
@pytest.mark.parametrize(("which", "n_corpus"), [("gemma3", 2_000), ("scout", 9_000)])
def test_another_question_on_the_same_corpus_reads_the_question_only(which: str, n_corpus: int, tmp_path: Path) -> None:
    """Though the windows have moved on: their cells were copied at the corpus's end. Live, and from a file."""
    model = EngineProcess(
        EngineSettings(model=cached(which, **SMALL[which]), placement=Placement(n_ctx=n_corpus + 2_000))
    )
    corpus = random_ids(n_corpus)
    first, second, third = (asking(corpus, random_ids(n, seed=n)) for n in (900, 700, 600))
    cancel = Flag()
    list(model.generate(first, Sampling(max_tokens=40), cancel=cancel))
    saved = model.save(BINDING, tmp_path / "state.kv")
    live = end_of(list(model.generate(second, Sampling(max_tokens=8), cancel=cancel)))
    model.close()
    assert saved is not None
    model.keep(Keeping(binding=BINDING, states=(saved.path,)))
    restored = end_of(list(model.generate(third, Sampling(max_tokens=8), cancel=cancel)))
    model.close()
    model.keep(None)
    fresh = [end_of(list(model.generate(prompt, Sampling(max_tokens=8), cancel=cancel))) for prompt in (second, third)]
    model.close()
    assert live.reused_tokens == restored.reused_tokens == n_corpus
    assert [live.reply_ids, restored.reply_ids] == [end.reply_ids for end in fresh]


@pytest.mark.slow  # 3.7 s
def test_checkpoints_of_a_long_prefill(tmp_path: Path) -> None:
    """A child that is killed in a prefill costs what it read since its last checkpoint, and no more."""
    slow = Speeds(tokens_per_s=100.0)
    model = EngineProcess(EngineSettings(model=cached("scout", **SMALL["scout"]), placement=Placement(n_ctx=16_384)))
    saved: list[SavedState] = []
    keeping = Keeping(binding=BINDING, checkpoint=tmp_path / "c", checkpoint_bytes=1 << 30, speeds=slow)
    model.keep(keeping, saved.append)
    ids = random_ids(12_000)
    with pytest.raises(EngineDied):
        for event in model.generate(prompt_of(ids), Sampling(max_tokens=1), cancel=Flag()):
            if isinstance(event, Prefill) and event.done >= 8_400:
                assert model.pid is not None
                os.kill(model.pid, signal.SIGKILL)
    assert [len(one.ids) for one in saved] == list(range(1_024, 8_193, 1_024))
    assert all(one.path.exists() for one in saved)
    last = saved[-1]
    assert np.array_equal(last.ids, ids[: len(last.ids)])
    model.keep(replace(keeping, states=(last.path,)), saved.append)
    assert end_of(run(model, ids)).reused_tokens == len(last.ids)
    model.close()


@pytest.mark.slow  # 1.6 s
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_state_file_that_is_cut_short_is_not_used(llama: EngineProcess, tmp_path: Path, share: float) -> None:
    ids = random_ids(800)
    reply = end_of(run(llama, ids)).reply_ids
    saved = llama.save(BINDING, tmp_path / "state.kv")
    assert saved is not None
    os.truncate(saved.path, int(saved.n_bytes * share))
    llama.close()
    llama.keep(Keeping(binding=BINDING, states=(saved.path,)))
    events = run(llama, ids)
    end = end_of(events)
    assert end.reused_tokens == 0 and end.reply_ids == reply
    assert [event.text for event in events if isinstance(event, Remark)][0].startswith("A kept KV state was not used: ")


@pytest.mark.slow  # 1.7 s
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.9999])
def test_a_state_file_with_a_flipped_byte_is_not_used(llama: EngineProcess, tmp_path: Path, share: float) -> None:
    ids = random_ids(800)
    reply = end_of(run(llama, ids)).reply_ids
    saved = llama.save(BINDING, tmp_path / "state.kv")
    assert saved is not None
    with saved.path.open("r+b") as file:
        file.seek(int(saved.n_bytes * share))
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0xFF]))
    llama.close()
    llama.keep(Keeping(binding=BINDING, states=(saved.path,)))
    events = run(llama, ids)
    end = end_of(events)
    assert end.reused_tokens == 0 and end.reply_ids == reply
    assert [event.text for event in events if isinstance(event, Remark)][0].startswith("A kept KV state was not used: ")


@pytest.mark.slow  # 1.4 s
def test_a_failure_of_the_child_is_raised_at_once_and_the_next_question_is_answered(llama: EngineProcess) -> None:
    run(llama, random_ids(100))
    with pytest.raises(EngineFailed, match="is full"):
        run(llama, random_ids(5_000))
    assert end_of(run(llama, random_ids(100))).stop is not Stop.ERROR


def test_saving_in_mid_answer_waits_for_the_answer_and_saves(llama: EngineProcess, tmp_path: Path) -> None:
    events = llama.generate(prompt_of(random_ids(300)), Sampling(max_tokens=20), cancel=Flag())
    next(event for event in events if isinstance(event, Prefill))
    assert llama.save(BINDING, tmp_path / "state.kv") is not None
    events.close()
    assert end_of(run(llama, random_ids(300))).stop is not Stop.ERROR


def test_saving_where_nothing_can_be_written_is_a_sentence(llama: EngineProcess) -> None:
    run(llama, random_ids(50))
    with pytest.raises(EngineFailed, match="Saving failed"):
        llama.save(BINDING, Path("/proc/longdesk/state.kv"))
