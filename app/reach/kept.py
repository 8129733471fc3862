"""Readings that are kept, in LONGDESK_HOME/readings: a file for each model, KV type, corpus, seed and depths; written
whole or not at all, checked when it is read."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from app.reach.probes import VERSION
from app.reach.results import Reading, from_json, to_json
from engine.kept_files import KeptFiles

_BUDGET = 64 << 20  # bytes of all of them; the least recently used go first
_ENDING = ".reading"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a model was found to read here. effective: tokens, None where that could not be said; longest: that were
    tried."""

    effective: int | None
    longest: int

    @property
    def sentence(self) -> str:
        """ "This model read reliably up to 8,192 tokens here", without a full stop."""
        if self.effective is None:
            return "How far this model reads could not be said here"
        if self.effective == self.longest:
            return f"This model read reliably up to {self.effective:,} tokens here, and was not tried with more"
        return f"This model read reliably up to {self.effective:,} tokens here"

    def warns_of(self, n_tokens: int) -> bool:
        """Whether a corpus of so many tokens is beyond that."""
        return self.effective is not None and n_tokens > self.effective


@dataclass(frozen=True, slots=True)
class KeptReadings:
    """The readings of a home."""

    home: Path

    @property
    def _files(self) -> KeptFiles:
        return KeptFiles(self.home / "readings", _BUDGET)

    def again(self, begun: Reading) -> Reading:
        """The same reading with the lengths that were read before."""
        kept = self._read(_name(begun))
        is_same = kept is not None and _run(kept) == _run(begun)
        return kept if kept is not None and is_same else begun

    def keep(self, reading: Reading) -> bool:
        """Writes it; False where nothing can be written."""
        reached = {"effective": reading.effective_tokens, "longest": reading.longest, "asked": reading.n_asked}
        body = json.dumps(to_json(reading), ensure_ascii=False).encode("utf-8", "surrogatepass")
        return self._files.write(_name(reading), json.dumps(reached).encode(), (body,))

    def reached(self, model_digest: str, kv_type: str) -> Reached | None:
        """What is known of a model with this KV type: by the reading that went farthest, and asked most of those. One
        that could say nothing counts where there is no other."""
        found = []
        for name in self._names(model_digest, kv_type):
            with suppress(ValueError, KeyError, TypeError):
                head: dict[str, Any] = json.loads(self._files.read_head(name) or b"")
                effective, longest, n_asked = head["effective"], int(head["longest"]), int(head.get("asked", 0))
                reached = Reached(None if effective is None else int(effective), longest)
                found.append(((effective is not None, longest, n_asked, name), reached))
        return max(found, key=lambda each: each[0])[1] if found else None

    def farthest(self, model_digest: str, kv_type: str) -> Reading | None:
        """The whole of that reading."""
        readings = [self._read(name) for name in self._names(model_digest, kv_type)]
        there = [each for each in readings if each is not None]
        return max(
            there,
            key=lambda each: (each.effective_tokens is not None, each.longest, each.n_asked, _name(each)),
            default=None,
        )

    def _names(self, model_digest: str, kv_type: str) -> Iterator[str]:
        yield from self._files.sizes(_beginning(model_digest, kv_type), _ENDING)

    def _read(self, name: str) -> Reading | None:
        body = self._files.read_body(name)
        if body is not None:
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                return from_json(json.loads(body.decode("utf-8", "surrogatepass")))
        return None


def _beginning(model_digest: str, kv_type: str) -> str:
    return f"{model_digest[:32]}-{kv_type}-"


def _run(reading: Reading) -> tuple[object, ...]:
    """What two readings must have in common so that one goes on with the other's lengths."""
    return (
        VERSION,
        reading.model_digest,
        reading.kv_type,
        reading.corpus_digest,
        reading.seed,
        reading.depths,
        reading.reply_tokens,
        *((reading.thinking,) if reading.thinking != "off" else ()),
    )


def _name(reading: Reading) -> str:
    run = blake2b(repr(_run(reading)).encode(), digest_size=8).hexdigest()
    return f"{_beginning(reading.model_digest, reading.kv_type)}{run}{_ENDING}"
