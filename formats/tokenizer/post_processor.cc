#include "formats/tokenizer/post_processor.h"

#include "base/error.h"

namespace strata::tokenizer {
namespace {

PostProcessor parse_template(const JsonPart& part) {
  part.allow_only({"type", "single", "pair", "special_tokens"});
  PostProcessor result;
  bool text_seen = false;
  for (const JsonPart& piece : part.at("single").items()) {
    piece.allow_only({"Sequence", "SpecialToken"});
    if (piece.find("Sequence")) {
      if (text_seen || piece.at("Sequence").text("id") != "A")
        fail(Fault::input, "{}: only one sequence, A, is supported in a template for one text", piece.where());
      text_seen = true;
      continue;
    }
    const JsonPart tokens = part.at("special_tokens").at(piece.at("SpecialToken").text("id"));
    for (const JsonPart& id : tokens.at("ids").items()) (text_seen ? result.after : result.before).push_back(id.id());
  }
  if (!text_seen) fail(Fault::input, "{}: the template for one text lacks sequence A", part.where());
  return result;
}

}  // namespace

PostProcessor PostProcessor::parse(const JsonPart& part) {
  const std::string_view type = part.text("type");
  if (type == "TemplateProcessing") return parse_template(part);
  if (type == "ByteLevel") {
    part.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return {};
  }
  if (type != "Sequence")
    fail(Fault::input, "{}: post-processor {} is not supported; pass token ids in a .safetensors file instead",
         part.where(), type);
  part.allow_only({"type", "processors"});
  PostProcessor result;
  bool template_seen = false;
  for (const JsonPart& item : part.at("processors").items()) {
    if (item.text("type") == "ByteLevel") continue;
    if (template_seen) fail(Fault::input, "{}: a second template is not supported", item.where());
    template_seen = true;
    result = parse(item);
  }
  return result;
}

}  // namespace strata::tokenizer
