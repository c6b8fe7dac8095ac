// Token ids as safetensors: input_ids [n, t] and, where rows differ in length, lengths [n].
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "formats/checkpoint/safetensors.h"
#include "formats/text/dataset.h"
#include "formats/text/token_rows.h"

namespace strata {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

std::vector<TensorInfo> read_header(const InputFile& file) {
  std::vector<std::byte> first(std::min<std::uint64_t>(file.size(), 64));
  file.read_at(0, first);
  const std::uint64_t bytes = safetensors_header_bytes(first, file.size(), file.path());
  std::string header(bytes, '\0');
  file.read_at(8, std::as_writable_bytes(std::span(header)));
  return parse_safetensors(std::span<const std::byte, 8>(first.data(), 8), header, file.size(), file.path());
}

template <typename Stored>
std::vector<std::int64_t> read_as(const InputFile& file, const TensorInfo& tensor) {
  std::vector<Stored> stored(tensor.bytes / sizeof(Stored));
  file.read_at(tensor.offset, std::as_writable_bytes(std::span(stored)));
  return {stored.begin(), stored.end()};
}

std::vector<std::int64_t> read_integers(const InputFile& file, const TensorInfo& tensor) {
  if (tensor.dtype == Dtype::i64) return read_as<std::int64_t>(file, tensor);
  if (tensor.dtype == Dtype::i32) return read_as<std::int32_t>(file, tensor);
  fail(Fault::input, "{}: {} is {}, expected I64", file.path(), tensor.name, dtype_name(tensor.dtype));
}

const TensorInfo* find(const std::vector<TensorInfo>& tensors, std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const TensorInfo& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

void check_lengths(const TokenRows& rows, const std::string& path) {
  for (std::size_t i = 0; i < rows.lengths.size(); ++i)
    if (rows.lengths[i] < 1 || rows.lengths[i] > rows.columns)
      fail(Fault::input, "{}: lengths[{}] is {}, but rows have 1 to {} ids", path, i, rows.lengths[i], rows.columns);
}

}  // namespace

TokenRows read_token_file(const std::string& path) {
  if (exists(path) && !path.ends_with(".safetensors"))
    fail(Fault::input, "{}: is not a .safetensors file of token ids; `strata tokenize` makes one", path);
  const InputFile file(path);
  const std::vector<TensorInfo> tensors = read_header(file);
  for (const TensorInfo& tensor : tensors)
    if (tensor.name != "input_ids" && tensor.name != "lengths")
      fail(Fault::input, "{}: tensor {} is not known; a file of token ids holds input_ids and lengths", path,
           tensor.name);
  const TensorInfo* ids = find(tensors, "input_ids");
  if (ids == nullptr) fail(Fault::input, "{}: there is no tensor input_ids of token ids", path);
  if (ids->shape.size() != 2)
    fail(Fault::input, "{}: input_ids is {}, expected [rows, ids]", path, shape_text(ids->shape));
  TokenRows rows;
  rows.rows = ids->shape[0];
  rows.columns = ids->shape[1];
  if (ids->bytes == 0) fail(Fault::input, "{}: input_ids is {}: there are no tokens", path, shape_text(ids->shape));
  const std::vector<std::int64_t> values = read_integers(file, *ids);
  rows.ids.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] > std::numeric_limits<TokenId>::max())
      fail(Fault::input, "{}: input_ids[{}, {}] is {}, not a token id", path,
           static_cast<std::int64_t>(i) / rows.columns, static_cast<std::int64_t>(i) % rows.columns, values[i]);
    rows.ids.push_back(static_cast<TokenId>(values[i]));
  }
  rows.lengths.assign(static_cast<std::size_t>(rows.rows), rows.columns);
  if (const TensorInfo* lengths = find(tensors, "lengths")) {
    if (lengths->shape != Shape{rows.rows})
      fail(Fault::input, "{}: lengths is {}, but input_ids has {} rows", path, shape_text(lengths->shape), rows.rows);
    rows.lengths = read_integers(file, *lengths);
    check_lengths(rows, path);
  }
  seal(rows);
  return rows;
}

void write_token_file(const std::string& path, const TokenRows& rows) {
  std::vector<TensorInfo> tensors(1);
  tensors[0].name = "input_ids";
  tensors[0].dtype = Dtype::i64;
  tensors[0].shape = {rows.rows, rows.columns};
  const bool ragged =
      std::any_of(rows.lengths.begin(), rows.lengths.end(), [&](std::int64_t n) { return n != rows.columns; });
  if (ragged) {
    tensors.push_back(tensors[0]);
    tensors[1].name = "lengths";
    tensors[1].shape = {rows.rows};
  }
  for (TensorInfo& tensor : tensors) tensor.bytes = tensor_bytes(tensor.dtype, tensor.shape).value_or(0);
  const std::string header = print_safetensors(tensors);
  PendingFile file(path, header.size() + tensors[0].bytes + (ragged ? tensors[1].bytes : 0));
  file.write_at(0, std::as_bytes(std::span(header)));
  std::uint64_t at = header.size();
  std::vector<std::int64_t> row(static_cast<std::size_t>(rows.columns));
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    std::copy(rows.row(i), rows.row(i) + rows.columns, row.begin());
    file.write_at(at, std::as_bytes(std::span(row)));
    at += row.size() * sizeof(std::int64_t);
  }
  if (ragged) file.write_at(at, std::as_bytes(std::span(rows.lengths)));
  file.publish();
}

}  // namespace strata
