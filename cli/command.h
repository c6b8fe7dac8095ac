// A command of the program: `strata <name>`. One file each under cli/command.
#pragma once

#include <span>
#include <string_view>

namespace CLI {
class App;
}

namespace strata {

// What every command is given.
struct CommandContext {
  int argc = 0;
  const char* const* argv = nullptr;
};

struct Command {
  std::string_view name;
  std::string_view summary;
  // Adds the command's options to `app` and a callback that runs it.
  void (*add)(CLI::App& app);
};

std::span<const Command* const> commands();  // generated from cli/command/*.cc

}  // namespace strata
