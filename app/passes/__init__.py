"""A corpus that is larger than the window, read in passes: slices of it, a note of each, and the answer that is made of
the notes."""
