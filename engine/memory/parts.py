"""The files of a split model: found by their names, as llama.cpp finds them, and held against what their headers say.

What goes wrong with them (a later part named, parts missing, renamed, swapped, joined by `cat`) is said with what to
rename to what. Fields: llama.cpp, src/llama-model-loader.cpp, tools/gguf-split.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from engine.errors import ModelRefused
from engine.memory.header import AnyHeader

_NAME = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")
Header = TypeVar("Header", bound=AnyHeader)
Read = Callable[[Path], AnyHeader]
_MOST_PARTS = 1024
_MOST_ALIGNMENT = 1 << 16  # bytes; a stranger's header may say anything
_MOST_LOOKED_INTO = 128  # files of a folder
_SHOWN = 4


def whole_model(first: Header, read: Callable[[Path], Header]) -> list[Header]:
    """The headers of all files of a model, in order, this one first. Raises ModelRefused where they are not all there
    under the names by which llama.cpp finds them. read: engine.gguf.read_header."""
    match = _NAME.match(first.path.name)
    said, named = first.integer("split.count"), int(match["count"]) if match else 1
    if said > _MOST_PARTS:
        raise ModelRefused(f"{first.path} says that it is one of {said:,} files.", "The file is damaged: get it again.")
    if said > 1:
        _refuse_joined(first, said)
        if (number := first.integer("split.no")) > 0:
            raise _later_part(first, number + 1, said, read)
        if match is None or named != said or int(match["number"]) != 1:
            raise _renamed(first, said, read)
    elif match is not None and int(match["number"]) != 1:
        raise _later_part(first, int(match["number"]), named, read)
    if match is None:
        return [first]
    if named > _MOST_PARTS:
        raise ModelRefused(f"{first.path} says by its name that it is one of {named:,} files.", "Give it its own name.")
    others = [first.path.with_name(_part(match["stem"], number, named)) for number in range(2, named + 1)]
    if missing := [other for other in others if not other.exists()]:
        raise _missing(first, missing, named, read)
    parts = [first, *map(read, others)]
    _check(parts)
    return parts


def _refuse_joined(first: AnyHeader, count: int) -> None:
    """Raises ModelRefused for a file in which another GGUF follows the first part's tensors."""
    end = max((tensor.offset + tensor.n_bytes for tensor in first.tensors), default=0) + first.data_start
    alignment = first.integer("general.alignment", 32)
    if first.file_bytes <= end:
        return
    with suppress(OSError), first.path.open("rb") as file:
        file.seek(end)
        follows = file.read(2 * min(alignment, _MOST_ALIGNMENT) + 4)
        if b"GGUF" not in follows:
            return
        match = _NAME.match(first.path.name)
        name = first.path.name if match else _part(first.path.stem, 1, count)
        raise ModelRefused(
            f"{first.path} holds the parts of a split model one behind the other, as `cat` joins them; llama.cpp reads "
            f"the first of the {count} alone.",
            f"Name the first of the parts as they were published, {name}: the others are found beside it. One file is "
            f"made of them by `llama-gguf-split --merge {name} {first.path.stem}-whole.gguf`.",
        )


def _later_part(header: AnyHeader, number: int, count: int, read: Read) -> ModelRefused:
    match = _NAME.match(header.path.name)
    fact = f"{header.path} is part {number} of a split model of {count}."
    if match is not None:
        first = header.path.with_name(_part(match["stem"], 1, int(match["count"])))
        if first.exists():
            return ModelRefused(fact, f"Name the first part, {first.name}.")
    if found := _siblings(header, count, read).get(0):
        return ModelRefused(fact, f"Name the first part: that is {found.name}.")
    name = f", {_part(match['stem'], 1, int(match['count']))}, which is not beside it" if match else ""
    return ModelRefused(fact, f"Name the first part{name}. Put all {count} parts into one folder.")


def _renamed(first: AnyHeader, count: int, read: Read) -> ModelRefused:
    """llama.cpp finds the other parts by the first one's name."""
    match = _NAME.match(first.path.name)
    stem = match["stem"] if match else first.path.stem
    found = {0: first.path, **_siblings(first, count, read)}
    moves = _moves(stem, count, found)
    missing = [number + 1 for number in range(count) if number not in found]
    more = f" Parts that are not here: {', '.join(map(str, missing[:_SHOWN]))}." if missing else ""
    return ModelRefused(
        f"{first.path} is the first of {count} parts of a split model, and was renamed: llama.cpp finds the others by "
        f"a name that ends in -00001-of-{count:05d}.gguf.",
        f"Rename {moves}.{more}",
    )


def _missing(first: AnyHeader, missing: Sequence[Path], count: int, read: Read) -> ModelRefused:
    fact = f"{first.path} is split into {count} files, and {len(missing)} of them are missing ({missing[0].name})."
    stem = first.path.name[: -len("-00001-of-00001.gguf")]
    waiting = [name for path in missing for name in _ways(path) if path.with_name(name).exists()]
    if waiting:
        return ModelRefused(
            fact, f"It is still being downloaded: {waiting[0]} lies beside it. Wait until that is gone."
        )
    found = {number: path for number, path in _siblings(first, count, read).items() if number > 0}
    wanted = {number: path for number, path in found.items() if path.name != _part(stem, number + 1, count)}
    if wanted:
        return ModelRefused(fact, f"They were renamed. Rename {_moves(stem, count, wanted)}.")
    whole = "" if first.integer("split.count") else " If it is whole, give it a name without that ending."
    return ModelRefused(fact, f"Put all parts into one folder.{whole}")


def _check(parts: Sequence[AnyHeader]) -> None:
    """Raises ModelRefused for a part that stands under another one's name, or is another model's."""
    count = len(parts)
    if not parts[0].integer("split.count"):
        return  # of a splitter that writes no such fields
    for number, part in enumerate(parts):
        if part.integer("split.count") != count:
            raise ModelRefused(
                f"{part.path} is called as part {number + 1} of {count}, and its header says that it is none of them.",
                "It is another model's, or was renamed: download that part again.",
            )
        if (own := part.integer("split.no")) != number:
            raise ModelRefused(
                f"{part.path} is called as part {number + 1} of {count}, and its header says that it is part "
                f"{own + 1}: it was renamed.",
                f"Rename it so that it ends in -{own + 1:05d}-of-{count:05d}.gguf, and the others alike.",
            )
    told, n_tensors = parts[0].integer("split.tensors.count"), sum(len(part.tensors) for part in parts)
    if told and told != n_tensors:
        raise ModelRefused(
            f"The {count} parts beside {parts[0].path} hold {n_tensors:,} tensors, and the model has {told:,}: some "
            "of them are another model's.",
            "Download the parts again, all from one place.",
        )


def _siblings(header: AnyHeader, count: int, read: Read) -> dict[int, Path]:
    """Other files of its folder that say that they are parts of a model of as many, by their number from 0; of those
    that two files claim to be, none."""
    found: dict[int, Path] = {}
    twice: set[int] = set()
    told = header.integer("split.tensors.count")
    with suppress(OSError):
        for path in sorted(header.path.parent.glob("*.gguf"))[:_MOST_LOOKED_INTO]:
            if path.name == header.path.name:
                continue
            with suppress(ModelRefused):
                other = read(path)
                if other.integer("split.count") == count and other.integer("split.tensors.count") == told:
                    number = other.integer("split.no")
                    twice |= {number} & found.keys()
                    found[number] = path
    own = header.integer("split.no")
    return {number: path for number, path in found.items() if number not in twice and number != own}


def _moves(stem: str, count: int, found: dict[int, Path]) -> str:
    """Which file is to be called how, in words."""
    moves = [
        f"{path.name} to {_part(stem, number + 1, count)}"
        for number, path in sorted(found.items())
        if path.name != _part(stem, number + 1, count)
    ]
    shown = ", ".join(moves[:_SHOWN])
    return f"{shown}, and the others alike" if len(moves) > _SHOWN or (len(moves) == 1 < count > len(found)) else shown


def _part(stem: str, number: int, count: int) -> str:
    return f"{stem}-{number:05d}-of-{count:05d}.gguf"


def _ways(path: Path) -> tuple[str, ...]:
    """How a download of a file is called until it has ended."""
    return tuple(path.name + ending for ending in (".part", ".partial", ".crdownload", ".incomplete", ".aria2"))
