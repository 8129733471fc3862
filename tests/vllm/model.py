"""A tiny Llama as Hugging Face keeps models, with a vocabulary of its own, written by the libraries that vLLM brings.

`python tests/vllm/model.py FOLDER`, in vLLM's environment.
"""

import json
import sys
from pathlib import Path

MARKS = ("<|begin|>", "<|head|>", "<|text|>", "<|end|>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|head|>{{ message.role }}<|text|>\n{{ message.content }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|head|>assistant<|text|>\n{% endif %}"
)
_CONTEXT = 4_096


def main(folder: Path) -> None:
    """Writes it."""
    import torch  # of vLLM's environment, as what follows
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # type: ignore[import-not-found]
    from transformers import LlamaConfig, LlamaForCausalLM  # type: ignore[import-not-found]

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1_000, special_tokens=list(MARKS), initial_alphabet=alphabet)
    tokenizer.train_from_iterator([Path(__file__).read_text()], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    own = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": MARKS[0],
        "eos_token": MARKS[3],
        "chat_template": TEMPLATE,
        "model_max_length": _CONTEXT,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(own))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=_CONTEXT,
        bos_token_id=0,
        eos_token_id=3,
        torch_dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
