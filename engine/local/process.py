"""llama.cpp in a process of its own, as the rest of Longdesk drives it: the parent's side of `runtime.worker`."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import numpy as np

from engine.child import MODEL_SUSPECT, Child, Frame
from engine.errors import EngineDied, EngineFailed
from engine.prompt.prompt import Prompt
from engine.runtime.binding import Binding
from engine.runtime.events import (
    Checkpoint,
    Event,
    Evidence,
    Finished,
    Gauge,
    Loading,
    Remark,
    Sampling,
    Stop,
    event_from,
)
from engine.runtime.keeping import Keeping
from engine.runtime.manner import Manner
from engine.runtime.pictures import pictures_of
from engine.runtime.quotes.evidence import LOWEST
from engine.runtime.quotes.text import Documents
from engine.runtime.settings import EngineSettings
from engine.tokens.document import Ids
from engine.watching import EnginePatience, Patience

_LAST = ("finished", "failed", "quoted", "settled")  # the child's last word on what can be cancelled
_POLL_S = 0.05  # how soon a cancel is seen while the child is busy


@dataclass(frozen=True, slots=True)
class SavedState:
    """A KV state file and the ids that it holds."""

    path: Path
    n_bytes: int
    ids: Ids = field(repr=False)


class EngineProcess:
    """llama.cpp in a child process of its own. Not reentrant: one call at a time.

    The child starts at the first generation and again after it died. A crash in llama.cpp, or the kernel's OOM killer,
    ends the child only and is raised here as EngineDied.
    """

    def __init__(self, settings: EngineSettings, patience: EnginePatience | None = None) -> None:
        self.settings = settings
        self._patiences = patience or EnginePatience()
        self._patience = self._patiences.answering
        self._cancel = Flag()  # of the call under way
        self._stop_by = 0.0
        self._child: Child | None = None
        self._keeping: Keeping | None = None
        self._on_checkpoint: Callable[[SavedState], None] | None = None
        self._answering = False
        self._told_to_stop = False  # the child knows of the cancel
        self._told_of = ""  # the digest of what it quotes from
        self.gauge: Gauge | None = None  # as of the last event
        self.held: Ids = np.empty(0, dtype=np.int32)  # what the KV cache holds, as of the last generation

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def keep(self, keeping: Keeping | None, on_checkpoint: Callable[[SavedState], None] | None = None) -> None:
        """What the next generation may start from, and where it writes checkpoints.

        on_checkpoint hears of each of them, from within `generate`; it replaces the one before.
        """
        self._keeping, self._on_checkpoint = keeping, on_checkpoint

    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        cancel: Flag,
        documents: Documents | None = None,
        form: str | None = None,
        told: bool = False,
        manner: Manner | None = None,
    ) -> Generator[Event, None, None]:
        """Reads the prompt, reusing what the cache holds of it exactly, and samples a reply.

        documents: what will be quoted from; it is made ready beside the reading. form: the grammar that the reply is
        held to, see engine.runtime.form. told: the model is to write quotes within <quote> and </quote>, where it can
        but copy. manner: how the reply is written. Ends with Finished also when cancelled.
        Raises EngineFailed or EngineDied when the engine breaks; the next call starts a new one.
        """
        self._cancel = cancel
        load_s = yield from self._load(cancel)
        if cancel.is_set():
            yield _cancelled(prompt, load_s)
            return
        if documents is not None:
            self._tell_of(documents)
        keeping, pictures, ids = self._keeping.fields() if self._keeping else None, pictures_of(prompt), prompt.ids()
        holding = {"quotes": documents is not None, "told": told and documents is not None, "form": form}
        told_how = manner.fields() if manner is not None else None
        fields = {"do": "generate", **_places(prompt), **holding, "keeping": keeping, "pictures": pictures.fields()}
        fields["manner"] = told_how
        self._send({**fields, **asdict(sampling)}, ids.astype("<i4").tobytes())
        self._answering = True
        try:
            while True:
                frame = self._next(cancel)
                if frame.fields["event"] == "wanted":
                    self._send({"do": "file"}, pictures.files[frame.fields["file"]])
                    continue
                event = event_from(frame.fields)
                if isinstance(event, Checkpoint):
                    if self._on_checkpoint is not None:
                        self._on_checkpoint(SavedState(event.path, event.n_bytes, ids[: event.n_tokens]))
                    continue
                if not isinstance(event, Remark):
                    self.gauge = event.gauge
                if isinstance(event, Finished) and event.gauge is not None:
                    reply = np.array(event.reply_ids, dtype=np.int32)
                    self.held = np.concatenate([ids, reply])[: event.gauge.used]
                yield replace(event, load_s=load_s) if isinstance(event, Finished) else event
                if isinstance(event, Finished):
                    return
        finally:
            if self._answering and self.pid is not None:  # whoever listened has gone away: keep what was read
                self._stop()

    def _load(self, cancel: Flag) -> Generator[Loading, None, float]:
        """Starts the child where none runs; the seconds that it took."""
        if self.pid is not None:
            return 0.0
        begun, loaded = time.perf_counter(), False
        try:
            for share in self._start(cancel):
                yield Loading(share)
            loaded = True
        finally:
            if not loaded:  # it failed, or nobody waits for it any more: a half-loaded child serves nobody
                self.close()
        return time.perf_counter() - begun

    def evidence(
        self,
        ids: Ids,
        *,
        n_prompt: int,
        statements: Sequence[tuple[int, int]],
        openings: Sequence[Ids],
        question: str,
        documents: Documents,
        apart: bool = False,
        floor: float = LOWEST,
        trimmed: bool = False,
        cancel: Flag,
    ) -> Generator[Evidence | Remark, None, None]:
        """Looks for words of the documents that show the statements of the answer that was given last; see Asked.

        An Evidence for each statement that was looked at. A cancel ends it at once. Nothing where the engine is gone.
        Raises as generate does.
        """
        if self.pid is None or cancel.is_set():
            return
        self._cancel = cancel
        sizes, data = documents.packed() if apart else (None, b"")
        if not apart:
            self._tell_of(documents)
        fields = {"n_ids": len(ids), "n_prompt": n_prompt, "statements": list(statements), "question": question}
        fields |= {"openings": [opening.tolist() for opening in openings], "sizes": sizes, "floor": floor}
        fields["trimmed"] = trimmed
        self._send({"do": "evidence", **fields}, ids.astype("<i4").tobytes() + data)
        self._answering = True
        try:
            while (frame := self._next(cancel)).fields["event"] != "quoted":
                told: dict[str, Any] = dict(frame.fields)
                yield Evidence(**told) if told.pop("event") == "evidence" else Remark(**told)
        finally:
            if self._answering and self.pid is not None:
                self._stop()

    def settle(self, cancel: Flag) -> None:
        """Reads the reply that was sampled last again, while nobody waits, so that its cells in the KV cache are those
        of a prompt that is read; see LlamaModel.settle. A cancel ends it at once. Raises as generate does."""
        if self.pid is None or cancel.is_set():
            return
        self._cancel = cancel
        self._send({"do": "settle"})
        self._answering = True
        try:
            while (frame := self._next(cancel)).fields["event"] != "settled":
                pass
            self.held = np.frombuffer(frame.payload, dtype="<i4")
        finally:
            if self._answering and self.pid is not None:
                self._stop()

    def save(self, binding: Binding, path: Path) -> SavedState | None:
        """Saves the KV state; None when there is none. Raises EngineFailed when the disk refuses it."""
        if self.pid is None:
            return None
        never = self._cancel = Flag()
        self._send({"do": "save", "path": str(path), "binding": binding.fields()})
        while (frame := self._next(never)).fields["event"] != "saved":
            pass
        self.held = np.frombuffer(frame.payload, dtype="<i4")
        return SavedState(path, frame.fields["n_bytes"], self.held)

    def close(self) -> None:
        """Ends the child and frees its memory."""
        if self._child is not None:
            self._child.close()
            self._child = self.gauge = None
            self.held = self.held[:0]

    def _stop(self) -> None:
        """Cancels the generation under way and waits until the child is free again; one that never is, is ended."""
        child, stopping = self._living(), self._patiences.stopping
        end = time.monotonic() + max(stopping.still_s, stopping.silent_s)
        try:
            child.send({"do": "cancel"}, patience=lambda: stopping)
            while time.monotonic() < end:
                frame = child.receive(_POLL_S, patience=lambda: stopping)
                if frame is not None and frame.fields["event"] == "wanted":
                    child.send({"do": "cancel"}, patience=lambda: stopping)  # in place of the file
                if frame is not None and frame.fields["event"] in _LAST:
                    self._answering = False
                    return
        except EngineDied:
            pass
        self.close()

    def _start(self, cancel: Flag) -> Iterator[float]:
        """Starts the child and loads the model; yields the share loaded. A cancel ends the child."""
        self.close()
        self._child = Child("engine.runtime.worker")
        self._told_of = ""
        self._send({"do": "load", **self.settings.fields()})
        while not cancel.is_set():
            frame = self._heard()
            if frame is not None and frame.fields["event"] == "loaded":
                return
            if frame is not None:
                yield float(frame.fields["share"])
        self.close()

    def _next(self, cancel: Flag) -> Frame:
        """What the child says next, a cancel passed on once. Raises EngineFailed when it fails, EngineDied when it
        dies."""
        while True:
            if cancel.is_set() and not self._told_to_stop:
                self._told_to_stop = True
                stopping = self._patiences.stopping
                self._stop_by = time.monotonic() + max(stopping.still_s, stopping.silent_s)
                self._send({"do": "cancel"})
            if self._told_to_stop and time.monotonic() > self._stop_by:
                child, self._child = self._living(), None
                raise child.given_up(self._patiences.stopping, self._patiences.stopping.silent_s)
            if (frame := self._heard()) is not None:
                return frame

    def _heard(self) -> Frame | None:
        """What the child says within a moment, if anything. Raises as _next does."""
        child = self._living()
        try:
            frame = child.receive(_POLL_S, patience=self._now)
        except EngineDied:
            self._child = None
            raise
        if frame is None:
            return None
        event = frame.fields["event"]
        if event == "looking":
            child.suspect = self._projector_suspect(frame.fields["name"])
            return None
        if event != "wanted":
            child.suspect = MODEL_SUSPECT
        if event in _LAST:
            self._answering = False
        if event == "failed":
            raise EngineFailed(frame.fields["fact"], frame.fields["remedy"])
        return frame

    def _now(self) -> Patience:
        """How long is waited now: who was told to stop has less time."""
        return self._patiences.stopping if self._cancel.is_set() else self._patience

    def _projector_suspect(self, picture: str) -> str:
        name = self.settings.projector.name if self.settings.projector else "?"
        return (
            f"the projector {name} is one that llama.cpp cannot run, or {picture} cannot be drawn: name another mmproj "
            "file with --mmproj, or leave the image out"
        )

    def _send(self, fields: dict[str, Any], payload: bytes = b"") -> None:
        if fields["do"] in ("load", "generate", "evidence", "settle", "save"):
            self._told_to_stop = False
            self._patience = self._patiences.of(fields["do"])
        try:
            self._living().send(fields, payload, patience=self._now)
        except EngineDied:
            self._child = None
            raise

    def _tell_of(self, documents: Documents) -> None:
        """Gives the child what it is to quote from, once."""
        if documents.digest != self._told_of:
            sizes, data = documents.packed()
            self._send({"do": "sources", "sizes": sizes}, data)
            self._told_of = documents.digest

    def _living(self) -> Child:
        if self._child is None:
            raise EngineDied("The engine's process is gone.", "Ask again: a new engine starts.")
        return self._child


def _places(prompt: Prompt) -> dict[str, int]:
    return {"anchor": prompt.corpus_end, "n_begun": prompt.n_begun}


def _cancelled(prompt: Prompt, load_s: float) -> Finished:
    return Finished(
        stop=Stop.CANCELLED,
        reply_ids=(),
        prompt_tokens=prompt.n_tokens,
        reused_tokens=0,
        load_s=load_s,
        restore_s=0.0,
        prefill_s=0.0,
        ttft_s=0.0,
        generate_s=0.0,
    )
