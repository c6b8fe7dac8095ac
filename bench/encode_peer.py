#!/usr/bin/env python3
"""compressed-tensors' own quantizer and compressor beside bench_encode, on the CPU with the same threads.

    build/oracle/bin/python bench/encode_peer.py build/release/bench/bench_encode [--threads 1] [--rows N] [--cols N]

Prints GB/s of BF16 weights for scales, codes and packing together, and how many times faster ours is: encoding as
compressed-tensors does (the same bytes) and with searched scales. Medians of three for the peer; processor time with
one thread, the clock with all.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

try:
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import preset_name_to_scheme
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
except ImportError as error:
    print(f"encode_peer: {error}; run scripts/setup.sh --oracle")
    sys.exit(77)

LAYOUTS = {
    "NVFP4A16": "nvfp4-pack-quantized",
    "MXFP4A16": "mxfp4-pack-quantized",
    "MXFP8A16": "mxfp8-quantized",
    "FP8_DYNAMIC": "float-quantized",
    "W4A16": "pack-quantized",
    "W8A16": "pack-quantized",
    "INT8": "int-quantized",
}


def compress(scheme, layout, weight):
    args, global_scale = scheme.weights, None
    blocks = weight.unflatten(-1, (-1, args.group_size)) if args.group_size and args.group_size > 0 else weight
    keep = blocks is weight  # one scale a row
    if args.strategy == "tensor_group":
        global_scale = generate_gparam(weight.min(), weight.max())
    scale, zero = calculate_qparams(blocks.amin(-1, keepdim=keep), blocks.amax(-1, keepdim=keep), args, global_scale)
    state = {"weight": weight, "weight_scale": scale, "weight_zero_point": zero}
    if global_scale is not None:
        state["weight_global_scale"] = global_scale
    return BaseCompressor.get_value_from_registry(layout).compress(state, scheme)


def peer_speed(name, weight, threads):
    scheme, now = preset_name_to_scheme(name, ["Linear"]), time.process_time if threads == 1 else time.perf_counter
    times = []
    for _ in range(4):  # the first warms up
        start = now()
        compress(scheme, LAYOUTS[name], weight)
        times.append(now() - start)
    return weight.numel() * 2 / statistics.median(times[1:]) / 1e9


def our_speeds(program, name, options):
    """GB/s by row name, on as many cores as the peer has threads."""
    text = subprocess.run([program, "--format", name, "--rows", str(options.rows), "--cols", str(options.cols)],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = re.findall(r"^(.+?) +([0-9.]+) +([0-9.]+) +[0-9.]+$", text, re.MULTILINE)
    return {row: float(one if options.threads == 1 else many) for row, one, many in rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="bench_encode")
    parser.add_argument("--threads", type=int, default=1, choices=[1, os.cpu_count()])
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--cols", type=int, default=4096)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    weight = (torch.randn(options.rows, options.cols) * 0.02).to(torch.bfloat16)
    print(f"{'format':12} {'peer GB/s':>10} {'same bytes':>11} {'times':>7} {'searched':>9} {'times':>7}")
    for name in LAYOUTS:
        peer, ours = peer_speed(name, weight, options.threads), our_speeds(options.program, name, options)
        same, searched = ours[f"{name} encode compressed_tensors"], ours[f"{name} encode search"]
        print(f"{name:12} {peer:10.3f} {same:11.2f} {same / peer:6.0f}x {searched:9.2f} {searched / peer:6.0f}x", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
