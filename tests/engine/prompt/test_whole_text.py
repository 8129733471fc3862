"""engine.prompt.layout: the ids of a chat are those that llama.cpp makes of its text in one piece, special tokens
recognized, in the forms of whole families and with vocabularies of both kinds."""

import ctypes
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import llama_cpp
import pytest

from engine.gguf import read_header
from engine.prompt.layout import lay_out
from engine.prompt.prompt import Exchange, Part
from engine.prompt.template import ChatTemplate, Piece, Role, read_template
from engine.tokens.encode import Tokenizer
from engine.tokens.proof import open_tokenizer
from tests.models.families import FAMILIES, control_of
from tests.models.variants import gemma3_with, llama_with
from tests.models.vocabulary import GEMMA3_SPECIAL, LLAMA3_SPECIAL

TODAY = date(2026, 11, 21)
BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
WORDS = (
    "Why",
    "is",
    "the",
    "sky",
    "blue",
    "x1",
    "naïve",
    "(see",
    "above)",
    "日本",
    "don't",
    "a\nb",
    "two  spaces",
    "3.14",
)


@dataclass(frozen=True)
class Taught:
    """A vocabulary as Longdesk has it, and llama.cpp's own way with a whole text."""

    tokenizer: Tokenizer
    vocab: object

    def whole(self, text: str) -> list[int]:
        raw = text.encode()
        ids = (ctypes.c_int32 * (len(raw) + 8))()
        n_ids = llama_cpp.llama_tokenize(self.vocab, raw, len(raw), ids, len(ids), False, True)
        found, bos = list(ids[:n_ids]), self.tokenizer.facts.bos_id
        assert bos is not None
        return found if found[0] == bos else [bos, *found]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Taught, ...]]:
    """Byte pairs and SentencePiece, which puts spaces of its own; with the special tokens of all families, and with
    none of them, so that their marks are plain words."""
    folder = tmp_path_factory.mktemp("taught")
    names = {name for family in FAMILIES for name in control_of(family)} - {"<s>", "</s>", BOS, EOS}
    pairs, pieces = (tuple(sorted(names - set(known))) for known in (LLAMA3_SPECIAL, GEMMA3_SPECIAL))
    texts = {"<bos>": BOS, "<eos>": EOS}
    paths = (
        llama_with(folder / "a.gguf", special=pairs),
        llama_with(folder / "b.gguf"),
        gemma3_with(folder / "c.gguf", special=pieces, texts=texts, add_space_prefix=True),
        gemma3_with(folder / "d.gguf", texts=texts, add_space_prefix=True),
    )
    models = [_loaded(path) for path in paths]
    tokenizers = [open_tokenizer(read_header(path)) for path in paths]
    assert [tokenizer.vocabulary.adds_space for tokenizer in tokenizers] == [False, False, True, True]
    pairs_of = zip(tokenizers, models, strict=True)
    yield tuple(Taught(tokenizer, llama_cpp.llama_model_get_vocab(model)) for tokenizer, model in pairs_of)
    for tokenizer, model in zip(tokenizers, models, strict=True):
        tokenizer.close()
        llama_cpp.llama_model_free(model)


def _loaded(path: Path) -> object:
    llama_cpp.llama_backend_init()
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    return llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)


def written(
    chat: ChatTemplate, system: str, exchanges: list[tuple[str, str]], pieces: tuple[Piece, ...] | None = None
) -> str:
    """The text of a chat in one piece."""
    text = ""
    for piece in pieces or chat.pieces(len(exchanges), system=bool(system), today=TODAY):
        if isinstance(piece, str):
            text += piece
        elif piece.role is Role.SYSTEM:
            text += system
        elif piece.role is Role.ASSISTANT:
            text += exchanges[piece.turn][1]
        else:
            folded = f"{system}\n\n" if chat.folds_system and system and piece.turn == 0 else ""
            text += folded + exchanges[piece.turn][0]
    return text


def sentence(drawn: random.Random) -> str:
    return " ".join(drawn.choices(WORDS, k=drawn.randint(1, 9))) + drawn.choice(("?", ".", "", "!)"))


@pytest.mark.slow  # 0.4 s each
@pytest.mark.parametrize("family", FAMILIES)
def test_a_chat_is_encoded_as_its_whole_text(family: str, taught: tuple[Taught, ...]) -> None:
    chat, drawn = read_template(FAMILIES[family], bos=BOS, eos=EOS), random.Random(family)
    for each in taught:
        for n in range(6):
            check_question(chat, each, sentence(drawn) if n % 2 else "", sentence(drawn))
        for _ in range(3):
            check_turns(chat, each, [sentence(drawn) for _ in range(5)])


def check_question(chat: ChatTemplate, each: Taught, system: str, question: str) -> None:
    prompt = lay_out([Exchange(question)], system=system, template=chat, tokenizer=each.tokenizer, today=TODAY)
    text = written(chat, system, [(question, "")])
    assert prompt.ids().tolist() == each.whole(text), text
    assert prompt.count(Part.QUESTION) and bool(prompt.count(Part.SYSTEM)) is bool(system)


def check_turns(chat: ChatTemplate, each: Taught, said: list[str]) -> None:
    """Where a special token ends a reply; else how it ends is up to what was sampled."""
    tokenizer, pieces = each.tokenizer, chat.pieces(3, system=False, today=TODAY)
    at = next(n for n, piece in enumerate(pieces) if not isinstance(piece, str) and piece.role is Role.ASSISTANT)
    before, after = (tokenizer.split_template(str(piece)) for piece in (pieces[at - 1], pieces[at + 1]))
    if not isinstance(after[0], int):
        return
    spaced = isinstance(before[-1], str) and before[-1].endswith(" ")
    behind_special = isinstance(before[-1], int) or before[-1] == " "
    lead = " " if spaced or (behind_special and tokenizer.vocabulary.adds_space) else ""
    replies = said[3:]
    exchanges = [
        Exchange(asked, (), tokenizer.encode(lead + reply)) for asked, reply in zip(said, replies, strict=False)
    ]
    prompt = lay_out([*exchanges, Exchange(said[2])], system="", template=chat, tokenizer=tokenizer, today=TODAY)
    if spaced and behind_special and tokenizer.vocabulary.adds_space:
        pieces = tuple(piece[:-1] if piece == pieces[at - 1] else piece for piece in pieces)  # type: ignore[index]
        # one space before a reply, where llama.cpp puts its own before the template's
    text = written(chat, "", [*zip(said, replies, strict=False), (said[2], "")], pieces)
    assert prompt.ids().tolist() == each.whole(text), text


def test_a_lone_space_is_the_next_words(taught: tuple[Taught, ...]) -> None:
    source = "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\n' }}{% endfor %}assistant: "
    chat = read_template(source, bos=BOS, eos=EOS)
    for tokenizer in (each.tokenizer for each in taught):
        prompt = lay_out([Exchange("Why")], system="", template=chat, tokenizer=tokenizer, today=TODAY)
        (question,) = [segment for segment in prompt.segments if segment.part is Part.QUESTION]
        assert question.ids.tolist() == tokenizer.encode(" Why").tolist()
        reply = tokenizer.encode(" Because")
        exchanges = [Exchange("Why", (), reply), Exchange("And")]
        further = lay_out(exchanges, system="", template=chat, tokenizer=tokenizer, today=TODAY).ids().tolist()
        kept = [*prompt.ids().tolist(), *reply.tolist()]
        assert further[: len(kept)] == kept


def test_the_question_costs_what_it_adds(taught: tuple[Taught, ...]) -> None:
    chat = read_template(FAMILIES["chatml"], bos=BOS, eos=EOS)
    for tokenizer in (taught[0].tokenizer, taught[2].tokenizer):
        empty, asked = (
            lay_out([Exchange(text)], system="s", template=chat, tokenizer=tokenizer, today=TODAY)
            for text in ("", "Why so?")
        )
        assert empty.count(Part.QUESTION) == 0
        assert asked.n_tokens - empty.n_tokens == asked.count(Part.QUESTION)
