// What stands in a model folder beside weights and config.json: what an output carries along and what it leaves out.
// Looks at names, sizes and links, and into modules.json.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint/model_folder.h"

namespace strata {

struct LeftOut {
  std::string name;  // of a file or folder, or of the first of several
  std::string why;   // and what a loader would do with it
};

struct SideFiles {
  std::vector<std::string> copied;  // sorted paths in the folder: "tokenizer.json", "additional_chat_templates/a.jinja"
  std::vector<LeftOut> left_out;    // for the user to know: not hidden files, nor what downloads and runs leave behind
};

// The regular files of the folder and of the sub-folders that loaders read. Weights in any layout and what describes
// the source's own quantization stay behind, and so does what a loader would take for something that an output is not.
// Error{input} when a link leads out of the folder, or when a sub-folder is deeper, fuller or larger than side files
// are.
SideFiles list_side_files(const ModelFolder& folder);
inline SideFiles list_side_files(const std::string& directory) { return list_side_files(ModelFolder(directory)); }

// What a loader would do with a file of this name beside an output that Strata writes; empty for all others.
std::string_view misleads(std::string_view name);

// The names of the sub-folders that loaders read and outputs carry along: additional_chat_templates, and what
// modules.json names (pooling and the like).
std::vector<std::string> side_folders(const ModelFolder& folder);

}  // namespace strata
