// A number format: how a Linear's weight is stored, decoded and served. One file each under
// formats/number; docs/add-a-format.md shows how to add one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/scheme.h"
#include "formats/tensor.h"

namespace strata {

struct NumberFormat;

// One stored tensor of an encoded Linear: "<module>.<suffix>".
struct Field {
  std::string suffix;  // "weight_packed"
  Dtype dtype;
  Shape shape;
};

// Error{bug} when the field is larger than memory could ever be.
std::uint64_t field_bytes(const Field& field);

// A dense weight [rows, cols] = [out, in], row-major and contiguous. The bytes belong to the caller.
struct WeightView {
  const void* data = nullptr;
  Dtype dtype = Dtype::f32;  // f32, bf16 or f16
  std::int64_t rows = 0, cols = 0;
};

// How scales are chosen. Codes are always nearest to w / scale (ties to even) with the scale that is stored.
enum class ScaleRule : std::uint8_t {
  minmax,              // from the largest magnitude (of both signs where there is a zero point), in float32
  search,              // of the scales near it, the one with the least squared error
  compressed_tensors,  // minmax in the arithmetic and the dtypes of compressed-tensors: the same bytes
};

// What an encoder must know beyond its own weight.
struct EncodeContext {
  ScaleRule rule = ScaleRule::minmax;
  float fused_amax = 0;    // largest |w| over all Linears that are served as one matrix (q/k/v, gate/up)
  float shared_scale = 0;  // what shared_scale() gave for them (formats that have it)
  float input_amax = 0;    // largest |x| that calibration saw at the input (formats with calibrated_input)
  // E[x^2] of each input column, [cols]: errors of a column count that much in a search. Empty: all alike.
  std::span<const float> column_weight = {};
};

// How large the error of an encoding is: sums over all elements, in double, independent of threads.
struct EncodeError {
  double squared_error = 0;   // sum (w - w')^2
  double squared_weight = 0;  // sum w^2
};

// Whose arithmetic is simulated where the inputs of Linears are quantized.
enum class Runtime : std::uint8_t { vllm, transformers };

// Replaces x [rows, cols] by what the runtime computes with (quantized and dequantized), in place. `input_scale` is
// the stored input scale of the Linear, 0 where the format has none.
using QuantizeInput = void (*)(std::span<float> x, std::int64_t rows, std::int64_t cols, float input_scale);

// Which runtime takes it: for people, and for what must not be written.
struct Serving {
  std::string_view vllm;              // on which hardware and how; empty when no released version loads it
  bool vllm_experts = false;          // routed experts too
  std::string_view transformers;      // from which version; empty when it does not load
  bool transformers_experts = false;  // experts stored one by one too (docs/formats.md, measured)
  // What transformers drops of experts without a word, where that is why it does not load them: "weight_global_scale".
  std::string_view transformers_drops = {};
  // What lm_head can be instead, where vLLM does not load a head in this format; nullptr where it does.
  const NumberFormat* vllm_head_instead = nullptr;
  // The format that vLLM has the same scheme for, so that on some hardware it quantizes inputs which this one leaves
  // alone.
  const NumberFormat* vllm_same_as = nullptr;

  bool any() const { return !vllm.empty() || !transformers.empty(); }
};

// How near to its source a Linear of trained weights is at least after plain rounding: what `verify --deep` flags.
// Figures are of min-max scales on independent values: Gauss, Laplace, Student t with 5 degrees of freedom, whose tails
// are heavier than those of trained weights. A floor lies a little below the worst of the three.
struct SqnrFloor {
  constexpr SqnrFloor(double floor_db, std::string_view floor_reason) : db(floor_db), reason(floor_reason) {}
  double db;                // sum w^2 over sum (w - w')^2
  std::string_view reason;  // the three figures and what they come from
};
inline constexpr SqnrFloor no_floor{0, "not quantized"};

struct NumberFormat {
  std::string_view name;     // as users type it and as records hold it: "NVFP4"
  std::string_view aliases;  // further names that are accepted, separated by blanks: "INT8_W8A16"
  std::string_view summary;  // one line for `strata formats`

  // How weights and inputs are quantized: formats/config/config_group.h prints the config group from it. Empty for
  // formats that leave a Linear unquantized (BF16, KEEP).
  StatedScheme scheme;
  bool quantizes() const { return !scheme.format.empty(); }
  bool quantizes_input() const { return scheme.input.has_value(); }  // the runtime quantizes activations (W4A4, W8A8)

  double bits_per_weight;  // stored_bits() of the scheme where there is one; 0 = as the source
  bool calibrated_input;   // stores a scale of the input: needs calibration data

  // Fields of a weight [out, in] stored as `source`: exact dtypes and shapes, from the shape alone. (Scales of
  // compressed-tensors have the dtype of the weight.)
  std::vector<Field> (*fields)(const Shape& weight, Dtype source, ScaleRule rule);

  // Why this shape cannot be stored, such as "200 columns do not divide by 128"; nullopt when it can.
  std::optional<std::string> (*refusal)(const Shape& weight);

  // The scale that all Linears served as one matrix have in common: NVFP4's global scale, the scale of a
  // tensor in FP8. `group` holds all of them; context.fused_amax and rule are set. nullptr when there is none.
  float (*shared_scale)(std::span<const WeightView> group, const EncodeContext& context);

  // Encodes by context.rule into buffers of exactly the sizes of fields(), in that order. Deterministic for
  // any number of threads (oneTBB inside) and on every CPU. The weight is finite (finite_amax was called).
  void (*encode)(const WeightView& weight, const EncodeContext& context, std::span<const std::span<std::byte>> out);

  // Writes the float32 weight that kernels serve, [out, in], from the bytes of fields() as stored
  // (`stored` holds their actual dtypes: scales may be BF16, F16 or F32 in foreign files).
  void (*decode)(std::span<const Field> stored, std::span<const std::span<const std::byte>> bytes, const Shape& weight,
                 std::span<float> out);

  // What transformers does to inputs, byte-equal to compressed-tensors' fake_quantize in float32; nullptr when it
  // leaves them alone.
  QuantizeInput quantize_input;
  std::string_view input_scale_suffix;  // "input_global_scale"; empty when there is none

  // Writes that field from the largest |x| that calibration saw, for a weight stored as `weight`: what encode() puts
  // there from context.input_amax. Experts share theirs, which is known only when all of them have been run.
  // nullptr unless calibrated_input.
  void (*encode_input_scale)(float input_amax, Dtype weight, ScaleRule rule, std::span<std::byte> out) = nullptr;

  // Has no default: a format without its floor does not compile. Formats whose codes are the source's (FP8_SOURCE) are
  // read back as the format that stores the same and have its floor; the rule `copied-codes` looks at theirs.
  SqnrFloor floor;

  // The output holds the source's bytes as they are: nothing is encoded.
  bool verbatim = false;

  // Only for Linears that the source stores so: their codes are copied, never made (FP8_SOURCE).
  bool source_only = false;

  // Relations to other formats; nullptr where there is none.
  const NumberFormat* stores_as = nullptr;     // whose tensors it stores: codes of the one are codes of the other
  const NumberFormat* channel_form = nullptr;  // that stores its codes with the scale of the tensor in every row
  const NumberFormat* without_data = nullptr;  // about as large and not calibrated (formats with calibrated_input)

  Serving serving = {};

  // The rule of a runtime; nullptr when it leaves inputs alone.
  QuantizeInput input_rule(Runtime runtime) const {
    return runtime == Runtime::vllm && vllm_quantize_input != nullptr ? vllm_quantize_input : quantize_input;
  }

  int version = 1;  // changes when encode() gives other bytes; goes into fingerprints

  // What vLLM does to inputs where that is not quantize_input, on hardware that has products of such inputs.
  QuantizeInput vllm_quantize_input = nullptr;
  std::string_view vllm_before = {};  // what older vLLM takes the format for, where that is another one
};

// All formats, in order of file name (generated from formats/number/*.cc).
std::span<const NumberFormat* const> number_formats();

// By name or alias without regard to case; nullptr when there is none.
const NumberFormat* find_number_format(std::string_view name);

// As above, but Error{usage} with a suggestion.
const NumberFormat& require_number_format(std::string_view name);

// Whether two formats store the same tensors, so that codes of one are codes of the other.
bool stores_same(const NumberFormat& a, const NumberFormat& b);

// What the engine itself falls back on, KEEP and BF16. Each is defined beside its record.
const NumberFormat& kept_format();     // of a dense Linear that nothing quantizes
const NumberFormat& decoded_format();  // of a Linear whose codes in the source cannot be taken over

}  // namespace strata
