// Which Linears the patterns of a request decide about.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/pattern.h"
#include "engine/plan/request.h"
#include "profiles/model_spec.h"

namespace strata {

// Thread-safe to read.
class PatternRules {
 public:
  explicit PatternRules(const AssignmentRequest& request);

  // The option that counts for a Linear, as assign_formats() takes them: "--ignore *.o_proj". Empty: none names it.
  std::string of(const LinearSpec& linear) const;

 private:
  std::vector<std::pair<Pattern, std::string>> rules_;  // the first that matches counts
};

}  // namespace strata
