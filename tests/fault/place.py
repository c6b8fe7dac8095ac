"""What the fault tests share: models, a folder in which one run happens again and again, and its calls to the system."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))

from fork_server import ForkServer  # noqa: E402  (its folder is on the path only now)
from program import CALIBRATION, MODEL, PROGRAM, Result, check  # noqa: E402

starts = ForkServer(PROGRAM)
IN_FLIGHT = 2  # layers that may be computed but not committed


def write_dense_model(path, seed=1, layers=4, hidden=128, inner=256, vocabulary=1024):
    """A Llama of random BF16 in two files with the tokenizer of the demo model."""
    shapes = {"model.embed_tokens.weight": [vocabulary, hidden], "lm_head.weight": [vocabulary, hidden],
              "model.norm.weight": [hidden]}
    for i in range(layers):
        p = f"model.layers.{i}."
        shapes.update({p + "input_layernorm.weight": [hidden], p + "post_attention_layernorm.weight": [hidden],
                       **{p + f"self_attn.{x}_proj.weight": [hidden if x in "qo" else hidden // 2, hidden] for x in "qkv"},
                       p + "self_attn.o_proj.weight": [hidden, hidden],
                       p + "mlp.gate_proj.weight": [inner, hidden], p + "mlp.up_proj.weight": [inner, hidden],
                       p + "mlp.down_proj.weight": [hidden, inner]})
    os.makedirs(path)
    names = sorted(shapes)
    middle = names.index(f"model.layers.{layers // 2}.input_layernorm.weight")
    halves = {"model-00001-of-00002.safetensors": names[:middle], "model-00002-of-00002.safetensors": names[middle:]}
    generator = random.Random(seed)
    for file, tensors in halves.items():
        write_shard(os.path.join(path, file), {name: shapes[name] for name in tensors}, generator)
    where = {name: file for file, tensors in halves.items() for name in tensors}
    write_json(os.path.join(path, "model.safetensors.index.json"), {"metadata": {}, "weight_map": where})
    write_json(os.path.join(path, "config.json"), {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": inner,
        "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "vocab_size": vocabulary, "max_position_embeddings": 2048, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": False})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(MODEL, name), path)


def write_shard(path, shapes, generator):
    # The high byte of a BF16 is its sign and seven bits of its exponent: these are of about 0.01 to 0.1.
    high = bytes((b & 0x80) | (0x3C + (b & 1)) for b in range(256))
    header, blocks, offset = {}, [], 0
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        data = bytearray(generator.randbytes(2 * count))
        data[1::2] = data[1::2].translate(high) if len(shape) > 1 else b"\x3f" * count
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + 2 * count]}
        offset += 2 * count
        blocks.append(bytes(data))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blocks))


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def digests(path):
    """Name -> hash of each file below the folder."""
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            with open(full, "rb") as file:
                found[os.path.relpath(full, path)] = hashlib.sha256(file.read()).hexdigest()
    return found


def tree(path):
    found = set()
    for folder, folders, names in os.walk(path):
        found |= {os.path.relpath(os.path.join(folder, name), path) + "/" for name in folders}
        found |= {os.path.relpath(os.path.join(folder, name), path) for name in names}
    return found


def end_by_signal(number):
    return -int(number)


KILLED = end_by_signal(signal.SIGKILL)


class Place:
    """A folder with one command, which writes `out` in it and may leave `out.work` and `out.partial`.

    Its first run is an exec, the others are forks of a server, unless they say so (real=True). With real=False all are:
    a fork takes less memory than an exec before it begins, and a limit of memory can hold for one of them only."""

    def __init__(self, root, name, model, *options, real=True):
        self.name, self.model, self.real = name, model, real
        self.root = os.path.join(root, name)
        self.log = os.path.join(root, name + ".log")
        os.makedirs(self.root)
        self.out = os.path.join(self.root, "out")
        self.work, self.partial = self.out + ".work", self.out + ".partial"
        self.command = ["quantize", model, "-o", self.out, "--color", "never", *map(str, options)]
        self.expected, self.left, self.layers = {}, set(), 0
        self.real_seconds = self.seconds = 0.0  # of an undisturbed run: an exec, a fork

    def at(self, *names):
        return os.path.join(self.root, *names)

    def clear(self):
        shutil.rmtree(self.root)
        os.makedirs(self.root)

    def run(self, *more, faults=(), log=False, **options):
        """The command to its end."""
        command = [PROGRAM]
        for fault in faults:
            command += ["--fault", fault]
        if log:
            command += ["--fault-log", self.log]
        command += [*self.command, *map(str, more)]
        completed = starts.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=600, **options)
        return Result(command[1:], completed)

    def start(self, *more, faults=(), **options):
        planted = [word for fault in faults for word in ("--fault", fault)]
        return starts.popen([PROGRAM, *planted, *self.command, *map(str, more)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)

    def timed(self, **options):
        before = time.monotonic()
        return self.run(**options), time.monotonic() - before

    def undisturbed(self):
        """The run that all others are compared with, and its calls."""
        self.clear()
        if os.path.exists(self.log):
            os.remove(self.log)
        result, self.real_seconds = self.timed(log=True, real=self.real)
        check(result.code == 0, f"{self.name}: the undisturbed run", result)
        self.expected, self.left = digests(self.out), tree(self.root)
        self.layers = len(self.events("layer"))
        self.clear()
        result, self.seconds = self.timed()
        check(digests(self.out) == self.expected, f"{self.name}: two undisturbed runs are equal", result)
        print(f"{self.name}: {self.layers} layers in {self.seconds:.2f} s", flush=True)
        return self.logged()

    def logged(self):
        with open(self.log, encoding="utf-8") as file:
            return [Call.parse(line, self) for line in file.read().splitlines()]

    def events(self, kind):
        found = []
        try:
            with open(os.path.join(self.work, "events.jsonl"), "rb") as file:
                for line in file.read().split(b"\n"):
                    try:
                        event = json.loads(line)
                    except ValueError:  # cut by a kill
                        continue
                    found += [event] if event["event"] == kind else []
        except FileNotFoundError:
            pass
        return found

    def whole(self):
        return os.path.isdir(self.out) and digests(self.out) == self.expected

    def check_whole(self, what, seen=""):
        """The output is right, and nothing else is left than what an undisturbed run leaves."""
        found = digests(self.out) if os.path.isdir(self.out) else {}
        wrong = [name for name in found.keys() | self.expected.keys() if found.get(name) != self.expected.get(name)]
        check(not wrong, f"{self.name}: {what}: the output is that of an undisturbed run", f"{wrong}\n{seen}")
        left = tree(self.root) ^ self.left
        check(not left, f"{self.name}: {what}: nothing else is left", f"{sorted(left)}\n{seen}")


class Call:
    """A call of base/ on files, as strata_faulty logs it."""

    def __init__(self, operation, path, target, place):
        self.operation, self.path, self.target = operation, path, target
        self.role = role_of(path, place) + (" to " + role_of(target, place) if target else "")

    @staticmethod
    def parse(line, place):
        words = line.split(" ")
        return Call(words[0], words[1], words[2] if len(words) > 2 else "", place)

    @property
    def kind(self):
        return f"{self.operation} {self.role}"

    def holds(self, text):
        return text in self.path or text in self.target


def role_of(path, place):
    """What a path is for, without the names that differ from run to run."""
    if path.startswith(place.model):
        return "source " + ("shard" if path.endswith(".safetensors") else "file")
    if path.startswith(os.path.dirname(place.model)) and not path.startswith(place.root):
        return "dataset"
    inner = os.path.relpath(path, os.path.dirname(place.root)).replace(os.path.basename(place.root), "PARENT", 1)
    inner = inner.removeprefix("PARENT/")
    inner = re.sub(r"model(-\d+-of-\d+)?\.safetensors(?!\.)", "SHARD", inner)
    inner = re.sub(r"[0-9a-f]{16,}", "HASH", inner)
    inner = re.sub(r"(\.strata-probe-|\.probe).*", r"\1", inner)
    inner = re.sub(r"(tokenizer|tokenizer_config|generation_config|chat_template)\.(json|jinja)", "SIDECAR", inner)
    return inner if not inner.startswith("../") else "dataset"


def nth_of(calls, index, text=None):
    """OP:PATH:N of --fault for that call: the N-th of its operation on a path that holds its path."""
    call = calls[index]
    text = text or call.path.split("XXXXXX")[0]
    count = sum(other.operation == call.operation and other.holds(text) for other in calls[:index + 1])
    return f"{call.operation}:{text}:{count}"


def kinds_of(calls):
    """Kind -> the places of its calls."""
    found = {}
    for index, call in enumerate(calls):
        found.setdefault(call.kind, []).append(index)
    return found


def calibrated(scheme, samples=8, tokens=64):
    return ["--scheme", scheme, "--dataset", CALIBRATION, "--nsamples", samples, "--seqlen", tokens, "--shard-size", "400KB"]


def check_goes_on(place, what, *more, **options):
    """The same command, on a sound machine: 0 and the bytes of an undisturbed run."""
    result = place.run(*more, **options)
    check(result.code == 0, f"{what}: the same command ends with 0", result)
    place.check_whole(what, result)
    return result


def stop_at(place, layer, number=signal.SIGKILL, *more, **options):
    """Ends the run when that many layers are done."""
    run = place.start(*more, **options)
    lines = []
    for line in run.stderr:
        lines.append(line.decode())
        if f"[{layer}/" in lines[-1]:
            break
    run.send_signal(number)
    out, err = run.communicate(timeout=120)
    return run.returncode, "".join(lines) + err.decode()
