"""Words of the switch that a question says itself: the prompt is what the template makes of the question as it stands,
and what they tell holds as the template has it."""

from collections.abc import Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engine.prompt.layout import lay_out
from engine.prompt.prompt import Exchange
from engine.prompt.rendering import chat_environment, told
from engine.prompt.switches import Words
from engine.prompt.template import read_template
from engine.tokens.encode import Tokenizer
from tests.engine.prompt.test_switches import FIRST, HIDDEN, IDLE, SHOWN, SLASH, SYSTEM
from tests.models.families import FAMILIES

TODAY = date(2026, 11, 30)
# takes the word out of what a user says
CUT = (
    "{% set ns = namespace(on=true) %}{% for m in messages %}<{{ m.role }}>{% if m.role == 'user' %}"
    "{% set ns.on = '/no_think' not in m.content %}{{ m.content.replace('/no_think', '').strip() }}{% else %}"
    "{{ m.content }}{% endif %}</>{% endfor %}<assistant>{% if not ns.on %}<think>\n\n</think>\n\n{% endif %}"
)


class Letters:
    """A tokenizer of letters."""

    joins_spaces = False
    vocabulary = SimpleNamespace(adds_space=False)
    facts = SimpleNamespace(add_bos=False, bos_id=None)

    def split_template(self, piece: str) -> list[str | int]:
        return [piece]

    def encode(self, text: str) -> Any:
        return np.array([ord(letter) for letter in text], dtype=np.int32)

    def encode_all(self, texts: Sequence[str]) -> list[Any]:
        return [self.encode(text) for text in texts]


def ids(text: str) -> Any:
    return Letters().encode(text)


def sent(source: str, *questions: str, system: str = "", thinking: Sequence[str] = ()) -> str:
    """The prompt of a conversation, in letters."""
    thinking = thinking or [""] * len(questions)
    exchanges = [
        Exchange(question, (), ids("Yes.") if at < len(questions) - 1 else None, "Yes.", True, thinking=thinking[at])
        for at, question in enumerate(questions)
    ]
    template = read_template(source, bos="<s>", eos="</s>")
    prompt = lay_out(exchanges, system=system, template=template, tokenizer=cast(Tokenizer, Letters()), today=TODAY)
    return "".join(map(chr, prompt.ids().tolist()))


def rendered(source: str, *questions: str, system: str = "", **variables: Any) -> str:
    """What the template itself makes of the messages as they stand."""
    messages = [{"role": "system", "content": system}] if system else []
    for question in questions:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": "Yes."}]
    values = told(messages[:-1], {"bos_token": "<s>", "eos_token": "</s>", **variables})
    return chat_environment(TODAY).from_string(source).render(**values)


@pytest.mark.parametrize(
    ("source", "question", "system", "told_as", "off"),
    [
        (FAMILIES["nemotron"], "Why? /no_think", "", "off", {}),
        (FAMILIES["nemotron"], "/no_think Why?", "", "off", {}),
        (FAMILIES["nemotron"], "Why /no_think is it?", "", "off", {}),
        (FAMILIES["nemotron"], "Why? /think", "", "on", {}),
        (SLASH, "Why?\n/nothink", "", "off", {}),
        (SLASH, "Why /nothink is it?", "", "", {}),  # it looks at the end alone
        (FIRST, "/no_think Why?", "", "off", {}),
        (FIRST, "Why? /no_think", "", "", {}),
        (HIDDEN, "Why? <|no_reasoning|>", "", "off", {}),
        (CUT, "Why? /no_think", "", "off", {}),
        (FAMILIES["glm45"], "Why? /nothink", "", "off", {"enable_thinking": False}),
        (FAMILIES["smollm3"], "Why? /no_think", "", "off", {"enable_thinking": False}),
        (SYSTEM, "Why?", "detailed thinking on", "on", {}),
        (SHOWN, "Why?", "Be exact. /no_think", "off", {}),
        (SYSTEM, "Why? detailed thinking on", "Be exact.", "", {}),  # it looks at the system text alone
        (IDLE.replace(".strip()", ""), "Why?", "", "", {}),
        (FAMILIES["qwen3"], "Why? /no_think", "", "", {}),  # the model may know the word; its template does not
        (FAMILIES["chatml"], "Why? /no_think", "", "", {}),
    ],
)
def test_the_prompt_is_what_the_template_makes_of_the_question(
    source: str, question: str, system: str, told_as: str, off: dict[str, Any]
) -> None:
    words = read_template(source, bos="<s>", eos="</s>").habits.typed
    text = system if words.role == "system" else question
    assert words.told_in(text) == told_as
    shown = sent(source, question, system=system, thinking=[told_as])
    if source is FAMILIES["glm45"]:  # nothing between a question and its word
        assert shown.count("/nothink") == 1 and shown.endswith("<think></think>")
        return
    assert shown == rendered(source, question, system=system, **off)


@pytest.mark.parametrize("source", [FAMILIES["nemotron"], SLASH, HIDDEN])
def test_a_later_question_begins_as_the_earlier_one_was_sent(source: str) -> None:
    off = read_template(source, bos="<s>", eos="</s>").habits.typed.off
    first = sent(source, f"Why? {off}", thinking=["off"])
    assert "</think>" in first
    later = sent(source, f"Why? {off}", "And?", thinking=["off", ""])
    assert later.startswith(first + "Yes.") and later.count(f" {off}") == 1


@pytest.mark.parametrize(
    ("source", "where"),
    [
        (FAMILIES["nemotron"], Words("/think", "/no_think", anywhere=True, holds=True)),
        (SLASH, Words("", "/nothink")),
        (HIDDEN, Words("", "<|no_reasoning|>", anywhere=True, holds=True)),
        (CUT, Words("", "/no_think", anywhere=True, taken_out=True)),
        (FAMILIES["glm45"], Words("", "/nothink")),
        (FAMILIES["smollm3"], Words("/think", "/no_think")),
        (FAMILIES["deepseek31"], Words()),
        (FAMILIES["gemma4"], Words()),
    ],
)
def test_where_a_template_looks(source: str, where: Words) -> None:
    assert read_template(source, bos="<s>", eos="</s>").habits.typed == where


@pytest.mark.parametrize(
    ("text", "told_as"),
    [
        ("Why? /no_think", "off"),
        ("/no_think\nWhy?", "off"),
        ("Why? /think and /no_think", "off"),
        ("Why? /no_think /think", "on"),
        ("Is src/think.py right?", ""),
        ("What is /think/x?", ""),
        ("It ends at </think> then", ""),
        ("/no_thinking", ""),
        ("Why?", ""),
    ],
)
def test_a_word_stands_by_itself(text: str, told_as: str) -> None:
    assert Words("/think", "/no_think", anywhere=True).told_in(text) == told_as
