// Rules about the folder: what must not lie there, and whether its parts fit together.
#include <algorithm>
#include <array>
#include <set>

#include "engine/verify_rules.h"
#include "formats/checkpoint_index.h"

namespace strata::rule {
namespace {

constexpr std::string_view index_name = "model.safetensors.index.json";

// "__metadata__" of one shard; empty when it has none. The header was checked when the folder was opened.
std::string metadata_format(const InputFile& file) {
  std::array<std::byte, 8> prefix{};
  file.read_at(0, prefix);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < prefix.size(); ++i) bytes |= std::to_integer<std::uint64_t>(prefix[i]) << (8 * i);
  std::string header(bytes, '\0');
  file.read_at(8, std::as_writable_bytes(std::span(header)));
  if (header.find("\"__metadata__\"") == std::string::npos) return {};
  const Config root = Config::parse(header, base_name(file.path()));
  return root.has("__metadata__") ? root.section("__metadata__").text_or("format", "") : "";
}

std::vector<std::string> consolidated_files(const std::vector<DirectoryEntry>& entries) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : entries)
    if (entry.name.starts_with("consolidated") && entry.name.ends_with(".safetensors")) names.push_back(entry.name);
  return names;
}

bool has_file(const std::vector<DirectoryEntry>& entries, std::string_view name) {
  return std::ranges::find(entries, name, &DirectoryEntry::name) != entries.end();
}

// The index of the consolidated set names exactly its files.
void check_consolidated_index(const std::string& path, const std::vector<std::string>& files, Findings& findings) {
  std::set<std::string> named;
  try {
    for (const auto& [tensor, file] : read_checkpoint_index(path)) named.insert(file);
  } catch (const Error& error) {
    if (error.fault != Fault::input) throw;
    findings.add(base_name(path), "{}", error.what());
    return;
  }
  for (const std::string& file : files)
    if (!named.contains(file)) findings.add(file, "is not named by {}", base_name(path));
  for (const std::string& file : named)
    if (std::ranges::find(files, file) == files.end())
      findings.add(base_name(path), "names {}, which is not there", file);
}

}  // namespace

// Older transformers refuse a shard that does not say so.
void metadata(const VerifyContext& context, Findings& findings) {
  for (const InputFile& file : context.output.checkpoint.files()) {
    const std::string format = metadata_format(file);
    if (format != "pt")
      findings.add(base_name(file.path()), "__metadata__ says format \"{}\", expected \"pt\"", format);
  }
}

// What an interrupted run or download leaves behind.
void leftovers(const VerifyContext& context, Findings& findings) {
  static constexpr auto endings = std::to_array<std::string_view>({".partial", ".tmp", ".incomplete", ".work"});
  for (const DirectoryEntry& entry : list_directory(context.output.checkpoint.directory())) {
    bool leftover = entry.name.starts_with(".strata-");
    for (const std::string_view ending : endings) leftover = leftover || entry.name.ends_with(ending);
    if (leftover) findings.add(entry.name, "is a leftover of an unfinished run; remove it or write the output again");
  }
}

// vLLM reads every safetensors file of the folder, but those that an index does not name.
void orphan_files(const VerifyContext& context, Findings& findings) {
  const Checkpoint& output = context.output.checkpoint;
  std::set<std::string> shards;
  for (const InputFile& file : output.files()) shards.insert(base_name(file.path()));
  for (const DirectoryEntry& entry : list_directory(output.directory())) {
    if (!entry.name.ends_with(".safetensors") || entry.name.starts_with("consolidated")) continue;
    if (shards.contains(entry.name)) continue;
    if (output.has_index())
      findings.note(entry.name, "belongs to no part of the model; {} does not name it", index_name);
    else
      findings.add(entry.name, "belongs to no part of the model, but vLLM would read it; remove it or write an index");
  }
}

// Mistral's own layout beside the Hugging Face one: without the index vLLM would load both.
void consolidated(const VerifyContext& context, Findings& findings) {
  const Checkpoint& output = context.output.checkpoint;
  const std::vector<DirectoryEntry> entries = list_directory(output.directory());
  const std::vector<std::string> files = consolidated_files(entries);
  const std::string own_index = "consolidated.safetensors.index.json";
  const bool has_index = has_file(entries, own_index);
  if (files.empty() && has_index) findings.add(own_index, "stands without any consolidated*.safetensors");
  if (files.empty()) return;
  if (!output.has_index())
    findings.add(files.front(), "stands beside the model without a {}; vLLM would load both", index_name);
  if (!has_file(entries, "params.json"))
    findings.add(files.front(), "stands without params.json, which describes the consolidated layout");
  if (files.size() > 1 && !has_index)
    findings.add(files.front(), "is one of {} files without a {}", files.size(), own_index);
  if (has_index) check_consolidated_index(join_path(output.directory(), own_index), files, findings);
}

void index_total(const VerifyContext& context, Findings& findings) {
  const Checkpoint& output = context.output.checkpoint;
  if (!output.has_index()) return;
  const std::string name(index_name);
  try {
    const Config index = Config::load(join_path(output.directory(), name));
    const std::int64_t total = index.section("metadata").integer("total_size");
    if (total < 0 || static_cast<std::uint64_t>(total) != output.total_bytes())
      findings.add(name, "metadata.total_size is {}, the tensors have {} bytes", total, output.total_bytes());
  } catch (const Error& error) {
    if (error.fault != Fault::input) throw;
    findings.add(name, "{}", error.what());
  }
}

// A loader that ties the head drops one of two different copies. (A head that is missing although config.json
// does not tie it is refused when the model is described.)
void tied_head(const VerifyContext& context, Findings& findings) {
  const Checkpoint& output = context.output.checkpoint;
  const ModelSpec& spec = context.output.spec;
  const Config& config = output.config();
  const char* const key = "tie_word_embeddings";
  const Config owner = config.has(key) ? config : text_config(config);
  if (!owner.has(key) || !owner.boolean(key)) return;
  const TensorInfo* const head = output.find(spec.head.module + ".weight");
  const TensorInfo* const embedding = output.find(spec.embedding);
  if (const NumberFormat* format = context.format(spec.head))
    findings.add(spec.head.module, "config.json says {} true, but the head is stored as {}", key, format->name);
  if (head == nullptr || embedding == nullptr || head == embedding) return;
  if (head->dtype != embedding->dtype || head->shape != embedding->shape) {
    findings.add(head->name, "config.json says {} true, but it is {} {} and {} is {} {}", key, dtype_name(head->dtype),
                 shape_text(head->shape), embedding->name, dtype_name(embedding->dtype), shape_text(embedding->shape));
    return;
  }
  std::vector<std::byte> other;
  read_pieces(output, *head, context.stop, [&](std::span<const std::byte> piece, std::uint64_t at) {
    other.resize(piece.size());
    output.read(*embedding, other, at);
    if (std::ranges::equal(piece, other)) return true;
    findings.add(head->name, "config.json says {} true, but its bytes differ from those of {}", key, embedding->name);
    return false;
  });
}

}  // namespace strata::rule
