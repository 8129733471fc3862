"""What a file is, told by its first bytes and, where they say nothing, by its name. Reading it is left to others."""

import re
from dataclasses import dataclass
from enum import StrEnum, auto

HEAD_BYTES = 64 * 1024


class Family(StrEnum):
    """Which module reads a file."""

    TEXT = auto()
    PDF = auto()
    IMAGE = auto()
    ZIP = auto()
    BINARY = auto()


@dataclass(frozen=True, slots=True)
class Found:
    """A file's family and its name in words: Pillow's name of an image's format, "a Word document" for a binary."""

    family: Family
    words: str = ""


_TEXT = Found(Family.TEXT)
_PDF = Found(Family.PDF, "a PDF")
_ZIP = Found(Family.ZIP, "an archive")
_AS_PDF = "; save it as PDF or text"
_AS_PNG = "; save it as PNG"

_MAGIC: tuple[tuple[bytes, Found], ...] = (
    (b"%PDF-", _PDF),
    (b"\x89PNG\r\n\x1a\n", Found(Family.IMAGE, "PNG")),
    (b"\xff\xd8\xff", Found(Family.IMAGE, "JPEG")),
    (b"GIF87a", Found(Family.IMAGE, "GIF")),
    (b"GIF89a", Found(Family.IMAGE, "GIF")),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", Found(Family.IMAGE, "JPEG2000")),
    (b"\xff\x4f\xff\x51\x00", Found(Family.IMAGE, "JPEG2000")),
    (b"II*\x00", Found(Family.IMAGE, "TIFF")),
    (b"MM\x00*", Found(Family.IMAGE, "TIFF")),
    (b"PK\x03\x04", _ZIP),
    (b"PK\x05\x06", _ZIP),
    (b"PK\x07\x08", _ZIP),
    *((magic, Found(Family.BINARY, words)) for magic, words in (
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"an old Office document{_AS_PDF}"),
        (b"\x7fELF", "a program or library"),
        (b"MZ", "a Windows program or library"),
        (b"\xca\xfe\xba\xbe", "a Java class or a Mac program"),
        (b"\xcf\xfa\xed\xfe", "a Mac program"),
        (b"\xfe\xed\xfa\xcf", "a Mac program"),
        (b"\x00asm", "a WebAssembly module"),
        (b"!<arch>\n", "a library archive"),
        (b"\x1f\x8b", "a gzip archive; unpack it first"),
        (b"BZh", "a bzip2 archive; unpack it first"),
        (b"\xfd7zXZ\x00", "an xz archive; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
        (b"Rar!\x1a\x07", "a RAR archive; unpack it first"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"GGUF", "a model in GGUF"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 data file"),
        (b"PAR1", "a Parquet table; save it as CSV"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"OggS", "a sound file"),
        (b"fLaC", "a sound file"),
        (b"ID3", "a sound file"),
        (b"\x1aE\xdf\xa3", "a video"),
        (b"8BPS", f"a Photoshop image{_AS_PNG}"),
        (b"icns", f"a Mac's icon{_AS_PNG}"),
        (b"DDS ", f"a DirectX texture{_AS_PNG}"),
        (b"qoif", f"a QOI image{_AS_PNG}"),
        (b"gimp xcf ", f"a GIMP image{_AS_PNG}"),
        (b"\xff\x0a", f"a JPEG XL image{_AS_PNG}"),
        (b"\x00\x00\x00\x0cJXL ", f"a JPEG XL image{_AS_PNG}"),
        (b"\xc5\xd0\xd3\xc6", "an EPS image; save it as PDF or PNG"),
        (b"wOFF", "a font"),
        (b"wOF2", "a font"),
        (b"OTTO", "a font"),
        (b"\x00\x01\x00\x00\x00", "a font"),
    )),
)  # fmt: skip
_BY_FIRST_BYTE: dict[bytes, list[tuple[bytes, Found]]] = {}
for _entry in _MAGIC:
    _BY_FIRST_BYTE.setdefault(_entry[0][:1], []).append(_entry)

_RIFF = {
    b"WEBP": Found(Family.IMAGE, "WEBP"),
    b"WAVE": Found(Family.BINARY, "a sound file"),
    b"AVI ": Found(Family.BINARY, "a video"),
}
_FTYP = {
    b"avif": Found(Family.IMAGE, "AVIF"),
    b"avis": Found(Family.IMAGE, "AVIF"),
    b"M4A ": Found(Family.BINARY, "a sound file"),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
        Found(Family.BINARY, "a HEIC image; save it as JPEG or PNG"),
    ),
}
_NETPBM = re.compile(rb"P([1-6])\s(?:\s*#[^\n]*\n)*\s*\d+\s(?:\s*#[^\n]*\n)*\s*\d+\s")
_NETPBM_ENDINGS = frozenset({"ppm", "pgm", "pbm", "pnm"})
_IMAGE_ENDINGS = frozenset({
    "png", "jpg", "jpeg", "jpe", "gif", "webp", "tif", "tiff", "bmp", "avif", "jp2", "j2k", "ico", "tga", "heic",
    "heif", "psd", "icns", "dds", "qoi", "pcx", "jxl", "xcf",
})  # fmt: skip

_OFFICE = {
    **dict.fromkeys(("doc", "docx", "docm"), f"a Word document{_AS_PDF}"),
    **dict.fromkeys(("odt", "pages"), f"a word processor's document{_AS_PDF}"),
    **dict.fromkeys(("xls", "xlsx", "xlsm", "ods", "numbers"), "a spreadsheet; save it as CSV or PDF"),
    **dict.fromkeys(("ppt", "pptx", "pptm", "odp", "key"), f"a presentation{_AS_PDF}"),
    "msg": f"an Outlook message{_AS_PDF}",
}
_ENDINGS = {
    **_OFFICE,
    "rtf": f"a Rich Text document{_AS_PDF}",
    "epub": "an e-book; save it as PDF or text",
    **dict.fromkeys(("jar", "war", "ear", "aar"), "a Java archive"),
    **dict.fromkeys(("whl", "egg", "nupkg", "vsix", "xpi", "apk"), "a software package"),
    **dict.fromkeys(("npz", "npy", "mat", "sav", "fits", "parquet", "feather", "arrow", "h5"), "a data file"),
    **dict.fromkeys(("pt", "pth", "ckpt", "safetensors", "onnx", "tflite", "gguf"), "a model's weights"),
    **dict.fromkeys(("pkl", "pickle"), "pickled Python objects"),
    **dict.fromkeys(("pyc", "pyo", "class", "o", "obj"), "compiled code"),
    **dict.fromkeys(("so", "dll", "dylib", "exe", "a", "lib", "pyd"), "a program or library"),
    **dict.fromkeys(("mp3", "wav", "flac", "ogg", "m4a", "aac", "au", "aiff", "aif", "aifc"), "a sound file"),
    **dict.fromkeys(("mp4", "mov", "mkv", "avi", "webm", "m4v"), "a video"),
    **dict.fromkeys(("ttf", "otf", "woff", "woff2", "eot"), "a font"),
    **dict.fromkeys(("iso", "img", "dmg", "vmdk", "qcow2"), "a disk image"),
    **dict.fromkeys(("tar", "tgz", "tbz", "txz", "gz", "bz2", "xz", "zst", "7z", "rar"), "an archive; unpack it first"),
    **dict.fromkeys(("db", "sqlite", "sqlite3", "mdb"), "a database"),
    "ds_store": "a Mac's folder settings",
    "swp": "an editor's swap file",
    "mo": "compiled translations",
}


def recognise(head: bytes, name: str) -> Found:
    """What a file is, from its first HEAD_BYTES and its name. TEXT: nothing speaks against trying to decode it."""
    found = _by_magic(head) or _by_layout(head, ending(name))
    if found is None:
        if b"\x00" in head[:1024] and head[257:262] == b"ustar":
            return Found(Family.BINARY, "a tar archive; unpack it first")
        if b"%PDF-" in head[:1024] and (b"\x00" in head or ending(name) == "pdf"):
            return _PDF  # anything may stand before the header; but a program that writes PDFs is text
        if head.startswith(b"{\\rtf"):
            return Found(Family.BINARY, _ENDINGS["rtf"])
        return _TEXT
    if found.family is Family.BINARY and looks_like_text(head):
        return _TEXT  # "MZ" and "BZh" begin a sentence as well
    return _zip_in_words(head, name) if found is _ZIP else found


def _by_magic(head: bytes) -> Found | None:
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        if b"avif" in head[8 : min(int.from_bytes(head[:4]), 256)]:
            return _FTYP[b"avif"]  # "mif1" may be either
        return _FTYP.get(head[8:12], Found(Family.BINARY, "a video"))
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return Found(Family.IMAGE, "BMP")
    for magic, found in _BY_FIRST_BYTE.get(head[:1], ()):
        if head.startswith(magic):
            return found
    return None


def _by_layout(head: bytes, end: str) -> Found | None:
    """An image in a format that begins with nothing of its own: what stands in its header must make sense."""
    netpbm = _NETPBM.match(head)
    if netpbm and (end in _NETPBM_ENDINGS or (netpbm[1] >= b"4" and not looks_like_text(head))):
        return Found(Family.IMAGE, "PPM")
    if head.startswith(b"\x00\x00\x01\x00") and head[4:6] != bytes(2) and head[9:10] == b"\x00":
        return Found(Family.IMAGE, "ICO")
    if end == "tga" and len(head) > 18 and head[1] < 2 and head[2] in _TGA_KINDS and head[16] in _TGA_DEPTHS:
        return Found(Family.IMAGE, "TGA")
    if end == "pcx" and head[:1] == b"\n" and head[1:2] in (b"\x00", b"\x02", b"\x03", b"\x04", b"\x05"):
        return Found(Family.BINARY, f"a PCX image{_AS_PNG}")
    return None


_TGA_KINDS, _TGA_DEPTHS = (1, 2, 3, 9, 10, 11), (8, 15, 16, 24, 32)


def _zip_in_words(head: bytes, name: str) -> Found:
    """A zip by content is read as one only where it is called .zip: a document or a package is a zip as well."""
    end = ending(name)
    if end == "zip":
        return _ZIP
    if end in _ENDINGS:
        return Found(Family.BINARY, _ENDINGS[end])
    if head[30:38] == b"mimetype":
        return Found(Family.BINARY, f"a document{_AS_PDF}")
    return Found(Family.BINARY, "a zip archive by another name; rename it to .zip to read it")


def looks_like_text(head: bytes) -> bool:
    """Whether the first bytes are ASCII or UTF-8 without control characters other than white space and escapes."""
    if head.translate(None, _TEXT_BYTES):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) >= HEAD_BYTES and error.start > len(head) - 4
    return True


_TEXT_BYTES = bytes({7, 8, 9, 10, 11, 12, 13, 27} | set(range(0x20, 0x100)) - {0x7F})


def describe(name: str) -> str:
    """What a file that is no text is, going by its name; "" where the name says nothing."""
    return _ENDINGS.get(ending(name), "")


def is_called_image(name: str) -> bool:
    """Whether a file goes by an image's name; one that is text by design, such as SVG, does not."""
    return ending(name) in _IMAGE_ENDINGS


def ending(name: str) -> str:
    """What follows the last dot, in lower case; "" without one."""
    return name.rpartition(".")[2].lower() if "." in name else ""
