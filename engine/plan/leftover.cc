#include "engine/plan/leftover.h"

#include "base/error.h"
#include "profiles/source_storage.h"

namespace strata {

std::string leftover_of(const OpenModel& model) {
  const std::string leftover = find_storage(model.checkpoint, *model.spec).leftover;
  if (leftover.empty()) return {};
  return fmt::format(
      "{} is left over: no tensor is quantized, so the weights are read as they are and no output has it", leftover);
}

void report_leftover(const OpenModel& model, Reporter& reporter) {
  if (std::string text = leftover_of(model); !text.empty()) reporter.decision(model.checkpoint.config().path(), text);
}

}  // namespace strata
