"""Texts on which a built encoding must equal llama.cpp's tokenizer before it is trusted: short, and ugly on purpose."""

SAMPLE: tuple[str, ...] = (
    "The quick brown fox jumps over the lazy dog. It's 12,345.67 miles; we'll see, they've gone, I'M sure, YOU'RE not.",
    'def f(x: int):\n    """Doc."""\n\tif x >= 10_000:\n        return f"{x!r}\\n"\n\n\n    return None  # done\n',
    "#include <stdio.h>\r\nint main(void) {\r\n\tprintf(\"%d\\n\", 0xFF);\r\n\treturn 0;\r\n}\r\n",
    "   leading, trailing   \n \n  \n\t\t\tmixed \t \n\n\n\nend   ",
    "1 12 123 1234 12345 123456 1234567 3.14159 -42 1e-9 0b1010 2026-11-21T10:17:00Z ½ ² ٣٤ 四",
    "https://example.org/a/b?c=d&e=%20f#g user@example.com C:\\Users\\x /usr/lib/x86_64-linux-gnu/libc.so.6",
    "Größe, Straße, naïve café, Œuvre, Ångström, ŁÓDŹ, İstanbul, ﬁne, ﷺ, Zürich's",
    "e\u0301\u0302 combining a\u0308 marks",
    "Привет, мир! Съешь ещё этих мягких французских булок. Ελληνικά, עברית שלום, العربية مرحبا بالعالم",
    "中文分词没有空格。日本語のテキスト、カタカナとひらがな。한국어 문장입니다.",
    "ภาษาไทยไม่มีช่องว่าง हिन्दी में लिखा",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "🙂 🇩🇪🇫🇷 ✓ → ≤ ∑ ∞ € £ ¥ ™ \u00a0nbsp\u2003em\u200bzero\ufeffbom",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ================ ---------------- ________________ ////////////////",
    "{\"a\": [1, 2.5, null, true], \"b\": {\"c\": \"d\\u00e9\"}}\n<p class=\"x\">&nbsp;</p>\n| a | b |\n|---|---|\n",
    "camelCaseIdentifier PascalCase SCREAMING_SNAKE_CASE kebab-case HTTPServer2XMLParser x1y2z3 don't DON'T 'tis '90s",
    "SELECT * FROM t WHERE a<>b AND c!='d'; -- x\nfor (;;) { a+=b; c<<=2; d&&e||!f; } /* y */ $var @attr #tag ~^`",
    "QmFzZTY0IHRleHQgbG9va3MgbGlrZSB0aGlz== 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "\n", " ", "  ", "\t", "\r\n", "\n\n", " \n", "\n ", "a", " a", "a ", "'s", "'S", " 's", "1", " 1", "\u00e9", "…",
)  # fmt: skip
