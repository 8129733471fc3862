"""A codebase summarized: a plan from its skeleton, a note of each of its parts, and pages that are written from the
notes, each statement with the words of the sources that show it."""
