// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the fuzz targets share. A target accepts an input or refuses it with a stofm::Error of exit code 3 or
/// 4 that names the file and says what to do; anything else (a crash, another exception, an unbounded time)
/// is a finding.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "stofm/core/error.hpp"

namespace stofm::fuzz {

/// Ends the process: libFuzzer then stores the input.
[[noreturn]] inline void finding(const char* what) {
  std::fprintf(stderr, "finding: %s\n", what);
  std::abort();
}

/// The bytes as text.
inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Runs `parse`; a refusal must keep the error contract. Returns whether the input was accepted.
template <class Parse>
bool accepts(Parse&& parse) {
  try {
    parse();
    return true;
  } catch (const Error& error) {
    const std::string_view text = error.what();
    if (error.exit_code() != 3 && error.exit_code() != 4)
      finding("a refusal with another exit code than 3 or 4");
    if (error.code().substr(0, 6) != "STOFM-" || error.file() != "fuzz" || error.remedy().empty())
      finding("a refusal without code, file or remedy");
    if (text.size() > 2000 || text.find('\n') != std::string_view::npos)
      finding("a refusal longer than a line");
    for (const char c : text)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) finding("a control character in a refusal");
  }
  return false;
}

}  // namespace stofm::fuzz
