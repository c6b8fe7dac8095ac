// What every rule of `strata verify` may ask about an output.
#include <array>

#include "base/buffer.h"
#include "engine/check/rules.h"
#include "engine/check/stored.h"
#include "formats/checkpoint/shard_layout.h"
#include "formats/weight/weights.h"

namespace strata {

bool is_plain_float(Dtype dtype) { return dtype == Dtype::bf16 || dtype == Dtype::f16 || dtype == Dtype::f32; }

bool may_be_scalar(const Field& field) {
  const bool one_value = field.shape.size() <= 1 && element_count(field.shape) == 1;
  return one_value && is_plain_float(field.dtype) && !field.suffix.ends_with("global_scale");
}

std::vector<Field> VerifyContext::fields_of(const LinearSpec& linear) const {
  const NumberFormat* const stored = format(linear);
  if (stored == nullptr) return {};
  return stored->fields({linear.out, linear.in}, Dtype::bf16, ScaleRule::minmax);
}

const TensorInfo* VerifyContext::tensor(const LinearSpec& linear, std::string_view suffix) const {
  return output.checkpoint.find(fmt::format("{}.{}", linear.module, suffix));
}

const TensorInfo* VerifyContext::field(const LinearSpec& linear, const Field& wanted) const {
  const TensorInfo* const found = tensor(linear, wanted.suffix);
  if (found == nullptr) return nullptr;
  const bool fits = found->shape == wanted.shape || (found->shape.empty() && may_be_scalar(wanted));
  return fits ? found : nullptr;
}

void VerifyContext::for_each_linear(const std::function<void(const LinearSpec&, const NumberFormat*)>& check) const {
  for (const auto& layer : layers)
    for (const LinearSpec* linear : layer) check(*linear, format(*linear));
}

void VerifyContext::for_each_field(
    const std::function<void(const LinearSpec&, const Field&, const TensorInfo&)>& check) const {
  for_each_linear([&](const LinearSpec& linear, const NumberFormat* stored) {
    if (stored == nullptr || misfits.contains(linear.module)) return;
    for (const Field& wanted : fields_of(linear))
      if (const TensorInfo* found = field(linear, wanted)) check(linear, wanted, *found);
  });
}

std::optional<float> VerifyContext::scalar(const LinearSpec& linear, std::string_view suffix) const {
  const TensorInfo* const found = tensor(linear, suffix);
  if (found == nullptr || !is_plain_float(found->dtype) || element_count(found->shape) != 1) return std::nullopt;
  std::vector<std::byte> bytes(found->bytes);
  output.checkpoint.read(*found, bytes);
  float value = 0;
  widen(found->dtype, bytes, {&value, 1});
  return value;
}

namespace {

// "__metadata__" of one shard. The header was checked when the folder was opened.
std::optional<Config> metadata_of(const InputFile& file) {
  std::array<std::byte, 8> prefix{};
  file.read_at(0, prefix);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < prefix.size(); ++i) bytes |= std::to_integer<std::uint64_t>(prefix[i]) << (8 * i);
  std::string header(bytes, '\0');
  file.read_at(8, std::as_writable_bytes(std::span(header)));
  if (header.find("\"__metadata__\"") == std::string::npos) return std::nullopt;
  const Config root = Config::parse(header, base_name(file.path()));
  if (!root.has("__metadata__")) return std::nullopt;
  return root.section("__metadata__");
}

void read_shard_metadata(VerifyContext& context) {
  const std::span<const InputFile> files = context.output.checkpoint.files();
  context.ours = !files.empty();
  for (const InputFile& file : files) {
    const std::optional<Config> metadata = metadata_of(file);
    context.shard_formats.push_back(metadata ? metadata->text_or("format", "") : "");
    context.ours = context.ours && metadata && metadata->text_or("writer", "") == shard_writer;
  }
}

// Whether the Linear lies in another tool's own storage.
bool add_native(VerifyContext& context, const LinearSpec& linear) {
  if (!context.output.native.allowed) return false;
  const StoredLinear& stored = context.output.linear(linear).stored;
  if (stored.storage == nullptr) return false;
  context.native.emplace(linear.module, stored.text());
  for (const Field& field : stored.fields) context.fields.emplace(linear.module + "." + field.suffix, &linear);
  return true;
}

}  // namespace

VerifyContext make_verify_context(const OpenModel& output, const VerifyOptions& options) {
  VerifyContext context{.output = output, .deep = options.deep, .stop = options.stop};
  read_shard_metadata(context);
  for (const LayerSpec& layer : output.spec->layers) context.layers.push_back(linears(layer));
  if (!output.spec->tied) context.layers.push_back({&output.spec->head});
  for (const auto& layer : context.layers)
    for (const LinearSpec* linear : layer) {
      context.formats.emplace(linear, output.stored_format(linear->module));
      if (add_native(context, *linear)) continue;
      if (is_misfit(context, *linear)) context.misfits.insert(linear->module);
      if (context.format(*linear) == nullptr) {
        context.dense.emplace(linear->module + ".weight", linear);
        continue;
      }
      for (const Field& field : context.fields_of(*linear))
        context.fields.emplace(linear->module + "." + field.suffix, linear);
    }
  return context;
}

void read_pieces(const Checkpoint& checkpoint, const TensorInfo& tensor, const StopFlag* stop,
                 const std::function<bool(std::span<const std::byte>, std::uint64_t)>& part) {
  constexpr std::uint64_t most = 8u << 20;
  Buffer buffer(std::min(most, tensor.bytes));
  for (std::uint64_t at = 0; at < tensor.bytes; at += most) {
    check_interrupt(stop);
    const std::span<std::byte> piece = buffer.bytes().first(std::min(most, tensor.bytes - at));
    checkpoint.read(tensor, piece, at);
    if (!part(piece, at)) return;
  }
}

}  // namespace strata
