// The post-processors of tokenizer.json: which special tokens stand around a text.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/tokenizer/json_part.h"

namespace strata::tokenizer {

struct PostProcessor {
  std::vector<std::int32_t> before, after;

  // TemplateProcessing, ByteLevel (which moves offsets only) and a Sequence of them.
  static PostProcessor parse(const JsonPart& part);
};

}  // namespace strata::tokenizer
