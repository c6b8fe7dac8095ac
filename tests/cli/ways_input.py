"""Ways out of models and data that cannot be read: files that are missing, mixed or broken."""

import json
import os
import re
import shutil

from program import MODEL, check
from ways import edit_config, edit_tensors, fill, way

FIRST, SECOND = (f"model-0000{i}-of-00003.safetensors" for i in (1, 2))
INDEX = "model.safetensors.index.json"


def copied(case, name="model", source=MODEL):
    return shutil.copytree(source, case.path(name))


@way("is a file; give the folder that holds config.json and the safetensors files")
def file_for_folder(case):
    case.says(5, "inspect", os.path.join(MODEL, "config.json"))
    case.works("inspect", MODEL)


@way("it looks like a hub id: run `hf download {} --local-dir {}` and give that folder")
def hub_id(case):
    said = case.says(5, "inspect", "org/name", cwd=case.folder)
    # Another program does the download; what it is told must be one command with a folder that is then there.
    words = re.search(r"run `(.*)`", said)[1].split()
    check(words[:3] == ["hf", "download", "org/name"] and words[3] == "--local-dir", "a command of hf", words)
    copied(case, words[4])
    case.works("inspect", words[4], cwd=case.folder)


@way("is a link to nothing; its download is not finished: run it again")
def link_to_nothing(case):
    model = copied(case)
    os.remove(os.path.join(model, "config.json"))
    os.symlink("blobs/none", os.path.join(model, "config.json"))
    case.says(5, "inspect", model)
    os.remove(os.path.join(model, "config.json"))
    shutil.copy(os.path.join(MODEL, "config.json"), model)
    case.works("inspect", model)


@way("is a link that leaves the folder, to {}; copy the file here or give the folder of the originals")
def link_out(case):
    originals, model = copied(case, "originals"), copied(case)
    os.remove(os.path.join(model, FIRST))
    os.symlink(os.path.join(originals, FIRST), os.path.join(model, FIRST))
    said = case.says(5, "inspect", model)
    case.works("inspect", os.path.dirname(re.search(r"folder, to ([^;]*);", said)[1]))
    os.remove(os.path.join(model, FIRST))
    shutil.copy(os.path.join(originals, FIRST), model)
    case.works("inspect", model)


@way("; {} is an unfinished download: run it again")
def unfinished(case):
    model = copied(case)
    os.rename(os.path.join(model, SECOND), os.path.join(model, SECOND + ".incomplete"))
    case.says(5, "inspect", model)
    os.rename(os.path.join(model, SECOND + ".incomplete"), os.path.join(model, SECOND))
    case.works("inspect", model)


@way("is a folder of the hub's cache; give one of the folders under {}")
def cache_folder(case):
    copied(case, "models--org--name/snapshots/0123")
    said = case.says(5, "inspect", case.path("models--org--name"))
    snapshots = re.search(r"folders under (\S+)", said)[1]
    case.works("inspect", os.path.join(snapshots, os.listdir(snapshots)[0]))


@way("is not named by {}, which names {} other shards; two checkpoints are mixed: remove one")
def mixed_with_index(case):
    model = copied(case)
    shutil.copy(os.path.join(model, FIRST), os.path.join(model, "model.safetensors"))
    case.says(5, "inspect", model)
    os.remove(os.path.join(model, "model.safetensors"))
    case.works("inspect", model)


@way("without an index; two checkpoints are mixed: remove one")
def mixed_without_index(case):
    model = case.llama()
    shutil.copy(os.path.join(model, "model.safetensors"), os.path.join(model, FIRST))
    case.says(5, "inspect", model)
    os.remove(os.path.join(model, FIRST))
    case.works("inspect", model)


@way("{} is missing, but there are shards ({} of them, the first is {}); download it too")
def no_index(case):
    model = copied(case)
    os.remove(os.path.join(model, INDEX))
    case.says(5, "inspect", model)
    shutil.copy(os.path.join(MODEL, INDEX), model)
    case.works("inspect", model)


@way("is a Git LFS pointer of {} bytes, not the weights; run `git lfs pull` in its folder")
def lfs_pointer(case):
    model = case.llama()
    weights = case.path("weights")
    os.rename(os.path.join(model, "model.safetensors"), weights)
    case.write("model/model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    case.says(5, "inspect", model)
    os.replace(weights, os.path.join(model, "model.safetensors"))  # what git does
    case.works("inspect", model)


@way("begins with a byte order mark; JSON has none, remove it")
def byte_order_mark(case):
    model = case.llama()
    path = os.path.join(model, "config.json")
    with open(path, "rb") as file:
        text = file.read()
    with open(path, "wb") as file:
        file.write(b"\xef\xbb\xbf" + text)
    case.says(5, "inspect", model)
    with open(path, "wb") as file:
        file.write(text)
    case.works("inspect", model)


@way("rope_type is {} but type is {}; remove one")
def two_rope_types(case):
    model = case.llama(rope_scaling={"rope_type": "linear", "type": "llama3", "factor": 2.0})
    case.says(5, "plan", model, "--scheme", "KEEP")
    edit_config(model, rope_scaling={"rope_type": "linear", "factor": 2.0})
    case.works("plan", model, "--scheme", "KEEP")
    edit_config(model, rope_scaling={"type": "linear", "factor": 2.0})
    case.works("plan", model, "--scheme", "KEEP")


@way("rope_scaling and rope_parameters differ; remove one")
def two_ropes(case):
    one, other = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}, {"rope_type": "default", "rope_theta": 10000.0}
    model = case.llama(rope_scaling=one, rope_parameters=other)
    case.says(5, "plan", model, "--scheme", "KEEP")
    edit_config(model, rope_scaling=None)
    case.works("plan", model, "--scheme", "KEEP")
    edit_config(model, rope_scaling=one, rope_parameters=None)
    case.works("plan", model, "--scheme", "KEEP")


@way("is not supported{}; `strata profiles` lists the families")
def unknown_family(case):
    model = case.llama(architectures=["NoSuchForCausalLM"], model_type="no_such")
    case.says(5, "plan", model, "--scheme", "KEEP")
    listed = case.works("profiles")
    check("LlamaForCausalLM" in listed, "profiles lists architectures", listed)
    edit_config(model, architectures=["LlamaForCausalLM"], model_type="llama")
    case.works("plan", model, "--scheme", "KEEP")


@way("not known ({}); `strata profiles` lists those that are")
def inspected_family(case):
    case.says(0, "inspect", case.llama(architectures=["NoSuchForCausalLM"], model_type="no_such"))
    check("LlamaForCausalLM" in case.works("profiles"), "profiles lists architectures")


@way("and {} more; --json lists all")
def many_unknown(case):
    model = case.llama(layers=4)
    edit_config(model, num_hidden_layers=1)
    said = case.says(0, "inspect", model)
    check("layers.3.mlp.up_proj" not in said, "not all are shown", said)
    check("layers.3.mlp.up_proj" in case.works("inspect", model, "--json"), "--json lists all")


@way("and {} more; --lines or --json shows them")
def many_differences(case):
    case.works("quantize", MODEL, "-o", case.path("out"), "--scheme", "NVFP4A16")
    said = case.says(0, "diff", MODEL, case.path("out"), "--lines", "3")
    shown = len(said.splitlines())
    more = case.works("diff", MODEL, case.path("out"), "--lines", "100000")
    hidden = int(re.search(r"and (\d+) more", said)[1])
    check(len(more.splitlines()) == shown - 1 + hidden, "--lines shows them", (shown, hidden, more))
    case.works("diff", MODEL, case.path("out"), "--json")


@way("no number format stores {}; `strata formats` lists what is read")
def unread_scheme(case):
    out = case.path("out")
    case.works("quantize", MODEL, "-o", out, "--scheme", "W4A16")
    with open(os.path.join(out, "config.json"), encoding="utf-8") as file:
        section = json.load(file)["quantization_config"]
    weights = next(iter(section["config_groups"].values()))["weights"]
    weights["num_bits"] = 3
    edit_config(out, quantization_config=section)
    case.says(5, "plan", out, "--scheme", "KEEP")
    check("W4A16 " in case.works("formats"), "the formats are listed")
    weights["num_bits"] = 4
    edit_config(out, quantization_config=section)
    case.works("plan", out, "--scheme", "KEEP")


@way("is a link to a folder; copy the folder here")
def linked_folder(case):
    model = copied(case)
    templates = os.path.join(model, "additional_chat_templates")
    os.mkdir(os.path.join(model, ".templates"))
    os.symlink(".templates", templates)
    case.says(5, "plan", model, "--scheme", "NVFP4A16")
    os.remove(templates)
    os.mkdir(templates)
    os.symlink("../.templates", os.path.join(templates, "inner"))
    case.says(5, "plan", model, "--scheme", "NVFP4A16")
    os.remove(os.path.join(templates, "inner"))
    shutil.copytree(os.path.join(model, ".templates"), os.path.join(templates, "inner"))
    case.works("plan", model, "--scheme", "NVFP4A16")


@way("move what is no side file of a model out of it")
def deep_folders(case):
    model = copied(case)
    deep = os.path.join(model, "additional_chat_templates", *"abcdefghi")
    os.makedirs(deep)
    case.write(os.path.relpath(os.path.join(deep, "x.jinja"), case.folder), "text")
    case.says(5, "plan", model, "--scheme", "NVFP4A16")
    shutil.move(os.path.join(model, "additional_chat_templates", "a"), case.path("elsewhere"))
    case.works("plan", model, "--scheme", "NVFP4A16")


@way("holds no model.safetensors; if {} is the model, give it that name, which loaders look for")
def other_name(case):
    model = case.llama()
    os.rename(os.path.join(model, "model.safetensors"), os.path.join(model, "weights.safetensors"))
    case.says(5, "inspect", model)
    os.rename(os.path.join(model, "weights.safetensors"), os.path.join(model, "model.safetensors"))
    case.works("inspect", model)


@way("names {} shards and none of them is there, but {} is; remove the index if that is the whole model")
def stale_index(case):
    model = case.llama()
    shutil.copy(os.path.join(MODEL, INDEX), model)
    case.says(5, "inspect", model)
    os.remove(os.path.join(model, INDEX))
    case.works("inspect", model)


def base_model(case):
    """A save of the model without its head: no prefix, no lm_head."""
    model = case.llama("base")

    def strip(header, data):
        end = header["lm_head.weight"]["data_offsets"]
        kept = {name.removeprefix("model."): dict(tensor) for name, tensor in header.items() if name != "lm_head.weight"}
        for tensor in kept.values():
            if tensor["data_offsets"][0] >= end[1]:
                tensor["data_offsets"] = [offset - (end[1] - end[0]) for offset in tensor["data_offsets"]]
        header.clear()
        header.update(kept)
        return data[:end[0]] + data[end[1]:]

    edit_tensors(model, strip)
    return model


@way("and there is no lm_head.weight; give the checkpoint of the causal model")
def no_head(case):
    case.says(5, "plan", base_model(case), "--scheme", "KEEP")
    case.works("plan", case.llama(), "--scheme", "KEEP")


@way("give the checkpoint of the causal model")
def base_architecture(case):
    case.says(5, "plan", case.llama("base", architectures=["LlamaModel"]), "--scheme", "KEEP")
    case.works("plan", case.llama(), "--scheme", "KEEP")


def forwards(case, model):
    """Commands that run a forward of the model: each must see what is wrong with it."""
    whole, ids = case.llama("whole", layers=2), case.ids()
    data = ["--dataset", ids, "--nsamples", "4", "--seqlen", "8"]
    yield ["logits", model, "--tokens", ids, "-o", case.path(f"{os.path.basename(model)}.logits")]
    yield ["eval", model, "--against", whole, "--tokens", ids]
    yield ["quantize", model, "-o", case.path(f"{os.path.basename(model)}.fp8"), "--scheme", "NVFP4", *data]
    yield ["quantize", model, "-o", case.path(f"{os.path.basename(model)}.mixed"), "-b", "6", "--formats", "NVFP4A16,BF16",
           "--max-source-ppl", "1e9", *data]


@way("{}: {}, pass {}: {} are not finite{}: {} holds NaN or infinity; download the checkpoint again")
def nan_in_a_forward(case):
    broken, whole = case.llama("broken", layers=2), case.llama("whole", layers=2)
    fill(broken, "model.layers.1.mlp.down_proj.weight", 0x7FC0)
    for command in forwards(case, broken):
        said = case.says(5, *command)
        check("broken: layer 1, pass propagate: hidden states" in said and ": model.layers.1.mlp.down_proj.weight" in said,
              "the model, layer, pass and tensor are named", said)
    for command in forwards(case, whole):
        case.works(*command)


@way("{}: {}, pass {}: {} are not finite{}: a weight holds NaN, or values grow too large for float32; download the checkpoint again, "
     "or give other data")
def infinity_in_a_forward(case):
    large, whole = case.llama("large", layers=2), case.llama("whole", layers=2)
    for name in ("gate", "up", "down"):
        fill(large, f"model.layers.1.mlp.{name}_proj.weight", 0x7000, 128 * 256)
    for command in forwards(case, large):
        said = case.says(5, *command)
        check("large: layer 1, pass propagate: hidden states" in said, "the model, layer and pass are named", said)
    for command in forwards(case, whole):
        case.works(*command)
