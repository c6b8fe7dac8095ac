#include "cli/terminal.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "cli/wrap.h"

namespace strata {

bool is_terminal(int descriptor) { return isatty(descriptor) == 1; }

int terminal_width(int descriptor) {
  winsize size = {};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::size_t text_width(int descriptor) {
  if (!is_terminal(descriptor)) return unlimited_width;
  const char* const said = std::getenv("COLUMNS");
  const std::string_view text = said == nullptr ? "" : said;
  std::size_t columns = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), columns);
  if (error == std::errc() && end == text.data() + text.size() && columns > 0) return columns;
  return static_cast<std::size_t>(terminal_width(descriptor));
}

std::size_t result_width() { return text_width(STDOUT_FILENO); }

bool use_color(ColorChoice choice, int descriptor) {
  return choice == ColorChoice::always || (choice == ColorChoice::automatic && is_terminal(descriptor));
}

std::string colored(std::string_view text, Color color, bool enabled) {
  if (!enabled) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", color == Color::red ? 31 : 33, text);
}

}  // namespace strata
