#include "profiles/claims.h"

#include <fmt/core.h>

#include "base/error.h"

namespace strata {

namespace {

bool is_dense(Dtype dtype) { return dtype == Dtype::f32 || dtype == Dtype::bf16 || dtype == Dtype::f16; }

// Old Llama files hold the rotary frequencies as a buffer. They follow from the config, so they are left unread.
bool is_rotary_buffer(std::string_view name) {
  return name == "rotary_emb.inv_freq" || name.ends_with(".rotary_emb.inv_freq");
}

class Audit {
 public:
  Audit(const ModelSpec& model, const Checkpoint& checkpoint, const StoredFormat& stored)
      : model_(model), checkpoint_(checkpoint), stored_(stored), claimed_(checkpoint.tensors().size(), false) {}

  std::vector<std::string> run() {
    dense(model_.embedding, {model_.vocabulary, model_.hidden});
    for (const LayerSpec& layer : model_.layers) {
      for (const NormSpec* norm : norms(layer)) dense(norm->weight, {norm->size});
      for (const LinearSpec* spec : linears(layer)) linear(*spec);
    }
    dense(model_.final_norm.weight, {model_.final_norm.size});
    if (!model_.tied) linear(model_.head);
    rest();
    return std::move(problems_);
  }

 private:
  void linear(const LinearSpec& spec) {
    const Shape weight = {spec.out, spec.in};
    if (const NumberFormat* format = stored_(spec.module)) {
      // Only tensors that keep the source's bytes depend on its dtype, and those are not "stored in a format".
      for (const Field& field : format->fields(weight, Dtype::bf16, ScaleRule::minmax)) quantized(spec.module, field, *format);
    } else {
      dense(spec.module + ".weight", weight);
    }
    if (spec.bias) dense(spec.module + ".bias", {spec.out});
  }

  void dense(const std::string& name, const Shape& shape) {
    const TensorInfo* tensor = claim(name, shape);
    if (tensor && !is_dense(tensor->dtype))
      problem("{}: is stored as {}; F32, BF16 and F16 are supported where config.json names no quantization",
              checkpoint_.describe(*tensor), dtype_name(tensor->dtype));
  }

  void quantized(const std::string& module, const Field& field, const NumberFormat& format) {
    const TensorInfo* tensor = claim(module + "." + field.suffix, field.shape);
    if (!tensor || tensor->dtype == field.dtype) return;
    // Scales in a plain float type are stored as BF16, F16 or F32, depending on who wrote the file.
    if (is_dense(field.dtype) && is_dense(tensor->dtype)) return;
    problem("{}: is stored as {}, {} has {}", checkpoint_.describe(*tensor), dtype_name(tensor->dtype), format.name,
            dtype_name(field.dtype));
  }

  const TensorInfo* claim(const std::string& name, const Shape& shape) {
    const TensorInfo* tensor = checkpoint_.find(name);
    if (!tensor) {
      problem("tensor {} {} is missing; a {} model with this config.json has it", name, shape_text(shape),
              model_.family);
      return nullptr;
    }
    const auto index = static_cast<std::size_t>(tensor - checkpoint_.tensors().data());
    if (claimed_[index]) problem("{}: is claimed by two parts of the model", checkpoint_.describe(*tensor));
    claimed_[index] = true;
    if (tensor->shape != shape) {
      problem("{}: has shape {}, config.json asks for {}", checkpoint_.describe(*tensor), shape_text(tensor->shape),
              shape_text(shape));
      return nullptr;
    }
    return tensor;
  }

  void rest() {
    for (std::size_t i = 0; i < claimed_.size(); ++i) {
      const TensorInfo& tensor = checkpoint_.tensors()[i];
      if (claimed_[i] || is_rotary_buffer(tensor.name)) continue;
      problem("{}: {} {} belongs to no part of a {} model with this config.json", checkpoint_.describe(tensor),
              dtype_name(tensor.dtype), shape_text(tensor.shape), model_.family);
    }
  }

  template <typename... Part>
  void problem(fmt::format_string<Part...> format, Part&&... part) {
    problems_.push_back(fmt::format(format, std::forward<Part>(part)...));
  }

  const ModelSpec& model_;
  const Checkpoint& checkpoint_;
  const StoredFormat& stored_;
  std::vector<bool> claimed_;  // by index into the checkpoint's tensors
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> claim_problems(const ModelSpec& model, const Checkpoint& checkpoint,
                                        const StoredFormat& stored) {
  return Audit(model, checkpoint, stored).run();
}

void audit_claims(const ModelSpec& model, const Checkpoint& checkpoint, const StoredFormat& stored) {
  const std::vector<std::string> problems = claim_problems(model, checkpoint, stored);
  if (problems.empty()) return;
  const std::string more = problems.size() > 1 ? fmt::format(" (and {} more problems)", problems.size() - 1) : "";
  fail(Fault::input, "{}: {}{}", checkpoint.directory(), problems.front(), more);
}

}  // namespace strata
