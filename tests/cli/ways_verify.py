"""Ways out that findings of `strata verify` name."""

import json
import os
import shutil

from program import MODEL
from ways import edit_config, read_tensors, way


def output(case, *more):
    case.works("quantize", MODEL, "-o", case.path("out"), "--scheme", "NVFP4A16", *more)
    return case.path("out")


def section_of(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        return json.load(file)["quantization_config"]


@way("is a leftover of an unfinished run; remove it or write the output again")
def leftover(case):
    out = output(case)
    case.write("out/model.safetensors.tmp", "half")
    case.says(6, "verify", out)
    os.remove(os.path.join(out, "model.safetensors.tmp"))
    case.works("verify", out)
    case.write("out/model.safetensors.tmp", "half")
    output(case, "--force")
    case.works("verify", out)


@way("{}; remove it")
def of_another_tool(case):
    out = output(case)
    case.write("out/hf_quant_config.json", "{}")
    case.says(6, "verify", out)
    os.remove(os.path.join(out, "hf_quant_config.json"))
    case.works("verify", out)


@way("belongs to no part of the model, but vLLM would read it; remove it or write an index")
def orphan(case):
    out = output(case)
    shard = next(name for name in os.listdir(out) if name.endswith(".safetensors"))
    shutil.copy(os.path.join(out, shard), os.path.join(out, "extra.safetensors"))
    case.says(6, "verify", out)
    os.remove(os.path.join(out, "extra.safetensors"))
    case.works("verify", out)
    shutil.copy(os.path.join(out, shard), os.path.join(out, "extra.safetensors"))
    header, data = read_tensors(os.path.join(out, shard))
    header.pop("__metadata__", None)
    case.write("out/model.safetensors.index.json", {"metadata": {"total_size": len(data)}, "weight_map": dict.fromkeys(header, shard)})
    case.works("verify", out)


@way("is a switch of a loader, not of a checkpoint; leave it out")
def loader_switch(case):
    out = output(case)
    section = section_of(out)
    edit_config(out, quantization_config={**section, "run_compressed": True})
    case.says(6, "verify", out)
    edit_config(out, quantization_config=section)
    case.works("verify", out)


@way("a tool that sorts keys would change their order, name them group_00, group_01 and so on")
def group_names(case):
    out = output(case, "--override", "*.self_attn.*=FP8_DYNAMIC")
    section = section_of(out)
    groups = list(section["config_groups"].values())
    edit_config(out, quantization_config={**section, "config_groups": {"group_2": groups[0], "group_10": groups[1]}})
    case.says(0, "verify", out)
    edit_config(out, quantization_config={**section, "config_groups": {"group_00": groups[0], "group_01": groups[1]}})
    case.works("verify", out)


@way("{}: they need --source")
def needs_source(case):
    out = output(case)
    case.says(0, "verify", out)
    case.works("verify", out, "--source", MODEL)
