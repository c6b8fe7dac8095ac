// What stderr and stdout are: terminals of some width, or pipes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "cli/common_options.h"

namespace strata {

bool is_terminal(int descriptor);
int terminal_width(int descriptor);  // 80 when it is not known
// Columns that text may take there: $COLUMNS, as other programs do, or those of the terminal. No limit in a pipe, where
// a line is one thing to find.
std::size_t text_width(int descriptor);
std::size_t result_width();  // of stdout
bool use_color(ColorChoice choice, int descriptor);

enum class Color : std::uint8_t { red, yellow };
std::string colored(std::string_view text, Color color, bool enabled);

}  // namespace strata
