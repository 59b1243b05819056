// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The gene vocabulary (Ensembl id, symbol, token id, non-zero median) and the mouse-to-human map, parsed
/// from the two texts that a bundle carries. Token ids: 0 is <pad>, 1 is <mask>, genes are 2, 3, ... without
/// a gap, and <cls> is the id after the last gene. *Source* SPEC section 1; the Geneformer V1 dictionaries.

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/error.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/parse_double.hpp"

namespace stofm::pipeline {

inline constexpr std::int32_t pad_token = 0;
inline constexpr std::int32_t mask_token = 1;
inline constexpr std::int32_t first_gene_token = 2;

/// The vocabulary. Row r of the table is gene r; its token id is `tokens[r]`.
struct GeneTable {
  std::vector<std::string> ensembl_ids;  ///< [genes], unique
  std::vector<std::string> symbols;      ///< [genes], may be empty strings
  std::vector<std::int32_t> tokens;      ///< [genes], a permutation of 2 .. genes + 1
  std::vector<double> medians;           ///< [genes], finite and > 0
  std::vector<std::uint8_t> learnt{};  ///< [genes], 1: its vector was learnt; empty: the bundle does not say
  std::int32_t cls_token = first_gene_token;
  std::unordered_map<std::string, std::int32_t> row_of_id;
  std::unordered_map<std::string, std::int32_t> row_of_symbol;  ///< -1: the symbol stands in several rows
  std::unordered_map<std::string, std::int32_t>
      row_of_upper_symbol;  ///< by upper-cased symbol; -1: ambiguous

  std::int64_t genes() const { return static_cast<std::int64_t>(tokens.size()); }
  /// Rows a word embedding must have: genes + <pad>, <mask>, <cls>.
  std::int64_t vocabulary_size() const { return std::int64_t{cls_token} + 1; }

  /// Reads `ensembl_id<TAB>symbols<TAB>token<TAB>median` lines under that header. Rows <pad>, <mask>, <cls>
  /// may stand in the table too, then all three and with their ids. \p source names the text in messages.
  /// \throws FileError for a malformed line, a token id that is doubled, missing, negative or too large, a
  /// gene twice,
  ///   a median that is not a finite number > 0. *Cost* O(text).
  static GeneTable parse(std::string_view text, const std::string& source = "genes/table");

  /// Fills `learnt` from a text with one Ensembl id a line; an empty text leaves it empty.
  /// \throws FileError (STOFM-4114) for an id that is not in the table.
  void mark_learnt(std::string_view text, const std::string& source = "genes/learnt");
};

/// Mouse Ensembl id -> human Ensembl id. Several mouse ids may reach one human id.
struct MouseMap {
  std::unordered_map<std::string, std::string> human_of_mouse;
  Notices notices;  ///< many-to-one entries, targets outside the vocabulary (row J13)

  bool empty() const { return human_of_mouse.empty(); }
  /// Reads `mouse_ensembl_id<TAB>human_ensembl_id` lines under that header; an empty text gives an empty map.
  /// \throws FileError for a malformed line or one mouse id with two targets.
  static MouseMap parse(std::string_view text, const GeneTable& table,
                        const std::string& source = "genes/mouse_to_human");
};

/// ASCII upper case, whatever the locale.
inline std::string upper_case(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return result;
}

namespace detail {

/// Splits a text into lines of exactly N tab-separated fields.
template <std::size_t N>
class TableLines {
 public:
  TableLines(std::string_view text, const std::string& source) : text_(text), source_(source) {}

  /// The next line's fields; false at the end. A last empty line is no line.
  bool next(std::array<std::string_view, N>& fields) {
    if (position_ >= text_.size()) return false;
    ++line_;
    const std::size_t end = (std::min)(text_.find('\n', position_), text_.size());
    std::string_view rest = text_.substr(position_, end - position_);
    position_ = end + 1;
    if (!rest.empty() && rest.back() == '\r') rest.remove_suffix(1);
    const std::string_view whole = rest;
    for (std::size_t i = 0; i < N; ++i) {
      const std::size_t tab = rest.find('\t');
      if ((tab == std::string_view::npos) != (i + 1 == N))
        refuse("STOFM-4101", stofm::quoted(whole, 80), concat(N, " columns separated by tabs"),
               "Use the table that comes with the weights.");
      fields[i] = rest.substr(0, tab);
      rest = tab == std::string_view::npos ? std::string_view{} : rest.substr(tab + 1);
    }
    return true;
  }
  void require_header(const std::array<std::string_view, N>& names) {
    std::array<std::string_view, N> fields;
    if (!next(fields) || fields != names) {
      line_ = 1;
      std::string expected = "the header";
      for (const auto name : names) (expected += ' ') += name;
      refuse("STOFM-4102", stofm::quoted(text_.substr(0, (std::min)(text_.find('\n'), text_.size())), 80),
             expected, "Use the table that comes with the weights.");
    }
  }
  [[noreturn]] void refuse(const char* code, std::string found, std::string expected,
                           std::string remedy) const {
    throw FileError(
        {code, source_, concat("line ", line_), std::move(found), std::move(expected), std::move(remedy)});
  }
  std::int64_t line() const { return line_; }

 private:
  std::string_view text_;
  const std::string& source_;
  std::size_t position_ = 0;
  std::int64_t line_ = 0;
};

/// Adds key -> row, or marks the key as ambiguous.
inline void add_unique(std::unordered_map<std::string, std::int32_t>& rows, std::string key,
                       std::int32_t row) {
  const auto [entry, added] = rows.try_emplace(std::move(key), row);
  if (!added) entry->second = -1;
}

/// "a, b, c and 4 more".
inline std::string first_few(const std::vector<std::string>& names, std::int64_t count,
                             std::size_t shown = 5) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown; ++i)
    text += (i ? ", " : "") + stofm::quoted(names[i], 60);
  const auto listed = static_cast<std::int64_t>((std::min)(names.size(), shown));
  if (count > listed) text += concat(" and ", count - listed, " more");
  return text;
}

}  // namespace detail

#if STOFM_BODIES
STOFM_INLINE GeneTable GeneTable::parse(std::string_view text, const std::string& source) {
  detail::TableLines<4> lines(text, source);
  lines.require_header({"ensembl_id", "symbols", "token", "median"});
  GeneTable table;
  std::array<std::string_view, 4> f;
  std::unordered_map<std::int64_t, std::int64_t> line_of_token;
  std::unordered_map<std::string, std::int64_t> special;
  std::int64_t last = first_gene_token - 1;
  const char* const remedy = "Convert the vocabulary again, or use the table that comes with the weights.";
  while (lines.next(f)) {
    const std::string id(f[0]);
    if (id.empty()) lines.refuse("STOFM-4103", "an empty gene id", "an Ensembl id", remedy);
    std::int64_t token = 0;
    const auto parsed = std::from_chars(f[2].data(), f[2].data() + f[2].size(), token);
    if (parsed.ec != std::errc{} || parsed.ptr != f[2].data() + f[2].size() || token < 0 ||
        token >= INT32_MAX)
      lines.refuse("STOFM-4104", concat("token ", stofm::quoted(f[2], 40), " of ", stofm::quoted(id, 60)),
                   "an integer from 0 to 2^31 - 2", remedy);
    if (const auto [entry, added] = line_of_token.try_emplace(token, lines.line()); !added)
      lines.refuse(
          "STOFM-4105",
          concat("token ", token, " of ", stofm::quoted(id, 60), ", which line ", entry->second, " has too"),
          "every token id once", remedy);
    if (id == "<pad>" || id == "<mask>" || id == "<cls>") {
      special[id] = token;
      continue;
    }
    if (token < first_gene_token)
      lines.refuse("STOFM-4106", concat("token ", token, " of ", stofm::quoted(id, 60)),
                   "0 and 1 kept for <pad> and <mask>", remedy);
    double median = 0;
    const auto number = parse_double(f[3].data(), f[3].data() + f[3].size(), median);
    if (number.ec != std::errc{} || number.ptr != f[3].data() + f[3].size() || !std::isfinite(median) ||
        median <= 0)
      lines.refuse("STOFM-4107", concat("median ", stofm::quoted(f[3], 40), " of ", stofm::quoted(id, 60)),
                   "a finite number above 0", remedy);
    const auto row = static_cast<std::int32_t>(table.tokens.size());
    if (!table.row_of_id.try_emplace(id, row).second)
      lines.refuse("STOFM-4108", concat("gene ", stofm::quoted(id, 60), " a second time"), "every gene once",
                   remedy);
    if (!f[1].empty()) {
      detail::add_unique(table.row_of_symbol, std::string(f[1]), row);
      detail::add_unique(table.row_of_upper_symbol, upper_case(f[1]), row);
    }
    table.ensembl_ids.push_back(id);
    table.symbols.emplace_back(f[1]);
    table.tokens.push_back(static_cast<std::int32_t>(token));
    table.medians.push_back(median);
    last = (std::max)(last, token);
  }
  if (table.tokens.empty())
    throw FileError({"STOFM-4109", source, "table", "no gene", "at least one line under the header", remedy});
  if (last - first_gene_token + 1 != table.genes()) {  // ids are unique and >= 2, so a gap is the only way
    std::int64_t gap = first_gene_token;
    while (line_of_token.contains(gap)) ++gap;
    throw FileError(
        {"STOFM-4110", source, "token column",
         concat("no gene with token ", gap, " (", table.genes(), " genes, largest token ", last, ")"),
         "token ids 2, 3, ... without a gap", remedy});
  }
  table.cls_token = static_cast<std::int32_t>(last + 1);
  if (!special.empty())
    for (const auto& [name, expected] : {std::pair<std::string, std::int64_t>{"<pad>", pad_token},
                                         {"<mask>", mask_token},
                                         {"<cls>", last + 1}})
      if (const auto entry = special.find(name); entry == special.end() || entry->second != expected)
        throw FileError({"STOFM-4111", source, concat("token ", name),
                         entry == special.end() ? "no such row" : concat("token ", entry->second),
                         concat("token ", expected), remedy});
  return table;
}

STOFM_INLINE void GeneTable::mark_learnt(std::string_view text, const std::string& source) {
  learnt.assign(text.empty() ? 0 : tokens.size(), 0);
  detail::TableLines<1> lines(text, source);
  std::array<std::string_view, 1> id;
  while (lines.next(id)) {
    const auto row = row_of_id.find(std::string(id[0]));
    if (row == row_of_id.end())
      lines.refuse("STOFM-4114", concat("gene ", stofm::quoted(id[0], 60)),
                   "a gene of the table of this bundle", "Use the list that comes with the weights.");
    learnt[static_cast<std::size_t>(row->second)] = 1;
  }
}

STOFM_INLINE MouseMap MouseMap::parse(std::string_view text, const GeneTable& table,
                                      const std::string& source) {
  MouseMap map;
  if (text.empty()) return map;
  detail::TableLines<2> lines(text, source);
  lines.require_header({"mouse_ensembl_id", "human_ensembl_id"});
  std::array<std::string_view, 2> f;
  std::unordered_map<std::string_view, std::int64_t> sources_of;
  std::int64_t many = 0, unknown = 0;
  while (lines.next(f)) {
    if (f[0].empty() || f[1].empty())
      lines.refuse("STOFM-4112", "an empty gene id", "two Ensembl ids", "Mend or remove the line.");
    if (!map.human_of_mouse.try_emplace(std::string(f[0]), f[1]).second)
      lines.refuse("STOFM-4113", concat("gene ", stofm::quoted(f[0], 60), " a second time"),
                   "every mouse gene once", "Keep one of its lines.");
    if (++sources_of[f[1]] > 1) ++many;
    if (!table.row_of_id.contains(std::string(f[1]))) ++unknown;
  }
  if (many > 0)
    map.notices.push_back({"STOFM-W4101",
                           concat(many, " of ", map.human_of_mouse.size(),
                                  " mouse genes share their human gene with "
                                  "an earlier one; columns that meet are kept apart, as in the reference"),
                           many});
  if (unknown > 0)
    map.notices.push_back({"STOFM-W4102",
                           concat(unknown, " of ", map.human_of_mouse.size(),
                                  " mouse genes lead to a human gene outside the vocabulary and drop out"),
                           unknown});
  return map;
}
#endif

}  // namespace stofm::pipeline
