#include "engine/device/torch_errors.h"

#include <c10/util/Exception.h>

#include <catch2/catch_test_macros.hpp>
#include <new>

#include "tests/support/thrown.h"

using namespace strata;

TEST_CASE("an error of libtorch becomes one of ours by its type, whatever its text says") {
  const auto translated = [](const std::function<void()>& body) {
    return test::thrown_by([&] { with_torch_errors(body); });
  };
  const Error refused = translated([] { TORCH_CHECK_WITH(OutOfMemoryError, false, "Tried to take 3 GiB"); });
  CHECK(refused.fault == Fault::budget);
  CHECK(std::string(refused.what()).starts_with("memory: Tried to take 3 GiB"));
  const Error wrong = translated([] { TORCH_CHECK(false, "mat1 and mat2 cannot be multiplied\nmore"); });
  CHECK(wrong.fault == Fault::bug);
  CHECK(wrong.what() == std::string("libtorch: mat1 and mat2 cannot be multiplied"));
  const Error prose = translated([] { TORCH_CHECK(false, "an index can allocate memory for not enough memory"); });
  CHECK(prose.fault == Fault::bug);
}

TEST_CASE("errors of others pass as they are") {
  const Error ours = test::thrown_by([] { with_torch_errors([] { fail(Fault::input, "layer: planted"); }); });
  CHECK(ours.fault == Fault::input);
  CHECK(ours.what() == std::string("layer: planted"));
  CHECK_THROWS_AS(with_torch_errors([] { throw std::bad_alloc(); }), std::bad_alloc);
  int calls = 0;
  with_torch_errors([&] { ++calls; });
  CHECK(calls == 1);
}
