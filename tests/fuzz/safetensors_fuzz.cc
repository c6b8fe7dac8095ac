// The input is a whole safetensors file. Whatever the parser accepts must cover the file exactly once, and be
// the same when it is printed and parsed again.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint/safetensors.h"
#include "tests/fuzz/outcome.h"

using namespace strata;

namespace {

std::vector<TensorInfo> parse(std::span<const std::byte> file, std::uint64_t file_bytes) {
  const std::uint64_t length =
      safetensors_header_bytes(file.first(std::min<std::size_t>(file.size(), 128)), file_bytes, "x");
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + 8, length);
  return parse_safetensors(file.first<8>(), header, file_bytes, "x");
}

void check(std::span<const std::byte> file) {
  const std::vector<TensorInfo> tensors = parse(file, file.size());
  std::uint64_t end = tensors.empty() ? file.size() : tensors.front().offset, bytes = 0;
  for (const TensorInfo& tensor : tensors) {
    fuzz::expect(tensor.offset == end, "a gap or an overlap");
    fuzz::expect(tensor.bytes == tensor_bytes(tensor.dtype, tensor.shape), "bytes that are not those of the shape");
    end += tensor.bytes;
    bytes += tensor.bytes;
  }
  fuzz::expect(end == file.size(), "bytes after the last tensor");

  const std::string printed = print_safetensors(tensors);
  const std::vector<TensorInfo> again = parse(std::as_bytes(std::span(printed)), printed.size() + bytes);
  const auto same = [](const TensorInfo& a, const TensorInfo& b) {
    return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes;
  };
  fuzz::expect(std::ranges::is_permutation(tensors, again, same), "another header than the one that was printed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::try_input([&] { check({reinterpret_cast<const std::byte*>(data), size}); });
  return 0;
}
