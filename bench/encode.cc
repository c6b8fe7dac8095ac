// GB/s of BF16 weights through each number format, on one core and on all, beside what the memory gives in
// the same run: a copy and a read-only maximum. GB = 10^9 bytes of BF16. One core is measured in processor time,
// which other programs disturb less, all cores by the clock.
//   bench_encode [--rows N] [--cols N] [--format NAME] [--repeats N]
#include <fmt/core.h>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/timer.h"
#include "formats/number_format.h"
#include "formats/weight/weights.h"

namespace {

using namespace strata;

struct Options {
  std::int64_t rows = 4096, cols = 4096, repeats = 5;
  const NumberFormat* only = nullptr;
};

std::int64_t positive(std::string_view word) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < 1)
    fail(Fault::usage, "bench_encode: '{}' is not a number above 0", word);
  return value;
}

Options parse(const std::vector<std::string_view>& words) {
  Options options;
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    if (words[i] == "--rows")
      options.rows = positive(words[i + 1]);
    else if (words[i] == "--cols")
      options.cols = positive(words[i + 1]);
    else if (words[i] == "--repeats")
      options.repeats = positive(words[i + 1]);
    else if (words[i] == "--format")
      options.only = &require_number_format(words[i + 1]);
    else
      fail(Fault::usage, "bench_encode: there is no option {}", words[i]);
  }
  if (words.size() % 2 != 0) fail(Fault::usage, "bench_encode: {} lacks its value", words.back());
  return options;
}

// A table of GB/s whose first row, memcpy, is what the others are compared with.
class Table {
 public:
  Table(double bytes, std::int64_t repeats) : bytes_(bytes), repeats_(repeats) {
    fmt::print("{:<34} {:>9} {:>9} {:>10}\n", "GB/s of BF16", "one core", "all cores", "of memcpy");
  }

  void row(const std::string& name, const std::function<void()>& body) {
    double one = 0;
    {
      const tbb::global_control single(tbb::global_control::max_allowed_parallelism, 1);
      one = best(body, [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; });
    }
    const double all = best(body, [timer = Timer()] { return timer.seconds(); });
    if (copy_ == 0) copy_ = one;
    fmt::print("{:<34} {:>9.2f} {:>9.2f} {:>10.2f}\n", name, one, all, one / copy_);
  }

 private:
  // The best of several: the others are disturbed by the machine.
  double best(const std::function<void()>& body, const std::function<double()>& now) const {
    body();  // warm-up, touches the pages
    double most = 0;
    for (std::int64_t i = 0; i < repeats_; ++i) {
      const double start = now();
      body();
      most = std::max(most, bytes_ / (now() - start) / 1e9);
    }
    return most;
  }

  double bytes_, copy_ = 0;
  std::int64_t repeats_;
};

// Normals of a weight's size, the same in every run.
std::vector<std::byte> make_weight(std::size_t elements) {
  std::vector<float> values(elements);
  std::minstd_rand random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  for (std::size_t i = 0; i < elements; ++i) values[i] = i < 1 << 20 ? normal(random) : values[i - (1 << 20)];
  std::vector<std::byte> weight(elements * 2);
  to_bf16(values, weight);
  return weight;
}

struct Job {
  const NumberFormat& format;
  const WeightView& weight;
  float amax;
  std::span<float> wide;
};

void encode_rows(Table& table, const Job& job, ScaleRule rule, std::string_view rule_name) {
  const Shape shape{job.weight.rows, job.weight.cols};
  const std::vector<Field> fields = job.format.fields(shape, job.weight.dtype, rule);
  std::vector<std::vector<std::byte>> stored;
  for (const Field& field : fields) stored.emplace_back(*tensor_bytes(field.dtype, field.shape));
  const std::vector<std::span<std::byte>> out(stored.begin(), stored.end());
  EncodeContext context{.rule = rule, .fused_amax = job.amax, .input_amax = 1};
  table.row(fmt::format("{} encode {}", job.format.name, rule_name), [&] {
    if (job.format.shared_scale != nullptr) context.shared_scale = job.format.shared_scale({&job.weight, 1}, context);
    job.format.encode(job.weight, context, out);
  });
  if (rule != ScaleRule::minmax) return;
  const std::vector<std::span<const std::byte>> in(stored.begin(), stored.end());
  table.row(fmt::format("{} decode", job.format.name), [&] { job.format.decode(fields, in, shape, job.wide); });
  const float input_scale = job.format.input_scale_suffix.empty() ? 0.0f : 1.0f;
  if (job.format.quantize_input != nullptr)
    table.row(fmt::format("{} inputs", job.format.name),
              [&] { job.format.quantize_input(job.wide, shape[0], shape[1], input_scale); });
}

void format_rows(Table& table, const Job& job) {
  encode_rows(table, job, ScaleRule::minmax, "minmax");
  if (job.format.verbatim) return;
  encode_rows(table, job, ScaleRule::search, "search");
  encode_rows(table, job, ScaleRule::compressed_tensors, "compressed_tensors");
}

int run(const Options& options) {
  const auto elements = static_cast<std::size_t>(options.rows * options.cols);
  const std::vector<std::byte> weight = make_weight(elements);
  std::vector<std::byte> copy(weight.size());
  std::vector<float> wide(elements);
  const WeightView view{weight.data(), Dtype::bf16, options.rows, options.cols};
  fmt::print("[{}, {}] BF16, {} cores\n", options.rows, options.cols, std::thread::hardware_concurrency());
  Table table(2 * static_cast<double>(elements), options.repeats);
  table.row("memcpy", [&] {
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, weight.size(), 1 << 20), [&](const auto& range) {
      std::memcpy(copy.data() + range.begin(), weight.data() + range.begin(), range.size());
    });
  });
  table.row("read only: finite_amax", [&] { finite_amax(view, "weight"); });
  const float peak = finite_amax(view, "weight");
  for (const NumberFormat* const format : number_formats()) {
    if (options.only != nullptr && options.only != format) continue;
    if (format->source_only || format->refusal({options.rows, options.cols})) continue;
    format_rows(table, {*format, view, peak, wide});
  }
  if (options.only == nullptr) table.row("encode_error", [&] { encode_error(view, wide); });
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(parse({arguments + 1, arguments + count}));
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
