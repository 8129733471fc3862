"""What lies at a model's path where that is no whole GGUF: nothing, a folder, half a download, another format.

Each is said in a sentence with what helps, from the name, the first bytes and what lies beside it. GGUFs are read in
`gguf`; what one is for that is whole is left to `engine.memory.purpose`.
"""

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

_UNENDED = (".part", ".partial", ".crdownload", ".opdownload", ".download", ".incomplete", ".filepart", ".!qb", ".!ut")
_CONTROL = ".aria2"  # a file that lies beside a download until it has ended
_PIECE = re.compile(r"\.gguf([-_.](split[-_.]?[a-z]{1,2}|part[-_.]?[a-z0-9]{1,3}(of\d+)?|\d{1,3}|[a-z]{2}))$", re.I)
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_SHOWN = 3  # names in a sentence
_ALIKE = 0.6  # of difflib's measure
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer: a line of text in the place of the model",
     "Fetch the file itself with `git lfs pull`, or download it."),
    (b"<!doctype", "a web page, no model", "Download the file itself: behind its download button, or with a client."),
    (b"<html", "a web page, no model", "Download the file itself: behind its download button, or with a client."),
    *(
        (sign, "in GGML, a format from before GGUF", "Use a GGUF of the model.")
        for sign in (b"ggml", b"lmgg", b"ggjt", b"tjgg", b"ggmf", b"fmgg")
    ),
    (b"algg", "a LoRA adapter in a format from before GGUF", "Convert it anew with convert_lora_to_gguf.py."),
    (b"pk\x03\x04", "a zip or a PyTorch file, no GGUF", "Unpack it, or convert the model with convert_hf_to_gguf.py."),
    (b"\x00\x00\x00\x00", "zeros where a GGUF begins: space for a download that has not begun",
     "Wait until it has ended, or download it again."),
)  # fmt: skip


class Told(NamedTuple):
    """What is said of it, as engine.errors.ModelRefused takes it."""

    fact: str
    remedy: str


def unfit_place(path: Path, found: os.stat_result) -> Told | None:
    """Why this cannot be a whole model file, by what it is and how it is called; None where nothing speaks against."""
    if stat.S_ISDIR(found.st_mode):
        return _folder(path)
    if not stat.S_ISREG(found.st_mode):  # opening a named pipe would wait for a writer
        return Told(f"{path} is not a regular file.", "Name a model file that ends in .gguf.")
    if ending := _unended(path.name):
        name = path.name[: -len(ending)]
        return Told(
            f"{path} is a download that has not ended: its name ends in {ending}.",
            f"Wait until it has, then name {name}; or start the download again.",
        )
    if path.with_name(path.name + _CONTROL).exists():
        return Told(
            f"{path} is still being downloaded: {path.name}{_CONTROL} lies beside it.",
            "Wait until that is gone, or start the download again.",
        )
    if found.st_size == 0:
        return Told(f"{path} is empty.", _waiting(path) or "Download the model file again.")
    return None


def nothing_there(path: Path) -> Told:
    """Where no file has this path: what is called so but for its end, or nearly so."""
    fact, remedy = f"There is no model file at {path}.", "Check the path after --model."
    if waiting := _waiting(path):
        return Told(fact, waiting)
    if not path.parent.is_dir():
        there = next((folder for folder in path.parents if folder.is_dir()), None)
        return Told(fact, f"{remedy} The folder is not there either; {there} is." if there else remedy)
    names = ggufs_in(path.parent)
    if near := nearest(path.name, names):
        return Told(fact, f"Did you mean {' or '.join(near)}?")
    return Told(fact, f"{remedy} In that folder {_listed(names)}." if names else remedy)


def cut_short(path: Path, fact: str) -> Told:
    """A file that ends before it is whole. fact: how that shows."""
    if piece := _PIECE.search(path.name):
        return Told(fact, _joining(path, piece))
    if (pieces := [name for name in _names_in(path.parent) if name.startswith(path.name) and _PIECE.search(name)]) and (
        piece := _PIECE.search(pieces[0])
    ):
        return Told(fact, _joining(path.with_name(pieces[0]), piece))
    return Told(fact, _waiting(path) or "Download it again.")


def no_gguf(path: Path, head: bytes) -> Told:
    """A file that begins otherwise than a GGUF. head: its first bytes, some 30."""
    if piece := _PIECE.search(path.name):
        return Told(f"{path} is not a GGUF file, but a later piece of one that was cut.", _joining(path, piece))
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower() or head
    for sign, what, remedy in _OTHERS:
        if start.startswith(sign):
            return Told(f"{path} is not a GGUF file: it is {what}.", remedy)
    if path.suffix == ".safetensors" or head[8:10] == b'{"':
        return Told(
            f"{path} is not a GGUF file: it is in safetensors.",
            "Use a GGUF of the model, or convert its folder with convert_hf_to_gguf.py.",
        )
    if _SHARD.search(path.name):
        return Told(
            f"{path} is not a GGUF file, though it is called as a part of a split one.",
            "Every part begins with a header of its own: download this one again.",
        )
    return Told(f"{path} is not a GGUF file.", "Name a model file that ends in .gguf.")


def nearest(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that are nearly called so, the likeliest first; capitals and a missing .gguf do not count."""
    by_stem = {each.lower().removesuffix(".gguf"): each for each in names}
    stem = name.lower().removesuffix(".gguf")
    begun = [each for key, each in sorted(by_stem.items()) if stem and key.startswith(stem)]
    close = [by_stem[key] for key in get_close_matches(stem, by_stem, n=_SHOWN, cutoff=_ALIKE)]
    return tuple(dict.fromkeys((*close, *begun)))[:_SHOWN]


def ggufs_in(folder: Path) -> tuple[str, ...]:
    """The names of the models in a folder: of a split one its first part, and no projectors."""
    names = [name for name in _names_in(folder) if name.lower().endswith(".gguf") and "mmproj" not in name.lower()]
    return tuple(name for name in names if not _SHARD.search(name) or "-00001-of-" in name)


def _folder(path: Path) -> Told:
    fact, names = f"{path} is a folder, not a GGUF file.", ggufs_in(path)
    if names:
        return Told(fact, f"Name the .gguf file inside it: {_listed(names, verb=False)}.")
    if any(name.endswith((".safetensors", ".bin")) for name in _names_in(path)):
        return Told(
            fact, "It holds a model in another format: convert it with convert_hf_to_gguf.py, or get a GGUF of it."
        )
    return Told(fact, "Name the .gguf file inside it." if _names_in(path) else "It is empty: name a .gguf file.")


def _waiting(path: Path) -> str:
    """What to do where the rest of a file is still on its way; '' where nothing says so."""
    beside = [path.name + ending for ending in (*_UNENDED, _CONTROL) if path.with_name(path.name + ending).exists()]
    return f"It is still being downloaded: {beside[0]} lies beside it. Wait until that is gone." if beside else ""


def _joining(path: Path, piece: "re.Match[str]") -> str:
    """How the pieces of a file that was cut at any byte are joined; parts of a split model never are so."""
    whole = path.name[: piece.start(1)]
    pieces = [name for name in _names_in(path.parent) if name.startswith(whole) and _PIECE.search(name)]
    shown = " ".join(sorted(pieces, key=_in_order)) or f"{whole}.*"
    return f"Join all pieces, in their order: cat {shown} > {whole}, and name that."


def _in_order(name: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _unended(name: str) -> str:
    return next((ending for ending in _UNENDED if name.lower().endswith(ending)), "")


def _names_in(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(folder))
    return []


def _listed(names: Iterable[str], *, verb: bool = True) -> str:
    """ "are a.gguf, b.gguf and 4 more"."""
    every = list(names)
    n_more = len(every) - _SHOWN
    shown = ", ".join(every[:_SHOWN]) + (f" and {n_more:,} more" if n_more > 0 else "")
    return f"{'is' if len(every) == 1 else 'are'} {shown}" if verb else shown
