#include "profiles/claims.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "profiles/layer_questions.h"

namespace strata {

namespace {

bool is_dense(Dtype dtype) { return dtype == Dtype::f32 || dtype == Dtype::bf16 || dtype == Dtype::f16; }

// Integers of 16 bits and more are buffers, but for words of packed codes.
bool holds_codes(const TensorInfo& tensor) {
  const bool narrow = dtype_bits(tensor.dtype) < 16 && tensor.dtype != Dtype::boolean;
  return narrow || tensor.name.ends_with("weight_packed");
}

// Old Llama files hold the rotary frequencies as a buffer. They follow from the config, so they are left unread.
bool is_rotary_buffer(std::string_view name) {
  return name == "rotary_emb.inv_freq" || name.ends_with(".rotary_emb.inv_freq");
}

class Audit {
 public:
  Audit(const ModelSpec& model, const Checkpoint& checkpoint, const StorageRules& rules)
      : model_(model), checkpoint_(checkpoint), rules_(rules), claimed_(checkpoint.tensors().size(), false) {}

  Claims run() {
    dense(model_.embedding, {model_.vocabulary, model_.hidden});
    for (const LayerSpec& layer : model_.layers) {
      for (const NormSpec* norm : norms(layer)) dense(norm->weight, {norm->size});
      for (const LinearSpec* spec : linears(layer)) linear(*spec);
      if (const AttentionSpec* const attention = attention_of(layer)) cache_scales(*attention);
    }
    dense(model_.final_norm.weight, {model_.final_norm.size});
    if (!model_.tied) linear(model_.head);
    for (const auto& [name, slices] : slices_) packed(name, slices);
    for (const Section& section : model_.sections) whole(section);
    rest();
    return std::move(claims_);
  }

 private:
  void linear(const LinearSpec& spec) {
    if (spec.slice)
      slices_[spec.slice->tensor].push_back(&spec);
    else
      own_tensors(spec);
    if (spec.bias) dense(spec.module + ".bias", {spec.out});
  }

  void own_tensors(const LinearSpec& spec) {
    const StoredLinear stored =
        find_stored_linear(spec.module, {spec.out, spec.in}, rules_.format(spec.module), rules_.native,
                           [&](std::string_view name) { return checkpoint_.find(name); });
    if (stored.dense())
      dense_linear(stored);
    else
      for (const StoredPart& part : stored.parts) quantized(stored, part);
    if (const auto why = cut_refusal(stored))
      claims_.uncut.push_back(fmt::format("{}: is stored as {}, but {}", spec.module, stored.text(), *why));
  }

  // A tensor is claimed once, by all its slices.
  void packed(const std::string& name, std::vector<const LinearSpec*> slices) {
    std::ranges::sort(slices, {}, [](const LinearSpec* s) { return std::pair(s->slice->index, s->slice->first_row); });
    const LinearSpec& last = *slices.back();
    const Shape shape = {last.slice->index + 1, last.slice->first_row + last.out, last.in};
    std::int64_t rows = 0;  // that are covered so far
    for (const LinearSpec* const spec : slices) {
      const bool follows = spec->slice->index * shape[1] + spec->slice->first_row == rows;
      if (!follows || spec->slice->first_row + spec->out > shape[1] || spec->in != shape[2])
        fail(Fault::bug, "{}: as a slice of {} it leaves a gap, or overlaps another", spec->module, name);
      rows += spec->out;
    }
    dense(name, shape);
  }

  // Codes without their scales have a shape of their own: the missing scales are the news.
  void dense_linear(const StoredLinear& stored) {
    const std::string name = stored.module + ".weight";
    const TensorInfo* const tensor = checkpoint_.find(name);
    if (!rules_.native.allowed || tensor == nullptr || is_dense(tensor->dtype)) return dense(name, stored.weight);
    claimed_[index_of(*tensor)] = true;
    problem(*tensor,
            "is stored as {} without the scales of any storage that is read; FP8 has weight_scale_inv, weight_scale or "
            "scale beside it, NVFP4 has weight_scale and weight_scale_2",
            dtype_name(tensor->dtype));
  }

  // Scales for a cache of keys and values, as servers find them and as ModelOpt writes them.
  void cache_scales(const AttentionSpec& attention) {
    const std::string module = attention_module(attention);
    for (const std::string& name :
         {module + ".k_scale", module + ".v_scale", attention.k.module + ".k_scale", attention.v.module + ".v_scale"}) {
      const TensorInfo* const tensor = checkpoint_.find(name);
      if (tensor == nullptr) continue;
      claimed_[index_of(*tensor)] = true;
      claims_.dropped.push_back(name);
      if (!is_dense(tensor->dtype) || element_count(tensor->shape) != 1u)
        problem(*tensor, "is {} {}, expected one number", dtype_name(tensor->dtype), shape_text(tensor->shape));
    }
  }

  // Whatever it holds, in any shape.
  void whole(const Section& section) {
    for (const TensorInfo& tensor : checkpoint_.tensors()) {
      if (!section.has(tensor.name)) continue;
      take(tensor);
      if (holds_codes(tensor))
        problem(tensor,
                "is stored as {} codes; {} is kept as it is, and the output's config could not say what they mean",
                dtype_name(tensor.dtype), section.name);
    }
  }

  void dense(const std::string& name, const Shape& shape) {
    const TensorInfo* tensor = claim(name, shape);
    if (tensor && !is_dense(tensor->dtype))
      problem(*tensor, "is stored as {}; F32, BF16 and F16 are supported where config.json names no quantization",
              dtype_name(tensor->dtype));
  }

  void quantized(const StoredLinear& stored, const StoredPart& part) {
    const std::string name = stored.module + "." + part.field.suffix;
    const TensorInfo* const found = checkpoint_.find(name);
    // A scalar may have any shape of one element.
    const bool fits = found != nullptr && part.scalar && part.takes(found->shape);
    const TensorInfo* const tensor = claim(name, fits ? found->shape : part.field.shape);
    if (tensor == nullptr || part.takes(tensor->dtype)) return;
    problem(*tensor, "is stored as {}, {} has {}", dtype_name(tensor->dtype), stored.text(),
            dtype_name(part.field.dtype));
  }

  const TensorInfo* claim(const std::string& name, const Shape& shape) {
    const TensorInfo* tensor = checkpoint_.find(name);
    if (!tensor) {
      claims_.problems.push_back(
          {name, "",
           fmt::format("{} is missing; a {} model with this config.json has it", shape_text(shape), model_.family)});
      return nullptr;
    }
    take(*tensor);
    if (tensor->shape != shape) {
      problem(*tensor, "has shape {}, config.json asks for {}", shape_text(tensor->shape), shape_text(shape));
      return nullptr;
    }
    return tensor;
  }

  void take(const TensorInfo& tensor) {
    const std::size_t index = index_of(tensor);
    if (claimed_[index]) problem(tensor, "is claimed by two parts of the model");
    claimed_[index] = true;
  }

  std::size_t index_of(const TensorInfo& tensor) const {
    return static_cast<std::size_t>(&tensor - checkpoint_.tensors().data());
  }

  void rest() {
    for (std::size_t i = 0; i < claimed_.size(); ++i) {
      const TensorInfo& tensor = checkpoint_.tensors()[i];
      if (claimed_[i] || is_rotary_buffer(tensor.name)) continue;
      problem(tensor, "{} {} belongs to no part of a {} model with this config.json", dtype_name(tensor.dtype),
              shape_text(tensor.shape), model_.family);
    }
  }

  template <typename... Part>
  void problem(const TensorInfo& tensor, fmt::format_string<Part...> format, Part&&... part) {
    claims_.problems.push_back({tensor.name,
                                base_name(checkpoint_.files()[static_cast<std::size_t>(tensor.file)].path()),
                                fmt::format(format, std::forward<Part>(part)...)});
  }

  const ModelSpec& model_;
  const Checkpoint& checkpoint_;
  const StorageRules& rules_;
  std::vector<bool> claimed_;                                     // by index into the checkpoint's tensors
  std::map<std::string, std::vector<const LinearSpec*>> slices_;  // by tensor
  Claims claims_;
};

}  // namespace

std::string ClaimProblem::text() const {
  return file.empty() ? fmt::format("tensor {} {}", tensor, what)
                      : fmt::format("{}: tensor {}: {}", file, tensor, what);
}

Claims claim_tensors(const ModelSpec& model, const Checkpoint& checkpoint, const StorageRules& rules) {
  return Audit(model, checkpoint, rules).run();
}

std::vector<ClaimProblem> claim_problems(const ModelSpec& model, const Checkpoint& checkpoint,
                                         const StoredFormat& stored) {
  return claim_tensors(model, checkpoint, {.format = stored}).problems;
}

void audit_claims(const ModelSpec& model, const Checkpoint& checkpoint, const StoredFormat& stored) {
  require_no_problems(claim_tensors(model, checkpoint, {.format = stored}), checkpoint);
}

void require_no_problems(const Claims& claims, const Checkpoint& checkpoint) {
  const std::vector<ClaimProblem>& problems = claims.problems;
  if (problems.empty()) return;
  const std::string more = problems.size() > 1 ? fmt::format(" (and {} more problems)", problems.size() - 1) : "";
  fail(Fault::input, "{}: {}{}", checkpoint.directory(), problems.front().text(), more);
}

}  // namespace strata
