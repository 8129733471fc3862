"""The prompt: segments of ids, corpus first, question last, and nothing that was not counted.

Special tokens are recognized in the template's own pieces only; sources, questions and the system text are plain text,
and replies are the ids that were sampled. Which rewinding that allows is left to engine.runtime.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np

from engine.prompt.prompt import Exchange, Part, Prompt, Segment
from engine.prompt.template import ChatTemplate, Role, Slot
from engine.tokens.encode import Tokenizer

# the standing instruction, when the user sets none and there are documents to read
SYSTEM = (
    "Answer from the documents in the user's message. Name the path of the document that a statement comes from and "
    "quote the words that show it. If the documents do not hold the answer, say so."
)


def lay_out(
    exchanges: Sequence[Exchange], *, system: str, template: ChatTemplate, tokenizer: Tokenizer, today: date
) -> Prompt:
    """The prompt that asks the last exchange's question, with all the earlier ones before it.

    A later turn's prompt begins with the ids of an earlier one's followed by its reply wherever the template allows it.
    Raises ModelRefused when the template does not render that many turns.
    """
    segments: list[Segment] = []
    for piece in template.pieces(len(exchanges), system=bool(system), today=today):
        if isinstance(piece, str):
            segments.append(Segment(Part.TEMPLATE, tokenizer.encode_template(piece)))
            continue
        if template.folds_system and system and piece == Slot(Role.USER, 0):
            segments.append(Segment(Part.SYSTEM, tokenizer.encode(system + "\n\n")))
        segments += _fill(piece, exchanges, system, tokenizer)
    return Prompt(_with_bos(segments, tokenizer))


def _fill(slot: Slot, exchanges: Sequence[Exchange], system: str, tokenizer: Tokenizer) -> list[Segment]:
    if slot.role is Role.SYSTEM:
        return [Segment(Part.SYSTEM, tokenizer.encode(system))]
    exchange = exchanges[slot.turn]
    if slot.role is Role.ASSISTANT:
        assert exchange.reply_ids is not None  # only the last exchange has none, and it has no slot
        return [Segment(Part.REPLY, exchange.reply_ids)]
    segments = [Segment(Part.SOURCE, document.ids, document.path, document.shown) for document in exchange.documents]
    if segments:  # a part of its own, so that counts do not depend on how it would merge with the question
        segments.append(Segment(Part.TEMPLATE, tokenizer.encode("\n")))
    return [*segments, Segment(Part.QUESTION, tokenizer.encode(exchange.question))]


def _with_bos(segments: list[Segment], tokenizer: Tokenizer) -> tuple[Segment, ...]:
    """BOS once: from the template, else from the model's add_bos, never both."""
    facts = tokenizer.facts
    first = next((int(segment.ids[0]) for segment in segments if segment.n_tokens), None)
    if facts.add_bos and facts.bos_id is not None and first != facts.bos_id:
        segments.insert(0, Segment(Part.TEMPLATE, np.array([facts.bos_id], dtype=np.int32)))
    return tuple(segments)
