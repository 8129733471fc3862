"""LoRA adapters at work: the engine writes what llama.cpp writes with them, and other than without."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event as Flag

import llama_cpp
import numpy as np
import pytest

from engine.errors import EngineFailed
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.events import Finished, Sampling
from engine.runtime.settings import EngineSettings
from tests.models.lora import build_lora
from tests.models.scripted import build_scripted

IDS = np.random.default_rng(0).integers(10, 2_000, 40, dtype=np.int32)
N_REPLY = 12


def written(model: Path, lora: Sequence[tuple[Path, float]], ids: np.ndarray = IDS) -> tuple[int, ...]:
    settings = EngineSettings(model=model, placement=Placement(n_ctx=256, n_ubatch=64), lora=tuple(lora), n_threads=1)
    process = EngineProcess(settings)
    try:
        prompt = Prompt((Segment(Part.QUESTION, ids),))
        *_, last = process.generate(prompt, Sampling(max_tokens=N_REPLY), cancel=Flag())
    finally:
        process.close()
    assert isinstance(last, Finished)
    return last.reply_ids


def llama_cpps_own(model: Path, lora: Path, scale: float) -> tuple[int, ...]:
    """Greedy, by the bindings' own class, which loads the adapter itself."""
    own = llama_cpp.Llama(
        str(model), lora_path=str(lora), lora_scale=scale, n_ctx=256, n_batch=64, n_ubatch=64, n_threads=1,
        verbose=False,
    )  # fmt: skip
    try:
        own.eval(IDS.tolist())
        reply: list[int] = []
        while len(reply) < N_REPLY:
            logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(own.ctx), (own.n_vocab(),))
            reply.append(int(logits.argmax()))
            own.eval(reply[-1:])
        return tuple(reply)
    finally:
        own.close()


@pytest.fixture(scope="module")
def adapters(llama_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("lora")
    one, other = (build_lora(folder / f"{seed}.gguf", llama_gguf, seed=seed) for seed in (1, 2))
    return one, other


@pytest.mark.slow  # two processes that load a model
def test_it_writes_what_llama_cpp_writes_with_it(llama_gguf: Path, adapters: tuple[Path, Path]) -> None:
    replies = [written(llama_gguf, lora) for lora in ([], [(adapters[0], 1.0)], [(adapters[0], 0.25)])]
    assert len(set(replies)) == 3
    assert replies[1:] == [llama_cpps_own(llama_gguf, adapters[0], scale) for scale in (1.0, 0.25)]


@pytest.mark.slow  # two processes that load a model
def test_several_and_their_scales(llama_gguf: Path, adapters: tuple[Path, Path]) -> None:
    one, other = adapters
    both = written(llama_gguf, [(one, 1.0), (other, 1.0)])
    assert both not in (written(llama_gguf, [(one, 1.0)]), written(llama_gguf, [(other, 1.0)]))


@pytest.mark.slow  # a process that loads a model
def test_one_that_llama_cpp_refuses_is_named(tmp_path: Path) -> None:
    """It was looked into before; a file that was changed since is not."""
    model = build_scripted(tmp_path / "m.gguf", ["Hello"], end="<|im_end|>")
    with pytest.raises(EngineFailed, match=r"cannot load the LoRA adapter .*m\.gguf"):
        written(model, [(model, 1.0)], np.array([1, 2], dtype=np.int32))
