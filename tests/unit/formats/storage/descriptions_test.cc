// What messages call a format, a scheme and a stored weight: two that differ never go by the same words, so that
// "X instead of Y" and "is X, but Y" say something.
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <utility>
#include <vector>

#include "formats/config/config_group.h"
#include "formats/config/scheme.h"
#include "formats/storage/stored_linear.h"

namespace strata {
namespace {

TEST_CASE("two formats have two names and two summaries") {
  for (const NumberFormat* const a : number_formats())
    for (const NumberFormat* const b : number_formats()) {
      INFO(a->name << " and " << b->name);
      CHECK((a == b) == (a->name == b->name));
      CHECK((a == b) == (a->summary == b->summary));
    }
}

TEST_CASE("two schemes are described by the same words only where they are the same") {
  std::vector<std::pair<std::string, Scheme>> schemes;
  for (const NumberFormat* const format : number_formats())
    if (format->quantizes())
      schemes.emplace_back(format->name, parse_scheme(Config::parse(config_group(format->scheme).dump(), "group")));
  REQUIRE(schemes.size() > 20);
  for (const auto& [name_a, a] : schemes)
    for (const auto& [name_b, b] : schemes) {
      INFO(name_a << ": " << describe(a) << "\n" << name_b << ": " << describe(b));
      const bool same = a.format == b.format && a.weights == b.weights && a.input == b.input;
      CHECK(same == (describe(a) == describe(b)));
    }
}

TEST_CASE("any change of a scheme changes its description") {
  const Scheme scheme = {"float-quantized", {.bits = 8, .type = "float", .strategy = "tensor"}, std::nullopt};
  std::vector<Scheme> others(11, scheme);
  others[0].format = "naive-quantized";
  others[1].weights.bits = 4;
  others[2].weights.type = "int";
  others[3].weights.symmetric = false;
  others[4].weights.strategy = "channel";
  others[5].weights.group_size = 32;
  others[6].weights.dynamic = "true";
  others[7].weights.block = {128, 128};
  others[8].weights.scales = "e8m0";
  others[9].input = scheme.weights;
  others[10].input = SchemeArguments{.bits = 8, .type = "float", .strategy = "tensor", .dynamic = "true"};
  for (std::size_t i = 0; i < others.size(); ++i) {
    INFO(i);
    CHECK(describe(others[i]) != describe(scheme));
    for (std::size_t j = 0; j < i; ++j) CHECK(describe(others[i]) != describe(others[j]));
  }
}

TEST_CASE("two stored weights that are copied in different formats are told apart") {
  std::vector<StoredLinear> all;
  for (const Storage* const storage : native_storages())
    for (const char* const scale : {"", "input_scale"}) {
      StoredLinear linear{.module = "m", .weight = {128, 128}, .storage = storage};
      if (*scale != 0) linear.fields.push_back({scale, Dtype::f32, {}});
      all.push_back(std::move(linear));
    }
  for (const NumberFormat* const format : number_formats())
    all.push_back({.module = "m", .weight = {128, 128}, .format = format});
  const auto copied_as = [](const StoredLinear& linear) {
    return linear.format != nullptr
               ? std::string(linear.format->name)
               : std::string(linear.storage->name) + std::string(linear.storage->copy_format(linear));
  };
  for (const StoredLinear& a : all)
    for (const StoredLinear& b : all) {
      INFO(a.text() << " as " << copied_as(a) << " and " << b.text() << " as " << copied_as(b));
      if (copied_as(a) != copied_as(b)) CHECK(a.text() != b.text());
    }
}

}  // namespace
}  // namespace strata
