#include "engine/sweep/sweep_time.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "engine/sweep/boundary.h"

using namespace strata;

namespace {

// Of so many blocks.
PlannedSweep sweep_of(std::int64_t samples, int threads = 2) {
  PlannedSweep sweep;
  sweep.moving = {{.shape = boundary_shape(samples, 1024, 8)}};
  sweep.cut.cut.threads = threads;
  return sweep;
}

WorkRow row(Effort kind, double amount, const WorkSize& size = {}) {
  return {.kind = kind, .size = size, .amount = amount};
}

constexpr WorkSize product{.rows = 8, .out = 4, .in = 2};

}  // namespace

TEST_CASE("a sweep takes as long as the busiest of its three threads") {
  const MachineRates rates({row(Effort::multiply, 16, product), row(Effort::read, 100), row(Effort::write, 10),
                            row(Effort::commit, 4), row(Effort::pack, 50), row(Effort::unpack, 20)},
                           0.5);
  WorkSheet work;
  work.multiply(product, 4);        // 64: 4 s
  work.add(Effort::unpack, 40);     // 2 s
  work.add(Effort::read, 300);      // 3 s
  work.add(Effort::write, 20);      // 2 s
  work.add(Effort::commit, 2);      // 0.5 s
  work.add(Effort::pack, 100);      // 2 s to encode, and 50 bytes to write: 5 s
  work.add(Effort::call, 1000000);  // nobody measured it
  const SweepTime time = time_of(work, rates, sweep_of(4));
  CHECK(time.compute == 8);
  CHECK(time.read == 3);
  CHECK(time.write == 7.5);
  CHECK(time.longest() == 8);
}

TEST_CASE("threads that have no block in the last round wait") {
  const MachineRates rates({row(Effort::multiply, 64, product)}, 1);
  WorkSheet work;
  work.multiply(product, 4);
  CHECK(time_of(work, rates, sweep_of(4)).compute == 1);
  CHECK(time_of(work, rates, sweep_of(3)).compute == 4.0 / 3);
  CHECK(time_of(work, rates, sweep_of(1, 4)).compute == 4);
}

TEST_CASE("every kind of work is measured, once, and takes some time") {
  WorkSheet sheet;
  sheet.multiply({.rows = 64, .out = 32, .in = 32}, 64);
  sheet.attend({.rows = 16, .out = 32, .in = 16}, 64);
  sheet.touch({.rows = 64, .in = 32}, 1e6);
  sheet.code(Effort::encode, &require_number_format("NVFP4"), 1e6);
  sheet.code(Effort::decode, nullptr, 1e6);
  sheet.code(Effort::decode, &require_number_format("W4A16"), 1e6);
  for (const Effort kind : {Effort::call, Effort::pack, Effort::unpack}) sheet.add(kind, 1e6);
  const std::vector<WorkSheet> sheets(3, sheet);
  const MachineRates rates = MachineRates::measure(
      sheets,
      {.method = require_rounding_method("scale-search"), .rule = ScaleRule::search, .threads = 2, .folder = "."});
  for (const WorkRow& one : sheet.rows()) {
    INFO(static_cast<int>(one.kind));
    CHECK(std::isfinite(rates.seconds(one)));
    CHECK(rates.seconds(one) > 0);
  }
  CHECK(rates.packed() > 0.2);
  CHECK(rates.packed() <= 1.01);
}
