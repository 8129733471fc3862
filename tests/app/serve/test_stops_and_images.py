"""What clients send beside a question: texts that end the reply, images in messages, with OpenAI's own client."""

import shutil
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from storage.store import Store
from tests.app.serve.conftest import write_corpus
from tests.app.serve.test_api import complete, extras, text_of, turns_of, usage, user
from tests.command_line import CommandLine
from tests.models.cache import cached
from tests.models.scout import SMALL
from tests.serving import TOKEN, Serving, serving

pytestmark = pytest.mark.slow


class TestStops:
    def test_a_reply_ends_before_a_stop(self, server: Serving, longdesk: CommandLine) -> None:
        whole = text_of(complete(server, user("What stops?"), max_tokens=12))
        for stop in (whole[5:8], whole[len(whole) // 2 :][:4]):
            answer = complete(server, user("What stops?"), max_tokens=12, stop=["never", stop])
            assert text_of(answer) == whole[: whole.index(stop)]
            assert answer.choices[0].finish_reason == "stop"
            [turn] = turns_of(longdesk, answer)
            assert (turn.text, turn.stop) == (text_of(answer), "end") and len(turn.reply_ids) == usage(answer)[2] <= 12
            assert turn.receipt is not None and turn.receipt["settings"]["stops"] == ["never", stop]

    def test_not_a_character_of_it_is_streamed_and_the_talk_goes_on(self, server: Serving) -> None:
        whole = text_of(complete(server, user("What stops then?"), max_tokens=12))
        stop = whole[6:9]
        options: dict[str, Any] = {"model": server.model, "max_tokens": 12, "stop": stop, "stream": True}
        stream = server.client.chat.completions.create(messages=[user("What stops then?")], **options)
        pieces = [piece.choices[0] for piece in stream]
        said = "".join(piece.delta.content or "" for piece in pieces)
        assert said == whole[: whole.index(stop)] and pieces[-1].finish_reason == "stop"
        again = complete(server, user("What stops then?"), {"role": "assistant", "content": said}, user("And?"))
        assert usage(again)[1] > 0

    def test_on_the_command_line_too(self, longdesk: CommandLine, corpus: Path) -> None:
        whole = longdesk("ask", corpus, "-q", "Where?", "--max-tokens", 12, "--json").answer["text"]
        stop = whole[4:7]
        answer = longdesk(
            "ask", corpus, "-q", "Where?", "--max-tokens", 12, "--stop", "no", "--stop", stop, "--json"
        ).answer
        assert (answer["text"], answer["stop"]) == (whole[: whole.index(stop)], "end") or "no" in whole


@pytest.fixture(scope="module")
def sighted(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    folder = tmp_path_factory.mktemp("sighted")
    shutil.copy(cached("mmproj"), folder / "mmproj.gguf")
    model = Path(shutil.copy(cached("scout", **SMALL), folder / "scout.gguf"))
    return CommandLine(folder / "home", model, {"LONGDESK_TOKEN": TOKEN})


@pytest.fixture(scope="module")
def seeing(sighted: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    corpus = write_corpus(tmp_path_factory.mktemp("seen") / "corpus")
    with serving(sighted, corpus, "--max-tokens", 6) as running:
        yield running


def png(color: str) -> str:
    file = BytesIO()
    Image.new("RGB", (40, 30), color).save(file, "PNG")
    return "data:image/png;base64," + b64encode(file.getvalue()).decode()


def show(text: str, *urls: str) -> Any:
    images = [{"type": "image_url", "image_url": {"url": url, "detail": "high"}} for url in urls]
    return {"role": "user", "content": [{"type": "text", "text": text}, *images]}


class TestImages:
    def test_an_image_is_looked_at_and_the_talk_goes_on(self, seeing: Serving, sighted: CommandLine) -> None:
        plain = complete(seeing, user("What is it?"))
        first = complete(seeing, show("What is it?", png("red")))
        assert usage(first)[0] > usage(plain)[0] + 100, "an image costs its tiles"
        assert usage(first)[1] > 0, "the corpus is not read again"
        assert [each["path"] for each in extras(first)["receipt"]["sources"]][-1].startswith("attached-")
        said = [show("What is it?", png("red")), {"role": "assistant", "content": text_of(first)}]
        second = complete(seeing, *said, user("Why?"))
        assert extras(second)["session"] == extras(first)["session"] and usage(second)[1] >= usage(first)[0]
        other = [show("What is it?", png("blue")), {"role": "assistant", "content": text_of(first)}]
        third = complete(seeing, *other, user("Why?"))
        assert extras(third)["session"] != extras(first)["session"], "another image is another talk"
        with Store(sighted.home) as store:
            paths = [link.path for link in store.sources.links(extras(third)["session"])]
        assert sum(path.startswith("attached-") for path in paths) == 1

    def test_what_is_no_image_leaves_no_trace(self, seeing: Serving, sighted: CommandLine) -> None:
        with Store(sighted.home) as store:
            before = {summary.id for summary in store.sessions.list()}
        svg = "data:image/svg+xml;base64," + b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
        for url in ("data:image/png;base64,aW1hZ2U=", svg, "https://203.0.113.7/a.png"):
            with pytest.raises(openai.BadRequestError) as refused:
                complete(seeing, show("What?", url))
            assert "image" in str(refused.value)
        with Store(sighted.home) as store:
            assert {summary.id for summary in store.sessions.list()} == before

    def test_a_model_that_cannot_see_says_so(self, server: Serving) -> None:
        with pytest.raises(openai.BadRequestError) as refused:
            complete(server, show("What?", png("red")))
        assert "cannot see" in str(refused.value) and refused.value.param == "messages"


def test_what_is_not_known_is_told(server: Serving) -> None:
    answer = complete(server, user("What?"), extra_body={"wizardry": 1, "n": 1, "logprobs": False})
    assert "wizardry is not known here and changed nothing." in extras(answer)["notices"]
