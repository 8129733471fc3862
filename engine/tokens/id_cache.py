"""Ids of texts by their content, in memory and on disk: a corpus is tokenized once, whoever counts it.

On disk they are a part of the count cache. Ids of one call go into one file, a pack: its head says which texts they are
of, its body holds the ids with 16 bits each and what they have beyond. Which packs stay is left to engine.kept_files.
"""

import json
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from engine.kept_files import KeptFiles
from engine.tokens.document import Ids

_ENDING = ".ids"
_DIGEST_BYTES = 16
_SMALL_BYTES = 1 << 18  # packs below that are put together with a new one
_MANY_SMALL = 16
_MOSTLY = 2  # a pack of which less than this part is wanted is not held in memory for it


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text's ids, and the characters of it that the vocabulary has no token for, with how often they occur."""

    ids: Ids
    unrepresentable: Counter[str]


class IdCache:
    """Ids of texts by encoder and content, least recently used first out. Safe to use from several threads.

    max_ids bounds the memory: 4 bytes an id. kept: those on disk, where what is not in memory is looked for. behind:
    another one that is asked for what is not here; nothing is put there.
    """

    def __init__(
        self, max_ids: int = 32_000_000, *, kept: "KeptIds | None" = None, behind: "IdCache | None" = None
    ) -> None:
        self._max_ids, self._n_ids, self._behind = max_ids, 0, behind
        self._held: OrderedDict[tuple[str, str], Encoded] = OrderedDict()
        self._kept = kept
        self._lock = Lock()

    def get(self, encoder: str, digests: Collection[str]) -> dict[str, Encoded]:
        """What is known of these texts, by digest. encoder: see Tokenizer.key."""
        found = {}
        with self._lock:
            for digest in digests:
                if (each := self._held.get((encoder, digest))) is not None:
                    self._held.move_to_end((encoder, digest))
                    found[digest] = each
        missing = [digest for digest in digests if digest not in found]
        if self._kept is not None and missing:
            kept = self._kept.get(encoder, missing)
            self._hold(encoder, kept)
            found |= kept
        if self._behind is not None and missing:
            found |= self._behind.get(encoder, missing)
        return found

    def put(self, encoder: str, encoded: Mapping[str, Encoded]) -> None:
        """Remembers the ids of texts by digest."""
        self._hold(encoder, encoded)
        if self._kept is not None and encoded:
            self._kept.put(encoder, encoded)

    def _hold(self, encoder: str, encoded: Mapping[str, Encoded]) -> None:
        with self._lock:
            for digest, each in encoded.items():
                if (encoder, digest) not in self._held:
                    self._held[encoder, digest] = each
                    self._n_ids += len(each.ids)
            while self._n_ids > self._max_ids and len(self._held) > 1:
                self._n_ids -= len(self._held.popitem(last=False)[1].ids)


@dataclass(frozen=True, slots=True)
class _Pack:
    """A pack's head. digests: of its texts; lengths: of their ids. unrepresentable: by digest, where there are any."""

    name: str
    digests: tuple[str, ...]
    lengths: NDArray[np.int64]
    unrepresentable: Mapping[str, Mapping[str, int]]

    @property
    def n_ids(self) -> int:
        return int(self.lengths.sum())


class KeptIds:
    """The ids that a folder keeps. Safe to use from several threads and processes."""

    def __init__(self, files: KeptFiles) -> None:
        self._files = files
        self._packs: dict[str, _Pack] = {}

    def get(self, encoder: str, digests: Collection[str]) -> dict[str, Encoded]:
        """What is kept of these texts, by digest. encoder: tells apart what makes other ids of a text, in hex."""
        wanted, found = set(digests), dict[str, Encoded]()
        for name in self._files.sizes(encoder, _ENDING) if wanted else ():
            pack = self._pack(name)
            if pack is not None and not wanted.isdisjoint(pack.digests):
                found |= self._read(pack, wanted)
                wanted.difference_update(found)
                if not wanted:
                    break
        return found

    def put(self, encoder: str, encoded: Mapping[str, Encoded]) -> None:
        """Keeps the ids of texts by digest, together with those of small packs where these are many."""
        small = [name for name, size in self._files.sizes(encoder, _ENDING).items() if size < _SMALL_BYTES]
        packs = [pack for name in small if (pack := self._pack(name))] if len(small) >= _MANY_SMALL else []
        everything = dict(encoded)
        for pack in packs:
            everything = self._read(pack, set(pack.digests)) | everything
        name = f"{encoder}-{time.time_ns():x}-{os.getpid()}{_ENDING}"
        head, body = _packed(everything)
        if everything and self._files.write(name, head, body):
            for pack in packs:
                self._files.remove(pack.name)

    def _pack(self, name: str) -> _Pack | None:
        """A pack's head; what a pack holds never changes."""
        if name not in self._packs and (head := self._files.read_head(name)) is not None:
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                self._packs[name] = _unpacked_head(name, head)
        return self._packs.get(name)

    def _read(self, pack: _Pack, wanted: Collection[str]) -> dict[str, Encoded]:
        body = self._files.read_body(pack.name)
        ids = _unpacked_ids(body, pack.n_ids) if body is not None else None
        if ids is None:
            return {}
        ends = np.cumsum(pack.lengths).tolist()
        places = zip(pack.digests, [0, *ends], ends, strict=False)
        found = {digest: ids[start:end] for digest, start, end in places if digest in wanted}
        if sum(map(len, found.values())) * _MOSTLY < len(ids):
            found = {digest: some.copy() for digest, some in found.items()}
        missing, none = pack.unrepresentable, Counter[str]()
        return {
            digest: Encoded(some, Counter(missing[digest]) if digest in missing else none)
            for digest, some in found.items()
        }


def _packed(encoded: Mapping[str, Encoded]) -> tuple[bytes, list[memoryview]]:
    """Head and body of a pack."""
    missing = {digest: each.unrepresentable for digest, each in encoded.items() if each.unrepresentable}
    lengths = np.array([len(each.ids) for each in encoded.values()], dtype="<i8")
    head = json.dumps({"n": len(encoded), "unrepresentable": missing}).encode() + b"\n"
    head += bytes.fromhex("".join(encoded)) + lengths.tobytes()
    return head, list(_packed_ids([each.ids for each in encoded.values()]))


def _packed_ids(parts: Sequence[Ids]) -> Iterator[memoryview]:
    """The lower 16 bits of each id, then those beyond: of four ids in a byte where two each are enough, else 16."""
    ids = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
    halves = ids.astype("<i4", copy=False).view("<u2")
    yield np.ascontiguousarray(halves[0::2]).data
    beyond = halves[1::2]
    if beyond.max(initial=0) >= 4:
        yield np.ascontiguousarray(beyond).data
        return
    fours = np.zeros((-(-len(ids) // 4), 4), dtype=np.uint8)
    fours.reshape(-1)[: len(ids)] = beyond
    yield (fours[:, 0] | fours[:, 1] << 2 | fours[:, 2] << 4 | fours[:, 3] << 6).data


def _unpacked_ids(body: bytes, n_ids: int) -> Ids | None:
    """None where the body is of another length."""
    n_low, n_fours = 2 * n_ids, -(-n_ids // 4)
    ids = np.empty(n_ids, dtype="<i4")
    halves = ids.view("<u2")
    if len(body) == n_low + n_low:
        halves[0::2], halves[1::2] = np.frombuffer(body, dtype="<u2").reshape(2, n_ids)
    elif len(body) == n_low + n_fours:
        halves[0::2] = np.frombuffer(body, dtype="<u2", count=n_ids)
        packed = np.frombuffer(body, dtype=np.uint8, offset=n_low)
        fours = np.empty((n_fours, 4), dtype=np.uint8)
        for at in range(4):
            np.bitwise_and(packed >> (2 * at), 3, out=fours[:, at])
        halves[1::2] = fours.reshape(-1)[:n_ids]
    else:
        return None
    return ids.astype(np.int32, copy=False)


def _unpacked_head(name: str, head: bytes) -> _Pack:
    """Raises ValueError, KeyError, TypeError or AttributeError for what is none."""
    said, _, rest = head.partition(b"\n")
    facts = json.loads(said)
    n_texts = int(facts["n"])
    if n_texts < 0 or len(rest) != n_texts * (_DIGEST_BYTES + 8):
        raise ValueError(f"{name} is of another length")
    digests = rest[: n_texts * _DIGEST_BYTES].hex()
    lengths = np.frombuffer(rest, dtype="<i8", offset=n_texts * _DIGEST_BYTES)
    if lengths.min(initial=0) < 0:
        raise ValueError(f"{name} has a text of less than no ids")
    width = 2 * _DIGEST_BYTES
    names = tuple(digests[at : at + width] for at in range(0, len(digests), width))
    missing = {digest: dict(each) for digest, each in facts["unrepresentable"].items()}
    return _Pack(name, names, lengths.astype(np.int64), missing)
