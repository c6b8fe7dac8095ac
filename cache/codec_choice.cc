#include "cache/codec_choice.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/timer.h"

namespace strata {
namespace {

constexpr double least_ratio = 1.05;

struct Trial {
  FrameCodec codec = FrameCodec::raw;
  std::uint64_t bytes = 0;
  double seconds = 0;
};

// The second of two encodings: the first one pays for fresh memory.
Trial encode(std::span<const float> sample, FrameCodec wanted, std::vector<std::byte>& out) {
  FrameWorkspace workspace;
  out.resize(frame_bound(sample.size()));
  Trial trial;
  for (int i = 0; i < 2; ++i) {
    const Timer timer;
    const EncodedFrame frame = encode_frame(sample, wanted, workspace, out);
    trial = {frame.codec, frame.bytes, timer.seconds()};
  }
  return trial;
}

std::string rate(double bytes_per_second) { return fmt::format("{:.2f} GB/s", bytes_per_second / 1e9); }

}  // namespace

struct DiskProbe::State {
  std::string path;
  std::unique_ptr<OutputFile> file;
  std::uint64_t end = 0;
};

DiskProbe::DiskProbe(const std::string& folder) : state_(std::make_unique<State>()) {
  state_->path = join_path(folder, "disk.probe");
  state_->file = std::make_unique<OutputFile>(state_->path, 0);
}

DiskProbe::~DiskProbe() {
  state_->file.reset();
  remove_file(state_->path);
}

double DiskProbe::write(std::span<const std::byte> bytes) {
  const Timer timer;
  state_->file->write_at(state_->end, bytes);
  state_->file->sync();
  state_->end += bytes.size();
  return timer.seconds();
}

CodecChoice choose_codec(std::span<const float> sample, const CodecQuestion& question) {
  sample = sample.first(std::min<std::size_t>(sample.size(), most_frame_values));
  std::vector<std::byte> plain, coded;
  const Trial without = encode(sample, FrameCodec::bf16, plain), with = encode(sample, FrameCodec::bf16_zstd, coded);
  const auto values = static_cast<double>(sample.size_bytes());
  const double gain = static_cast<double>(without.bytes) / static_cast<double>(with.bytes);
  const std::string kind = without.codec == FrameCodec::bf16 ? "exact BF16" : "float32";

  CodecChoice choice{.codec = FrameCodec::bf16, .ratio = values / static_cast<double>(without.bytes)};
  choice.encode_bytes_per_second = question.encode_bytes_per_second;
  if (choice.encode_bytes_per_second <= 0)
    choice.encode_bytes_per_second = with.seconds > 0 ? values / with.seconds : std::numeric_limits<double>::max();
  if (gain < least_ratio) {
    choice.reason =
        fmt::format("{}: stored plain, compression saves {:.1f} %, 5 % is the least", kind, 100 * (1 - 1 / gain));
    return choice;
  }
  const auto take_zstd = [&] {
    choice.codec = FrameCodec::bf16_zstd;
    choice.ratio = values / static_cast<double>(with.bytes);
  };
  if (question.scarce_disk) {
    take_zstd();
    choice.reason = fmt::format("{}: compressed {:.2f} times, since disk space is short", kind, choice.ratio);
    return choice;
  }
  choice.write_bytes_per_second = question.write_bytes_per_second;
  if (choice.write_bytes_per_second <= 0) {
    if (!question.disk) fail(Fault::bug, "cache: a codec is chosen without a disk");
    const double seconds = question.disk(std::span<const std::byte>(plain).first(without.bytes));
    choice.write_bytes_per_second = static_cast<double>(without.bytes) / std::max(seconds, 1e-9);
  }
  // Seconds for a byte of float32. Encoding runs beside writing, so the slower of the two counts.
  const double write = choice.write_bytes_per_second, encoding = question.threads * choice.encode_bytes_per_second;
  const double plain_seconds = 1 / (choice.ratio * write);
  const double coded_seconds = std::max(1 / (choice.ratio * gain * write), 1 / encoding);
  if (coded_seconds < plain_seconds) take_zstd();
  choice.reason = fmt::format("{}: {}, since the disk writes {} and {} threads encode {}, {:.2f} times smaller", kind,
                              choice.codec == FrameCodec::bf16_zstd ? "compressed" : "stored plain", rate(write),
                              question.threads, rate(encoding), gain);
  return choice;
}

}  // namespace strata
