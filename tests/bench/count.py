"""Counting a large tree: processor time against reading it and tiktoken alone, a second count against the first, wall
time against other programs, peak memory, and what each stage takes.

Every side runs in a process of its own, all of them in turns; what a vocabulary is proved by is kept from before, as on
any machine that has counted once. The machine may be busy: only ratios within one run mean something.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import gguf

from engine.gguf import read_header
from engine.tokens.byte_pairs import PATTERNS
from engine.tokens.vocabulary import read_vocabulary
from tests.bench.stages import stages
from tests.bench.table import Row
from tests.command_line import LONGDESK
from tests.models.cache import cached
from tests.models.llama import CHATML
from tests.models.shape import Shape
from tests.models.vocabulary import llama3_vocabulary
from tests.models.writer import NoWeights, new_gguf

_ENDINGS = (".py", ".pyi", ".txt", ".md", ".rst", ".json", ".html", ".js", ".css", ".toml", ".cfg", ".h", ".pyx", ".c")
_LARGEST_FILE, _LEAST_BYTES, _LEAST_FILES = 2_000_000, 86_000_000, 4_000
_SPECIALS = (b"<|endoftext|>", b"<|fim_", b"<|endofprompt|>")  # in a text they make code2prompt count nothing
_MODELS = (("Llama 4", 0.5), ("Llama 3", 0.6), ("Qwen 2", 0.6))
_SECOND, _PEERS, _MEMORY_MIB = 0.1, 1 / 3, 1024
_ALONE = """
import base64, sys
import tiktoken
ranks, pattern, names = sys.argv[1:]
with open(ranks, "rb") as file:
    ranks = {base64.b64decode(raw): int(rank) for raw, rank in map(bytes.split, file)}
encoding = tiktoken.Encoding("alone", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
n_ids = 0
for name in open(names).read().splitlines():
    with open(name, "rb") as file:
        n_ids += len(encoding.encode_to_numpy(file.read().decode(), disallowed_special=()))
print(n_ids)
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took."""

    cpu_s: float
    wall_s: float
    peak_mib: float
    out: str


def rows(*, times: int = 5, peers: Sequence[str] = ()) -> Iterator[Row]:
    """times: of each side. peers: folders with other programs in them, besides PATH."""
    with TemporaryDirectory(prefix="longdesk-bench-") as given:
        folder = Path(given)
        tree = make_tree(folder / "tree")
        sides = [_Side(name, _model(folder, name), folder, tree) for name, _ in _MODELS]
        others = {name: command for name, command in _commands(tree, folder).items() if _found(command[0], peers)}
        took: defaultdict[str, list[Usage]] = defaultdict(list)
        for _ in range(times):
            for side in sides:
                shutil.rmtree(side.home / "cache" / "counts", ignore_errors=True)
                took[f"first {side.name}"].append(side.count())
                took[f"second {side.name}"].append(side.count())
                took[f"alone {side.name}"].append(side.alone())
            for name, command in others.items():
                took[name].append(_run([_found(command[0], peers) or "", *command[1:]]))
        yield from _rows(sides, took, tree)
        for name, command in _commands(tree, folder).items():
            if name not in others:
                print(f"wall, by {name}: {command[0]} is not there", flush=True)
            elif any(usage.out.startswith("failed") for usage in took[name]):
                print(f"wall, by {name}: {took[name][0].out}", flush=True)
            else:
                ours, theirs = _median(took["first Llama 4"], "wall_s"), _median(took[name], "wall_s")
                yield Row(f"wall time of a first count, by {name}", ours, theirs, "s", _PEERS)
        yield from stages(tree, sides[0].model, sides[0].home, times=times)


def _rows(sides: Sequence["_Side"], took: dict[str, list[Usage]], tree: Path) -> Iterator[Row]:
    n_files = sum(path.is_file() for path in tree.rglob("*"))
    n_bytes = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    print(f"{n_files:,} files, {n_bytes / 1e6:,.1f} MB, {sides[0].n_tokens:,} tokens of Llama 4", flush=True)
    for side, (_, limit) in zip(sides, _MODELS, strict=True):
        ours, theirs = (_median(took[f"{what} {side.name}"], "cpu_s") for what in ("first", "alone"))
        yield Row(f"processor time, {side.name}, by reading and tiktoken", ours, theirs, "s", limit)
    for side in sides:
        ours, theirs = (_median(took[f"{what} {side.name}"], "cpu_s") for what in ("second", "first"))
        yield Row(f"a second count, {side.name}, by the first", ours, theirs, "s", _SECOND)
    peak = _median(took["first Llama 4"], "peak_mib")
    yield Row("peak memory of a first count, by 1 GiB", peak, _MEMORY_MIB, "MiB", 1.0)


class _Side:
    """One vocabulary: `longdesk count` with it, and tiktoken with the same."""

    def __init__(self, name: str, model: Path, folder: Path, tree: Path) -> None:
        self.name, self.model, self.tree = name, model, tree
        self.home = folder / f"home {name}"
        vocabulary = read_vocabulary(read_header(model))
        self._ranks, self._pattern = folder / f"{name}.tiktoken", PATTERNS[vocabulary.pre]
        with open(self._ranks, "wb") as file:
            file.writelines(b"%b %d\n" % (b64encode(raw), rank) for raw, rank in vocabulary.ranks.items())
        self._names = folder / f"{name}.names"
        document = json.loads(self.count("--json").out)  # proves the vocabulary too, once
        plain = [each["path"] for each in document["sources"] if each["encoding"] == "utf-8"]
        self._names.write_text("\n".join(str(tree / path) for path in plain))
        self.n_tokens = document["total_tokens"]

    def count(self, *more: str) -> Usage:
        environment = {**os.environ, "LONGDESK_HOME": str(self.home), "LONGDESK_MODEL": str(self.model)}
        usage = _run([str(LONGDESK), "count", str(self.tree), *more], environment)
        assert not usage.out.startswith("failed"), usage.out
        return usage

    def alone(self) -> Usage:
        usage = _run([sys.executable, "-c", _ALONE, str(self._ranks), self._pattern, str(self._names)])
        assert not usage.out.startswith("failed"), usage.out
        return usage


def make_tree(folder: Path) -> Path:
    """Python's standard library, then site-packages, until there are enough files and bytes: texts and code."""
    n_files = n_bytes = 0
    for name in ("stdlib", "purelib"):
        root = sysconfig.get_path(name)
        for above, folders, files in os.walk(root):
            folders[:] = sorted(each for each in folders if each not in ("__pycache__", "site-packages"))
            for each in sorted(files):
                path = Path(above, each)
                if not each.endswith(_ENDINGS) or not 0 < path.stat().st_size <= _LARGEST_FILE:
                    continue
                if any(special in path.read_bytes() for special in _SPECIALS):
                    continue
                copy = folder / name / path.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
                n_files, n_bytes = n_files + 1, n_bytes + copy.stat().st_size
                if n_files >= _LEAST_FILES and n_bytes >= _LEAST_BYTES:
                    return folder
    return folder


def _model(folder: Path, name: str) -> Path:
    """A model with a vocabulary of about the real one's size; of tensors it has no byte."""
    if name == "Llama 4":
        return cached("scout")
    pre, n_ranks = ("llama-bpe", 128_000) if name == "Llama 3" else ("qwen2", 151_000)
    vocabulary, shape = replace(llama3_vocabulary(n_ranks=n_ranks), pre=pre), Shape()
    path, n_vocab = folder / f"{pre}.gguf", len(vocabulary.tokens)
    with new_gguf(path, "llama", name=name, sparse=True) as writer:
        shape.write(writer)
        writer.add_rope_dimension_count(shape.head_dim)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(n_vocab)
        vocabulary.write(writer)
        writer.add_chat_template(CHATML)
        weights = NoWeights(writer, gguf.GGMLQuantizationType.F16)
        weights.embedding("token_embd", (n_vocab, shape.n_embd))
        for block in shape.blocks:
            weights.attention(block, shape)
            weights.norm(f"{block}.ffn_norm", shape.n_embd)
            weights.feed_forward(block, shape.n_embd, shape.n_ff)
        weights.norm("output_norm", shape.n_embd)
        weights.matrix("output", (n_vocab, shape.n_embd))
    return path


def _commands(tree: Path, folder: Path) -> dict[str, list[str]]:
    """Other programs that pack a folder and say its tokens, by their names."""
    out = str(folder / "packed.txt")
    return {
        "repomix": ["repomix", str(tree), "--output", out, "--token-count-encoding", "o200k_base", "--quiet"],
        "gitingest": ["gitingest", str(tree), "--output", out],
        "code2prompt": ["code2prompt", "--path", str(tree), "--output", out, "--tokens"],
    }


def _found(program: str, peers: Sequence[str]) -> str | None:
    return shutil.which(program, path=os.pathsep.join([*peers, os.environ.get("PATH", "")]))


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> Usage:
    begun = perf_counter()
    with (
        TemporaryDirectory() as folder,
        open(Path(folder, "out"), "w+b") as out,
        open(Path(folder, "err"), "w+b") as err,
    ):
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = perf_counter() - begun
        (err if process.returncode else out).seek(0)
        said = (err if process.returncode else out).read().decode(errors="replace")
    words = f"failed with {process.returncode}: {said[-200:]}" if process.returncode else said
    if "Token count: 0" in said:  # so code2prompt says that it could not count
        words = "failed: it packed the tree and counted nothing; does TIKTOKEN_CACHE_DIR hold the vocabulary?"
    return Usage(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024, words)


def _median(usages: Sequence[Usage], figure: str) -> float:
    return median(getattr(usage, figure) for usage in usages)
