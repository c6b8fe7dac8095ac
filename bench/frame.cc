// GB/s of float32 activations into and out of frames of the activation cache, on one core and on all, beside a copy in
// memory; then of whole boundary files onto this disk, beside a plain file. Medians. GB = 10^9 bytes of float32. One
// core is measured in processor time, the rest by the clock.
//   bench_frame [--mib N] [--repeats N] [--folder FOLDER]
// Files are written to FOLDER only when it is given.
#include <fmt/core.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/timer.h"
#include "cache/boundary_file.h"
#include "cache/codec_choice.h"

namespace {

using namespace strata;

constexpr std::size_t hidden = 4096;

struct Options {
  std::size_t mib = 128;
  int repeats = 5;
  std::string folder;
};

int positive(std::string_view word) {
  int value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < 1)
    fail(Fault::usage, "bench_frame: '{}' is not a number above 0", word);
  return value;
}

Options parse(const std::vector<std::string_view>& words) {
  Options options;
  if (words.size() % 2 != 0) fail(Fault::usage, "bench_frame: {} lacks its value", words.back());
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (words[i] == "--mib")
      options.mib = static_cast<std::size_t>(align_up(static_cast<std::uint64_t>(positive(words[i + 1])), 16));
    else if (words[i] == "--repeats")
      options.repeats = positive(words[i + 1]);
    else if (words[i] == "--folder")
      options.folder = words[i + 1];
    else
      fail(Fault::usage, "bench_frame: there is no option {}", words[i]);
  }
  return options;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// 2^20 values of `draw`, repeated to `count` with other signs, the same in every run.
std::vector<float> repeated(std::size_t count, const std::function<float(std::size_t)>& draw) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = i < most_frame_values ? draw(i) : -values[i - most_frame_values];
  return values;
}

std::vector<float> gaussian(std::size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1);
  return repeated(count, [&](std::size_t) { return normal(random); });
}

// As the residual stream of a trained model: heavy tails, channels of unequal size, a few massive ones.
std::vector<float> residual(std::size_t count) {
  std::mt19937 random(2);
  std::student_t_distribution<float> tails(5);
  std::lognormal_distribution<float> spread(0, 1);
  std::vector<float> scale(hidden);
  for (float& s : scale) s = spread(random);
  for (std::size_t i = 0; i < 8; ++i) scale[i * 501] *= 300;
  return repeated(count, [&](std::size_t i) { return tails(random) * scale[i % hidden]; });
}

std::vector<float> rounded_to_bf16(std::vector<float> values) {
  for (float& value : values) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    value = std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
  }
  return values;
}

class Bench {
 public:
  Bench(std::span<const float> values, int repeats)
      : values_(values), back_(values.size()), stored_(frames() * slot), sizes_(frames()), repeats_(repeats) {}

  void rows(std::string_view name) {
    constexpr FrameCodec codecs[] = {FrameCodec::raw, FrameCodec::bf16, FrameCodec::zstd, FrameCodec::bf16_zstd};
    row(
        fmt::format("{}: memcpy", name), 1, [&](std::size_t i) { copy(i); }, [&](std::size_t i) { copy(i); });
    for (const FrameCodec codec : codecs) {
      const EncodedFrame first = encode(0, codec);
      if (first.codec != codec) continue;
      const double ratio = static_cast<double>(4 * most_frame_values) / static_cast<double>(first.bytes);
      row(
          fmt::format("{}: {}", name, codec_name(codec)), ratio, [&](std::size_t i) { encode(i, codec); },
          [&](std::size_t i) { decode(i); });
    }
  }

 private:
  static constexpr std::size_t slot = frame_bound(most_frame_values) + 4064;  // whole pages
  std::size_t frames() const { return values_.size() / most_frame_values; }
  std::span<const float> frame(std::size_t i) const {
    return values_.subspan(i * most_frame_values, most_frame_values);
  }

  void copy(std::size_t i) { std::memcpy(&back_[i * most_frame_values], frame(i).data(), 4 * most_frame_values); }

  EncodedFrame encode(std::size_t i, FrameCodec codec) {
    WorkspacePool::Loan workspace = pool_.borrow();
    const EncodedFrame done = encode_frame(frame(i), codec, *workspace, std::span(stored_).subspan(i * slot, slot));
    sizes_[i] = done.bytes;
    return done;
  }

  void decode(std::size_t i) {
    WorkspacePool::Loan workspace = pool_.borrow();
    std::string why;
    const std::span<float> out(&back_[i * most_frame_values], most_frame_values);
    if (!decode_frame(std::span(stored_).subspan(i * slot, sizes_[i]), *workspace, out, why))
      fail(Fault::bug, "bench_frame: {}", why);
  }

  using Step = std::function<void(std::size_t)>;
  void row(const std::string& name, double ratio, const Step& in, const Step& out) {
    double speed[4];
    for (int threads = 0; threads < 2; ++threads) {
      const int most = threads == 0 ? 1 : static_cast<int>(std::thread::hardware_concurrency());
      const tbb::global_control control(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(most));
      speed[threads] = rate(in, threads == 0);
      speed[2 + threads] = rate(out, threads == 0);
    }
    fmt::print("{:<28} {:>6.3f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f}\n", name, ratio, speed[0], speed[1], speed[2],
               speed[3]);
  }

  // One core in processor time, which other programs disturb less, all cores by the clock.
  double rate(const Step& step, bool one_core) {
    std::vector<double> rates;
    for (int i = 0; i <= repeats_; ++i) {
      const Timer timer;
      const std::clock_t start = std::clock();
      tbb::parallel_for(std::size_t{0}, frames(), step, tbb::simple_partitioner());
      const double seconds = one_core ? static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC : timer.seconds();
      if (i > 0) rates.push_back(static_cast<double>(values_.size_bytes()) / seconds / 1e9);  // 0 warms up
    }
    return median(rates);
  }

  std::span<const float> values_;
  std::vector<float> back_;
  std::vector<std::byte> stored_;
  std::vector<std::uint64_t> sizes_;
  WorkspacePool pool_;
  int repeats_;
};

// Encodes on all cores while the blocks before are written.
void write_boundary(const std::string& path, std::span<const float> values, FrameCodec codec,
                    std::vector<EncodedBlock>& blocks) {
  const auto rows = static_cast<std::int64_t>(values.size() / hidden);
  const BoundaryShape shape{.samples = rows / 512, .tokens = 512, .hidden = hidden, .samples_per_block = 2};
  BoundaryWriter writer(path, shape, std::string(32, '0'), codec);
  const std::size_t alive = blocks.size();
  std::int64_t next = 0;
  tbb::parallel_pipeline(
      alive, tbb::make_filter<void, std::int64_t>(tbb::filter_mode::serial_in_order, [&](tbb::flow_control& control) {
               if (next == shape.blocks()) control.stop();
               return next == shape.blocks() ? next : next++;
             }) & tbb::make_filter<std::int64_t, std::int64_t>(tbb::filter_mode::parallel, [&](std::int64_t block) {
               const auto first = static_cast<std::size_t>(block) * shape.values_in(0);
               writer.encode(block, values.subspan(first, shape.values_in(block)),
                             blocks[static_cast<std::size_t>(block) % alive]);
               return block;
             }) & tbb::make_filter<std::int64_t, void>(tbb::filter_mode::serial_in_order, [&](std::int64_t block) {
               writer.append(blocks[static_cast<std::size_t>(block) % alive]);
             }));
  writer.finish();
}

void write_plain(const std::string& path, std::span<const float> values, Buffer& buffer) {
  OutputFile file(path, 0, {.write = WriteMode::direct});
  const std::span<const std::byte> bytes = std::as_bytes(values);
  for (std::size_t at = 0; at < bytes.size(); at += buffer.size()) {
    std::memcpy(buffer.data(), bytes.data() + at, buffer.size());
    file.write_at(at, buffer.bytes());
  }
  file.sync_data();
}

void disk_rows(const Options& options, std::string_view name, std::span<const float> values) {
  const std::string path = join_path(options.folder, "bench_frame.sba");
  const auto threads = static_cast<int>(std::thread::hardware_concurrency());
  CodecChoice choice;
  {
    DiskProbe probe(options.folder);
    choice = choose_codec(values, {.threads = threads, .disk = probe});
  }
  // Memory that a run has from the start: aligned blocks, filled before they are written.
  Buffer buffer(16u << 20);
  std::vector<EncodedBlock> blocks(6);
  for (EncodedBlock& block : blocks) block.buffer.grow(20u << 20);
  const std::pair<std::string, std::function<void()>> ways[] = {
      {"plain file", [&] { write_plain(path, values, buffer); }},
      {"raw frames", [&] { write_boundary(path, values, FrameCodec::raw, blocks); }},
      {"zstd frames", [&] { write_boundary(path, values, FrameCodec::bf16_zstd, blocks); }},
      {fmt::format("auto ({})", codec_name(choice.codec)),
       [&] { write_boundary(path, values, choice.codec, blocks); }}};
  std::vector<double> rates[std::size(ways)];
  for (int i = 0; i <= options.repeats; ++i)  // in turns: the disk's speed changes with the hour
    for (std::size_t way = 0; way < std::size(ways); ++way) {
      remove_tree(path);
      const Timer timer;
      ways[way].second();
      if (i > 0) rates[way].push_back(static_cast<double>(values.size_bytes()) / timer.seconds() / 1e9);
    }
  remove_tree(path);
  for (std::size_t way = 0; way < std::size(ways); ++way)
    fmt::print("{:<28} {:>6.2f}\n", fmt::format("{}: {}", name, ways[way].first), median(rates[way]));
  fmt::print("  auto: {}\n", choice.reason);
}

int run(const Options& options) {
  const std::size_t count = (options.mib << 20) / sizeof(float);
  const std::pair<std::string_view, std::vector<float>> sets[] = {{"gaussian", gaussian(count)},
                                                                  {"residual", residual(count)},
                                                                  {"residual BF16", rounded_to_bf16(residual(count))}};
  fmt::print(
      "{} MiB of float32, {} cores\n{:<28} {:>6} {:>9} {:>9} {:>9} {:>9}\n{:<28} {:>6} {:>9} {:>9} {:>9} {:>9}\n",
      options.mib, std::thread::hardware_concurrency(), "GB/s of float32", "ratio", "encode", "encode", "decode",
      "decode", "", "", "one core", "all cores", "one core", "all cores");
  for (const auto& [name, values] : sets) Bench(values, options.repeats).rows(name);
  if (options.folder.empty()) return 0;
  fmt::print("\nfiles in {}, GB/s of float32, sync included\n", options.folder);
  for (const auto& [name, values] : sets) disk_rows(options, name, values);
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
