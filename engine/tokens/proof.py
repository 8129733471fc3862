"""Which encoder is right for a vocabulary: proved once against llama.cpp, and kept in a cache folder."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from unicodedata import category

import numpy as np

from engine.tokens.alphabet import Alphabet
from engine.tokens.byte_pairs import BytePairEncoder, EncoderPanicked
from engine.tokens.llama_tokenizer import Facts, LlamaTokenizer
from engine.tokens.patterns import PATTERNS, REFERENCE_IS_TIKTOKEN
from engine.tokens.sample import SAMPLE
from engine.tokens.vocabulary import Vocabulary

_VERSION = 2  # raise it when a change here, in `patterns` or in `sample` makes old proofs void
ENCODERS = ("ids", "merges", "llama.cpp")


@dataclass(frozen=True, slots=True)
class Proof:
    """What comparing with llama.cpp showed: which encoder equals it, and the facts that only llama.cpp knows.

    encoder: 'ids' (tiktoken, ranks are ids), 'merges' (tiktoken, ranks by the merge list) or 'llama.cpp'.
    """

    encoder: str
    facts: Facts


def prove(vocabulary: Vocabulary, llama: LlamaTokenizer) -> Proof:
    """Holds tiktoken against llama.cpp on the built-in sample. Raises ModelRefused, EngineDied."""
    facts = llama.facts()
    if vocabulary.is_byte_level and vocabulary.pre in PATTERNS:
        by_merges = not vocabulary.is_in_merge_order
        with suppress(KeyError, ValueError, EncoderPanicked):
            encoder = BytePairEncoder(vocabulary, facts.control, by_merges=by_merges)
            alphabet = Alphabet(vocabulary)
            texts = [alphabet.representable(text) for text in SAMPLE if _comparable(text, vocabulary.pre)]
            pairs = zip(encoder.encode(texts), llama.encode(texts), strict=True)
            if all(np.array_equal(ours, theirs) for ours, theirs in pairs):
                return Proof("merges" if by_merges else "ids", facts)
    return Proof("llama.cpp", facts)


def _comparable(text: str, pre: str) -> bool:
    """Whether llama.cpp is the judge of this text: its o200k pattern lacks the original's combining marks."""
    return pre not in REFERENCE_IS_TIKTOKEN or not any(category(character)[0] == "M" for character in text)


def read_proof(folder: Path, vocabulary: Vocabulary) -> Proof | None:
    """The proof kept for a vocabulary; None where there is none, or one that other versions made."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(_path(folder, vocabulary).read_text())
        if kept["stamp"] == _stamp() and kept["encoder"] in ENCODERS:
            facts = kept["facts"]
            return Proof(kept["encoder"], Facts(tuple(facts["control"]), facts["bos_id"], facts["add_bos"]))
    return None


def write_proof(folder: Path, vocabulary: Vocabulary, proof: Proof) -> None:
    """Keeps a proof. A folder that cannot be written costs the next start a second, nothing else."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=folder, delete=False) as file:
            json.dump({"stamp": _stamp(), "encoder": proof.encoder, "facts": asdict(proof.facts)}, file)
        os.replace(file.name, _path(folder, vocabulary))


def _path(folder: Path, vocabulary: Vocabulary) -> Path:
    return folder / f"vocabulary-{vocabulary.digest}.json"


def _stamp() -> str:
    return f"{_VERSION} llama-cpp-python {version('llama-cpp-python')} tiktoken {version('tiktoken')}"
