"""The plan's peak memory is what a run takes, within 20 %: without data, with data, on a larger model of one's own."""

import json
import os
import random
import struct

import program
from program import check, strata

PEAK_LINE = "VmHWM:"


def peak_of(arguments):
    """Peak resident bytes of a run, as the kernel counted them (GNU time would say the same)."""
    pid = os.posix_spawn(program.PROGRAM, [program.PROGRAM, *map(str, arguments)], os.environ,
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                                       (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    check(os.waitstatus_to_exitcode(status) == 0, "the run succeeds", " ".join(map(str, arguments)))
    return usage.ru_maxrss * 1024


def compare(name, arguments):
    planned = strata("plan", *arguments, "--json").json()["peak_memory"]
    measured = peak_of(["quantize", *arguments, "-q"])
    print(f"{name:28} planned {planned / 2**20:7.1f} MiB, measured {measured / 2**20:7.1f} MiB, "
          f"ratio {planned / measured:.2f}", flush=True)
    check(0.8 <= planned / measured <= 1.2, f"{name}: plan within 20 %", f"{planned} planned, {measured} measured")


def write_llama(folder, hidden, inner, layers, vocabulary, **changes):
    """A Llama with plausible BF16 values, written without any package; `changes` go into its config."""
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
              "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": hidden // 64,
              "num_key_value_heads": hidden // 128, "rms_norm_eps": 1e-6, "vocab_size": vocabulary,
              "max_position_embeddings": 4096, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, **changes}
    shapes = {"model.embed_tokens.weight": [vocabulary, hidden], "lm_head.weight": [vocabulary, hidden],
              "model.norm.weight": [hidden]}
    for i in range(layers):
        p = f"model.layers.{i}."
        shapes.update({p + "input_layernorm.weight": [hidden], p + "post_attention_layernorm.weight": [hidden],
                       p + "self_attn.q_proj.weight": [hidden, hidden], p + "self_attn.o_proj.weight": [hidden, hidden],
                       p + "self_attn.k_proj.weight": [hidden // 2, hidden], p + "self_attn.v_proj.weight": [hidden // 2, hidden],
                       p + "mlp.gate_proj.weight": [inner, hidden], p + "mlp.up_proj.weight": [inner, hidden],
                       p + "mlp.down_proj.weight": [hidden, inner]})
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = random.Random(5)
    # Sign, exponent 0x3c80..0x3cff and random mantissas: magnitudes around 0.02.
    block = b"".join(struct.pack("<H", 0x3C80 | generator.getrandbits(7) | generator.getrandbits(1) << 15) for _ in range(1 << 16))
    os.makedirs(folder)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for start in range(0, offset, len(block)):
            file.write(block[:min(len(block), offset - start)])
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)


def write_ids(path, rows, columns, vocabulary):
    text = json.dumps({"input_ids": {"dtype": "I64", "shape": [rows, columns], "data_offsets": [0, rows * columns * 8]}}).encode()
    text += b" " * (-len(text) % 8)
    generator = random.Random(6)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.write(b"".join(struct.pack("<q", generator.randrange(vocabulary)) for _ in range(rows * columns)))


def main():
    with program.folder() as work:
        def out(name):
            return ["-o", os.path.join(work, name)]

        compare("demo, NVFP4A16", [program.MODEL, *out("a"), "--scheme", "NVFP4A16"])
        compare("demo, NVFP4 64 x 256", [program.MODEL, *out("b"), "--scheme", "NVFP4", "--dataset", program.CALIBRATION,
                                         "--nsamples", "64", "--seqlen", "256"])
        model, ids = os.path.join(work, "model"), os.path.join(work, "ids.safetensors")
        write_llama(model, 1024, 4096, 2, 16000)
        write_ids(ids, 64, 512, 16000)
        compare("Llama 1024, W4A16", [model, *out("c"), "--scheme", "W4A16"])
        compare("Llama 1024, NVFP4 64 x 512", [model, *out("d"), "--scheme", "NVFP4", "--dataset", ids, "--nsamples", "64",
                                               "--seqlen", "512"])
        window, long_ids = os.path.join(work, "window"), os.path.join(work, "long.safetensors")
        write_llama(window, 256, 512, 1, 1000, architectures=["MistralForCausalLM"], model_type="mistral",
                    sliding_window=1024, max_position_embeddings=32768)
        write_ids(long_ids, 4, 8192, 1000)
        compare("Mistral, window, 4 x 8192", [window, *out("e"), "--scheme", "NVFP4", "--dataset", long_ids, "--nsamples", "4",
                                              "--seqlen", "8192"])
    program.finish()


main()
