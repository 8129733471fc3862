"""The small models with another vocabulary: types, texts, scores, order, flags. Only a header, there are no weights.

For tests of tokenizing: llama.cpp loads them with vocab_only, nothing decodes.
"""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import gguf

from tests.models.gemma3 import CHAT_TEMPLATE
from tests.models.llama import LLAMA3
from tests.models.vocabulary import BytePairVocabulary, PieceVocabulary, gemma3_vocabulary, llama3_vocabulary


def llama_with(
    path: Path,
    *,
    types: Mapping[str, int] | None = None,
    texts: Mapping[str, str] | None = None,
    pre: str = "llama-bpe",
    shuffled: bool = False,
    template: str = LLAMA3,
    add_bos: bool = True,
    special: tuple[str, ...] = (),
) -> Path:
    """Llama's header. `types` and `texts` change tokens by their text; `shuffled` draws the order of ordinary ids.
    `special`: further control tokens."""
    vocabulary = llama3_vocabulary(add_bos=add_bos).with_special(special)
    tokens = list(vocabulary.tokens)
    if shuffled:
        ordinary = tokens[:2_000]
        random.Random(0).shuffle(ordinary)
        tokens[:2_000] = ordinary
    changed = replace(
        vocabulary,
        pre=pre,
        tokens=tuple((texts or {}).get(text, text) for text in tokens),
        types=_typed(vocabulary.tokens, vocabulary.types, types),
    )
    return _write(path, "llama", changed, template)


def gemma3_with(
    path: Path,
    *,
    types: Mapping[str, int] | None = None,
    texts: Mapping[str, str] | None = None,
    scores: Mapping[str, float] | None = None,
    add_space_prefix: bool = False,
    special: tuple[str, ...] = (),
) -> Path:
    """Gemma 3's header, changed in the same ways."""
    vocabulary = gemma3_vocabulary().with_special(special)
    changed = replace(
        vocabulary,
        tokens=tuple((texts or {}).get(text, text) for text in vocabulary.tokens),
        types=_typed(vocabulary.tokens, vocabulary.types, types),
        scores=tuple(
            (scores or {}).get(text, score) for text, score in zip(vocabulary.tokens, vocabulary.scores, strict=True)
        ),
    )
    return _write(path, "gemma3", changed, CHAT_TEMPLATE, add_space_prefix=add_space_prefix)


def _typed(tokens: tuple[str, ...], types: tuple[int, ...], changes: Mapping[str, int] | None) -> tuple[int, ...]:
    return tuple((changes or {}).get(text, type_) for text, type_ in zip(tokens, types, strict=True))


def _write(
    path: Path,
    architecture: str,
    vocabulary: BytePairVocabulary | PieceVocabulary,
    template: str,
    *,
    add_space_prefix: bool = False,
) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_context_length(8_192)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    vocabulary.write(writer)
    if add_space_prefix:
        key = gguf.Keys.Tokenizer.ADD_PREFIX
        writer.kv_data[0][key] = gguf.gguf_writer.GGUFValue(True, gguf.GGUFValueType.BOOL)
    writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
