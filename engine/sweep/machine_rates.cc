#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/sweep/machine_rates.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "base/write_rate.h"
#include "engine/sweep/coding_rates.h"

namespace strata {
namespace {

// Larger ones are as fast.
constexpr double most_flops = 2e9;
constexpr std::int64_t most_rows = 4096;  // keys, or positions

// Fewer columns of the result, but 256, then fewer rows.
WorkSize cropped(WorkSize size) {
  const auto within = [&](std::int64_t other) {
    return std::max<std::int64_t>(256,
                                  static_cast<std::int64_t>(most_flops / static_cast<double>(2 * other * size.in)));
  };
  size.out = std::min(size.out, within(std::min<std::int64_t>(size.rows, 1024)));
  size.rows = std::min(size.rows, within(size.out));
  return size;
}

Job multiplying(const WorkSize& size) {
  const at::Tensor x = at::ones({size.rows, size.in}), weight = at::ones({size.out, size.in});
  return [=] {
    const c10::InferenceMode inference;
    at::linear(x, weight);
    return 2 * static_cast<double>(size.rows) * static_cast<double>(size.out) * static_cast<double>(size.in);
  };
}

Job attending(WorkSize heads) {
  heads.rows = std::min(heads.rows, most_rows);
  const double one = 4 * static_cast<double>(heads.rows) * static_cast<double>(heads.rows * heads.in);
  const std::int64_t count =
      std::clamp<std::int64_t>(static_cast<std::int64_t>(most_flops / one), 1, heads.out / heads.in);
  const at::Tensor q = at::ones({1, count, heads.rows, heads.in});
  return [=] {
    const c10::InferenceMode inference;
    at::scaled_dot_product_attention(q, q, q, std::nullopt, 0.0, /*is_causal=*/true);
    return one * static_cast<double>(count);
  };
}

Job touching(const WorkSize& block) {
  const std::int64_t rows = std::min(block.rows, most_rows);
  const at::Tensor x = at::ones({rows, block.in}), y = at::ones({rows, block.in});
  return [=] {
    const c10::InferenceMode inference;
    const at::Tensor product = x * y;
    return static_cast<double>(product.numel());
  };
}

Job calling() {
  const at::Tensor x = at::ones({4, 4});
  return [=] {
    const c10::InferenceMode inference;
    constexpr int calls = 100;
    for (int i = 0; i < calls; ++i) static_cast<void>(x * x);
    return static_cast<double>(calls);
  };
}

double reading_rate(const RateQuestion& question) {
  const IoChoice choice = choose_io(question.files);
  const IoMethod wanted = question.io == IoMethod::automatic ? choice.method : question.io;
  for (const IoChoice::Measured& one : choice.measured)
    if (one.method == wanted) return one.bytes_per_second;
  return 0;
}

double computing_rate(const WorkRow& row, int threads) {
  return rate_of(threads, [&](int) {
    switch (row.kind) {
      case Effort::multiply:
        return multiplying(cropped(row.size));
      case Effort::attend:
        return attending(row.size);
      case Effort::touch:
        return touching(row.size);
      default:
        return calling();
    }
  });
}

}  // namespace

MachineRates MachineRates::measure(std::span<const WorkSheet> sheets, const RateQuestion& question) {
  const WriteRate write = measure_write_rate(question.folder);
  const PackingRates packing = packing_rates(question.threads, write.bytes_per_second);
  std::vector<WorkRow> known;
  for (const WorkSheet& sheet : sheets)
    for (const WorkRow& row : sheet.rows()) {
      if (std::ranges::any_of(known, [&](const WorkRow& one) { return one.same(row); })) continue;
      WorkRow& mine = known.emplace_back(row);
      switch (row.kind) {
        case Effort::encode:
        case Effort::decode:
          mine.amount = coding_rate(row, question);
          break;
        case Effort::pack:
          mine.amount = packing.pack;
          break;
        case Effort::unpack:
          mine.amount = packing.unpack;
          break;
        case Effort::read:
          mine.amount = reading_rate(question);
          break;
        case Effort::write:
          mine.amount = write.bytes_per_second;
          break;
        case Effort::commit:
          mine.amount = write.seconds_a_sync > 0 ? 1 / write.seconds_a_sync : 0;
          break;
        default:
          mine.amount = computing_rate(row, question.threads);
      }
    }
  return {std::move(known), packing.size};
}

double MachineRates::seconds(const WorkRow& row) const {
  const auto mine = std::ranges::find_if(known_, [&](const WorkRow& one) { return one.same(row); });
  return mine == known_.end() || mine->amount <= 0 ? 0 : row.amount / mine->amount;
}

}  // namespace strata
