// A pass: reads facts, writes facts. One file each under engine/passes; the passes of a sweep share each visit to a
// layer. docs/add-a-pass.md shows how to write one.
#pragma once

#include "engine/sweep/desk.h"

namespace strata {

// Called for one layer at a time, in the order of the sweep, never concurrently: begin, every part in order, end. A
// pass that looks at the whole model at once (Direction::none) gets end() alone.
class Pass {
 public:
  virtual ~Pass() = default;
  virtual void begin(Desk& /*desk*/) {}  // nothing of the layer is read yet
  virtual void part(Desk& /*desk*/) {}
  virtual void end(Desk& /*desk*/) {}  // all parts seen
};

}  // namespace strata
