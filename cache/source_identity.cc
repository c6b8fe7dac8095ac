#include "cache/source_identity.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace strata {
namespace {

constexpr std::uint64_t pieces = 16, piece_bytes = 4096;

// End of the header: 8 bytes with its length, then the text.
std::uint64_t data_start(const InputFile& shard) {
  std::uint64_t length = 0;
  if (shard.size() < sizeof length) return shard.size();
  shard.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  return length > shard.size() - sizeof length ? shard.size() : sizeof length + length;
}

void add_range(Hasher& hasher, const InputFile& shard, std::uint64_t offset, std::uint64_t bytes) {
  std::vector<std::byte> block(std::min<std::uint64_t>(bytes, 1u << 20));
  while (bytes > 0) {
    const std::span<std::byte> part(block.data(), std::min<std::uint64_t>(bytes, block.size()));
    shard.read_at(offset, part);
    hasher.add(part);
    offset += part.size();
    bytes -= part.size();
  }
}

}  // namespace

std::string shard_identity(const InputFile& shard) {
  const std::uint64_t start = data_start(shard), data = shard.size() - start;
  Hasher header, sample;
  add_range(header, shard, 0, start);
  if (data <= pieces * piece_bytes) {
    add_range(sample, shard, start, data);
  } else {
    // The first piece starts the data, the last one ends it.
    for (std::uint64_t i = 0; i < pieces; ++i)
      add_range(sample, shard, start + (data - piece_bytes) / (pieces - 1) * i, piece_bytes);
  }
  return fmt::format("{} bytes, modified {}, header {}, sample {}", shard.size(), shard.modified_ns(), header.hex(),
                     sample.hex());
}

std::string content_hash(const InputFile& file) {
  Hasher hasher;
  add_range(hasher, file, 0, file.size());
  return hasher.hex();
}

std::vector<std::pair<std::string, std::string>> source_identities(const Checkpoint& checkpoint) {
  std::vector<std::pair<std::string, std::string>> identities;
  for (const InputFile& shard : checkpoint.files())
    identities.emplace_back(base_name(shard.path()), shard_identity(shard));
  return identities;
}

std::string identity_of(const Checkpoint& checkpoint) {
  Hasher shards;
  for (const auto& [name, identity] : source_identities(checkpoint)) shards.add(name).add(identity);
  return shards.hex();
}

}  // namespace strata
