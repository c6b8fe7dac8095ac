"""Writes tests/golden/tokenizer: small tokenizers with texts and the ids that Hugging Face tokenizers gives.

Usage: write_tokenizer_goldens.py
"""
import json
from pathlib import Path

import tokenizers
import tokenizer_zoo

NAMES = ["gpt2-prefix", "qwen2", "llama3", "gpt4o", "llama2", "mistral-metaspace", "metaspace-first", "nfkc", "whitespace", "split-first",
         "ignore-merges",
         "merged_with_next-inverted"]
FOLDER = Path(__file__).resolve().parents[1] / "golden/tokenizer"


def golden(data):
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(data))
    texts = tokenizer_zoo.lines()[:2] + tokenizer_zoo.lines()[-9:] + tokenizer_zoo.hostile(20, 9, ["<|bos|>", "<|eos|>", "<unk>"])
    cases = [dict(text=text, ids=tokenizer.encode(text, add_special_tokens=False).ids,
                  special=tokenizer.encode(text).ids) for text in texts + ["", "<0x41>", "the-mill-is-under -- it"]]
    return dict(made_with=f"tokenizers {tokenizers.__version__}", tokenizer=data, cases=cases)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    zoo = tokenizer_zoo.zoo()
    for name in NAMES:
        text = json.dumps(golden(zoo[name]), separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(name, len(text))
