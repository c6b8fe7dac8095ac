#include "cache/boundary_layout.h"

#include <cstring>

#include "base/error.h"
#include "base/hash.h"

namespace strata::boundary_layout {

Header make_header(const BoundaryShape& shape, std::string_view fingerprint) {
  if (!is_valid(shape))
    fail(Fault::bug, "cache: a boundary of [{}, {}, {}] cannot be stored", shape.samples, shape.tokens, shape.hidden);
  Header header{};
  if (fingerprint.size() != sizeof header.fingerprint)
    fail(Fault::bug, "cache: the fingerprint '{}' does not have 32 digits", fingerprint);
  std::memcpy(header.magic, header_magic, sizeof header_magic);
  header.version = version;
  header.type = static_cast<std::uint8_t>(shape.type);
  header.samples = shape.samples;
  header.tokens = shape.tokens;
  header.hidden = shape.hidden;
  header.samples_per_block = shape.samples_per_block;
  header.frame_values = most_frame_values;
  header.alignment = boundary_alignment;
  std::memcpy(header.fingerprint, fingerprint.data(), fingerprint.size());
  return header;
}

std::uint64_t guard(std::span<const std::byte> header, std::span<const std::byte> index, const Footer& footer) {
  const auto fields = bytes_of(footer).first(offsetof(Footer, hash));
  std::vector<std::byte> all(header.begin(), header.end());
  all.insert(all.end(), index.begin(), index.end());
  all.insert(all.end(), fields.begin(), fields.end());
  return hash64(all);
}

}  // namespace strata::boundary_layout
