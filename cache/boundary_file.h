// One boundary in one file: written block by block, published whole or not at all, read block by block with every
// byte checked. docs/cache-format.md has the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/file.h"
#include "cache/boundary_shape.h"
#include "cache/frame.h"

namespace strata {

// Where a frame stands and what its stored bytes are.
struct FrameEntry {
  std::uint64_t offset = 0;  // in the file; of an encoded block, in the block
  std::uint32_t bytes = 0;
  FrameCodec codec = FrameCodec::raw;
  std::uint64_t hash = 0;  // XXH3-64 of the stored bytes
};

// A block as it will stand in the file. Its memory is reused when it is encoded into again.
struct EncodedBlock {
  std::int64_t block = -1;
  Buffer buffer;            // at least `bytes`, page-aligned
  std::uint64_t bytes = 0;  // a multiple of boundary_alignment, zeros behind the last frame
  std::vector<FrameEntry> frames;
};

// Writes past the page cache under "<path>.partial"; the file has its name when finish() returns, and is removed when
// that is not called.
class BoundaryWriter {
 public:
  // `fingerprint`: 32 hex digits that open() must be given again. `wanted`: what is tried on each frame.
  BoundaryWriter(const std::string& path, const BoundaryShape& shape, std::string_view fingerprint, FrameCodec wanted);

  ~BoundaryWriter();
  BoundaryWriter(const BoundaryWriter&) = delete;
  BoundaryWriter& operator=(const BoundaryWriter&) = delete;

  const BoundaryShape& shape() const { return shape_; }

  // Thread-safe, and a pure function of its arguments. `values` are all of the block. Error{bug} when the shape says
  // BF16 and the values are not.
  void encode(std::int64_t block, std::span<const float> values, EncodedBlock& out) const;

  // Blocks come in order, one thread at a time. Error{io} when the disk is full.
  void append(const EncodedBlock& block);

  // Index, footer, sync, name (the folder is not synced). Returns the bytes of the file.
  std::uint64_t finish();

  std::uint64_t bytes() const { return end_; }  // written so far

 private:
  const BoundaryShape shape_;
  const FrameCodec wanted_;
  mutable WorkspacePool workspaces_;
  std::vector<std::byte> header_;
  const std::string path_;
  OutputFile file_;
  bool published_ = false;
  std::int64_t next_ = 0;
  std::uint64_t end_ = 0;
  std::vector<FrameEntry> frames_;
};

// An open boundary whose header, index and footer agree with each other and with what is expected. Thread-safe.
class BoundaryReader {
 public:
  // nullopt with the reason when there is no such file, or it is cut, changed, of another version, shape or
  // fingerprint. Checks header and index; verify() checks the rest.
  static std::optional<BoundaryReader> open(const std::string& path, const BoundaryShape& shape,
                                            std::string_view fingerprint, std::string& why_not);

  const BoundaryShape& shape() const { return shape_; }
  std::uint64_t bytes() const { return file_->size(); }
  std::span<const FrameEntry> frames() const { return frames_; }

  // Every stored byte against its checksum, in parallel, without decoding. False with the reason.
  bool verify(int threads, std::string& why) const;

  // Fills `out`, all values of the block. False with the reason when the file does not hold them.
  bool read(std::int64_t block, std::span<float> out, std::string& why) const;

 private:
  BoundaryReader(const BoundaryShape& shape, std::unique_ptr<InputFile> file, std::vector<FrameEntry> frames);
  bool verify_block(std::int64_t block, WorkspacePool& workspaces, std::string& why) const;
  bool read_stored(std::uint64_t offset, std::span<std::byte> out, std::string& why) const;

  BoundaryShape shape_;
  std::unique_ptr<InputFile> file_;
  std::vector<FrameEntry> frames_;
  std::unique_ptr<WorkspacePool> workspaces_;
};

}  // namespace strata
