#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/passes/score_site.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <optional>

namespace strata {

// A Linear that was multiplied.
struct ScoreSite::Call {
  const MenuUnit* unit = nullptr;
  std::vector<at::Tensor> changes;       // of its output, by option [rows, out]; undefined where there are none
  std::vector<double> weight_error;      // mean square, by option
  at::Tensor input;                      // squared, summed over columns, by row
  std::vector<std::size_t> sequence_of;  // each row
  at::Tensor gradient;                   // of the probe under way
};

ScoreSums::ScoreSums(std::span<const MenuUnit* const> units, std::size_t sequences, std::size_t probes)
    : probes_(probes) {
  for (const MenuUnit* unit : units) {
    sums_[unit].assign(unit->options.size(), std::vector<double>(sequences * probes, 0.0));
    traces_[unit].assign(unit->options.size(), std::vector<double>(sequences, 0.0));
    for (const LinearSpec* linear : unit->members) reached_[linear] = false;
  }
}

std::vector<const LinearSpec*> ScoreSums::unreached() const {
  std::vector<const LinearSpec*> all;
  for (const auto& [linear, reached] : reached_)
    if (!reached.load()) all.push_back(linear);
  std::ranges::sort(all, {}, &LinearSpec::index);
  return all;
}

std::size_t ScoreSums::reached_of(const MenuUnit& unit) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(unit.members, [&](const LinearSpec* linear) { return reached_.at(linear).load(); }));
}

ScoreSite::ScoreSite(const MenuIndex& menu, const MenuRenders& renders, const LayerWeights& weights, std::size_t first,
                     ScoreSums& sums)
    : menu_(menu), renders_(renders), weights_(weights), first_(first), sums_(sums) {}
ScoreSite::~ScoreSite() = default;

void ScoreSite::rows_are(const std::vector<std::int64_t>& tokens, std::int64_t per_sequence) {
  tokens_ = tokens;
  per_sequence_ = per_sequence;
}

void ScoreSite::gave(const LinearSpec& linear, const at::Tensor& x, const at::Tensor& y) {
  const MenuUnit* const unit = menu_.unit_of(linear);
  if (unit == nullptr || !y.requires_grad()) return;
  sums_.reach(linear);
  const c10::AutoGradMode no_gradients(false);
  Call& call = calls_.emplace_back(Call{.unit = unit});
  const at::Tensor input = x.detach();
  call.input = input.reshape({-1, linear.in}).square().sum(-1).contiguous();
  const at::Tensor bias = weights_.bias(linear);
  for (std::size_t i = 0; i < unit->options.size(); ++i) {
    at::Tensor& change = call.changes.emplace_back();
    double& weight_error = call.weight_error.emplace_back(0.0);
    const MenuRenders::Served* const served = renders_.find(linear, i);
    if (served == nullptr) continue;
    weight_error = served->weight_error;
    at::Tensor quantized = input;
    if (served->quantize != nullptr) {
      quantized = input.clone(at::MemoryFormat::Contiguous);
      served->quantize({quantized.mutable_data_ptr<float>(), static_cast<std::size_t>(quantized.numel())},
                       quantized.numel() / linear.in, linear.in, served->input_scale);
    }
    const std::array<std::int64_t, 2> shape = {linear.out, linear.in};
    const at::Tensor weight = at::from_blob(const_cast<float*>(served->weight.data()), shape, at::kFloat);
    change = at::linear(quantized, weight, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt)
                 .sub_(y.detach())
                 .view({-1, linear.out});
  }
  const std::int64_t rows = x.numel() / linear.in, per_sequence = x.dim() == 3 ? x.size(1) : per_sequence_;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t token = x.dim() == 3 ? row : tokens_.at(static_cast<std::size_t>(row));
    call.sequence_of.push_back(first_ + static_cast<std::size_t>(token / per_sequence));
  }
  Call* const place = &call;
  y.register_hook([place](const at::Tensor& gradient) { place->gradient = gradient; });
}

void ScoreSite::gradients_came(std::size_t probe) {
  const c10::AutoGradMode no_gradients(false);
  for (Call& call : calls_) {
    if (!call.gradient.defined()) continue;  // the output does not depend on it
    const at::Tensor gradient = call.gradient.reshape({-1, call.gradient.size(-1)});
    const at::Tensor trace = gradient.square().sum(-1).mul_(call.input).contiguous();
    const float* const of_row = trace.const_data_ptr<float>();
    for (std::size_t i = 0; i < call.changes.size(); ++i) {
      if (!call.changes[i].defined()) continue;
      const at::Tensor rows = (gradient * call.changes[i]).sum(-1).contiguous();
      const float* const value = rows.const_data_ptr<float>();
      for (std::size_t row = 0; row < call.sequence_of.size(); ++row)
        sums_.add(*call.unit, i, call.sequence_of[row], probe, value[row]);
      for (std::size_t row = 0; row < call.sequence_of.size(); ++row)
        sums_.add_trace(*call.unit, i, call.sequence_of[row], call.weight_error[i] * of_row[row]);
    }
    call.gradient.reset();
  }
}

}  // namespace strata
