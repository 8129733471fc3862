"""Build one test model by hand: `python -m tests.models scout --layers 8 --out X.gguf`.

The options are the builder's parameters; n_ may be left out, and _ is written -.
"""

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any

from tests.models.cache import BUILDERS, builder


def main(arguments: list[str] | None = None) -> int:
    """Build what the command line names and print its path."""
    parser = argparse.ArgumentParser(prog="python -m tests.models", description="Build a tiny GGUF for tests.")
    commands = parser.add_subparsers(dest="name", required=True)
    for name in BUILDERS:
        command = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.add_argument("--out", type=Path, required=True, help="the file to write")
        for parameter in inspect.signature(builder(name)).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                command.add_argument(
                    f"--{parameter.name.removeprefix('n_').replace('_', '-')}",
                    f"--{parameter.name.replace('_', '-')}",
                    dest=parameter.name,
                    type=type(parameter.default),
                    default=parameter.default,
                    help=" ",
                )
    options: dict[str, Any] = vars(parser.parse_args(arguments))
    path = builder(options.pop("name"))(options.pop("out"), **options)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
