"""The leases that this process holds, each with a live question behind it, and the thread that renews them.

A question may check and load a model for minutes without a word; its lease is renewed all the same. A lease that could
not be given up, since the disk was full for a moment, is given up as soon as that is possible.
"""

from contextlib import suppress
from threading import Event, Lock, Thread
from time import monotonic
from typing import Protocol

from engine.errors import LongdeskError, SessionBusy

BEAT_S = 10.0  # a sixth of what makes a heartbeat stale; one that waits for another writer has as long again
RETRY_S = 1.0


class Held(Protocol):
    """What is held: a lease."""

    token: str

    def heartbeat(self) -> None: ...
    def give_up(self) -> None: ...


class Heartbeats:
    """Safe to use from several threads. Its own thread runs as long as something is held or owed."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._owed: dict[str, Held] = {}
        self._lock, self._changed = Lock(), Event()
        self._thread: Thread | None = None

    def __contains__(self, token: str) -> bool:
        """Whether the lease of this token is held by somebody of this process."""
        return token in self._held

    def hold(self, lease: Held) -> None:
        """From now on it is renewed."""
        with self._lock:
            self._held[lease.token] = lease
            self._run()

    def let_go(self, token: str) -> None:
        """Nobody holds it any more, whatever the database still says."""
        with self._lock:
            self._held.pop(token, None)
        self._changed.set()

    def owe(self, lease: Held) -> None:
        """It is to be taken out of the database when that can be written again."""
        with self._lock:
            self._owed[lease.token] = lease
            self._run()
        self._changed.set()

    def _run(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._work, name="heartbeats", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        beaten = monotonic()
        while True:
            self._changed.wait(RETRY_S if self._owed else max(0.0, beaten + BEAT_S - monotonic()))
            self._changed.clear()
            with self._lock:
                held, owed = tuple(self._held.values()), tuple(self._owed.values())
                if not held and not owed:
                    self._thread = None
                    return
            self._pay(owed)
            if monotonic() - beaten >= BEAT_S:
                beaten = monotonic()
                self._beat(held)

    def _pay(self, owed: tuple[Held, ...]) -> None:
        for lease in owed:
            with suppress(LongdeskError):  # once more in a while
                lease.give_up()
                self._owed.pop(lease.token, None)

    def _beat(self, held: tuple[Held, ...]) -> None:
        for lease in held:
            try:
                lease.heartbeat()
            except SessionBusy:  # another process has it by now: whoever holds it hears of that when it writes
                self.let_go(lease.token)
            except LongdeskError:
                pass  # the next one may get through


HEARTBEATS = Heartbeats()
