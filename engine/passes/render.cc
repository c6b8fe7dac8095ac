// Encodes every Linear of the layer in its format and measures the error of what will ship.
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>

#include "engine/pass.h"
#include "formats/weights.h"

namespace strata::passes {
namespace {

WeightView source_weight(const LayerContext& layer, const LinearSpec& linear) {
  const std::string name = linear.module + ".weight";
  const TensorInfo& tensor = layer.run.model.checkpoint.at(name);
  return {.data = layer.bytes.bytes(name).data(), .dtype = tensor.dtype, .rows = linear.out, .cols = linear.in};
}

EncodeError measure(const WeightView& weight, const NumberFormat& format, const Render& render) {
  std::vector<Field> fields;
  std::vector<std::span<const std::byte>> parts;
  for (std::size_t i = 0; i < render.tensors.size(); ++i) {
    const std::string& name = render.tensors[i].name;
    fields.push_back({name.substr(name.rfind('.') + 1), render.tensors[i].dtype, render.tensors[i].shape});
    parts.push_back(render.bytes[i]);
  }
  std::vector<float> decoded(static_cast<std::size_t>(weight.rows * weight.cols));
  format.decode(fields, parts, {weight.rows, weight.cols}, decoded);
  return encode_error(weight, decoded);
}

class RenderPass final : public Pass {
 public:
  void run(LayerContext& layer) override {
    const std::vector<std::vector<const LinearSpec*>> groups = fused_groups(layer.visit);
    std::vector<std::vector<Render>> rendered(groups.size());
    std::vector<EncodeError> errors(groups.size());
    // Groups are independent and each writes its own place: the result does not depend on the threads.
    tbb::parallel_for(std::size_t{0}, groups.size(),
                      [&](std::size_t i) { rendered[i] = render_group(layer, groups[i], errors[i]); });

    EncodeError total;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      total.squared_error += errors[i].squared_error;
      total.squared_weight += errors[i].squared_weight;
      std::ranges::move(rendered[i], std::back_inserter(layer.renders));
    }
    if (total.squared_weight > 0) layer.done.weight_error = std::sqrt(total.squared_error / total.squared_weight);
    for (const LinearSpec* linear : layer.visit.linears) count(layer, layer.run.assignment.of(*linear));
  }

 private:
  static std::vector<Render> render_group(const LayerContext& layer, const std::vector<const LinearSpec*>& group,
                                          EncodeError& error) {
    EncodeContext context;
    for (const LinearSpec* linear : group) {
      const WeightView weight = source_weight(layer, *linear);
      context.fused_amax = std::max(context.fused_amax, finite_amax(weight, linear->module + ".weight"));
    }
    std::vector<Render> renders;
    for (const LinearSpec* linear : group) {
      const NumberFormat& format = layer.run.assignment.of(*linear);
      if (format.calibrated_input) context.input_amax = layer.moments.input_amax(*linear);
      const WeightView weight = source_weight(layer, *linear);
      Render render{.linear = linear, .tensors = encoded_tensors(layer.run.model, *linear, format)};
      std::vector<std::span<std::byte>> out;
      for (const TensorInfo& tensor : render.tensors) render.bytes.emplace_back(tensor.bytes);
      for (std::vector<std::byte>& bytes : render.bytes) out.emplace_back(bytes);
      layer.run.method.encode(format, weight, context, out);
      if (!format.config_group.empty()) {
        const EncodeError here = measure(weight, format, render);
        error.squared_error += here.squared_error;
        error.squared_weight += here.squared_weight;
      }
      renders.push_back(std::move(render));
    }
    return renders;
  }

  static void count(LayerContext& layer, const NumberFormat& format) {
    auto& counts = layer.done.formats;
    const auto found = std::ranges::find(counts, format.name, &std::pair<std::string, int>::first);
    if (found == counts.end()) counts.emplace_back(format.name, 1);
    else ++found->second;
  }
};

}  // namespace

extern const PassType render{
    .name = "render",
    .summary = "encodes every Linear in its number format",
    .version = 1,
    .reads = facts::source | facts::moments,
    .writes = facts::renders,
    .make = []() -> std::unique_ptr<Pass> { return std::make_unique<RenderPass>(); },
};

}  // namespace strata::passes
