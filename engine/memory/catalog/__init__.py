"""The catalogue: Llama 4 Scout and Maverick as they are published as GGUF, and Behemoth as it was announced.

`tensors` has every tensor's name, dims and type, `entry` the name, repository, files, size and licence of each, and
`ghost` writes files that stand for models which are not on this machine, and reads them as cards for planning.
"""
