#include "formats/checkpoint/safetensors.h"

#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "base/bytes.h"
#include "base/error.h"

namespace strata {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

constexpr std::uint64_t prefix_bytes = 8;
constexpr std::string_view lfs_pointer = "version https://git-lfs";

std::uint64_t little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < prefix_bytes; ++i) value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return value;
}

// What the header says of one tensor: offsets from the end of the header.
struct Entry {
  TensorInfo tensor;
  std::uint64_t begin = 0, end = 0;
};

// Reads one header; every message starts with the file.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view path) : path_(path) {}

  std::vector<Entry> entries(const object& root) const {
    std::vector<Entry> found;
    found.reserve(root.size());
    std::unordered_set<std::string_view> names;
    names.reserve(root.size());
    for (const auto [name, value] : root) {
      check_name(name);
      if (!names.insert(name).second) fail(Fault::input, "{}: tensor {} stands twice in the header", path_, name);
      if (name == "__metadata__")
        check_metadata(value);
      else
        found.push_back(entry(name, value));
    }
    return found;
  }

 private:
  // A control character in a name would break every message and list that shows it.
  void check_name(std::string_view name) const {
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (std::ranges::any_of(name, control))
      fail(Fault::input, "{}: tensor name {} holds a control character", path_, nlohmann::json(name).dump());
  }

  void check_metadata(const element& value) const {
    if (value.is_null()) return;  // as good as none, for the reference parser too
    if (!value.is_object()) fail(Fault::input, "{}: __metadata__ is not an object", path_);
    std::unordered_set<std::string_view> keys;
    for (const auto [key, text] : object(value)) {
      if (!text.is_string()) fail(Fault::input, "{}: __metadata__ entry {} is not a string", path_, key);
      if (!keys.insert(key).second) fail(Fault::input, "{}: __metadata__ entry {} stands twice", path_, key);
    }
  }

  Entry entry(std::string_view name, const element& value) const {
    if (!value.is_object()) fail(Fault::input, "{}: tensor {}: its entry is not an object", path_, name);
    std::optional<element> dtype, shape, offsets;
    for (const auto [key, field] : object(value)) {
      std::optional<element>* const slot = key == "dtype"          ? &dtype
                                           : key == "shape"        ? &shape
                                           : key == "data_offsets" ? &offsets
                                                                   : nullptr;
      if (slot == nullptr) fail(Fault::input, "{}: tensor {}: unknown key {}", path_, name, key);
      if (*slot) fail(Fault::input, "{}: tensor {}: {} stands twice", path_, name, key);
      *slot = field;
    }
    Entry result;
    result.tensor.name = name;
    result.tensor.dtype = read_dtype(name, dtype);
    for (const std::uint64_t size : read_numbers(name, "shape", shape))
      result.tensor.shape.push_back(static_cast<std::int64_t>(size));
    const std::vector<std::uint64_t> range = read_numbers(name, "data_offsets", offsets);
    if (range.size() != 2)
      fail(Fault::input, "{}: tensor {}: data_offsets has {} numbers, expected 2", path_, name, range.size());
    result.begin = range[0];
    result.end = range[1];
    check_size(&result);
    return result;
  }

  Dtype read_dtype(std::string_view name, const std::optional<element>& value) const {
    if (!value) fail(Fault::input, "{}: tensor {}: dtype is missing", path_, name);
    if (!value->is_string()) fail(Fault::input, "{}: tensor {}: dtype is not a string", path_, name);
    const std::string_view text = *value;
    const std::optional<Dtype> dtype = parse_dtype(text);
    if (!dtype) fail(Fault::input, "{}: tensor {}: dtype {} is unknown", path_, name, text);
    return *dtype;
  }

  // An array of integers from 0 to 2^63 - 1.
  std::vector<std::uint64_t> read_numbers(std::string_view name, const char* key,
                                          const std::optional<element>& value) const {
    if (!value) fail(Fault::input, "{}: tensor {}: {} is missing", path_, name, key);
    if (!value->is_array()) fail(Fault::input, "{}: tensor {}: {} is not an array", path_, name, key);
    std::vector<std::uint64_t> numbers;
    for (const element item : simdjson::dom::array(*value)) {
      if (item.type() != element_type::INT64 || std::int64_t(item) < 0)
        fail(Fault::input, "{}: tensor {}: {} holds {}, expected an integer from 0 to 2^63 - 1", path_, name, key,
             std::string(simdjson::minify(item)).substr(0, 40));
      numbers.push_back(static_cast<std::uint64_t>(std::int64_t(item)));
    }
    return numbers;
  }

  void check_size(Entry* entry) const {
    TensorInfo& tensor = entry->tensor;
    const std::optional<std::uint64_t> expected = tensor_bytes(tensor.dtype, tensor.shape);
    if (!expected)
      fail(Fault::input, "{}: tensor {}: {} of {} is not a whole number of bytes below 2^64", path_, tensor.name,
           shape_text(tensor.shape), dtype_name(tensor.dtype));
    if (entry->end < entry->begin)
      fail(Fault::input, "{}: tensor {} ends at {} before it begins at {}", path_, tensor.name, entry->end,
           entry->begin);
    if (entry->end - entry->begin != *expected)
      fail(Fault::input, "{}: tensor {}: {} of {} has {} bytes, but its offsets span {}", path_, tensor.name,
           shape_text(tensor.shape), dtype_name(tensor.dtype), *expected, entry->end - entry->begin);
    tensor.bytes = *expected;
  }

  std::string_view path_;
};

// Tensors must fill the data section without a gap: what no tensor covers could hide data, and what two
// cover would be written twice.
void check_coverage(std::span<const Entry> entries, std::uint64_t data_bytes, std::string_view path) {
  std::uint64_t end = 0;
  const Entry* previous = nullptr;
  for (const Entry& entry : entries) {
    if (entry.begin < end)
      fail(Fault::input, "{}: tensor {} begins at byte {} of the data, but tensor {} ends at {}: they overlap", path,
           entry.tensor.name, entry.begin, previous->tensor.name, end);
    if (entry.begin > end)
      fail(Fault::input, "{}: tensor {} begins at byte {} of the data, but {}: {} bytes belong to no tensor", path,
           entry.tensor.name, entry.begin,
           previous == nullptr ? "nothing stands before it"
                               : fmt::format("tensor {} ends at {}", previous->tensor.name, end),
           entry.begin - end);
    end = entry.end;
    previous = &entry;
  }
  if (end > data_bytes)
    fail(Fault::input,
         "{}: tensor {} ends at byte {} of the data, but the file has only {}; is the download incomplete?", path,
         previous->tensor.name, end, data_bytes);
  if (end < data_bytes)
    fail(Fault::input, "{}: the tensors end at byte {} of the data, but the file has {}: {} bytes belong to no tensor",
         path, end, data_bytes, data_bytes - end);
}

}  // namespace

std::uint64_t safetensors_header_bytes(std::span<const std::byte> first_bytes, std::uint64_t file_bytes,
                                       std::string_view path) {
  const std::string_view start(reinterpret_cast<const char*>(first_bytes.data()), first_bytes.size());
  if (start.starts_with(lfs_pointer.substr(0, std::max<std::size_t>(start.size(), prefix_bytes))))
    fail(Fault::input, "{}: is a Git LFS pointer of {} bytes, not the weights; run `git lfs pull` in its folder", path,
         file_bytes);
  if (first_bytes.size() < prefix_bytes)
    fail(Fault::input, "{}: has {} bytes, a safetensors file has at least {}; is the download incomplete?", path,
         file_bytes, prefix_bytes);
  const std::uint64_t length = little_endian(first_bytes);
  if (length > max_safetensors_header)
    fail(Fault::input, "{}: is not a safetensors file: its header would have {} bytes, the limit is {}", path, length,
         max_safetensors_header);
  if (length > file_bytes - prefix_bytes)
    fail(Fault::input,
         "{}: the header has {} bytes, but the file has only {} after its length; is the download incomplete?", path,
         length, file_bytes - prefix_bytes);
  return length;
}

std::vector<TensorInfo> parse_safetensors(std::span<const std::byte, 8> prefix, std::string_view header,
                                          std::uint64_t file_bytes, std::string_view path) {
  if (file_bytes < prefix_bytes || safetensors_header_bytes(prefix, file_bytes, path) != header.size())
    fail(Fault::input, "{}: the header has {} bytes, its length says {}", path, header.size(), little_endian(prefix));
  if (!header.starts_with('{')) fail(Fault::input, "{}: is not a safetensors file: the header is no JSON object", path);

  simdjson::dom::parser parser;
  element root;
  // `true`: simdjson copies the text into a buffer with the padding that its wide loads need.
  if (const auto error = parser.parse(header.data(), header.size(), true).get(root))
    fail(Fault::input, "{}: the header is broken JSON: {}", path, simdjson::error_message(error));
  if (!root.is_object()) fail(Fault::input, "{}: the header is no JSON object", path);

  std::vector<Entry> entries = HeaderReader(path).entries(object(root));
  std::ranges::stable_sort(entries, {}, [](const Entry& entry) { return std::tuple(entry.begin, entry.end); });
  check_coverage(entries, file_bytes - prefix_bytes - header.size(), path);

  std::vector<TensorInfo> tensors;
  tensors.reserve(entries.size());
  for (Entry& entry : entries) {
    entry.tensor.offset = prefix_bytes + header.size() + entry.begin;
    tensors.push_back(std::move(entry.tensor));
  }
  return tensors;
}

std::string print_safetensors(std::span<const TensorInfo> tensors, std::string_view writer) {
  std::string text(prefix_bytes, '\0');
  text += R"({"__metadata__":{"format":"pt")";
  if (!writer.empty()) text += fmt::format(R"(,"writer":{})", nlohmann::json(writer).dump());
  text += '}';
  std::uint64_t begin = 0;
  for (const TensorInfo& tensor : tensors) {
    const std::optional<std::uint64_t> bytes = tensor_bytes(tensor.dtype, tensor.shape);
    const std::optional<std::uint64_t> end = bytes ? checked_add(begin, *bytes) : std::nullopt;
    if (!end)
      fail(Fault::bug, "tensor {}: {} of {} has no size in bytes", tensor.name, shape_text(tensor.shape),
           dtype_name(tensor.dtype));
    text +=
        fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", nlohmann::json(tensor.name).dump(),
                    dtype_name(tensor.dtype), fmt::join(tensor.shape, ","), begin, *end);
    begin = *end;
  }
  text += '}';
  text.resize(align_up(text.size(), 8), ' ');
  const std::uint64_t length = text.size() - prefix_bytes;
  for (std::size_t i = 0; i < prefix_bytes; ++i) text[i] = static_cast<char>(length >> (8 * i) & 0xff);
  return text;
}

}  // namespace strata
