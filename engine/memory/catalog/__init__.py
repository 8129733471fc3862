"""The catalogue: Llama 4 Scout and Maverick as they are published as GGUF, and Behemoth as it was announced.

`tensors` has every tensor's name and dims, `recipe` which tensor gets which type, `entry` the name, repository, files,
size and licence of each, `ghost` writes files that stand for models which are not on this machine, for planning, and
`planned` reads them.
"""

from engine.memory.catalog.entry import ENTRIES, Entry, find, near
from engine.memory.catalog.ghost import ghost_of
from engine.memory.catalog.planned import planned_card

__all__ = ["ENTRIES", "Entry", "find", "ghost_of", "near", "planned_card"]
