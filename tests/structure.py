"""How far apart the pieces of the house are: `python -m tests.structure` says it for app, engine, storage, and in all.

An import is one wherever it stands: within a function and under TYPE_CHECKING too. `from a import b` is an import of
a.b where that is a module, of a else. Only modules of the house count; the example's (app/example) are its data.

- Import depth: modules of the longest chain of imports; of one of the three, of chains within it.
- Fan-out: how many distinct modules of the house a module imports, in the mean over all modules.
- Singles: modules under 60 lines that only one other imports, so that they might as well be a part of it.
- Cycles: the children of a package stand side by side: each module alone (the package's own __init__ is one), each
  sub-package as a whole. A child imports another where any module in it imports any module in the other. Children that
  reach each other both ways are a cycle. app, engine and storage are looked at so, and every package in them.
  Example: app.next_turn imports app.sources.joining. Were app.sources.listing to import app.next_turn, no two modules
  would go in a circle, but app.sources and app.next_turn would. No cycle: engine.corpus.collect imports
  engine.corpus.formats.pdf, which imports engine.corpus.source; within engine.corpus these are three in a row.

Lines are all lines of a file, or from a function's `def` to its end.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from textwrap import wrap

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("app", "engine", "storage")
SINGLE_LINES = 60  # from so many on, a module may have one importer

# Singles that stay, each a noun of its own, and why: an entry that is no single any more is to go.
NOUNS = {
    "app.serve.thinking": "whether a request lets the model think: three ways to say it, of which one comes first",
    "app.commits": "the commits of a range: which checkout the page may read them of",
    "app.parts.changes": "a part of the page: what adding sources changed",
    "app.parts.contexts": "a part of the page: the usual contexts side by side",
    "app.parts.guides": "a part of the page: what the guides say",
    "app.parts.tiles": "a part of the page: the slider for tiles",
    "engine.corpus.formats.drawing": "what drawing takes of memory, measured by format: whoever adds one adds a figure",
    "engine.runtime.log": "llama.cpp's log: a callback that C calls",
}

Graph = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of modules or functions, in lines."""

    median: float
    ninth_decile: int
    largest: int
    name: str  # of the largest


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The figures. chain: the longest, from the importer down. singles: each with its only importer."""

    n_modules: int
    chain: tuple[str, ...]
    fan_out: float
    singles: Mapping[str, str]
    modules: Lengths
    functions: Lengths
    namesakes: Mapping[str, tuple[str, ...]]  # packages by the basename that they share
    cycles: tuple[tuple[str, ...], ...]

    @property
    def depth(self) -> int:
        return len(self.chain)

    @property
    def unlisted(self) -> dict[str, str]:
        """The singles that NOUNS does not name."""
        return {module: importer for module, importer in self.singles.items() if module not in NOUNS}


class House:
    """The modules below a root, read once."""

    def __init__(self, root: Path = ROOT) -> None:
        self.files = {module_of(path, root): path for path in _files(root)}
        self._trees = {module: ast.parse(path.read_text()) for module, path in self.files.items()}
        self.lines = {module: len(path.read_text().splitlines()) for module, path in self.files.items()}
        self.imports = {module: self._imported(module) for module in self.files}
        self.importers: dict[str, set[str]] = defaultdict(set)
        for module, imported in self.imports.items():
            for other in imported:
                self.importers[other].add(module)

    def structure(self, top: str | None = None) -> Structure:
        """Of app, engine or storage, or in all."""
        modules = [module for module in self.files if top is None or is_in(module, top)]
        within = {module: self.imports[module] & set(modules) for module in modules}
        singles = {
            module: next(iter(self.importers[module]))
            for module in sorted(modules)
            if len(self.importers[module]) == 1 and self.lines[module] < SINGLE_LINES
        }
        return Structure(
            n_modules=len(modules),
            chain=longest_chain(within),
            fan_out=mean(len(self.imports[module]) for module in modules),
            singles=singles,
            modules=_lengths({module: self.lines[module] for module in modules}),
            functions=_lengths({name: n for module in modules for name, n in self._functions(module)}),
            namesakes=_namesakes(modules),
            cycles=tuple(cycle for cycle in package_cycles(self.imports) if top is None or is_in(cycle[0], top)),
        )

    def between(self, cycle: Collection[str]) -> Iterator[tuple[str, str]]:
        """The imports that lead from one member of a cycle to another."""
        for module, imported in self.imports.items():
            own = {member for member in cycle if is_in(module, member)}
            for other in sorted(imported):
                theirs = {member for member in cycle if is_in(other, member)}
                if own and theirs and own != theirs:
                    yield module, other

    def _imported(self, module: str) -> frozenset[str]:
        named = set(imports(self._trees[module], self.files))
        return frozenset(named & set(self.files) - {module})

    def _functions(self, module: str) -> Iterator[tuple[str, int]]:
        for node in ast.walk(self._trees[module]):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                yield f"{module}:{node.name}:{node.lineno}", node.end_lineno - node.lineno + 1


def imports(tree: ast.AST, modules: Collection[str]) -> Iterator[str]:
    """Every module that a file imports. modules: those of the house, which an imported name may be."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno} imports relatively"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in modules else str(node.module)


def module_of(path: Path, root: Path = ROOT) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def longest_chain(graph: Graph) -> tuple[str, ...]:
    """From the module at the top down to one that imports nothing; what imports itself in a circle stands in a row."""
    below: dict[str, tuple[str, ...]] = {}
    of = {module: circle for circle in circles(graph) for module in circle}
    for module in sorted(graph):
        _chain_from(module, graph, of, below)
    return max(below.values(), key=len, default=())


def _chain_from(
    module: str, graph: Graph, of: Mapping[str, tuple[str, ...]], below: dict[str, tuple[str, ...]]
) -> None:
    if module in below:
        return
    row = of.get(module, (module,))
    outside = sorted({other for each in row for other in graph[each]} - set(row))
    for other in outside:
        _chain_from(other, graph, of, below)
    rest = max((below[other] for other in outside), key=len, default=())
    below.update(dict.fromkeys(row, (*row, *rest)))


def circles(graph: Graph) -> list[tuple[str, ...]]:
    """What reaches itself through others: the strongly connected components of more than one."""
    reached = {node: _reached(node, graph) for node in graph}
    found = {tuple(sorted(other for other in reached[node] if node in reached[other])) for node in graph}
    return sorted(circle for circle in found if len(circle) > 1)


def _reached(start: str, graph: Graph) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = set(graph.get(waiting.pop(), ())) - reached
        reached |= new
        waiting.extend(new)
    return reached


def package_cycles(graph: Graph) -> list[tuple[str, ...]]:
    """See the module's docstring; each as its members' names, a package's own __init__ by its own."""
    inner = {".".join(module.split(".")[:n]) for module in graph for n in range(module.count(".") + 1)}
    found = []
    for package in sorted(inner):  # "" holds app, engine and storage
        children: dict[str, set[str]] = defaultdict(set)
        for module, imported in graph.items():
            for other in imported:
                one, two = _child(module, package), _child(other, package)
                if one is not None and two is not None and one != two:
                    children[one].add(two)
                    children[two] |= set()
        found += circles(children)
    return found


def _child(module: str, package: str) -> str | None:
    """Which of a package's children holds a module; None where it lies elsewhere."""
    if not package:
        return module.split(".")[0]
    if not is_in(module, package):
        return None
    return ".".join(module.split(".")[: package.count(".") + 2])


def _files(root: Path) -> Iterator[Path]:
    for house in HOUSES:
        files = sorted((root / house).rglob("*.py"))
        yield from (path for path in files if path.relative_to(root).parts[:2] != ("app", "example"))


def _lengths(of: Mapping[str, int]) -> Lengths:
    in_order = sorted(of, key=lambda name: (of[name], name))
    return Lengths(
        median=median(of.values()),
        ninth_decile=of[in_order[min(len(of) - 1, len(of) * 9 // 10)]],
        largest=of[in_order[-1]],
        name=in_order[-1],
    )


def _namesakes(modules: Iterable[str]) -> dict[str, tuple[str, ...]]:
    packages = defaultdict(list)
    for module in sorted(modules):
        package, _, name = module.rpartition(".")
        packages[name].append(package)
    return {name: tuple(at) for name, at in packages.items() if len(at) > 1}


def report(house: House) -> Iterator[str]:
    """The figures as a table, then what they are made of."""
    columns = {top: house.structure(top) for top in HOUSES} | {"in all": house.structure()}
    whole = columns["in all"]
    yield f"{'':34}" + "".join(f"{name:>16}" for name in columns)
    for label, figure in _ROWS.items():
        yield f"{label:34}" + "".join(f"{figure(structure):>16}" for structure in columns.values())
    for name, structure in columns.items():
        yield from _folded(f"Longest chain, {name}", " > ".join(structure.chain))
    yield f"Longest module: {whole.modules.name}; longest function: {whole.functions.name}"
    for module, importer in whole.singles.items():
        why = NOUNS.get(module)
        yield f"Single: {module} ({house.lines[module]} lines), imported by {importer}{f': {why}' if why else ''}"
    for name, packages in sorted(whole.namesakes.items()):
        yield f"Basename: {name} in {', '.join(packages)}"
    for cycle in whole.cycles:
        yield f"Cycle: {' <-> '.join(cycle)}"
        yield from (f"  {module} imports {other}" for module, other in house.between(cycle))


_ROWS: Mapping[str, Callable[[Structure], str]] = {
    "modules": lambda of: f"{of.n_modules}",
    "import depth": lambda of: f"{of.depth}",
    "fan-out": lambda of: f"{of.fan_out:.2f}",
    f"singles under {SINGLE_LINES} lines (unlisted)": lambda of: f"{len(of.singles)} ({len(of.unlisted)})",
    "module lines: median, 90 %, most": lambda of: _three(of.modules),
    "function lines: median, 90 %, most": lambda of: _three(of.functions),
    "basenames in several packages": lambda of: f"{len(of.namesakes)}",
    "package cycles": lambda of: f"{len(of.cycles)}",
}


def _three(lengths: Lengths) -> str:
    return f"{lengths.median:.0f} {lengths.ninth_decile} {lengths.largest}"


def _folded(title: str, text: str) -> list[str]:
    return wrap(f"{title}: {text}", 118, subsequent_indent="  ", break_on_hyphens=False)


if __name__ == "__main__":
    print("\n".join(report(House())))
