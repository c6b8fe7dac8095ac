#include "cache/codec_choice.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/timer.h"
#include "cache/boundary_shape.h"
#include "cache/in_parallel.h"

namespace strata {
namespace {

constexpr double least_ratio = 1.05;

EncodedFrame encode(std::span<const float> sample, FrameCodec wanted, std::vector<std::byte>& out) {
  FrameWorkspace workspace;
  out.resize(frame_bound(sample.size()));
  return encode_frame(sample, wanted, workspace, out);
}

// Bytes of float32 that so many threads encode in a second together: they share memory, caches and, with other
// programs, the cores. Pieces are small, so that memory is too.
double encoding_rate(std::span<const float> sample, int threads) {
  constexpr std::size_t piece_values = 1u << 16;
  const std::size_t piece = std::min(sample.size(), piece_values),
                    slices = sample.size() / std::max<std::size_t>(piece, 1);
  constexpr std::size_t runs = 4, run = 8;  // of each thread, of pieces that share an output
  const std::size_t pieces = runs * run * static_cast<std::size_t>(threads);
  WorkspacePool workspaces;
  double seconds = 0;
  for (int round = 0; round < 2; ++round) {  // the first one pays for fresh memory
    const Timer timer;
    in_parallel(static_cast<std::int64_t>(pieces / run), threads, [&](std::int64_t first) {
      std::vector<std::byte> out(frame_bound(piece));
      WorkspacePool::Loan workspace = workspaces.borrow();
      for (std::size_t i = 0; i < run; ++i) {
        const std::size_t slice = (static_cast<std::size_t>(first) * run + i) % slices;
        encode_frame(sample.subspan(slice * piece, piece), FrameCodec::bf16_zstd, *workspace, out);
      }
    });
    seconds = timer.seconds();
  }
  return static_cast<double>(pieces * piece * sizeof(float)) / std::max(seconds, 1e-9);
}

std::string rate(double bytes_per_second) { return fmt::format("{:.2f} GB/s", bytes_per_second / 1e9); }

}  // namespace

struct DiskProbe::State {
  std::string path;
  std::unique_ptr<OutputFile> file;
  Buffer aligned;
  std::uint64_t end = 0;
};

DiskProbe::DiskProbe(const std::string& folder) : state_(std::make_unique<State>()) {
  state_->path = join_path(folder, "disk.probe");
  state_->file = std::make_unique<OutputFile>(state_->path, 0, OutputOptions{.write = WriteMode::direct});
}

DiskProbe::~DiskProbe() {
  state_->file.reset();
  remove_file(state_->path);
}

double DiskProbe::write(std::span<const std::byte> bytes) {
  constexpr std::uint64_t enough_bytes = 64u << 20;
  constexpr double enough_seconds = 0.5;
  const std::uint64_t padded = align_up(std::max<std::uint64_t>(bytes.size(), 1), boundary_alignment);
  state_->aligned.grow(padded);
  std::memcpy(state_->aligned.data(), bytes.data(), bytes.size());
  std::uint64_t written = 0;
  const Timer timer;
  while (written < enough_bytes && timer.seconds() < enough_seconds) {
    state_->file->write_at(state_->end, state_->aligned.bytes().first(padded));
    state_->end += padded;
    written += padded;
  }
  state_->file->sync_data();
  return timer.seconds() * static_cast<double>(bytes.size()) / static_cast<double>(written);
}

CodecChoice choose_codec(std::span<const float> sample, const CodecQuestion& question) {
  if (sample.empty() || question.threads < 1) fail(Fault::bug, "cache: a codec is chosen without values or threads");
  sample = sample.first(std::min<std::size_t>(sample.size(), most_frame_values));
  std::vector<std::byte> plain, coded;
  const EncodedFrame without = encode(sample, FrameCodec::bf16, plain),
                     with = encode(sample, FrameCodec::bf16_zstd, coded);
  const auto values = static_cast<double>(sample.size_bytes());
  const double gain = static_cast<double>(without.bytes) / static_cast<double>(with.bytes);
  const std::string kind = without.codec == FrameCodec::bf16 ? "exact BF16" : "float32";

  CodecChoice choice{.codec = FrameCodec::bf16, .ratio = values / static_cast<double>(without.bytes)};
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
  choice.encode_bytes_per_second = question.encode_bytes_per_second > 0
                                       ? question.threads * question.encode_bytes_per_second
                                       : encoding_rate(sample, question.threads);
  // Seconds for a byte of float32. Encoding runs beside writing, so the slower of the two counts.
  const double write = choice.write_bytes_per_second, encoding = choice.encode_bytes_per_second;
  const double plain_seconds = 1 / (choice.ratio * write);
  const double coded_seconds = std::max(1 / (choice.ratio * gain * write), 1 / encoding);
  if (coded_seconds < plain_seconds) take_zstd();
  choice.reason = fmt::format("{}: {}, since the disk writes {} and {} threads encode {}, {:.2f} times smaller", kind,
                              choice.codec == FrameCodec::bf16_zstd ? "compressed" : "stored plain", rate(write),
                              question.threads, rate(encoding), gain);
  return choice;
}

}  // namespace strata
