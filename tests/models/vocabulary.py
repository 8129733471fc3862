"""The vocabularies of the test models, and how each is written into a GGUF."""

import base64
import importlib.util
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np
import numpy.typing as npt

from engine.tokens.byte_pairs import PATTERNS

if TYPE_CHECKING:
    import tiktoken


@dataclass(frozen=True, slots=True)
class BytePairVocabulary:
    """A byte-level BPE vocabulary as GGUF holds it: token texts in GPT-2's alphabet, an id is a place in `tokens`."""

    pre: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    bos: int
    eos: int
    eot: int
    pad: int
    add_bos: bool

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Add it to a GGUF the way llama.cpp's convert_hf_to_gguf does."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        writer.add_token_merges(self.merges)
        writer.add_bos_token_id(self.bos)
        writer.add_eos_token_id(self.eos)
        writer.add_eot_token_id(self.eot)
        writer.add_pad_token_id(self.pad)
        writer.add_add_bos_token(self.add_bos)

    def with_special(self, names: tuple[str, ...]) -> "BytePairVocabulary":
        """The same with more control tokens at its end."""
        types = self.types + (gguf.TokenType.CONTROL,) * len(names)
        return replace(self, tokens=self.tokens + names, types=types)

    @property
    def output_sizes(self) -> npt.NDArray[np.float32]:
        """How large a random model makes each token's output row: 0 for control tokens, else 1.

        Their logits are then zero, far below the best, so that greedy replies are text and end by length.
        """
        return np.array([kind != gguf.TokenType.CONTROL for kind in self.types], dtype=np.float32)


def _gpt2_alphabet() -> dict[int, str]:
    """GPT-2's table for str.translate: printable bytes stand for themselves, the others for characters from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(rest)}


GPT2_ALPHABET = _gpt2_alphabet()


def gpt2_text(token: bytes) -> str:
    """A token's bytes in GPT-2's alphabet."""
    return token.decode("latin-1").translate(GPT2_ALPHABET)


def merges_of(ranks: dict[bytes, int]) -> tuple[str, ...]:
    """Every pair of tokens that joins to a token, by the joint token's rank and then by its parts' ranks.

    That is how the tokenizer.json of Meta's tiktoken models came about (transformers' TikTokenConverter), and so what
    real conversions hold: 439,802 merges for Llama 4. With only the one split per token that a BPE run would take,
    texts whose merges go another way would come out differently.
    """
    merges: list[str] = []
    for token in ranks:
        pairs = []
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ranks and right in ranks:
                pairs.append((ranks[left], ranks[right], f"{gpt2_text(left)} {gpt2_text(right)}"))
        merges.extend(text for _, _, text in sorted(pairs))
    return tuple(merges)


@cache
def llama4_tokenizer() -> "tiktoken.Encoding":
    """Meta's own Llama 4 tokenizer, the reference that every count is held against."""
    from llama_models.llama4.tokenizer import Tokenizer

    encoding: tiktoken.Encoding = Tokenizer.get_instance().model
    return encoding


@cache
def llama4_vocabulary(*, n_ranks: int | None = None) -> BytePairVocabulary:
    """Llama 4's 202,048 tokens out of the package llama-models, as conversions of Scout-Instruct hold them.

    n_ranks: only so many of the 200,000 that are no special ones, the most frequent. They are a vocabulary themselves.
    """
    ranks = dict(list(llama4_ranks().items())[:n_ranks])
    ids = llama4_tokenizer()._special_tokens
    names = sorted(ids, key=ids.__getitem__)
    special = {name: len(ranks) + place for place, name in enumerate(names)}
    normal = tuple(gpt2_text(token) for token in ranks)
    return BytePairVocabulary(
        pre="llama4",
        tokens=normal + tuple(names),
        types=(gguf.TokenType.NORMAL,) * len(normal) + (gguf.TokenType.CONTROL,) * len(names),
        merges=merges_of(ranks),
        bos=special["<|begin_of_text|>"],
        eos=special["<|eot|>"],
        eot=special["<|eot|>"],
        pad=special["<|finetune_right_pad|>"],
        add_bos=True,
    )


LLAMA3_SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|finetune_right_pad_id|>",
    "<|im_start|>",
    "<|im_end|>",
)


def llama3_vocabulary(*, n_ranks: int = 2_000, add_bos: bool = True) -> BytePairVocabulary:
    """A small vocabulary of Llama 3's kind: 256 bytes, the most frequent merges, special tokens of Llama 3 and ChatML.

    The first ranks of a BPE vocabulary are one themselves, so Llama 4's serve; the splitting pattern is Llama 3's.
    """
    ranks = dict(list(llama4_ranks().items())[:n_ranks])
    special = {name: n_ranks + place for place, name in enumerate(LLAMA3_SPECIAL)}
    return BytePairVocabulary(
        pre="llama-bpe",
        tokens=tuple(map(gpt2_text, ranks)) + LLAMA3_SPECIAL,
        types=(gguf.TokenType.NORMAL,) * n_ranks + (gguf.TokenType.CONTROL,) * len(special),
        merges=merges_of(ranks),
        bos=special["<|begin_of_text|>"],
        eos=special["<|end_of_text|>"],
        eot=special["<|eot_id|>"],
        pad=special["<|finetune_right_pad_id|>"],
        add_bos=add_bos,
    )


@dataclass(frozen=True, slots=True)
class PieceVocabulary:
    """A SentencePiece vocabulary as GGUF holds it: pieces with scores, a space is written U+2581."""

    tokens: tuple[str, ...]
    scores: tuple[float, ...]
    types: tuple[int, ...]
    bos: int
    eos: int
    eot: int
    unknown: int
    pad: int

    def with_special(self, names: tuple[str, ...]) -> "PieceVocabulary":
        """The same with more control tokens at its end."""
        return replace(
            self,
            tokens=self.tokens + names,
            scores=self.scores + (-1000.0,) * len(names),
            types=self.types + (gguf.TokenType.CONTROL,) * len(names),
        )

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Add it to a GGUF the way llama.cpp's convert_hf_to_gguf does for Gemma."""
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(self.tokens)
        writer.add_token_scores(self.scores)
        writer.add_token_types(self.types)
        writer.add_bos_token_id(self.bos)
        writer.add_eos_token_id(self.eos)
        writer.add_eot_token_id(self.eot)
        writer.add_unk_token_id(self.unknown)
        writer.add_pad_token_id(self.pad)
        writer.add_add_bos_token(True)
        writer.add_add_eos_token(False)
        writer.add_add_space_prefix(False)


GEMMA3_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")


def gemma3_vocabulary(*, n_pieces: int = 2_000) -> PieceVocabulary:
    """A small vocabulary of Gemma 3's kind: its special tokens, 256 byte tokens, pieces with falling scores.

    The pieces are the most frequent texts among Llama 4's tokens, and the printable ASCII characters, without which no
    piece could be put together.
    """
    texts = dict.fromkeys(chr(code) for code in range(0x20, 0x7F))
    for token in llama4_ranks():
        if len(texts) == n_pieces:
            break
        with suppress(UnicodeDecodeError):
            texts.setdefault(token.decode())
    pieces = [text.replace(" ", "\u2581") for text in texts if text.isprintable() or text == "\n"]
    kind = gguf.TokenType
    return PieceVocabulary(
        tokens=GEMMA3_SPECIAL + tuple(f"<0x{byte:02X}>" for byte in range(256)) + tuple(pieces),
        scores=(-1000.0,) * (len(GEMMA3_SPECIAL) + 256) + tuple(-float(place) for place in range(len(pieces))),
        types=(kind.CONTROL,) * 3
        + (kind.UNKNOWN,)
        + (kind.CONTROL,) * 2
        + (kind.BYTE,) * 256
        + (kind.NORMAL,) * len(pieces),
        bos=2,
        eos=1,
        eot=5,
        unknown=3,
        pad=0,
    )


def ranks_for(pre: str, ranks: Mapping[bytes, int]) -> dict[bytes, int]:
    """Those that a vocabulary of this pattern may have: where digits stand apart, none has a digit and more."""
    apart = PATTERNS[pre] == PATTERNS["smollm"]
    return {raw: at for raw, at in ranks.items() if not (apart and len(raw) > 1 and set(raw) & set(b"0123456789"))}


@cache
def llama4_ranks() -> dict[bytes, int]:
    """The 200,000 byte sequences in the order of their ranks, which are their ids."""
    spec = importlib.util.find_spec("llama_models")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("llama-models is not installed; it carries Llama 4's tokenizer (a dev dependency)")
    path = Path(spec.origin).parent / "llama4" / "tokenizer.model"
    ranks: dict[bytes, int] = {}
    for line in path.read_bytes().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    if list(ranks.values()) != list(range(len(ranks))):
        raise ValueError(f"{path.name} does not hold its ranks in order")
    return ranks
