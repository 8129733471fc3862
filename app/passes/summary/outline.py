"""What a file of code imports and defines, without what it does: Python by its own parser, other languages by the
lines that begin a definition."""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.backend import Source

_MOST_CHARACTERS = 1 << 20  # of a file that is looked into
_LONGEST = 140  # of a signature
_MOST_SIGNATURES = 400

_PROSE = {".md", ".rst", ".txt", ".adoc"}
_CODE = {
    *(".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".m", ".mm", ".cu", ".java", ".kt", ".kts", ".scala", ".cs"),
    *(".go", ".rs", ".swift", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".vue", ".svelte", ".php", ".rb"),
    *(".lua", ".pl", ".pm", ".sh", ".bash", ".zig", ".ex", ".exs", ".erl", ".hs", ".ml", ".jl", ".r", ".R", ".dart"),
    *(".f90", ".sql", ".proto", ".nim", ".d", ".clj", ".groovy", ".ps1", ".sol", ".tf"),
}
PYTHON = {".py", ".pyi", ".pyw"}
# bounded, and each from the beginning of a line: no text makes them slow
_DEFINES = re.compile(
    r"^[ \t]{0,8}(?:(?:export|default|pub(?:\([a-z]{1,9}\))?|public|private|protected|internal|static|final|abstract"
    r"|async|unsafe|override|open|sealed|virtual|inline|extern|data|local|suspend|partial|readonly|declare|const)"
    r"[ \t]+){0,5}(?:class|interface|enum|struct|union|trait|impl|module|namespace|protocol|extension|object|record"
    r"|type|def|defp|defmodule|fun|func|function\*?|fn|sub|macro_rules!|message|service|contract|create[ \t]+table"
    r"|CREATE[ \t]+TABLE)\b[^\n]{0,200}"
)
_ARROW = re.compile(
    r"^(?:export[ \t]+)?(?:const|let|var)[ \t]+\w{1,80}[^=\n]{0,80}=[ \t]*"
    r"(?:async[ \t]*)?(?:\([^\n]{0,120}=>|function\b)"
)
_C_LIKE = re.compile(r"^[A-Za-z_][\w \t*&:<>,~]{0,120}\([^;\n]{0,200}\)?[^;\n]{0,40}$")
_IMPORTS = re.compile(
    r"^[ \t]{0,4}(?:#[ \t]{0,4}include[ \t]*[<\"]([^>\"\n]{1,160})|(?:import|use|using|require|require_relative|include"
    r"|source|alias|open)\b[ \t(]{1,4}([^\n]{1,200})|(?:export|import)[^\n]{1,200}from[ \t]+['\"]([^'\"\n]{1,160}))"
)
_QUOTED = re.compile(r"""(?:from|require\(|import\(?)[ \t(]*['"]([^'"\n]{1,160})['"]|^['"]([^'"\n]{1,160})['"]""")
_GO_IMPORT = re.compile(r'^[ \t]{0,4}(?:[\w.]{1,40}[ \t]+)?"([^"\n]{1,160})"[ \t]*$')
_HEADING = re.compile(r"^#{1,3}[ \t][^\n]{1,120}")


@dataclass(frozen=True, slots=True)
class Outline:
    """Of a file. imports: what it names, as it stands there. signatures: in order, nested ones indented by two."""

    imports: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


def outline_of(source: Source) -> Outline:
    """What can be told of a source; nothing of one that is no code, or that cannot be parsed."""
    suffix = PurePosixPath(source.path).suffix
    text = source.text[:_MOST_CHARACTERS]
    if suffix in PYTHON:
        return _python(text) or _by_lines(text)
    if suffix in _CODE:
        return _by_lines(text)
    if suffix in _PROSE:
        headings = tuple(line.strip() for line in text.splitlines() if _HEADING.match(line))
        return Outline((), headings[:_MOST_SIGNATURES])
    return Outline()


def is_code(path: str) -> bool:
    """Whether a path is named as source code is."""
    return PurePosixPath(path).suffix in _CODE | PYTHON


def _python(text: str) -> Outline | None:
    """None where it is no Python of this version, or too deep for its parser."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    lines = text.splitlines()
    imports = dict.fromkeys(name for node in ast.walk(tree) for name in _imported(node))
    return Outline(tuple(imports), tuple(_signatures(tree.body, lines, ""))[:_MOST_SIGNATURES])


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        joint = "" if base.endswith(".") else "."
        yield from (base if alias.name == "*" else f"{base}{joint}{alias.name}" for alias in node.names)


def _signatures(body: Sequence[ast.stmt], lines: Sequence[str], indent: str) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield indent + _short(_head(lines[node.lineno - 1 : max(node.lineno, node.body[0].lineno - 1)]))
        if isinstance(node, ast.ClassDef) and not indent:
            yield from _signatures(node.body, lines, "  ")


def _head(lines: Sequence[str]) -> str:
    """A definition up to its colon, on one line."""
    head = list[str]()
    for line in lines:
        code = line.split("  #")[0].strip()
        if code and not code.startswith("#"):
            head.append(code)
        if code.endswith(":"):
            break
    return " ".join(head).removesuffix(":").replace("( ", "(").replace(", )", ")")


def _by_lines(text: str) -> Outline:
    imports, signatures = dict[str, None](), list[str]()
    in_block = False  # of Go's imports
    for line in text.splitlines():
        if in_block:
            in_block = not line.startswith(")")
            if found := _GO_IMPORT.match(line):
                imports[found[1]] = None
        elif line.startswith("import ("):
            in_block = True
        elif found := _IMPORTS.match(line):
            imports[_target(found, line)] = None
        elif _DEFINES.match(line) or _ARROW.match(line) or _C_LIKE.match(line):
            indent = "  " if line[0] in " \t" else ""
            signatures.append(indent + _short(" ".join(line.split()).rstrip("{: ")))
    return Outline(tuple(imports), tuple(signatures[:_MOST_SIGNATURES]))


def _target(found: re.Match[str], line: str) -> str:
    """What a line imports: what stands in quotes, or the words themselves."""
    if quoted := _QUOTED.search(found[2] or line.strip()):
        return quoted[1] or quoted[2] or ""
    words = found[1] or found[3] or found[2] or ""
    return words.split(" as ")[0].split("{")[0].strip(" \t;'\"()*:.") or words.strip()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"
