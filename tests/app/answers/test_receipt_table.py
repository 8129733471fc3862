"""A receipt in words: every key of it is told, once, and a stranger's breaks nothing."""

import random
from typing import Any

from app.answers.cited import quotes_line
from app.answers.receipt_table import receipt_html, receipt_rows
from engine.answer.receipt import LeftOut, Receipt, SentSource

RECEIPT = Receipt(
    longdesk="1.2.3",
    asked="2026-05-01T10:00:00Z",
    answered="2026-05-01T10:01:00Z",
    sources=(SentSource(path="a <b>.py", digest="d", text_digest="d", tokens=1_200, turn=0),),
    left_out=(LeftOut(path="b.lock", by="you", reason="left out of the session", tokens=900),),
    tokens_all=2_100,
    tokens={"template": 14, "source": 1_200},
    prompt_tokens=1_300,
    read_tokens=100,
    reused_tokens=1_200,
    reply_tokens=21,
    model={"name": "Tiny", "file": "/m/tiny.gguf", "bytes": 2048, "quantization": "Q4_0", "projector": None},
    kv_type="q8_0",
    context_tokens=4_096,
    settings={"max_tokens": 80, "temperature": 0.5, "seed": 7, "max_tiles": 9, "snapshot": True},
    system="Answer.",
    date="2026-05-01",
    history=(0, 2),
    prompt_hash="cafe",
    quotes={
        "state": "failed",
        "reason": "Tried, it found none.",
        "found": 0,
        "tried": 3,
        "remarks": ["Tried, it found none.", "No room."],
    },
    times={"read_s": 0.25, "load_s": None, "prefill_s": 61.0, "ttft_s": 62.0},
).to_json()


def test_all_of_it_is_told_in_words() -> None:
    rows = dict(receipt_rows(RECEIPT))
    assert rows["Sent"] == ["1 of 2 sources, 1,200 of 2,100 tokens", "a <b>.py · 1,200 tokens"]
    assert rows["Left out"] == ["b.lock · by you: left out of the session · 900 tokens"]
    assert rows["Prompt"][0] == "1,300 tokens: 100 read, 1,200 from the KV cache"
    assert rows["Earlier in it"] == ["question 1, question 3"]
    assert rows["Model"] == ["Tiny, Q4_0", "/m/tiny.gguf, 2,048 bytes"]
    assert rows["Settings"] == ["at most 80 tokens, temperature 0.5, seed 7", "max_tiles 9, snapshot true"]
    assert rows["Words that show it"] == ["Tried, it found none.", "No room."]
    assert not set(rows) & set(RECEIPT), "no key was left to be told as it is"


def test_a_line_says_that_no_words_were_looked_for() -> None:
    assert quotes_line(RECEIPT) == "quotes off with this model"
    for quotes in (None, {}, [], {"state": "on"}, {"state": ["off"]}):
        assert quotes_line({"quotes": quotes}) == ""
    assert quotes_line(None) == "" == quotes_line({})
    on = {"state": "on", "reason": "", "found": 3, "tried": 4, "remarks": []}
    assert dict(receipt_rows({"quotes": on}))["Words that show it"] == [
        "looked for behind each statement, the model was tried: it found words 3 times in 4"
    ]


def test_it_acts_nowhere() -> None:
    html = receipt_html({**RECEIPT, "<i>": "<script>", "system": "a\n<b>"})
    assert "<script>" not in html and "<b>" not in html and "<i>" not in html and "\n" not in html
    assert "a &lt;b&gt;.py" in html and "a&#10;&lt;b&gt;" in html


def test_what_is_not_as_it_should_be_stands_as_it_is() -> None:
    draw = random.Random(3)
    odd: list[Any] = [None, True, -1, 1.5, "x", [], [None], {}, {"path": 1}, [{"path": "p"}], "\0\udce4"]
    for _ in range(500):
        broken = {key: draw.choice(odd) if draw.random() < 0.3 else value for key, value in RECEIPT.items()}
        broken = {key: value for key, value in broken.items() if draw.random() < 0.9}
        assert receipt_html(broken).startswith("<table")
    assert receipt_rows({"model": 3, "new": [1]}) == [("model", ["3"]), ("new", ["[1]"])]
