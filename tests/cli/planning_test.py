"""The plan of a run that chooses formats: of a model of 235 billion parameters, against sums by hand (docs/planning.md), and
of a small one, whose time is told too."""

import json
import os
import subprocess
import sys

from program import CALIBRATION, MODEL, ROOT, check, finish, folder, strata

QWEN3_235B = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 4096, "intermediate_size": 12288,
              "num_hidden_layers": 94, "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128,
              "num_experts_per_tok": 8, "moe_intermediate_size": 1536, "vocab_size": 151936, "decoder_sparse_step": 1,
              "mlp_only_layers": [], "norm_topk_prob": True, "attention_bias": False, "hidden_act": "silu", "rms_norm_eps": 1e-6,
              "rope_theta": 1000000.0, "max_position_embeddings": 40960, "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
MENU = ["-b", "4.75", "--formats", "NVFP4,MXFP8,BF16"]
PROBES = 8
# 16,384 of 262,144 tokens: four times the hidden states of the data hold 64 lanes. Three units a layer, but for the last
# experts: five of a kind share a lane. And the source's.
FLIP_LANES = 3 * 19 + 1
HEAD_SLICES = -(-151936 * 4096 * 2 // (8 << 20))


def near(found, wanted, what):
    check(abs(found - wanted) <= 0.02 * wanted, f"{what}: within 2 % of the sum by hand", (found, wanted))


def by_hand(samples, length):
    """Parameters, and bytes of what the run keeps and writes."""
    layers, hidden, inner, experts, q, k = 94, 4096, 1536, 128, 64 * 128, 4 * 128
    units = layers * (2 * hidden * q + 2 * hidden * k + experts * 3 * hidden * inner)
    others = 2 * 151936 * hidden + layers * (experts * hidden + 2 * hidden + 2 * 128) + hidden
    states = samples * length * hidden * 4
    return {"source": 2 * (units + others), "output": units * 4.75 / 8 + 2 * others, "boundary": (layers + 1) * states,
            "flips": 3 * FLIP_LANES * (16384 // length) * length * hidden * 4, "cotangents": 3 * PROBES * states,
            "renders": units * 4.5 / 8, "kept moments": layers * (2 * hidden + q + experts * (hidden + inner)) * 24,
            "scores": (4 * layers + 1) * 3 * (samples * (PROBES + 1) * 4 + 256)}


def plan_large(work):
    config, model = os.path.join(work, "config.json"), os.path.join(work, "q235")
    with open(config, "w", encoding="utf-8") as file:
        json.dump(QWEN3_235B, file)
    subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "make_shapes.py"), config, model], check=True, stdout=subprocess.DEVNULL)
    disk = sum(os.stat(os.path.join(model, name)).st_blocks * 512 for name in os.listdir(model))
    check(disk < 50e6, "a model of names and shapes takes next to no disk", disk)
    result = strata("plan", model, *MENU, "--dataset", CALIBRATION, "--nsamples", "128", "--seqlen", "2048", "--max-memory", "110GiB",
                    "--disk", "3.5TB", "-o", os.path.join(work, "out"), "--json")
    # A machine of less memory or disk is named after the plan.
    check(result.code in (0, 4), "it is planned", result)
    plan, hand = result.json(), by_hand(128, 2048)
    check(plan["source_bytes"] == hand["source"] and plan["bytes_read"] - 3 * hand["source"] == 2 * 4096 * (HEAD_SLICES - 1)
          and round(plan["visits"], 4) == 3, "three visits, in one of which the norm comes with each slice of the head", plan)
    near(plan["output_bytes"], hand["output"], "output")
    check(plan["units"] == 3 * 94 and plan["options"] == {"NVFP4": 282, "MXFP8": 282, "BF16": 282}, "units and what they may be", plan)
    check([sweep["lanes"] for sweep in plan["sweeps"]] == [1 + FLIP_LANES, PROBES, 1, 1], "lanes", plan["sweeps"])
    kept = {}
    for sweep in plan["sweeps"]:
        kept.update(sweep["disk"])
        check(sum(sweep["memory"].values()) == sweep["peak_memory"], "memory by holder adds up to the peak", sweep)
        check(sweep["seconds"] >= 0, "each sweep has a time", sweep)
    for kind in ["boundary", "flips", "cotangents", "renders", "kept moments", "scores"]:
        near(kept[kind], hand[kind], kind)
    check(plan["peak_memory"] <= 110 << 30 and plan["work_disk"] <= 3.5e12, "it fits what it was given", plan)
    check(sum(sum(sweep["disk"].values()) for sweep in plan["sweeps"]) == plan["work_disk"], "the disk adds up", plan)
    check(plan["seconds"] > 3600, "22 billion active parameters take more than an hour", plan["seconds"])


def plan_small(work):
    out = os.path.join(work, "small")
    data = ["--dataset", CALIBRATION, "--nsamples", "4", "--seqlen", "64"]
    text = strata("plan", MODEL, *MENU, *data, "-o", out)
    check(text.code == 0, "a mixed run is planned", text)
    for line in ["units", "option", "sweep 2", "time", "work folder", "of cotangents", "3 visits of the source"]:
        check(line in text.out, f"the table says {line}", text)
    plain = strata("plan", MODEL, "--scheme", "NVFP4", *data, "-o", out)
    check("time" not in plain.out and "1 visit of the source" in plain.out, "a plan of one scheme measures nothing", plain)
    check(strata("plan", MODEL, "--scheme", "NVFP4", *data, "-o", out, "--json").json()["seconds"] is None, "then there is no time")
    timed = strata("plan", MODEL, "--scheme", "NVFP4", *data, "-o", out, "--time", "--json").json()
    check(timed["seconds"] > 0, "but where it is asked to", timed)
    holders = strata("plan", MODEL, "--scheme", "NVFP4", *data, "-v")
    check("  boundary" in holders.out and "  source" in holders.out, "-v says what memory is for", holders)
    check(not os.path.exists(out) and not os.path.exists(out + ".work"), "a plan leaves nothing")


with folder() as temporary:
    plan_large(temporary)
    plan_small(temporary)
    check(sorted(os.listdir(temporary)) == ["config.json", "q235"], "nothing is left of measuring", os.listdir(temporary))
finish()
