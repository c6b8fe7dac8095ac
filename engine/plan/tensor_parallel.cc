#include "engine/plan/tensor_parallel.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "profiles/layer_questions.h"

namespace strata {
namespace {

std::optional<std::string> undivided(std::int64_t count, std::string_view what, std::int64_t by) {
  if (by <= 1 || count % by == 0) return std::nullopt;
  return fmt::format("{} {} of each device do not divide by {}", count, what, by);
}

// Codes that share a stored word: int32 holds 8 of 4 bits.
std::int64_t in_a_word(const NumberFormat& format) {
  return format.scheme.format == "pack-quantized" ? 32 / format.scheme.weights.bits : 1;
}

std::optional<std::string> refused_columns(const NumberFormat& format, std::int64_t columns) {
  const StatedArguments& weights = format.scheme.weights;
  const std::int64_t inputs = format.scheme.input ? format.scheme.input->group_size : 0;
  for (const std::int64_t by : {weights.group_size, weights.block[1], inputs, in_a_word(format)})
    if (auto why = undivided(columns, "columns", by)) return why;
  return std::nullopt;
}

std::optional<std::string> refused_rows(const NumberFormat& format, std::int64_t rows) {
  const StatedArguments& weights = format.scheme.weights;
  if (auto why = undivided(rows, "rows", weights.block[0])) return why;
  return weights.symmetric ? std::nullopt : undivided(rows, "rows", in_a_word(format));  // zero points of rows
}

}  // namespace

TensorParallel::TensorParallel(const ModelSpec& model) : how_(linears(model).size()) {
  const auto set_mlp = [&](const GatedMlpSpec& mlp) {
    set(mlp.gate, {Cut::rows});
    set(mlp.up, {Cut::rows});
    set(mlp.down, {Cut::columns});
  };
  for (const LayerSpec& layer : model.layers) {
    if (const AttentionSpec* const attention = attention_of(layer)) {
      set(attention->q, {Cut::rows, attention->heads});
      set(attention->k, {Cut::rows, attention->kv_heads, true});
      set(attention->v, {Cut::rows, attention->kv_heads, true});
      set(attention->o, {Cut::columns, attention->heads});
    }
    if (const GatedMlpSpec* const mlp = mlp_of(layer)) set_mlp(*mlp);
    if (const MoeSpec* const moe = experts_of(layer))
      for (const GatedMlpSpec& expert : moe->experts) set_mlp(expert);
  }
  if (!model.tied) set(model.head, {Cut::padded});
}

std::optional<std::string> TensorParallel::refusal(const LinearSpec& linear, const NumberFormat* format,
                                                   int size) const {
  const How& how = how_.at(linear.index);
  if (size == 1 || how.cut == Cut::whole || how.cut == Cut::padded) return std::nullopt;
  const bool by_rows = how.cut == Cut::rows;
  const std::int64_t all = by_rows ? linear.out : linear.in;
  const std::int64_t pieces = how.heads > 0 ? how.heads : all;
  const bool repeated = how.repeats && pieces < size;
  if (repeated ? size % pieces != 0 : pieces % size != 0)
    return fmt::format("its {} {} do not divide by {}", pieces,
                       how.heads > 0 ? "heads"
                       : by_rows     ? "rows"
                                     : "columns",
                       size);
  if (format == nullptr || !format->quantizes()) return std::nullopt;
  const std::int64_t each = repeated ? all / pieces : all / size;
  return by_rows ? refused_rows(*format, each) : refused_columns(*format, each);
}

std::string ServingSizes::text() const {
  std::string all = fmt::format("{}", fmt::join(sizes, ", "));
  if (why_not.empty()) return all;
  for (const int size : tensor_parallel_sizes)
    if (std::find(sizes.begin(), sizes.end(), size) == sizes.end())
      return fmt::format("{} (not {}: {})", all, size, why_not);
  return all;
}

ServingSizes serving_sizes(const ModelSpec& model, const FormatsOfLinear& formats_of) {
  const TensorParallel parallel(model);
  const auto why_not = [&](int size) -> std::string {
    for (const LinearSpec* linear : linears(model))
      for (const NumberFormat* format : formats_of(*linear))
        if (const std::optional<std::string> why = parallel.refusal(*linear, format, size))
          return format == nullptr || !format->quantizes()
                     ? fmt::format("{}: {}", linear->module, *why)
                     : fmt::format("{} in {}: {}", linear->module, format->name, *why);
    return "";
  };
  ServingSizes found;
  for (const int size : tensor_parallel_sizes) {
    std::string why = why_not(size);
    if (why.empty())
      found.sizes.push_back(size);
    else if (found.why_not.empty())
      found.why_not = std::move(why);
  }
  return found;
}

}  // namespace strata
