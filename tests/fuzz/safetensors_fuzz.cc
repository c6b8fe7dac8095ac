// libFuzzer target: the input is a whole safetensors file. Whatever the parser accepts must cover the file
// exactly once; whatever it refuses must be Error{input}. Run: safetensors_fuzz -max_len=4096 CORPUS
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  try {
    const std::uint64_t length = safetensors_header_bytes(file.first(std::min<std::size_t>(size, 128)), size, "x");
    const std::string_view header(reinterpret_cast<const char*>(data) + 8, length);
    std::uint64_t end = 8 + length;
    for (const TensorInfo& tensor : parse_safetensors(file.first<8>(), header, size, "x")) {
      if (tensor.offset != end || tensor.bytes != tensor_bytes(tensor.dtype, tensor.shape)) std::abort();
      end += tensor.bytes;
    }
    if (end != size) std::abort();
  } catch (const Error& error) {
    if (error.fault != Fault::input) std::abort();
  }
  return 0;
}
