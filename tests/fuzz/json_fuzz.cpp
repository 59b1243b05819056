// SPDX-License-Identifier: MIT
// F7: any bytes as JSON, with nlohmann's parser as the oracle: what is accepted has the value that nlohmann
// finds, and what nlohmann accepts is refused only for a reason of ours (key twice, depth, size, lone
// surrogate, mark).
#include <string>

#include "stofm/io/json.hpp"
#include "tests/fuzz/fuzz_target.hpp"

using namespace stofm;
using namespace stofm::io;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  std::string code;
  nlohmann::json ours;
  const bool accepted = fuzz::accepts([&] {
    try {
      ours = parse_json(text, "fuzz");
    } catch (const Error& error) {
      code = error.code();
      throw;
    }
  });
  if (accepted) {
    const nlohmann::json theirs = nlohmann::json::parse(text, nullptr, false);
    if (theirs.is_discarded()) fuzz::finding("accepted what nlohmann refuses");
    if (ours != theirs) fuzz::finding("another value than nlohmann's");
    if (parse_json(ours.dump(), "fuzz") != ours) fuzz::finding("a value does not survive");
  } else if (code == "STOFM-3201" && text.find('\0') == std::string_view::npos) {
    // A syntax error to us must be one to nlohmann. (It takes a NUL for the end of the text.)
    std::int64_t depth = 0, deepest = 0;
    for (const char c : text) {
      depth += c == '[' || c == '{' ? 1 : 0;
      deepest = depth > deepest ? depth : deepest;
    }
    if (deepest < 1000 && nlohmann::json::accept(text)) fuzz::finding("refused what nlohmann accepts");
  }
  return 0;
}
