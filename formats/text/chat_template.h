// Chats to text, with the chat template of the model. Templates are Jinja programs, which a small Python
// script renders (scripts/render_chat.py, with the jinja2 package); nothing else in Strata needs Python.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace strata {

struct ChatSource {
  std::string file;             // objects with `messages` (and optionally `tools`), one a line
  bool array = false;           // they are the elements of one JSON array instead
  std::string model_directory;  // where the chat template is looked for, as transformers does (docs/tokenizer.md)
  std::string renderer;         // path of render_chat.py; empty: beside the program
  std::map<std::string, std::string> special_tokens;  // "bos_token" and the like, which templates may use
};

// The text of every object that has `messages` and no `text`, by the number of its line or element, from 1. Equal to
// transformers' apply_chat_template(tokenize=False). Error{input} says which one failed, or what to install.
std::map<std::int64_t, std::string> render_chats(const ChatSource& source);

}  // namespace strata
