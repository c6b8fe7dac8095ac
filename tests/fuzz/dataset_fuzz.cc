// The input is a .jsonl and a .json, and the same bytes are a plain text. Chats end where their renderer is missing.
#include <cstdint>

#include "formats/text/documents.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  const fuzz::MemoryFile file(data, size);
  for (const DatasetPart part : {DatasetPart::all, DatasetPart::first, DatasetPart::second}) {
    const DatasetOptions options{
        .file = file.path(), .model_directory = "/nowhere", .part = part, .chat_renderer = "/nowhere"};
    for (const DocumentFile kind : {DocumentFile::lines, DocumentFile::json})
      fuzz::try_input([&] {
        JsonDocuments documents(options, kind);
        for (std::size_t i = 0; i < documents.size(); ++i) fuzz::try_input([&] { (void)documents.text(i); });
      });
    fuzz::try_input([&] { (void)read_plain_text(options, 10); });
    fuzz::try_input([&] { (void)read_plain_text(options, {}); });
  }
  return 0;
}
