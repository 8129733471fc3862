"""The vocabularies of the test models, and how each is written into a GGUF."""

import base64
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import gguf

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

    @property
    def is_control(self) -> tuple[bool, ...]:
        """For each token, whether it is a special one that no text may hold."""
        return tuple(kind == gguf.TokenType.CONTROL for kind in self.types)


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
def llama4_vocabulary() -> BytePairVocabulary:
    """Llama 4's 202,048 tokens out of the package llama-models, as conversions of Scout-Instruct hold them."""
    ranks = _llama4_ranks()
    special = llama4_tokenizer()._special_tokens
    names = sorted(special, key=special.__getitem__)
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


def _llama4_ranks() -> dict[bytes, int]:
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
