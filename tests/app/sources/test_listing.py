"""The tree that a session's sources are listed in."""

from app.sources.listing import Folder, build_tree
from storage.records import SourceLink


def link(path: str, folder: str | None, *, enabled: bool = True) -> SourceLink:
    return SourceLink(path, "text", 1, "", None, None, (), False, 0, 0, enabled, folder=folder)


def shape(folder: Folder) -> dict[str, object]:
    return {name: shape(inner) for name, inner in folder.folders.items()} | {
        file.name: file.link.path for file in folder.files
    }


def test_a_folder_that_was_given_keeps_its_name() -> None:
    links = [
        link("src/a.py", "itsdangerous"),
        link("click/src/a.py", "click"),  # the path was taken by the first
        link("docs/b.md", "click", enabled=False),
        link("docs/c.md", None),  # of an earlier version's session
        link("notes.txt", None),
    ]
    root = build_tree(links, {"src/a.py": 5, "docs/b.md": 7})
    assert shape(root) == {
        "itsdangerous": {"src": {"a.py": "src/a.py"}},
        "click": {"src": {"a.py": "click/src/a.py"}, "docs": {"b.md": "docs/b.md"}},
        "docs": {"c.md": "docs/c.md"},
        "notes.txt": "notes.txt",
    }
    click = root.folders["click"]
    assert (click.n_sources, click.n_enabled, click.n_tokens, click.sent_tokens) == (2, 1, 7, 0)
    assert [each.path for each in click.sources()] == ["click/src/a.py", "docs/b.md"]
