"""Which engine answers: a GGUF on this machine (run by `local_engine`), or one on a server (see `engine.remote`)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from app.connections.keeping import opened_as
from app.local_backend import LocalBackend
from app.local_engine import LocalEngine
from app.models.places import same_model
from app.settings import Settings
from engine.backend import (
    Backend,
    IdCache,
    KeptIds,
    Makers,
    OwnTemplate,
    Part,
    Plan,
    Prompt,
    Segment,
    TemplateUse,
    Wanted,
)
from engine.errors import InputRefused, LongdeskError
from engine.memory.lora import Lora
from engine.remote.address import is_address

if TYPE_CHECKING:
    from engine.remote.backend import RemoteBackend
    from engine.remote.servers import Servers
    from engine.runtime.checkpoint import Speeds
    from storage.snapshots import Snapshots


class Engines:
    """The engines of a process, by the --model value that names them.

    index: see LocalEngine. backend: answers in place of what is named. speeds: see Keeper. named: the engines
    over HTTP that have a name now.
    """

    def __init__(
        self,
        settings: Settings,
        index: "Callable[[], Snapshots]",
        *,
        backend: Backend | None = None,
        speeds: "Speeds | None" = None,
    ) -> None:
        self.named = settings.engines
        self.local = LocalEngine(settings, index, speeds)
        self._given, self._ids = backend, IdCache(kept=KeptIds(settings.count_cache))
        self._servers: Servers | None = None
        self._settings = settings
        self._connecting = Lock()

    def backend(
        self,
        model: str,
        *,
        apart: bool = False,
        own: OwnTemplate | None = None,
        lora: Sequence[Lora] | None = None,
    ) -> Backend:
        """The engine of this name, ready to count and plan with. apart: the ids of what it counts are not kept, for
        texts that are nobody's. own: a chat template in place of the model's, where prompts are laid out here. lora:
        adapters, None for those of the settings. May be called from any thread. Raises as open does."""
        if self._given is not None:
            return self._given
        if self.is_elsewhere(model):
            self._settings.refuse_elsewhere(model)
            return self._counting(self.servers.open(*opened_as(model, self.named)))
        ids = IdCache(behind=self._ids) if apart else self._ids
        return LocalBackend(self.local.open(model, own, lora), self.local, ids)

    def template(self, model: str, own: OwnTemplate | None = None) -> TemplateUse | None:
        """See LocalEngine.template; None for an engine that lays its prompts out itself. Raises as open does."""
        return None if self._given is not None or self.is_elsewhere(model) else self.local.template(model, own)

    def makers(self, model: str, own: OwnTemplate | None = None) -> Makers | None:
        """What they say of sampling; None for an engine elsewhere. Raises as open does."""
        return None if self._given is not None or self.is_elsewhere(model) else self.local.makers(model, own)

    def _counting(self, backend: "RemoteBackend") -> Backend:
        """With the vocabulary of a file on this machine, where a server cannot count and its model is here too."""
        if backend.about.counts_exactly or backend.own_looked_for:
            return backend
        with suppress(LongdeskError):
            found = same_model(backend.file, backend.about.name, self._settings)
            try:
                if found is not None:
                    backend.count_with(self.local.open(str(found)), found.name)
            except InputRefused:  # a file that cannot be used is none
                pass
            backend.own_looked_for = True  # what failed otherwise is tried again
        return backend

    def is_elsewhere(self, model: str) -> bool:
        """Whether a --model value names an engine over HTTP."""
        return ("://" in model and is_address(model)) or any(engine.name == model for engine in self.named)

    @property
    def servers(self) -> "Servers":
        """Those that are spoken to; there from when it is first asked for."""
        from engine.corpus.formats.reader import draw
        from engine.remote.servers import Servers  # its client takes a while to import

        with self._connecting:
            if self._servers is None:
                self._servers = Servers(draw)
            return self._servers

    def plan(self, model: str, wanted: Wanted, *, prompt_tokens: int = 0, own: OwnTemplate | None = None) -> Plan:
        """The plan of any model for so many tokens. May be called from any thread. Raises as LocalEngine.plan does."""
        if not self.is_elsewhere(model):
            return self.local.plan(model, wanted, prompt_tokens=prompt_tokens, own=own)
        ids = np.zeros(prompt_tokens, dtype=np.int32)
        return self.backend(model).plan(Prompt((Segment(Part.SOURCE, ids),) if prompt_tokens else ()), wanted)

    def window(self, model: str) -> int:
        """The most tokens that a model can have. Raises as plan does."""
        return self.backend(model).about.window if self.is_elsewhere(model) else self.local.card(model).window

    def learn(self, model: str) -> Iterator[float]:
        """See SavedCaches.learn. Raises as backend does."""
        if self._given is None and not self.is_elsewhere(model):
            yield from self.local.learn(model)

    def close(self) -> None:
        """Ends the engine of this machine, and closes all connections."""
        try:
            self.local.close()
        finally:
            if self._servers is not None:
                self._servers.close()
