"""The state of layers that remember no tokens: copies of it, and how a sequence goes back to one and on from there.

Such a state is one for all that was read. llama.cpp's own removal refuses what would cut it, and then removes nothing,
the attention's cells of a hybrid neither; so a copy is put back first. A copy is of the state alone (a hybrid's cells
stay where they are), of one size however much was read: 50 to 150 MiB for models of 4 to 27 billion weights, taken or
put back in 10 to 70 ms. (Measured; llama.cpp 0c1e57098, src/llama-memory-recurrent.cpp, src/llama-memory-hybrid.cpp.)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import llama_cpp

from engine.errors import EngineFailed
from engine.memory.hardware import ram
from engine.runtime.window import SIDE, Window, put_window, size_of_window, take_window

_MOST_COPIES = 4  # at once: where the reply begins, its end, a statement's, and where its quote begins
_SHARE_OF_RAM = 1 / 2  # of what is free


class Recurrence:
    """Of sequence 0 of a context whose model has no windows. Not thread-safe. clear: forgets all of the sequence.

    start: the state behind the prompt whose reply was sampled last, None where no copy was made.
    """

    def __init__(self, context: Any, clear: Callable[[], None]) -> None:
        self._context, self._memory, self._clear = context, llama_cpp.llama_get_memory(context), clear
        self.start: Window | None = None

    @property
    def affords_copies(self) -> bool:
        """Whether as many as may be needed at once have room in main memory."""
        return _MOST_COPIES * size_of_window(self._context) <= _SHARE_OF_RAM * ram().free_bytes

    def take(self, n_tokens: int) -> Window:
        """A copy of the state as it is, behind so many tokens. Raises EngineFailed when llama.cpp gives none."""
        return take_window(self._context, n_tokens)

    def go_back(self, copy: Window | None, position: int) -> bool:
        """Puts a copy back that was taken where the sequence ended at a position, and removes the attention's cells
        from there on; None: to the very beginning. False when llama.cpp refuses it."""
        is_put = copy is None or put_window(self._context, copy)
        return is_put and bool(llama_cpp.llama_memory_seq_rm(self._memory, 0, position, -1))

    @contextmanager
    def aside(self, n_tokens: int, n_held: int, position: int) -> Iterator[None]:
        """Within, the sequence of n_held tokens ends behind the first n_tokens, at this position; afterwards it is what
        it was, to the bit. n_tokens: 0, all, or those of `start`.

        All of the attention's cells belong to a sequence of their own meanwhile, so that nothing takes their places.
        To remove that sequence alone is refused as an error, since the state has no room for a second one. Raises
        EngineFailed when llama.cpp refuses the last copy; all is cleared then.
        """
        memory, end = self._memory, self.take(n_held)
        copy = None if not n_tokens else end if n_tokens == n_held else self.start
        llama_cpp.llama_memory_seq_cp(memory, 0, SIDE, 0, -1)
        try:
            if not self.go_back(copy, position):
                raise EngineFailed("llama.cpp did not go back to a copy of the model's state.")
            yield
        finally:
            llama_cpp.llama_memory_seq_keep(memory, SIDE)
            llama_cpp.llama_memory_seq_cp(memory, SIDE, 0, 0, -1)
            llama_cpp.llama_memory_seq_keep(memory, 0)
            if not put_window(self._context, end):
                self._clear()
                raise EngineFailed(
                    "llama.cpp did not take back the state of the answer.", "Ask again: all is read again."
                )
