"""Requests as what is asked, and every way not to be one."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.serve.asked import Said
from app.serve.messages import BadRequest, ChatRequest, chat_request
from app.settings import Settings

SETTINGS = Settings(home=Path("home"), reply_tokens=99, temperature=0.25)


def request(*messages: Any, **fields: Any) -> ChatRequest:
    body = {"model": "tiny", "messages": list(messages), **fields}
    return chat_request(json.dumps(body).encode(), models=("tiny", "longdesk"), settings=SETTINGS)


def say(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


PNG = "data:image/png;base64,aW1hZ2U="


def shown(url: str) -> dict[str, Any]:
    return say("user", [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}])


def test_an_image_becomes_a_source_whose_name_stands_where_it_came() -> None:
    asked = request(shown(PNG)).asked
    [image] = asked.images
    assert image.data == b"image" and image.path.startswith("attached-") and image.path.endswith(".png")
    assert asked.text == f"What is it?\n\n[{image.path}]"
    again = request(shown("DATA:image/PNG;charset=x;BASE64,aW1h\nZ2U"), say("assistant", "Red."), say("user", "Why?"))
    assert again.asked.past == (Said(asked.text, "Red.", (image,)),) and again.asked.images == ()
    other = request(shown("data:image/jpeg,%00image"), shown(PNG), shown(PNG)).asked
    assert [each.data for each in other.images] == [b"\0image", b"image"] and other.images[0].path.endswith(".jpg")


def test_a_model_that_cannot_see_is_shown_nothing() -> None:
    body = json.dumps({"model": "tiny", "messages": [shown(PNG)]}).encode()
    with pytest.raises(BadRequest) as refused:
        chat_request(body, models=("tiny",), settings=SETTINGS, sees=False)
    assert "cannot see" in str(refused.value) and refused.value.param == "messages"


def test_stops() -> None:
    for stop, found in (("x", ("x",)), (["a", "", "b\n"], ("a", "b\n")), ([], ()), ("", ()), (None, ())):
        settings = request(say("user", "A?"), stop=stop).asked.settings
        assert settings is not None and settings.stops == found


def test_what_nobody_knows_is_said_and_changes_nothing() -> None:
    asked = request(say("user", "A?"), wizardry=9, reasoning_effort="low").asked
    assert (
        asked.text == "A?"
        and len(asked.unheeded) == 2
        and "how long is left to it" in asked.unheeded[1]
        and "wizardry is not known" in asked.unheeded[0]
    )
    assert request(say("user", "A?"), user="me").asked.unheeded == ()


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({}, None),
        ({"reasoning_effort": "none"}, "off"),
        ({"reasoning_effort": "high"}, "on"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "off"),
        ({"chat_template_kwargs": {"enable_thinking": True}}, "on"),
        ({"chat_template_kwargs": {"thinking": False}, "reasoning_effort": "high"}, "off"),
        ({"longdesk": {"thinking": 512}, "chat_template_kwargs": {"thinking": False}}, "512"),
        ({"longdesk": {"thinking": "off"}}, "off"),
        ({"longdesk": {"thinking": True}}, "on"),
        ({"longdesk": {"thinking": 0}}, "off"),
    ],
)
def test_whether_it_thinks(fields: dict[str, Any], thinking: str | None) -> None:
    asked = request(say("user", "A?"), **fields).asked
    assert asked.settings is not None and asked.settings.thinking == thinking and asked.text == "A?"
    always = replace(SETTINGS, thinking="64")  # what the server was started with
    body = json.dumps({"model": "tiny", "messages": [say("user", "A?")], **fields}).encode()
    kept = chat_request(body, models=("tiny",), settings=always).asked.settings
    assert kept is not None and kept.thinking == (thinking or "64")


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "much"},
        {"reasoning_effort": 3},
        {"chat_template_kwargs": []},
        {"chat_template_kwargs": {"enable_thinking": "no"}},
        {"longdesk": {"thinking": "often"}},
        {"longdesk": {"thinking": -1}},
        {"longdesk": {"thinking": 1.5}},
    ],
)
def test_what_says_nothing_of_thinking_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        request(say("user", "A?"), **fields)


def test_other_words_for_the_template_are_said_to_change_nothing() -> None:
    asked = request(say("user", "A?"), chat_template_kwargs={"enable_thinking": True, "tone": "dry"}).asked
    assert asked.unheeded == ("chat_template_kwargs.tone changed nothing.",)


def test_a_question_alone() -> None:
    found = request(say("user", "Why?"))
    assert found.asked.text == "Why?" and found.asked.past == () and found.asked.only is None
    assert found.asked.settings == SETTINGS and not found.stream and not found.with_usage


def test_what_was_said_before() -> None:
    said = [say("user", "A?"), say("assistant", "B."), say("user", "C?"), say("assistant", "D."), say("user", "E?")]
    found = request(*said).asked
    assert (found.past, found.text) == ((Said("A?", "B."), Said("C?", "D.")), "E?")


def test_instructions_stand_in_front_of_the_words_that_follow() -> None:
    said = [say("system", "S."), say("user", "A?"), say("assistant", "B."), say("developer", "T."), say("user", "C?")]
    found = request(*said).asked
    assert (found.past, found.text) == ((Said("S.\n\nA?", "B."),), "T.\n\nC?")
    assert request(say("user", "A?"), say("system", "S.")).asked.text == "A?\n\nS."


def test_words_of_one_role_in_a_row_are_one() -> None:
    found = request(
        say("user", "A?"), say("user", "B?"), say("assistant", "C."), say("assistant", "D."), say("user", "E")
    )
    assert found.asked.past == (Said("A?\n\nB?", "C.\n\nD."),)


def test_a_reply_without_words_leaves_its_question_open() -> None:
    for content in ("", None):
        found = request(say("user", "A?"), say("assistant", content), say("user", "B?")).asked
        assert (found.past, found.text) == ((), "A?\n\nB?")


def test_a_greeting_answers_the_instructions() -> None:
    found = request(say("system", "S."), say("assistant", "Hello."), say("user", "A?")).asked
    assert (found.past, found.text) == ((Said("S.", "Hello."),), "A?")


def test_content_in_pieces_of_text() -> None:
    pieces = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert request(say("user", pieces)).asked.text == "A\n\nB"


def test_halves_of_characters_are_replaced() -> None:
    assert request(say("user", "a\ud83db \U0001f642")).asked.text == "a\ufffdb \U0001f642"


def test_sampling() -> None:
    fields = {"temperature": 1, "top_p": 0.5, "min_p": 0, "seed": -3, "max_tokens": 7, "max_completion_tokens": 8}
    settings = request(say("user", "A?"), **fields).asked.settings
    assert settings is not None
    assert (settings.temperature, settings.top_p, settings.min_p, settings.seed) == (1.0, 0.5, 0.0, -3)
    assert settings.reply_tokens == 8 and settings.home == SETTINGS.home


def test_top_k_and_penalties() -> None:
    fields = {"top_k": 40, "repetition_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": -1}
    settings = request(say("user", "A?"), **fields).asked.settings
    assert settings is not None and (settings.top_k, settings.repeat_penalty) == (40, 1.1)
    assert (settings.presence_penalty, settings.frequency_penalty) == (0.5, -1.0)
    off = request(say("user", "A?"), top_k=-1, repeat_penalty=0).asked.settings
    assert off is not None and (off.top_k, off.repeat_penalty) == (0, 1.0)


def test_streams() -> None:
    assert request(say("user", "A?"), stream=True).stream
    assert request(say("user", "A?"), stream=True, stream_options={"include_usage": True}).with_usage
    assert not request(say("user", "A?"), stream=True, stream_options={"include_usage": False}).with_usage


def test_only_some_sources() -> None:
    assert request(say("user", "A?"), longdesk={"only": ["a.py", "src/"]}).asked.only == {"a.py", "src/"}


def test_no_words_that_show_the_answer() -> None:
    settings = request(say("user", "A?"), longdesk={"quotes": False}).asked.settings
    assert settings is not None and settings.quotes is False and SETTINGS.quotes is None


def test_what_changes_nothing_may_be_said() -> None:
    fields = {
        "top_k": 0,
        "repeat_penalty": 1.0,
        "ignore_eos": False,
        "cache_prompt": True,
        "logprobs": False,
        "n": 1,
        "top_logprobs": 0,
        "best_of": 1,
        "user": "me",
        "stop": None,
        "tools": [],
        "presence_penalty": 0.0,
        "logit_bias": {},
        "store": True,
    }
    assert request(say("user", "A?"), response_format={"type": "text"}, **fields).asked.text == "A?"


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"model": None}, "model", "model is missing"),
        ({"model": 3}, "model", "model is missing"),
        ({"model": "gpt-6"}, "model", "The one that answers is tiny"),
        ({"stop": 3}, "stop", "no text and no list of texts"),
        ({"stop": ["x", None]}, "stop", "no text and no list of texts"),
        ({"stop": ["x"] * 33}, "stop", "holds too much"),
        ({"stop": "x" * 1_001}, "stop", "holds too much"),
        ({"n": 2}, "n", "n is not supported"),
        ({"tools": [{"type": "function"}]}, "tools", "tools is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format", "response_format is not supported"),
        ({"logprobs": True}, "logprobs", "logprobs is not supported"),
        ({"top_k": 1.5}, "top_k", "is not a whole number"),
        ({"top_k": -2}, "top_k", "It must be from 0 to"),
        ({"repeat_penalty": -1}, "repeat_penalty", "It must be from 0.1 to 10"),
        ({"repetition_penalty": 11}, "repeat_penalty", "It must be from 0.1 to 10"),
        ({"presence_penalty": math.nan}, "presence_penalty", "It must be from -10 to 10"),
        ({"frequency_penalty": "1"}, "frequency_penalty", "is not a number"),
        ({"temperature": 11}, "temperature", "It must be from 0 to 10"),
        ({"temperature": -0.1}, "temperature", "It must be from 0 to 10"),
        ({"temperature": math.nan}, "temperature", "It must be from 0 to 10"),
        ({"temperature": math.inf}, "temperature", "It must be from 0 to 10"),
        ({"temperature": 10**400}, "temperature", "It must be from 0 to 10"),
        ({"temperature": "1"}, "temperature", "is not a number"),
        ({"temperature": True}, "temperature", "is not a number"),
        ({"top_p": 1.5}, "top_p", "It must be from 0 to 1"),
        ({"seed": 1.5}, "seed", "is not a whole number"),
        ({"seed": 2**63}, "seed", "more than 64 bits"),
        ({"max_tokens": 0}, "max_tokens", "out of range"),
        ({"max_tokens": 10**400}, "max_tokens", "out of range"),
        ({"max_completion_tokens": -1}, "max_completion_tokens", "out of range"),
        ({"stream": 1}, "stream", "is not true or false"),
        ({"stream_options": []}, "stream_options", "is not an object"),
        ({"longdesk": []}, "longdesk", "is not an object"),
        ({"longdesk": {"sources": []}}, "longdesk", "longdesk has no sources"),
        ({"longdesk": {"quotes": 1}}, "quotes", "is not true or false"),
        ({"longdesk": {"only": []}}, "longdesk", "no list of paths"),
        ({"longdesk": {"only": [1]}}, "longdesk", "no list of paths"),
        ({"messages": None}, "messages", "not a list of messages"),
        ({"messages": []}, "messages", "not a list of messages"),
        ({"messages": {}}, "messages", "not a list of messages"),
        ({"messages": ["A?"]}, "messages", "messages[0] is no object"),
        ({"messages": [{"content": "A?"}]}, "messages", "no role"),
        ({"messages": [say("user", None)]}, "messages", "no content"),
        ({"messages": [say("user", 3)]}, "messages", "no content"),
        ({"messages": [say("user", [{"type": "image_url", "image_url": {"url": "x"}}])]}, "messages", "else than text"),
        ({"messages": [shown("http://203.0.113.7/a.png")]}, "messages", "fetches nothing"),
        ({"messages": [shown("https://203.0.113.7/a.png")]}, "messages", "fetches nothing"),
        ({"messages": [shown("file:///etc/passwd")]}, "messages", "else than text"),
        ({"messages": [shown("data:application/pdf;base64,aaaa")]}, "messages", "no image"),
        ({"messages": [shown("data:image/png;base64")]}, "messages", "no image"),
        ({"messages": [shown("data:image/png;base64,a*b")]}, "messages", "no base64"),
        ({"messages": [say("user", [{"type": "input_audio", "input_audio": {}}])]}, "messages", "else than text"),
        ({"messages": [{**shown(PNG), "role": "assistant"}, say("user", "A?")]}, "messages", "the assistant's"),
        ({"messages": [say("user", [{"type": "text"}])]}, "messages", "else than text"),
        ({"messages": [say("user", " \n")]}, "messages", "no question"),
        ({"messages": [say("system", "S.")]}, "messages", "no question"),
        ({"messages": [say("user", "A?"), say("assistant", "B.")]}, "messages", "no question"),
        ({"messages": [say("assistant", "B."), say("user", "A?")]}, "messages", "first message is the assistant's"),
        ({"messages": [say("tool", "B."), say("user", "A?")]}, "messages", "of a tool"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}, say("user", "A?")]}, "messages", "of a tool"),
        ({"messages": [say("wizard", "B.")]}, "messages", "no role"),
    ],
)
def test_what_cannot_be_done_is_said(fields: dict[str, Any], param: str, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        request(say("user", "A?"), **fields)
    assert said in str(refused.value) and refused.value.param == param
