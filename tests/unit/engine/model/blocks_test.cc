// Layers of other blocks than the families of today have: norms after a body, no norm before, one block or three.
#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>

#include <catch2/catch_test_macros.hpp>
#include <optional>

#include "engine/model/attention.h"
#include "engine/model/ffn.h"
#include "engine/model/layer.h"
#include "engine/model/norm.h"
#include "profiles/layer_questions.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_llama.h"
#include "tests/support/whole_visit.h"

using namespace strata;

namespace {

// The layer of the tiny Llama in memory, whose blocks a test may arrange anew.
struct LoadedLayer {
  test::TemporaryFolder folder;
  Budget memory = Budget("memory", 1u << 30);
  LayerBytes bytes = LayerBytes(memory);
  LayerWeights weights = LayerWeights(memory);
  std::optional<OpenModel> model;
  LayerSpec layer;
  at::Tensor x = at::sin(at::arange(0, 2 * 3 * 128, at::kFloat)).view({2, 3, 128});

  LoadedLayer() {
    test::write_tiny_llama(folder.file("model"));
    model.emplace(open_model(folder.file("model")));
    const Part part = test::whole_visit(*model, model->visits[1]);
    bytes.load(*model, part, *make_reader(IoMethod::pread));
    weights.load(*model, part, bytes, DecodeAs::f32);
    layer = *model->visits[1].layer;
  }

  at::Tensor run() {
    LinearSite site(weights, ActivationMode::none);
    return run_layer(layer, weights, site, x);
  }
  at::Tensor norm(const NormSpec& spec, const at::Tensor& input) const {
    return rms_norm(input, weights.tensor(spec.weight), spec.eps);
  }
  at::Tensor attention(const at::Tensor& input) {
    LinearSite site(weights, ActivationMode::none);
    return strata::attention(*attention_of(layer), weights, site, input);
  }
};

}  // namespace

TEST_CASE("a norm after a body is of what it adds, and one that is missing changes nothing") {
  LoadedLayer it;
  const NormSpec first = *it.layer.blocks[0].before, second = *it.layer.blocks[1].before;
  it.layer.blocks.pop_back();
  CHECK(it.run().equal(it.x + it.attention(it.norm(first, it.x))));
  it.layer.blocks[0].after = second;
  CHECK(it.run().equal(it.x + it.norm(second, it.attention(it.norm(first, it.x)))));
  it.layer.blocks[0].before.reset();
  CHECK(it.run().equal(it.x + it.norm(second, it.attention(it.x))));
}

TEST_CASE("the steps of a layer are the layer, whatever blocks come before the last") {
  LoadedLayer it;
  const Block attention = it.layer.blocks[0], mlp = it.layer.blocks[1];
  for (const std::vector<Block>& blocks :
       {std::vector{attention, mlp}, std::vector{mlp}, std::vector{attention, mlp, attention, mlp}}) {
    it.layer.blocks = blocks;
    it.layer.blocks.back().after = attention.before;
    LinearSite site(it.weights, ActivationMode::none);
    const at::Tensor middle = run_mixer(it.layer, it.weights, site, it.x);
    CHECK(it.run().equal(middle + run_mlp(it.layer, it.weights, site, middle)));
    const at::Tensor inner = gated_mlp(std::get<GatedMlpSpec>(mlp.body), site, ffn_input(it.layer, it.weights, middle));
    CHECK(it.run().equal(middle + ffn_output(it.layer, it.weights, inner)));
  }
}
