"""Build one test model by hand: `python -m tests.models scout --layers 8 --out X.gguf`.

The options are the builder's parameters, with - for _: --n-head 8 --no-add-bos.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from tests.models.cache import BUILDERS, build, defaults

SHORT = {"n_layer": ["--layers"], "n_expert": ["--experts"], "n_ctx_train": ["--ctx-train"]}


def main(arguments: list[str] | None = None) -> int:
    """Build what the command line names and print its path."""
    parser = argparse.ArgumentParser(prog="python -m tests.models", description="Build a tiny GGUF for tests.")
    commands = parser.add_subparsers(dest="name", required=True)
    for name in BUILDERS:
        command = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.add_argument("--out", type=Path, required=True, help="the file to write")
        for parameter, default in defaults(name).items():
            _add_option(command, parameter, default)
    options: dict[str, Any] = vars(parser.parse_args(arguments))
    print(build(options.pop("name"), options.pop("out"), **options))
    return 0


def _add_option(command: argparse.ArgumentParser, name: str, default: Any) -> None:
    names = [f"--{name.replace('_', '-')}"] + SHORT.get(name, [])
    if isinstance(default, bool):
        action = argparse.BooleanOptionalAction
        command.add_argument(*names, dest=name, default=default, action=action, help=" ")
    else:
        command.add_argument(*names, dest=name, default=default, type=type(default), help=" ")


if __name__ == "__main__":
    sys.exit(main())
