"""What is left out of a corpus by default, and how large a file may be. Applying that is left to the other modules.

Real source stays: pkg/, bin/, vendor/, build/ and the like are left out only where .gitignore says so.
"""

from collections.abc import KeysView
from dataclasses import dataclass
from functools import lru_cache

NO_PAGES, BARE_PAGES, ALL_PAGES = "never", "bare", "all"  # of Rules.draw_pages
BARE_AMONG = "bare:"  # before the numbers of pages

NESTED_ZIP = "an archive inside a folder; give it by itself to read it"
ZIP_IN_ZIP = "an archive inside an archive; give it by itself to read it"
ZIP_TOO_DEEP = "an archive in an archive in another; give it by itself to read it"

_MIB = 1024 * 1024

_VERSION_CONTROL = "version control data"
_DEPENDENCIES = "installed dependencies"
_CACHE = "a tool's cache"

_FOLDERS = {
    **dict.fromkeys((".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS"), _VERSION_CONTROL),
    **dict.fromkeys(("node_modules", "bower_components", "jspm_packages"), _DEPENDENCIES),
    **dict.fromkeys((".venv", "__pypackages__", ".eggs"), _DEPENDENCIES),
    **dict.fromkeys(("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".pytype", ".hypothesis"), _CACHE),
    **dict.fromkeys((".tox", ".nox"), "test environments"),
    **dict.fromkeys((".ipynb_checkpoints",), "notebook checkpoints"),
    **dict.fromkeys((".gradle", ".parcel-cache", ".turbo", ".sass-cache", ".terraform"), _CACHE),
    **dict.fromkeys((".next", ".nuxt", ".svelte-kit"), "build output"),
    "__MACOSX": "resource forks of a Mac's zip",
}
_FILES = {
    **dict.fromkeys(
        ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb",
         "deno.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "uv.lock", "pixi.lock", "conda-lock.yml",
         "pylock.toml", "Cargo.lock", "composer.lock", "Gemfile.lock", "go.sum", "go.work.sum", "mix.lock", 
         "pubspec.lock", "Podfile.lock", "Package.resolved", "flake.lock", "packages.lock.json", "gradle.lockfile",
         "rebar.lock", "stack.yaml.lock", "cabal.project.freeze", ".terraform.lock.hcl", "MODULE.bazel.lock"),
        "a lock file",
    ),
    ".git": _VERSION_CONTROL,  # a file in a worktree or submodule
}  # fmt: skip
_FILE_ENDS = (
    ((".min.js", ".min.mjs", ".min.cjs", ".min.css"), "minified"),
    ((".map",), "a source map"),
)
_ALL_FILE_ENDS = tuple(end for ends, _ in _FILE_ENDS for end in ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What to leave out, what to bring back, and the limits. Sizes are in bytes.

    exclude: globs in the syntax of .gitignore, relative to what was given ("*.md", "docs/**", "package-lock.json").
    include: paths as in `Skipped.path` that the user brought back; they outrank exclude, .gitignore and the defaults.
    max_text_bytes: of a text file; one that was brought back may have max_file_bytes.
    max_file_bytes: of a PDF, an image, or a zip within a zip.
    max_image_pixels: width times height.
    max_archive_bytes: what all members of a zip together may unpack to, counted while reading.
    max_archive_ratio: unpacked to packed size of a member above 1 MiB. Source packs at 3 to 10, a bomb at about 1,000.
    max_archive_entries: files and folders in a zip.
    draw_pages: which pages of a PDF or a TIFF a model that sees is shown, see `draws`.
    needs_pages: whether there must be a file with pages, where draw_pages names some one by one.
    pipes: whether a pipe that is given itself is read, which waits until who writes into it is done.
    """

    exclude: tuple[str, ...] = ()
    include: frozenset[str] = frozenset()
    max_text_bytes: int = 64 * _MIB
    max_file_bytes: int = 256 * _MIB
    max_image_pixels: int = 100_000_000
    max_archive_bytes: int = 1024 * _MIB
    max_archive_ratio: int = 200
    max_archive_entries: int = 100_000
    draw_pages: str = NO_PAGES
    needs_pages: bool = False
    pipes: bool = False

    def draws(self, page: int, *, bare: bool) -> bool:
        """Whether a page is shown: "bare" takes those with little or no text (see `pdf`), "all" all, "never" none,
        "1-23,30" these, and "bare:1-23,30" those of these that "bare" would take."""
        if self.draw_pages in (NO_PAGES, BARE_PAGES, ALL_PAGES):
            return self.draw_pages == ALL_PAGES or (self.draw_pages == BARE_PAGES and bare)
        if self.draw_pages.startswith(BARE_AMONG) and not bare:
            return False
        return any(page in pages for pages in self.listed_pages)

    @property
    def listed_pages(self) -> tuple[range, ...]:
        """The pages that draw_pages names one by one; none for "bare", "all" and "never"."""
        if self.draw_pages in (NO_PAGES, BARE_PAGES, ALL_PAGES):
            return ()
        return parse_pages(self.draw_pages.removeprefix(BARE_AMONG))

    @property
    def draws_none(self) -> bool:
        """Whether no page of any file is shown."""
        return self.draw_pages == NO_PAGES

    def names_any(self, n_pages: int) -> bool:
        """Whether a file of so many pages has one that is named; True where none are named one by one."""
        return not self.listed_pages or any(pages[0] <= n_pages for pages in self.listed_pages)

    def none_of_its(self, n_pages: int) -> str:
        """ "--draw-pages 50 names none of its 40 pages; choose from 1-40", for a reason."""
        if n_pages == 1:
            return f"--draw-pages {self.draw_pages} does not name its only page; choose 1"
        return f"--draw-pages {self.draw_pages} names none of its {n_pages:,} pages; choose from 1-{n_pages}"


DEFAULT_RULES = Rules()


@lru_cache
def parse_pages(text: str) -> tuple[range, ...]:
    """ "1-23,30" as ranges of page numbers. Raises ValueError for anything else."""
    found = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        pages = range(int(first), int(last or first) + 1)
        if not pages or pages[0] < 1:
            raise ValueError(f"{part!r} names no pages")
        found.append(pages)
    return tuple(found)


def names_pages(drawn: str) -> bool:
    """Whether it says which pages are drawn: all, bare ones, these, or those of these that are bare."""
    if drawn in (BARE_PAGES, ALL_PAGES):
        return True
    try:
        return bool(parse_pages(drawn.removeprefix(BARE_AMONG)))
    except ValueError:
        return False


def why_folder_left_out(name: str) -> str | None:
    """Why a folder of this name is left out by default, or None."""
    if name.endswith(".egg-info"):
        return "package metadata made by a build"
    return _FOLDERS.get(name)


def why_contents_left_out(names: frozenset[str] | set[str] | KeysView[str]) -> str | None:
    """Why a folder that holds files of these names is left out by default, or None."""
    if "pyvenv.cfg" in names:
        return "a Python virtual environment"
    if "CACHEDIR.TAG" in names:
        return "marked as a cache by the tool that made it"
    return None


def why_file_left_out(name: str) -> str | None:
    """Why a file of this name is left out by default, or None."""
    why = _FILES.get(name)
    if why is None and name.endswith(_ALL_FILE_ENDS):
        why = next(reason for ends, reason in _FILE_ENDS if name.endswith(ends))
    return why
