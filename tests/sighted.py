"""Asking the engine about pictures, prompt after prompt, with the logits that it samples from. In a child process.

`python -m tests.sighted`, with a job as JSON coming in. The reference, mtmd's own helper, is tests.models.look.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.corpus.source import KeptFile, digest_bytes
from engine.corpus.source import Picture as Page
from engine.gguf import read_header
from engine.memory.fingerprint import fingerprint
from engine.memory.projector import LLAMA4, read_projector
from engine.prompt.prompt import Part, Prompt, Segment
from engine.tokens.document import Shown
from engine.tokens.sight import Sight
from engine.tokens.vocabulary import read_vocabulary
from tests.errand import sent

Photo = npt.NDArray[np.uint8]  # rows of RGB


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One prompt: ids and pictures in turn, ids last. anchor: tokens up to the corpus's end, 0 for none.

    fresh: with a new engine, nothing kept of what was read before. kept: the state is saved first, and read back into
    a new engine. stop_at: cancelled once so many tokens are done; abort_at: within the batch behind so many. emptied:
    the encoder's results are deleted first.
    """

    parts: Sequence[Sequence[int] | Photo]
    anchor: int = 0
    fresh: bool = False
    kept: bool = False
    emptied: bool = False
    stop_at: int | None = None
    abort_at: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one: tokens of the prompt, reused ones, cells in use behind the reply, runs of the encoder, where
    each batch ended, and the reply. logits: behind the prompt, none where it was cancelled."""

    n_tokens: int
    reused: int
    used: int
    encoded: int
    done: list[int]
    reply: list[int]
    stop: str
    holds_projector: bool
    logits: npt.NDArray[np.float32] | None = field(default=None, compare=False)


def told(
    model: Path,
    projector: Path,
    asks: Sequence[Ask],
    *,
    separators: bool = True,
    n_ctx: int = 8_192,
    n_ubatch: int = 512,
    kv_type: str = "f16",
    max_tokens: int = 1,
    fills: bool = True,
) -> list[Told]:
    """Asks one after another. fills: whether short batches are filled up, as in the product; mtmd's helper does not."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        job = {
            **{"model": str(model), "projector": str(projector), "separators": separators, "folder": made},
            **{"n_ctx": n_ctx, "n_ubatch": n_ubatch, "kv_type": kv_type, "max_tokens": max_tokens, "fills": fills},
            "asks": [asdict(ask) | {"parts": _written(ask.parts, folder)} for ask in asks],
        }
        answers = sent("tests.sighted", job)
        rows = [np.load(path) if path.exists() else None for path in (folder / f"{at}.npy" for at in range(len(asks)))]
    return [Told(**answer, logits=row) for answer, row in zip(answers, rows, strict=True)]


def prompt_of(parts: Sequence[Sequence[int] | Photo], sight: Sight) -> Prompt:
    """The prompt that shows these pictures, as PNG files, between these ids."""
    return Prompt(tuple(_segment(part, sight) for part in parts))


def sight_of(model: Path, projector: Path, *, separators: bool = True) -> Sight:
    """What a projector makes of pictures, as the product has it."""
    facts = read_projector(projector)
    return Sight(
        model,
        projector,
        is_tiled=facts.kind == LLAMA4,
        digest=fingerprint(facts),
        side=facts.image_size,
        tile_tokens=facts.tile_tokens,
        specials=read_vocabulary(read_header(model)).specials,
        separators=separators,
    )


def _segment(part: Sequence[int] | Photo, sight: Sight) -> Segment:
    from PIL import Image as Pillow

    if not isinstance(part, np.ndarray):
        return Segment(Part.SOURCE, np.array(part, dtype=np.int32))
    png = BytesIO()
    Pillow.fromarray(part).save(png, "PNG", compress_level=1)
    height, width = part.shape[:2]
    file, picture = KeptFile("PNG", png.getvalue()), Page(1, width, height)
    view = sight.view(file, digest_bytes(file.data), picture)
    return Segment(Part.SOURCE, view.ids, shown=(Shown(0, view, picture, file),))


def _written(parts: Sequence[Sequence[int] | Photo], folder: Path) -> list[list[int] | str]:
    """Parts as JSON: pictures in files of their own."""
    named: list[list[int] | str] = []
    for part in parts:
        if isinstance(part, np.ndarray):
            path = folder / f"picture-{len(list(folder.iterdir()))}.npy"
            np.save(path, part)
            named.append(str(path))
        else:
            named.append(list(part))
    return named


class _Engine:
    """The engine, by the calls that its child makes, and a new one whenever one is asked for."""

    def __init__(self, job: dict[str, Any]) -> None:
        from engine.memory.budget import Placement
        from engine.runtime.binding import Binding
        from engine.runtime.settings import EngineSettings

        self._folder, self._max_tokens = Path(job["folder"]), job["max_tokens"]
        self._settings = EngineSettings(
            model=Path(job["model"]),
            placement=Placement(n_ctx=job["n_ctx"], n_ubatch=job["n_ubatch"], kv_type=job["kv_type"]),
            projector=Path(job["projector"]),
            embeddings=self._folder / "embeddings",
            n_threads=1,
        )
        self._sight = sight_of(Path(job["model"]), Path(job["projector"]), separators=job["separators"])
        self._binding = Binding(model="m", llama_cpp="1", kv_k="f16", kv_v="f16")
        self._model: Any = None
        if not job["fills"]:
            from engine.runtime import decoder

            decoder.filling = lambda *given, **named: 0

    def answer(self, at: int, ask: dict[str, Any]) -> Told:
        from engine.runtime import llama
        from engine.runtime.events import Finished, Prefill, Sampling
        from engine.runtime.keeping import Keeping
        from engine.runtime.pictures import pictures_of

        parts = [np.load(part) if isinstance(part, str) else part for part in ask["parts"]]
        prompt = prompt_of(parts, self._sight)
        pictures, states = pictures_of(prompt), ()
        if ask["kept"]:
            states = (self._folder / f"{at}.kv",)
            assert self._model.save(self._binding, states[0])
        if ask["emptied"]:
            for rows in (self._folder / "embeddings").iterdir():
                rows.unlink()
        if self._model is None or ask["fresh"] or ask["kept"]:
            self._open()
        rows: list[npt.NDArray[np.float32]] = []

        class Recorder(llama.Sampler):
            def sample(self, context: Any) -> int:
                got = llama.llama_cpp.llama_get_logits_ith(context, -1)
                rows.append(np.ctypeslib.as_array(got, shape=(self._n_vocab,)).copy())
                return super().sample(context)

        plain, llama.Sampler = llama.Sampler, Recorder  # type: ignore[misc]
        read_on = self._model._decoder.read_on

        def abort(ids: Any, at: int, anchor: int) -> int:
            if ask["abort_at"] is not None and at >= ask["abort_at"]:
                self._model.cancel()
            return int(read_on(ids, at, anchor))

        self._model._decoder.read_on = abort
        try:
            self._model.uncancel()
            done = []
            for event in self._model.generate(
                prompt.ids(),
                Sampling(max_tokens=self._max_tokens),
                anchor=ask["anchor"],
                keeping=Keeping(binding=self._binding, states=states),
                pictures=pictures.pictures,
                fetch=lambda picture: pictures.files[picture.file],
            ):
                if isinstance(event, Prefill):
                    done.append(event.done)
                    if ask["stop_at"] is not None and event.done >= ask["stop_at"]:
                        self._model.cancel()
        finally:
            llama.Sampler, self._model._decoder.read_on = plain, read_on  # type: ignore[misc]
        assert isinstance(event, Finished) and event.gauge is not None
        if rows:
            np.save(self._folder / f"{at}.npy", rows[0])
        held = self._settings.projector is not None and self._settings.projector.name in Path(
            "/proc/self/maps"
        ).read_text(errors="replace")
        return Told(
            prompt.n_tokens,
            event.reused_tokens,
            event.gauge.used,
            event.encoded,
            done,
            list(event.reply_ids),
            event.stop,
            held or self._model._decoder._vision._context is not None,
        )

    def _open(self) -> None:
        import llama_cpp

        from engine.runtime.llama import LlamaModel

        if self._model is not None:
            llama_cpp.llama_free(self._model._context)
        self._model = LlamaModel(self._settings, lambda share: None)


def _answers(job: dict[str, Any]) -> list[dict[str, Any]]:
    engine = _Engine(job)
    each = [asdict(engine.answer(at, ask)) for at, ask in enumerate(job["asks"])]
    return [{name: value for name, value in answer.items() if name != "logits"} for answer in each]


if __name__ == "__main__":
    json.dump(_answers(json.load(sys.stdin)), sys.stdout)
