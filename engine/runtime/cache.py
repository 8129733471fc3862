"""The KV cache of one sequence: which ids it holds, how far it can go back exactly, and what it is restored from.

llama.cpp's own word on rewinding is never asked (see `prefix`). All is counted in ids, a cell each; llama.cpp alone is
told their positions (see `positions`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from engine.memory.hardware import ram
from engine.runtime.binding import Binding
from engine.runtime.chain import BLOCK
from engine.runtime.events import Remark
from engine.runtime.positions import Positions
from engine.runtime.prefix import Attention, CacheShape, Rewind, keepable, rewind_to
from engine.runtime.recurrence import Recurrence
from engine.runtime.slots import Slots
from engine.runtime.snapshot import load_state, save_state
from engine.runtime.state_file import Promise, Unusable, is_loss, promise
from engine.runtime.window import SIDE, Window, size_of_window, take_window
from engine.tokens.document import Ids, common_prefix

_SHARE_OF_RAM = 1 / 4  # of what is free, that a copy of windows may take


class KvCache:
    """Sequence 0 of a context. Not thread-safe.

    positions: where the ids of the prompt stand that is read, and so those of the cache that are the same. n_read: of
    the ids, those from the first on whose cells a fresh reading would make alike; a reply's are made one by one.
    """

    def __init__(
        self,
        context: Any,
        shape: CacheShape,
        *,
        n_slots: int = 0,
        swa_full: bool = False,
        has_state: bool = False,
        n_together: int = 1,
    ) -> None:
        """n_slots: cells that windowed layers have room for, 0 where that is not known. swa_full: they keep every cell,
        so that nothing of them has to be copied. has_state: what cannot go back is a state, and nothing else.
        n_together: see computed_together; it goes back to a multiple of it."""
        self._context, self._memory = context, llama_cpp.llama_get_memory(context)
        self._window: Window | None = None
        self.shape, self.n_together = shape, 1 if shape.attention is Attention.RECURRENT else n_together
        self.has_windows = shape.attention in (Attention.CHUNKED, Attention.SLIDING) and not swa_full
        self._slots = Slots(context, n_slots if self.has_windows else 0)
        self._whole_from = 0  # cells of the windowed layers before this position are blank
        self._start: Window | None = None  # those where the reply begins that was sampled last
        self._recurrence = Recurrence(context, self.clear) if has_state else None
        self.ids: Ids = np.empty(0, dtype=np.int32)
        self.n_read = 0
        self.positions = Positions()

    def __len__(self) -> int:
        return len(self.ids)

    def clear(self) -> None:
        """Forgets everything."""
        llama_cpp.llama_memory_clear(self._memory, True)
        self.ids, self._window, self._whole_from, self.n_read = self.ids[:0], None, 0, 0
        self._forget_start()

    def rewind(self, ids: Ids) -> int:
        """Drops what a prompt does not share; the number of tokens that stay, at most all but one of the prompt's. A
        reply that was not read goes too, where it can: it is read with the prompt."""
        if self.n_read < min(common_prefix(self.ids, ids), len(ids) - 1):
            self.drop_reply()
        to = self._rewind_for(ids)
        self._forget_start()
        if to.by_window and not self._put_window():
            self.clear()
            return 0
        if to.n_tokens == 0:
            llama_cpp.llama_memory_clear(self._memory, True)
            self._whole_from = 0
        elif to.n_tokens < len(self.ids) or to.by_window:  # a copy may hold cells behind that position
            self.drop_behind(to.n_tokens)
        self.ids, self.n_read = self.ids[: to.n_tokens], min(self.n_read, to.n_tokens)
        if self._window is not None and self._window.n_tokens > to.n_tokens:
            serves = self.shape.holds(to.n_tokens, after=self._window.n_tokens)
            self._window = replace(self._window, n_tokens=to.n_tokens) if serves else None
        return to.n_tokens

    def drop_behind(self, n_tokens: int) -> None:
        """Removes the cells behind the first n_tokens, which do not end within a grid."""
        self.drop_from(self.positions.of(n_tokens))

    def drop_from(self, position: int) -> None:
        """Removes the cells from a position on."""
        after = int(llama_cpp.llama_memory_seq_pos_max(self._memory, 0)) + 1
        llama_cpp.llama_memory_seq_rm(self._memory, 0, position, -1)
        self._go_on_at(position, after)

    def drop_reply(self, *, behind: int | None = None) -> bool:
        """Drops what was not read, where all before it stays; whether it did. behind: drops more, all behind so many
        tokens."""
        n_kept = self.n_read if behind is None else min(self.n_read, behind)
        if not 0 < n_kept < len(self.ids):
            return False
        if self._rewind_within(n_kept) != Rewind(n_kept) and not self._put_start(n_kept):
            return False
        self._start = None
        self.drop_behind(n_kept)
        self.ids, self.n_read = self.ids[:n_kept], n_kept
        return True

    def take_back(self, n_tokens: int, *, after: int) -> None:
        """After a decoding of the tokens up to `after` was aborted and n_tokens are there as before: llama.cpp takes a
        position back whole, and so all of a grid."""
        self._go_on_at(n_tokens, after)
        kept = self.positions.cut(n_tokens)
        if kept < n_tokens:
            self.drop_behind(kept)
            self.ids = self.ids[:kept]

    def can_copy_later(self, n_tokens: int, *, after: int) -> bool:
        """Whether a copy that is made after so many tokens still serves to come back to n_tokens."""
        return not self.has_windows or self.shape.holds(n_tokens, after=after)

    def has_room_aside(self, n_tokens: int, n_more: int) -> bool:
        """Whether n_more tokens can be decoded behind the first n_tokens and all be taken back: what windowed layers
        need there has not been overwritten, and behind the last cell their ring has so many slots that nothing needs.

        Not over the ring's end: the slots that became free would then not be in the order in which they are taken.
        """
        n_slots = self._slots.n_slots
        if self.shape.attention is Attention.RECURRENT:
            return self._recurrence is not None and (not n_tokens or self.aside_from <= n_tokens)
        if not self.has_windows or not n_slots:
            return not self.has_windows
        kept = keepable(n_tokens, n_cached=len(self.ids), pos_min=self._pos_min(), shape=self.shape)
        end, position = self.positions.of(len(self.ids)), self.positions.of(n_tokens)
        needed = end - (self.shape.pos_min_after(position) if n_tokens else self.shape.pos_min_after(end))
        return kept == n_tokens and needed + n_more <= n_slots and end % n_slots + n_more <= n_slots

    @property
    def cannot_cut(self) -> bool:
        """Whether a part of it moves on with every token, so that it can be gone on from where there is a copy only."""
        return self.shape.attention is Attention.RECURRENT

    @property
    def affords_copies(self) -> bool:
        """Whether that part can be copied, and there is room for that."""
        return self._recurrence is not None and self._recurrence.affords_copies

    @property
    def aside_from(self) -> int:
        """Tokens, the least but none, behind which such a cache can be gone on from; all that it holds without a copy
        of an earlier state."""
        start = self._recurrence.start if self._recurrence is not None else None
        return start.n_tokens if start is not None else len(self.ids)

    def copy_start(self, most: int, *, quotes: bool) -> None:
        """Remembers what coming back to where a reply begins needs. most: tokens of the reply. quotes: evidence will be
        looked for behind its statements."""
        if self._recurrence is not None:
            if quotes and self.affords_copies:
                self._recurrence.start = self._recurrence.take(len(self.ids))
            return
        position, n_slots = self.positions.of(len(self.ids)), self._slots.n_slots
        n_free = n_slots - (position - self.shape.pos_min_after(position))  # before cells are overwritten that it needs
        if n_slots and most > n_free and size_of_window(self._context) <= _SHARE_OF_RAM * ram().free_bytes:
            self._start = take_window(self._context, len(self.ids))

    def hold(self) -> Window | None:
        """What go_back needs to come back to where the sequence ends now, in an aside; None where it needs nothing."""
        return self._recurrence.take(0) if self._recurrence is not None else None

    def go_back(self, position: int, held: Window | None) -> bool:
        """Takes back what was decoded from a position on, in an aside, since hold was called there; whether that could
        be done."""
        if self._recurrence is not None:
            return self._recurrence.go_back(held, position)
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, 0, position, -1))

    @contextmanager
    def aside(self, n_tokens: int) -> Iterator[int]:
        """Within, the cache ends behind the first n_tokens, at the position that is given; afterwards it is what it
        was, to the bit, whatever was decoded there.

        No cell is moved: those behind, and those that windows need, belong to a sequence of their own meanwhile, so
        that nothing takes their places. Ask has_room_aside before. Raises EngineFailed when llama.cpp does not take
        back a state that it gave; the cache is empty then.
        """
        memory, position = self._memory, self.positions.of(n_tokens)
        if self._recurrence is not None:
            with self._recurrence.aside(n_tokens, len(self.ids), position):
                yield position
            return
        llama_cpp.llama_memory_seq_cp(memory, 0, SIDE, self.shape.pos_min_after(position), -1)
        llama_cpp.llama_memory_seq_rm(memory, 0, position, -1)
        try:
            yield position
        finally:
            llama_cpp.llama_memory_seq_rm(memory, 0, position, -1)
            llama_cpp.llama_memory_seq_cp(memory, SIDE, 0, position, -1)
            llama_cpp.llama_memory_seq_rm(memory, SIDE, -1, -1)

    def copy_window(self) -> None:
        """Remembers the windowed cells, to come back here exactly after the windows have moved on."""
        if self.has_windows and len(self.ids):
            self._window = take_window(self._context, len(self.ids))
            self._slots.look_at(self._window.data, 0, len(self._window.data))

    def save(self, binding: Binding, path: Path) -> int:
        """Writes the state, without a reply that was not read; bytes written, 0 when the cache is empty. Raises
        OSError."""
        self.drop_reply()
        return save_state(self._context, self.ids, self._window, binding, path) if len(self.ids) else 0

    def restore(self, states: Sequence[Path], ids: Ids, binding: Binding, *, n_ctx: int) -> list[Remark]:
        """Loads the file that keeps most of a prompt, if it keeps more than the live cache; says what was unusable."""
        remarks: list[Remark] = []
        fitting: list[Promise] = []
        larger: list[Promise] = []
        for path in states:
            found = promise(path, ids, binding, self.shape)
            if isinstance(found, Unusable):
                remarks.append(_remark(found, path))
            else:
                (fitting if len(found.ids) <= n_ctx else larger).append(found)
        best = max(fitting, key=lambda each: each.n_tokens, default=None)
        if best is not None and best.n_tokens > self._rewind_for(ids).n_tokens:
            remarks += self._load(best)
        unused = max(larger, key=lambda each: each.n_tokens, default=None)
        if unused is not None:
            lost = unused.n_tokens - self._rewind_for(ids).n_tokens
            if is_loss(lost, n_prompt=len(ids)):
                remarks.append(_too_large(unused, lost, n_ctx))
        return remarks

    def _forget_start(self) -> None:
        self._start = None
        if self._recurrence is not None:
            self._recurrence.start = None

    def _load(self, state: Promise) -> list[Remark]:
        path, saved = state.path, state.ids
        slots = None if state.by_window else self._slots  # its copy takes the place of the windowed cells at once
        try:
            loaded = load_state(self._context, path, len(saved), slots)
        except OSError:  # it went away since: evicted, or its session was deleted
            return []
        if isinstance(loaded, Unusable):
            if llama_cpp.llama_memory_seq_pos_max(self._memory, 0) < 0:  # it was refused by llama.cpp itself
                self.clear()
            return [_remark(loaded, path)]
        self.ids, self._window, self.n_read = saved, loaded, len(saved)
        self._whole_from = self.shape.pos_min_after(len(saved))
        return []

    def _put_start(self, n_tokens: int) -> bool:
        """Comes back to where the reply begins, where nothing before it is lost so."""
        start = self._start
        if start is None or not self.shape.holds(n_tokens, after=start.n_tokens):
            return False
        if self._put(start):
            return True
        self.clear()  # what is there is not to be trusted
        return False

    def _put_window(self) -> bool:
        """Comes back to where the windowed cells were copied."""
        return self._window is not None and self._put(self._window)

    def _put(self, window: Window) -> bool:
        if not self._slots.put(window.data, 0, len(window.data)):
            return False
        end = int(llama_cpp.llama_memory_seq_pos_max(self._memory, 0)) + 1
        self._whole_from = self.shape.pos_min_after(end)
        return True

    def _go_on_at(self, position: int, after: int) -> None:
        """To be called when the cells from a position on were removed, which ended at `after`."""
        lowest = self.shape.pos_min_after(position)
        if self._slots.go_on_at(position, after=after, lowest=lowest):
            self._whole_from = lowest

    def _rewind_for(self, ids: Ids) -> Rewind:
        common = min(common_prefix(self.ids, ids), len(ids) - 1)
        return self._rewind_within(common - common % self.n_together)

    def _rewind_within(self, common: int) -> Rewind:
        return rewind_to(
            common if common == len(self.ids) else self.positions.cut(common),
            n_cached=len(self.ids),
            pos_min=self._pos_min(),
            shape=self.shape,
            copied=self._window.n_tokens if self._window else 0,
        )

    def _pos_min(self) -> int:
        """The lowest position that the windowed layers hold whole, -1 for none."""
        pos_min = int(llama_cpp.llama_memory_seq_pos_min(self._memory, 0))
        return max(pos_min, self._whole_from) if pos_min >= 0 else pos_min


def _remark(unusable: Unusable, path: Path) -> Remark:
    return Remark(f"A kept KV state was not used: {unusable.reason}.", str(path) if unusable.is_broken else "")


def _too_large(state: Promise, lost: int, n_ctx: int) -> Remark:
    needed = -(-len(state.ids) // BLOCK) * BLOCK
    return Remark(
        f"{lost:,} tokens are read again: the KV state that keeps them holds {len(state.ids):,}, more than this "
        f"context of {n_ctx:,}. Where memory allows, --ctx {needed} uses it."
    )
