"""The slots of the windowed KV cache: cells that come back lie where a run from an empty cache would have put them.

llama.cpp writes windowed cells round a ring, position p into slot p modulo the ring's length, but takes cells that are
read back from the first free slot on, and after a removal it goes on wherever a slot became free. Attention then sums
the same cells in another order, and the logits differ by rounding. So blank cells hold the slots before those that are
wanted. They stand for positions that have left the window, as such cells do in any other run: nothing sees them.
"""

import ctypes
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from engine.runtime.cells import Cells, Layers, blank, cells_of
from engine.runtime.window import SIDE, WINDOWED_ONLY


class Slots:
    """The slots of the windowed cells of sequence 0. Not thread-safe."""

    def __init__(self, context: Any, n_slots: int) -> None:
        """n_slots: cells that windowed layers have room for, 0 where that is not known: all is left to llama.cpp."""
        self._context, self._memory, self.n_slots = context, llama_cpp.llama_get_memory(context), n_slots
        self._layers: Layers | None = None

    def look_at(self, data: Any, offset: int, size: int) -> Cells | None:
        """What a copy of windowed cells holds, None where that is not known; blank cells are made like these."""
        cells = cells_of(data, offset, size) if self.n_slots else None
        if cells is not None:
            self._layers = cells.layers
        return cells

    def put(self, data: Any, offset: int, size: int) -> bool:
        """Puts a copy of windowed cells in the place of those that are there.

        data: a buffer that may be written to, with the copy from offset on. False when llama.cpp refuses the copy: the
        cache is then not to be trusted.
        """
        cells = self.look_at(data, offset, size)
        if cells is None or not _in_order(cells.positions, self.n_slots):
            return self._read(data, offset, size, 0)
        first, last = int(cells.positions.min()), int(cells.positions.max())
        held, end = first % self.n_slots, last % self.n_slots + 1
        if not held:
            return self._read(data, offset, size, 0)
        if end > held:
            return self._put_behind(data, offset, size, range(first - held, first))
        return self._put_round(data, offset, size, range(end, held), first)

    def _put_behind(self, data: Any, offset: int, size: int, blanks: range) -> bool:
        """Blanks for positions that are behind the window, then the copy."""
        if not self._blank(np.arange(blanks.start, blanks.stop), 0):
            return False
        llama_cpp.llama_memory_seq_cp(self._memory, 0, SIDE, blanks.start, blanks.stop)
        if not self._read(data, offset, size, 0):  # takes the place of all that sequence 0 alone has
            return False
        self._give_back(blanks.start, blanks.stop)
        return True

    def _put_round(self, data: Any, offset: int, size: int, gap: range, position: int) -> bool:
        """A copy that goes over the ring's end and leaves a gap: what was read last stands before it."""
        positions = np.full(gap.stop, position)  # all blanks in the window, or they would give way to the copy
        positions[: gap.start] += 1
        if not self._blank(positions, 0):
            return False
        llama_cpp.llama_memory_seq_cp(self._memory, 0, SIDE, position, position + 1)  # those of the gap
        is_read = self._read(data, offset, size, 0)
        llama_cpp.llama_memory_seq_rm(self._memory, SIDE, -1, -1)  # the next cell goes where the first of them was
        return is_read

    def go_on_at(self, position: int, *, after: int, lowest: int) -> bool:
        """To be called when the cells from a position on were removed, which ended at `after`; whether blanks stand
        before `lowest` now. Where no copy was looked at yet, all is left to llama.cpp.

        lowest: the first position that the windowed layers still need.
        """
        n_slots = self.n_slots
        if not n_slots or position >= after or position // n_slots == (after - 1) // n_slots:
            return False  # the first slot that became free is the right one
        start = position - position % n_slots
        if lowest <= start:
            return False
        if self._layers is None or not self._blank(np.arange(start, lowest), SIDE):
            return False
        self._give_back(start, lowest)
        return True

    def _give_back(self, start: int, end: int) -> None:
        """Cells of the side sequence become sequence 0's: their slots are free once the window reaches them."""
        llama_cpp.llama_memory_seq_cp(self._memory, SIDE, 0, start, end)
        llama_cpp.llama_memory_seq_rm(self._memory, SIDE, -1, -1)

    def _blank(self, positions: npt.NDArray[np.int64], sequence: int) -> bool:
        """Cells without content at these positions, in the first slots that are free."""
        assert self._layers is not None
        data = blank(self._layers, positions)
        return self._read(data, 0, len(data), sequence)

    def _read(self, data: Any, offset: int, size: int, sequence: int) -> bool:
        buffer = (ctypes.c_uint8 * size).from_buffer(data, offset)
        n_read = llama_cpp.llama_state_seq_set_data_ext(self._context, buffer, size, sequence, WINDOWED_ONLY)
        return bool(n_read == size)


def _in_order(positions: npt.NDArray[np.int32], n_slots: int) -> bool:
    """Whether positions stand in the order of their slots, none left out; a context with another ring wrote them
    otherwise."""
    first, last = int(positions.min()), int(positions.max())
    return last - first + 1 == len(positions) <= n_slots and bool((np.diff(positions % n_slots) > 0).all())
