"""summary.py SOURCE OUTPUT MEASURED.json HAND_MADE.json: what the demo made, for people to read."""
import json
import math
import pathlib
import shlex
import struct
import sys

TWO_SIDED = 1.96  # standard errors to each side that hold 95 %


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


def row(name, value):
    print(f"  {name:<28}{value}")


def candidate(one):
    bits = f"{one['bits_per_parameter']:.2f}"
    interval = TWO_SIDED * one["kl_standard_error"]
    share = f"{100 * interval / one['kl_mean']:.0f} %" if one["kl_mean"] > 0 else "-"
    note = ", the same choice" if one.get("same") else ""
    row(one["name"], f"{bits:>5}  {one['kl_mean']:.5f} +- {interval:.5f} ({share})  {100 * one['top1_agreement']:.2f} %{note}")


def verdict(ours, by_hand):
    """In plain words; the errors are of each measurement alone, and both had the same text."""
    best = min(by_hand, key=lambda one: one["kl_mean"])
    if ours["kl_mean"] <= 0 or best["kl_mean"] <= 0:
        return
    ratio = ours["kl_mean"] / best["kl_mean"]
    interval = TWO_SIDED * math.hypot(ours["kl_standard_error"] / ours["kl_mean"], best["kl_standard_error"] / best["kl_mean"])
    print(f"\n  The choice has {ratio:.2f} times the KL of the best rule made by hand of the same bytes, {best['name']};\n"
          f"  the ratio is known to +- {100 * interval:.0f} %, as if both had other texts. This model is tiny and the text short:\n"
          f"  docs/benchmarks.md compares on larger models, window by window.")


def main():
    source, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    measured, by_hand = (json.loads(pathlib.Path(path).read_text()) for path in sys.argv[3:5])
    parameters = sum(math.prod(entry["shape"]) for entry in tensors(source))

    def size(folder):
        bits = 8 * tensor_bytes(folder) / parameters
        return f"{folder_bytes(folder) / 1e6:.2f} MB, {bits:.2f} bits a parameter over all tensors"

    candidates = measured["candidates"]
    row("source", size(source))
    row("output", size(output))
    row("perplexity", f"{measured['source_perplexity']:.4f} source, {candidates[0]['perplexity']:.4f} output as served")
    print(f"\n  KL from the source as served, nats a token, 95 % intervals, and how often the most likely token is the same;\n"
          f"  {measured['positions']} tokens that nothing was learnt from\n")
    row("", " bits")
    candidate({**candidates[0], "name": "chosen by Strata"})
    for one in by_hand:
        candidate(one)
    for one in candidates[1:]:
        if "bits_per_parameter" in one:
            candidate(one)
    verdict(candidates[0], by_hand)
    pasted = f"./{output}" if str(output).startswith("-") else str(output)
    print()
    row("output is in", output)
    row("serve it with", f"vllm serve {shlex.quote(pasted)}")
    print("\n  transformers 5.15 to 5.23 loads the NVFP4 experts of a mixture-of-experts without their global scales\n"
          "  and then answers nonsense, with no error; vLLM and `strata eval` read them right (see README.md).")


main()
