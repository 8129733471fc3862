"""Which model a file is, beyond its shape: a KV state is bound to it, since llama.cpp does not check that itself.

The only thing here that reads weights, so planning never asks for it; the engine's side does, before it uses a state.
"""

from functools import lru_cache
from hashlib import blake2b

from engine.errors import ModelRefused
from engine.memory.card import ModelCard, ModelFile

_SAMPLES, _SAMPLE_BYTES = 64, 4096


def fingerprint(card: ModelCard) -> str:
    """Hex blake2b-128 that tells models of one shape apart; the same for copies of a file.

    Reads 256 KiB of weights a file, once for as long as its size and time of change stay. Raises ModelRefused when a
    file went away.
    """
    try:
        return _fingerprint(tuple((file, file.path.stat().st_mtime_ns) for file in card.files))
    except OSError as error:
        raise ModelRefused(
            f"{card.path} cannot be read any more: {error.strerror}.", "Put the model file back, or name another."
        ) from None


@lru_cache(maxsize=16)
def _fingerprint(files: tuple[tuple[ModelFile, int], ...]) -> str:
    """Of each file the header's digest, the size and samples of its weights, its first and last bytes among them."""
    digest = blake2b(digest_size=16)
    for part, _ in files:
        digest.update(f"{part.header_digest} {part.n_bytes}".encode())
        room = max(0, part.n_bytes - part.data_start - _SAMPLE_BYTES)
        with part.path.open("rb") as file:
            for sample in range(_SAMPLES):
                file.seek(part.data_start + room * sample // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
