// The input is a model.safetensors.index.json. No shard that it names may lie outside of its folder.
#include <cstdint>

#include "formats/checkpoint/checkpoint_index.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  fuzz::try_input([&] {
    const fuzz::MemoryFile file(data, size);
    const WeightMap map = read_checkpoint_index(file.path());
    fuzz::expect(!map.empty(), "an empty map");
    for (const auto& [tensor, shard] : map) {
      fuzz::expect(shard.find('/') == shard.npos && shard.find('\0') == shard.npos, "a shard with a path");
      fuzz::expect(shard.ends_with(".safetensors") && !shard.starts_with('.'), "a shard of another kind");
    }
  });
  return 0;
}
