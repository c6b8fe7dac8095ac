// Small boundaries on the disk.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "cache/boundary_file.h"
#include "tests/unit/cache/hostile_values.h"

namespace strata::test {

inline const std::string a_fingerprint = "0123456789abcdef0123456789abcdef";

inline std::uint64_t values_of(const BoundaryShape& shape) {
  return static_cast<std::uint64_t>(shape.samples * shape.tokens * shape.hidden);
}

// The values of one block of all values.
template <typename T>
std::span<T> block_of(std::span<T> all, const BoundaryShape& shape, std::int64_t block) {
  return all.subspan(static_cast<std::uint64_t>(block) * shape.values_in(0), shape.values_in(block));
}

inline std::uint64_t write_boundary(const std::string& path, const BoundaryShape& shape, std::span<const float> values,
                                    FrameCodec wanted = FrameCodec::bf16_zstd) {
  BoundaryWriter writer(path, shape, a_fingerprint, wanted);
  EncodedBlock encoded;
  for (std::int64_t block = 0; block < shape.blocks(); ++block) {
    writer.encode(block, block_of(values, shape, block), encoded);
    CHECK(encoded.bytes <= encoded_block_bound(shape));
    writer.append(encoded);
  }
  return writer.finish();
}

// All values; nullopt with the reason.
inline std::optional<std::vector<float>> read_all(const BoundaryReader& reader, std::string& why) {
  std::vector<float> values(values_of(reader.shape()));
  for (std::int64_t block = 0; block < reader.shape().blocks(); ++block)
    if (!reader.read(block, block_of(std::span(values), reader.shape(), block), why)) return std::nullopt;
  return values;
}

inline std::string bytes_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline void put_byte(const std::string& path, std::size_t offset, char byte) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(byte);
}

}  // namespace strata::test
