// What tells one source from another without reading it whole, for fingerprints.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/input_file.h"
#include "formats/checkpoint/checkpoint.h"

namespace strata {

// "1234 bytes, modified 1700000000000000000, header 1a2b..., sample 3c4d...": size, time in nanoseconds since 1970,
// XXH3-128 of the safetensors header, and of 16 pieces of 4 KiB spread over the tensor data (all of it when it is
// smaller), since two finetunes of one base have equal headers and sizes. Error{input} or Error{io} when the file
// cannot be read.
std::string shard_identity(const InputFile& shard);

// XXH3-128 of every byte, for small files. Errors as above.
std::string content_hash(const InputFile& file);

// (name, identity) of each shard of the checkpoint, in its order.
std::vector<std::pair<std::string, std::string>> source_identities(const Checkpoint& checkpoint);
std::string identity_of(const Checkpoint& checkpoint);  // a hash of all of it

}  // namespace strata
