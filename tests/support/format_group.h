// The config group of a number format as a test compares it with what it read: null where the format quantizes nothing.
#pragma once

#include <nlohmann/json.hpp>

#include "formats/number_format.h"

namespace strata::test {

nlohmann::json group_of(const NumberFormat& format);

}  // namespace strata::test
