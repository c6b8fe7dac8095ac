// The unit of the activation cache: up to 2^20 float32 values with their own codec and checksum, so that frames are
// encoded, decoded and checked in parallel. docs/cache-format.md has the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace strata {

enum class FrameCodec : std::uint8_t {
  raw = 0,        // float32
  bf16 = 1,       // two bytes a value: every value is BF16 exactly
  zstd = 2,       // four planes of bytes, those that shrink coded by zstd's Huffman stage
  bf16_zstd = 3,  // two planes
};
inline constexpr int frame_codecs = 4;

std::string_view codec_name(FrameCodec codec);  // "raw", "bf16", "zstd", "bf16+zstd"

inline constexpr std::uint64_t most_frame_values = 1u << 20;
inline constexpr std::uint64_t frame_header_bytes = 32;

// Most bytes of a frame, whatever its values are; less when they are known to be exact BF16.
constexpr std::uint64_t frame_bound(std::uint64_t values, bool bf16 = false) {
  return frame_header_bytes + values * (bf16 ? 2 : 4);
}

// Memory that coding reuses from frame to frame: fresh pages cost more time than the coding. Not thread-safe.
class FrameWorkspace {
 public:
  FrameWorkspace();
  ~FrameWorkspace();
  FrameWorkspace(const FrameWorkspace&) = delete;
  FrameWorkspace& operator=(const FrameWorkspace&) = delete;
  std::span<std::byte> stored_frame(std::uint64_t bytes);  // room for one frame as it is on the disk
  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// Most bytes of one workspace: planes, a stored frame, zstd's tables.
inline constexpr std::uint64_t frame_workspace_bytes = (4u << 20) + ((4u << 20) + 8192) + (1u << 20);

struct EncodedFrame {
  FrameCodec codec = FrameCodec::raw;
  std::uint64_t bytes = 0;
};

// Writes one frame to `out`, which has room for frame_bound(). `wanted` is the most that is tried: bf16 only where
// the values are BF16 exactly, zstd only where it shrinks them; otherwise the codec without. Depends on nothing but
// the values and `wanted`.
EncodedFrame encode_frame(std::span<const float> values, FrameCodec wanted, FrameWorkspace& workspace,
                          std::span<std::byte> out);

// Fills `out` from a frame of exactly that many values. False with the reason when the bytes are not such a frame,
// whatever they are; `out` is undefined then.
bool decode_frame(std::span<const std::byte> frame, FrameWorkspace& workspace, std::span<float> out, std::string& why);

// Workspaces for callers on several threads: as many as were ever used at once. Thread-safe.
class WorkspacePool {
 public:
  class Loan {
   public:
    Loan(WorkspacePool& pool, std::unique_ptr<FrameWorkspace> workspace)
        : pool_(pool), workspace_(std::move(workspace)) {}
    ~Loan() { pool_.give_back(std::move(workspace_)); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    FrameWorkspace& operator*() { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<FrameWorkspace> workspace_;
  };
  Loan borrow();

 private:
  void give_back(std::unique_ptr<FrameWorkspace> workspace);
  Mutex mutex_;
  std::vector<std::unique_ptr<FrameWorkspace>> free_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata
