#include "engine/rounding/rounding.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"

namespace strata {

void encode_member(const NumberFormat& format, const EncodeContext& context, const GroupMember& member) {
  try {
    format.encode(member.weight, context, member.out);
  } catch (const Error& error) {  // the formats layer says what is wrong, and knows no names
    if (error.fault != Fault::input) throw;
    fail(error.fault, "{}: {}", member.module, error.what());
  }
}

const RoundingMethod& require_rounding_method(std::string_view name) {
  std::vector<std::string> names;
  for (const RoundingMethod* method : rounding_methods()) {
    if (method->name == name) return *method;
    names.emplace_back(method->name);
  }
  fail(Fault::usage, "--method {}: is not a rounding method{}", name, suggest(name, names));
}

}  // namespace strata
