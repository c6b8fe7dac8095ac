#include "engine/plan/output_plan.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/support/source_folder.h"

using namespace strata;

namespace {

// Every slot is named as what the plan says it is for.
void check_slots(const OpenModel& model, const Assignment& assignment) {
  const OutputPlan plan = plan_output(model, assignment, 100'000);
  REQUIRE(plan.visits.size() == model.visits.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < model.visits.size(); ++i) {
    const Visit& visit = model.visits[i];
    const VisitSlots& slots = plan.visits[i];
    CHECK(slots.first == next);
    next += slots.count;
    const auto is_inside = [&](std::size_t slot) { return slot >= slots.first && slot < next; };
    for (const LinearSpec* linear : visit.linears) {
      std::size_t slot = plan.linears.at(linear->index);
      for (const Field& field : written_fields(model.linear(*linear), assignment)) {
        CHECK(plan.slots.name(slot) == linear->module + "." + field.suffix);
        CHECK(plan.slots[slot].bytes == field_bytes(field));
        CHECK(is_inside(slot++));
      }
    }
    for (const TensorInfo* tensor : visit.kept) {
      CHECK(plan.slots.name(plan.slot_of(model.checkpoint, *tensor)) == tensor->name);
      CHECK(is_inside(plan.slot_of(model.checkpoint, *tensor)));
    }
    if (!assignment.kv_cache_fp8 || visit.layer == nullptr) continue;
    CHECK(plan.slots.name(slots.cache_scales) == visit.layer->prefix + ".self_attn.k_scale");
    CHECK(plan.slots.name(slots.cache_scales + 1) == visit.layer->prefix + ".self_attn.v_scale");
  }
  CHECK(next == plan.slots.size());
}

}  // namespace

TEST_CASE("every tensor of an output has a slot in its visit, in the order of the visits") {
  for (const char* const name : {"llama", "qwen3-moe"}) {
    const OpenModel model = open_model(test::in_source(std::string("tests/golden/models/") + name));
    for (const char* const scheme : {"KEEP", "NVFP4", "W4A16"})
      for (const bool cache : {false, true}) {
        INFO(name << " " << scheme << " " << cache);
        check_slots(model, assign_formats(model, {.scheme = scheme, .kv_cache_fp8 = cache}));
      }
  }
}

TEST_CASE("a head that is kept has the slot of its tensor") {
  const OpenModel model = open_model(test::in_source("tests/golden/models/qwen3-moe"));
  const LinearSpec& head = model.spec->head;
  const Assignment kept = assign_formats(model, {.scheme = "W4A16", .ignore = {"lm_head"}});
  const OutputPlan plan = plan_output(model, kept, 5'000'000'000);
  CHECK(plan.slot_of(model.checkpoint, *model.linear(head).tensors.front()) == plan.linears.at(head.index));
}
