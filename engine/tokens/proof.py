"""A model file's tokenizer, with the encoder that may stand for llama.cpp's: proved once, kept in a cache folder.

tiktoken is held against llama.cpp, gigatoken against tiktoken. Encoding is left to `encode`. What is kept is believed
only whole, of this vocabulary, of these versions, and of this user.
"""

import json
import os
import random
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np

from engine.gguf import Header
from engine.kept_files import write_whole
from engine.tokens.byte_pairs import (
    PATTERNS,
    REFERENCE_IS_TIKTOKEN,
    BytePairEncoder,
    EncoderPanicked,
    quick_version,
    scheme_of,
)
from engine.tokens.document import Ids
from engine.tokens.encode import Proof, Tokenizer, byte_pair_encoder
from engine.tokens.llama_tokenizer import Facts, LlamaTokenizer
from engine.tokens.vocabulary import Alphabet, Vocabulary, read_vocabulary

_VERSION = 5  # raise it when a change to the proof, to its samples or to PATTERNS makes old proofs void
ENCODERS = ("ids", "merges", "llama.cpp")
_NOT_NOW = "gigatoken could not be tried just now"
_MOST_BYTES = 8 << 20  # of a proof's file; its control tokens are most of it


def open_tokenizer(header: Header, *, cache: Path | None = None, template: str | None = None) -> Tokenizer:
    """The tokenizer of a model file. cache: a folder that keeps the proofs (no text of the user's goes there).
    template: the chat template that speaks with its tokens, None for the file's own.

    The first call for a vocabulary loads it in llama.cpp, in a child process; later ones do not.
    Raises ModelRefused when the file holds no vocabulary or llama.cpp does not accept it.
    """
    vocabulary = read_vocabulary(header)
    llama = LlamaTokenizer(header.path)
    proof = read_proof(cache, vocabulary) if cache else None
    if proof is None:
        try:
            proof = prove(vocabulary, llama)
        finally:  # it starts again if it is needed
            llama.close()
        if cache:
            write_proof(cache, vocabulary, proof)
    return Tokenizer(vocabulary, proof, llama, header.text("tokenizer.chat_template") if template is None else template)


def prove(vocabulary: Vocabulary, llama: LlamaTokenizer) -> Proof:
    """Holds tiktoken against llama.cpp on SAMPLE. Raises ModelRefused, EngineDied."""
    facts = llama.facts()
    if not vocabulary.is_byte_level:
        return Proof("llama.cpp", facts, doubt="tiktoken knows no tokens but pairs of bytes")
    if vocabulary.pre not in PATTERNS:
        return Proof("llama.cpp", facts, doubt=f"tiktoken's pattern for {vocabulary.pre!r} is not known")
    doubt, by_merges = "tiktoken does not take its tokens", not vocabulary.is_in_merge_order
    with suppress(KeyError, ValueError, EncoderPanicked):
        encoder, alphabet = byte_pair_encoder(vocabulary, facts.control, by_merges=by_merges), Alphabet(vocabulary)
        texts = [alphabet.representable(text) for text in SAMPLE if _comparable(text, vocabulary.pre)]
        doubt = _differing("tiktoken", encoder.encode(texts), "llama.cpp", llama.encode(texts), texts)
        if not doubt:
            proof = Proof("merges" if by_merges else "ids", facts, n_texts=len(texts))
            return _with_quick(proof, encoder, alphabet, vocabulary.pre)
    return Proof("llama.cpp", facts, doubt=doubt)


def _with_quick(proof: Proof, encoder: BytePairEncoder, alphabet: Alphabet, pre: str) -> Proof:
    """The proof, with whether gigatoken equals tiktoken on SAMPLE, the marks that llama.cpp's pattern lacks included,
    and on generated texts that are made to hurt."""
    if not quick_version():
        return replace(proof, doubt="gigatoken is not installed")
    if not scheme_of(PATTERNS[pre]):
        return replace(proof, doubt=f"gigatoken does not know the pattern {pre!r}")
    texts = [alphabet.representable(text) for text in (*SAMPLE, *hurtful_texts(_N_HURTFUL))]
    try:
        quick = encoder.encode_quickly(texts)
    except (MemoryError, OSError):
        return replace(proof, doubt=_NOT_NOW)
    except Exception as error:  # it is young: whatever it raises, it is not taken
        return replace(proof, doubt=f"gigatoken failed ({type(error).__name__})")
    if quick is None:
        return replace(proof, doubt="gigatoken does not take its tokens")
    if doubt := _differing("gigatoken", quick, "tiktoken", encoder.encode(texts), texts):
        return replace(proof, doubt=doubt)
    return replace(proof, quick=True, n_quick_texts=len(texts))


def how_encoded(proof: Proof) -> str:
    """Which encoder is taken, on what proof, and why not the next faster one, in words."""
    if proof.encoder == "llama.cpp":
        return f"llama.cpp's own, since {proof.doubt}"
    order = ", by its list of merges" if proof.encoder == "merges" else ""
    held = f"tiktoken {version('tiktoken')}{order}, equal to llama.cpp on {proof.n_texts:,} texts made to hurt"
    if proof.quick:
        return f"{held}; for much text gigatoken {quick_version()}, equal to tiktoken on {proof.n_quick_texts:,}"
    return f"{held}; no faster one, since {proof.doubt}"


def _differing(one: str, ids: Sequence[Ids], other: str, others: Sequence[Ids], texts: Sequence[str]) -> str:
    """What two encoders make different ids of, in a clause; '' where there is nothing."""
    pairs = zip(texts, ids, others, strict=True)
    differing = [text for text, ours, theirs in pairs if not np.array_equal(ours, theirs)]
    if not differing:
        return ""
    first = min(differing, key=len)[:_SHOWN]
    return f"{one} and {other} differ on {len(differing):,} of {len(texts):,} texts, such as {first!r}"


def _comparable(text: str, pre: str) -> bool:
    """Whether llama.cpp is the judge of this text: its o200k pattern lacks the original's combining marks."""
    return pre not in REFERENCE_IS_TIKTOKEN or not any(category(character)[0] == "M" for character in text)


def read_proof(folder: Path, vocabulary: Vocabulary) -> Proof | None:
    """The proof kept for a vocabulary; None where there is none, one that other versions made, or one that is not
    believed: a cut or changed file, another vocabulary's, one that another user wrote or could have.
    """
    with suppress(ValueError, KeyError, TypeError):
        if kept := read_kept(_path(folder, vocabulary), _stamp(vocabulary)):
            facts = kept.pop("facts")
            known = Facts(tuple(facts["control"]), facts["bos_id"], facts["add_bos"])
            proof = Proof(facts=known, **kept)
            return proof if proof.encoder in ENCODERS else None
    return None


def write_proof(folder: Path, vocabulary: Vocabulary, proof: Proof) -> None:
    """Keeps a proof, unless something was missing for a moment. A folder that cannot be written costs the next start a
    second, nothing else."""
    if proof.doubt == _NOT_NOW:
        return
    write_kept(_path(folder, vocabulary), _stamp(vocabulary), asdict(proof))


def read_kept(path: Path, stamp: str) -> dict[str, Any] | None:
    """What write_kept wrote there under this stamp; None where there is nothing that can be believed."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        kept: dict[str, Any] = json.loads(_own_file(path))
        checksum = kept.pop("checksum")
        if checksum == _checksum(kept) and kept.pop("stamp") == stamp:
            return kept
    return None


def write_kept(path: Path, stamp: str, fields: Mapping[str, Any]) -> None:
    """Writes a file of JSON whole or not at all, into a folder that is made; nothing where that cannot be done.

    stamp: what it is of, and all that it hangs on: versions, digests.
    """
    kept = {"stamp": stamp, **fields}
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({**kept, "checksum": _checksum(kept)}).encode())


def _checksum(kept: dict[str, Any]) -> str:
    """Of all else that a file holds."""
    return blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=16).hexdigest()


def _own_file(path: Path) -> bytes:
    """What a file of this user's holds. Raises OSError, also for a link, a pipe, and what others may have written."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        is_ours = not hasattr(os, "geteuid") or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)
        if not stat.S_ISREG(found.st_mode) or not is_ours or found.st_size > _MOST_BYTES:
            raise OSError("not a file of ours")
        return file.read()


def _path(folder: Path, vocabulary: Vocabulary) -> Path:
    return folder / f"vocabulary-{vocabulary.digest}.json"


def _stamp(vocabulary: Vocabulary) -> str:
    versions = f"llama-cpp-python {version('llama-cpp-python')} tiktoken {version('tiktoken')}"
    return f"{_VERSION} {versions} gigatoken {quick_version()} vocabulary {vocabulary.digest}"


def hurtful_texts(n: int, *, seed: int = 0) -> list[str]:
    """Texts of up to 400 characters, the same for a seed: any characters, marks and signs in a row, runs of one, and
    what contractions, digits and line ends are cut by."""
    chance = random.Random(seed)
    return [_HURTFUL[at % len(_HURTFUL)](chance) for at in range(n)]


def _any_characters(chance: random.Random) -> str:
    codes = [chance.randrange(0x110000) for _ in range(chance.randrange(1, 40))]
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)


def _mixed_scripts(chance: random.Random) -> str:
    scripts = [chance.choice(_SCRIPTS) for _ in range(chance.randrange(1, 60))]
    return "".join(chr(chance.randrange(script.start, script.stop)) for script in scripts)


def _signs(chance: random.Random) -> str:
    return "".join(chance.choice(_SIGNS) for _ in range(chance.randrange(1, 60)))


def _run(chance: random.Random) -> str:
    sign: str = chance.choice(_SIGNS)
    return sign * chance.randrange(1, 400) + chance.choice(("x", " ", "\n", "1", ""))


_HURTFUL = (_any_characters, _mixed_scripts, _signs, _run)
_N_HURTFUL = 2_000
_SHOWN = 24  # characters of a text that differs
_SCRIPTS = (
    range(0x20, 0x7F), range(0xA0, 0x250), range(0x300, 0x370), range(0x370, 0x600), range(0x600, 0x700),
    range(0x900, 0xE80), range(0x1F00, 0x2070), range(0x3040, 0x30FF), range(0x4E00, 0x9FFF), range(0xAC00, 0xD7A4),
    range(0x1F300, 0x1FA00), range(0, 0x20),
)  # fmt: skip
_SIGNS = (
    *"ab1 \n\r\t'’sS-_/.", "  ", "'S", "'ll", "'Ve", "ſ", "\u212a", "İ", "ı", "ǅ", "ß", "ﬁ", "²", "½", "٣", "Ⅷ", "é",
    "e\u0301", "\u0301", "\u0947", "\u0e31", "א", "\u0651", "中", "🙂", "\u200b", "\u200d", "\u00a0", "\u2003",
    "\u3000", "\u2028", "\x85", "\x1c", "\x00", "\ufffd",
)  # fmt: skip

# a built encoding must equal llama.cpp's tokenizer on these before it is trusted: short, and ugly on purpose
SAMPLE: tuple[str, ...] = (
    "The quick brown fox jumps over the lazy dog. It's 12,345.67 miles; we'll see, they've gone, I'M sure, YOU'RE not.",
    'def f(x: int):\n    """Doc."""\n\tif x >= 10_000:\n        return f"{x!r}\\n"\n\n\n    return None  # done\n',
    "#include <stdio.h>\r\nint main(void) {\r\n\tprintf(\"%d\\n\", 0xFF);\r\n\treturn 0;\r\n}\r\n",
    "   leading, trailing   \n \n  \n\t\t\tmixed \t \n\n\n\nend   ",
    "1 12 123 1234 12345 123456 1234567 3.14159 -42 1e-9 0b1010 2026-11-21T10:17:00Z ½ ² ٣٤ 四",
    "https://example.org/a/b?c=d&e=%20f#g user@example.com C:\\Users\\x /usr/lib/x86_64-linux-gnu/libc.so.6",
    "Größe, Straße, naïve café, Œuvre, Ångström, ŁÓDŹ, İstanbul, ﬁne, ﷺ, Zürich's",
    "e\u0301\u0302 combining a\u0308 marks",
    "Привет, мир! Съешь ещё этих мягких французских булок. Ελληνικά, עברית שלום, العربية مرحبا بالعالم",
    "中文分词没有空格。日本語のテキスト、カタカナとひらがな。한국어 문장입니다.",
    "ภาษาไทยไม่มีช่องว่าง हिन्दी में लिखा",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "🙂 🇩🇪🇫🇷 ✓ → ≤ ∑ ∞ € £ ¥ ™ \u00a0nbsp\u2003em\u200bzero\ufeffbom",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ================ ---------------- ________________ ////////////////",
    "{\"a\": [1, 2.5, null, true], \"b\": {\"c\": \"d\\u00e9\"}}\n<p class=\"x\">&nbsp;</p>\n| a | b |\n|---|---|\n",
    "camelCaseIdentifier PascalCase SCREAMING_SNAKE_CASE kebab-case HTTPServer2XMLParser x1y2z3 don't DON'T 'tis '90s",
    "SELECT * FROM t WHERE a<>b AND c!='d'; -- x\nfor (;;) { a+=b; c<<=2; d&&e||!f; } /* y */ $var @attr #tag ~^`",
    "QmFzZTY0IHRleHQgbG9va3MgbGlrZSB0aGlz== 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "\n", " ", "  ", "\t", "\r\n", "\n\n", " \n", "\n ", "a", " a", "a ", "'s", "'S", " 's", "1", " 1", "\u00e9", "…",
)  # fmt: skip
