// What vLLM does not take of a model, whatever its number formats are.
#pragma once

#include <string>

#include "formats/config/config.h"
#include "profiles/model_spec.h"

namespace strata {

// Why vLLM does not serve a model with this config.json, and the way out; empty when it does. Error{input} for a
// model_type that is not known.
std::string vllm_model_refusal(const Config& config, const ModelSpec& spec);

}  // namespace strata
