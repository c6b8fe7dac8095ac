// What an output carries along from a model's folder, what it leaves out, and what is too much.
#include "formats/checkpoint/side_files.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using test::thrown_by;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

struct Model : test::TemporaryFolder {
  void add(const std::string& name, std::string_view text = "x") const {
    make_directory(parent_directory(file(name)));
    write_text(file(name), text);
  }
  Names copied() const { return list_side_files(path()).copied; }
  Names left_out() const {
    Names names;
    for (const LeftOut& left_out : list_side_files(path()).left_out) names.push_back(left_out.name);
    return names;
  }
};

}  // namespace

TEST_CASE("the sub-folders that loaders read are copied with all that is in them") {
  const Model model;
  model.add("config.json");
  model.add("tokenizer.json");
  model.add("additional_chat_templates/tool_use.jinja");
  model.add("additional_chat_templates/deep/rag.jinja");
  model.add("additional_chat_templates/.git/config");
  model.add("additional_chat_templates/rag.jinja.incomplete");
  model.add("modules.json",
            R"([{"path": ""}, {"path": "1_Pooling", "type": "x.Pooling"}, {"path": "2_Dense"}, {}, 7])");
  model.add("1_Pooling/config.json");
  model.add("2_Dense/model.safetensors");  // a layer of the embedding model, which no format covers
  CHECK(model.copied() == Names{"1_Pooling/config.json", "2_Dense/model.safetensors",
                                "additional_chat_templates/deep/rag.jinja", "additional_chat_templates/tool_use.jinja",
                                "modules.json", "tokenizer.json"});
  CHECK(model.left_out().empty());
}

TEST_CASE("other sub-folders are left out, by name, hidden ones without a word") {
  const Model model;
  for (const char* name : {"original/params.json", "figures/a.png", "onnx/model.onnx", "runs/x", ".git/config",
                           ".cache/huggingface/x", "1_Pooling/config.json"})
    model.add(name);
  CHECK(model.copied().empty());
  const std::vector<LeftOut> left_out = list_side_files(model.path()).left_out;
  REQUIRE(left_out.size() == 1);
  CHECK(left_out[0].name == "1_Pooling/, figures/, onnx/ and 2 more");
  CHECK_THAT(left_out[0].why, ContainsSubstring("no loader reads"));
}

TEST_CASE("what loaders would trip over is left out, and the reason is told") {
  const Model model;
  const Names traps = {"adapter_config.json", "hf_quant_config.json",         "params.json",
                       "quant_config.json",   "quant_model_description.json", "quantization_config.json",
                       "quantize_config.json"};
  for (const std::string& name : traps) model.add(name);
  for (const char* name : {"generation_config.json", "preprocessor_config.json", "special_tokens_map.json"})
    model.add(name);
  CHECK(model.copied() == Names{"generation_config.json", "preprocessor_config.json", "special_tokens_map.json"});
  CHECK(model.left_out() == traps);
  CHECK_THAT(list_side_files(model.path()).left_out[0].why, ContainsSubstring("peft") && ContainsSubstring("fail"));
}

TEST_CASE("weights in other layouts are left out, by name; the model's own are not mentioned") {
  const Model model;
  for (const char* name : {"model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json",
                           "model.safetensors.incomplete", ".hidden.bin"})
    model.add(name);
  CHECK(model.left_out().empty());
  for (const char* name : {"adapter_model.safetensors", "consolidated.safetensors", "pytorch_model.bin",
                           "pytorch_model.bin.index.json", "x.gguf"})
    model.add(name);
  CHECK(model.copied().empty());
  CHECK(model.left_out() == Names{"adapter_model.safetensors, consolidated.safetensors, pytorch_model.bin and 2 more"});
}

TEST_CASE("no link of a sub-folder leads out of the model, and none to a folder") {
  const Model model;
  const test::TemporaryFolder outside;
  write_text(outside.file("secret"), "x");
  model.add("tokenizer.json");
  model.add("additional_chat_templates/a.jinja");
  const std::string link = model.file("additional_chat_templates/b.jinja");
  fs::create_symlink("../tokenizer.json", link);
  CHECK(model.copied().size() == 3);
  fs::remove(link);
  fs::create_symlink(outside.file("secret"), link);
  CHECK_THAT(thrown_by([&] { model.copied(); }).what(), ContainsSubstring("b.jinja: is a link that leaves the folder"));
  fs::remove(link);
  fs::create_directory_symlink(".", link);
  CHECK_THAT(thrown_by([&] { model.copied(); }).what(), ContainsSubstring("b.jinja: is a link to a folder"));
  fs::remove(link);
  fs::rename(model.file("additional_chat_templates"), model.file("templates"));
  fs::create_directory_symlink("templates", model.file("additional_chat_templates"));
  CHECK_THAT(thrown_by([&] { model.copied(); }).what(), ContainsSubstring("templates: is a link to a folder"));
  fs::remove(model.file("additional_chat_templates"));
  model.add("modules.json", R"([{"path": "../outside"}, {"path": "/etc"}, {"path": "."}, {"path": ".."}])");
  CHECK(model.copied() == Names{"modules.json", "tokenizer.json"});
}

TEST_CASE("a sub-folder that is too deep or too large is refused with both numbers") {
  const Model model;
  std::string deep = "additional_chat_templates";
  for (int i = 0; i < 7; ++i) deep += "/d";
  model.add(deep + "/a.jinja");
  CHECK(model.copied().size() == 1);
  model.add(deep + "/d/a.jinja");
  const Error error = thrown_by([&] { model.copied(); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), ContainsSubstring("9 folders deep, more than 8"));
  fs::remove_all(model.file(deep + "/d"));
  fs::resize_file(model.file(deep + "/a.jinja"), (1u << 30) + 1);  // a hole: takes no room
  CHECK_THAT(thrown_by([&] { model.copied(); }).what(), ContainsSubstring("more than 1.00 GiB"));
}
