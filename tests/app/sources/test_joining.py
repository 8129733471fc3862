"""What a reading means for a session: which file is which, what was deleted, and what stands where."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.sources.joining import Joining, join
from engine.corpus.collect import collect
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Corpus
from storage.records import SourceLink
from tests.engine.corpus.test_order import order_of, set_times, write


def kept(joining: Joining, links: Sequence[SourceLink] = (), *, without_origin: bool = False) -> tuple[SourceLink, ...]:
    """A session's links after a reading."""
    gone = {skipped.path for skipped in joining.gone}
    old = {link.path: replace(link, enabled=link.enabled and link.path not in gone) for link in links}
    for source in joining.sources:
        old[source.path] = SourceLink(
            source.path, "text", source.n_bytes, source.digest, None, None, (), False,
            position=len(old), turn_index=0, enabled=old[source.path].enabled if source.path in old else True,
            origin=None if without_origin else source.origin,
        )  # fmt: skip
    return tuple(old.values())


def paths(joining: Joining) -> list[str]:
    return [source.path for source in joining.sources]


def test_at_first_what_changes_most_stands_last_and_then_nothing_moves(tmp_path: Path) -> None:
    folder = write(tmp_path / "given", a="a", b="b", c="c")
    set_times(folder, a=9e8, b=7e8, c=8e8)
    first = join((), collect([folder]))
    assert paths(first) == ["b.txt", "c.txt", "a.txt"] == order_of(folder)
    links = kept(first)
    (folder / "b.txt").write_text("edited")
    write(folder, d="d", aa="aa")
    set_times(folder, b=1e9, d=2e9, aa=1.5e9)
    again = join(links, collect([folder]))
    assert [link.path for link in kept(again, links)] == ["b.txt", "c.txt", "a.txt", "aa.txt", "d.txt"]
    assert again.changed == ("b.txt",)
    assert list(again.sentences()) == ["Replaced by what was given now, and read again from there on: b.txt."]


def test_another_folder_replaces_nothing_and_keeps_its_names(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", a="1", b="1"), write(tmp_path / "two", a="2", c="2")
    links = kept(join((), collect([one])))
    joining = join(links, collect([two]))
    assert list(joining.sentences()) == ["Sent beside other files of the same path: two/a.txt."]
    links = kept(joining, links)
    assert [link.path for link in links] == ["a.txt", "b.txt", "two/a.txt", "c.txt"]
    (two / "a.txt").write_text("3")
    again = join(links, collect([two]))
    assert (paths(again), again.changed, again.gone) == (["two/a.txt", "c.txt"], ("two/a.txt",), ())
    alone = join(links, collect([two / "a.txt"]))
    assert paths(alone) == ["two/a.txt"], "given by its own name it is the same file"
    third = write(tmp_path / "more" / "two", a="4")
    assert paths(join(links, collect([third / "a.txt"]))) == ["two-2/a.txt"]


def test_a_folder_that_was_moved_replaces_what_it_was(tmp_path: Path) -> None:
    links = kept(join((), collect([write(tmp_path / "one", a="1")])))
    (tmp_path / "one").rename(tmp_path / "two")
    (tmp_path / "two" / "a.txt").write_text("2")
    moved = join(links, collect([tmp_path / "two"]))
    assert (paths(moved), moved.changed) == (["a.txt"], ("a.txt",))


def test_where_a_file_lay_is_not_always_known(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", a="1", b="1")
    links = kept(join((), collect([folder])), without_origin=True)
    (folder / "a.txt").write_text("2")
    (folder / "b.txt").unlink()
    again = join(links, collect([folder]))
    assert (paths(again), again.changed, again.gone) == (["a.txt"], ("a.txt",), ())


def test_what_was_deleted_is_left_out_until_it_is_there_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", **{f"n{number}": "1" for number in range(8)})
    write(folder / "sub", a="1")
    links = kept(join((), collect([folder])))
    (folder / "sub" / "a.txt").unlink()
    elsewhere = join(links, collect([write(tmp_path / "two", z="1")]))
    assert elsewhere.gone == (), "only a folder that was read again tells"
    gone = join(links, collect([folder]))
    assert [(skipped.path, skipped.cause) for skipped in gone.gone] == [("sub/a.txt", Cause.GONE)]
    assert list(gone.sentences()) == ["sub/a.txt was deleted: left out from here on."]
    links = kept(gone, links)
    assert join(links, collect([folder])).gone == (), "said once"
    write(folder / "sub", a="1")
    back = join(links, collect([folder]), missing=frozenset({"sub/a.txt"}))
    assert back.back == ("sub/a.txt",)
    assert list(back.sentences()) == ["sub/a.txt was deleted and is there again: sent from here on."]
    assert join(links, collect([folder])).back == (), "what the user left out stays left out"
    for number in range(8):
        (folder / f"n{number}.txt").unlink()
    many = next(join(links, collect([folder])).sentences())
    assert many == "n0.txt, n1.txt, n2.txt, n3.txt, n4.txt and 3 more were deleted: left out from here on."


def test_what_was_left_out_is_sent_again_where_it_is_named_by_itself(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", a="1", b="1", c="1")
    links = tuple(replace(link, enabled=link.path == "c.txt") for link in kept(join((), collect([folder]))))
    found = join(links, collect([folder]))
    assert (found.returning, found.still_out) == ((), ("a.txt", "b.txt"))
    assert list(found.sentences()) == [
        "a.txt, b.txt stay left out of this session. To send them again, name them without the folder, or check them "
        "on the page."
    ]
    (folder / "a.txt").write_text("2")
    assert join(links, collect([folder])).changed == (), "nothing of it is sent"
    for given in ([folder / "a.txt"], [folder, folder / "a.txt"]):
        named = join(links, collect(given))
        assert (named.named, named.returning, named.changed) == (("a.txt",), ("a.txt",), ("a.txt",))
        assert next(named.sentences()) == "a.txt was left out and named again: sent from here on."
    assert join(links, collect([folder, folder])).returning == ()
    assert join(links, collect([folder / "c.txt"])).returning == ()


def test_a_file_that_is_uploaded_again_is_named_and_one_within_a_zip_is_not(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", a="1")
    links = tuple(replace(link, enabled=False) for link in kept(join((), collect([folder], uploaded=True))))
    assert join(links, collect([folder / "a.txt"], uploaded=True)).named == ("a.txt",)
    within = join(links, collect([folder], uploaded=True), in_folder=True)
    assert (within.named, within.still_out) == ((), ("a.txt",))


def test_what_cannot_be_read_any_more_is_not_sent_as_it_was(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", a="1", b="1", c="1", d="1")
    links = kept(join((), collect([folder])))
    (folder / "a.txt").write_text("")
    (folder / "b.txt").write_bytes(bytes(range(256)) * 9)
    (folder / ".gitignore").write_text("c.txt\n")
    again = join(links, collect([folder], Rules(exclude=("d.txt",))))
    assert [(skipped.path, skipped.cause) for skipped in again.gone] == [
        ("a.txt", Cause.EMPTY),
        ("b.txt", Cause.BINARY),
    ], "what is merely ignored or excluded by a rule is left to the user"
    assert next(again.sentences()).startswith("a.txt is left out from here on: ")


def test_a_zip_whose_member_is_gone(tmp_path: Path) -> None:
    import zipfile

    def pack(**texts: str) -> Corpus:
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
            for name, text in texts.items():
                file.writestr(name, text)
        return collect([tmp_path / "x.zip"])

    links = kept(join((), pack(a="1", b="1", c="1")))
    again = join(links, pack(a="1", b=""))
    assert [(skipped.path, skipped.cause) for skipped in again.gone] == [("b", Cause.EMPTY), ("c", Cause.GONE)]


def test_members_of_a_zip_in_a_folder_stay_though_the_folder_is_read_without_it(tmp_path: Path) -> None:
    import zipfile

    folder = write(tmp_path / "one", a="1")
    with zipfile.ZipFile(folder / "in.zip", "w") as file:
        file.writestr("m", "1")
    links = kept(join((), collect([folder], Rules(include=frozenset({"in.zip"})))))
    assert [link.path for link in links] == ["a.txt", "in.zip/m"]
    assert join(links, collect([folder])).gone == ()
