#include "engine/graph/pass_type.h"

#include "base/error.h"

namespace strata {

std::string_view direction_name(Direction direction) {
  switch (direction) {
    case Direction::forward:
      return "forward";
    case Direction::reverse:
      return "reverse";
    case Direction::none:
      return "none";
    case Direction::any:
      return "any";
  }
  fail(Fault::bug, "no direction has the number {}", static_cast<int>(direction));
}

const PassType& pass_type(std::string_view name) {
  for (const PassType* type : pass_types())
    if (type->name == name) return *type;
  fail(Fault::bug, "no pass is called {}", name);
}

}  // namespace strata
