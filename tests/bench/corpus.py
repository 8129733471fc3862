"""A folder of texts with a prompt of a wanted length, and edits of it."""

from itertools import accumulate
from pathlib import Path

import numpy as np

from app.desk import Desk

_WORDS = """
harbour letter winter engine window garden paper market river captain number station light stone answer table
morning summer village doctor silver memory bridge copper north island ladder signal bottle candle mountain
road
"""
_FILE_WORDS = 600
_SLACK = 16


def corpus_of(n_tokens: int, *, folder: Path, desk: Desk) -> None:
    """Fills a new folder: the prompt without a question then has n_tokens, or up to 16 fewer."""
    folder.mkdir()
    per_word = 1.2
    while (missing := n_tokens - desk.count(desk.read([folder])).total_tokens) > _SLACK:
        n_files = len(list(folder.iterdir()))
        n_words = min(_FILE_WORDS, int(missing / per_word) - 60)  # a document's wrapper takes some tokens too
        if n_words > 0:
            (folder / f"{n_files:03}.txt").write_text(_text(n_words, seed=n_files))
        else:
            with (folder / f"{n_files - 1:03}.txt").open("a") as file:
                file.write(" ".join(["harbour"] * max(1, missing // 3)) + "\n")


def edit(share: float, *, folder: Path, desk: Desk) -> Path:
    """Changes one word at the beginning of the file that stands at this share of the corpus; that file."""
    counted = desk.count(desk.read([folder]))
    ends = list(accumulate(document.n_tokens for document in counted.documents))
    at = next(at for at, end in enumerate(ends) if end >= share * ends[-1])
    path = folder / counted.documents[at].path
    path.write_text(path.read_text().replace(" ", " edited ", 1))
    return path


def _text(n_words: int, *, seed: int) -> str:
    words = np.random.default_rng(seed).choice(_WORDS.split(), n_words)
    lines = (" ".join(words[at : at + 12]) for at in range(0, n_words, 12))
    return "\n".join(lines) + "\n"
