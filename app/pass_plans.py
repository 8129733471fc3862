"""How sessions would be read in passes, worked out in threads: the page never waits for a plan.

One thread a session; where what it is asked for changes meanwhile, it begins anew, and what it came to is dropped.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Lock, Thread
from time import monotonic

from app.passes.outline import Outline
from engine.errors import LongdeskError

_LOG = logging.getLogger(__name__)
_KEPT = 16
_RETRY_S = 5.0
_PATIENCE_S = 10.0  # how long the end of the program waits for what is being worked out
_MISTAKE = "The plan of passes broke off because of a mistake in Longdesk; the program's log says where."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is known of a plan of passes. outline: None until it is there, and where there is none: error says why then.

    is_ready: nothing more comes. is_old: it is of the session as it was before its last change, or an error that may be
    gone by now.
    """

    outline: Outline | None = None
    error: LongdeskError | None = None
    is_ready: bool = False
    is_old: bool = False


Plan = Callable[[str, int | None], Iterator[Outline]]
Slot = tuple[str, int | None]


class PassPlans:
    """The last plans of this process. Safe to use from several threads."""

    def __init__(self, plan: Plan, *, retry_s: float = _RETRY_S) -> None:
        """plan: of a session by its id, and of the turn of this index that goes on; None for its next question.
        retry_s: for how long an error is told before it is tried again."""
        self._plan, self._retry_s = plan, retry_s
        self._told: dict[Slot, float] = {}  # errors that were told, and until when they are told again
        self._kept: OrderedDict[Slot, tuple[Hashable, Outlook]] = OrderedDict()
        self._wanted: dict[Slot, Hashable] = {}
        self._busy: dict[Slot, Thread] = {}
        self._lock = Lock()

    def of(self, session_id: str, key: Hashable, *, resumed: int | None = None) -> Outlook:
        """What is known by now; a thread finds out the rest. key: all that the plan hangs on."""
        slot = (session_id, resumed)
        with self._lock:
            kept_key, outlook = self._kept.get(slot, (None, Outlook()))
            if kept_key == key and not self._is_due(slot, outlook):
                self._kept.move_to_end(slot)
                return outlook
            self._wanted[slot] = key
            if slot not in self._busy:
                self._busy[slot] = Thread(target=self._run, args=(slot,), name=f"passes-{session_id}", daemon=True)
                self._busy[slot].start()
        return replace(outlook, is_ready=False, is_old=outlook.outline is not None or outlook.error is not None)

    def _is_due(self, slot: Slot, outlook: Outlook) -> bool:
        """Whether it is to be tried again: memory, or a file, that was missing then may be there by now."""
        if outlook.error is None:
            self._told.pop(slot, None)
            return False
        now = monotonic()
        return now > self._told.setdefault(slot, now + self._retry_s)

    def last(self, session_id: str, *, resumed: int | None = None) -> Outlook:
        """As it was known last, without finding out anything."""
        with self._lock:
            _, outlook = self._kept.get((session_id, resumed), (None, Outlook()))
        return replace(outlook, is_ready=True)

    def is_busy(self, session_id: str) -> bool:
        """Whether something of a session is being worked out."""
        with self._lock:
            return any(slot[0] == session_id for slot in self._busy)

    def close(self) -> None:
        """Gives up what is being worked out."""
        with self._lock:
            self._wanted.clear()
            busy = list(self._busy.values())
        for thread in busy:
            thread.join(_PATIENCE_S)

    def _run(self, slot: Slot) -> None:
        while True:
            with self._lock:
                key = self._wanted.get(slot)
                if key is None:
                    del self._busy[slot]
                    return
            self._find_out(slot, key)
            with self._lock:
                if self._wanted.get(slot) == key:
                    del self._wanted[slot]

    def _find_out(self, slot: Slot, key: Hashable) -> None:
        outlook = Outlook()
        try:
            with closing(self._plan(*slot)) as outlines:  # type: ignore[type-var]
                for outline in outlines:
                    outlook = Outlook(outline=outline, is_ready=outline.is_sure)
                    if not self._put(slot, key, outlook):
                        return
        except LongdeskError as error:
            outlook = Outlook(error=error)
        except Exception:  # a bug: the page goes on, and says so
            _LOG.exception("Planning passes for session %s broke off", slot[0])
            outlook = Outlook(error=LongdeskError(_MISTAKE))
        self._put(slot, key, replace(outlook, is_ready=True))

    def _put(self, slot: Slot, key: Hashable, outlook: Outlook) -> bool:
        """Keeps it; False where something else is wanted by now."""
        with self._lock:
            if self._wanted.get(slot) != key:
                return False
            self._told.pop(slot, None)
            self._kept[slot] = (key, outlook)
            self._kept.move_to_end(slot)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return True
