// Rules that compare an output with its source: nothing lost, nothing added, what was kept is the same.
#include <algorithm>

#include "engine/check/rules.h"
#include "engine/plan/tied_head.h"
#include "formats/config/other_quantization.h"
#include "formats/weight/weights.h"

namespace strata::rule {
namespace {

bool is_wide_float(Dtype dtype) {
  return dtype == Dtype::bf16 || dtype == Dtype::f16 || dtype == Dtype::f32 || dtype == Dtype::f64;
}

// A Linear that was asked to be BF16 is the source's weight, rounded.
bool is_cast(const VerifyContext& context, const TensorInfo& from, const TensorInfo& to) {
  return context.dense.contains(to.name) && to.dtype == Dtype::bf16 && is_wide_float(from.dtype) &&
         from.dtype != Dtype::bf16;
}

// Whether one side stores one matrix for embedding and head where the other stores two.
bool is_head_of_one_side(const VerifyContext& context, const TensorInfo& tensor) {
  if (!context.source_spec || context.source_spec->tied == context.output.spec->tied) return false;
  const ModelSpec& two = context.source_spec->tied ? *context.output.spec : *context.source_spec;
  return tensor.name == two.head.module + ".weight" || tensor.name == two.embedding;
}

// What a tensor of the output was in the source: that of its name, or the one matrix that served as both ends.
const TensorInfo* origin(const VerifyContext& context, const TensorInfo& tensor) {
  const TensorInfo* const same = context.source->find(tensor.name);
  if (same != nullptr || !is_head_of_one_side(context, tensor) || !context.source_spec->tied) return same;
  return context.source->find(context.source_spec->embedding);
}

// An end that the output leaves out, because it holds the same matrix under the other end's name.
bool is_other_end(const VerifyContext& context, const TensorInfo& tensor) {
  if (!is_head_of_one_side(context, tensor) || !context.output.spec->tied) return false;
  const TensorInfo* const kept = context.source->find(context.output.spec->embedding);
  return kept != nullptr && same_tensor({*context.source, tensor}, {*context.source, *kept}, context.stop);
}

// A table that follows from config.json; transformers does not save it.
bool is_rotary_buffer(std::string_view name) { return name.ends_with("rotary_emb.inv_freq"); }

// Measured for the output, never taken over; the rule `kv-cache` looks at them.
bool is_cache_scale(std::string_view name) { return name.ends_with(".k_scale") || name.ends_with(".v_scale"); }

void compare(const VerifyContext& context, const TensorInfo& tensor, const TensorInfo& from, Findings& findings) {
  const bool cast = is_cast(context, from, tensor);
  const std::uint64_t ratio = cast ? from.bytes / tensor.bytes : 1;
  std::vector<std::byte> expected, raw;
  std::vector<float> wide;
  read_pieces(context.output.checkpoint, tensor, context.stop, [&](std::span<const std::byte> piece, std::uint64_t at) {
    raw.resize(piece.size() * ratio);
    context.source->read(from, raw, at * ratio);
    if (cast) {
      expected.resize(piece.size());
      wide.resize(piece.size() / 2);
      widen(from.dtype, raw, wide);
      to_bf16(wide, expected);
    } else {
      std::swap(expected, raw);
    }
    const auto [here, there] = std::ranges::mismatch(piece, expected);
    if (here == piece.end()) return true;
    findings.add(tensor.name, "byte {} is 0x{:02x}, {} 0x{:02x}", at + static_cast<std::uint64_t>(here - piece.begin()),
                 std::to_integer<int>(*here), cast ? "the source rounded to BF16 has" : "the source has",
                 std::to_integer<int>(*there));
    return false;
  });
}

// What differs in one section of config.json.
struct ChangedKey {
  std::string key, what;
};

void collect_changes(const Config& output, const Config& source, std::vector<ChangedKey>& changes) {
  const auto skipped = [&](const std::string& key) {
    return is_quantization_key(source, key) || key == "tie_word_embeddings";
  };
  const std::vector<std::string> written = output.keys();
  const std::vector<std::string> original = source.keys();
  for (const std::string& key : original) {
    if (skipped(key)) continue;
    if (std::ranges::find(written, key) == written.end())
      changes.push_back({key, fmt::format("{} of the source is missing", key)});
    else if (key == "text_config" && source.has(key) && output.has(key))
      collect_changes(output.section(key), source.section(key), changes);
    else if (output.dump(key) != source.dump(key))
      changes.push_back({key, fmt::format("{} is {}, the source has {}", key, output.dump(key).substr(0, 80),
                                          source.dump(key).substr(0, 80))});
  }
  for (const std::string& key : written)
    if (!skipped(key) && std::ranges::find(original, key) == original.end())
      changes.push_back({key, fmt::format("{} is not in the source", key)});
}

// Whether both configs describe the same layers. Ends apart: which of them are stored is not config.json's to say.
bool is_same_model(const ModelSpec& a, const ModelSpec& b) {
  return a.family == b.family && a.hidden == b.hidden && a.vocabulary == b.vocabulary &&
         a.max_position == b.max_position && a.layers == b.layers && a.final_norm == b.final_norm;
}

}  // namespace

void coverage(const VerifyContext& context, Findings& findings) {
  const Checkpoint& output = context.output.checkpoint;
  std::unordered_set<std::string> modules;
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat*) { modules.insert(linear.module); });
  for (const TensorInfo& tensor : context.source->tensors()) {
    if (output.find(tensor.name) != nullptr || is_cache_scale(tensor.name)) continue;
    // Fields of a Linear change with its format; `claims` says which are missing.
    const std::size_t dot = tensor.name.rfind('.');
    const bool field = dot != std::string::npos && modules.contains(tensor.name.substr(0, dot));
    if ((field && !tensor.name.ends_with(".bias")) || is_other_end(context, tensor)) continue;
    findings.judge(context.ours || !is_rotary_buffer(tensor.name), tensor.name,
                   "is in the source, but not in the output");
  }
  for (const TensorInfo& tensor : output.tensors())
    if (!context.fields.contains(tensor.name) && !context.dense.contains(tensor.name) &&
        origin(context, tensor) == nullptr && !is_cache_scale(tensor.name))
      findings.add(tensor.name, "is not in the source");
}

void kept_bytes(const VerifyContext& context, Findings& findings) {
  for (const TensorInfo& tensor : context.output.checkpoint.tensors()) {
    const TensorInfo* const from = origin(context, tensor);
    if (context.fields.contains(tensor.name) || from == nullptr) continue;             // the latter is for `coverage`
    if (context.dense.contains(tensor.name) && !is_wide_float(from->dtype)) continue;  // decoded: `copied-codes`
    if (tensor.shape != from->shape || (tensor.dtype != from->dtype && !is_cast(context, *from, tensor)))
      findings.add(tensor.name, "is {} {}, the source has {} {}", dtype_name(tensor.dtype), shape_text(tensor.shape),
                   dtype_name(from->dtype), shape_text(from->shape));
    else if (tensor.bytes > 0)
      compare(context, tensor, *from, findings);
  }
}

// What transformers writes anew when another tool saves a model (versions, spellings, defaults) is a note where the
// model stays the same.
void config_kept(const VerifyContext& context, Findings& findings) {
  const Config &output = context.output.checkpoint.config(), &source = context.source->config();
  std::vector<ChangedKey> changes;
  collect_changes(output, source, changes);
  const bool same = context.source_spec && is_same_model(*context.output.spec, *context.source_spec);
  for (const ChangedKey& change : changes) findings.judge(context.ours || !same, "config.json", "{}", change.what);
  // Which ends there are and what they hold is for `coverage`, `kept-bytes` and `tied-head`.
  if (const bool tied = config_ties_head(output); tied != config_ties_head(source))
    findings.note("config.json", "tie_word_embeddings is {}, the source has {}; the output stores {}", tied, !tied,
                  context.output.spec->tied ? "one matrix for embedding and head" : "a head of its own");
}

// Other tools write their own tokenizer files, as their version of transformers saves them; no loader minds.
void sidecars(const VerifyContext& context, Findings& findings) {
  for (const std::string& name : context.source->sidecars()) {
    const std::string copy = join_path(context.output.checkpoint.directory(), name);
    if (!exists(copy)) {
      findings.judge(context.ours, name, "is in the source's folder, but not in the output's");
      continue;
    }
    const std::string original = join_path(context.source->directory(), name);
    if (const std::uint64_t there = file_size(original), here = file_size(copy); here != there)
      findings.judge(context.ours, name, "has {} bytes, the source's has {}", here, there);
    else if (read_text(copy) != read_text(original))
      findings.judge(context.ours, name, "differs from the source's, although both have {} bytes", here);
  }
}

}  // namespace strata::rule
