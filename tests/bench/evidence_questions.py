"""Questions whose answers are known, about modules of the standard library, pages of its language reference and this
program's license; and questions about these that they do not answer.

Six sets, each about other sources. The rules by which words are chosen were made on `tuned`, `code`, `prose`, and on
`seen` and `once`, which were kept aside at first. No model was asked `aside` yet; no rule was made on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """answer, shown: patterns of a right answer, and of the lines that show it."""

    question: str
    answer: str
    shown: str


@dataclass(frozen=True, slots=True)
class Questions:
    """modules, topics, files: what they are about; files stand in the repository, under these paths."""

    modules: tuple[str, ...]
    topics: tuple[str, ...]
    answerable: tuple[Known, ...]
    unanswerable: tuple[str, ...]
    files: tuple[str, ...] = ()


_TUNED = Questions(
    ("graphlib.py", "bisect.py"),
    ("assert", "lambda", "nonlocal", "pass", "break", "return"),
    (
    Known("Which exception does prepare raise if there is a cycle?", r"CycleError", r"CycleError"),
    Known("Of which class is CycleError a subclass?", r"ValueError", r"CycleError\(ValueError\)|Subclass of V"),
    Known("What happens if prepare is called more than once?", r"ValueError|cannot", r"more than once|ValueError"),
    Known("What does get_ready return?", r"tuple|nodes", r"Return a tuple|ready"),
    Known("Which method unblocks the successors of a node?", r"done", r"unblocks any successor|def done"),
    Known("What must be hashable when add is called?", r"node|predecessors", r"must be hashable"),
    Known("Where can the detected cycle be found in the CycleError?", r"args|second", r"second\s+element|args"),
    Known("Which method returns the nodes in a topological order?", r"static_order", r"topological|static_order"),
    Known("What is the value of _NODE_DONE?", r"-2", r"_NODE_DONE = -2"),
    Known("What does is_active return when more progress can be made?", r"True", r"more progress can be made"),
    Known("Where does insort_right insert x if x is already in a?", r"right", r"rightmost"),
    Known("Which error does bisect_right raise if lo is negative?", r"ValueError", r"non-negative"),
    Known("What is the default of hi in bisect_right?", r"len\(a\)|None|length", r"len\(a\)|hi=None"),
    Known("Which comparison does bisect_right use to match list.sort?", r"<|less|__lt__", r"uses \"<\"|__lt__"),
    Known("When is the built-in variable __debug__ False?", r"optimiz|-O", r"optimization|-O"),
    Known("What can functions created with lambda expressions not contain?", r"statements|annotations",
           r"statements or annotations|cannot contain"),
    Known("What does the nonlocal statement make identifiers refer to?", r"previously bound|enclosing",
           r"previously\s+bound|enclosing scope"),
    Known("What does the pass statement do when it is executed?", r"nothing|null", r"null operation|nothing happens"),
    Known("What happens to the loop control target when break ends a for loop?", r"keeps|current value", r"keeps"),
    Known("What does return substitute if there is no expression list?", r"None", r"\"None\"|None"),
),
    (
    "Which colour theme does graphlib use when it prints a graph?", "What is the maximum number of nodes in a graph?",
    "In which year was bisect.py written, and by whom?", "Which function saves a graph to a file?",
    "Which exception does insort_right raise when the list is full?", "How do I set the timeout of a lambda?",
    "What is the default port that graphlib listens on?", "Which keyword makes a pass statement run in parallel?",
    "How much memory does the topological sorter need for a node?", "Which operating systems does bisect support?",
),
)  # fmt: skip

# kept aside until it had been measured with
_SEEN = Questions(
    ("sched.py", "fnmatch.py"),
    ("del", "global", "yield", "while", "continue", "booleans", "if"),
    (
    Known("Which exception does cancel raise if the event is not in the queue?", r"ValueError",
          r"not in the queue, this raises ValueError"),
    Known("What does enterabs return?", r"ID|event", r"Returns an ID|return event"),
    Known("Do lower or higher priority numbers mean higher priority?", r"[Ll]ower", r"lower priority numbers"),
    Known("What is the maxsize of the cache of compiled patterns?", r"32768|32,768", r"maxsize=32768"),
    Known("Which kind of lock does the scheduler use?", r"RLock|reentrant", r"RLock"),
    Known("What is the default delay function of the scheduler?", r"sleep", r"delayfunc=time\.sleep"),
    Known("What does run do just after an event is executed?", r"delay", r"delay of 0|delayfunc\(0\)"),
    Known("How are events kept that are scheduled for the same time?", r"priority", r"order of their priority"),
    Known("Which function does the enter method call to add the event?", r"enterabs", r"self\.enterabs"),
    Known("Which function matches file names with case always taken into account?", r"fnmatchcase",
          r"fnmatchcase\(FILENAME, PATTERN\) always|including case"),
    Known("What does the pattern [!seq] match?", r"not in", r"\[!seq\]"),
    Known("Is an initial period in FILENAME special?", r"[Nn]o|not", r"initial period"),
    Known("Which encoding is used for patterns that are bytes?", r"8859", r"ISO-8859-1"),
    Known("Does translate compile the regular expression?", r"[Nn]o|not", r"does not compile"),
    Known("Which exception is raised when an unbound name is deleted?", r"NameError", r"NameError"),
    Known("In which order does deletion of a target list delete its targets?", r"left", r"from left|to right"),
    Known("How long does the global declaration hold?", r"code block", r"entire\s+current code block|holds for"),
    Known("What does a yield in a function definition cause?", r"generator", r"generator function"),
    Known("What is executed when the expression of a while statement is false?", r"else", r"\"else\" clause"),
    Known("What does the operator not yield if its argument is false?", r"True", r"operator \"not\" yields"),
    ),
    (
    "In which year was the scheduler class written, and by whom?", "How many events can a scheduler hold at most?",
    "Which function saves the queue of the scheduler to disk?", "Which colour does fnmatch use for a match?",
    "How do I set the timeout of enterabs?", "Which database does the scheduler use for its events?",
    "What is the default port of the scheduler?", "Which keyword makes a while loop run in parallel?",
    "How many bytes of memory does an event take?", "Which version of the protocol does fnmatch speak?",
    ),
)  # fmt: skip

# kept aside until it had been measured with, once
_ONCE = Questions(
    ("netrc.py", "getpass.py"),
    ("in", "integers", "power", "shifting", "truth", "unary"),
    (
    Known("Which attribute of a NetrcParseError holds the number of the line?", r"\blineno\b",
          r"self\.lineno = lineno|line %s.* self\.lineno"),
    Known("Which file does netrc read if no file is given?", r"(?<!\w)\.netrc", r"expanduser\(\"~\"\), \"\.netrc\""),
    Known("Which encoding does netrc try after a UnicodeDecodeError?", r"locale", r"encoding=\"locale\""),
    Known("How does a macro definition in a .netrc file end?",
          r"(consecutive|two|double|second) new-? ?line|([Nn]ull|[Ee]mpty|[Bb]lank) line|\\n\\n|== ?['\"]\\n",
          r"finished with consecutive|null line terminator|if line == '\\n'"),
    Known("Which keyword can a .netrc entry have instead of login?", r"(?<![Tt]he )(?<!\b[Aa] )\buser\b(?! name)",
          r"tt == 'login' or tt == 'user'"),
    Known("To whom must the permissions of ~/.netrc restrict access?", r"\bowner\b(?!,? (and|or) )", r"\" the owner\""),
    Known("What does authenticators return if there is neither the host nor a default entry?", r"\bNone\b",
          r"return None"),
    Known("Who wrote the Windows support of getpass?", r"Guido|Rossum", r"Guido van Rossum"),
    Known("Where does getpass write the prompt if there is no tty?", r"stderr|[Ss]tandard error",
          r"If no tty is available"),
    Known("What does win_getpass raise when it gets the character \\003?", r"KeyboardInterrupt",
          r"raise KeyboardInterrupt"),
    Known("Which error handler does getpass use for a prompt that cannot be encoded?", r"\breplace\b",
          r"replace error handler|encoding, 'replace'"),
    Known("Which environment variable does getuser try first?", r"(?s)\A((?!\bUSER(NAME)?\b|\bLNAME\b).)*LOGNAME",
          r"'LOGNAME', 'USER'"),
    Known("Which function is getpass if neither termios nor msvcrt can be imported?", r"fallback_getpass",
          r"getpass = fallback_getpass"),
    Known("Which strings are a substring of any other string?", r"[Ee]mpty|\"\"", r"Empty strings are always"),
    Known("Which method must a class define for the old-style iteration protocol?", r"__getitem__", r"__getitem__"),
    Known("Since which version are underscores allowed in integer literals?", r"3\.6", r"version 3\.6"),
    Known("What is the result of a negative number raised to a fractional power?", r"complex",
          r"fractional power results in a \"complex\""),
    Known("As what is a right shift by n bits defined?", r"floor(ed)? division|//", r"floor division"),
    Known("What must __len__ return for an object to be considered false?", r"(?<!non)(?<!non-)\b([Zz]ero|0)\b",
          r"that returns zero"),
    Known("What is raised if the argument of a unary operator has the wrong type?", r"TypeError", r"TypeError"),
    ),
    (
    "Which method of netrc adds a host to the file?", "Which algorithm does netrc use to encrypt the passwords?",
    "Which argument of getpass limits the length of the password?",
    "After how many seconds without input does getpass give up?",
    "What is raised when a number is shifted by a negative number of bits?",
    "Which mail server does getpass send the password to?", "What does a licence for netrc cost in a year?",
    "In which city was the author of getpass born?", "Which graphics card does the power operator need?",
    "At which temperature does the operator in stop working?",
    ),
)  # fmt: skip
# more to make rules on: the ones before were few
# written before a model was asked any of them, and nothing was changed for what came of it
_ASIDE = Questions(
    ("filecmp.py", "quopri.py"),
    ("with", "slicings", "identifiers"),
    (
    Known("What does cmp return if the files are the same?", r"True", r"True if the files are the same"),
    Known("Which parts make up the signature of a file that is compared first?", r"size|mtime",
          r"\(type, size,|st\.st_size"),
    Known("Which function clears the cache of filecmp?", r"clear_cache", r"clear_cache"),
    Known("How many lists does the tuple have that cmpfiles returns?", r"three|3", r"three lists"),
    Known("What does dircmp hide by default?", r"curdir|pardir|\.\.", r"curdir"),
    Known("Which list does dircmp ignore by default?", r"DEFAULT_IGNORES", r"DEFAULT_IGNORES"),
    Known("Which attribute of dircmp lists the files that could not be compared?", r"funny_files",
          r"funny_files: list of files"),
    Known("Which method of dircmp reports fully recursively?", r"report_full_closure", r"report_full_closure"),
    Known("What is the buffer size of filecmp?", r"8 ?\* ?1024|8192|8 ?KB", r"BUFSIZE = 8"),
    Known("When are the entries of the cache of cmp invalidated?", r"stat|chang", r"stat information|invalidated"),
    Known("Which exception does demo raise if there are not two arguments?", r"GetoptError", r"GetoptError"),
    Known("Which RFC does quopri implement?", r"1521", r"RFC 1521"),
    Known("What is the longest line that quopri writes?", r"76", r"MAXLINESIZE = 76"),
    Known("Which character does quopri escape with?", r"=", r"ESCAPE = b|soft line break"),
    Known("What does the quotetabs flag indicate?", r"tabs", r"embedded tabs and spaces"),
    Known("As what does quopri decode an underscore if header is true?", r"space", r"underscore as space"),
    Known("Which options of quopri's command line are mutually exclusive?", r"-t.*-d|-d.*-t", r"mutually exclusive"),
    Known("What does ishex return true for?", r"hexadecimal", r"hexadecimal digit"),
    Known("What happens to a bad escape sequence when quopri decodes?", r"leave|left|kept|unchanged|as is",
          r"Bad escape sequence"),
    Known("By what is a block wrapped in a with statement?", r"context manager", r"context\s+manager"),
    Known("What does the with statement guarantee if __enter__ returns without an error?", r"__exit__",
          r"always be\s+called|guarantees"),
    Known("What happens if __exit__ returns true after an exception?", r"suppress", r"exception is suppressed"),
    Known("How many None arguments does __exit__ get if there was no exception?", r"three|3",
          r"three\s+\"None\"|arguments are supplied"),
    Known("Which PEP describes the with statement?", r"343", r"PEP 343"),
    Known("What does a slicing select?", r"range", r"range of items"),
    Known("Which method is the primary of a slicing indexed with?", r"__getitem__", r"__getitem__"),
    Known("When is the key of a slicing a tuple?", r"comma", r"at least one comma|contains at least"),
    Known("What takes priority over the interpretation as a slicing?", r"subscription", r"subscription takes priority"),
    Known("How long can identifiers be?", r"unlimited|any length|no limit", r"unlimited in length"),
    Known("Into which normal form are identifiers converted while parsing?", r"NFKC", r"normal form NFKC"),
),
    (
    "Which checksum does filecmp compute of each file?", "How do I set the timeout of cmpfiles?",
    "Which function of filecmp merges two directories?", "In which year was filecmp written, and by whom?",
    "How many threads does dircmp use?", "Which colour does report print differing files in?",
    "Which database does filecmp keep its cache in?", "What is the largest file that cmp can compare?",
    "Which compression does quopri apply before it encodes?", "Which function of quopri sends the result by mail?",
    "How many messages can quopri decode in a second?", "Which password protects an encoded string of quopri?",
    "Which class of quopri holds the state of a decoder?", "Which port does quopri listen on?",
    "How many context managers may a with statement have at most?", "Who invented the with statement?",
    "Which keyword makes the suite of a with statement run in parallel?", "How much memory does a slice object take?",
    "Which exception is raised when an identifier is too long?",
    "In which city was the standard of identifiers signed?",
),
)  # fmt: skip

_CODE = Questions(
    ("secrets.py", "shelve.py", "linecache.py"),
    (),
    (
    Known("How many bytes does token_bytes return by default?", r"32|DEFAULT_ENTROPY", r"DEFAULT_ENTROPY"),
    Known("Which error does randbelow raise if the upper bound is not positive?", r"ValueError", r"must be positive"),
    Known("In which encoding is the string that token_urlsafe returns?", r"[Bb]ase64", r"Base64|base64"),
    Known("Into how many hex digits does token_hex convert each byte?", r"two|2", r"converted to two"),
    Known("From which module is compare_digest imported?", r"hmac", r"from hmac import"),
    Known("What does a shelf return when you look up d[key]?", r"COPY|copy", r"COPY|\*copy\*"),
    Known("What may d.close() be if writeback=True is used?", r"slow", r"very slow"),
    Known("What is the default value of keyencoding?", r"utf-8", r"keyencoding=\"utf-8\""),
    Known("What kind of values can be stored in a shelf?", r"arbitrary|pickle", r"arbitrary Python objects|\"pickle\""),
    Known("Which exception does a closed shelf raise on access?", r"ValueError", r"raise a ValueError|closed shelf'"),
    Known("Which methods does BsdDbShelf add?", r"first.*next|set_location",
          r"methods first\(\)|set_location\(\) that"),
    Known("What does d.sync() do?", r"write|cache", r"d\.sync\(\)|synchronizes"),
    Known("Which pickle protocol does a Shelf use if none is given?", r"DEFAULT_PROTOCOL", r"DEFAULT_PROTOCOL"),
    Known("What is the default flag of shelve.open?", r"'c'|\"c\"|`c`|\bc\b", r"flag='c'"),
    Known("What does clearcache do?", r"[Cc]lear", r"Clear the cache|cache\.clear"),
    Known("What does getlines return when there is a MemoryError?", r"empty|\[\]",
          r"return \[\]|MemoryError|clearcache\(\)"),
    Known("What does checkcache discard?", r"out of date|entries", r"out of date"),
    Known("When does lazycache ask the module loader for the source?", r"getlines", r"only when getlines|called, not"),
    Known("What does updatecache return if something is wrong?", r"empty", r"empty list"),
    Known("Where is a file looked for if its filename is not found?", r"search path|sys\.path", r"search path"),
),
    (
    "In which year was secrets.py written, and by whom?", "How many keys can a shelf hold at most?",
    "Which function of secrets encrypts a file with a password?", "What is the default port of a shelf server?",
    "How do I set the timeout of shelve.open?", "Which compression does a shelf use for its values?",
    "How many lines does linecache keep at most?", "Which hash algorithm does token_hex use?",
    "Which lock does linecache use to be safe between threads?", "How do I sort the keys of a shelf by date?",
    "What is the name of the log file that linecache writes?", "How often does checkcache run by itself?",
    "Which version of SQLite does shelve need?", "How many characters must a password have at least?",
    "Which function of linecache removes a single line from a file?", "What colour are the lines that getline prints?",
),
)  # fmt: skip

_PROSE = Questions(
    (),
    ("raise", "for", "exprlists"),
    (
    Known("When was version 2.0 of the license published?", r"January 2004", r"January 2004"),
    Known("What share of the outstanding shares means ownership?", r"[Ff]ifty|50", r"fifty percent"),
    Known("What happens to your patent licenses if you institute patent litigation?", r"terminate", r"terminate"),
    Known("What must modified files carry?", r"notice", r"prominent notices|stating that You changed"),
    Known("What must you give to recipients of the Work?", r"copy", r"a copy of this License"),
    Known("On which basis does the Licensor provide the Work?", r"AS IS", r"AS IS"),
    Known("May I use the trademarks of the Licensor?", r"[Nn]o\b|may not|not grant|cannot",
          r"does not grant permission|trademarks, service"),
    Known("May I charge a fee for warranty or support?", r"[Yy]es|may", r"charge a fee"),
    Known("Where may the attribution notices of the NOTICE file be placed?", r"NOTICE|documentation|display",
          r"within a NOTICE|documentation, if|within a display|form or"),
    Known("What does \"Contributor\" mean?", r"Licensor|individual", r"\"Contributor\" shall|on behalf of whom"),
    Known("What does \"Source\" form mean?", r"preferred form", r"preferred form"),
    Known("Which exception is raised if there is no active exception?", r"RuntimeError", r"RuntimeError\" exception"),
    Known("Of what must the raised object be a subclass or an instance?", r"BaseException", r"BaseException"),
    Known("As which attribute is a traceback attached to an exception?", r"__traceback__", r"__traceback__"),
    Known("For what is the from clause used?", r"chain", r"exception chaining"),
    Known("How can exception chaining be suppressed?", r"None", r"suppressed|\"None\"\s*$|from\" clause:"),
    Known("How often is the starred_list of a for statement evaluated?", r"once", r"evaluated once"),
    Known("What does a break statement in the first suite of a for loop do?", r"terminate", r"terminates the loop"),
    Known("What does an expression list with at least one comma yield?", r"tuple", r"yields a tuple"),
    Known("In which order are the expressions of a list evaluated?", r"left to right", r"left to right"),
),
    (
    "How much does a copy of the license cost in dollars?", "Which court decides about disputes over the license?",
    "By which law is the license governed?", "How many contributors may a Work have at most?",
    "After how many days does the copyright license expire?", "Who signed the license for the Licensor?",
    "In which countries is the patent license not valid?", "What is the phone number of the Licensor?",
    "How long must the source code be kept by the recipients?",
    "Which programming language must the Work be written in?",
    "How many exceptions can be chained at most?", "Which keyword makes a for loop run in parallel?",
    "How long does a traceback object stay in memory?", "Who invented the for statement?",
    "What is the fine for removing a copyright notice?", "Which file logs the exceptions that are raised?",
),
    ("LICENSE",),
)  # fmt: skip

SETS: Mapping[str, Questions] = {
    "tuned": _TUNED, "code": _CODE, "prose": _PROSE, "seen": _SEEN, "once": _ONCE, "aside": _ASIDE,
}  # fmt: skip
