"""Answers on their way to the page: a model's Markdown as HTML that holds what was written, and nothing else."""
