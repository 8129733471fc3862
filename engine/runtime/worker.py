"""The engine's child process: `python -m engine.runtime.worker IN OUT`. Serves one LlamaModel until its parent is gone.

A thread reads the pipe all the time, so that a cancel arrives in the middle of a decode and the parent's death, which
closes the pipe, ends this process at once.
"""

import os
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any

import numpy as np

from engine.child import Channel, Frame, channel_of_child, leave_amx_alone, offer_to_oom_killer
from engine.errors import EngineFailed, why
from engine.runtime.binding import binding_from
from engine.runtime.events import Checkpoint, Sampling
from engine.runtime.keeping import keeping_from
from engine.runtime.llama import LlamaModel
from engine.runtime.manner import manner_from
from engine.runtime.pictures import Picture, pictures_from
from engine.runtime.quotes.index import IndexToCome, QuoteIndex
from engine.runtime.quotes.text import documents_from
from engine.runtime.quotes.writing import Asked
from engine.runtime.settings import settings_from

_POLL_S = 0.05


class Worker:
    """The state of the child: its channel, the model once loaded, and the calls that wait."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._model: LlamaModel | None = None
        self._calls: SimpleQueue[Frame] = SimpleQueue()
        self._files: SimpleQueue[bytes | None] = SimpleQueue()  # None: nobody waits for it any more
        self._index = IndexToCome(())  # of what was sent
        self._file: tuple[int, bytes] | None = None  # the one that came last, and its number

    def serve(self) -> None:
        """Runs until the parent closes the pipe; the reading thread then ends the process."""
        Thread(target=self._read, daemon=True).start()
        while True:
            call = self._calls.get()
            try:
                self._answer(call)
            except EngineFailed as error:
                self._channel.send({"event": "failed", "fact": error.fact, "remedy": error.remedy})
            except OSError as error:
                self._channel.send({"event": "failed", "fact": f"Saving failed: {why(error)}.", "remedy": ""})

    def _read(self) -> None:
        while (frame := self._channel.receive()) is not None:
            if frame.fields["do"] == "cancel":
                if self._model is not None:
                    self._model.cancel()
                self._files.put(None)
                continue
            if frame.fields["do"] == "file":
                self._files.put(frame.payload)
                continue
            if frame.fields["do"] == "sources":
                self._index = IndexToCome(documents_from(frame.fields["sizes"], frame.payload))
                continue
            if frame.fields["do"] in ("generate", "evidence", "settle") and self._model is not None:
                self._model.uncancel()  # here, in the order of the pipe: a cancel that follows must not be lost
            self._calls.put(frame)
        os._exit(0)  # no cleaning up: a decode may be running in the other thread

    def _answer(self, call: Frame) -> None:
        match call.fields.pop("do"):
            case "load":
                self._load(call)
            case "generate":
                self._generate(call)
            case "evidence":
                self._quote(call)
            case "settle":
                self._loaded().settle()
                self._channel.send({"event": "settled"}, self._loaded().cached_ids.astype("<i4").tobytes())
            case "save":
                self._save(Path(call.fields["path"]), call.fields["binding"])

    def _load(self, call: Frame) -> None:
        sent_at = 0.0

        def on_load(share: float) -> None:
            nonlocal sent_at
            if perf_counter() - sent_at > 0.1:
                sent_at = perf_counter()
                self._channel.send({"event": "loading", "share": share})

        self._model = LlamaModel(settings_from(call.fields), on_load)
        self._channel.send({"event": "loaded", "n_ctx": self._model.n_ctx})

    def _generate(self, call: Frame) -> None:
        model = self._loaded()
        anchor, keeping = call.fields.pop("anchor"), call.fields.pop("keeping")
        n_begun, form = call.fields.pop("n_begun"), call.fields.pop("form")
        quotes, is_told = call.fields.pop("quotes"), call.fields.pop("told")
        pictures, manner = pictures_from(call.fields.pop("pictures")), call.fields.pop("manner")
        self._file = None
        while not self._files.empty():
            self._files.get()
        events = model.generate(
            np.frombuffer(call.payload, dtype="<i4"),
            Sampling(**{**call.fields, "stops": tuple(call.fields["stops"])}),
            anchor=anchor,
            keeping=keeping_from(keeping) if keeping else None,
            pictures=pictures,
            fetch=self._fetch,
            n_begun=n_begun,
            form=form,
            quotes=quotes,
            held_to=(lambda: self._built(self._index)) if is_told else None,
            manner=manner_from(manner) if manner else None,
        )
        for event in events:
            fields = asdict(event)
            if isinstance(event, Checkpoint):
                fields["path"] = str(event.path)
            self._channel.send({"event": type(event).__name__.lower(), **fields})

    def _fetch(self, picture: Picture) -> bytes | None:
        """The file that a picture is drawn from: the parent has it, and hears what is looked at if this crashes."""
        self._channel.send({"event": "looking", "name": picture.name})
        if self._file is None or self._file[0] != picture.file:
            self._channel.send({"event": "wanted", "file": picture.file})
            data = self._files.get()
            if data is None:
                return None
            self._file = picture.file, data
        return self._file[1]

    def _quote(self, call: Frame) -> None:
        """Looks for evidence; says so when that is over."""
        model, fields = self._loaded(), call.fields
        n_bytes, sizes, to_come = 4 * fields["n_ids"], fields["sizes"], self._index
        if sizes is not None:  # it is looked for in sources of its own
            to_come = IndexToCome(documents_from(sizes, call.payload[n_bytes:]))
        asked = Asked(
            ids=np.frombuffer(call.payload[:n_bytes], dtype="<i4"),
            n_prompt=fields["n_prompt"],
            statements=[(start, end) for start, end in fields["statements"]],
            question=fields["question"],
            openings=[np.array(ids, dtype=np.int32) for ids in fields["openings"]],
            apart=sizes is not None,
            floor=fields["floor"],
            trimmed=fields["trimmed"],
        )
        index = self._built(to_come)
        for event in model.evidence(asked, index) if index is not None else ():
            self._channel.send({"event": type(event).__name__.lower(), **asdict(event)})
        self._channel.send({"event": "quoted"})

    def _built(self, to_come: IndexToCome) -> QuoteIndex | None:
        """Waits for an index; None where it was cancelled."""
        index, model = None, self._loaded()
        while index is None and not model.cancelled:
            index = to_come.wait(_POLL_S)
        return index

    def _save(self, path: Path, binding: dict[str, Any]) -> None:
        model = self._loaded()
        n_bytes = model.save(binding_from(binding), path)
        self._channel.send({"event": "saved", "n_bytes": n_bytes}, model.cached_ids.astype("<i4").tobytes())

    def _loaded(self) -> LlamaModel:
        if self._model is None:
            raise EngineFailed("The engine has no model loaded.")
        return self._model


if __name__ == "__main__":
    offer_to_oom_killer()
    leave_amx_alone()
    Worker(channel_of_child()).serve()
