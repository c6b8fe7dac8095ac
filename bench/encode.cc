// GB/s of BF16 weights through each number format, on one core and on all, beside what the memory gives in
// the same run: a copy and a read-only maximum. GB = 10^9 bytes of BF16 input.
//   bench_encode [ROWS COLS]
#include <fmt/core.h>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "base/timer.h"
#include "formats/number_format.h"
#include "formats/weights.h"

namespace {

using namespace strata;

// Best of five: the others are disturbed by the machine.
double gigabytes_per_second(double bytes, const std::function<void()>& body) {
  body();  // warm-up, touches the pages
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const Timer timer;
    body();
    best = std::max(best, bytes / timer.seconds() / 1e9);
  }
  return best;
}

struct Case {
  std::string name;
  std::function<void()> body;
};

void print_row(const Case& c, double bytes) {
  double one = 0;
  {
    const tbb::global_control single(tbb::global_control::max_allowed_parallelism, 1);
    one = gigabytes_per_second(bytes, c.body);
  }
  fmt::print("{:<24} {:>10.2f} {:>10.2f}\n", c.name, one, gigabytes_per_second(bytes, c.body));
}

}  // namespace

int main(int count, char** arguments) {
  const std::int64_t rows = count > 2 ? std::atoll(arguments[1]) : 8192,
                     cols = count > 2 ? std::atoll(arguments[2]) : 8192;
  const auto elements = static_cast<std::size_t>(rows * cols);
  const double bytes = 2 * static_cast<double>(elements);
  std::vector<float> values(elements), wide(elements);
  std::minstd_rand random(1);
  for (float& v : values) v = static_cast<float>(static_cast<double>(random()) / 2147483648.0 - 0.5) * 0.1f;
  std::vector<std::byte> weight(elements * 2), copy(elements * 2);
  to_bf16(values, weight);
  const WeightView view{weight.data(), Dtype::bf16, rows, cols};
  const float peak = finite_amax(view, "weight");

  fmt::print("[{}, {}] BF16, {:.2f} GB, {} threads\n{:<24} {:>10} {:>10}\n", rows, cols, bytes / 1e9,
             std::thread::hardware_concurrency(), "GB/s of BF16", "one core", "all cores");
  print_row({"memcpy",
             [&] {
               tbb::parallel_for(tbb::blocked_range<std::size_t>(0, weight.size(), 1 << 20), [&](const auto& range) {
                 std::memcpy(copy.data() + range.begin(), weight.data() + range.begin(), range.size());
               });
             }},
            bytes);
  print_row({"read only: finite_amax", [&] { finite_amax(view, "weight"); }}, bytes);
  for (const NumberFormat* const format : number_formats()) {
    std::vector<Field> fields = format->fields({rows, cols}, Dtype::bf16, ScaleRule::minmax);
    std::vector<std::vector<std::byte>> stored;
    for (const Field& field : fields) stored.emplace_back(*tensor_bytes(field.dtype, field.shape));
    const std::vector<std::span<std::byte>> out(stored.begin(), stored.end());
    const std::vector<std::span<const std::byte>> in(stored.begin(), stored.end());
    const std::string name(format->name);
    EncodeContext context{.fused_amax = peak, .input_amax = 1};
    if (format->shared_scale != nullptr) context.shared_scale = format->shared_scale({&view, 1}, context);
    print_row({"encode " + name, [&] { format->encode(view, context, out); }}, bytes);
    print_row({"decode " + name, [&] { format->decode(fields, in, {rows, cols}, wide); }}, bytes);
    if (format->quantize_input != nullptr)
      print_row({"inputs " + name, [&] { format->quantize_input(wide, rows, cols, 2688); }}, bytes);
  }
  print_row({"encode_error", [&] { encode_error(view, wide); }}, bytes);
}
