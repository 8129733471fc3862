"""How a model of this machine writes its replies, by its template and its vocabulary: as its process is told."""

from collections.abc import Sequence

from engine.prompt.habits import Habits, ends_of
from engine.prompt.marks import ANSWERS, CHANNEL_TOKENS, IN_CHANNEL, TO_ANSWER, Mark, opened_in
from engine.runtime.events import Sampling
from engine.runtime.manner import Manner
from engine.tokens.encode import Tokenizer


def manner_of(habits: Habits, tokenizer: Tokenizer, asks: str, sampling: Sampling, *, has_form: bool = False) -> Manner:
    """habits: of the chat template. asks: the generation prompt that is sent. has_form: the reply is held to a grammar,
    which allows no thought: one that stands open is ended before it begins."""
    marks = habits.marks
    opened, all_marks = opened_in(asks, marks), (*marks, IN_CHANNEL)
    ends = ends_of(tokenizer.split_template(habits.behind))
    spoken = all(token in tokenizer.specials for token in CHANNEL_TOKENS[:4])
    begins: tuple[int, ...] = ()
    if has_form and opened is not None:
        begins = _ending(opened, tokenizer)
    elif has_form and spoken and IN_CHANNEL.closing in habits.behind and asks.rstrip().endswith("assistant"):
        begins = _ids(TO_ANSWER.removeprefix("<|start|>assistant"), tokenizer)
    return Manner(
        marks=marks,
        opened=opened,
        closing=() if has_form else _closing(habits, tokenizer),
        tokens=_tokens(marks, tokenizer),
        endings=tuple((mark.closing, _ending(mark, tokenizer)) for mark in all_marks),
        begins=begins,
        ends=ends.ids,
        stops=ends.texts,
        limit=sampling.thinking_tokens,
    )


def _closing(habits: Habits, tokenizer: Tokenizer) -> tuple[Mark, ...]:
    """Marks that the model may close a thought with: that its template speaks of, or its vocabulary has a token for."""
    return tuple(mark for mark in habits.marks if mark in habits.speaks or tokenizer.token_of(mark.closing) is not None)


def _ending(mark: Mark, tokenizer: Tokenizer) -> tuple[int, ...]:
    """What ends a thought: its closing mark last, as the token that the vocabulary has for it where it has one."""
    if mark == IN_CHANNEL:
        return _ids(mark.closing + TO_ANSWER, tokenizer)
    token = tokenizer.token_of(mark.closing)
    if token is None:
        return _ids(mark.ending, tokenizer)
    return (*_ids(mark.ending.removesuffix(mark.closing), tokenizer), token)


def _tokens(marks: Sequence[Mark], tokenizer: Tokenizer) -> tuple[tuple[int, str], ...]:
    """The special tokens that marks are made of."""
    every = (*marks, *ANSWERS, IN_CHANNEL)
    texts = [text for mark in every for text in (mark.opening, mark.closing)] + list(CHANNEL_TOKENS)
    whole = "\0".join(texts)
    return tuple((token, text) for text, token in tokenizer.specials.items() if text.strip() and text in whole)


def _ids(text: str, tokenizer: Tokenizer) -> tuple[int, ...]:
    ids: list[int] = []
    for part in tokenizer.split_template(text):
        ids += [part] if isinstance(part, int) else tokenizer.encode(part).tolist()
    return tuple(ids)
