"""app.verdicts: one wording for the page, the command line and exceptions, made from the settings that advice carries.

Which advice there is, and that following it makes a plan fit, is tests/engine/memory/test_planner.py's.
"""

import re
from dataclasses import replace

import pytest

from app.counting import legible
from app.jobs import Phase, Progress
from app.parts.devices import placement_words
from app.parts.turns import line_of
from app.verdicts import (
    change,
    first_reading,
    memory_missing,
    refuse_misfit,
    tokens_over,
    unseen_markdown,
    unseen_notice,
    why_unseen,
)
from engine.backend import About
from engine.corpus.source import Corpus, KeptFile, Picture, Source
from engine.errors import DoesNotFit
from engine.memory.budget import Advice, Device, FewerPages, Need, Placement, Plan, Weight

GIB = 1 << 30
OVER = Plan(
    model="m", placement=Placement(n_ctx=4_096), window=8_192, prompt_tokens=4_000, reply_tokens=1_000,
    needs=(Need(Device("RAM", "ram", 4 * GIB, 8 * GIB), weights_bytes=GIB),),
)  # fmt: skip
SHORT = replace(
    OVER,
    reply_tokens=96,
    needs=(Need(Device("RAM", "ram", 4 * GIB, 8 * GIB), weights_bytes=GIB, kv_bytes=5 * GIB, mapped_bytes=GIB),),
)


@pytest.mark.parametrize(
    ("plan", "advice", "on_the_command_line", "on_the_page"),
    [
        (OVER, Advice(n_ctx=5_000), "Use a larger context (--ctx 5000); the model's window is 8,192 tokens.",
         "Use a larger context; the model's window is 8,192 tokens."),
        (OVER, Advice(max_tiles=1, saves_tokens=1_200),
         "Scale images down to 1 tile at most, 1,200 tokens less (--max-tiles 1).",
         "Scale images down to 1 tile at most, 1,200 tokens less."),
        (OVER, Advice(fewer_pages=FewerPages("bare:1-3", 3, 9, ("a.pdf",)), saves_tokens=900),
         "3 of the 9 drawn pages of a.pdf fit: send those alone, 900 tokens less (--draw-pages bare:1-3).",
         "3 of the 9 drawn pages of a.pdf fit: send those alone, 900 tokens less."),
        (OVER, Advice(reply_tokens=300),
         "Keep 300 tokens for the reply instead of 1,000 (--max-tokens 300, with plan --reply 300).",
         "Keep 300 tokens for the reply instead of 1,000."),
        (OVER, Advice(other_window=9_000), "Use a model with a window of at least 9,000 tokens; this one has 8,192.",
         "Use a model with a window of at least 9,000 tokens; this one has 8,192."),
        (SHORT, Advice(swa_full=False), "Leave --swa-full out: answers stay the same.",
         "Let windowed layers keep only what they see: answers stay the same."),
        (SHORT, Advice(n_ctx=2_000, kv_type="q8_0"), "Use a context of 2,000 tokens (--kv q8_0 --ctx 2000).",
         "Use a context of 2,000 tokens with the KV cache in 8 bits."),
        (SHORT, Advice(sources=(Weight("a", 7),), n_ctx=2_000), "Leave out a (7), and use --ctx 2000.",
         "Leave out a (7), and use a context of 2,000 tokens."),
        (SHORT, Advice(), "Free 1.0 GiB of RAM: close other programs, or use a smaller model or quantization.",
         "Free 1.0 GiB of RAM: close other programs, or use a smaller model or quantization."),
    ],
)  # fmt: skip
def test_one_advice_two_doors(plan: Plan, advice: Advice, on_the_command_line: str, on_the_page: str) -> None:
    assert change(plan, advice) == on_the_command_line
    assert change(plan, advice, options=False) == on_the_page


def test_the_options_that_are_named_are_the_settings_that_are_carried() -> None:
    advice = Advice(n_ctx=2_000, kv_type="q4_0")
    assert re.findall(r"--([\w-]+) (\w+)", change(SHORT, advice)) == [("kv", "q4_0"), ("ctx", "2000")]


def test_a_refusal_says_what_a_page_says() -> None:
    with pytest.raises(DoesNotFit) as over:
        refuse_misfit(replace(OVER, advice=(Advice(n_ctx=5_000), Advice(other_window=9_000))))
    assert over.value.fact.startswith(f"{tokens_over(OVER)}: the prompt has 4,000") and "904 tokens over" in str(
        over.value
    )
    assert over.value.remedy.count(" Or: ") == 1
    with pytest.raises(DoesNotFit) as short:
        refuse_misfit(SHORT)
    assert short.value.fact == f"{memory_missing(SHORT, exact=True)}. Nothing was loaded."
    assert memory_missing(SHORT) == (
        "1.0 GiB of memory are missing on RAM, where KV cache and buffers need 5.0 GiB and 4.0 GiB are free"
    )


def test_what_cannot_be_seen() -> None:
    unfit = ("a.gguf is no projector of it.",)
    assert why_unseen(0, ()).startswith("the model cannot see; choose one")
    scan = why_unseen(1, unfit, "a scan")
    assert scan.startswith("1 page without text: a scan, and the model cannot see; a.gguf is no")
    assert why_unseen(2, ()).startswith("2 pages without text, and the model cannot see; choose one")
    assert unseen_notice(["a.png"], "M", unfit).startswith("M cannot see: the images of a.png are not sent. a.gguf")
    shown = unseen_markdown(["a*.png", "b.png"], "M", unfit, plain=lambda text: text.replace("*", r"\*"))
    assert shown.startswith(r"**a\*.png, b.png: M cannot see.** The images of 2 files are not sent. a.gguf is no")


def test_one_of_a_kind_is_said_as_one() -> None:
    one = replace(OVER, prompt_tokens=7_193, placement=Placement(n_ctx=8_192, n_gpu_layers=1, expert_layers_in_ram=1))
    assert tokens_over(one) == "1 token over"
    assert change(one, Advice(reply_tokens=1), options=False) == "Keep 1 token for the reply instead of 1,000."
    assert change(one, Advice(max_tiles=2, saves_tokens=1), options=False).endswith("2 tiles at most, 1 token less.")
    assert first_reading(1, None).startswith("The first question reads 1 token.")
    assert why_unseen(1, ()).startswith("1 page without text, and ")
    assert placement_words(one) == "1 layer is on GPUs, counting the output. The experts of 1 layer stay in RAM."
    said = [line_of(Progress(phase=Phase.WRITING, n_tokens=n)) for n in (0, 1, 2, 1_200)]
    assert said == [f"Writing · {n} token{s}" for n, s in (("0", "s"), ("1", ""), ("2", "s"), ("1,200", "s"))]


def test_what_the_model_cannot_see_says_what_else_lies_in_it() -> None:
    notes = ("Inside this PDF is 1 file: plan.xlsx (64 bytes).", "Not read: plan.xlsx; save it.")
    kept = KeptFile("PDF", b"%PDF-", scalable=True)
    seen = Source("a.pdf", "pdf", "", 9, "d", (0,), None, kept, (Picture(1, 9, 9),), notes, nature="a scan")
    (skipped,) = legible(Corpus((seen,)), About(name="Fake", window=1)).skipped
    assert skipped.reason.startswith("1 page without text: a scan, and the model cannot see; ")
    assert skipped.reason.endswith(". Inside this PDF is 1 file: plan.xlsx (64 bytes). Not read: plan.xlsx; save it")
    assert not legible(Corpus((seen,)), About(name="Fake", window=1, image_rule="its own")).skipped
