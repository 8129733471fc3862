"""How much time, memory and text a stranger's file may take of its reader. Honest files stay far below: the figures are
of a laptop of 2015, for what one page takes, and a file goes on for as long as its pages do.

What becomes of a file that goes over is left to `formats.apart`, how a limit is kept to `pool` and
`formats.reading_child`.
"""

MOST_READERS = 4  # processes at once; they are started as they are needed, and most corpora need one
IDLE_S = 90.0  # after so long without a file a reader leaves: its libraries take 60 to 100 MB
SHED_BYTES = 768 << 20  # a reader that holds more when it is done with a file is replaced
START_S = 60.0  # until a new reader answers: 0.1 s, on a machine that has nothing else to do

STEP_CPU_S = 30.0  # processor time of one page or frame; text takes 10 ms, a large map 3 s, an image of 100 MP 4 s
STEP_S = 4 * STEP_CPU_S  # the same on the clock, for a machine that is busy, or a reader that only waits
OPEN_TIMES = 3  # as much for opening a file, before its first page: 30,000 pages take 10 s
EYES_CPU_S = 10.0  # processor time of a page that somebody waits to look at
FILE_S = 300.0  # of a file on the clock, besides what its pages may take
PAGE_S = 1.0  # for each page of it, in the mean: 5,000 pages may take an hour and a half
MOST_TRIES = 4  # a file is read again without the page that was too much; so often in all

MEMORY_BYTES = 4 << 30  # address space: 100 million pixels of RGBA take 2 GiB, a PDF of 256 MiB 1 GiB
MOST_ANSWER_BYTES = 2 << 30  # what a reader may give back of one file: its text and its pictures
MOST_FIELDS_BYTES = 64 << 20  # of that, all that is neither: places of pages and pictures, notes
MOST_FILES = 64  # that a reader may have open: libraries, fonts

MOST_PAGES = 100_000  # of a PDF; the longest that people have made have 30,000
MOST_PAGE_CHARACTERS = 2_000_000  # of one page: a page of text has 3,000, a map with all its names 200,000
MOST_CHARACTERS = 64 << 20  # of one file, as of a file of text
FREE_CHARACTERS = 1 << 20  # a file of any size may have so many, and beyond that
CHARACTERS_PER_BYTE = 64  # so many for each of its bytes: packed prose has 3, tables of the same row again and again 30
FREE_PIXELS = 1_000_000_000  # all pages of a TIFF may have so many, and beyond that
PIXELS_PER_BYTE = 20_000  # so many for each of its bytes: a blank page of a fax at 600 dots an inch has 17,500
MOST_CELLS = 200_000  # of a notebook; the longest have 2,000

TOLD = ("STEP_CPU_S", "MEMORY_BYTES", "MOST_PAGE_CHARACTERS", "FREE_CHARACTERS", "CHARACTERS_PER_BYTE", "MOST_CELLS")
"""Those that a reader keeps itself; it is told them with each file."""
