"""Turn after turn with models that say what they are told, in the forms of families: thoughts apart from answers, each
reply kept in the KV cache as far as its template lets it, and ends where the template has them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from threading import Event as Flag

import numpy as np
import pytest

from engine.local.opened import OpenModel, open_model
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.prompt.prompt import Exchange
from engine.runtime.events import Finished, Remark, Sampling, Stop, Text, Thinking
from engine.runtime.settings import EngineSettings
from tests.models.families import FAMILIES, control_of
from tests.models.scripted import build_scripted

TODAY, THINK = date(2026, 11, 30), ("<think>", "</think>")


@dataclass
class Talk:
    """A conversation with one model. texts, thoughts, ends: of each reply; read: tokens of each prompt that were read,
    kept: of those before it that were not."""

    opened: OpenModel
    process: EngineProcess
    exchanges: list[Exchange] = field(default_factory=list)
    ends: list[Finished] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def ask(self, *, thinking: str = "", max_tokens: int = 40, stops: Sequence[str] = ()) -> Finished:
        asked = Exchange(f"Question {len(self.exchanges)}?", thinking=thinking)
        prompt = self.opened.prompt([*self.exchanges, asked], system="Be exact.", today=TODAY)
        sampling = Sampling(max_tokens=max_tokens, thinking=thinking, stops=tuple(stops))
        manner, text, thought, end = self.opened.manner(prompt, sampling), "", "", None
        for event in self.process.generate(prompt, sampling, cancel=Flag(), manner=manner):
            text += event.text if isinstance(event, Text) else ""
            text = "" if isinstance(event, Thinking) and event.takes_text else text
            thought += event.text if isinstance(event, Thinking) else ""
            self.told += [event.text] if isinstance(event, Remark) else []
            end = event if isinstance(event, Finished) else end
        assert end is not None
        self.process.settle(Flag())  # as between two questions
        self.texts.append(text)
        self.thoughts.append(thought)
        self.ends.append(end)
        self.exchanges.append(
            Exchange(
                asked.question,
                (),
                np.array(end.reply_ids, dtype=np.int32),
                text,
                sampled=True,
                thoughts=end.thoughts,
                thought=bool(thought) and not end.is_open,
                thinking=thinking,
            )
        )
        return end

    def lost(self) -> list[int]:
        """Tokens of each turn's prompt and reply that the next one had to read again."""
        pairs = zip(self.ends, self.ends[1:], strict=False)
        return [one.prompt_tokens + len(one.reply_ids) - two.reused_tokens for one, two in pairs]


@contextmanager
def talking(
    folder: Path,
    script: Sequence[str],
    template: str,
    *,
    control: Sequence[str] = ("<|im_start|>", "<|im_end|>"),
    user: Sequence[str] = (),
    end: str = "<|im_end|>",
    eos: str = "",
) -> Iterator[Talk]:
    named = [token for token in control if token not in user]
    model = build_scripted(
        folder / "m.gguf", script, template=template, control=named, user=user, end=end, eos=eos, n_ctx=2_048
    )
    opened = open_model(model)
    process = EngineProcess(EngineSettings(model=model, placement=Placement(n_ctx=2_048, use_gpus=False), n_threads=1))
    try:
        yield Talk(opened, process)
    finally:
        process.close()
        opened.close()


def family(folder: Path, name: str, script: Sequence[str], end: str, *, user: Sequence[str] = ()):  # type: ignore[no-untyped-def]
    return talking(folder, script, FAMILIES[name], control=control_of(name), end=end, user=user)


SAID = ["So", " it", " is", "."]
THOUGHT = ["<think>", "Let", " me", "</think>", "\n\n", *SAID]


@pytest.mark.slow  # a process and ten turns each
@pytest.mark.parametrize(
    ("name", "script", "end"),
    [
        ("chatml", SAID, "<|im_end|>"),
        ("smollm3", SAID, "<|im_end|>"),
        ("phi3", SAID, "<|end|>"),
        ("llama31", SAID, "<|eot_id|>"),
        ("gemma2", SAID, "<end_of_turn>"),
        ("idefics3", SAID, "<end_of_utterance>"),
        ("llama2", SAID, "</s>"),
        ("glm4", SAID, "<|user|>"),
        ("qwen35", SAID, "<|im_end|>"),
        ("deepseek_r1", SAID, "<|end_of_sentence|>"),
        ("harmony", ["<|channel|>", "final", "<|message|>", *SAID], "<|return|>"),
    ],
)
def test_a_reply_stays_in_the_cache_over_ten_turns(name: str, script: list[str], end: str, tmp_path: Path) -> None:
    with family(tmp_path, name, script, end) as talk:
        for _ in range(10):
            talk.ask()
        assert talk.lost() == [0] * 9
        assert all(each.stop is Stop.END for each in talk.ends)
        whole = talk.thoughts if name in ("qwen35", "deepseek_r1") else talk.texts  # these have begun to think
        assert whole == ["So it is."] * 10


@pytest.mark.slow  # a process and ten turns each
@pytest.mark.parametrize(
    ("name", "script", "end", "marks"),
    [
        ("qwen3", THOUGHT, "<|im_end|>", THINK),
        ("qwen35", THOUGHT[1:], "<|im_end|>", THINK),
        ("deepseek_r1", THOUGHT[1:], "<|end_of_sentence|>", ()),
        ("nemotron", THOUGHT[1:], "<SPECIAL_12>", THINK),
        ("gemma4", ["<|channel>", "thought\n", "Let", " me", "<channel|>", *SAID], "<turn|>", ()),
        (
            "harmony",
            ["<|channel|>", "analysis", "<|message|>", "Let", " me", "<|end|>", "<|channel|>final<|message|>", *SAID],
            "<|return|>",
            (),
        ),
    ],
)
def test_a_thought_is_read_no_more_where_the_template_drops_it(
    name: str, script: list[str], end: str, marks: tuple[str, ...], tmp_path: Path
) -> None:
    with family(tmp_path, name, script, end, user=marks) as talk:
        for _ in range(10):
            talk.ask()
        assert talk.texts == ["So it is."] * 10 and talk.thoughts == ["Let me"] * 10
        assert all(each.stop is Stop.END for each in talk.ends)
        # from the generation prompt on, and nothing of what was before it
        ids = [each.reply_ids for each in talk.ends]
        assert all(len(reply) - 1 <= lost <= len(reply) + 8 for reply, lost in zip(ids, talk.lost(), strict=False))
        shown = talk.opened.prompt([*talk.exchanges, Exchange("And?")], system="Be exact.", today=TODAY)
        let = talk.opened.tokenizer.vocabulary.ranks[b"Let"]
        assert let not in shown.ids().tolist()


def test_a_thought_stays_where_the_template_lets_it(tmp_path: Path) -> None:
    with talking(tmp_path, THOUGHT, FAMILIES["chatml"], user=THINK) as talk:
        for _ in range(3):
            talk.ask()
        assert talk.lost() == [0, 0] and talk.thoughts == ["Let me"] * 3 and talk.texts == ["So it is."] * 3


UNOPENED = FAMILIES["deepseek_r1"].replace("<|Assistant|><think>\n'}}", "<|Assistant|>'}}")


@pytest.mark.parametrize(
    ("template", "user", "script", "end", "stays"),
    [
        # its vocabulary has the mark, its template knows nothing of thoughts
        (FAMILIES["chatml"], ["</think>"], ["Let", " me", "</think>", "\n\n"], "<|im_end|>", True),
        # its template speaks of it, and drops what is before it
        (UNOPENED, [], ["Let", " me", "</th", "ink>\n"], "<|end_of_sentence|>", False),
    ],
)
def test_a_mark_that_nothing_opened_ends_a_thought(
    template: str, user: list[str], script: list[str], end: str, stays: bool, tmp_path: Path
) -> None:
    control = (*control_of("chatml"), "<|User|>", "<|Assistant|>", "<|end_of_sentence|>")
    with talking(tmp_path, [*script, *SAID], template, control=control, user=user, end=end) as talk:
        for _ in range(2):
            talk.ask(max_tokens=12)
        assert talk.thoughts == ["Let me"] * 2 and talk.texts == ["So it is."] * 2
        n = len(talk.ends[0].reply_ids) - len(SAID)
        assert talk.ends[0].thoughts == ((0, n),) and talk.ends[0].thought_tokens == n
        assert (talk.lost() == [0]) is stays  # by the template's rule


@pytest.mark.parametrize(
    ("name", "template", "control", "closing"),
    [
        ("a token of its own", FAMILIES["tekken"], (*control_of("tekken"), "[/THINK]"), "[/THINK]"),
        (
            "a token of its own",
            FAMILIES["command_r"],
            (*control_of("command_r"), "<|END_THINKING|>"),
            "<|END_THINKING|>",
        ),
        ("a token of its own", FAMILIES["seed"], (*control_of("seed"), "</seed:think>"), "</seed:think>"),
        ("a word of its template", FAMILIES["qwen3"], control_of("qwen3"), "</think>"),
        ("neither", FAMILIES["chatml"], control_of("chatml"), ""),
        ("neither", FAMILIES["llama31"], control_of("llama31"), ""),
        ("neither", UNOPENED.replace("</think>", "</b>"), control_of("deepseek3"), ""),
    ],
)
def test_which_marks_a_model_closes_with(
    name: str, template: str, control: Sequence[str], closing: str, tmp_path: Path
) -> None:
    model = build_scripted(tmp_path / "m.gguf", SAID, template=template, control=control, end=control[1])
    opened = open_model(model)
    try:
        prompt = opened.prompt([Exchange("Why?")], system="", today=TODAY)
        found = [mark.closing for mark in opened.manner(prompt, Sampling()).closing]
        assert found == ([closing] if closing else [])
        assert not opened.manner(prompt, Sampling(), has_form=True).closing
    finally:
        opened.close()


def test_no_switch_and_a_limit(tmp_path: Path) -> None:
    script = ["<think>", "Let", " me", " see", " more", "</think>", *SAID]
    with talking(tmp_path, script, FAMILIES["chatml"], user=THINK) as talk:
        off, few, free = talk.ask(thinking="off"), talk.ask(thinking="3"), talk.ask(max_tokens=3)
        assert talk.thoughts == ["", "Let me", "Let me see more"]
        assert talk.texts == ["So it is.", "So it is.", "So it is"] and not talk.told
        assert [each.stop for each in (off, few, free)] == [Stop.END, Stop.END, Stop.LENGTH]
        assert len(free.reply_ids) - free.thought_tokens == 3  # the thought is not of the answer's tokens


def test_the_switch_of_a_template(tmp_path: Path) -> None:
    with talking(tmp_path, SAID, FAMILIES["qwen35"], user=THINK) as talk:
        talk.ask(thinking="off")
        talk.ask(thinking="off")
        assert talk.texts == ["So it is."] * 2 and talk.thoughts == ["", ""] and talk.lost() == [0]


@pytest.mark.parametrize(
    ("script", "text", "told"),
    [
        (["So it is.", "\n\nUser:", " And?"], "So it is.", Stop.END),
        (["So it is.\n", "Us", "er:", " And?"], "So it is.", Stop.END),
        (["So it is for the User: yes.", "\n"], "So it is for the User: yes.\n", Stop.END),
    ],
)
def test_a_plain_template_stops_before_the_next_question(
    script: list[str], text: str, told: Stop, tmp_path: Path
) -> None:
    with talking(tmp_path, script, "", eos="<|im_end|>") as talk:
        assert talk.ask().stop is told and talk.texts == [text]


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (FAMILIES["chatml"], "<|im_end|>"),
        (FAMILIES["idefics3"], "<end_of_utterance>"),
        (FAMILIES["minimax"].replace("~ '<think>' ~ '\n'", ""), "[e~["),
    ],
)
def test_what_a_template_puts_behind_a_reply_ends_it(template: str, end: str, tmp_path: Path) -> None:
    control = ("<|im_start|>", "<|im_end|>", "<end_of_utterance>", "]~!b[", "]~b]", "[e~[", "<eof>", "<x>")
    script = [*SAID, end, " more"]
    named = [token for token in control if token != end]
    with talking(tmp_path, script, template, control=named, user=[end], end="<x>", eos="<eof>") as talk:
        assert talk.ask().stop is Stop.END and talk.texts == ["So it is."]


def test_an_end_that_the_vocabulary_has_no_token_for(tmp_path: Path) -> None:
    script = [*SAID, "<|im", "_end|>", " more"]
    with talking(tmp_path, script, FAMILIES["chatml"], control=("<x>",), end="<x>") as talk:
        assert talk.ask().stop is Stop.END and talk.texts == ["So it is."]
