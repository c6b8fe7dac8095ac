// How one Linear lies in a checkpoint: which tensors it is made of, what they mean, and how they are copied
// into an output without touching a code. Three kinds: dense, a number format that a quantization_config of
// compressed-tensors names, or a native storage of another tool that its tensors tell (formats/storage, one
// file each). docs/checkpoints.md shows them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/config/config.h"
#include "formats/number_format.h"
#include "formats/tensor.h"

namespace strata {

// A tensor of the checkpoint by name, nullptr when there is none.
using FindTensor = std::function<const TensorInfo*(std::string_view name)>;

// What a checkpoint says about native storages beside its tensors.
struct NativeRules {
  bool allowed = false;        // not in a compressed-tensors checkpoint: what no group names is dense there
  std::optional<Shape> block;  // weight_block_size: rows and columns that share a scale

  static NativeRules parse(const Config& config);  // Error{input} for a weight_block_size that is none
};

// The tensors "<module>.<suffix>" of a Linear with weight [out, in]. Remembers what it looked up: storages ask for
// the same few names, of 100,000 Linears. Not thread-safe.
class Stem {
 public:
  Stem(std::string_view module_name, const Shape& shape, const std::optional<Shape>& blocks, const FindTensor& find)
      : module(module_name), weight(shape), block(blocks), find_(find) {}

  const std::string_view module;
  const Shape& weight;
  const std::optional<Shape>& block;

  const TensorInfo* tensor(std::string_view suffix) const;  // a literal, or as long-lived as the stem
  bool has(std::string_view suffix, std::initializer_list<Dtype> dtypes) const;

 private:
  const FindTensor& find_;
  mutable std::vector<std::pair<std::string_view, const TensorInfo*>> known_;
};

// A tensor that a Linear so stored has.
struct StoredPart {
  Field field;
  std::vector<Dtype> also = {};  // other dtypes that it may have
  bool scalar = false;           // one element in any shape: [], [1], [1, 1]

  bool takes(Dtype dtype) const;
  bool takes(const Shape& shape) const;
};

struct Storage;

struct StoredLinear {
  std::string module;
  Shape weight;                          // [out, in]
  const NumberFormat* format = nullptr;  // as config.json says
  const Storage* storage = nullptr;      // as the tensors say; neither: dense
  std::optional<Shape> block;
  std::vector<StoredPart> parts;  // what it must have
  std::vector<Field> fields;      // what is there, in the same order: shapes and dtypes of the file

  bool dense() const { return format == nullptr && storage == nullptr; }
  const Field* field(std::string_view suffix) const;
  // Of the weight that encoders see: dense weights are read as they are, all others decoded to float32.
  Dtype weight_dtype() const;
  // "BF16", "NVFP4", "FP8 with a scale per tensor, static activations": other words for whatever is copied otherwise.
  std::string text() const;
};

// How an output's tensor comes out of one of the source's.
enum class CopyStep : std::uint8_t {
  bytes,       // the same bytes
  widen,       // to float32, exactly
  fill,        // one number, widened, for every row
  reciprocal,  // 1 / x in float32
};

struct CopiedField {
  Field field;       // of the output
  std::string from;  // suffix in the source
  CopyStep step = CopyStep::bytes;
};

// A native storage: one file each under formats/storage.
struct Storage {
  std::string_view name;  // as messages say it: "FP8 with a scale per tensor"

  // Whether the tensors with this stem are stored so: from their dtypes, and which of them are there.
  bool (*recognizes)(const Stem& stem);
  std::vector<StoredPart> (*parts)(const Stem& stem);

  // Writes the float32 weight: every product is rounded once. The bytes belong to linear.fields, in order.
  void (*decode)(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes, std::span<float> out);

  // The number format that the same codes make, and how they make it.
  std::string_view (*copy_format)(const StoredLinear& linear);
  std::vector<CopiedField> (*copy)(const StoredLinear& linear, std::string_view format);
  // Why they cannot, such as "its blocks are [64, 64]"; nullptr when they always can.
  std::optional<std::string> (*copy_refusal)(const StoredLinear& linear) = nullptr;
  std::int64_t group = 1;  // columns that share a scale: rows must divide into them
  // What tells Linears apart that are stored so but copied in different formats: "static activations". nullptr when
  // all of them are alike.
  std::string_view (*inputs)(const StoredLinear& linear) = nullptr;
};

std::span<const Storage* const> native_storages();  // in order of file name (generated from formats/storage/*.cc)

// How a Linear is stored. Never fails: what is missing or wrong is for the claim audit to say.
StoredLinear find_stored_linear(std::string_view module, const Shape& weight, const NumberFormat* format,
                                const NativeRules& native, const FindTensor& find);

// Why its codes cannot be cut into what shares a scale: "192 columns do not divide by 128"; nullopt when they can.
std::optional<std::string> cut_refusal(const StoredLinear& linear);

// The float32 weight [out, in] of any kind. Error{input} naming the tensor, for native storages at the first
// value that is not finite too, with its row and column.
void decode_stored(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes, std::span<float> out);

// The tensors of a copy in `format`, which copy_format() named or one that stores the same.
std::vector<CopiedField> copied_fields(const StoredLinear& linear, const NumberFormat& format);

// What is broken in a tensor that is copied as it lies: a NaN among its codes, with its row and column. Scales that are
// NaN or negative spoil whole groups: Error{input}.
std::optional<std::string> nan_in_copy(const StoredLinear& linear, std::string_view suffix,
                                       std::span<const std::byte> bytes);

// Writes one of them. `from` are the bytes of the source's tensor, `to` has the size of the output's.
void copy_field(const StoredLinear& linear, const CopiedField& field, std::span<const std::byte> from,
                std::span<std::byte> to);

}  // namespace strata
