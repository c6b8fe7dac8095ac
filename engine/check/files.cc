// Rules about the folder: what must not lie there, and whether its parts fit together.
#include <algorithm>
#include <array>
#include <set>

#include "engine/check/rules.h"
#include "engine/plan/tied_head.h"
#include "formats/checkpoint/checkpoint_index.h"
#include "formats/checkpoint/side_files.h"

namespace strata::rule {
namespace {

constexpr std::string_view index_name = "model.safetensors.index.json";

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
  const std::span<const InputFile> files = context.output.checkpoint.files();
  for (std::size_t i = 0; i < files.size(); ++i)
    if (const std::string& format = context.shard_formats[i]; format != "pt")
      findings.add(base_name(files[i].path()), "__metadata__ says format \"{}\", expected \"pt\"", format);
}

// What an interrupted run or download leaves behind, and what only the source may hold.
void leftovers(const VerifyContext& context, Findings& findings) {
  static constexpr auto endings = std::to_array<std::string_view>({".partial", ".tmp", ".incomplete", ".work"});
  const std::vector<DirectoryEntry> entries = list_directory(context.output.checkpoint.directory());
  // A whole set in Mistral's own layout is for the rule `consolidated`.
  const bool mistral =
      std::ranges::any_of(entries, [](const auto& entry) { return entry.name.starts_with("consolidated"); });
  for (const DirectoryEntry& entry : entries) {
    bool leftover = entry.name.starts_with(".strata-");
    for (const std::string_view ending : endings) leftover = leftover || entry.name.ends_with(ending);
    if (leftover) findings.add(entry.name, "is a leftover of an unfinished run; remove it or write the output again");
    if (const std::string_view why = misleads(entry.name);
        context.ours && !why.empty() && !(mistral && entry.name == "params.json"))
      findings.add(entry.name, "{}; remove it", why);
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
      findings.judge(context.ours, name, "metadata.total_size is {}, the tensors have {} bytes", total,
                     output.total_bytes());
  } catch (const Error& error) {
    if (error.fault != Fault::input) throw;
    findings.add(name, "{}", error.what());
  }
}

// A loader that ties the head drops one of two different copies. (A head that is missing although config.json
// does not tie it is refused when the model is described.)
void tied_head(const VerifyContext& context, Findings& findings) {
  const Checkpoint& output = context.output.checkpoint;
  const ModelSpec& spec = *context.output.spec;
  if (!config_ties_head(output.config()) || spec.tied) return;
  const std::string& head = spec.head.module;
  if (const NumberFormat* format = context.format(spec.head)) {
    findings.add(head, "config.json says tie_word_embeddings true, but the head is stored as {}", format->name);
    return;
  }
  const TensorInfo* const stored = output.find(head + ".weight");
  const TensorInfo* const embedding = output.find(spec.embedding);
  if (stored == nullptr || embedding == nullptr) return;  // `claims` says so
  if (!same_tensor({output, *stored}, {output, *embedding}, context.stop))
    findings.add(
        stored->name,
        "config.json says tie_word_embeddings true, but {} {} {} is not {} {} {}: vLLM would use the embedding "
        "for both",
        head, dtype_name(stored->dtype), shape_text(stored->shape), embedding->name, dtype_name(embedding->dtype),
        shape_text(embedding->shape));
}

}  // namespace strata::rule
