"""`longdesk count` and `longdesk ask` on folders with images: what is counted is what is read, and read once."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from app.cli.output.answer import tell_skipped
from app.cli.output.count import count_json
from app.desk import Desk
from app.settings import Settings
from engine.corpus.refusing import named_by_hand
from engine.corpus.source import Cause, Skipped
from engine.local.opened import open_model
from engine.memory.fingerprint import fingerprint
from engine.memory.projector import read_projector
from engine.tokens.tiles import llama_cpp_tiling, size_within
from tests.command_line import CommandLine, Run
from tests.engine.corpus.test_bad_images import mixed
from tests.engine.tokens.test_tiles import MODELS
from tests.held import held, is_told
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT
from tests.patience import PATIENCE_S, until

QUESTION = "Compare image 2 and image 5."
FOLDER = {**{f"{at:02}.png": (200 + 10 * at, 150) for at in range(9)}, "large.png": (500, 200)}


def photo(path: Path, size: tuple[int, int], seed: int) -> Path:
    rows = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Pillow.fromarray(rows).save(path, compress_level=1)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Scout-shaped model of four layers with its projector beside it."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copyfile(cached("mmproj"), folder / "mmproj-scout.gguf")
    return Path(shutil.copyfile(cached("scout", **SMALL_SCOUT), folder / "scout.gguf"))


@pytest.fixture
def longdesk(tmp_path: Path, model: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", model)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Ten images, one of them of several tiles, and three text files."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for seed, (name, size) in enumerate(FOLDER.items()):
        photo(folder / name, size, seed)
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").write_text(f"What {name} says.\n" * 20)
    return folder


def differ_between_samples(path: Path) -> None:
    """Changes one byte of a projector that its fingerprint does not see."""
    before = fingerprint(read_projector(path))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert fingerprint(read_projector(path)) == before


def ask(longdesk: CommandLine, *arguments: object) -> Run:
    run = longdesk("ask", *arguments, "-q", QUESTION, "--max-tokens", 8, "--json")
    assert run.code == 0, run.err
    return run


def n_runs(sizes: list[tuple[int, int]]) -> int:
    """Runs of the encoder for these images."""
    return sum(llama_cpp_tiling(*size).n_encoded for size in sizes)


@pytest.mark.slow
def test_ten_images_and_three_texts(longdesk: CommandLine, corpus: Path, model: Path) -> None:
    counted = longdesk("count", corpus, "--json").document
    kinds = [source["kind"] for source in counted["sources"]]
    assert (kinds.count("image"), kinds.count("text")) == (10, 3) and not counted["skipped"]
    numbers = sorted(image["number"] for source in counted["sources"] for image in source["images"])
    assert numbers == list(range(1, 11))

    first = ask(longdesk, corpus)
    n_question = len(open_model(model).tokenizer.encode(QUESTION))
    assert first.answer["prompt_tokens"] == counted["total_tokens"] + n_question
    prefills = [event for event in first.events if event["event"] == "prefill"]
    assert prefills[-1]["done"] == prefills[-1]["total"] == first.answer["prompt_tokens"]
    assert prefills[-1]["kv"]["used"] == first.answer["prompt_tokens"]
    assert first.answer["encoded"] == prefills[-1]["encoded"] == n_runs(list(FOLDER.values()))

    follow_up = ask(longdesk, "--session", first.answer["session"])
    assert follow_up.answer["encoded"] == 0
    assert follow_up.answer["reused_tokens"] >= first.answer["prompt_tokens"]

    order = [source["path"] for source in counted["sources"] if source["kind"] == "image"]
    tokens = {source["path"]: source["tokens"] for source in counted["sources"]}
    swap = [corpus / name for name in order[4:6]]
    swap[0].rename(corpus / "other.png")
    swap[1].rename(swap[0])
    (corpus / "other.png").rename(swap[1])
    swapped = ask(longdesk, corpus)
    before = first.answer["prompt_tokens"] - sum(tokens[name] for name in order[4:])
    assert swapped.answer["encoded"] == 0 and 0 < swapped.answer["reused_tokens"] < before


@pytest.mark.slow
def test_images_are_named_by_the_numbers_that_the_prompt_has(longdesk: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for seed, name in enumerate(("b.png", "a.png")):
        photo(folder / name, (60, 40), seed)
    pages = [Pillow.new("L", (310, 438), 40 * page) for page in range(3)]
    pages[0].save(folder / "scan.pdf", save_all=True, append_images=pages[1:])
    (folder / "note.txt").write_text("Words.\n")
    for age, name in enumerate(("a.png", "scan.pdf", "note.txt", "b.png")):
        # the oldest stands first, and the long scan before the newest
        os.utime(folder / name, (1e9 - 10_000 * age, 1e9 - 10_000 * age))
    counted = longdesk("count", folder).out
    assert re.findall(r"  (\S+) \((images? .*)\)", counted) == [
        ("a.png", "image 5"), ("b.png", "image 1"), ("scan.pdf", "images 2–4"),
    ]  # fmt: skip
    session = longdesk("ask", folder, "-q", "Q", "--max-tokens", 1, "--json").answer["session"]
    longdesk("ask", "--session", session, "-q", "Q", "--exclude", "b.png", "--max-tokens", 1, "--json")
    (folder / "note.txt").unlink()
    longdesk("ask", folder, "--session", session, "-q", "Q", "--max-tokens", 1)
    lines = {"- b.png (image 1; left out)", "- note.txt (left out: deleted since it was read)"}
    lines |= {"- scan.pdf (images 2–4)", "- a.png (image 5)"}
    for command in (("show", session), ("export", session)):
        text = longdesk("sessions", *command).out
        assert {line for line in text.splitlines() if line.startswith("- ")} == lines
    for command in (("show", session, "--json"), ("export", session, "--format", "json")):
        sources = {source["path"]: source for source in longdesk("sessions", *command).document["sources"]}
        assert [image["number"] for path in ("b.png", "a.png") for image in sources[path]["images"]] == [1, 5]
        assert sources["scan.pdf"]["images"] == [{"number": 2 + page, "page": 1 + page} for page in range(3)]
        assert sources["note.txt"]["images"] == [] and not sources["b.png"]["enabled"]
    desk = Desk(Settings(home=longdesk.home, model=str(longdesk.model)))
    shown = desk.preview(session).prompt.shown
    desk.close()
    assert [picture.number for picture in shown] == [2, 3, 4, 5]


@pytest.mark.slow
def test_each_file_that_was_named_and_is_skipped_is_said(longdesk: CommandLine, tmp_path: Path) -> None:
    good = photo(tmp_path / "good.png", (60, 40), 1)
    (tmp_path / "cut.png").write_bytes(photo(tmp_path / "whole.png", (90, 90), 2).read_bytes()[:9_000])
    (tmp_path / "empty.txt").write_text("")
    named = longdesk("ask", tmp_path / "cut.png", good, tmp_path / "empty.txt", "-q", "Q", "--max-tokens", 1, "--json")
    assert named.code == 0 and "count" not in named.err
    said = [line for line in named.err.splitlines() if " was skipped: " in line]
    assert [line.split(" ")[0] for line in said] == ["cut.png", "empty.txt"] and "damaged" in said[0]
    assert [each["path"] for each in named.answer["skipped"]] == ["cut.png", "empty.txt"]
    assert all(f"{each['path']} was skipped: {each['reason']}." in said for each in named.answer["skipped"])
    (tmp_path / "cut.png").unlink()
    found = longdesk("ask", tmp_path, "--exclude", "home", "-q", "Q", "--max-tokens", 1, "--json")
    assert "2 files skipped; `longdesk count` says why." in found.err and "was skipped" not in found.err
    assert {each["path"] for each in found.answer["skipped"]} == {"home/", "empty.txt"}
    again = longdesk("ask", "--session", found.answer["session"], "-q", "Q", "--max-tokens", 1, "--json")
    assert again.answer["skipped"] == [] and "skipped" not in again.err


def test_many_named_files_that_are_skipped_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skipped = [Skipped(f"{at}.txt", Cause.EMPTY, "0 bytes") for at in range(8)]
    named = named_by_hand(skipped, [tmp_path / f"{at}.txt" for at in range(7)])
    assert [one.path for one in named] == [f"{at}.txt" for at in range(7)]
    tell_skipped(skipped, named)
    assert capsys.readouterr().err.splitlines()[4:] == [
        "4.txt was skipped: 0 bytes.", "3 more files skipped; `longdesk count` says why.",
    ]  # fmt: skip
    tell_skipped(skipped[:1], ())
    assert capsys.readouterr().err == "1 file skipped; `longdesk count` says why.\n"


@pytest.mark.slow
def test_what_is_no_projector_is_said_to_be_none(longdesk: CommandLine, tmp_path: Path) -> None:
    image = photo(tmp_path / "p0.png", (60, 40), 1)
    remedy = "Name the model's mmproj file, a GGUF, or leave --mmproj out for the one that lies beside the model."
    for given, code, words in (
        (image, 4, f"{image} is not a GGUF file, and so no vision projector. {remedy}"),
        (tmp_path, 4, f"{tmp_path} is a folder, not a vision projector. {remedy}"),
        ("", 2, "The path after --mmproj is empty. Name the mmproj file, or leave --mmproj out."),
        (tmp_path / "none.gguf", 4, "There is no projector file at"),
    ):
        run = longdesk("count", image, "--mmproj", given)
        assert run.code == code and words in run.err and run.out == ""


@pytest.mark.slow
def test_images_that_are_gone_lie_in_the_store(tmp_path: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", cached(**MODELS["gemma3"]))
    image, flags = photo(tmp_path / "image.png", (70, 35), 1), ("--mmproj", cached("mmproj", projector="gemma3"))
    first = ask(longdesk, image, *flags)
    image.unlink()
    shutil.rmtree(longdesk.home / "cache" / "embeddings")
    shutil.rmtree(longdesk.home / "snapshots")
    anew = ask(longdesk, "--session", first.answer["session"], *flags)
    assert anew.answer["encoded"] == 1 and anew.answer["stop"] == "length"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_within_an_image_it_goes_on_from_there(
    longdesk: CommandLine, tmp_path: Path, model: Path, number: signal.Signals
) -> None:
    image = photo(tmp_path / "large.png", (1000, 1000), 1)
    running = longdesk.start("ask", image, "-q", QUESTION, "--max-tokens", 8, "--json")
    assert running.stdout is not None
    events = []
    for line in running.stdout:
        events.append(json.loads(line))
        if events[-1].get("encoded", 0) >= 3 and events[-1]["event"] == "prefill":
            with held(running.pid) as engine:
                running.send_signal(number)
                until(lambda: number == signal.SIGKILL or is_told(engine))
            break
    rest, _ = running.communicate(timeout=PATIENCE_S)
    events += [json.loads(line) for line in rest.splitlines()]
    n_encoded = max(event.get("encoded", 0) for event in events)
    assert 3 <= n_encoded < 10
    if number == signal.SIGINT:
        assert running.returncode == 130 and events[-1]["stop"] == "cancelled"
    sessions = longdesk("sessions", "list", "--json").document["sessions"]
    resumed = ask(longdesk, "--session", sessions[0]["id"])
    assert 0 < resumed.answer["encoded"] <= 10 - 3
    fresh = ask(CommandLine(tmp_path / "fresh", model), image)
    assert resumed.answer["text"] == fresh.answer["text"]
    if number == signal.SIGINT:
        assert resumed.answer["reused_tokens"] >= 3 * 145


@pytest.mark.slow
def test_another_projector_in_its_place_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    copy = Path(shutil.copyfile(cached(**MODELS["gemma3"]), folder / "gemma.gguf"))
    longdesk, text = CommandLine(tmp_path / "home", copy), tmp_path / "text.txt"
    text.write_text("Before there were images.\n" * 100)
    blind = ask(longdesk, text)
    shutil.copyfile(cached("mmproj", projector="gemma3"), folder / "mmproj.gguf")
    sees = ask(longdesk, text)  # what was read without one stays of use
    assert sees.answer["text"] == blind.answer["text"]
    assert sees.answer["reused_tokens"] > sees.answer["prompt_tokens"] - 50  # windows slide: the corpus at least

    image = photo(tmp_path / "image.png", (700, 350), 1)
    first = ask(longdesk, text, image)
    shutil.copyfile(cached("mmproj", projector="gemma3", seed=1), folder / "mmproj.gguf")
    other = ask(longdesk, text, image)
    fresh = ask(CommandLine(tmp_path / "fresh", copy), text, image)
    assert other.answer["text"] == fresh.answer["text"] != first.answer["text"]
    assert other.answer["encoded"] == fresh.answer["encoded"] == first.answer["encoded"] == 1
    (folder / "mmproj.gguf").unlink()
    shutil.copyfile(cached("mmproj", projector="gemma3", seed=1), tmp_path / "copy.gguf")  # the same bytes elsewhere
    again = ask(longdesk, text, image, "--mmproj", tmp_path / "copy.gguf")
    assert "projector" not in again.err and again.answer["text"] == fresh.answer["text"]
    assert again.answer["encoded"] == 0 and again.answer["reused_tokens"] > again.answer["prompt_tokens"] - 50
    shutil.rmtree(longdesk.home / "snapshots")
    shutil.copyfile(tmp_path / "copy.gguf", folder / "mmproj.gguf")
    read_again = ask(longdesk, text, image)  # embeddings are a copy's too
    assert read_again.answer["encoded"] == 0 and read_again.answer["text"] == fresh.answer["text"]
    differ_between_samples(folder / "mmproj.gguf")
    differing = ask(longdesk, text, image)
    assert "vision projector" in differing.err and differing.answer["encoded"] == 1
    assert differing.answer["reused_tokens"] < first.answer["prompt_tokens"] - 256


@pytest.mark.slow
@pytest.mark.parametrize("projector", ["gemma3", "qwen2vl", pytest.param("idefics3", marks=pytest.mark.slow)])
def test_what_is_counted_is_what_is_read(projector: str, tmp_path: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", cached(**MODELS[projector]))
    folder = tmp_path / "images"
    folder.mkdir()
    sizes = {"a.png": (1, 1), "b.png": (37, 1_201), "c.png": (811, 333)}
    for seed, (name, size) in enumerate(sizes.items()):
        photo(folder / name, size, seed)
    flags = ("--mmproj", cached("mmproj", projector=projector))
    counted = longdesk("count", folder, *flags, "--json").document
    assert counted["image_rule"] == "mtmd's count"
    for source in counted["sources"]:
        (image,) = source["images"]
        assert (image["width"], image["height"]) == sizes[source["path"]] and 0 < image["tokens"] < source["tokens"]
        assert source["tiles"] is None
    assert counted["template_tokens"] + sum(each["tokens"] for each in counted["sources"]) == counted["total_tokens"]
    run = longdesk("ask", folder, *flags, "-q", "Q", "--max-tokens", 2, "--json")
    last = [event for event in run.events if event["event"] == "prefill"][-1]
    assert run.answer["prompt_tokens"] == counted["total_tokens"] + 1 == last["kv"]["used"]


@pytest.mark.slow
def test_a_model_of_qwen_vls_kind_is_asked_about_two_images_and_asked_again(tmp_path: Path) -> None:
    """Each of these is a process of its own: what was read comes back from a kept KV state."""
    model = cached(**MODELS["qwen2vl"])
    longdesk, flags = CommandLine(tmp_path / "home", model), ("--mmproj", cached("mmproj", projector="qwen2vl"))
    images = [photo(tmp_path / "one.png", (640, 480), 1), photo(tmp_path / "two.png", (200, 900), 2)]
    first = ask(longdesk, *images, *flags)
    assert first.answer["encoded"] == 2 and first.answer["reply_tokens"] == 8
    again = ask(longdesk, *images, *flags)
    assert again.answer["text"] == first.answer["text"] and again.answer["encoded"] == 0
    assert again.answer["reused_tokens"] == again.answer["prompt_tokens"] - 1
    follow_up = ask(longdesk, "--session", first.answer["session"], *flags)
    assert follow_up.answer["encoded"] == 0
    assert follow_up.answer["reused_tokens"] >= first.answer["prompt_tokens"]
    shutil.rmtree(longdesk.home / "snapshots")
    swapped = ask(longdesk, *images, photo(tmp_path / "also.png", (300, 60), 3), *flags)
    anew = ask(CommandLine(tmp_path / "fresh", model), *images, tmp_path / "also.png", *flags)
    assert (swapped.answer["encoded"], anew.answer["encoded"]) == (1, 3)
    assert swapped.answer["text"] == anew.answer["text"]


@pytest.mark.slow  # 6.3 s
def test_where_a_model_places_images_by_a_rule_of_its_own_it_is_not_asked_about_them(tmp_path: Path) -> None:
    """Hunyuan VL's: read as Qwen VL's are, they would be answered wrongly, and nobody would know."""
    longdesk = CommandLine(tmp_path / "home", cached("qwen3vl", architecture="hunyuan_vl"))
    image, flags = photo(tmp_path / "image.png", (640, 480), 1), ("--mmproj", cached("mmproj", projector="hunyuanvl"))
    (source,) = longdesk("count", image, *flags, "--json").document["sources"]
    assert source["images"][0]["tokens"] > (20 + 1) * 15  # a token of 32 pixels, and an end to each row
    run = longdesk("ask", image, *flags, "-q", "Q", "--json")
    assert run.code == 4 and run.out == "" and run.err.count("\n") == 1
    assert "hunyuan_vl models give them positions in several dimensions (M-RoPE), by a rule of their own" in run.err
    assert longdesk("sessions", "list", "--json").document == {"sessions": []}


@pytest.mark.slow  # 6.2 s
@pytest.mark.parametrize(("max_tiles", "separators"), [(9, True), (9, False), (4, True), (1, False)])
def test_fewer_tiles_and_no_separators_are_counted(
    max_tiles: int, separators: bool, tmp_path: Path, model: Path
) -> None:
    sizes = {"tall.png": (411, 1_303), "page.png": (850, 1_100)}
    for seed, (name, size) in enumerate(sizes.items()):
        photo(tmp_path / name, size, seed)
    desk = Desk(Settings(home=tmp_path / "home", model=str(model), max_tiles=max_tiles, tile_separators=separators))
    counted = count_json(desk.count(desk.read([tmp_path / name for name in sizes])))
    desk.close()
    for source in counted["sources"]:
        size = size_within(*sizes[source["path"]], max_tiles=max_tiles)
        tiling = llama_cpp_tiling(size.width, size.height)
        assert tiling.n_tiles <= max_tiles and source["tiles"] == [tiling.columns, tiling.rows]
        assert source["images"][0]["tokens"] == tiling.n_tokens(separators=separators)
    assert counted["template_tokens"] + sum(each["tokens"] for each in counted["sources"]) == counted["total_tokens"]


@pytest.mark.slow  # 13.5 s
def test_fewer_tiles_without_separators_are_read_as_counted(longdesk: CommandLine, tmp_path: Path) -> None:
    image, flags = photo(tmp_path / "page.png", (850, 1_100), 1), ("--max-tiles", 4, "--no-tile-separators")
    counted = longdesk("count", image, *flags, "--json").document
    run = longdesk("ask", image, *flags, "-q", "Q", "--max-tokens", 1, "--json")
    assert run.answer["prompt_tokens"] == counted["total_tokens"] + 1 and run.answer["encoded"] == 5


@pytest.mark.slow  # 22.3 s
def test_images_given_to_a_model_that_cannot_see_wait_for_one_that_can(tmp_path: Path, model: Path) -> None:
    longdesk, blind = CommandLine(tmp_path / "home", model), ("--model", cached("llama"))
    image, text = photo(tmp_path / "image.png", (300, 200), 1), tmp_path / "note.txt"
    text.write_text("Some words.\n")
    refused = longdesk("ask", image, *blind, "-q", "Q")
    assert refused.code == 4 and "the model cannot see; choose one with a vision projector" in refused.err
    first = ask(longdesk, image, text, *blind)
    assert "image.png are not sent" in first.err and "mmproj" in first.err and first.answer["encoded"] == 0
    session = first.answer["session"]
    later = ask(longdesk, photo(tmp_path / "later.png", (200, 300), 2), *blind, "--session", session)
    assert "image.png, later.png are not sent" in later.err
    for path in (image, tmp_path / "later.png"):
        path.unlink()
    shown = longdesk("sessions", "show", session, "--json").document
    assert {source["path"] for source in shown["sources"]} == {"note.txt", "image.png", "later.png"}
    assert ask(longdesk, "--session", session, "--model", model).answer["encoded"] == 2


@pytest.mark.slow  # 9.5 s
def test_pages_are_noted_as_the_model_is_sent_them(tmp_path: Path, longdesk: CommandLine) -> None:
    pages = [Pillow.new("L", (620, 877), 40 * page) for page in range(2)]
    pages[0].save(tmp_path / "scan.pdf", save_all=True, append_images=pages[1:])
    mixed(tmp_path / "mixed.pdf")
    seen = longdesk("count", tmp_path / "mixed.pdf", "--json").document
    assert seen["sources"][0]["notes"] == ["Page 2 is sent as an image."]
    blind = longdesk("count", tmp_path / "mixed.pdf", tmp_path / "scan.pdf", "--model", cached("llama"), "--json")
    (source,) = blind.document["sources"]
    assert source["notes"] == ["Page 2 is not sent as an image: the model cannot see."] and source["images"] == []
    (skipped,) = blind.document["skipped"]
    assert skipped["path"] == "scan.pdf"
    assert skipped["reason"].startswith("2 pages without text: a scan, and the model cannot see; choose one")


def scan(path: Path, n_pages: int) -> Path:
    pages = [Pillow.new("L", (620, 877), 9 * page) for page in range(n_pages)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def flags_of(advice: dict[str, object]) -> tuple[object, ...]:
    """The options that it says in words, which are also its fields."""
    change = str(advice["change"])
    if advice["max_tiles"]:
        assert f"(--max-tiles {advice['max_tiles']})" in change
        return "--max-tiles", advice["max_tiles"]
    assert f"(--draw-pages {advice['draw_pages']})" in change
    return "--draw-pages", advice["draw_pages"]


@pytest.mark.slow  # 33.0 s
def test_advice_on_many_images_and_scans_leads_to_a_fit(longdesk: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for at, n_pages in enumerate((4, 2)):
        scan(folder / f"scan{at}.pdf", n_pages)
    mixed(folder / "mixed.pdf")  # whose page 2 alone is drawn: a plain list of pages would draw page 1 too
    for seed in range(3):
        photo(folder / f"{seed}.png", (700, 500), seed)
    total = longdesk("count", folder, "--json").document["total_tokens"]
    kinds = ["max_tiles", "draw_pages"]
    for over in (100, 3_000):
        base = (folder, "--ctx", total + 64 - over)
        plan = longdesk("plan", *base, "--reply", 64, "--json")
        images = [one for one in plan.document["advice"] if one["max_tiles"] or one["draw_pages"]]
        assert plan.code == 3 and [next(kind for kind in kinds if one[kind]) for one in images] == kinds
        for one in images:
            assert one["saves_tokens"] >= over and f"{one['saves_tokens']:,} tokens less" in one["change"]
            fits = longdesk("plan", *base, *flags_of(one), "--reply", 64, "--json")
            assert fits.code == 0 and fits.document["prompt_tokens"] <= total - one["saves_tokens"]
        assert images[1]["draw_pages"].startswith("bare:1")
        refused = longdesk("ask", *base, "-q", "Q", "--max-tokens", 64)
        assert refused.code == 3 and all(one["change"].split(",")[0].split(" and ")[0] in refused.err for one in images)


@pytest.mark.slow  # 25.1 s
def test_advice_is_followed_in_a_session_too(longdesk: CommandLine, tmp_path: Path) -> None:
    pdf, image = scan(tmp_path / "scan.pdf", 3), photo(tmp_path / "image.png", (700, 500), 1)
    first = ask(longdesk, pdf, image, "--max-tiles", 1, "--draw-pages", "1")
    session, n_first = first.answer["session"], first.answer["prompt_tokens"]
    assert first.answer["encoded"] == 2
    flags = ("--session", session, "-q", "Q", "--max-tokens", 8)
    all_of_it = ("--max-tiles", 9, "--draw-pages", "all", "--ctx", n_first + 2_200)
    refused = longdesk("ask", *flags, *all_of_it)
    assert refused.code == 3 and "(--draw-pages 1)" in refused.err
    n_tiles = int(refused.err.split("(--max-tiles ")[1][0])
    for followed in (("--max-tiles", n_tiles), ("--draw-pages", 1)):
        again = longdesk("ask", *flags, *all_of_it, *followed, "--json")
        assert again.answer["stop"] in ("length", "end") and again.answer["encoded"] > 0
