// Rules about the folder: what must not lie there, and whether all parts of the model do.
#include <algorithm>
#include <array>

#include "engine/verify_rules.h"
#include "profiles/claims.h"

namespace strata::rule {

// What an interrupted run or download leaves behind.
void leftovers(const VerifyContext& context, Findings& findings) {
  static constexpr auto endings = std::to_array<std::string_view>({".partial", ".tmp", ".incomplete", ".work"});
  for (const DirectoryEntry& entry : list_directory(context.output.checkpoint.directory())) {
    bool leftover = entry.name.starts_with(".strata-");
    for (const std::string_view ending : endings) leftover = leftover || entry.name.ends_with(ending);
    if (leftover) findings.add(entry.name, "is a leftover of an unfinished run; remove it or write the output again");
  }
}

void index_total(const VerifyContext& context, Findings& findings) {
  const Checkpoint& output = context.output.checkpoint;
  if (!output.has_index()) return;
  const std::string name = "model.safetensors.index.json";
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

void claims(const VerifyContext& context, Findings& findings) {
  const OpenModel& output = context.output;
  for (const std::string& problem : claim_problems(
           output.spec, output.checkpoint, [&](std::string_view module) { return output.stored_format(module); })) {
    // "FILE: tensor NAME: what" or "tensor NAME SHAPE is missing"
    const std::string_view text = problem;
    const auto name = text.find("tensor ") == std::string_view::npos ? 0 : text.find("tensor ") + 7;
    const auto end = std::min(text.find(' ', name), text.find(": ", name));
    const std::string subject(text.substr(name, end == std::string_view::npos ? end : end - name));
    const bool described = end != std::string_view::npos && text.substr(end).starts_with(": ");
    findings.add(subject, "{}", described ? text.substr(end + 2) : text);
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
  if (!owner.has(key)) return;
  const TensorInfo* const head = output.find(spec.head.module + ".weight");
  const TensorInfo* const embedding = output.find(spec.embedding);
  if (!owner.boolean(key)) return;
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
