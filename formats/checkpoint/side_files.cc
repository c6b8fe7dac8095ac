#include "formats/checkpoint/side_files.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace strata {
namespace {

// A file that loaders would read and then fail, or take the output for something else.
struct Leftover {
  std::string_view name, why;
};

constexpr auto leftovers = std::to_array<Leftover>({
    {"adapter_config.json",
     "describes an adapter, whose weights are not in the output; transformers with peft would look for them and fail"},
    {"params.json", "describes Mistral's own layout of the weights, which the output does not hold"},
    {"hf_quant_config.json", "says how ModelOpt quantized the source; vLLM would take the output for that"},
    {"quantize_config.json", "says how GPTQ quantized the source; loaders would take the output for that"},
    {"quant_config.json", "says how AWQ quantized the source; loaders would take the output for that"},
    {"quantization_config.json", "says how the source was quantized; loaders would take the output for that"},
    {"quant_model_description.json", "says how ModelSlim quantized the source; vLLM would take the output for that"},
});

constexpr std::string_view template_folder = "additional_chat_templates";

// Side files are small and few. What is beyond belongs to no loader that is known here.
constexpr int deepest = 8;
constexpr std::size_t most_files = 10'000;
constexpr std::uint64_t most_bytes = 1u << 30;

bool is_weight(std::string_view name) {
  static constexpr auto endings =
      std::to_array<std::string_view>({".safetensors", ".index.json", ".bin", ".pt", ".pth", ".ckpt", ".gguf",
                                       ".msgpack", ".h5", ".ot", ".onnx", ".onnx_data"});
  return name.starts_with("consolidated") ||
         std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

// The folders of the modules of a sentence-transformers model; none where the file is no such list.
std::vector<std::string> module_folders(const ModelFolder& folder) {
  std::vector<std::string> names;
  const DirectoryEntry* const file = folder.find("modules.json");
  if (file == nullptr || !file->is_regular) return names;
  folder.check_link(*file);
  simdjson::dom::parser parser;
  simdjson::dom::array modules;
  const simdjson::padded_string text(read_text(folder.path(file->name)));
  if (parser.parse(text).get(modules) != simdjson::SUCCESS) return names;
  for (const simdjson::dom::element module : modules) {
    std::string_view path;
    if (module["path"].get(path) == simdjson::SUCCESS) names.emplace_back(path.substr(0, path.find('/')));
  }
  return names;
}

class Lister {
 public:
  explicit Lister(const ModelFolder& folder) : folder_(folder) {}

  // The files of a sub-folder, hidden ones and unfinished downloads apart. `name` is its path in the model's folder.
  void add_folder(const std::string& name, int depth) {
    const std::string path = folder_.path(name);
    if (depth > deepest)
      fail(Fault::input, "{}: lies {} folders deep, more than {}; {}", path, depth, deepest, way_out);
    for (const DirectoryEntry& entry : list_directory(path)) {
      if (entry.name.starts_with('.') || is_unfinished(entry.name)) continue;
      const std::string inner = name + "/" + entry.name, inner_path = folder_.path(inner);
      folder_.check_link(entry, inner_path);
      if (entry.is_directory && entry.is_link)
        fail(Fault::input, "{}: is a link to a folder; copy the folder here", inner_path);
      if (entry.is_directory) {
        add_folder(inner, depth + 1);
      } else if (entry.is_regular) {
        bytes_ += entry.bytes;
        files.push_back(inner);
      }
    }
    if (files.size() > most_files)
      fail(Fault::input, "{}: has {} files with those before it, more than {}; {}", path, files.size(), most_files,
           way_out);
    if (bytes_ > most_bytes)
      fail(Fault::input, "{}: has {} with what stands before it, more than {}; {}", path, human_bytes(bytes_),
           human_bytes(most_bytes), way_out);
  }

  std::vector<std::string> files;

 private:
  static constexpr std::string_view way_out = "move what is no side file of a model out of it";
  const ModelFolder& folder_;
  std::uint64_t bytes_ = 0;
};

// "a, b and 3 more".
std::string name_some(std::span<const std::string> names) {
  constexpr std::size_t shown = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > shown ? fmt::format("{} and {} more", text, names.size() - shown) : text;
}

}  // namespace

std::string_view misleads(std::string_view name) {
  const auto found = std::ranges::find(leftovers, name, &Leftover::name);
  return found == leftovers.end() ? std::string_view() : found->why;
}

std::vector<std::string> side_folders(const ModelFolder& folder) {
  std::vector<std::string> wanted = module_folders(folder);
  wanted.emplace_back(template_folder);
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : folder.entries())
    if (entry.is_directory && !entry.name.starts_with('.') && std::ranges::find(wanted, entry.name) != wanted.end())
      names.push_back(entry.name);
  return names;
}

SideFiles list_side_files(const ModelFolder& folder) {
  const std::vector<std::string> folders = side_folders(folder);
  SideFiles side;
  Lister lister(folder);
  std::vector<std::string> weights, unread;
  for (const DirectoryEntry& entry : folder.entries()) {
    if (entry.name.starts_with('.') || entry.name == "config.json" || is_unfinished(entry.name)) continue;
    const std::string_view why = misleads(entry.name);
    if (entry.is_directory && std::ranges::find(folders, entry.name) == folders.end()) {
      unread.push_back(entry.name + "/");
    } else if (entry.is_directory) {
      folder.check_link(entry);
      if (entry.is_link) fail(Fault::input, "{}: is a link to a folder; copy the folder here", folder.path(entry.name));
      lister.add_folder(entry.name, 1);
    } else if (!why.empty()) {
      side.left_out.push_back({entry.name, fmt::format("is left out of the output: it {}", why)});
    } else if (is_weight(entry.name)) {
      const bool own = entry.name.starts_with("model") &&
                       (entry.name.ends_with(".safetensors") || entry.name == "model.safetensors.index.json");
      if (!own) weights.push_back(entry.name);
    } else {
      folder.check_link(entry);
      if (entry.is_regular) side.copied.push_back(entry.name);
    }
  }
  side.copied.insert(side.copied.end(), lister.files.begin(), lister.files.end());
  std::ranges::sort(side.copied);
  if (!weights.empty())
    side.left_out.push_back(
        {name_some(weights), "left out of the output: weights that config.json does not stand for"});
  if (!unread.empty()) side.left_out.push_back({name_some(unread), "left out of the output: no loader reads it"});
  return side;
}

}  // namespace strata
