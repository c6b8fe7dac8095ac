// What stderr is: a terminal of some width, or a pipe.
#pragma once

#include <string>
#include <string_view>

#include "cli/common_options.h"

namespace strata {

bool is_terminal(int descriptor);
int terminal_width(int descriptor);  // 80 when it is not known
bool use_color(ColorChoice choice, int descriptor);

enum class Color : std::uint8_t { red, yellow };
std::string colored(std::string_view text, Color color, bool enabled);

}  // namespace strata
