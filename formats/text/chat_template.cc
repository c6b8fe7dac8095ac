#include "formats/text/chat_template.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/child_process.h"
#include "base/error.h"
#include "base/file.h"

namespace strata {
namespace {

constexpr std::string_view way_out =
    "chats need Python 3.9 or later with the jinja2 package (apt-get install python3-jinja2, or pip), or use lines "
    "with "
    "\"text\"";

// In the build folder, and where `cmake --install` puts it.
std::string find_renderer(const ChatSource& source) {
  if (!source.renderer.empty()) {
    if (!exists(source.renderer)) fail(Fault::input, "{}: there is no such file; it renders chats", source.renderer);
    return source.renderer;
  }
  const std::string folder = parent_directory(program_path());
  const std::array<std::string, 2> places = {join_path(folder, "scripts/render_chat.py"),
                                             join_path(parent_directory(folder), "share/strata/render_chat.py")};
  for (const std::string& place : places)
    if (exists(place)) return place;
  fail(Fault::input, "{}: render_chat.py, which renders chats, is neither {} nor {}", source.file, places[0],
       places[1]);
}

std::map<std::int64_t, std::string> read_answers(const ChatSource& source, const std::string& output) {
  std::map<std::int64_t, std::string> texts;
  bool complete = false;
  for (std::size_t begin = 0; begin < output.size();) {
    const std::size_t end = output.find('\n', begin);
    const nlohmann::json answer = nlohmann::json::parse(output.substr(begin, end - begin), nullptr, false);
    begin = end == std::string::npos ? output.size() : end + 1;
    if (!answer.is_object())
      fail(Fault::input, "{}: render_chat.py printed something else than its answers", source.file);
    if (answer.contains("error")) fail(Fault::input, "{}", answer["error"].get<std::string>());
    if (answer.contains("done"))
      complete = true;
    else
      texts[answer.at("number").get<std::int64_t>()] = answer.at("text").get<std::string>();
  }
  if (!complete) fail(Fault::input, "{}: render_chat.py stopped before it was done; {}", source.file, way_out);
  return texts;
}

}  // namespace

std::map<std::int64_t, std::string> render_chats(const ChatSource& source) {
  const std::string script = find_renderer(source);
  std::vector<std::string> command = {"python3", script, source.model_directory, source.file,
                                      nlohmann::json(source.special_tokens).dump()};
  if (source.array) command.emplace_back("array");
  const auto result = run_child(command);
  if (!result || result->exit_code == 127)
    fail(Fault::input, "{}: python3 is not on the PATH; {}", source.file, way_out);
  return read_answers(source, result->output);
}

}  // namespace strata
