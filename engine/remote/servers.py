"""The servers that a process speaks to, each recognised once and looked at again from time to time: another model may
be loaded there by then."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import RLock
from time import monotonic

from engine.errors import LongdeskError
from engine.remote.address import Entered, is_address, key_for, read_address
from engine.remote.backend import RemoteBackend
from engine.remote.messages import Draw
from engine.remote.recognise import recognise

_FRESH_S = 60.0  # for so long it is taken to be what it was
_FAILED_S = 3.0  # for so long one that could not be used is not tried again: a page asks at every redraw

KeyFor = Callable[[str], str | None]


def look_at(name: str, entered: Entered | None, draw: Draw, key_for: KeyFor = key_for) -> RemoteBackend:
    """The model on the server that a --model value names, looked at now. entered: of one that has a name of its own;
    None takes the key that goes with the address. Raises as Servers.open does."""
    address = read_address(name)
    if entered is None:
        entered = Entered(key=key_for(address.base))
    else:
        remedy = entered.key_remedy or address.key_remedy
        address = replace(address, ca_file=entered.ca_file, key_remedy=remedy)
    return RemoteBackend(recognise(address, entered.key), draw, entered)


@dataclass(slots=True)
class _Known:
    """What came of looking at a server. told: what tells it from another model at the same place."""

    at: float
    backend: RemoteBackend | None = None
    error: LongdeskError | None = None
    entered: Entered | None = None

    @property
    def is_fresh(self) -> bool:
        return monotonic() - self.at < (_FRESH_S if self.error is None else _FAILED_S)


class Servers:
    """By the --model value that names them. draw: draws pictures that are sent. key_for: gives the key for a URL. Safe
    to use from several threads."""

    def __init__(self, draw: Draw, key_for: KeyFor = key_for) -> None:
        self._draw, self._key_for = draw, key_for
        self._known: dict[str, _Known] = {}
        self._lock = RLock()

    def open(self, name: str, entered: Entered | None = None) -> RemoteBackend:
        """The model on a server, ready to count and plan with. entered: see look_at. Raises UsageError, ModelRefused or
        EngineFailed, see `recognise`."""
        assert is_address(name)
        with self._lock:
            known = self._known.get(name)
            if known is None or not known.is_fresh or known.entered != entered:
                before = known.backend if known is not None else None
                if before is not None and known is not None and known.entered != entered:
                    before.close()
                    before = None  # what it was is another's: of another key, say
                known = self._known[name] = self._looked_at(name, entered, before)
            if known.backend is None:
                assert known.error is not None
                raise known.error
            return known.backend

    def close(self) -> None:
        """Closes all connections."""
        with self._lock:
            for known in self._known.values():
                if known.backend is not None:
                    known.backend.close()
            self._known.clear()

    def _looked_at(self, name: str, entered: Entered | None, before: RemoteBackend | None) -> _Known:
        """before: what it was; it stays as long as it says the same of itself, with what it has counted."""
        try:
            found = look_at(name, entered, self._draw, self._key_for)
        except LongdeskError as error:
            if before is not None:
                before.close()
            return _Known(monotonic(), error=error, entered=entered)
        if before is not None and before.said == found.said:
            found.close()
            return _Known(monotonic(), before, entered=entered)
        if before is not None:
            before.close()
        return _Known(monotonic(), found, entered=entered)
