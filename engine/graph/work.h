// What passes do, by kind: rows from which the time of a sweep is estimated before it runs. Amounts follow from shapes
// alone; what a machine does of each in a second is measured (engine/sweep/machine_rates.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cache/boundary_shape.h"
#include "engine/plan/part.h"
#include "formats/number_format.h"

namespace strata {

struct PassQuestion;
struct SweepPlan;

enum class Effort : std::uint8_t {
  multiply,  // floating-point operations of x [rows, in] W^T, a block of samples in each thread
  attend,    // the same within attention
  touch,     // float32 values that simple operations go over one by one, a block of samples in each thread
  call,      // operations of libtorch, whatever their size, a block of samples in each thread
  encode,    // values rounded to a number format, decoded again and compared
  decode,    // values of the source as float32
  pack,      // bytes of hidden states, encoded for their file
  unpack,    // the same, back
  read,      // bytes of the source
  write,     // bytes of output and work folder
  commit,    // syncs of a file
};

// On which their rate depends: x [rows, in] and W [out, in]; heads of `in` values, `out` in all, that look at `rows`
// keys; `rows` times `in` values.
struct WorkSize {
  std::int64_t rows = 0, out = 0, in = 0;
  bool operator==(const WorkSize&) const = default;
};

struct WorkRow {
  Effort kind = Effort::multiply;
  WorkSize size = {};                    // multiply, attend, touch
  const NumberFormat* format = nullptr;  // encode; decode, where the source is stored in one
  double amount = 0;

  bool same(const WorkRow& other) const { return kind == other.kind && size == other.size && format == other.format; }
};

// Amounts of equal rows add up.
class WorkSheet {
 public:
  void add(Effort kind, double amount) { row({.kind = kind}) += amount; }
  void multiply(const WorkSize& product, double tokens);  // that go through it, in all
  void attend(const WorkSize& heads, double tokens);
  void touch(const WorkSize& block, double values) { row({.kind = Effort::touch, .size = block}) += values; }
  void code(Effort kind, const NumberFormat* format, double values) { row({.kind = kind, .format = format}) += values; }

  std::span<const WorkRow> rows() const { return rows_; }
  double total(Effort kind) const;

 private:
  double& row(const WorkRow& like);
  std::vector<WorkRow> rows_;
};

struct WorkQuestion {
  const PassQuestion& pass;
  const SweepPlan& sweep;
  std::span<const Part> parts;  // of the sweep, in its order
  BoundaryShape states = {};    // of one lane of what the pass advances; no samples without data
  std::size_t lanes = 1;
  double output = 0;     // bytes of it that the sweep writes
  bool columns = false;  // sums of squares of input columns are collected

  double tokens() const { return static_cast<double>(states.samples) * static_cast<double>(states.tokens); }
  double blocks() const { return static_cast<double>(states.blocks()); }
  std::int64_t block_rows() const { return states.samples_in(0) * states.tokens; }
};

}  // namespace strata
