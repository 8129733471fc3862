"""Build one test model by hand: `python -m tests.models scout --layers 8 --out X.gguf`.

The options are the builder's parameters, with - for _: --n-head 8 --no-add-bos.
"""

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any

from tests.models.cache import BUILDERS, builder

SHORT = {"n_layer": ["--layers"], "n_expert": ["--experts"], "n_ctx_train": ["--ctx-train"]}


def main(arguments: list[str] | None = None) -> int:
    """Build what the command line names and print its path."""
    parser = argparse.ArgumentParser(prog="python -m tests.models", description="Build a tiny GGUF for tests.")
    commands = parser.add_subparsers(dest="name", required=True)
    for name in BUILDERS:
        command = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.add_argument("--out", type=Path, required=True, help="the file to write")
        for parameter in inspect.signature(builder(name)).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                _add_option(command, parameter)
    options: dict[str, Any] = vars(parser.parse_args(arguments))
    path = builder(options.pop("name"))(options.pop("out"), **options)
    print(path)
    return 0


def _add_option(command: argparse.ArgumentParser, parameter: inspect.Parameter) -> None:
    names = [f"--{parameter.name.replace('_', '-')}"] + SHORT.get(parameter.name, [])
    default = parameter.default
    if isinstance(default, bool):
        action = argparse.BooleanOptionalAction
        command.add_argument(*names, dest=parameter.name, default=default, action=action, help=" ")
    else:
        command.add_argument(*names, dest=parameter.name, default=default, type=type(default), help=" ")


if __name__ == "__main__":
    sys.exit(main())
