#include <tbb/task_arena.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "cache/boundary_file.h"
#include "cache/boundary_layout.h"
#include "cache/in_parallel.h"

namespace strata {

using namespace boundary_layout;

namespace {

// The first reason why this is not the header of the file that is wanted; empty when it is.
std::string header_fault(const Header& found, const Header& wanted) {
  if (std::memcmp(found.magic, header_magic, sizeof header_magic) != 0) return "is not a cache file";
  if (found.version != version) return fmt::format("has version {}, this program reads {}", found.version, version);
  if (std::memcmp(found.fingerprint, wanted.fingerprint, sizeof wanted.fingerprint) != 0)
    return "was made from something else: its fingerprint is another";
  if (std::memcmp(&found, &wanted, sizeof wanted) != 0)
    return fmt::format(
        "holds [{}, {}, {}] in blocks of {}, type {}, where [{}, {}, {}] in blocks of {}, type {} belong",
        found.samples, found.tokens, found.hidden, found.samples_per_block, found.type, wanted.samples, wanted.tokens,
        wanted.hidden, wanted.samples_per_block, wanted.type);
  return "";
}

// The footer belongs to a file of this size and shape: what it says is safe to use.
bool footer_fits(const Footer& footer, const BoundaryShape& shape, std::uint64_t file_bytes) {
  if (std::memcmp(footer.magic, footer_magic, sizeof footer_magic) != 0) return false;
  if (footer.file_bytes != file_bytes || footer.frames != boundary_frames(shape)) return false;
  const auto index = checked_mul(footer.frames, index_entry_bytes);
  const auto end = index ? checked_add(*index, footer.index_offset) : index;
  return end && *end == file_bytes - sizeof footer && footer.index_offset >= boundary_alignment;
}

// Frames stand where the layout puts them: each behind the one before, blocks on multiples of boundary_alignment.
bool index_fits(std::span<const IndexEntry> index, const BoundaryShape& shape, std::uint64_t index_offset) {
  const bool bf16 = shape.type == BoundaryType::bf16;
  std::uint64_t end = boundary_alignment;
  std::size_t i = 0;
  for (std::int64_t block = 0; block < shape.blocks(); ++block) {
    for (std::uint64_t left = shape.values_in(block); left > 0; ++i) {
      const std::uint64_t values = std::min(left, most_frame_values);
      const IndexEntry& entry = index[i];
      if (entry.offset != end || entry.codec >= frame_codecs || entry.zero[0] + entry.zero[1] + entry.zero[2] != 0)
        return false;
      if (entry.bytes < frame_header_bytes || entry.bytes > frame_bound(values, bf16)) return false;
      end += entry.bytes;
      left -= values;
    }
    end = align_up(end, boundary_alignment);
  }
  return end == index_offset;
}

std::vector<FrameEntry> frames_of_index(std::span<const IndexEntry> index) {
  std::vector<FrameEntry> frames;
  frames.reserve(index.size());
  for (const IndexEntry& entry : index)
    frames.push_back({entry.offset, entry.bytes, static_cast<FrameCodec>(entry.codec), entry.hash});
  return frames;
}

// The frames of a file whose fixed parts are sound; nullopt with the reason otherwise. Errors of reading pass.
std::optional<std::vector<FrameEntry>> read_index(const InputFile& file, const BoundaryShape& shape,
                                                  const Header& wanted, std::string& why_not) {
  if (file.size() < boundary_alignment + sizeof(Footer)) {
    why_not = fmt::format("is cut: it has {} bytes, less than its header and footer", file.size());
    return std::nullopt;
  }
  std::vector<std::byte> header(boundary_alignment);
  file.read_at(0, header);
  Header found;
  std::memcpy(&found, header.data(), sizeof found);
  why_not = header_fault(found, wanted);
  if (!why_not.empty()) return std::nullopt;
  Footer footer;
  file.read_at(file.size() - sizeof footer, std::as_writable_bytes(std::span<Footer, 1>(&footer, 1)));
  if (!footer_fits(footer, shape, file.size())) {
    why_not = fmt::format("is cut or changed: its {} bytes do not end in its footer", file.size());
    return std::nullopt;
  }
  std::vector<IndexEntry> index(footer.frames);
  file.read_at(footer.index_offset, std::as_writable_bytes(std::span(index)));
  if (guard(header, std::as_bytes(std::span(index)), footer) != footer.hash) {
    why_not = "is changed: header and index do not have the checksum in its footer";
    return std::nullopt;
  }
  if (!index_fits(index, shape, footer.index_offset)) {
    why_not = "is not sound: its index does not follow the layout";
    return std::nullopt;
  }
  return frames_of_index(index);
}

}  // namespace

BoundaryReader::BoundaryReader(const BoundaryShape& shape, std::unique_ptr<InputFile> file,
                               std::vector<FrameEntry> frames)
    : shape_(shape),
      file_(std::move(file)),
      frames_(std::move(frames)),
      workspaces_(std::make_unique<WorkspacePool>()) {}

std::optional<BoundaryReader> BoundaryReader::open(const std::string& path, const BoundaryShape& shape,
                                                   std::string_view fingerprint, std::string& why_not) {
  const Header wanted = make_header(shape, fingerprint);
  if (!exists(path)) {
    why_not = "is missing";
    return std::nullopt;
  }
  try {
    auto file = std::make_unique<InputFile>(path);
    std::optional<std::vector<FrameEntry>> frames = read_index(*file, shape, wanted, why_not);
    if (!frames) return std::nullopt;
    return BoundaryReader(shape, std::move(file), std::move(*frames));
  } catch (const Error& error) {  // a cache file that cannot be read is worth as much as none
    why_not = fmt::format("cannot be read: {}", error.what());
    return std::nullopt;
  }
}

bool BoundaryReader::read_stored(std::uint64_t offset, std::span<std::byte> out, std::string& why) const {
  try {
    file_->read_at(offset, out);
    return true;
  } catch (const Error& error) {
    why = fmt::format("cannot be read: {}", error.what());
    return false;
  }
}

// Frames of a whole block come before those of the last, shorter one.
static std::uint64_t first_frame(const BoundaryShape& shape, std::int64_t block) {
  return static_cast<std::uint64_t>(block) * frames_of(shape.values_in(0));
}

bool BoundaryReader::verify_block(std::int64_t block, WorkspacePool& workspaces, std::string& why) const {
  WorkspacePool::Loan workspace = workspaces.borrow();
  const std::uint64_t first = first_frame(shape_, block), count = frames_of(shape_.values_in(block));
  for (std::uint64_t i = first; i < first + count; ++i) {
    const FrameEntry& frame = frames_[i];
    // Zeros up to the next block belong to the last frame.
    const std::uint64_t end = frame.offset + frame.bytes;
    const std::uint64_t padded = i + 1 == first + count ? align_up(end, boundary_alignment) : end;
    const std::span<std::byte> stored = (*workspace).stored_frame(padded - frame.offset);
    if (!read_stored(frame.offset, stored, why)) return false;
    const bool zeros = std::ranges::all_of(stored.subspan(frame.bytes), [](std::byte b) { return b == std::byte{0}; });
    if (zeros && hash64(stored.first(frame.bytes)) == frame.hash) continue;
    why = fmt::format("is changed: frame {} of {} at byte {} does not have its checksum", i, frames_.size(),
                      frame.offset);
    return false;
  }
  return true;
}

bool BoundaryReader::verify(int threads, std::string& why) const {
  WorkspacePool workspaces;  // given back before hidden states take their place
  Mutex mutex;
  std::map<std::int64_t, std::string> reasons;  // the first one is told, whichever thread was faster
  in_parallel(shape_.blocks(), threads, [&](std::int64_t block) {
    std::string reason;
    if (verify_block(block, workspaces, reason)) return;
    const MutexLock lock(mutex);
    reasons.emplace(block, std::move(reason));
  });
  if (reasons.empty()) return true;
  why = reasons.begin()->second;
  return false;
}

bool BoundaryReader::read(std::int64_t block, std::span<float> out, std::string& why) const {
  if (block < 0 || block >= shape_.blocks() || out.size() != shape_.values_in(block))
    fail(Fault::bug, "cache: {} values wanted of block {} of {}", out.size(), block, shape_.blocks());
  WorkspacePool::Loan workspace = workspaces_->borrow();
  std::uint64_t i = first_frame(shape_, block);
  for (std::uint64_t first = 0; first < out.size(); first += most_frame_values, ++i) {
    const FrameEntry& frame = frames_[i];
    const std::span<std::byte> stored = (*workspace).stored_frame(frame.bytes);
    if (!read_stored(frame.offset, stored, why)) return false;
    const std::uint64_t count = std::min<std::uint64_t>(most_frame_values, out.size() - first);
    std::string reason;
    if (decode_frame(stored, *workspace, out.subspan(first, count), reason)) continue;
    why = fmt::format("is changed: frame {} of {} at byte {}: {}", i, frames_.size(), frame.offset, reason);
    return false;
  }
  const std::uint64_t begin = frames_[first_frame(shape_, block)].offset;
  file_->drop(begin, frames_[i - 1].offset + frames_[i - 1].bytes - begin);  // a boundary is read once
  return true;
}

}  // namespace strata
