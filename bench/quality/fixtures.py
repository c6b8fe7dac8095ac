"""The models to measure on, and token ids of theirs: prices are taken from one text, KL is measured on another."""

import array
import dataclasses
import json
import os
import struct
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.join(os.path.dirname(ROOT), "shared")
MODELS = os.path.join(SHARED, "fixtures", "models")
TEXT = os.path.join(SHARED, "fixtures", "text")
EVALUATION_WINDOW = 256


@dataclasses.dataclass(frozen=True)
class Fixture:
    name: str
    folder: str
    mixture: bool
    text: tuple      # of calibration and of evaluation: a file, or a seed of demo/make_corpus.py
    share: float     # of the calibration text that is for calibration; below 1 the rest of it is for evaluation
    samples: int     # windows that prices are taken from
    window: int      # tokens in one of them
    tokens: int      # to evaluate assignments on
    few_tokens: int  # to evaluate single units on
    few_window: int  # tokens in a window where many small samples are wanted

    def missing(self):
        """What is not there, or None."""
        paths = [self.folder, *(text for text in self.text if isinstance(text, str))]
        return next((path for path in paths if not os.path.exists(path)), None)


def wiki(name, mixture):
    text = tuple(os.path.join(TEXT, "wikitext-2", f"wiki.{part}.tokens") for part in ("valid", "test"))
    return Fixture(name, os.path.join(MODELS, name), mixture, text, 1.0, 64, 256, 16384, 16384 if mixture else 4096, 128)


STORIES = os.path.join(TEXT, "misc", "tinystories_slice.txt")
FIXTURES = [
    wiki("qwen3-dense", False),
    wiki("qwen3-moe", True),
    # 32,737 tokens in all: what 16,384 of evaluation leave.
    Fixture("tinystories-656k", os.path.join(MODELS, "tinystories-656k"), False, (STORIES, STORIES), 0.49, 62, 256, 16384, 4096, 32),
    # A few routing flips dominate its KL: more of both texts, which are made here.
    Fixture("demo-moe", os.path.join(ROOT, "demo", "model"), True, (2, 3), 1.0, 128, 256, 32768, 16384, 128),
]


def read_ids(path):
    """All ids of a .safetensors that `strata tokenize` wrote."""
    with open(path, "rb") as file:
        header = file.read(struct.unpack("<Q", file.read(8))[0])
        ids = array.array("q")
        ids.frombytes(file.read())
    return ids[:json.loads(header)["input_ids"]["data_offsets"][1] // 8]


def write_rows(path, rows):
    values = array.array("q", [value for row in rows for value in row])
    shape = [len(rows), len(rows[0])]
    header = json.dumps({"input_ids": {"dtype": "I64", "shape": shape, "data_offsets": [0, 8 * len(values)]}}).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + values.tobytes())


class Texts:
    """Files of token ids of one fixture, made once in `folder`."""

    def __init__(self, program, fixture, folder):
        self.program, self.fixture, self.folder = program, fixture, folder
        os.makedirs(folder, exist_ok=True)
        ids = [self._ids(text) for text in fixture.text]
        if fixture.share < 1:
            cut = int(len(ids[0]) * fixture.share)
            ids = [ids[0][:cut], ids[0][cut:]]
        self.calibration_ids, self.evaluation_ids = ids

    def calibration(self, times=1):
        """What prices are taken from: (file, windows, tokens in a window); of `times` as many windows."""
        name = "calibration" if times == 1 else f"calibration-{times}"
        return self._windows(name, range(times * self.fixture.samples), self.fixture.window)

    def parts(self, count, samples):
        """Disjoint samples of windows of the calibration text, dealt so that no part has a topic for itself."""
        window = self.fixture.few_window
        fitting = len(self.calibration_ids) // window // count
        if fitting < 2:
            sys.exit(f"quality: {self.fixture.name}: {len(self.calibration_ids)} tokens make no {count} parts of windows of {window}")
        samples = min(samples, fitting)
        return [self._windows(f"part-{part}-of-{count}-{samples}", range(part, count * samples, count), window)
                for part in range(count)]

    def evaluation(self, tokens=None):
        """(file, tokens) that KL is measured on."""
        return self._rows("evaluation", self.evaluation_ids, 0, tokens or self.fixture.tokens)

    def heldout(self):
        """The same windows for --heldout; the last position of each has no next token there, and is not measured."""
        path = os.path.join(self.folder, f"heldout-{self.fixture.tokens}.safetensors")
        ids = self.evaluation_ids[:self.fixture.tokens]
        write_rows(path, [ids[i:i + EVALUATION_WINDOW] for i in range(0, len(ids), EVALUATION_WINDOW)])
        return path, self.fixture.tokens

    def evaluation_slice(self, index, count):
        """One of `count` equal parts of it, that follow each other."""
        tokens = self.fixture.tokens // count
        return self._rows(f"evaluation-{index * tokens}", self.evaluation_ids, index * tokens, tokens)

    def seen(self, first, tokens):
        """The same of calibration text, from token `first` on."""
        return self._rows(f"seen-{first}", self.calibration_ids, first, tokens)

    def _ids(self, text):
        source = text if isinstance(text, str) else os.path.join(self.folder, f"corpus-{text}.jsonl")
        if not isinstance(text, str) and not os.path.exists(source):
            made = subprocess.run([sys.executable, os.path.join(ROOT, "demo", "make_corpus.py"), str(text), "9000"],
                                  stdout=subprocess.PIPE, check=True)
            with open(source, "wb") as file:
                file.write(made.stdout)
        path = os.path.join(self.folder, f"ids-{os.path.basename(source)}.safetensors")
        arguments = ["tokenize", self.fixture.folder, "--dataset", source, "-o", path, "--force"]
        if not os.path.exists(path):
            tokens = self.program.json(*arguments)["tokens"]
            # In windows documents follow one another; otherwise each is a padded row.
            self.program.json(*arguments, "--seqlen", "32", "--nsamples", str(tokens // 32))
        return read_ids(path)

    def _windows(self, name, indices, length):
        path = os.path.join(self.folder, f"{name}-{length}.safetensors")
        rows = [self.calibration_ids[i * length:(i + 1) * length] for i in indices]
        write_rows(path, rows)
        return path, len(rows), length

    def _rows(self, name, ids, first, tokens):
        """Windows of which each has one id more: the next token of its last position."""
        length = EVALUATION_WINDOW
        starts = range(first, first + tokens, length)
        if len(ids) < starts[-1] + length:
            sys.exit(f"quality: {self.fixture.name}: {len(ids)} ids, {starts[-1] + length} are wanted for {name}")
        last = ids[-1:]  # the very last position may have none
        path = os.path.join(self.folder, f"{name}-{tokens}.safetensors")
        write_rows(path, [ids[i:i + length + 1] if i + length < len(ids) else ids[i:i + length] + last for i in starts])
        return path, tokens
