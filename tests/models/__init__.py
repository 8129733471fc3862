"""Builders of tiny, real GGUF files: llama.cpp loads and runs them, or fails on them in a known way.

    scout       Llama 4 Scout's shape: chunked attention, mixture of experts, Llama 4's own 202,048 tokens
    cache       builds each model once per set of parameters and hands out its path
    vocabulary  the vocabularies the models carry
    writer      what every builder needs of gguf-py: an atomic write, and random weights of the right type
    broken      files that llama.cpp refuses, or that kill the process which loads them
    probe       runs a model in a child process and says what llama.cpp made of it

The weights are random, yet scaled so that the logits are healthy and depend on the whole context: an edit far back in a
prompt, a stale KV cell or another model's snapshot shows in them. The texts these models write mean nothing.

`python -m tests.models scout --layers 8 --out X.gguf` builds one by hand.
"""
