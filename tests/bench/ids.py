"""The quicker encoder against tiktoken, a pattern at a time: random texts that are made to hurt, and every file of the
standard library and site-packages. Where one text has other ids, a vocabulary is not taken that way."""

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engine.tokens.byte_pairs import PATTERNS, BytePairEncoder
from engine.tokens.proof import hurtful_texts
from tests.bench.count import make_tree
from tests.bench.table import Row
from tests.models.vocabulary import llama4_ranks, ranks_for

# with Llama 4's ranks, as many as any: whatever a pattern cuts elsewhere becomes other ids
_PRE = ("llama4", "llama-bpe", "qwen2", "gpt-2", "smollm")  # a name of each pattern that the quicker encoder knows
_N_RANDOM, _A_TIME, _N_CHARACTERS = 100_000, 5_000, 0x110000 - 0x800


def rows(*, texts: int = _N_RANDOM) -> Iterator[Row]:
    """A row for each pattern and kind of text: how many have other ids, of how many. texts: random ones."""
    with TemporaryDirectory(prefix="longdesk-bench-") as folder:
        tree = make_tree(Path(folder) / "tree")
        paths = sorted(path for path in tree.rglob("*") if path.is_file())
        for pre in _PRE:
            encoder = BytePairEncoder(ranks_for(pre, llama4_ranks()), PATTERNS[pre], quick=True)
            differing = _differing(encoder, texts, lambda at, n: hurtful_texts(n, seed=at + 1))
            yield Row(f"random texts with other ids, {pre}", len(differing), texts, "", 0.0)
            yield Row(f"characters with other ids, {pre}", _n_characters(pre), _N_CHARACTERS, "", 0.0)
            differing = _differing(encoder, len(paths), lambda at, n: [_text(path) for path in paths[at : at + n]])
            for at in differing:
                print(f"{pre}: {paths[at].relative_to(tree)} has other ids", file=sys.stderr)
            yield Row(f"files of the tree with other ids, {pre}", len(differing), len(paths), "", 0.0)


def _differing(encoder: BytePairEncoder, n_texts: int, texts: Callable[[int, int], Sequence[str]]) -> list[int]:
    """The numbers of texts that the two encode differently."""
    assert encoder._quick is not None, "the quicker encoder is not there"
    found = []
    for begun in range(0, n_texts, _A_TIME):
        some = texts(begun, min(_A_TIME, n_texts - begun))
        pairs = list(zip(encoder._some(some), encoder._some_quickly(some), strict=True))
        found += [begun + at for at, (one, other) in enumerate(pairs) if not np.array_equal(one, other)]
    return found


def _n_characters(pre: str) -> int:
    """Characters, 64 at a time, that are encoded differently somewhere between others.

    Every two bytes are a token here, so that it shows wherever one of the two parts a text.
    """
    ranks = {
        bytes(each): at for at, each in enumerate([(one,) for one in range(256)] + list(product(range(256), repeat=2)))
    }
    encoder = BytePairEncoder(ranks_for(pre, ranks), PATTERNS[pre], quick=True)
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = ["".join(map(_between, characters[at : at + 64])) for at in range(0, len(characters), 64)]
    quick = encoder.encode_quickly(texts)
    assert quick is not None
    return 64 * sum(not np.array_equal(encoder._one(text), ids) for text, ids in zip(texts, quick, strict=True))


def _between(character: str) -> str:
    """Beside letters of two scripts, signs, digits, white space and itself."""
    neighbours = ("a", "\u1010", "!", "a", "!", "1", "\n", "'", character, "s ")
    return "".join(f"{neighbour}{character}{neighbour} " for neighbour in neighbours) + f"{character}b'{character}s\n"


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")
