"""summary.py SOURCE OUTPUT PLAN.json EVAL.json: what the demo made, for people to read."""
import json
import math
import pathlib
import shlex
import struct
import sys


def tensors(folder):
    """Every tensor entry of a folder's safetensors headers."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        yield from (entry for name, entry in header.items() if name != "__metadata__")


def tensor_bytes(folder):
    return sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in tensors(folder))


def folder_bytes(folder):
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def main():
    source, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    plan, measured = (json.loads(pathlib.Path(path).read_text()) for path in sys.argv[3:5])
    parameters = sum(math.prod(entry["shape"]) for entry in tensors(source))
    weights_only = measured["weights_only"]

    def row(name, value):
        print(f"  {name:<26}{value}")

    def size(folder):
        bits = 8 * tensor_bytes(folder) / parameters
        return f"{folder_bytes(folder) / 1e6:.2f} MB, {bits:.2f} bits a parameter over all tensors"

    row("source", size(source))
    row("output", size(output))
    row("quantized weights", f"{plan['bits_per_parameter']:.2f} bits a parameter, scales counted")
    row("KL, weights only", f"{weights_only['kl_mean']:.5f} +- {weights_only['kl_se']:.5f} nats a token")
    row("KL, as served", f"{measured['kl_mean']:.5f} +- {measured['kl_se']:.5f} (activations in 4 bits too)")
    row("same most likely token", f"{100 * measured['top1_agreement']:.2f} % of {measured['tokens']}")
    row("perplexity", f"{measured['ppl_reference']:.4f} source, {measured['ppl']:.4f} output as served")
    row("output is in", output)
    pasted = f"./{output}" if str(output).startswith("-") else str(output)
    row("serve it with", f"vllm serve {shlex.quote(pasted)}")
    print("\n  transformers 5.15 to 5.23 loads the NVFP4 experts of a mixture-of-experts without their global scales\n"
          "  and then answers nonsense, with no error; vLLM and `strata eval` read them right (see README.md).")


main()
