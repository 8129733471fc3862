"""engine.prompt.habits: what chat templates do with thoughts, and what they put behind a reply, found out by trying."""

from datetime import date

import pytest

from engine.prompt.habits import Ends, Trials, ends_of
from engine.prompt.marks import Mark
from engine.prompt.template import ChatTemplate, read_template
from tests.models.families import FAMILIES

TODAY = date(2026, 11, 30)
LOOP = "{% for m in messages %}"
END = "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
PONDER = LOOP + "<{{ m.role }}>{{ m.content.split('</ponder>')[-1] if m.role == 'assistant' else m.content }}</>" + END
APART = (
    LOOP
    + "<{{ m.role }}>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    + "{{ m.content.split('</think>')[-1] }}</>"
    + END
)
LINES = "{% for m in messages %}{{ m.role | upper }}: {{ m.content }}\n{% endfor %}ASSISTANT:"


def read(source: str) -> ChatTemplate:
    return read_template(source, bos="<s>", eos="</s>")


@pytest.mark.parametrize(
    ("source", "keeps", "keeps_last", "begins", "switch"),
    [
        (FAMILIES["chatml"], True, True, False, ""),
        (FAMILIES["smollm3"], True, True, False, "enable_thinking"),
        (FAMILIES["lfm25"], False, True, False, ""),
        (FAMILIES["qwen3"], False, False, False, "enable_thinking"),
        (FAMILIES["qwen35"], False, False, True, "enable_thinking"),
        (FAMILIES["deepseek31"], False, False, False, "thinking"),
        (FAMILIES["harmony"], False, False, False, ""),
        (FAMILIES["gemma4"], False, False, False, "enable_thinking"),
        (FAMILIES["hunyuan"], False, False, False, "enable_thinking"),
        (PONDER, False, False, False, ""),
        (APART, True, True, False, ""),
    ],
)
def test_what_becomes_of_earlier_thoughts(
    source: str, keeps: bool, keeps_last: bool, begins: bool, switch: str
) -> None:
    habits = read(source).habits
    assert (habits.keeps, habits.keeps_last, habits.begins, habits.switch) == (keeps, keeps_last, begins, switch)


def test_marks_of_its_own() -> None:
    assert Mark("<ponder>", "</ponder>") in read(PONDER).habits.marks
    tools = PONDER.replace("ponder", "tool_call")
    assert not Trials(tools).marks  # is about something else


def test_the_switch_decides_what_is_asked_with() -> None:
    chat = read(FAMILIES["qwen35"])
    asks = {
        thinking: chat.pieces(1, system=False, today=TODAY, thinking=thinking)[-1]
        for thinking in ("", "on", "off", "64")
    }
    assert str(asks["off"]).endswith("<think>\n\n</think>\n\n")
    assert asks[""] == asks["on"] == asks["64"] and str(asks[""]).endswith("<think>\n")


def test_the_generation_prompt_of_each_turn_is_the_one_that_was_sent() -> None:
    chat = read(FAMILIES["qwen35"])
    pieces, prompts = chat.asked(["off", "", "off"], [True, True, False], system=False, today=TODAY)
    assert [prompt.endswith("</think>\n\n") for prompt in prompts] == [True, False, True]
    assert "<think>" not in str(pieces[2])


@pytest.mark.parametrize(
    ("behind", "ends"),
    [
        ([7, "\n", 8, "user\n"], Ends((7,))),
        (["\n", 7, "\n"], Ends((7,))),
        (["\n\nUser: "], Ends((), ("\n\nUser:", "\nUser:"))),
        (["\n### Instruction:\n"], Ends((), ("\n\n### Instruction:", "\n### Instruction:"))),
        ([" USER: "], Ends((), (" USER:", "\nUSER:"))),
        (["<|im_end|>\n<|im_start|>user\n"], Ends((), ("<|im_end|>",))),
        (["\n\n"], Ends()),
        ([], Ends()),
        ([" "], Ends()),
    ],
)
def test_what_ends_a_reply(behind: list[str | int], ends: Ends) -> None:
    assert ends_of(behind) == ends


def test_a_plain_template_ends_before_the_next_question() -> None:
    assert ends_of([read("").habits.behind]).texts == ("\n\nUser:", "\nUser:")
    assert ends_of([read(LINES).habits.behind]).texts == ("\n\nUSER:", "\nUSER:")
