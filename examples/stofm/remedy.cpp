// SPDX-License-Identifier: MIT
#include "remedy.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

namespace stofm::program {
namespace {

constexpr const char* nothing_fits = "No option of this verb changes that.";

bool in_name(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

/// True if a word "--name" of `text` is not among `options`.
bool names_another(std::string_view text, const std::vector<std::string>& options) {
  for (std::size_t at = text.find("--"); at != text.npos; at = text.find("--", at)) {
    std::size_t end = at + 2;
    while (end < text.size() && in_name(text[end])) ++end;
    const bool word = (at == 0 || !std::isalnum(static_cast<unsigned char>(text[at - 1]))) && end > at + 2;
    if (word && std::find(options.begin(), options.end(), text.substr(at, end - at)) == options.end())
      return true;
    at = end;
  }
  return false;
}

/// Cuts `text` behind each of `ends`, which stay with what comes before.
std::vector<std::string> cut_behind(const std::string& text, std::initializer_list<std::string_view> ends) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t next = text.size();
    for (const std::string_view end : ends) {
      const std::size_t at = text.find(end, begin);
      if (at != std::string::npos) next = std::min(next, at + end.size());
    }
    parts.push_back(text.substr(begin, next - begin));
    begin = next;
  }
  return parts;
}

/// "A, B, or C." -> "A", "B", "C"
std::vector<std::string> alternatives_of(std::string sentence) {
  while (!sentence.empty() && (sentence.back() == ' ' || sentence.back() == '.')) sentence.pop_back();
  std::vector<std::string> parts = cut_behind(sentence, {", or ", "; or ", " or ", ", ", "; "});
  for (std::size_t i = 0; i + 1 < parts.size(); ++i)
    for (const std::string_view end : {", or ", "; or ", " or ", ", ", "; "})
      if (parts[i].ends_with(end)) {
        parts[i].resize(parts[i].size() - end.size());
        break;
      }
  for (std::string& part : parts)
    if (part.starts_with("or ")) part.erase(0, 3);
  return parts;
}

}  // namespace

std::string fitting_remedy(const std::string& text, const std::vector<std::string>& options) {
  if (options.empty() || !names_another(text, options)) return text;
  std::string fitting;
  for (const std::string& sentence : cut_behind(text, {". ", "? "})) {
    const bool others =
        sentence.find(".py") != std::string::npos || sentence.find("onvert") != std::string::npos;
    if (others || !names_another(sentence, options)) {
      fitting += sentence;
      continue;
    }
    std::vector<std::string> kept = alternatives_of(sentence);
    std::erase_if(kept, [&](const std::string& part) { return names_another(part, options); });
    if (kept.empty()) continue;
    std::string joined;
    for (std::size_t i = 0; i < kept.size(); ++i)
      joined += (i == 0 ? "" : i + 1 < kept.size() ? ", " : " or ") + kept[i];
    joined[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(joined[0])));
    fitting += joined + (sentence.ends_with(' ') ? ". " : ".");
  }
  while (!fitting.empty() && fitting.back() == ' ') fitting.pop_back();
  return fitting.empty() ? nothing_fits : fitting;
}

std::string fitting_note(const std::string& text, const std::vector<std::string>& options) {
  const std::size_t end = std::min(text.find(". "), text.find("; "));
  if (options.empty() || end == std::string::npos || !names_another(text.substr(end), options)) return text;
  const std::string advice = fitting_remedy(text.substr(end + 2), options);
  return text.substr(0, end) + (advice == nothing_fits ? "" : ". " + advice);
}

}  // namespace stofm::program
