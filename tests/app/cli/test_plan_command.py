"""`longdesk plan` and `ask` as a user meets memory: figures, refusals, and advice that holds what it says."""

import re
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.gguf import read_header
from engine.memory.budget import Placement
from engine.memory.card import read_card
from engine.memory.dry_run import DryRun
from engine.memory.kv_cache import kv_bytes
from tests.command_line import CommandLine, Run
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT
from tests.models.shape import ONE_HEAD

MIB, GIB = 1 << 20, 1 << 30
TOKEN_KV_BYTES = 12 * 2 * 8 * 128 * 2  # of the twelve layers that see everything, at f16


def plan(longdesk: CommandLine, *arguments: object) -> tuple[int, dict[str, Any]]:
    run = longdesk("plan", *arguments, "--json")
    return run.code, run.document


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", llama_gguf)


# --- with nothing on this machine


@pytest.mark.slow  # 2.5 s
@pytest.mark.parametrize(
    ("ctx", "flags", "mib"),
    [
        ("4096", (), 192 + 576),
        ("128K", (), 6_144 + 1_224),
        ("128K", ("--swa-full",), 6_144 + 18_432),
        ("128K", ("--kv", "q8_0"), 3_264 + 650.25),
        ("128K", ("--kv", "q4_0"), 1_728 + 344.25),
        ("1M", (), 49_152 + 1_224),
        ("10M", (), 491_520 + 1_224),
        ("10M", ("--kv", "q8_0", "--ubatch", "2048"), 261_120 + 765),
    ],
)
def test_the_kv_cache_of_scout_as_the_engine_has_it(
    longdesk: CommandLine, ctx: str, flags: tuple[str, ...], mib: float
) -> None:
    code, document = plan(longdesk, "--model", "scout-q4_k_m", "--ctx", ctx, *flags)
    assert document["kv_bytes"] == mib * MIB and not {"kv_bytes", "compute_bytes"} & set(document["estimated"])
    assert document["weights_bytes"] == pytest.approx(60.86 * GIB, rel=1e-3)
    parts = ("weights_bytes", "kv_bytes", "compute_bytes", "runtime_bytes")
    assert document["total_bytes"] == sum(document[part] for part in parts)
    assert code == (0 if document["fits"] else 3)


@pytest.mark.slow  # 2.5 s
def test_a_plan_without_a_corpus_makes_no_home(longdesk: CommandLine, tmp_path: Path) -> None:
    code, _ = plan(longdesk, "--model", "scout-q4_k_m", "--ctx", "4096")
    assert code in (0, 3) and not longdesk.home.exists()
    longdesk.home.symlink_to(tmp_path / "nowhere")  # a disk that is not mounted, say
    assert plan(longdesk, "--model", "scout-q4_k_m", "--ctx", "4096")[0] == code
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.slow  # 2.4 s
def test_a_plan_without_a_corpus_opens_no_database_and_sweeps_nothing(longdesk: CommandLine) -> None:
    orphan = longdesk.home / "snapshots" / "9999999-0.kv"  # whose writer is long dead: a sweep deletes it
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"left behind")
    code, document = plan(longdesk, "--ctx", "4096")
    assert code == 0 and document["context_tokens"] == 4096
    assert orphan.exists() and not (longdesk.home / "longdesk.db").exists()
    assert {path.name for path in longdesk.home.iterdir()} <= {"snapshots", "cache"}
    longdesk("snapshots", "list")
    assert not orphan.exists()


@pytest.mark.slow
def test_a_plan_of_ten_million_tokens_takes_no_gigabyte(longdesk: CommandLine) -> None:
    """Peak memory of the command and of its child together, read while they run."""
    started = longdesk.start("plan", "--model", "scout-q4_k_m", "--ctx", "10M", "--json")
    process, peak = psutil.Process(started.pid), 0
    while started.poll() is None:
        family = [process, *_children(process)]
        peak = max(peak, sum(map(_resident, family)))
        time.sleep(0.01)
    assert started.communicate()[0] and started.returncode == 3
    assert 100 * MIB < peak < 1000 * 1000 * 1000


@pytest.mark.slow  # 4.5 s
def test_what_is_not_on_this_machine_is_planned_not_counted(longdesk: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two three")
    for command in (("count",), ("plan",), ("ask", "-q", "What?")):
        run = longdesk(*command, tmp_path / "a.txt", "--model", "scout-q4_k_m")
        assert run.code == 4 and "longdesk models get scout-q4_k_m" in run.err
    code, document = plan(longdesk, "--model", "behemoth-q4_k_m", "--ctx", "32K")
    assert set(document["estimated"]) == {"weights_bytes", "kv_bytes", "compute_bytes", "runtime_bytes"}


@pytest.mark.slow
def test_no_weights_of_a_large_file_are_read(longdesk: CommandLine, tmp_path: Path) -> None:
    """57 GiB of holes: what the child reads of them is its header, and no page of them comes into memory."""
    ghost = cached("ghost", vocab="llama4")
    assert ghost.stat().st_size > 50 * GIB
    dry_run = DryRun()
    card = read_card(read_header(ghost))
    dry_run.measure(card, Placement(n_ctx=131_072))
    assert dry_run._child is not None
    child = psutil.Process(dry_run._child.pid)
    assert child.io_counters().read_chars < 64 * MIB
    assert not [mapped for mapped in child.memory_maps() if mapped.path == str(ghost)]
    dry_run.close()
    code, document = plan(longdesk, "--model", ghost, "--ctx", "128K")
    assert document["kv_bytes"] == (6_144 + 1_224) * MIB


# --- refusals


@pytest.mark.slow
def test_a_kv_type_that_cannot_run_is_refused_with_the_reason(longdesk: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two three")
    narrow = cached("llama", head_dim=16)
    run = longdesk("plan", "--model", narrow, "--kv", "q8_0")
    assert run.code == 2 and "block size 32 does not divide n_embd_head_k=16" in run.err and "--kv f16" in run.err
    asked = longdesk("ask", tmp_path / "a.txt", "-q", "What?", "--model", narrow, "--kv", "q4_0")
    assert asked.code == 2 and "block size 32" in asked.err
    assert longdesk("sessions", "list", "--json").document == {"sessions": []}
    assert longdesk("plan", "--model", narrow).code == 0


@pytest.mark.slow  # 2.5 s
def test_a_model_that_llama_cpp_refuses_leaves_no_trace(
    longdesk: CommandLine, llama_gguf: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(llama_gguf.read_bytes().replace(b"blk.0.attn_q.weight", b"blk.0.attn_Q.weight"))
    (tmp_path / "a.txt").write_text("one two three")
    run = longdesk("ask", tmp_path / "a.txt", "-q", "What?", "--model", odd)
    assert run.code == 4 and "llama.cpp cannot load" in run.err
    assert longdesk("sessions", "list", "--json").document == {"sessions": []}


# --- too little memory


@pytest.fixture(scope="module")
def wide_gguf() -> Path:
    """Scout's own KV cache, 48 KiB a token and more, on a model that weighs next to nothing."""
    return cached("scout", n_layer=48, n_head=8, n_head_kv=8, head_dim=128)


@pytest.fixture(scope="module")
def large_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five files whose KV cache takes about 1.3 times the memory that is free."""
    folder = tmp_path_factory.mktemp("large")
    n_tokens = int(1.3 * psutil.virtual_memory().available / TOKEN_KV_BYTES)
    for at in range(5):
        words = (f"w{at}{word % 9_973}" for word in range(n_tokens // 5 // 3))  # about three tokens a word
        (folder / f"{at}.txt").write_text(" ".join(words))
    return folder


def flags_of(change: str) -> list[str]:
    """The flags that a piece of advice names, as a reader would type them."""
    return [part for flag in re.findall(r"--(?:ctx|kv|ubatch|reply) \w+", change) for part in flag.split()]


@pytest.mark.slow
def test_advice_that_is_followed_as_written_makes_it_fit(
    longdesk: CommandLine, wide_gguf: Path, large_corpus: Path
) -> None:
    code, document = plan(longdesk, large_corpus, "--model", wide_gguf)
    assert (code, document["verdict"]) == (3, "over_memory")
    (device,) = document["devices"]
    assert device["name"] == "RAM" and device["short_bytes"] > 0
    advice = [each for each in document["advice"] if not each["change"].startswith("Free ")]
    assert [each["pass_tokens"] for each in advice if "passes" in each["change"]] == ["auto"]
    advice = [each for each in advice if not each["pass_tokens"]]  # that one is for asking
    assert {"--kv" in each["change"] for each in advice} == {True, False}
    for each in advice:
        assert each["saves_bytes"] >= device["short_bytes"]
        excludes = [part for path in each["leave_out"] for part in ("--exclude", path)]
        after = plan(longdesk, large_corpus, "--model", wide_gguf, *excludes, *flags_of(each["change"]))
        assert after[0] == 0, each["change"]
        assert document["prompt_tokens"] - after[1]["prompt_tokens"] == each["saves_tokens"]


@pytest.mark.slow
def test_a_context_of_the_users_choice_that_is_too_large(longdesk: CommandLine, wide_gguf: Path) -> None:
    code, document = plan(longdesk, "--model", wide_gguf, "--ctx", "10M")
    assert (code, document["verdict"]) == (3, "over_memory")
    advice = [each for each in document["advice"] if not each["change"].startswith("Free ")]
    assert len(advice) == 2
    for each in advice:
        assert plan(longdesk, "--model", wide_gguf, "--ctx", "10M", *flags_of(each["change"]))[0] == 0


@pytest.mark.slow
def test_a_question_that_does_not_fit_is_refused_before_anything_runs(
    longdesk: CommandLine, wide_gguf: Path, large_corpus: Path
) -> None:
    run = longdesk("ask", large_corpus, "-q", "What?", "--model", wide_gguf, "--json")
    assert run.code == 3 and not run.out
    assert re.search(r"[\d,]{11,} bytes of memory are missing on RAM", run.err) and "--kv q8_0" in run.err
    assert longdesk("sessions", "list", "--json").document == {"sessions": []}


# --- the runtime holds what was planned


@pytest.mark.slow
def test_thirty_thousand_tokens_of_a_scout_end_to_end(longdesk: CommandLine, tmp_path: Path) -> None:
    scout_gguf = cached("scout", **SMALL_SCOUT, **ONE_HEAD)  # three layers with chunks, one that sees everything
    (tmp_path / "book.txt").write_text(" ".join(f"word{at % 4_001} and" for at in range(5_300)))
    how = ("--model", scout_gguf, "--ctx", "40K")
    code, document = plan(longdesk, tmp_path / "book.txt", *how, "--reply", "8")
    assert code == 0 and document["prompt_tokens"] > 30_000
    run = longdesk("ask", tmp_path / "book.txt", "-q", "What?", *how, "--max-tokens", "8", "--json")
    assert run.code == 0
    answer = run.answer
    assert 30_000 < answer["prompt_tokens"] <= document["prompt_tokens"] + 8
    gauge = answer["kv"]
    assert gauge["bytes"] == document["kv_bytes"] == kv_bytes(read_card(read_header(scout_gguf)), 40 << 10)
    assert gauge["cells"] == 40 << 10 and gauge["places"] == {"RAM": gauge["bytes"]}
    assert gauge["used"] == answer["prompt_tokens"] + answer["reply_tokens"] - (answer["stop"] == "length")
    assert [event["kv"]["used"] for event in prefills(run)] == [event["done"] for event in prefills(run)]


def prefills(run: Run) -> list[dict[str, Any]]:
    return [event for event in run.events if event["event"] == "prefill"]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return children


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
