"""Builders of tiny, real GGUF files: llama.cpp loads and runs them, or fails on them in a known way.

    scout       Llama 4 Scout's shape: chunked attention, mixture of experts, Llama 4's own 202,048 tokens
    maverick    Llama 4 Maverick's: 128 experts in every other layer, with a small vocabulary
    llama       Llama's: full attention everywhere, any template
    qwen2       Qwen 2's: biases in the attention, tied embeddings
    qwen3vl     Qwen 3 VL's: positions in three dimensions, images that reach several layers
    gemma3      Gemma 3's: sliding windows, a SentencePiece vocabulary
    ghost       Scout and Maverick in true size, with headers alone: sparse files to plan with
    mmproj      vision projectors for scout, gemma3, qwen2, qwen3vl and llama
    shape       the dimensions that all of them share
    cache       builds each model once per set of parameters and hands out its path
    vocabulary  the vocabularies the models carry
    variants    the small models with a changed vocabulary, headers alone
    writer      what every builder needs of gguf-py: an atomic write, and random weights of the right type
    split       any of them in several files
    broken      files that llama.cpp refuses, or that kill the process which loads them
    probe       runs a model in a child process and says what llama.cpp made of it
    look        shows a model images in a child process, by mtmd's own helper
    header      headers of other architectures with sliding windows, to lay out KV caches for
    contexts    asks llama.cpp in a child process what KV caches it would make, hundreds of times
    quantize_types  what llama.cpp would quantize each tensor of a model to

The weights are random, yet scaled so that the logits are healthy and depend on the whole context: an edit far back in a
prompt, a stale KV cell or another model's snapshot shows in them. The texts these models write mean nothing.

`python -m tests.models scout --layers 8 --out X.gguf` builds one by hand.
"""
