#include "formats/checkpoint/checkpoint_index.h"

#include <simdjson.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace strata {
namespace {

constexpr std::uint64_t max_index_bytes = 256u << 20;  // a million tensors take about 100 MB

std::string shown(const simdjson::dom::element& value) {
  const std::string text = simdjson::minify(value);
  return text.size() <= 80 ? text : text.substr(0, 80) + "...";
}

bool is_plain_shard_name(std::string_view name) {
  const auto plain = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '/' && c != '\\'; };
  return name.ends_with(".safetensors") && !name.starts_with('.') && std::ranges::all_of(name, plain);
}

}  // namespace

WeightMap read_checkpoint_index(const std::string& path) {
  if (const std::uint64_t bytes = file_size(path); bytes > max_index_bytes)
    fail(Fault::input, "{}: has {} bytes, the limit for an index is {}", path, bytes, max_index_bytes);
  const simdjson::padded_string text(read_text(path));
  simdjson::dom::parser parser;
  simdjson::dom::object root, entries;
  if (const auto error = parser.parse(text).get(root))
    fail(Fault::input, "{}: is not a JSON object: {}", path, simdjson::error_message(error));
  if (root["weight_map"].get(entries)) fail(Fault::input, "{}: has no object weight_map", path);

  WeightMap shard_of;
  for (const auto [tensor, value] : entries) {
    if (!value.is_string())
      fail(Fault::input, "{}: tensor {} stands in {}, expected a file name", path, tensor, shown(value));
    const std::string_view shard = value;
    if (!is_plain_shard_name(shard))
      fail(Fault::input, "{}: tensor {} stands in {}, which is not the plain name of a .safetensors file", path, tensor,
           shown(value));
    if (!shard_of.emplace(tensor, shard).second)
      fail(Fault::input, "{}: tensor {} stands twice in weight_map", path, tensor);
  }
  if (shard_of.empty()) fail(Fault::input, "{}: weight_map is empty", path);
  return shard_of;
}

}  // namespace strata
