"""Small tokenizers that use every part Strata reads, and texts that are hard to tokenize.

zoo() -> {name: tokenizer.json as a dict}; hostile(count, seed, specials) -> [str]; both deterministic.
The vocabularies are trained here on a few generated lines, so that the files are ours and small.
"""
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
            r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def lines():
    r = random.Random(5)
    words = "the lantern mill orchard harbour is was under over of and it they found 'tis we'll you're 12 345 2026".split()
    extra = ["na\u00efve caf\u00e9", "\u043c\u0435\u043b\u044c\u043d\u0438\u0446\u0430 \u0438 \u0441\u0430\u0434", "\u6c34\u8f66\u548c\u679c\u56ed", "\u30e9\u30f3\u30bf\u30f3", "def f(x):\n    return x + 1", "e\u0301te\u0301", "\u00c5\u00c4\u00d6 \ufb01n", "<b>bold</b>"]
    out = [" ".join(r.choice(words) for _ in range(12)) + r.choice([".", "!", "?", "...", "  ", "\n\n"]) for _ in range(400)]
    return out + extra * 6


def train(pre_tokenizer, normalizer=None, size=700, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    byte_level = "ByteLevel" in repr(pre_tokenizer)
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    special = [f"<0x{byte:02X}>" for byte in range(256)] if model.get("byte_fallback") else []
    if model.get("unk_token"):
        special.insert(0, model["unk_token"])
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False, special_tokens=special)
    tokenizer.train_from_iterator(lines(), trainer)
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if not token["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(data))


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(pattern, behavior=behavior, invert=invert)


def sequence(*parts):
    return pre_tokenizers.Sequence(list(parts))


def add_specials(tokenizer, bos=True):
    tokenizer.add_special_tokens([AddedToken("<|bos|>", special=True), AddedToken("<|eos|>", special=True)])
    if bos:
        ids = [(name, tokenizer.token_to_id(name)) for name in ("<|bos|>", "<|eos|>")]
        template = processors.TemplateProcessing(single="<|bos|> $A <|eos|>", pair="$A $B", special_tokens=ids)
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def add_all_kinds(tokenizer, blanks=True):
    """One added token of each kind: they interact."""
    tokenizer.add_tokens([AddedToken("  ", normalized=True)] if blanks else [])
    tokenizer.add_tokens([
        AddedToken("LEFT", lstrip=True, normalized=False), AddedToken("RIGHT", rstrip=True, normalized=False),
        AddedToken("word", single_word=True, normalized=False), AddedToken("Caf\u00e9", normalized=True),
        AddedToken("<a>", normalized=False), AddedToken("<a><b>", normalized=False),
        AddedToken("BOTH", lstrip=True, rstrip=True, single_word=True, normalized=True),
    ])
    return tokenizer


def zoo():
    blank = "\u2581"
    llama2 = normalizers.Sequence([normalizers.Prepend(blank), normalizers.Replace(" ", blank)])
    spm = dict(unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    zoo = {
        "gpt2": train(pre_tokenizers.ByteLevel(add_prefix_space=False)),
        "gpt2-prefix": add_specials(train(pre_tokenizers.ByteLevel(add_prefix_space=True))),
        "qwen2": add_specials(train(sequence(split(Regex(QWEN2)), BYTES), normalizers.NFC()), bos=False),
        "llama3": add_specials(train(sequence(split(Regex(LLAMA3)), BYTES), ignore_merges=True)),
        "gpt4o": train(sequence(split(Regex(GPT4O)), BYTES)),
        "deepseek": train(sequence(split(Regex(r"\p{N}{1,3}")), split(Regex("[\u4e00-\u9fa5\u3041-\u309f\u30a0-\u30ff]+")), split(Regex(DEEPSEEK)), BYTES)),
        "digits": train(sequence(pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False))),
        "digit-runs": train(sequence(pre_tokenizers.Digits(individual_digits=False), BYTES)),
        "llama2": add_specials(train(None, llama2, **spm)),
        "mistral-metaspace": add_specials(train(pre_tokenizers.Metaspace(prepend_scheme="first", split=False), **spm)),
        "metaspace": add_all_kinds(train(pre_tokenizers.Metaspace(prepend_scheme="always"), **spm)),
        "metaspace-never": train(pre_tokenizers.Metaspace(prepend_scheme="never", replacement="_"), unk_token="<unk>"),
        "metaspace-first": add_all_kinds(train(pre_tokenizers.Metaspace(prepend_scheme="first"), normalizers.Strip(), **spm), blanks=False),
        "whitespace": add_all_kinds(train(pre_tokenizers.Whitespace(), normalizers.Lowercase(), unk_token="<unk>", fuse_unk=True)),
        "whitespace-split": train(pre_tokenizers.WhitespaceSplit(), normalizers.NFKD(), unk_token="<unk>"),
        "nfkc": add_all_kinds(train(sequence(split(" ", "merged_with_next"), BYTES), normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]))),
        "nfd": train(BYTES, normalizers.NFD()),
        "replace": train(BYTES, normalizers.Sequence([normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Replace("the", "THE")])),
        "split-first": train(sequence(split("-", "merged_with_next"), pre_tokenizers.Metaspace(prepend_scheme="first")), **spm),
        "ignore-merges": train(None, normalizers.Replace(" ", blank), ignore_merges=True, **spm),
        "no-unknown": train(pre_tokenizers.WhitespaceSplit()),
        "words": train(sequence(split(Regex(r"\w+|[^\w\s]+"), "removed", True), BYTES)),
        "intervals": train(sequence(split(Regex(r"\d{1,3}+|[^\S\n]{2,}|\p{Han}{,3}x"), "isolated"), BYTES)),
    }
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            name = f"{behavior}-inverted" if invert else behavior
            zoo[name] = train(sequence(split(Regex(r"[\s\p{P}]|l*"), behavior, invert), BYTES), size=400)
    return {name: json.loads(tokenizer.to_str()) for name, tokenizer in zoo.items()}


POOLS = [
    [chr(c) for c in range(32, 127)], list(" \t\n\r\x0b\x0c\x85\u00a0\u2003\u2028\u3000\u180e\u200b\u200d\ufeff"),
    [chr(c) for c in range(0x4e00, 0x4f00)], [chr(c) for c in range(0x300, 0x370)],
    [chr(c) for c in range(0x1f600, 0x1f650)] + ["\u200d", "\ufe0f", "\U0001f3fd"], [chr(c) for c in range(0x400, 0x450)],
    [chr(c) for c in range(0xac00, 0xac80)] + [chr(c) for c in range(0x1100, 0x1200)], [chr(c) for c in range(0x900, 0x980)],
    [chr(c) for c in range(0x600, 0x700)], [chr(c) for c in range(32)] + ["\x7f"],
    ["'s", "'S", "'ll", "'LL", "'\u017f", "n't", "\u2581", "\u0120", "0123456789", "\u00bd", "\u00b2", "\u2167", "\u0130", "\u00df", "\ufb01", "\u00c5", "\u00e9", "e\u0301", "\uac01", "\u2460"],
    [" ", "  ", "\n", "\r\n"], ["the ", "Lantern", " of", "ing", "def ", "return", "    "],
    ["LEFT", " LEFT", "RIGHT ", "word", "words", "Caf\u00e9", "CAFE\u0301", "<a>", "<a><b>", "<b>", "BOTH", " BOTH ", "both", "_"],
]


def any_character(r):
    c = r.choice([r.randrange(0x110000), r.randrange(0x10000, 0x20000), r.randrange(0xa000, 0xac00), r.randrange(0x800, 0x2000)])
    return " " if 0xd800 <= c < 0xe000 else chr(c)


def hostile(count, seed, specials=()):
    r, pools, out = random.Random(seed), POOLS + ([list(specials)] if specials else []), []
    for _ in range(count):
        some = r.sample(pools, r.choice([1, 2, 3, len(pools)]))
        text = ""
        for _ in range(r.choice([1, 3, 10, 40, 120])):
            roll = r.random()
            if roll < 0.08:
                text += r.choice(some[0]) * r.randint(1, 60)
            elif roll < 0.16:
                text += any_character(r)
            else:
                text += r.choice(r.choice(some))
        out.append(text)
    return out
