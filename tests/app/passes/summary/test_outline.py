"""Outlines, imports, the skeleton and the parts: what is told of a codebase without a model."""

import random
from collections.abc import Sequence

import pytest

from app.passes.summary.imports import Imports, between
from app.passes.summary.outline import outline_of
from app.passes.summary.parts import parts_of
from app.passes.summary.skeleton import skeleton_of
from engine.backend import Source


def written(path: str, text: str, folder: str | None = None) -> Source:
    return Source.written(path, text).changed(folder=folder)


def test_python_is_parsed() -> None:
    text = (
        "import os\nfrom . import a\nfrom .b import (\n    c,\n)\n\n\n@deco\nclass K(Base):  # why\n    x = 1\n\n"
        "    async def go(\n        self,\n        n: int,  # of it\n    ) -> str:\n        '''Goes.'''\n"
        "        def inner(): ...\n\n\ndef f(a, *, b=1): return a\n"
    )
    outline = outline_of(written("k.py", text))
    assert outline.imports == ("os", ".a", ".b.c")
    assert outline.signatures == (
        "class K(Base)",
        "  async def go(self, n: int) -> str",
        "def f(a, *, b=1): return a",
    )


@pytest.mark.parametrize(
    ("path", "text", "imports", "signatures"),
    [
        (
            "a.ts",
            "import {x} from './b'\nexport class A {\n  go() {}\n}\nexport const f = async (a) => a\n",
            ("./b",),
            ("export class A", "export const f = async (a) => a"),
        ),  # fmt: skip
        (
            "a.go",
            'package a\nimport (\n\t"fmt"\n\tx "a/b/c"\n)\nfunc (s *S) Go() error {\n',
            ("fmt", "a/b/c"),
            ("func (s *S) Go() error",),
        ),  # fmt: skip
        (
            "a.rs",
            "use crate::b::C;\npub(crate) async fn go() {}\nimpl C {\n    fn x(&self) {}\n}\n",
            ("crate::b::C",),
            ("pub(crate) async fn go() {}", "impl C", "  fn x(&self) {}"),
        ),  # fmt: skip
        (
            "a.c",
            '#include "b.h"\n#include <stdio.h>\nint main(int argc, char **argv)\n{\n  return 0;\n}\n',
            ("b.h", "stdio.h"),
            ("int main(int argc, char **argv)",),
        ),  # fmt: skip
        ("A.java", "import a.b.C;\npublic final class A {\n}\n", ("a.b.C",), ("public final class A",)),
        ("broken.py", "import a\ndef f(:\n    pass\n", ("a",), ("def f(",)),
        ("README.md", "# Shop\ntext\n## Use\n", (), ("# Shop", "## Use")),
        ("data.bin", "class X\n", (), ()),
    ],
)
def test_other_languages_are_read_by_their_lines(
    path: str, text: str, imports: tuple[str, ...], signatures: tuple[str, ...]
) -> None:
    outline = outline_of(written(path, text))
    assert (outline.imports, outline.signatures) == (imports, signatures)


@pytest.mark.parametrize(
    "text",
    [
        "+".join(["a"] * 100_000),
        "(" * 5_000,
        "not " * 40_000 + "a",
        "x = " + "[\n" * 3_000,
        "a\x00b",
        "\ud800",
        "export " * 60_000,
        "import (" + "\t" * 200_000,
        "int " + "a " * 200_000 + "(",
        "const a" + " " * 200_000 + "= b",
    ],
)
@pytest.mark.parametrize("path", ["a.py", "a.ts", "a.c"])
def test_no_text_breaks_it_or_hangs(path: str, text: str) -> None:
    outline_of(written(path, text))


def test_imports_lead_to_sources() -> None:
    sources = [
        written("src/shop/__init__.py", ""),
        written("src/shop/cart.py", "import shop.money\nfrom . import web\nimport types\n"),
        written("src/shop/money.py", "from shop import cart, __version__\n"),
        written("src/shop/types.py", ""),
        written("src/shop/web/__init__.py", "from ..money import total\n"),
        written("scripts/run.py", "import helper\nfrom shop.web import x\n"),
        written("scripts/helper.py", ""),
        written("ui/app.ts", "import {a} from './lib/a'\nimport React from 'react'\n"),
        written("ui/lib/a.ts", "import b from '../b/index.js'\n"),
        written("ui/b/index.ts", ""),
        written("c/main.c", '#include "util.h"\n#include <stdio.h>\n'),
        written("c/util.h", ""),
    ]
    imports = Imports(sources)
    found = {source.path: imports.of(source.path, outline_of(source)) for source in sources}
    assert found["src/shop/cart.py"] == ("src/shop/money.py", "src/shop/web/__init__.py")
    assert found["src/shop/money.py"] == ("src/shop/cart.py", "src/shop/__init__.py")
    assert found["src/shop/web/__init__.py"] == ("src/shop/money.py",)
    assert found["scripts/run.py"] == ("scripts/helper.py", "src/shop/web/__init__.py")
    assert found["ui/app.ts"] == ("ui/lib/a.ts",) and found["ui/lib/a.ts"] == ("ui/b/index.ts",)
    assert found["c/main.c"] == ("c/util.h",)
    groups = {path: path.split("/")[0] for path in found}
    assert between(groups, found) == {("scripts", "src"): 1}


def test_a_package_that_was_given_is_called_by_its_folder() -> None:
    sources = [
        written("__init__.py", "from .core import go\n", "click"),
        written("core.py", "import click.types\nimport types\n", "click"),
        written("types.py", "", "click"),
    ]
    imports = Imports(sources)
    assert imports.of("core.py", outline_of(sources[1])) == ("types.py",)
    assert imports.of("__init__.py", outline_of(sources[0])) == ("core.py",)


def tokens_of(sources: list[Source]) -> list[int]:
    return [4 + len(source.text.split()) for source in sources]


@pytest.mark.parametrize("seed", range(12))
def test_parts_hold_every_source_once_and_stay(seed: int) -> None:
    rng = random.Random(seed)
    folders = ["/".join(rng.choice("abcd") for _ in range(rng.randrange(0, 4))) for _ in range(rng.randrange(1, 60))]
    paths = sorted(f"{folder}/f{n}.py".lstrip("/") for n, folder in enumerate(folders))
    sources = [written(path, "w " * rng.randrange(1, 300)) for path in paths]
    parts = parts_of(sources, 400, tokens_of)  # type: ignore[arg-type]
    assert sorted(source.path for part in parts for source in part.sources) == sorted(each.path for each in sources)
    assert len({part.key.lower() for part in parts}) == len(parts) == len({part.label for part in parts})
    assert all(each.n_tokens <= 400 for part in parts for each in part.slices)

    kept = {part.label: [source.path for source in part.sources] for part in parts}
    edited = [written(each.path, each.text + "more " * 20) if n == 0 else each for n, each in enumerate(sources)]
    edited.append(written("a/new.py", "w " * 10))
    again = parts_of(edited, 400, tokens_of, kept=kept)  # type: ignore[arg-type]
    assert sorted(source.path for part in again for source in part.sources) == sorted(each.path for each in edited)
    before = {part.label: [source.path for source in part.sources] for part in parts}
    after = {part.label: [each.path for each in part.sources if each.path != "a/new.py"] for part in again}
    assert all(after[label] == paths for label, paths in before.items())


def test_a_skeleton_is_cut_to_levels_and_says_so() -> None:
    sources = [
        written(
            f"pkg/m{n}.py",
            "".join(f"def f{n}_{k}(a, b):\n    return a\n\nclass C{k}:\n    def go(self): ...\n" for k in range(20)),
        )  # fmt: skip
        for n in range(30)
    ]
    sources.append(written("README.md", "# The shop\n" + "words " * 2_000))
    outlines = {source.path: outline_of(source) for source in sources}
    said = []
    for room in (20_000, 5_000, 1_500, 300, 60, 4):
        made = skeleton_of(sources, outlines, lambda source, room=room: tokens_of([source])[0] <= room)  # type: ignore[misc]
        said.append(made and made.left_out)
        if made is not None and room >= 300:
            assert "README.md" in made.source.text and "[...]" in made.source.text
    assert said[0] == "" and said[-1] is None
    assert said[1] is not None and "methods" in said[1]
    assert said[2] is not None and "imports and signatures" in said[2]
    assert said[4] is not None and "folders" in said[4] + "folders"


@pytest.mark.parametrize(
    "paths", [("X", "X 1", "X to X 1"), ("a b/1", "a b/2", "a-b/1", "a-b/2", "a-b-2/1", "a-b-2/2"), ("A", "a", "a-2")]
)
def test_no_part_takes_the_place_of_another(paths: Sequence[str]) -> None:
    sources = [Source.written(path, "") for path in paths]
    for room in (1, 2, 3):
        parts = parts_of(sources, room, lambda some: [1] * len(some))
        assert sorted(source.path for part in parts for source in part.sources) == sorted(paths)
        assert len({part.key.lower() for part in parts}) == len({part.label for part in parts}) == len(parts)
