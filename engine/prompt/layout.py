"""The prompt: segments of ids, corpus first, question last, and nothing that was not counted.

Special tokens are recognized in the template's own pieces only; sources, questions and the system text are plain text,
and replies are the ids that were sampled. Which rewinding that allows is left to engine.runtime.

Text of the template that stands beside a question or the system text is encoded in one with it, as the tokenizer would
encode the whole chat: "User: " and "Why?" have the token " Why" between them. Sources are encoded by themselves, since
their ids are kept by their content, and replies are not encoded at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from engine.prompt.prompt import Exchange, Part, Prompt, Segment
from engine.prompt.switches import Words
from engine.prompt.template import ChatTemplate, Role, Slot
from engine.tokens.document import common_prefix
from engine.tokens.encode import Tokenizer

# the standing instruction, when the user sets none and there are documents to read
SYSTEM = (
    "Answer from the documents in the user's message. Name the path of the document that a statement comes from and "
    "quote the words that show it. If the documents do not hold the answer, say so."
)


@dataclass(frozen=True, slots=True)
class _Words:
    """Text that is not encoded yet, and what it is."""

    part: Part
    text: str


@dataclass(frozen=True, slots=True)
class _Special:
    """A special token of the template, by its id."""

    id: int


_Item = _Words | _Special | Segment


def lay_out(
    exchanges: Sequence[Exchange], *, system: str, template: ChatTemplate, tokenizer: Tokenizer, today: date
) -> Prompt:
    """The prompt that asks the last exchange's question, with all the earlier ones before it.

    A later turn's prompt begins with the ids of an earlier one's followed by its reply wherever the template allows it.
    Raises ModelRefused when the template does not render that many turns.
    """
    as_sent = [_stands_as_sent(at, exchanges, template) for at in range(len(exchanges))]
    thinking = [exchange.thinking for exchange in exchanges]
    words = template.habits.typed
    said = [system] * len(exchanges) if words.role == Role.SYSTEM else [exchange.question for exchange in exchanges]
    typed = [words.typed_in(text) for text in said]
    pieces, prompts = template.asked(thinking, as_sent, system=bool(system), today=today, typed=typed)
    if words.taken_out and any(typed):  # as the template would take them out of what it is given
        system = words.without(system) if words.role == Role.SYSTEM else system
        exchanges = [_unsaid(each, words) if word else each for each, word in zip(exchanges, typed, strict=True)]
    folded = system if template.folds_system else ""
    items: list[_Item] = []
    for at, piece in enumerate(pieces):
        if isinstance(piece, Slot):
            items += _filled(piece, exchanges, system, folded, tokenizer, as_sent)
            continue
        rest = pieces[at + 1 :]
        reply = rest[0] if rest and isinstance(rest[0], Slot) and rest[0].role is Role.ASSISTANT else None
        if reply is not None and as_sent[reply.turn]:
            piece = prompts[reply.turn]
        items += _template_items(piece, tokenizer, before_reply=not rest or reply is not None)
    segments = _with_bos(_joined(list(_encoded(items, tokenizer))), tokenizer)
    return Prompt(segments, prompts[-1], today if template.is_dated else None)


def _unsaid(exchange: Exchange, words: Words) -> Exchange:
    if words.role == Role.SYSTEM:
        return exchange
    return replace(exchange, question=words.without(exchange.question))


def _stands_as_sent(at: int, exchanges: Sequence[Exchange], template: ChatTemplate) -> bool:
    """Whether an earlier turn stays as it was: the generation prompt that was sent, then all that was sampled. Where
    the template drops earlier thoughts, it says itself what stands before an answer that was thought through."""
    keeps = template.habits.keeps_last if at == len(exchanges) - 2 else template.habits.keeps
    return exchanges[at].sampled and (keeps or not exchanges[at].thought)


def _template_items(piece: str, tokenizer: Tokenizer, *, before_reply: bool) -> Iterator[_Item]:
    """The template's own text and its special tokens. A lone space before a reply is left to the reply, whose first
    token has it, where the vocabulary has words with a space before them: no text that such a model was taught has a
    token that is nothing but this space."""
    is_lone = piece.endswith(" ") and not piece[:-1].endswith((" ", "\t", "\n"))
    if before_reply and is_lone and tokenizer.joins_spaces:
        piece = piece[:-1]
    for part in tokenizer.split_template(piece):
        yield _Special(part) if isinstance(part, int) else _Words(Part.TEMPLATE, part)


def _filled(
    slot: Slot,
    exchanges: Sequence[Exchange],
    system: str,
    folded: str,
    tokenizer: Tokenizer,
    as_sent: Sequence[bool],
) -> Iterator[_Item]:
    """What stands at a slot. folded: the system text, where it has to open the first turn."""
    if slot.role is Role.SYSTEM:
        yield _Words(Part.SYSTEM, system)
        return
    exchange = exchanges[slot.turn]
    if slot.role is Role.ASSISTANT:
        assert exchange.reply_ids is not None  # only the last exchange has none, and it has no slot
        yield Segment(Part.REPLY, exchange.reply_ids if as_sent[slot.turn] else exchange.answer_ids)
        return
    if folded and slot.turn == 0:
        yield _Words(Part.SYSTEM, folded + "\n\n")
    for document in exchange.documents:
        yield Segment(Part.SOURCE, document.ids, document.path, document.shown)
    if exchange.documents:  # a part of its own, so that counts do not depend on how it would merge with the question
        yield Segment(Part.TEMPLATE, tokenizer.encode("\n"))
    yield _Words(Part.QUESTION, exchange.question)


def _encoded(items: Sequence[_Item], tokenizer: Tokenizer) -> Iterator[Segment]:
    """Text that stands side by side is encoded in one; where a token holds some of two parts, it is the later one's."""
    run: list[_Words] = []
    begins = True  # whether the run stands at the beginning, or behind a special token
    for item in items:
        if isinstance(item, _Words):
            run.append(item)
            continue
        yield from _encoded_run(run, tokenizer, begins=begins)
        run, begins = [], isinstance(item, _Special)
        yield Segment(Part.TEMPLATE, np.array([item.id], dtype=np.int32)) if isinstance(item, _Special) else item
    yield from _encoded_run(run, tokenizer, begins=begins)


def _encoded_run(run: Sequence[_Words], tokenizer: Tokenizer, *, begins: bool) -> Iterator[Segment]:
    """begins: SentencePiece models may put a space there, as llama.cpp does of a whole text."""
    text = " " if begins and tokenizer.vocabulary.adds_space and any(words.text for words in run) else ""
    so_far = [text := text + words.text for words in run]
    encoded = tokenizer.encode_all(so_far)
    at = 0
    for words, ids in zip(run, encoded, strict=True):
        end = max(at, common_prefix(ids, encoded[-1]))
        yield Segment(words.part, encoded[-1][at:end])
        at = end


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """The template's segments between two others as one."""
    joined: list[Segment] = []
    for segment in segments:
        if segment.part is Part.TEMPLATE and joined and joined[-1].part is Part.TEMPLATE:
            joined[-1] = Segment(Part.TEMPLATE, np.concatenate((joined[-1].ids, segment.ids)))
        else:
            joined.append(segment)
    return joined


def _with_bos(segments: list[Segment], tokenizer: Tokenizer) -> tuple[Segment, ...]:
    """BOS once: from the template, else from the model's add_bos, never both."""
    facts = tokenizer.facts
    first = next((int(segment.ids[0]) for segment in segments if segment.n_tokens), None)
    if facts.add_bos and facts.bos_id is not None and first != facts.bos_id:
        segments.insert(0, Segment(Part.TEMPLATE, np.array([facts.bos_id], dtype=np.int32)))
    return tuple(segments)
