// A Hugging Face model folder: its config, its tensors over all shards, its other files.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "formats/config/config.h"
#include "formats/tensor.h"

namespace strata {

// Opened once, checked whole: every header is valid, the index and the shards agree, no tensor stands
// twice, no link leaves the folder (but for the blobs/ of the Hugging Face cache). Any violation is
// Error{input} with file, tensor and both numbers. Thread-safe to read.
class Checkpoint {
 public:
  static Checkpoint open(const std::string& directory);

  const std::string& directory() const { return directory_; }
  const Config& config() const { return config_; }
  const std::string& config_text() const { return config_text_; }      // config.json byte for byte
  std::span<const TensorInfo> tensors() const { return tensors_; }     // sorted by name
  std::span<const InputFile> files() const { return files_; }          // the shards; TensorInfo::file indexes it
  std::span<const std::string> sidecars() const { return sidecars_; }  // paths of the side files to copy along
  bool has_index() const { return has_index_; }

  const TensorInfo* find(std::string_view name) const&;  // nullptr when there is none
  const TensorInfo* find(std::string_view name) && = delete;
  const TensorInfo& at(std::string_view name) const&;  // Error{input} naming the tensor and the folder
  const TensorInfo& at(std::string_view name) && = delete;

  // Bytes of a tensor, or of a part of it that starts `skip` bytes in.
  void read(const TensorInfo& tensor, std::span<std::byte> out, std::uint64_t skip = 0) const;
  void drop(const TensorInfo& tensor) const;  // will not be read again

  std::uint64_t total_bytes() const;  // of all tensors
  // Where messages say a tensor stands: "model-00001-of-00003.safetensors: tensor model.norm.weight".
  std::string describe(const TensorInfo& tensor) const;

 private:
  Checkpoint(std::string directory, std::string config_text, Config config);
  std::string directory_;
  std::string config_text_;
  Config config_;
  std::vector<InputFile> files_;
  std::vector<TensorInfo> tensors_;  // sorted by name
  std::vector<std::string> sidecars_;
  bool has_index_ = false;
};

}  // namespace strata
