"""Engines over HTTP tried on vLLM itself, on CPUs: `make test-vllm`, which sets up an environment of its own for it.

No part of `make test`: the environment takes 3.4 GB.
"""
