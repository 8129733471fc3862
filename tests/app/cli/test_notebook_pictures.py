"""`longdesk count`, `ask` and `sessions` on a notebook with pictures, with a model that sees and one that does not."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.desk import Desk
from app.settings import Settings
from engine.local.opened import OpenModel
from engine.tokens.tiles import llama_cpp_tiling
from tests.command_line import CommandLine, Run
from tests.engine.corpus.formats.test_embedded import b64, image
from tests.engine.corpus.formats.test_notebook import SVG, code, shown, written
from tests.engine.tokens.test_tiles import MODELS
from tests.models.cache import cached

QUESTION = "What do image 1 and image 3 show?"
SIZES = {"red": (40, 20), "lime": (500, 200), "blue": (30, 60)}
CUT = b64(image()[:60])
SENT = "3 pictures in it are sent as images, each where it stood."
OTHERS = (
    "Left out, each with a mark where it stood: 1 x image/png, 1 x image/svg+xml.",
    "1 picture of cell 4 cannot be shown: a PNG image that is cut short or damaged.",
    "Images that Markdown names are not fetched: far.png.",
)


def notebook() -> bytes:
    red, lime, blue = (b64(image(colour, size)) for colour, size in SIZES.items())
    printed: dict[str, Any] = {"output_type": "stream", "name": "stdout", "text": "before\n"}
    attached = {"b.png": {"image/png": blue}}
    return written(
        code("plot()", printed, shown({"text/plain": "<Figure size 40x20>", "image/png": red}), printed),
        {"cell_type": "markdown", "source": f"Data ![x](data:image/png;base64,{lime}) and ![far](far.png)."},
        {"cell_type": "markdown", "source": "Attached ![b](attachment:b.png)", "attachments": attached},
        code("odd()", shown({"image/png": CUT}), shown({"image/svg+xml": SVG})),
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Scout-shaped model of four layers with its projector beside it."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copyfile(cached("mmproj"), folder / "mmproj-scout.gguf")
    return Path(shutil.copyfile(cached("scout", n_layer=4), folder / "scout.gguf"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.ipynb").write_bytes(notebook())
    (folder / "photo.png").write_bytes(image("red", (90, 50)))
    (folder / "words.txt").write_text("Some words.\n" * 30)
    return folder


def ask(longdesk: CommandLine, *arguments: object) -> Run:
    run = longdesk("ask", *arguments, "-q", QUESTION, "--max-tokens", 4, "--json")
    assert run.code == 0, run.err
    return run


@pytest.mark.slow
def test_what_is_counted_is_what_is_read(model: Path, corpus: Path, tmp_path: Path, scout: OpenModel) -> None:
    longdesk = CommandLine(tmp_path / "home", model)
    counted = longdesk("count", corpus, "--json").document
    sources = {source["path"]: source for source in counted["sources"]}
    found = sources["a.ipynb"]
    assert found["kind"] == "notebook" and found["pages"] is None and found["notes"] == [SENT, *OTHERS]
    assert [(each["width"], each["height"]) for each in found["images"]] == list(SIZES.values())
    tilings = [llama_cpp_tiling(*size) for size in SIZES.values()]
    assert [each["tiles"] for each in found["images"]] == [[each.columns, each.rows] for each in tilings]
    numbers = sorted(each["number"] for source in sources.values() for each in source["images"])
    assert numbers == [1, 2, 3, 4] and [each["page"] for each in found["images"]] == [None] * 3

    first = ask(longdesk, corpus)
    assert first.answer["prompt_tokens"] == counted["total_tokens"] + len(scout.tokenizer.encode(QUESTION))
    prefill = [event for event in first.events if event["event"] == "prefill"][-1]
    assert prefill["done"] == prefill["total"] == prefill["kv"]["used"] == first.answer["prompt_tokens"]
    assert first.answer["encoded"] == sum(each.n_encoded for each in tilings) + 1

    shown_images = longdesk("sessions", "show", first.answer["session"], "--json").document["sources"]
    assert {source["path"]: len(source["images"]) for source in shown_images} == {
        "a.ipynb": 3, "photo.png": 1, "words.txt": 0,
    }  # fmt: skip
    follow_up = ask(longdesk, "--session", first.answer["session"])
    assert follow_up.answer["encoded"] == 0
    assert follow_up.answer["reused_tokens"] >= first.answer["prompt_tokens"]


@pytest.mark.slow
def test_a_session_that_is_read_back_sends_the_same(model: Path, corpus: Path, tmp_path: Path) -> None:
    """Its files are gone, its caches too: what it sends lies in the store."""
    longdesk = CommandLine(tmp_path / "home", model)
    desk = Desk(Settings(home=longdesk.home, model=str(model)))
    (read,) = desk.count(desk.read([corpus / "a.ipynb"])).documents
    first = ask(longdesk, corpus / "a.ipynb").answer
    shutil.rmtree(corpus)
    shutil.rmtree(longdesk.home / "cache" / "embeddings")
    shutil.rmtree(longdesk.home / "snapshots")
    (kept,) = desk.preview(first["session"]).documents
    desk.close()
    np.testing.assert_array_equal(kept.ids, read.ids)
    assert kept == read and kept.shown == read.shown and len(kept.shown) == 3
    anew = ask(longdesk, "--session", first["session"]).answer
    assert anew["encoded"] == first["encoded"] and anew["prompt_tokens"] > first["prompt_tokens"]


@pytest.mark.slow
def test_a_model_that_does_not_see_is_given_the_marks(corpus: Path, tmp_path: Path, llama: OpenModel) -> None:
    longdesk = CommandLine(tmp_path / "home", cached("llama"))
    counted = longdesk("count", corpus / "a.ipynb", "--json").document
    (found,) = counted["sources"]
    notes = "3 pictures in it are left out, with a mark where it stood: the model cannot see."
    assert found["images"] == [] and found["notes"] == [notes, *OTHERS]
    text = (
        "[cell 1, code]\nplot()\n\n[output of cell 1]\nbefore\n[plot, 40 x 20, left out]\nbefore\n\n"
        "[cell 2, markdown]\nData ![x]([image/png, left out]) and ![far](far.png).\n\n"
        "[cell 3, markdown]\nAttached ![b]([b.png, 30 x 60, left out])\n\n"
        "[cell 4, code]\nodd()\n\n[output of cell 4]\n[image/png, 40 x 20, left out]\n"
        "[image/svg+xml, 89 x 188, left out]\n"
    )
    same = sum(len(llama.tokenizer.encode(each)) for each in ('<document path="a.ipynb">\n', text, "\n</document>\n"))
    assert found["tokens"] == same
    run = ask(longdesk, corpus / "a.ipynb")
    assert "cannot see: the images of a.ipynb are not sent." in run.err


@pytest.mark.slow
@pytest.mark.parametrize("projector", ["gemma3", "qwen2vl"])
def test_other_models_that_see(projector: str, corpus: Path, tmp_path: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", cached(**MODELS[projector]))
    flags = ("--mmproj", cached("mmproj", projector=projector))
    counted = longdesk("count", corpus / "a.ipynb", *flags, "--json").document
    assert len(counted["sources"][0]["images"]) == 3 and counted["sources"][0]["notes"][0] == SENT
    answer = ask(longdesk, corpus / "a.ipynb", *flags).answer
    assert answer["prompt_tokens"] > counted["total_tokens"] and answer["encoded"] >= 3
