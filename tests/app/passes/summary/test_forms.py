"""The forms of a summary: grammars that hold any model, and what is read of a reply."""

from pathlib import Path
from threading import Event as Flag

import numpy as np
import pytest

from app.passes.summary import forms
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.events import Finished, Sampling, Stop, Text
from engine.runtime.settings import EngineSettings

_NOTE = """Summary: It parses.
What it does:
- Splits the arguments of click.core into words.
- 1. 1.
Entry points:
- parse_args
- functions, classes or commands that others call or run
Data flow:
- None
Run and test:
Risks:
- Risks
- Raises UsageError.
Terms:
- token: a word
- cut in the mid"""


def test_what_a_note_says() -> None:
    lines = forms.note_lines(_NOTE)
    assert [(line.section, line.text) for line in lines] == [
        ("", "It parses."),
        ("purpose", "Splits the arguments of click.core into words."),
        ("entry-points", "parse_args"),
        ("risks", "Raises UsageError."),
        ("glossary", "token: a word"),
    ]
    assert all(_NOTE[slice(*line.span)] == line.text for line in lines)


def test_a_note_of_a_model_that_nothing_held() -> None:
    text = "Here is a note.\n**What it does:**\n* It adds.\n## Risks:\n1. It fails."
    assert [(line.section, line.text) for line in forms.note_lines(text)] == [
        ("purpose", "It adds."),
        ("risks", "It fails."),
    ]
    assert forms.note_lines("") == forms.note_lines("\n\n- \n-") == ()


@pytest.mark.parametrize("label", ["a.py", 'a"b\\c', "src/x (1).py to [y].py", "caf\u00e9/\u6587.py"])
def test_a_plan_is_read(label: str) -> None:
    text = f"Purpose: It sells.\n{label}: Cart code. It holds items.\nb.py: Mon"
    assert forms.read_plan(text, [label, "b.py"]) == ("It sells.", {label: ("Cart code", "It holds items.")})
    assert forms.read_plan("", [label]) == ("", {})


def test_long_labels_are_asked_of_in_short_and_told_apart() -> None:
    """No path takes the room of a call."""
    labels = [f"{'deep/' * 60}{name}/{'er/' * 60}a.py" for name in "xyz"] + ["src/"]
    asked = forms.plan_asking(labels)
    assert len(asked) < len(forms.plan_asking(["src/"])) + 4 * 90
    rows = asked.splitlines()[-4:]
    assert len(set(rows)) == 4 and all(row in forms.plan_form(labels) for row in rows)
    reply = "Purpose: It is.\n" + "".join(f"{row}: Name{at}. It is {at}.\n" for at, row in enumerate(rows))
    assert [name for name, _ in forms.read_plan(reply, labels)[1].values()] == ["Name0", "Name1", "Name2", "Name3"]
    assert len(forms.note_asking(labels[0])) < len(forms.note_asking("")) + 90


def test_a_line_that_was_too_long_ends_with_a_sentence_or_says_so() -> None:
    first = "It splits the arguments of a command into words and options."
    [line] = forms.page_lines(f"- {first} {'Then it goes on ' * 20}\n")
    assert line.text == first
    [line] = forms.page_lines(f"- {'It goes on ' * 30}\n")
    assert line.text.endswith("goes\u2026") or line.text.endswith("on\u2026")


@pytest.fixture(scope="module", params=["llama_gguf"])
def engine(request: pytest.FixtureRequest) -> EngineProcess:
    model: Path = request.getfixturevalue(request.param)
    process = EngineProcess(EngineSettings(model=model, placement=Placement(n_ctx=2048, n_ubatch=128)))
    request.addfinalizer(process.close)
    return process


def written(process: EngineProcess, form: str, seed: int, most: int) -> tuple[str, Stop]:
    ids = np.random.default_rng(seed).integers(10, 2_000, 20, dtype=np.int32)
    sampling = Sampling(max_tokens=most, temperature=float(seed % 3), top_p=1.0, min_p=0.0, seed=seed)
    prompt = Prompt((Segment(Part.QUESTION, ids),))
    events = list(process.generate(prompt, sampling, cancel=Flag(), form=form))
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, Text)), events[-1].stop


@pytest.mark.slow
def test_no_model_breaks_them(engine: EngineProcess) -> None:
    """Random weights at any temperature: what is whole is in its form, what was cut begins as it does."""
    labels = ['a"b.py', "caf\u00e9/x.py to [z].py"]
    n_whole = 0
    for seed in range(2):
        text, stop = written(engine, forms.note_form(6), seed, 250)
        headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith("- ")]
        asked = [f"{aspect.heading}:" for aspect in forms.ASPECTS]
        assert text.startswith("Summary: "[: len(text)])
        if stop is Stop.END:
            n_whole += 1
            assert [line for line in headings if line in asked] == asked
        plan, stop = written(engine, forms.plan_form(labels), seed, 300)
        if stop is Stop.END:
            n_whole += 1
            assert plan.startswith("Purpose: ")
            assert set(forms.read_plan(plan, labels)[1]) == set(labels)
        page, stop = written(engine, forms.page_form(2), seed, 400)
        if stop is Stop.END:
            n_whole += 1
            assert all(line.startswith("- ") for line in page.splitlines()) and page.count("\n") <= 2
    assert n_whole
