"""Ways out of wrong options: what formats, numbers and flags may be, which go together, what is missing."""

import os
import re
import struct

from program import CALIBRATION, HELDOUT, MODEL, check
from ways import edit_config, edit_tensors, fill, way

DATA = ("--dataset", CALIBRATION, "--nsamples", "2", "--seqlen", "16")


@way("there is no such option (--help lists them)")
def unknown_option(case):
    case.says(2, "formats", "-z")
    check("-q, --quiet" in case.works("formats", "--help"), "--help lists the options")


@way("one argument too many (--help shows what is expected)")
def surplus(case):
    case.says(2, "inspect", MODEL, "more")
    check("strata inspect MODEL [options]" in case.works("inspect", "--help"), "--help shows what is expected")


@way("is not a size (write 24GiB, 5GB or a number of bytes)")
def size(case):
    case.says(2, "plan", MODEL, "--scheme", "KEEP", "--shard-size", "much")
    for text in ["24GiB", "5GB", "1000000"]:
        case.works("plan", MODEL, "--scheme", "KEEP", "--shard-size", text)


@way("is not a time (write 3h50m, 90s or a number of seconds)")
def duration(case):
    case.says(2, "plan", MODEL, "--scheme", "KEEP", "--deadline", "soon")
    for text in ["3h50m", "90s", "600"]:
        case.works("plan", MODEL, "--scheme", "KEEP", "--deadline", text)


@way("cannot be with --parity compressed-tensors, which rounds as that does; leave one out")
def parity_method(case):
    plan = ["plan", MODEL, "--scheme", "W4A16"]
    case.says(2, *plan, "--parity", "compressed-tensors", "--method", "scale-search")
    case.works(*plan, "--parity", "compressed-tensors")
    case.works(*plan, "--method", "scale-search")


@way("--scheme: missing; one of {} (or --assignment FILE)")
def no_scheme(case):
    model = case.llama(hidden=256, inner=512)
    said = case.says(2, "plan", model)
    for name in re.search(r"one of (.*) \(or", said)[1].split(", "):
        if not name.startswith("FP8_SOURCE"):  # those copy what such a source stores
            case.works("plan", model, "--scheme", name, *DATA, "--allow-unservable")
    linears = {name: {"format": "KEEP"} for name in linears_of_demo()}
    case.works("plan", MODEL, "--assignment", case.write("a.json", {"version": 1, "linears": linears}))


def linears_of_demo():
    names = ["lm_head"]
    for i in range(4):
        names += [f"model.layers.{i}.self_attn.{x}_proj" for x in "qkvo"] + [f"model.layers.{i}.mlp.gate"]
        names += [f"model.layers.{i}.mlp.experts.{e}.{x}_proj" for e in range(8) for x in ("gate", "up", "down")]
    return names


@way("--kv-cache fp8: needs --dataset FILE, to measure keys and values")
def cache_without_data(case):
    plan = ["plan", MODEL, "--scheme", "W4A16", "--kv-cache", "fp8"]
    case.says(2, *plan)
    case.works(*plan, *DATA)


@way("--kv-cache fp8: no Linear is quantized, and transformers does not load a config for the cache alone; leave it out, "
     "or quantize something")
def cache_alone(case):
    case.says(2, "plan", MODEL, "--scheme", "KEEP", "--kv-cache", "fp8", *DATA)
    case.works("plan", MODEL, "--scheme", "KEEP")
    case.works("plan", MODEL, "--scheme", "W4A16", "--kv-cache", "fp8", *DATA)


@way("stores a scale of the activations and needs --dataset FILE to measure them; {} does not")
def uncalibrated(case):
    for scheme in ["NVFP4", "FP8"]:
        said = case.says(2, "plan", MODEL, "--scheme", scheme)
        case.works("plan", MODEL, "--scheme", scheme, *DATA)
        case.works("plan", MODEL, "--scheme", re.search(r"; (\w+) does not", said)[1])


@way("--device {}: this build has no CUDA; use --device cpu")
def device(case):
    case.says(2, "plan", MODEL, "--scheme", "KEEP", "--device", "cuda:0")
    case.works("plan", MODEL, "--scheme", "KEEP", "--device", "cpu")


@way("the folder for the result, -o OUT")
def no_output(case):
    case.says(2, "quantize", MODEL, "--scheme", "KEEP")
    case.works("quantize", MODEL, "--scheme", "KEEP", "-o", case.path("out"))


@way("--dataset: give either --dataset FILE or --tokens IDS{}")
def evaluation_data(case):
    ids = case.path("ids.safetensors")
    evaluate = ["eval", MODEL, "--against", MODEL, "--window", "16", "--max-tokens", "32"]
    tokenize = ["tokenize", MODEL, "--dataset", HELDOUT, "--seqlen", "17", "--nsamples", "2", "-o", ids]
    case.says(2, *evaluate)
    case.works(*tokenize)
    case.says(2, *evaluate, "--dataset", HELDOUT, "--tokens", ids)
    case.works(*evaluate, "--dataset", HELDOUT)
    case.works(*evaluate, "--tokens", ids)


@way("--nsamples: needs --seqlen; without it every document is one row")
def windows(case):
    tokenize = ["tokenize", MODEL, "--dataset", HELDOUT]
    case.says(2, *tokenize, "-o", case.path("a.safetensors"), "--nsamples", "2")
    case.works(*tokenize, "-o", case.path("a.safetensors"), "--nsamples", "2", "--seqlen", "16")
    case.works(*tokenize, "-o", case.path("b.safetensors"))


@way("the .safetensors file to write, -o IDS")
def no_ids(case):
    case.says(2, "tokenize", MODEL, "--dataset", HELDOUT)
    case.works("tokenize", MODEL, "--dataset", HELDOUT, "-o", case.path("ids.safetensors"))


@way("a .safetensors of ids, as `strata tokenize` writes it")
def no_tokens(case):
    case.says(2, "logits", MODEL, "-o", case.path("logits.safetensors"))
    case.works("tokenize", MODEL, "--dataset", HELDOUT, "--seqlen", "8", "--nsamples", "1", "-o", case.path("ids.safetensors"))
    case.works("logits", MODEL, "--tokens", case.path("ids.safetensors"), "-o", case.path("logits.safetensors"))


@way("the .safetensors file to write, -o FILE")
def no_logits(case):
    case.says(2, "logits", MODEL, "--tokens", case.ids())
    case.works("logits", MODEL, "--tokens", case.ids(), "-o", case.path("logits.safetensors"))


@way("`strata inspect --tensors` lists the names, and *.layers.0.* matches a layer")
def unmatched(case):
    plan = ["plan", MODEL, "--scheme", "NVFP4A16"]
    case.says(2, *plan, "--ignore", "*.no_such_proj")
    listed = case.works("inspect", MODEL, "--tensors")
    name = re.search(r"(\S*layers\.1\S*o_proj)\.weight", listed)[1]
    case.works(*plan, "--ignore", name)
    case.works(*plan, "--ignore", "*.layers.0.*")


@way("names {} of {} Linears and leaves out {} that are to be quantized ({}{}); add them, or say --scheme FORMAT for those")
def incomplete_file(case):
    names = linears_of_demo()

    def plan(chosen):
        linears = {name: {"format": "KEEP"} for name in chosen}
        return ["plan", MODEL, "--assignment", case.write("a.json", {"version": 1, "linears": linears})]

    case.says(2, *plan(names[:30]))
    case.works(*plan(names[:30]), "--scheme", "NVFP4A16")
    case.works(*plan(names))


@way("{} would be {} and {} {}, but they are served as one matrix: give all {} of their unit the same format")
def split_unit(case):
    plan = ["plan", case.llama(), "--scheme", "NVFP4A16"]
    case.says(2, *plan, "--override", "*.0.self_attn.q_proj=FP8_DYNAMIC")
    case.works(*plan, "--override", "re:.*0.self_attn.[qkv]_proj=FP8_DYNAMIC")


@way("{}: {} is {} but {} {} {}; they are served as one matrix, give all {} of their unit one format")
def split_unit_of_file(case):
    linears = {name: {"format": "KEEP"} for name in linears_of_demo()}
    linears["model.layers.0.self_attn.q_proj"] = {"format": "NVFP4A16"}
    case.says(5, "plan", MODEL, "--assignment", case.write("a.json", {"version": 1, "linears": linears}))
    for name in "qkv":
        linears[f"model.layers.0.self_attn.{name}_proj"] = {"format": "NVFP4A16"}
    case.works("plan", MODEL, "--assignment", case.write("a.json", {"version": 1, "linears": linears}))


def tied(case, name="tied"):
    """A model that stores no head of its own."""
    if os.path.exists(case.path(name)):
        return case.path(name)
    model = case.llama(name, tie_word_embeddings=True)

    def drop(header, _data):
        del header["lm_head.weight"]
        end = 0
        for tensor in header.values():
            begin, end = end, end + tensor["data_offsets"][1] - tensor["data_offsets"][0]
            tensor["data_offsets"] = [begin, end]
        return struct.pack("<H", 0x3C90) * (end // 2)

    edit_tensors(model, drop)
    return model


@way("cannot be quantized; leave it out with --ignore lm_head, or untie it in the source (tie_word_embeddings false and a copy "
     "of the tensor)")
def tied_head(case):
    asked = ["--scheme", "NVFP4A16", "--override", "lm_head=FP8_DYNAMIC"]
    case.says(2, "plan", tied(case), *asked)
    case.works("plan", tied(case), *asked, "--ignore", "lm_head")
    case.works("plan", case.llama("untied", tie_word_embeddings=False), *asked)  # the same with a copy of the tensor


@way("{}: {} shares {} with the embedding and cannot be {}; remove the line")
def tied_head_in_file(case):
    names = [f"model.layers.0.{x}_proj" for x in ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate",
                                                   "mlp.up", "mlp.down")]
    linears = {name: {"format": "NVFP4A16"} for name in ["lm_head", *names]}
    case.says(5, "plan", tied(case), "--assignment", case.write("a.json", {"version": 1, "linears": linears}))
    del linears["lm_head"]
    case.works("plan", tied(case), "--assignment", case.write("a.json", {"version": 1, "linears": linears}))


@way("which no released runtime loads; `strata formats` says what is served, --allow-unservable writes it all the same")
def unservable(case):
    plan = ["plan", MODEL, "--scheme", "MXFP6_E3M2"]
    case.says(2, *plan)
    listed = case.works("formats")
    check(re.search(r"^MXFP6_E3M2 +\S+ +- +- +- ", listed, re.M), "formats says that nobody serves it", listed)
    case.works(*plan, "--allow-unservable")


@way("nothing would be {}: --ignore, --override or --assignment keep all of its {} Linears; leave out what keeps those that "
     "are to be quantized")
def everything_kept(case):
    plan = ["plan", case.llama(), "--scheme", "NVFP4A16"]
    case.says(2, *plan, "--ignore", "*")
    case.says(2, *plan, "--override", "*=KEEP")
    case.works(*plan, "--ignore", "*.mlp.*")
    case.works(*plan)


@way("{}; --allow-nothing writes the model all the same")
def nothing_fits(case):
    model = case.llama(hidden=192, inner=192, num_attention_heads=2, num_key_value_heads=1)
    quantize = ["quantize", model, "-o", case.path("out")]
    said = case.says(2, *quantize, "--scheme", "W4A16")
    near, count = re.search(r"; (\w+) takes (\d+) of them", said).groups()
    check(int(count) == 7, "it takes all", said)
    case.works(*quantize, "--scheme", near)
    case.works("quantize", model, "-o", case.path("other"), "--scheme", "W4A16", "--allow-nothing")


@way("left out, like all {} scales of the source's cache; --kv-cache fp8 measures those of the output")
def cache_of_the_source(case):
    first, second, third = case.path("first"), case.path("second"), case.path("third")
    case.works("quantize", MODEL, "-o", first, "--scheme", "NVFP4A16", "--kv-cache", "fp8", *DATA)
    case.says(0, "quantize", first, "-o", second, "--scheme", "FP8_DYNAMIC")
    check(b"k_scale" not in headers(second), "without the option there are no scales")
    strata_run = case.says(0, "quantize", first, "-o", third, "--scheme", "FP8_DYNAMIC", "--kv-cache", "fp8", *DATA)
    check(b"k_scale" in headers(third), "with it there are", strata_run)


def headers(folder):
    text = b""
    for name in os.listdir(folder):
        if name.endswith(".safetensors"):
            with open(os.path.join(folder, name), "rb") as file:
                text += file.read(struct.unpack("<Q", file.read(8))[0])
    return text


NAN, NEGATIVE_LARGEST = 0x7FC0, 0xFF7F


@way("; {} keeps it")
def not_finite(case):
    for name, tensor in {"fused": "model.layers.0.self_attn.q_proj", "alone": "model.layers.0.self_attn.o_proj"}.items():
        fill(case.llama(name), tensor + ".weight", NAN)
        ignored(case, case.path(name), name + ".out")
    experts = case.llama("experts", experts=8)
    fill(experts, "model.layers.0.mlp.experts.3.up_proj.weight", NAN)
    ignored(case, experts, "experts.out")


def ignored(case, model, out):
    """Does what the error says, word for word, in a shell."""
    quantize = ["quantize", model, "-o", case.path(out), "--scheme", "NVFP4A16"]
    said = case.says(5, *quantize)
    options = re.search(r"; ((?:--ignore \S+ ?)+)keeps it", said)[1].replace("'", "").split()
    case.works(*quantize, *options)


@way("{}: holds values that {} cannot; {} keeps it")
def beyond_the_format(case):
    model = case.llama()
    fill(model, "model.layers.0.mlp.gate_proj.weight", NEGATIVE_LARGEST)
    quantize = ["quantize", model, "-o", case.path("out"), "--scheme", "W4A16", "--method", "rtn"]
    said = case.says(5, *quantize)
    case.works(*quantize, *re.search(r"; ((?:--ignore \S+ ?)+)keeps it", said)[1].split())


@way("more than half of it is lost in {}: an outlier in it or in what it is served with; {} keeps it")
def lost(case):
    model = case.llama()
    fill(model, "model.layers.0.self_attn.q_proj.weight", 0x4800)
    said = case.says(0, "quantize", model, "-o", case.path("out"), "--scheme", "NVFP4A16")
    options = re.search(r"served with; ((?:--ignore \S+ ?)+)keeps it", said)[1].split()
    case.works("quantize", model, "-o", case.path("other"), "--scheme", "NVFP4A16", *options)
