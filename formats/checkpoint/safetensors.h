// The safetensors container: 8 bytes of header length, a JSON header, tightly packed tensor bytes.
// Parses and prints headers; no I/O here. docs/output-format.md restates the rules.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor.h"

namespace strata {

inline constexpr std::uint64_t max_safetensors_header = 100'000'000;  // bytes, as in the reference parser

// Total function: a valid header gives its tensors in file order with absolute offsets (TensorInfo::file
// is left 0), anything else is Error{input} naming `path`, the tensor and both numbers. `prefix` is the
// first 8 bytes of the file and `header` the JSON after it; `file_bytes` is the size of the whole file.
std::vector<TensorInfo> parse_safetensors(std::span<const std::byte, 8> prefix, std::string_view header,
                                          std::uint64_t file_bytes, std::string_view path);

// The header length that the first 8 bytes announce, checked against the file's size. A Git LFS pointer
// and a file that is too short are told apart in the message.
std::uint64_t safetensors_header_bytes(std::span<const std::byte> first_bytes, std::uint64_t file_bytes,
                                       std::string_view path);

// Length prefix, JSON with {"format":"pt"} metadata and who wrote it, spaces up to a multiple of 8. The tensors'
// offsets are ignored and assigned: they are laid out in the order given.
std::string print_safetensors(std::span<const TensorInfo> tensors, std::string_view writer = {});

}  // namespace strata
