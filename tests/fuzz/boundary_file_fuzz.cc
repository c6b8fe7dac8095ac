// The input is a boundary file of a small shape; the first byte says how much of its checksums is put right before it
// is opened, so that mutations get past them, down to the frames. Whatever is accepted must be read whole or refused
// with a reason, and what is right by its checksums must be the values that are stored.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "cache/boundary_file.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/outcome.h"

using namespace strata;

namespace {

// As tests/fuzz/make_seeds.py writes it.
const BoundaryShape shape{.samples = 3, .tokens = 4, .hidden = 8, .samples_per_block = 2};
const std::string fingerprint = "00112233445566778899aabbccddeeff";

template <typename T>
T get(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <typename T>
void put(std::span<std::byte> bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

// The checksums of stored frames, and with `sizes` their sizes and offsets too; then those of index and footer.
void repair(std::span<std::byte> file, bool sizes) {
  if (file.size() < boundary_alignment + boundary_footer_bytes) return;
  const std::size_t footer = file.size() - boundary_footer_bytes;
  const std::uint64_t frames = boundary_frames(shape);
  const std::size_t index = footer - std::min<std::size_t>(footer, frames * index_entry_bytes);
  if (index < boundary_alignment) return;
  put<std::uint64_t>(file, footer, index);
  put<std::uint64_t>(file, footer + 8, frames);
  put<std::uint64_t>(file, footer + 16, file.size());
  for (std::size_t entry = index; entry < footer; entry += index_entry_bytes) {
    if (sizes) put<std::uint64_t>(file, entry, boundary_alignment * (1 + (entry - index) / index_entry_bytes));
    const auto offset = get<std::uint64_t>(file, entry), bytes = std::uint64_t{get<std::uint32_t>(file, entry + 8)};
    if (offset <= index && bytes <= index - offset) put(file, entry + 16, hash64(file.subspan(offset, bytes)));
  }
  std::vector<std::byte> guarded(file.begin(), file.begin() + boundary_alignment);
  guarded.insert(guarded.end(), file.begin() + static_cast<std::ptrdiff_t>(index),
                 file.begin() + static_cast<std::ptrdiff_t>(footer + 24));
  put(file, footer + 24, hash64(guarded));
}

void check_reader(const std::string& path) {
  std::string why;
  const std::optional<BoundaryReader> reader = BoundaryReader::open(path, shape, fingerprint, why);
  fuzz::expect(reader.has_value() == why.empty(), "a reason without a refusal, or a refusal without a reason");
  if (!reader) return;
  fuzz::expect(reader->frames().size() == boundary_frames(shape), "another number of frames");
  (void)reader->verify(2, why);
  for (std::int64_t block = 0; block < shape.blocks(); ++block) {
    std::vector<float> values(shape.values_in(block));
    std::string reason;
    const bool good = reader->read(block, values, reason);
    fuzz::expect(good == reason.empty(), "a block that is refused without a reason");
  }
}

// Any bytes as one frame, of a number of values that they may claim.
void check_frame(std::span<std::byte> bytes) {
  if (bytes.size() < frame_header_bytes) return;
  if (bytes[0] == std::byte{0}) put(bytes, 24, hash64(bytes.subspan(frame_header_bytes)));
  std::vector<float> values(get<std::uint32_t>(bytes, 4) % 4096), again(values.size());
  FrameWorkspace workspace;
  std::string why;
  if (!decode_frame(bytes, workspace, values, why)) return fuzz::expect(!why.empty(), "no reason");
  std::vector<std::byte> encoded(frame_bound(values.size()));
  encoded.resize(encode_frame(values, FrameCodec::bf16_zstd, workspace, encoded).bytes);
  fuzz::expect(decode_frame(encoded, workspace, again, why), "our own frame is refused");
  fuzz::expect(values.empty() || std::memcmp(values.data(), again.data(), values.size() * sizeof(float)) == 0,
               "other values after coding them again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const int mode = data[0] % 4;
  std::vector<std::byte> file(reinterpret_cast<const std::byte*>(data) + 1,
                              reinterpret_cast<const std::byte*>(data) + size);
  fuzz::try_input([&] {
    if (mode == 3) return check_frame(file);
    if (mode > 0) repair(file, mode == 2);
    const fuzz::MemoryFile stored(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
    check_reader(stored.path());
  });
  return 0;
}
