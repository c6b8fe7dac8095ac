"""Ways out that messages name: the rows of ways_*.py, which ways_out_test.py does, and the messages in the sources."""

import json
import os
import re
import struct

import checkpoint
from program import ROOT, check, strata

LAYERS = ["base", "formats", "profiles", "cache", "engine", "cli"]
WAYS = []  # (words of a message, function that provokes it and does what it says)


def way(words):
    """Says that the function provokes the message with these words and does everything that it advises."""
    def add(function):
        WAYS.append((words, function))
        return function
    return add


def message_pattern(words):
    """Words as they stand in a source: `{}` stands for anything."""
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\{[^{}]*\}", words)))


class Case:
    """One row: a folder of its own, runs that must say the words, runs that must work."""

    def __init__(self, words, folder):
        self.words, self.folder = words, folder

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def says(self, code, *arguments, **options):
        """Runs the program, which must end with the code and say the words somewhere."""
        result = strata(*arguments, **options)
        said = result.out + result.err
        check(result.code == code and message_pattern(self.words).search(said), f"exit {code} and '{self.words}'", result)
        return said

    def works(self, *arguments, code=0, **options):
        """Runs the program, which must not say the words any more."""
        result = strata(*arguments, **options)
        silent = not message_pattern(self.words).search(result.out + result.err)
        check(result.code == code and silent, f"the way out of '{self.words}' works", result)
        return result.out + result.err

    def llama(self, name="model", hidden=128, inner=256, layers=1, vocabulary=1024, **changes):
        """A small model, made once."""
        if not os.path.exists(self.path(name)):
            checkpoint.write_model(self.path(name), hidden, inner, layers, vocabulary, **changes)
        return self.path(name)

    def ids(self, rows=4, columns=8, vocabulary=1024):
        checkpoint.write_ids(self.path("ids.safetensors"), rows, columns, vocabulary)
        return self.path("ids.safetensors")

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text if isinstance(text, str) else json.dumps(text))
        return self.path(name)


def edit_config(model, **changes):
    """Changes keys of config.json; None takes one away."""
    path = os.path.join(model, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config.update(changes)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({key: value for key, value in config.items() if value is not None}, file)


def read_tensors(path):
    """Header and data of a safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        return header, bytearray(file.read())


def write_tensors(path, header, data):
    with open(path, "wb") as file:
        file.write(checkpoint.framed(header) + bytes(data))


def edit_tensors(model, change, shard="model.safetensors"):
    """change(header, data), which returns the new data or None for the same."""
    path = os.path.join(model, shard)
    header, data = read_tensors(path)
    write_tensors(path, header, change(header, data) or data)


def fill(model, tensor, bits, count=1):
    """Writes the first values of a BF16 tensor."""
    def change(header, data):
        begin = header[tensor]["data_offsets"][0]
        data[begin:begin + 2 * count] = struct.pack("<H", bits) * count
    edit_tensors(model, change)


TOKENS = re.compile(r"""//[^\n]*|/\*.*?\*/|R"\((?:.|\n)*?\)"|'(?:[^'\\\n]|\\.)'|(?P<text>"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*)""", re.S)
OPTION = r"(?<![\w-])(?:--[a-z][a-z-]+|-[wo]\b)"
VERBS = ("add|choose|convert|copy|download|end|free some|give|keep|leave|load|look|make|merge|move|name|pass|quantize|raise|remove|rename|run|save|"
         "say|set|try|untie|use|wait|write")
NAMES_A_WAY = re.compile(rf"{OPTION}|`[^`]+`|(?:^(?=\w+ \w)|[;:,(] )(?:or |so )?(?:{VERBS})\b")
SUBJECT = re.compile(r"^(?:-{1,2}[a-z][a-z-]*(?:[ =](?:\{\}|[\w.]+)(?:=\{\})?)?,? ?)+(?::|$)")  # "--window {} --max-tokens {}: ..."
DECLARED = re.compile(r"to_array<RequestOption>[\s\S]*$|"
                      r"(?:\b(?:set|options)\.(?:flag|text|texts|count|size|duration|choice|positional|add|group)\(|"
                      r"\bdeclare_\w+\(|\.(?:usage|example|summary|help|names) = )[^;]*$")


def messages_in_sources():
    """(place, text, statement before it) of every literal."""
    for layer in LAYERS:
        for folder, _, files in os.walk(os.path.join(ROOT, layer)):
            for name in sorted(files):
                if name.endswith((".cc", ".h")):
                    yield from literals(os.path.join(folder, name))


def literals(path):
    with open(path, encoding="utf-8") as file:
        source = file.read()
    for token in TOKENS.finditer(source):
        if token["text"] is not None:
            text = "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', token["text"])).replace('\\"', '"')
            place = f"{os.path.relpath(path, ROOT)}:{source[:token.start()].count(chr(10)) + 1}"
            yield place, text, re.split(r"[;}]\s*\n", source[:token.start()])[-1]


def messages():
    """(place, text) of every literal that names an option, a command or something to do."""
    return [(place, text) for place, text, statement in messages_in_sources() if not place.startswith("cli/help.cc") and
            not DECLARED.search(statement) and NAMES_A_WAY.search(SUBJECT.sub("", text))]
