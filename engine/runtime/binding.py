"""What a KV state belongs to. llama.cpp checks shapes only: it loads another model's of one shape, and babbles."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

_STAMP = "files:"  # engine.memory.fingerprint begins so what it gives for files that nobody read
_NAMES = {
    "model": "another model file",
    "content": "another model file",
    "projector": "another vision projector",
    "llama_cpp": "another version of llama.cpp",
    "kv_k": "another KV type",
    "kv_v": "another KV type",
    "swa_full": "another layout of windowed layers",
    "rope": "other RoPE settings",
    "rotation": "another rotation of the KV cache",
    "lora": "other LoRA adapters",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Everything beside the ids that a KV state depends on. States may be used where all of it is equal.

    model: a fingerprint of its files. content: what they hold, as engine.memory.fingerprint gives it: their digest, or
    the stamp of files that were not read then. projector: the same of its file, '' where no picture was read. rope:
    which of a model's RoPE factors its context chose. rotation: whether llama.cpp rotates keys and values before it
    quantizes them. lora: digests of adapters.
    """

    model: str
    llama_cpp: str
    kv_k: str
    kv_v: str
    swa_full: bool = False
    projector: str = ""
    content: str = ""
    rope: str = ""
    rotation: str = ""
    lora: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def mismatch(self, other: "Binding") -> str | None:
        """What `other` was made with that this was not, in words; None where both are the same.

        A stamp says nothing about other files: whoever has one must find out what it stands for.
        """
        for each in fields(self):
            ours, others = getattr(self, each.name), getattr(other, each.name)
            if each.name in ("content", "projector") and not (is_read(ours) and is_read(others)):
                continue  # without a projector, what they share is text, and no picture
            if ours != others:
                return _NAMES[each.name]
        return None


def binding_from(values: Mapping[str, Any]) -> Binding:
    """The way back from `Binding.fields`. Raises TypeError or KeyError for what it did not make."""
    return Binding(**{**values, "lora": tuple(values["lora"])})


def is_read(content: str) -> bool:
    """Whether it is the digest of what files hold, not their stamp."""
    return bool(content) and not content.startswith(_STAMP)
