"""A model on an engine that runs on GPUs elsewhere: vLLM, SGLang, TensorRT-LLM, or llama.cpp over several machines.

`kinds` has the GPUs by name, `served` what an engine must know of a model, `llama4`, `hf_config` and `gguf_model` where
that comes from. `rules` is each engine's own arithmetic of memory, `splitting` how a model is divided, `serving` the
plan that comes of it, `launch` the line that starts it. `llama_rpc` plans llama.cpp on hardware that is not this
machine's. All of it is arithmetic over published figures: nothing is asked, nothing is loaded.
"""
