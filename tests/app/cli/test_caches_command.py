"""`longdesk snapshots` as scripts call it."""

import json
from pathlib import Path
from typing import Any

import pytest
from xxhash import xxh3_128_digest

from app.kv.disk import model_words, session_words
from engine.runtime import state_file as files
from engine.runtime.binding import Binding
from storage.records import Snapshot
from storage.store import Store
from tests.command_line import CommandLine

NOTES = ("snapshots", "prune", "--notes")
BINDING = Binding(model="c0ffee" * 4, llama_cpp="0", kv_k="q8_0", kv_v="q8_0").fields()


@pytest.fixture
def longdesk(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", "no model is needed")


def state_file(n_bytes: int, **more: str) -> bytes:
    """A file whose seal is right, about a cache that nobody ever had. more: what else it says of itself."""
    manifest = json.dumps({"binding": BINDING, "n_tokens": 512, "anchor": 0, **more}).encode()
    sealed = b"k" * n_bytes + manifest + files.LENGTHS.pack(0, len(manifest))
    return sealed + xxh3_128_digest(sealed) + files.MARK


def put(longdesk: CommandLine, name: str, title: str | None = None, n_bytes: int = 1 << 20, **given: Any) -> Path:
    path = longdesk.home / "snapshots" / f"{name}.kv"
    with Store(longdesk.home) as store:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(state_file(n_bytes))
        session = store.sessions.create(title=title, model="m").id if title else None
        store.snapshots.record(
            path=path, binding=BINDING, n_tokens=512, n_bytes=n_bytes, blocks=[], session_id=session, **given
        )
    return path


@pytest.mark.slow
def test_an_empty_home(longdesk: CommandLine) -> None:
    listed = longdesk("snapshots", "list", "--json")
    assert listed.code == 0 and (listed.document["snapshots"], listed.document["total_bytes"]) == ([], 0)
    assert longdesk("snapshots", "list").out.startswith("0 kept KV caches: 0 B of ")
    assert longdesk("snapshots", "verify").out == "0 kept KV caches checked, 0 broken.\n"
    assert longdesk("snapshots", "prune", "--all", "--json").document["removed"] == []


@pytest.mark.slow  # 1.6 s
def test_the_list_says_what_each_holds(longdesk: CommandLine) -> None:
    put(longdesk, "old")
    path = put(longdesk, "new", "What is a bridge?", model_name="Llama 4 Scout")
    document = longdesk("snapshots", "list", "--json").document
    assert document["total_bytes"] == 2 << 20
    new, old = document["snapshots"]
    assert (new["path"], new["tokens"], new["bytes"], new["kv_type"]) == (str(path), 512, 1 << 20, "q8_0")
    assert (new["model"], new["model_digest"]) == ("Llama 4 Scout", BINDING["model"])
    assert [session["title"] for session in new["sessions"]] == ["What is a bridge?"]
    assert (old["model"], old["sessions"]) == (None, [])
    text = longdesk("snapshots", "list").out
    assert "512 tokens     1.0 MiB" in text and "q8_0   Llama 4 Scout  What is a bridge?" in text
    assert "model c0ffeec0  (no session)" in text and "2 kept KV caches: 2.0 MiB of " in text


@pytest.mark.slow  # 2.1 s
def test_verify_removes_what_is_broken(longdesk: CommandLine) -> None:
    paths = {name: put(longdesk, name, name) for name in ("whole", "flipped", "short", "gone")}
    assert longdesk("snapshots", "verify").out == "4 kept KV caches checked, 0 broken.\n"
    flipped = bytearray(paths["flipped"].read_bytes())
    flipped[1000] ^= 1
    paths["flipped"].write_bytes(flipped)
    paths["short"].write_bytes(paths["short"].read_bytes()[:-1])
    paths["gone"].unlink()
    run = longdesk("snapshots", "verify", "--json")
    assert run.code == 4 and run.document["checked"] == 3 and run.document["checked_bytes"] == 3 << 20
    assert {Path(each["path"]).stem for each in run.document["broken"]} == {"flipped", "short"}
    assert all(each["reason"] for each in run.document["broken"])
    assert list((longdesk.home / "snapshots").iterdir()) == [paths["whole"]]
    again = longdesk("snapshots", "verify")
    assert again.code == 0 and again.out == "1 kept KV cache checked, 0 broken.\n"


def test_verify_knows_a_state_by_its_name(longdesk: CommandLine) -> None:
    """The index says of a name what it holds: a whole file under another's name is as bad as a broken one."""
    for name in ("its own", "anothers", "unnamed"):
        put(longdesk, name).write_bytes(state_file(100, **({} if name == "unnamed" else {"name": "its own.kv"})))
    run = longdesk("snapshots", "verify", "--json")
    assert run.code == 4
    [broken] = run.document["broken"]
    assert Path(broken["path"]).stem == "anothers" and "another name" in broken["reason"]


@pytest.mark.slow
def test_prune(longdesk: CommandLine) -> None:
    for name in "abcd":
        put(longdesk, name, name)
    assert (
        longdesk("snapshots", "prune", "--older-than", "1").out == "Removed 0 kept KV caches: 0 B. 4.0 MiB are left.\n"
    )
    document = longdesk("snapshots", "prune", "--to", "3M", "--json").document
    assert [Path(each["path"]).stem for each in document["removed"]] == ["a"]
    assert (document["removed_bytes"], document["total_bytes"]) == (1 << 20, 3 << 20)
    (longdesk.home / "config.toml").write_text('snapshot_budget = "2M"\n')
    assert longdesk("snapshots", "prune").out == "Removed 1 kept KV cache: 1.0 MiB. 2.0 MiB are left.\n"
    assert longdesk("snapshots", "prune", "--older-than", "0", "--all").code == 0
    assert list((longdesk.home / "snapshots").iterdir()) == []
    assert len(longdesk("sessions", "list", "--json").document["sessions"]) == 4


@pytest.mark.slow  # 1.0 s
@pytest.mark.parametrize("arguments", [("--to", "-1"), ("--to", "1X"), ("--older-than", "-1"), ("--older-than", "x")])
def test_a_wrong_call(longdesk: CommandLine, arguments: tuple[str, ...]) -> None:
    run = longdesk("snapshots", "prune", *arguments)
    assert run.code == 2 and not run.out and arguments[0] in run.err


def test_words() -> None:
    shared = Snapshot(
        path=Path("a"), binding={"model": "abcdefghi"}, n_tokens=1, n_bytes=1, created="", last_used="",
        session_ids=("1", "2", "3"), titles=("one", "two", "three"),
    )  # fmt: skip
    assert session_words(shared) == "one and 2 more" and model_words(shared) == "model abcdefgh"


def test_notes_are_pruned_by_age_and_size_and_summaries_stay(longdesk: CommandLine) -> None:
    with Store(longdesk.home) as store:
        session = store.sessions.create(title="One", model="m").id
        for key in ("a", "b", "c", f"summary {session}"):
            store.notes.put(key, session, {"text": "x" * 1_000})
    assert longdesk(*NOTES, "--older-than", "1", "--json").document["removed_notes"] == 0
    document = longdesk(*NOTES, "--to", "2500", "--json").document
    assert document == {"removed_notes": 1, "removed_bytes": 1_011, "total_bytes": 2_022}
    assert longdesk(*NOTES).out == "Removed 0 notes: 0 B. 2.0 KiB are left.\n"
    assert "Removed 2 notes" in longdesk(*NOTES, "--all").out
    with Store(longdesk.home) as store:
        assert store.notes.get(f"summary {session}") is not None and store.notes.get("c") is None
