"""engine.prompt.switches: words in the system text or a question that a chat template looks for, found by trying."""

from dataclasses import replace
from datetime import date

import pytest

from engine.prompt.switches import Words, WordTrials
from engine.prompt.template import ChatTemplate, read_template
from tests.models.families import FAMILIES

TODAY = date(2026, 11, 30)
LOOP = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
CLOSED = "<assistant>{% if not ns.on %}<think>\n\n</think>\n\n{% endif %}"
LAST = "{% set ns = namespace(on=true) %}{% for m in messages %}{% if m.role == 'user' %}"
SLASH = LAST + "{% set ns.on = not m.content.rstrip().endswith('/nothink') %}{% endif %}{% endfor %}" + LOOP + CLOSED
SYSTEM = (
    "{% set ns = namespace(on=false) %}{% for m in messages %}{% if m.role == 'system' %}"
    "{% if 'detailed thinking on' in m.content %}{% set ns.on = true %}{% endif %}{% endif %}{% endfor %}"
    + LOOP
    + "<assistant>{% if ns.on %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}"
)
FIRST = LAST + "{% set ns.on = not m.content.startswith('/no_think') %}{% endif %}{% endfor %}" + LOOP + CLOSED
# takes the words out of what it shows, and says itself what holds
SHOWN = (
    "{% set ns = namespace(mode='/think') %}{% for m in messages %}{% if m.role == 'system' %}"
    "{% if '/no_think' in m.content %}{% set ns.mode = '/no_think' %}{% elif '/think' in m.content %}"
    "{% set ns.mode = '/think' %}{% endif %}{% endif %}{% endfor %}Reasoning: {{ ns.mode }}\n"
    "{% for m in messages %}<{{ m.role }}>{{ m.content | replace('/no_think', '') | replace('/think', '') | trim }}</>"
    "{% endfor %}<assistant>"
)
HIDDEN = LAST + "{% set off = '<|no_reasoning|>' %}{% if off in m.content %}{% set ns.on = false %}{% endif %}"
HIDDEN += "{% endif %}{% endfor %}" + LOOP + CLOSED
# speaks of such words, and does nothing with them but to take them out
IDLE = LOOP.replace("m.content", "m.content.replace('/no_think', '').replace('/think', '').strip()") + "<assistant>"


def read(source: str) -> ChatTemplate:
    return read_template(source, bos="<s>", eos="</s>")


@pytest.mark.parametrize(
    ("source", "words", "thinks"),
    [
        (FAMILIES["nemotron"], Words("/think", "/no_think"), True),
        (SLASH, Words("", "/nothink"), True),
        (SYSTEM, Words("detailed thinking on", "", "system", rests=True), False),
        (FIRST, Words("", "/no_think", "user", first=True), True),
        (SHOWN, Words("/think", "/no_think", "system"), True),
        (HIDDEN, Words("", "<|no_reasoning|>"), True),
        (IDLE, Words(), False),
        (FAMILIES["qwen3"], Words(), True),  # has a variable
        (FAMILIES["glm45"], Words(), True),
        (FAMILIES["smollm3"], Words(), True),
        (FAMILIES["harmony"], Words(), True),
        (FAMILIES["deepseek31"], Words(), False),
        (FAMILIES["gemma4"], Words(), False),
        (FAMILIES["chatml"], Words(), False),
    ],
)
def test_which_words_a_template_looks_for(source: str, words: Words, thinks: bool) -> None:
    habits = read(source).habits
    plain = replace(habits.words, anywhere=False, holds=False, taken_out=False)  # see test_typed_words
    assert (plain, habits.thinks) == (words, thinks)


@pytest.mark.parametrize("source", [FAMILIES["nemotron"], SLASH, FIRST, HIDDEN])
def test_off_closes_the_thought_before_it_begins(source: str) -> None:
    chat = read(source)
    asks = {
        thinking: str(chat.pieces(2, system=True, today=TODAY, thinking=thinking)[-1])
        for thinking in ("", "on", "off", "64")
    }
    assert "</think>" in asks["off"] and not any("</think>" in asks[thinking] for thinking in ("", "on", "64"))


def test_on_opens_it_where_a_template_rests() -> None:
    chat = read(SYSTEM)
    for system in (True, False):  # without one, the word is all that it says
        asks = {each: str(chat.pieces(1, system=system, today=TODAY, thinking=each)[-1]) for each in ("", "on", "off")}
        assert asks["on"].endswith("<think>\n") and asks["off"] == asks[""] and asks[""].endswith("</think>\n\n")


def test_what_was_said_holds_until_something_else_is() -> None:
    words = Words("/think", "/no_think")
    assert words.each(["", "off", "", "on"]) == ["", "/no_think", "/think", "/think"]
    assert words.each(["", "", ""]) == ["", "", ""]
    assert Words("", "/nothink").each(["off", "", "300"]) == ["/nothink", "", ""]
    assert Words("think hard", "", rests=True).each(["on", "", "off"]) == ["think hard", "", ""]


def test_later_turns_begin_as_earlier_ones_did() -> None:
    """With the words in questions, what was read of earlier turns stays, whatever is asked for now."""
    chat = read(FAMILIES["nemotron"])
    before, _ = chat.asked(["off"], [True], system=True, today=TODAY)
    after, prompts = chat.asked(["off", "on"], [True, False], system=True, today=TODAY)
    assert before[: len(before) - 1] == after[: len(before) - 1] and prompts[0] == before[-1]
    assert "/no_think" in prompts[0] and prompts[0].endswith("<think></think>")
    assert str(after[-1]).startswith(" /think") and str(after[-1]).endswith("<think>\n")


def test_few_words_are_tried() -> None:
    many = "".join(f"{{{{ 'think{number} now' }}}}" for number in range(40))
    assert len(WordTrials(many).words) == 6
    assert WordTrials("{{ '<think>\n' }}{{ '</think>' }}{{ 'user' }}").words == ()


@pytest.mark.parametrize(
    ("source", "thinking", "said"),
    [
        (FAMILIES["chatml"], "off", "should the model think all the same, it is made to answer where it begins to."),
        (FAMILIES["qwq"], "off", "should the model think all the same"),
        (FAMILIES["deepseek_r1"], "on", "the model thinks if it does of itself."),
        ("", "off", "should the model think all the same"),
        (FAMILIES["qwen3"], "off", ""),
        (FAMILIES["nemotron"], "off", ""),
        (FAMILIES["chatml"], "300", ""),
        (FAMILIES["chatml"], "", ""),
    ],
)
def test_what_has_no_switch_says_so(source: str, thinking: str, said: str) -> None:
    found = read(source).use.unswitched(thinking)
    assert said in found and bool(found) is bool(said)
    assert read(FAMILIES["nemotron"]).use.on_thinking.endswith("/think and /no_think turn them on and off")
