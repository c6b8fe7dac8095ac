// What a model's folder says about text and is not followed, for the user to know.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace strata {

// Subject and text of each; none where the data set is a file of token ids. Error{input} when tokenizer.json is broken.
std::vector<std::pair<std::string, std::string>> text_notices(const std::string& model_directory,
                                                              const std::string& dataset);

}  // namespace strata
