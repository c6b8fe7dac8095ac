// Decodes the weights of the part, and the norms and biases that come with it, to float32: once for all that compute
// with them.
#include "engine/model/layer_weights.h"
#include "engine/passes/coding_work.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/pass.h"

namespace strata::passes {
namespace {

// Of the head only what enters it is looked at, and what is copied is not looked into.
bool computes(const Part& part) {
  if (part.kind == Part::Kind::logits) return !part.linears.empty();  // else it comes in pieces
  return part.kind != Part::Kind::copy && part.kind != Part::Kind::head;
}

class Decode final : public Pass {
 public:
  void part(Desk& desk) override {
    if (!computes(desk.part())) return;
    // The same memory again, unless somebody holds on to the part before: then that stays as it is.
    if (weights_ == nullptr || weights_.use_count() > (desk.part().first ? 1 : 2))
      weights_ = std::make_shared<LayerWeights>(desk.tools().device);
    const Trace::Span span(desk.tools().trace, Track::decode, desk.visit().name, {.layer = desk.done().index});
    const StageTimes::Span time(&desk.tools().times, Stage::decode);
    weights_->load(desk.model(), desk.part(), desk.get(facts::source).bytes, desk.decode_as());
    desk.put(facts::weights, weights_);
  }

 private:
  std::shared_ptr<LayerWeights> weights_;
};

std::uint64_t part_bytes(const PassQuestion& question, const Part& part) {
  // A lane may ask for BF16, which leaves no float32 tensor where it lies.
  const DecodeAs decode = question.reader != nullptr ? DecodeAs::bf16 : DecodeAs::f32;
  return computes(part) ? LayerWeights::memory(*part.model, part, decode) : 0;
}

}  // namespace

extern const PassType decode{
    .name = "decode",
    .summary = "decodes the weights of the layer to float32",
    .version = 1,
    .direction = Direction::any,
    .reads = {&facts::source},
    .writes = {&facts::weights},
    .cost = [](const CostQuestion& question,
               CostSheet& sheet) { sheet.add(Resource::host, "weights", question.sizes.largest(part_bytes)); },
    .work = decode_work,
    .make = [](const PassQuestion&, const Cut&) -> std::unique_ptr<Pass> { return std::make_unique<Decode>(); },
};

}  // namespace strata::passes
