#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "cache/boundary_file.h"
#include "cache/boundary_layout.h"
#include "cache/byte_planes.h"

namespace strata {

using namespace boundary_layout;

namespace {

std::string partial(const std::string& path) { return path + ".partial"; }

}  // namespace

BoundaryWriter::BoundaryWriter(const std::string& path, const BoundaryShape& shape, std::string_view fingerprint,
                               FrameCodec wanted)
    : shape_(shape),
      wanted_(wanted),
      header_(boundary_alignment),
      path_(path),
      file_(partial(path), 0, {.write = WriteMode::direct}) {
  const Header header = make_header(shape, fingerprint);
  std::memcpy(header_.data(), &header, sizeof header);
  file_.write_at(0, header_);
  end_ = header_.size();
  frames_.reserve(boundary_frames(shape));
}

BoundaryWriter::~BoundaryWriter() {
  if (!published_) remove_file(file_.path());
}

void BoundaryWriter::encode(std::int64_t block, std::span<const float> values, EncodedBlock& out) const {
  const bool bf16 = shape_.type == BoundaryType::bf16;
  if (block < 0 || block >= shape_.blocks() || values.size() != shape_.values_in(block))
    fail(Fault::bug, "cache: {} values for block {} of {}", values.size(), block, shape_.blocks());
  FrameCodec wanted = wanted_;
  if (bf16) wanted = wanted == FrameCodec::raw || wanted == FrameCodec::bf16 ? FrameCodec::bf16 : FrameCodec::bf16_zstd;
  out.block = block;
  out.buffer.grow(encoded_block_bound(shape_));
  out.frames.clear();
  std::uint64_t end = 0;
  WorkspacePool::Loan workspace = workspaces_.borrow();
  for (std::uint64_t first = 0; first < values.size(); first += most_frame_values) {
    const std::uint64_t count = std::min<std::uint64_t>(most_frame_values, values.size() - first);
    const std::span<const float> part = values.subspan(first, count);
    if (bf16 && !exactly_bf16(part))
      fail(Fault::bug, "cache: block {} of a BF16 boundary holds values that are not BF16", block);
    const std::span<std::byte> room = out.buffer.bytes().subspan(end);
    const EncodedFrame frame = encode_frame(part, wanted, *workspace, room);
    out.frames.push_back({.offset = end,
                          .bytes = static_cast<std::uint32_t>(frame.bytes),
                          .codec = frame.codec,
                          .hash = hash64(room.first(frame.bytes))});
    end += frame.bytes;
  }
  out.bytes = align_up(end, boundary_alignment);
  std::memset(out.buffer.data() + end, 0, out.bytes - end);
}

void BoundaryWriter::append(const EncodedBlock& block) {
  if (block.block != next_) fail(Fault::bug, "cache: block {} where block {} belongs", block.block, next_);
  file_.write_at(end_, block.buffer.bytes().first(block.bytes));
  for (FrameEntry entry : block.frames) {
    entry.offset += end_;
    frames_.push_back(entry);
  }
  end_ += block.bytes;
  ++next_;
}

std::uint64_t BoundaryWriter::finish() {
  if (next_ != shape_.blocks()) fail(Fault::bug, "cache: {} of {} blocks at the end", next_, shape_.blocks());
  std::vector<IndexEntry> index;
  index.reserve(frames_.size());
  for (const FrameEntry& frame : frames_)
    index.push_back({.offset = frame.offset,
                     .bytes = frame.bytes,
                     .codec = static_cast<std::uint8_t>(frame.codec),
                     .zero = {},
                     .hash = frame.hash});
  const auto index_bytes = std::as_bytes(std::span(index));
  Footer footer{};
  footer.index_offset = end_;
  footer.frames = index.size();
  footer.file_bytes = end_ + index_bytes.size() + sizeof footer;
  footer.hash = guard(header_, index_bytes, footer);
  std::memcpy(footer.magic, footer_magic, sizeof footer_magic);
  std::vector<std::byte> tail(index_bytes.begin(), index_bytes.end());
  tail.insert(tail.end(), bytes_of(footer).begin(), bytes_of(footer).end());
  file_.write_at(end_, tail);
  end_ = footer.file_bytes;
  file_.sync_data();
  rename_path(file_.path(), path_);
  published_ = true;
  return end_;
}

}  // namespace strata
