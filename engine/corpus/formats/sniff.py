"""What a file that no format reads may be, by its first bytes and its name: a program, an archive, another document.

Recognising what is read is left to the formats.
"""

import re
from dataclasses import dataclass

HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a file, as formats look at it.

    data: its first HEAD_BYTES. ending: of its name, in lower case. other: what it must be unless a format knows its
    signature, in words ("a Windows program or library"); "" where nothing speaks against text.
    """

    data: bytes
    ending: str
    other: str

    @property
    def is_zip(self) -> bool:
        return self.other == _ZIP

    @property
    def holds_zip(self) -> bool:
        """Whether it is a zip and no document or package, whatever it is called."""
        return self.other in (_ZIP, _RENAMED)


_AS_PDF = "; save it as PDF or text"
_AS_PNG = "; save it as PNG"
_ZIP = "an archive"
_RENAMED = "a zip archive by another name; rename it to .zip to read it"
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", _ZIP),
    (b"PK\x05\x06", _ZIP),
    (b"PK\x07\x08", _ZIP),
    (b"PK00PK\x03\x04", _ZIP),  # was to be split over several files, and then fitted in one
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
)
_BY_FIRST_BYTE: dict[bytes, list[tuple[bytes, str]]] = {}
for _entry in _SIGNATURES:
    _BY_FIRST_BYTE.setdefault(_entry[0][:1], []).append(_entry)

_RIFF = {b"WAVE": "a sound file", b"AVI ": "a video"}
_FTYP = {
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "), "a sound file"),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
        "a HEIC image; save it as JPEG or PNG",
    ),
}
IMAGE_ENDINGS = frozenset({
    "png", "jpg", "jpeg", "jpe", "gif", "webp", "tif", "tiff", "bmp", "avif", "jp2", "j2k", "ico", "tga", "heic",
    "heif", "psd", "icns", "dds", "qoi", "pcx", "jxl", "xcf",
})  # fmt: skip
RAW_ENDINGS = frozenset({
    "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "gpr", "iiq", "k25", "kdc", "mef", "mos", "mrw",
    "nef", "nrw", "orf", "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f",
})  # fmt: skip

_ONLY_ZIPS = frozenset({"key", "pages", "numbers"})  # documents where they are zips; a key of a server is none

_WORD = f"a Word document{_AS_PDF}"
_SPREADSHEET = "a spreadsheet; save it as CSV or PDF"
_PRESENTATION = f"a presentation{_AS_PDF}"
_DRAWING = f"a drawing{_AS_PDF}"
_EBOOK = "an e-book; save it as PDF or text"
_OFFICE = {
    **dict.fromkeys(("doc", "docx", "docm"), _WORD),
    **dict.fromkeys(("dot", "dotx", "dotm"), f"a Word template{_AS_PDF}"),
    **dict.fromkeys(("odt", "fodt", "sxw", "pages", "hwp", "hwpx", "wps"), f"a word processor's document{_AS_PDF}"),
    **dict.fromkeys(("ott", "stw"), f"a word processor's template{_AS_PDF}"),
    **dict.fromkeys(("xls", "xlsx", "xlsm", "xlsb", "ods", "sxc", "numbers"), _SPREADSHEET),
    **dict.fromkeys(("xlt", "xltx", "xltm", "xlam", "ots", "stc"), "a spreadsheet's template; save it as CSV or PDF"),
    **dict.fromkeys(("ppt", "pptx", "pptm", "pps", "ppsx", "ppsm", "odp", "sxi", "key"), _PRESENTATION),
    **dict.fromkeys(("pot", "potx", "potm", "ppam", "otp", "sti"), f"a presentation's template{_AS_PDF}"),
    **dict.fromkeys(("odg", "otg", "sxd", "vsd", "vsdx", "vsdm", "vstx", "vssx"), _DRAWING),
    **dict.fromkeys(("odf", "sxm"), f"a formula{_AS_PDF}"),
    **dict.fromkeys(("odb", "accdb"), "a database; save its tables as CSV"),
    **dict.fromkeys(("xps", "oxps"), "an XPS document; save it as PDF"),
    "one": f"a OneNote notebook{_AS_PDF}",
    "thmx": "an Office theme",
    "msg": f"an Outlook message{_AS_PDF}",
}
_ENDINGS = {
    **_OFFICE,
    "rtf": f"a Rich Text document{_AS_PDF}",
    "epub": _EBOOK,
    **dict.fromkeys(("jar", "war", "ear", "aar"), "a Java archive"),
    **dict.fromkeys(
        ("whl", "egg", "nupkg", "vsix", "xpi", "apk", "aab", "ipa", "crx", "conda", "appx", "msix"),
        "a software package",
    ),
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
    **dict.fromkeys(RAW_ENDINGS, "a raw photo; export it as JPEG"),
    "ds_store": "a Mac's folder settings",
    "swp": "an editor's swap file",
    "mo": "compiled translations",
}


def look(head: bytes, name: str) -> Head:
    """A file as its first HEAD_BYTES and its name show it."""
    end = ending(name)
    return Head(head, end, _other(head, end, name))


def _other(head: bytes, end: str, name: str) -> str:
    words = _signature(head)
    if words == _ZIP:
        return _PART if _is_part(name) else _zip_in_words(head, end)
    if words is not None:
        if looks_like_text(head):  # "MZ" and "BZh" begin a sentence as well
            return ""
        return _PART if _is_part(name) else words
    if end == "pcx" and head[:1] == b"\n" and head[1:2] in _PCX_VERSIONS:
        return f"a PCX image{_AS_PNG}"
    if b"\x00" in head[:1024] and head[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    if end == "zip" and not looks_like_text(head) and head.strip(b"\x00"):
        return _ZIP  # the last part of a split one, or one behind something else: opening it will say
    return _ENDINGS["rtf"] if head.startswith(b"{\\rtf") else ""


_PCX_VERSIONS = (b"\x00", b"\x02", b"\x03", b"\x04", b"\x05")


def _signature(head: bytes) -> str | None:
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _FTYP.get(head[8:12], "a video")
    return next((words for magic, words in _BY_FIRST_BYTE.get(head[:1], ()) if head.startswith(magic)), None)


def _zip_in_words(head: bytes, end: str) -> str:
    """A zip by content is read as one only where it is called .zip: a document or a package is a zip as well."""
    if end == "zip":
        return _ZIP
    if end in _ENDINGS:
        return _ENDINGS[end]
    kind = _MIMETYPE.match(head, 30)
    if kind is not None:
        return next((words for mark, words in _KINDS_OF_DOCUMENTS if mark in kind[1]), f"a document{_AS_PDF}")
    folder = _OFFICE_FOLDER.search(head)
    if folder is not None and b"[Content_Types].xml" in head:
        return {b"word": _WORD, b"xl": _SPREADSHEET, b"ppt": _PRESENTATION, b"visio": _DRAWING}[folder[1]]
    return _RENAMED


_MIMETYPE = re.compile(rb"mimetype(?:.{0,64}?)(application/[-+.\w]+)", re.DOTALL)  # the first file of a document
_KINDS_OF_DOCUMENTS = (
    (b"epub", _EBOOK),
    (b"spreadsheet", _SPREADSHEET),
    (b"presentation", _PRESENTATION),
    (b"graphics", _DRAWING),
    (b"opendocument.text", f"a word processor's document{_AS_PDF}"),
)
_OFFICE_FOLDER = re.compile(rb"PK\x03\x04.{26}(word|xl|ppt|visio)/", re.DOTALL)
_PART = "one part of a split archive; unpack it with all its parts first"
_PART_NAME = re.compile(
    r"\.(?:zip|zipx|7z|rar|tar|tgz|gz|bz2|xz|zst)\.\d{2,3}$|\.z\d{2}$|\.part\d+\.rar$|\.r\d{2}$", re.I
)


def _is_part(name: str) -> bool:
    return _PART_NAME.search(name) is not None


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
    end = ending(name)
    return _PART if _is_part(name) else "" if end in _ONLY_ZIPS else _ENDINGS.get(end, "")


def is_called_image(name: str) -> bool:
    """Whether a file goes by an image's name; one that is text by design, such as SVG, does not."""
    return ending(name) in IMAGE_ENDINGS


def ending(name: str) -> str:
    """What follows the last dot, in lower case; "" without one."""
    return name.rpartition(".")[2].lower() if "." in name else ""
