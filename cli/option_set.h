// The options of one command as data: the parser fills them, --help and docs/cli.md print them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

struct Option {
  std::vector<std::string> names;  // "-o", "--output"; later long names are synonyms that --help leaves out
  std::string value;               // "FOLDER" in --help; empty for a flag
  std::string help;                // one line, the default included
  bool positional = false;         // names[0] is "MODEL"
  bool repeatable = false;
  std::function<void(const std::string& text)> set;  // Error{usage} naming the option when the text is wrong
};

// The targets outlive the set.
class OptionSet {
 public:
  struct Group {
    std::string title;
    std::vector<Option> options;
  };

  // Options declared from now on stand under this title in --help.
  void group(std::string title);

  void positional(std::string name, std::string help, std::string& target);
  // `names` as in "-o,--output,--output-dir".
  void flag(std::string_view names, std::string help, bool& target);
  void text(std::string_view names, std::string value, std::string help, std::string& target);
  void texts(std::string_view names, std::string value, std::string help, std::vector<std::string>& target);
  void count(std::string_view names, std::string help, std::int64_t& target);  // 1 or more
  void size(std::string_view names, std::string help, std::uint64_t& target);  // bytes, "24GiB"
  void duration(std::string_view names, std::string help, double& target);     // seconds, "3h50m"
  // One of `words`, without regard to case; `choose` gets the index of the word.
  void choice(std::string_view names, std::vector<std::string> words, std::string help,
              std::function<void(std::size_t)> choose);
  void add(Option option);

  std::span<const Group> groups() const { return groups_; }

 private:
  std::vector<Group> groups_;
};

// What messages call an option: its first long name, or the name of a positional.
const std::string& spoken_name(const Option& option);

}  // namespace strata
