#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/sweep/moments.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

// A NaN stays: it must stop the run, not vanish in a comparison.
void keep_larger(float& largest, float here) {
  if (!std::isnan(largest)) largest = std::isnan(here) ? here : std::max(largest, here);
}

float amax_of(const at::Tensor& x) {
  const at::Tensor dense = x.contiguous();
  return amax({dense.const_data_ptr<float>(), static_cast<std::size_t>(dense.numel())});
}

// Members of a fused matrix see one tensor. Experts share the name of their input, but each sees tokens of its own.
const std::string& seen_as(const LinearSpec& linear) {
  return linear.fused_module.empty() ? linear.module : linear.fused_module;
}

void add_squares(const at::Tensor& x, std::vector<double>& sum) {
  const at::Tensor dense = x.contiguous();
  const std::size_t cols = sum.size(), rows = static_cast<std::size_t>(dense.numel()) / cols;
  const float* row = dense.const_data_ptr<float>();
  for (std::size_t r = 0; r < rows; ++r, row += cols)
    for (std::size_t c = 0; c < cols; ++c) sum[c] += static_cast<double>(row[c]) * static_cast<double>(row[c]);
}

std::string keys_of(const AttentionSpec& attention) { return attention.k.module + ".cached"; }
std::string values_of(const AttentionSpec& attention) { return attention.v.module + ".cached"; }

}  // namespace

// Weak: what was seen needs no memory any more, and yet no other tensor gets its address.
struct Moments::LastInput {
  LastInput(std::string name, const at::Tensor& tensor) : seen(std::move(name)), x(tensor.getIntrusivePtr()) {}

  bool is(const std::string& name, const at::Tensor& tensor) const {
    return seen == name && x._unsafe_get_target() == tensor.unsafeGetTensorImpl();
  }

  std::string seen;
  c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> x;
};

Moments::Moments(std::span<const Collect> wanted) : wanted_(wanted) {}
Moments::~Moments() = default;
Moments::Moments(Moments&&) noexcept = default;

Collect Moments::wanted(const LinearSpec& linear) const {
  return linear.index < wanted_.size() ? wanted_[linear.index] : Collect::nothing;
}

void Moments::see(const LinearSpec& linear, const at::Tensor& x) {
  const Collect want = wanted(linear);
  if (want == Collect::nothing) return;
  const std::string& seen = seen_as(linear);
  if (x.numel() == 0 || (last_ && last_->is(seen, x))) return;
  last_ = std::make_unique<LastInput>(seen, x);
  if (has(want, Collect::amax)) keep_larger(largest_[linear.input], amax_of(x));
  if (!has(want, Collect::squares)) return;
  Squares& squares = squares_[seen];
  squares.sum.resize(static_cast<std::size_t>(x.size(-1)));
  squares.rows += x.numel() / x.size(-1);
  add_squares(x, squares.sum);
}

void Moments::see_cache(const AttentionSpec& attention, const at::Tensor& keys, const at::Tensor& values) {
  if (!has(wanted(attention.k) | wanted(attention.v), Collect::cache)) return;
  keep_larger(largest_[keys_of(attention)], amax_of(keys));
  keep_larger(largest_[values_of(attention)], amax_of(values));
}

void Moments::merge(const Moments& other) {
  for (const auto& [input, amax_there] : other.largest_) keep_larger(largest_[input], amax_there);
  for (const auto& [seen, there] : other.squares_) {
    Squares& here = squares_[seen];
    here.rows += there.rows;
    here.sum.resize(there.sum.size());
    for (std::size_t c = 0; c < there.sum.size(); ++c) here.sum[c] += there.sum[c];
  }
}

void Moments::forget_columns() {
  squares_.clear();
  last_.reset();
}

float Moments::finite(const std::string& key, std::string_view subject, std::string_view what) const {
  const auto found = largest_.find(key);
  if (found == largest_.end())
    fail(Fault::input, "{}: no calibration token reached it; give more samples (--nsamples) or another --dataset",
         subject);
  if (!std::isfinite(found->second) || found->second <= 0)
    fail(Fault::input, "{}: the largest |{}| that calibration saw is {}; the source cannot be calibrated here", subject,
         what, found->second);
  return found->second;
}

float Moments::input_amax(const LinearSpec& linear) const { return finite(linear.input, linear.module, "input"); }

Moments::Cache Moments::cache(const AttentionSpec& attention) const {
  return {.keys = finite(keys_of(attention), attention.k.module, "key"),
          .values = finite(values_of(attention), attention.v.module, "value")};
}

std::vector<float> Moments::column_weight(const LinearSpec& linear) const {
  const auto found = squares_.find(seen_as(linear));
  if (found == squares_.end()) return {};
  std::vector<float> mean;
  mean.reserve(found->second.sum.size());
  for (const double sum : found->second.sum)
    mean.push_back(static_cast<float>(sum / static_cast<double>(found->second.rows)));
  return mean;
}

std::uint64_t Moments::memory(const std::vector<const LinearSpec*>& linears) {
  std::uint64_t total = 0;
  const std::string* last = nullptr;
  for (const LinearSpec* linear : linears) {
    if (last != nullptr && *last == seen_as(*linear)) continue;
    last = &seen_as(*linear);
    total += static_cast<std::uint64_t>(linear->in) * sizeof(double);
  }
  return total;
}

}  // namespace strata
