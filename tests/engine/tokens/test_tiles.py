"""engine.tokens.tiles and image_tokens: what an image costs, against mtmd itself and against Meta's own code."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import InputRefused, ModelRefused
from engine.memory.projector import read_projector
from engine.tokens.image_tokens import ImageCount, ImageCounter
from engine.tokens.tiles import (
    Mark,
    Size,
    Tile,
    Tiling,
    llama_cpp_tiling,
    size_filling,
    size_within,
)
from tests.models import broken
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT

MODELS: dict[str, dict[str, Any]] = {
    "llama4": {"name": "scout", **SMALL_SCOUT},
    "gemma3": {"name": "gemma3", "vision": True},
    "qwen2vl": {"name": "qwen2", "vision": True},
    "qwen3vl": {"name": "qwen3vl"},
    "idefics3": {"name": "llama", "vision": True},
}
EDGES = [
    *((1, 1), (336, 336), (337, 336), (336, 337), (337, 337), (672, 672), (673, 672), (1008, 1008), (1009, 1009)),
    *((1, 20_000), (20_000, 1), (3, 5_000), (10_000, 10_000), (46_340, 46_340), (1000, 999), (504, 504), (335, 1010)),
]


def random_sizes(n_sizes: int, seed: int = 0) -> list[tuple[int, int]]:
    """Photos, pages, banners and specks: each side from a few pixels to 8,000, small ones as likely as large ones."""
    draw = random.Random(seed)
    return [(round(2 ** draw.uniform(0, 13)), round(2 ** draw.uniform(0, 13))) for _ in range(n_sizes)]


@pytest.fixture(params=MODELS)
def projector(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def counter(projector: str) -> Iterator[ImageCounter]:
    counter = ImageCounter(cached(**MODELS[projector]), cached("mmproj", projector=projector))
    yield counter
    counter.close()


@pytest.mark.slow  # 2.1 s
def test_llama_cpps_tiles_are_what_mtmd_counts() -> None:
    counter = ImageCounter(cached(**MODELS["llama4"]), cached("mmproj"))
    sizes = random_sizes(2_000) + EDGES
    counted = counter.count(sizes)
    counter.close()
    for (width, height), count in zip(sizes, counted, strict=True):
        tiling = llama_cpp_tiling(width, height)
        n_tokens = tiling.n_tokens(separators=False)
        assert count == ImageCount(n_tokens, n_tokens, tiling.n_encoded), (width, height)
    assert len({(llama_cpp_tiling(*size).columns, llama_cpp_tiling(*size).rows) for size in sizes}) == 9


@pytest.mark.slow  # 1.6 s
def test_tiles_of_another_size_are_counted_by_the_same_rule() -> None:
    projector = read_projector(cached("mmproj", image_size=224, merge=4))
    counter = ImageCounter(cached(**MODELS["llama4"]), projector.path)
    sizes = random_sizes(200, seed=1)
    for (width, height), count in zip(sizes, counter.count(sizes), strict=True):
        tiling = llama_cpp_tiling(width, height, side=projector.image_size, tile_tokens=projector.tile_tokens)
        assert count.n_tokens == tiling.n_tokens(separators=False)
    counter.close()


def expected_count(projector: str, width: int, height: int) -> ImageCount | None:
    """What each projector's rule is known to give, told in this test's own words; None where it is left to mtmd."""
    if projector == "llama4":
        n_tokens = llama_cpp_tiling(width, height).n_tokens(separators=False)
        return ImageCount(n_tokens, n_tokens, llama_cpp_tiling(width, height).n_encoded)
    if projector == "gemma3":
        return ImageCount(258, 258, 1)
    if projector == "idefics3":  # scaled up or down to 2,048 pixels, in tiles of 512, each with two tokens before it
        columns, rows = (
            (4, max(1, -(-height * 4 // width))) if width >= height else (max(1, -(-width * 4 // height)), 4)
        )
        n_tokens = 66 * columns * rows + (rows - 1) + 64 + 4
        return ImageCount(n_tokens, n_tokens, columns * rows + 1)
    return None


def test_every_projector_counts_by_its_own_rule(counter: ImageCounter, projector: str) -> None:
    sizes = [(640, 480), (480, 640), (1024, 1024), (100, 50), (2048, 1024)]
    counts = counter.count(sizes)
    expected = [expected_count(projector, *size) for size in sizes]
    grids = {
        "qwen2vl": [(23, 17), (17, 23), (37, 37), (4, 2), (73, 37)],  # of 28 pixels a token
        "qwen3vl": [(20, 15), (15, 20), (32, 32), (4, 2), (64, 32)],  # of 32
    }.get(projector, [])
    if grids:  # a position for each row or column, whichever are more
        expected = [ImageCount(x * y + 2, max(x, y) + 2, 1) for x, y in grids]
    assert counts == expected
    assert [count.grids for count in counts] == ([(grid,) for grid in grids] or [()] * len(sizes))


def test_2000_random_sizes_are_counted_in_seconds_and_remembered(counter: ImageCounter) -> None:
    sizes = [(width + 30, height + 30) for width, height in random_sizes(2_000, seed=2)]
    counts = counter.count(sizes)
    assert len(counts) == 2_000 and all(count.n_tokens >= count.n_positions > 2 for count in counts)
    counter.close()
    assert counter.count(sizes) == counts and counter._child is None


def test_separators_are_counted_as_they_are_decoded() -> None:
    for tiling in (Tiling(columns, rows) for columns in range(1, 17) for rows in range(1, 16 // columns + 1)):
        columns, rows = tiling.columns, tiling.rows
        for separators in (False, True):
            pieces = list(tiling.pieces(separators=separators))
            tiles = [piece for piece in pieces if isinstance(piece, Tile)]
            assert len(tiles) == tiling.n_encoded
            assert tiling.n_tokens(separators=separators) == 144 * len(tiles) + len(pieces) - len(tiles)
        added = tiling.n_tokens(separators=True) - tiling.n_tokens(separators=False)
        assert added == tiling.n_separators == ((columns - 1) * rows + rows + 1 if columns * rows > 1 else 1)


def test_the_counts_that_were_measured() -> None:
    whole, grid = llama_cpp_tiling(300, 200), llama_cpp_tiling(1000, 1000)
    assert (whole.n_tokens(separators=False), whole.n_tokens(separators=True)) == (146, 147)
    assert (grid.n_tokens(separators=False), grid.n_tokens(separators=True)) == (1_442, 1_452)
    assert [*whole.pieces(separators=True)] == [Mark.START, Mark.WHOLE, Tile(-1, -1), Mark.END]
    assert Tile(-1, -1).is_whole and not Tile(0, 0).is_whole


# ---- Meta's own code, with the few calls of torch that it makes answered by numpy in single precision


class _Tensor:
    """What _encode_image asks of the tiles: their number and size."""

    def __init__(self, n_tiles: int) -> None:
        self.shape = (n_tiles, 3, 336, 336)

    def view(self, *_: int) -> "_Tensor":
        return self


def _numpy_as_torch() -> ModuleType:
    def tensor(values: object) -> npt.NDArray[np.float32]:
        return np.array(values, dtype=np.float32)  # torch divides integers in single precision

    torch = ModuleType("torch")
    names = {"tensor": tensor, "where": np.where, "max": np.max, "min": np.min, "argmin": np.argmin, "Tensor": _Tensor}
    vars(torch).update(names)
    return torch


@pytest.fixture(scope="module")
def meta() -> Iterator[SimpleNamespace]:
    """llama_models' ChatFormat and image transform, for Llama 4's vision."""
    transforms, functional = ModuleType("torchvision.transforms"), ModuleType("torchvision.transforms.functional")
    for name in ("Compose", "Resize", "ToTensor", "Normalize"):
        setattr(transforms, name, lambda *_, **__: None)
    vars(transforms).update(functional=functional, InterpolationMode=SimpleNamespace(BILINEAR=None))
    fakes = {
        "torch": _numpy_as_torch(),
        "torchvision": ModuleType("torchvision"),
        "torchvision.transforms": transforms,
        "torchvision.transforms.functional": functional,
    }
    with pytest.MonkeyPatch.context() as patch:
        from PIL import ImageFile

        patch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", ImageFile.LOAD_TRUNCATED_IMAGES)  # Meta's module sets it
        for name, module in fakes.items():
            patch.setitem(sys.modules, name, module)
        from llama_models.llama4.args import Size as MetaSize
        from llama_models.llama4.args import VisionArgs
        from llama_models.llama4.chat_format import ChatFormat, TransformedImage
        from llama_models.llama4.tokenizer import Tokenizer

        arguments = VisionArgs(
            image_size=MetaSize(height=336, width=336),
            patch_size=MetaSize(height=14, width=14),
            **{"dim": 64, "n_layers": 1, "n_heads": 1, "mlp_ratio": 1, "output_dim": 64, "pixel_shuffle_ratio": 0.5},
        )
        yield SimpleNamespace(
            format=ChatFormat(Tokenizer.get_instance(), arguments), image=TransformedImage, tokenizer=Tokenizer
        )
        for name in [name for name in sys.modules if name.startswith("llama_models.llama4.")]:
            if name.endswith(("chat_format", "preprocess", "datatypes")):
                del sys.modules[name]


def metas_grid(meta: SimpleNamespace, width: int, height: int) -> tuple[int, int]:
    """Columns and rows by Meta's own transform."""
    transform = meta.format.dynamic_image_transform
    canvases = np.array(transform.find_supported_resolutions(max_num_chunks=16, patch_size=336), dtype=np.float32)
    best = transform.get_best_fit(image_size=(width, height), possible_resolutions=canvases)
    return int(best[0]) // 336, int(best[1]) // 336


def metas_ids(meta: SimpleNamespace, columns: int, rows: int) -> list[int]:
    """The ids of an image by Meta's own chat format."""
    n_tiles = columns * rows
    image = meta.image(image_tiles=_Tensor(n_tiles + (n_tiles > 1)), aspect_ratio=(rows, columns))
    return list(meta.format._encode_image(image))


def our_ids(meta: SimpleNamespace, tiling: Tiling) -> list[int]:
    special = meta.tokenizer.get_instance().special_tokens
    return [
        token
        for piece in tiling.pieces(separators=True)
        for token in ([special["<|patch|>"]] * 144 if isinstance(piece, Tile) else [special[piece]])
    ]


def test_ids_around_the_tiles_are_metas(meta: SimpleNamespace) -> None:
    n_alike, grids = 0, set[tuple[int, int]]()
    for width, height in random_sizes(1_000, seed=5) + EDGES:
        ours, grid = llama_cpp_tiling(width, height), metas_grid(meta, width, height)
        reference, ids = Tiling(*grid), metas_ids(meta, *grid)
        assert our_ids(meta, reference) == ids and len(ids) == reference.n_tokens(separators=True)
        if (ours.columns, ours.rows) == grid:
            n_alike += 1
            grids.add(grid)
            assert our_ids(meta, ours) == ids
    assert n_alike >= 100 and len(grids) == 9


def test_the_marks_are_special_tokens_of_llama_4(meta: SimpleNamespace) -> None:
    special = meta.tokenizer.get_instance().special_tokens
    assert [special[mark] for mark in Mark] == [200_080, 200_084, 200_085, 200_090, 200_081]


# ---- fewer tiles by scaling down


@pytest.mark.parametrize("max_tiles", range(1, 10))
def test_an_image_scaled_down_has_so_many_tiles_at_most(max_tiles: int) -> None:
    for width, height in random_sizes(300, seed=max_tiles) + EDGES:
        size = size_within(width, height, max_tiles=max_tiles)
        assert llama_cpp_tiling(size.width, size.height).n_tiles <= max_tiles, (width, height)
        assert 1 <= size.width <= width and 1 <= size.height <= height
        if llama_cpp_tiling(width, height).n_tiles <= max_tiles:
            assert size == Size(width, height)
        if min(size.width, size.height) > 50:
            assert size.width / size.height == pytest.approx(width / height, rel=0.03)


def test_fewer_tiles_are_never_a_larger_image() -> None:
    for width, height in random_sizes(300, seed=6):
        areas = [size.width * size.height for size in (size_within(width, height, max_tiles=n) for n in range(1, 10))]
        assert areas == sorted(areas)


def test_scaling_down_loses_no_more_than_it_must() -> None:
    assert size_within(4000, 3000, max_tiles=1) == Size(336, 252)
    assert size_within(4000, 3000, max_tiles=4) == Size(672, 504)
    assert size_within(4000, 3000, max_tiles=6) == Size(896, 672)
    assert size_within(4000, 3000, max_tiles=9) == Size(4000, 3000)
    assert size_within(5000, 500, max_tiles=2) == Size(672, 67)


@pytest.mark.parametrize(
    ("shape", "size", "grid"),
    [
        ((595, 842), (672, 950), (2, 3)),  # A4
        ((842, 595), (950, 672), (3, 2)),
        ((612, 792), (778, 1008), (3, 3)),  # letter
        ((100, 100), (1008, 1008), (3, 3)),
        ((960, 540), (1008, 567), (3, 2)),  # slides
        ((1000, 100), (1008, 100), (3, 1)),
    ],
)
def test_a_page_is_drawn_where_its_tiles_carry_most(
    shape: tuple[int, int], size: tuple[int, int], grid: tuple[int, int]
) -> None:
    chosen = size_filling(*shape)
    assert chosen == Size(*size)
    tiling = llama_cpp_tiling(chosen.width, chosen.height)
    assert (tiling.columns, tiling.rows) == grid


def test_a_page_keeps_to_the_tiles_it_may_have() -> None:
    for max_tiles in range(1, 10):
        for width in range(100, 1_000, 37):
            size = size_filling(width, 500, max_tiles=max_tiles)
            assert llama_cpp_tiling(size.width, size.height).n_tiles <= max_tiles


# ---- what goes wrong in the child


def test_sizes_that_nobody_has_are_refused(tmp_path: Path) -> None:
    counter = ImageCounter(tmp_path / "none.gguf", tmp_path / "none.gguf")
    for size in ((0, 5), (5, -1), (1 << 16, 1 << 16)):
        with pytest.raises(InputRefused, match="pixels cannot be read"):
            counter.count([size])
    assert counter.count([]) == []


@pytest.mark.parametrize("damage", ["garbage", "empty", "cut", "truncated", "text model", "missing"])
def test_a_damaged_projector_is_refused_and_nothing_else_ends(damage: str, tmp_path: Path) -> None:
    whole, path = cached("mmproj"), tmp_path / "mmproj.gguf"
    match damage:
        case "garbage":
            broken.garbage(path)
        case "empty":
            broken.empty(path)
        case "cut":
            broken.cut_header(whole, path)
        case "truncated":
            broken.truncated(whole, path, 0.5)
        case "text model":
            path = cached("llama")
    counter = ImageCounter(cached("llama"), path)
    with pytest.raises(ModelRefused, match=r"cannot use the projector .*: .+"):
        counter.count([(640, 480)])
    counter.close()


@pytest.mark.parametrize(("when", "signal"), [("load", "SIGABRT|GGML_ASSERT"), ("count", "SIGFPE")])
def test_a_projector_that_kills_its_process_is_refused(
    when: Literal["load", "count"], signal: str, tmp_path: Path
) -> None:
    counter = ImageCounter(cached("llama", vision=True), broken.crashing_projector(tmp_path / "mmproj.gguf", when))
    for _ in range(2):
        with pytest.raises(ModelRefused, match=signal):
            counter.count([(640, 480)])
    counter.close()


def test_a_child_that_was_killed_starts_again() -> None:
    counter = ImageCounter(cached("gemma3", vision=True), cached("mmproj", projector="gemma3"))
    first = counter.count([(640, 480)])
    assert counter._child is not None
    counter._child._process.kill()
    counter._child._process.wait()
    assert counter.count([(640, 481)]) == first
    counter.close()


def test_a_child_that_leaves_just_now_is_replaced() -> None:
    """Nobody had asked it for a while: it is alive when it is looked at, and gone before it is asked."""
    counter = ImageCounter(cached("gemma3", vision=True), cached("mmproj", projector="gemma3"))
    first = counter.count([(640, 480)])
    child = counter._child
    assert child is not None and child.alive
    child._channel.close()
    assert counter.count([(640, 481)]) == first and child.has_left
    counter.close()
