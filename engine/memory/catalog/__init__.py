"""The catalogue: Llama 4 Scout and Maverick as they are published as GGUF, and Behemoth as it was announced.

`entry` has the name, repository, files, size and licence of each, `tensors` every tensor's name and dims, `recipe` which
tensor gets which type; `ghost` writes files that stand for models which are not on this machine, for planning, and
`planned` reads them.
"""
