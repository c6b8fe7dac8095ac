// Which codec the frames of a run get: what makes writing fastest on this disk, or what makes files smallest.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cache/frame.h"

namespace strata {

// Writes these bytes so that they are on the disk, and returns the seconds that it took.
using TimedWrite = std::function<double(std::span<const std::byte>)>;

// Writes past the page cache to a file in `folder` that is removed with the object. The bytes are written again and
// again, 64 MiB or half a second long, with one sync, as a boundary is; the time is that of one of these writes.
class DiskProbe {
 public:
  explicit DiskProbe(const std::string& folder);
  ~DiskProbe();
  DiskProbe(const DiskProbe&) = delete;
  DiskProbe& operator=(const DiskProbe&) = delete;
  double write(std::span<const std::byte> bytes);
  operator TimedWrite() {
    return [this](std::span<const std::byte> bytes) { return write(bytes); };
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct CodecQuestion {
  int threads = 1;                     // that encode at once
  bool scarce_disk = false;            // smaller files count, not time
  double encode_bytes_per_second = 0;  // of float32 on one thread; 0: all of them are measured on the sample
  double write_bytes_per_second = 0;   // of the disk; 0: measured with `disk`
  TimedWrite disk;
};

struct CodecChoice {
  FrameCodec codec = FrameCodec::raw;  // for BoundaryWriter: bf16 or bf16_zstd; narrow frames are decided one by one
  double ratio = 1;                    // of float32 to stored bytes, on the sample
  double encode_bytes_per_second = 0, write_bytes_per_second = 0;  // of all threads; 0 where it did not matter
  std::string reason;                                              // one line with the numbers
};

// Bytes that choosing takes for a moment: a sample of 2^20 values, it encoded both ways, and what the disk is probed
// with.
inline constexpr std::uint64_t codec_choice_memory = 24u << 20;

// `sample`: 16384 values and more of the first boundary, up to 2^20 are used. Compression is chosen when it shrinks by
// 5 % at least and saves time on each byte: max(1 / (ratio * write), 1 / encode) < 1 / write.
CodecChoice choose_codec(std::span<const float> sample, const CodecQuestion& question);

}  // namespace strata
