#include "engine/plan/inspect.h"

#include <algorithm>
#include <map>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "engine/plan/tensor_kind.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/config/other_quantization.h"
#include "profiles/claims.h"
#include "profiles/profile.h"
#include "profiles/source_storage.h"

namespace strata {

namespace {

// Logical parameters of packed weights by tensor name: their shapes on disk count bytes or words.
using PackedSizes = std::unordered_map<std::string, std::uint64_t>;

// The first of the keys that is there. One that is not a number (some families keep a list by layer) is a
// line of the report: inspect answers for configs that nobody here has seen.
std::int64_t first_of(const Config& config, std::span<const std::string_view> keys, InspectReport& report) {
  for (const std::string_view key : keys) {
    if (!config.has(key)) continue;
    try {
      return config.integer(key);
    } catch (const Error& error) {
      report.unknown.emplace_back(error.what());
    }
  }
  return 0;
}

void read_config(const Config& config, InspectReport& report) {
  constexpr std::string_view layers[] = {"num_hidden_layers", "num_layers", "n_layer"};
  constexpr std::string_view experts[] = {"num_local_experts", "num_experts", "n_routed_experts"};
  constexpr std::string_view chosen[] = {"num_experts_per_tok", "num_experts_per_token", "top_k_experts"};
  constexpr std::string_view hidden[] = {"hidden_size", "n_embd", "d_model"};
  constexpr std::string_view vocabulary[] = {"vocab_size"};
  const Config text = text_config(config);
  report.layers = static_cast<int>(first_of(text, layers, report));
  for (const std::string_view key : {"layer_types", "layers_block_type"})  // hybrids may list them and not count
    if (report.layers == 0 && text.has(key)) report.layers = static_cast<int>(text.texts(key).size());
  report.experts = static_cast<int>(first_of(text, experts, report));
  report.top_k = report.experts == 0 ? 0 : static_cast<int>(first_of(text, chosen, report));
  report.hidden = first_of(text, hidden, report);
  report.vocabulary = first_of(text, vocabulary, report);

  if (config.has("architectures")) {
    const std::vector<std::string> names = config.texts("architectures");
    if (!names.empty()) report.architecture = names.front();
  }
  if (report.architecture.empty()) report.architecture = config.text_or("model_type", "");
  const Config& tie = config.has("tie_word_embeddings") ? config : text;
  report.tied = tie.boolean_or("tie_word_embeddings", false);
  if (const auto said = find_config_quantization(config))
    report.quantized_as = said->method.empty() ? "unnamed" : said->method;
}

// The codes of a Linear are its first tensor.
void collect_packed(const LinearSpec& linear, const StorageRules& rules, const TensorLookup& lookup,
                    InspectReport& report, PackedSizes& packed) {
  const StoredLinear stored =
      find_stored_linear(linear.module, {linear.out, linear.in}, rules.format(linear.module), rules.native, lookup);
  if (stored.dense() || stored.fields.empty()) return;
  if (report.quantized_as.empty())  // nothing but the tensors may say so
    report.quantized_as = stored.storage != nullptr ? stored.storage->name : stored.format->name;
  packed[linear.module + "." + stored.fields.front().suffix] = static_cast<std::uint64_t>(linear.out * linear.in);
}

// What the profile says about this checkpoint. Everything that stops a run is one line in `unknown`.
PackedSizes consult_profile(const Profile& profile, const Checkpoint& checkpoint, InspectReport& report) {
  PackedSizes packed;
  report.family = profile.name;
  try {
    const TensorLookup lookup = [&](std::string_view name) { return checkpoint.find(name); };
    const ModelSpec model = describe_checkpoint(profile, checkpoint);
    report.tied = model.tied;
    const SourceStorage storage = find_storage(checkpoint, model);
    report.leftover = storage.leftover;
    if (!storage.leftover.empty()) report.quantized_as.clear();
    const StorageRules rules{.format = [&](std::string_view module) { return storage.stored.format_of(module); },
                             .native = storage.native};
    for (const ClaimProblem& problem : claim_tensors(model, checkpoint, rules).problems)
      report.unknown.push_back(problem.text());
    for (const LayerSpec& layer : model.layers)
      for (const LinearSpec* linear : linears(layer)) collect_packed(*linear, rules, lookup, report, packed);
    collect_packed(model.head, rules, lookup, report, packed);
  } catch (const Error& error) {
    if (error.fault != Fault::input) throw;
    report.unknown.emplace_back(error.what());
  }
  return packed;
}

// Parameters that a tensor stands for. Without a profile, packed words are taken to hold 4-bit codes: the
// only width that is packed in practice.
std::uint64_t parameters(const TensorInfo& tensor, std::string_view kind, const PackedSizes& packed) {
  if (kind == "scales") return 0;
  if (const auto known = packed.find(tensor.name); known != packed.end()) return known->second;
  const bool words =
      tensor.name.ends_with(".weight_packed") || tensor.name.ends_with(".qweight") || tensor.name.ends_with("_blocks");
  if (words || tensor.dtype == Dtype::f4) return tensor.bytes * 2;
  return element_count(tensor.shape).value_or(0);
}

void count_tensors(const Checkpoint& checkpoint, const PackedSizes& packed, InspectReport& report) {
  std::map<Dtype, std::uint64_t> dtypes;
  for (const std::string_view kind : tensor_kinds) report.kinds.push_back({std::string(kind), 0, 0, 0});
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    const std::string_view name = tensor_kind(tensor.name);
    const auto index = std::find(tensor_kinds.begin(), tensor_kinds.end(), name) - tensor_kinds.begin();
    InspectKind& kind = report.kinds[static_cast<std::size_t>(index)];
    const std::uint64_t count = parameters(tensor, name, packed);
    kind.tensors += 1;
    kind.parameters += count;
    kind.bytes += tensor.bytes;
    report.parameters += count;
    dtypes[tensor.dtype] += tensor.bytes;
  }
  std::erase_if(report.kinds, [](const InspectKind& kind) { return kind.tensors == 0; });
  for (const auto& [dtype, bytes] : dtypes) report.dtype_bytes.emplace_back(dtype_name(dtype), bytes);
  std::stable_sort(report.dtype_bytes.begin(), report.dtype_bytes.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
}

}  // namespace

InspectReport inspect(const std::string& model) {
  const Checkpoint checkpoint = Checkpoint::open(model);
  InspectReport report;
  read_config(checkpoint.config(), report);
  report.tensors = checkpoint.tensors().size();
  report.bytes = checkpoint.total_bytes();
  report.files = static_cast<int>(checkpoint.files().size());
  PackedSizes packed;
  if (const Profile* profile = find_profile(checkpoint.config()))
    packed = consult_profile(*profile, checkpoint, report);
  count_tensors(checkpoint, packed, report);
  return report;
}

}  // namespace strata
