"""The marks between which models think, and around what they answer then, as families were taught them.

Values, and where marks stand in a text. Which of them a model has is left to `habits`, cutting a reply at them to
engine.runtime.parting.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mark:
    """What opens and closes a thought, or an answer."""

    opening: str
    closing: str

    @property
    def ending(self) -> str:
        """What a thought is ended with from outside: tags stand on lines of their own."""
        return f"\n{self.closing}" if re.fullmatch(r"</[\w:-]+>", self.closing) else self.closing


THOUGHTS: Final = (
    *(Mark(f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "thoughts", "reasoning")),
    Mark("<seed:think>", "</seed:think>"),
    Mark("<longcat_think>", "</longcat_think>"),
    Mark("[THINK]", "[/THINK]"),
    Mark("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    Mark("<|START_THINKING|>", "<|END_THINKING|>"),
    Mark("<|begin_of_thought|>", "<|end_of_thought|>"),
    Mark("<|thinking_start|>", "<|thinking_end|>"),
    Mark("<|inner_prefix|>", "<|inner_suffix|>"),
    Mark("<|channel>thought\n", "<channel|>"),
    Mark("<unused94>thought\n", "<unused95>"),
    Mark("Here is my thought process:", "Here is my response:"),
)
# around the answer, behind a thought
ANSWERS: Final = (
    *(Mark(f"<{name}>", f"</{name}>") for name in ("answer", "response")),
    Mark("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    Mark("<|begin_of_solution|>", "<|end_of_solution|>"),
)
# harmony: a reply is a message or several, each in a channel, of which one is the answer's
CHANNEL: Final = re.compile(
    r"(?:<\|start\|>)?(?:assistant)?(?: ?to=[^<\n]{1,40})?<\|channel\|>([a-z]+)[^<\n]{0,80}"
    r"(?:<\|constrain\|>[^<\n]{0,80})?<\|message\|>"
)
CHANNEL_TOKENS: Final = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|constrain|>")
IN_CHANNEL: Final = Mark("<|channel|>analysis<|message|>", "<|end|>")
TO_ANSWER: Final = "<|start|>assistant<|channel|>final<|message|>"  # behind a thought that was ended
ANSWERING: Final = "final"  # the channel of the answer
_TAG = r"[a-zA-Z][\w:-]{1,30}"
_PAIR = re.compile(rf"</({_TAG})>|\[/([A-Z_]{{2,30}})\]")
# pairs of templates that are about something else
_OTHERS = frozenset(
    {
        *("tool", "tools", "tool_call", "tool_calls", "tool_response", "tool_responses", "tool_result", "function"),
        *("functions", "function_call", "parameter", "parameters", "arguments", "available_tools", "documents"),
        *("document", "result", "results", "image", "images", "video", "audio", "context", "system", "user"),
        *("assistant", "answer", "response", "output", "quote", "code", "html", "body", "p", "b", "i", "s", "INST"),
        *("SYS", "IMG", "SYSTEM_PROMPT", "AVAILABLE_TOOLS", "TOOL_RESULTS", "TOOL_CALLS", "MODEL_SETTINGS"),
    }
)


def pairs_in(source: str) -> tuple[Mark, ...]:
    """Pairs of tags that a template speaks of, and that may hold thoughts: it has to be tried which do."""
    found = dict[Mark, None]()
    for match in _PAIR.finditer(source):
        name = match[1] or match[2]
        mark = Mark(f"<{name}>", f"</{name}>") if match[1] else Mark(f"[{name}]", f"[/{name}]")
        if name not in _OTHERS and mark not in THOUGHTS:
            found[mark] = None
    return tuple(found)


def opened_in(asks: str, marks: Sequence[Mark]) -> Mark | None:
    """The mark that the text before a reply has opened at its end."""
    text = asks.rstrip()
    for mark in sorted(marks, key=lambda each: -len(each.opening)):
        if text.endswith(mark.opening.rstrip()):
            return mark
    channel = list(CHANNEL.finditer(text))
    if channel and channel[-1].end() == len(text) and channel[-1][1] != ANSWERING:
        return IN_CHANNEL
    return None


def held(text: str, marks: Iterable[str]) -> int:
    """Characters at the end of a text that may be the beginning of one of these."""
    lengths = (n for mark in marks for n in range(min(len(mark) - 1, len(text)), 0, -1) if text.endswith(mark[:n]))
    return max(lengths, default=0)
