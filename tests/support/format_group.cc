#include "tests/support/format_group.h"

#include "formats/config/config_group.h"

namespace strata::test {

nlohmann::json group_of(const NumberFormat& format) {
  return format.quantizes() ? nlohmann::json(config_group(format.scheme)) : nlohmann::json();
}

}  // namespace strata::test
