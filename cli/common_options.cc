#include "cli/common_options.h"

namespace strata {

OptionSet common_option_set(CommonOptions& target) {
  OptionSet set;
  set.group("Every command");
  set.flag("--json", "print the result as JSON", target.json);
  set.flag("-v,--verbose", "tell more", target.verbose);
  set.flag("-q,--quiet", "no progress; decisions and errors only", target.quiet);
  set.choice("--log-format", {"text", "json"}, "progress and errors on stderr (default text)",
             [&target](std::size_t i) { target.log_format = i == 0 ? LogFormat::text : LogFormat::json; });
  set.choice("--color", {"auto", "always", "never"}, "color on stderr (default auto)", [&target](std::size_t i) {
    target.color = i == 0 ? ColorChoice::automatic : i == 1 ? ColorChoice::always : ColorChoice::never;
  });
  set.flag("-h,--help", "show this help", target.help);
  return set;
}

}  // namespace strata
