"""The engine as one question has it: it is made sure of which model it is before a kept KV state is used."""

from collections.abc import Iterator
from threading import Event as Flag

from app.engines import Engines
from engine.analyst import Case
from engine.local.opened import OpenModel
from engine.prompt.layout import Prompt
from engine.runtime.model import Checking, Event, Remark, Sampling


class LentModel:
    """A Model for one session's question. `engines` starts it, and keeps it running afterwards."""

    def __init__(self, engines: Engines, opened: OpenModel, case: Case, session_id: str) -> None:
        self._engines, self._opened, self._case, self._session_id = engines, opened, case, session_id

    def generate(self, prompt: Prompt, sampling: Sampling, *, cancel: Flag) -> Iterator[Event]:
        """See Model.generate. Cancelled while the model's files are read, it uses nothing that hangs on them."""
        for share in self._engines.keeper.finder.prove(self._opened, self._case.plan, prompt):
            yield Checking(share)
            if cancel.is_set():
                break
        engine = self._engines.ready(self._opened, self._case.plan, self._session_id, prompt)
        yield from map(Remark, self._engines.remarks)
        yield from engine.generate(prompt, sampling, cancel=cancel)

    def close(self) -> None:
        """Nothing to end: the engine serves the next question too."""
