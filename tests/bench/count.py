"""Counting Python's standard library against reading the same files and tokenizing them with tiktoken alone."""

import os
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import tiktoken

from app.desk import Desk
from app.models.places import starter_model
from app.settings import Settings
from engine.corpus.rules import Rules
from engine.local.opened import open_model
from engine.prompt.prompt import Part
from engine.tokens.byte_pairs import PATTERNS
from engine.tokens.id_cache import IdCache
from tests.bench.table import Row, interleave, seconds
from tests.models.cache import cached

_STDLIB = Path(sysconfig.get_path("stdlib"))
_RULES = Rules(exclude=("site-packages", "dist-packages"))
_LIMIT = 1.5


def rows() -> Iterator[Row]:
    """One row a vocabulary."""
    for name, model in (("Llama 4", cached("scout")), ("starter", starter_model())):
        with TemporaryDirectory() as home:
            desk = Desk(Settings(home=Path(home), model=str(model)))
            yield _compare(name, desk)
            desk.close()


def _compare(name: str, desk: Desk) -> Row:
    vocabulary = open_model(Path(desk.settings.model)).tokenizer.vocabulary
    encoding = tiktoken.Encoding(
        "bench", pat_str=PATTERNS[vocabulary.pre], mergeable_ranks=dict(vocabulary.ranks), special_tokens={}
    )
    counted = desk.count(desk.read([_STDLIB], _RULES))
    assert counted.total_tokens == len(counted.prompt.ids()), "the total is not what the prompt holds"
    # the few files with characters that a vocabulary lacks make tiktoken panic: no baseline can be taken of them
    lacking = {document.path for document in counted.documents if document.unrepresentable}
    files = [
        (_STDLIB / source.path, source.encoding or "utf-8") for source in counted.sources if source.path not in lacking
    ]

    def ours() -> float:
        desk._engines._ids = IdCache()
        return seconds(lambda: desk.count(desk.read([_STDLIB], _RULES)))

    def theirs() -> float:
        return seconds(lambda: _read_and_tokenize(files, encoding))

    medians = interleave(ours, theirs, times=5)
    n_tokens = counted.prompt.count(Part.SOURCE)
    return Row(f"count the standard library, {name} ({n_tokens:,} tokens)", *medians, "s", _LIMIT)


def _read_and_tokenize(files: list[tuple[Path, str]], encoding: tiktoken.Encoding) -> int:
    texts = [path.read_bytes().decode(codec) for path, codec in files]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return sum(
            len(ids) for ids in pool.map(lambda text: encoding.encode_to_numpy(text, disallowed_special=()), texts)
        )
