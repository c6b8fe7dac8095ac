#include "engine/sink.h"

#include "base/error.h"
#include "engine/output_folder.h"

namespace strata {
namespace {

std::vector<std::string> sidecar_names(const OutputPlan& plan) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : plan.sidecars) names.push_back(name);
  return names;
}

}  // namespace

ShardSink::ShardSink(const OutputPlan& plan, const std::string& output)
    : plan_(plan), output_(output), folder_(partial_folder(output)), lock_(claim_partial_folder(folder_, sidecar_names(plan))) {
  try {
    for (const Shard& shard : plan.layout.shards) {
      shards_.emplace_back(join_path(folder_, shard.file), shard.bytes);
      shards_.back().write_at(0, std::as_bytes(std::span(shard.header)));
    }
  } catch (const Error&) {
    discard();  // a constructor that throws has no destructor to do it
    throw;
  }
}

ShardSink::~ShardSink() {
  if (!published_) discard();
}

void ShardSink::discard() {
  try {
    remove_tree(folder_);
  } catch (const Error&) {
    // Already unwinding from the error that matters; the folder's name says that it is partial.
  }
}

void ShardSink::write(std::string_view tensor, std::span<const std::byte> bytes) {
  const auto slot = plan_.slots.find(std::string(tensor));
  if (slot == plan_.slots.end()) fail(Fault::bug, "{}: is not part of the planned output", tensor);
  if (slot->second.bytes != bytes.size())
    fail(Fault::bug, "{}: has {} bytes but {} are planned", tensor, bytes.size(), slot->second.bytes);
  if (!seen_.insert(slot->first).second) fail(Fault::bug, "{}: is written twice", tensor);
  shards_.at(static_cast<std::size_t>(slot->second.file)).write_at(slot->second.offset, bytes);
  written_ += bytes.size();
}

void ShardSink::publish(const Checkpoint& source, bool replace) {
  for (const auto& [name, slot] : plan_.slots)
    if (!seen_.contains(name)) fail(Fault::bug, "{}: was planned but never written", name);
  for (OutputFile& shard : shards_) shard.sync();
  shards_.clear();
  for (const auto& [name, bytes] : plan_.sidecars)
    copy_file(join_path(source.directory(), name), join_path(folder_, name));
  if (!plan_.layout.index_json.empty())
    write_text(join_path(folder_, "model.safetensors.index.json"), plan_.layout.index_json);
  write_text(join_path(folder_, "config.json"), plan_.config_json);
  sync_directory(folder_);

  if (replace && exists(output_)) {
    exchange_paths(folder_, output_);
    published_ = true;
    remove_tree(folder_);  // now the old output
  } else {
    rename_path(folder_, output_);
    published_ = true;
  }
  sync_directory(parent_directory(output_));
}

}  // namespace strata
