// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Words for values that are no counts, and for the places beside them where counts are. A place is named as
/// a remedy only after its values were looked at. Which places there are is asked of the matrix by
///
///     std::vector<detail::CountPlace> count_places(const Matrix&, std::int64_t memory_limit);  // best first
///     CountsScale log_hint(const Matrix&);               // the logarithm that someone noted down, or
///     automatic std::int64_t genes_of_raw(const Matrix&, std::int64_t memory_limit);  // of raw, 0: there is
///     none, or this is it
///
/// in the namespace of the matrix: h5ad_counts_places.hpp, array_matrix.hpp.

#include <algorithm>
#include <charconv>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "stofm/core/with_commas.hpp"
#include "stofm/io/h5ad_counts_scale.hpp"

namespace stofm::io::detail {

/// The shortest text that reads back as the same number.
inline std::string number_text(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

/// "max 87, 1 of 13,000 stored values is fractional".
inline std::string value_text(const H5adValueCheck& check) {
  return concat(check.negative > 0 ? concat("min ", check.minimum, ", ") : std::string(), "max ",
                check.maximum, ", ", with_commas(check.fractional), " of ", with_commas(check.looked_at),
                " stored values ", check.fractional == 1 ? "is" : "are", " fractional");
}

/// "log1p values (base e)".
inline std::string scale_text(CountsScale scale) {
  switch (scale) {
    case CountsScale::log1p:
      return "log1p values (base e)";
    case CountsScale::log2:
      return "log2(1 + x) values";
    case CountsScale::log10:
      return "log10(1 + x) values";
    case CountsScale::linear:
      return "values in proportion to counts";
    default:
      return "counts";
  }
}

/// "log1p values (base e) of counts times a factor per cell".
inline std::string recovered_text(CountsScale scale) {
  return is_log(scale) ? scale_text(scale) + " of counts times a factor per cell"
                       : "counts times a factor per cell";
}

/// What a matrix holds, for errors.
inline std::string content_text(const H5adValues& values) {
  const H5adValueCheck& check = values.check;
  switch (values.kind) {
    case ValueKind::empty:
      return "no count above 0 in any cell";
    case ValueKind::counts:
      return "counts";
    case ValueKind::near_counts:
      return "counts with rounding errors";
    case ValueKind::recovered:
      return recovered_text(values.scale);
    case ValueKind::mostly_whole:
      return value_text(check);
    case ValueKind::negative:
      return check.fractional > 0 ? "values that look scaled or like residuals: " + value_text(check)
                                  : "negative counts";
    case ValueKind::improper:
      return "values that are NaN, infinite or above 2^53";
    case ValueKind::no_unit:
      if (values.other == CountsScale::automatic) break;
      return "some cells with " + recovered_text(values.scale) + ", some with " +
             recovered_text(values.other);
  }
  return "values that look normalised, and no scale on which the cells are whole counts (smoothed, imputed, "
         "corrected, scaled by gene?): " +
         value_text(check);
}

/// A name as a word of a shell's command line.
inline std::string shell_word(const std::string& name) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '.' || c == '+' || c == '-';
  });
  if (plain) return name;
  const bool quotable = std::all_of(name.begin(), name.end(),
                                    [](char c) { return c != '\'' && static_cast<unsigned char>(c) >= 32; });
  return quotable ? "'" + name + "'" : stofm::quoted(name);
}

/// A matrix of the file other than the one that was chosen.
struct CountPlace {
  std::string name;    ///< layers["counts"]
  std::string option;  ///< --layer counts
  std::int64_t genes = 0;
  H5adValues values;

  /// 0 best: counts, with rounding errors, recovered, recovered but for some cells; 4: of no use.
  int rank() const {
    if (values.kind == ValueKind::counts) return 0;
    if (values.kind == ValueKind::near_counts) return 1;
    if (values.kind == ValueKind::recovered) return values.whole == values.cells ? 2 : 3;
    return 4;
  }
  /// Exact counts first, of these the place with most genes, of these the one that needs the least.
  bool is_before(const CountPlace& other) const {
    const auto key = [](const CountPlace& place) {
      return std::tuple((std::max)(place.rank(), 2), -place.genes, place.rank());
    };
    return key(*this) < key(other);
  }
};

/// "layers["counts"] (--layer counts)": the best place of rank up to `worst` and those as good; "" if none
/// is.
inline std::string usable_places(const std::vector<CountPlace>& places, int worst = 3) {
  std::string text;
  const CountPlace* best = nullptr;
  for (const CountPlace& place : places) {
    if (place.rank() > worst || (best != nullptr && best->is_before(place))) continue;
    if (best == nullptr) best = &place;
    text += (text.empty() ? "" : ", or ") + place.name + " (" + place.option + ")";
  }
  return text;
}

/// Usable places of the matrix' surroundings: "layers["counts"] (--layer counts)", "" if there are none.
template <class Matrix>
std::string other_counts(const Matrix& matrix, std::int64_t memory_limit) {
  return usable_places(count_places(matrix, memory_limit));
}

/// What to do about a matrix that is of no use: the best other place, else options that take it as it is, as
/// far as they can.
template <class Matrix>
std::string remedy_for(const Matrix& matrix, const H5adValues& values, std::int64_t memory_limit) {
  const std::vector<CountPlace> places = count_places(matrix, memory_limit);
  const std::string usable = usable_places(places);
  const bool as_is = values.check.negative == 0 && values.check.improper == 0;
  if (!usable.empty()) {
    const CountPlace& best = places.front();
    return best.rank() <= 1 ? "Give raw counts: " + usable + "."
                            : "Counts come back from " + usable + ", " + content_text(best.values) + ".";
  }
  std::string text;
  if (!places.empty()) {
    text = "Nor is " + places.front().name + " of use (" + content_text(places.front().values) + ")";
    if (places.size() > 1) text += concat(", nor are ", places.size() - 1, " more places");
    text += ". ";
  }
  text += values.kind == ValueKind::mostly_whole ? "Mend the fractions"
          : as_is                                ? "Give raw counts"
                  : "Give the file with the raw counts, or with log1p of normalised ones";
  if (!as_is || values.other != CountsScale::automatic) return text + ".";
  if (values.kind == ValueKind::mostly_whole)
    return text + ", or keep them with H5adReadOptions::counts_scale = linear.";
  const CountsScale hint = log_hint(matrix);
  if (values.kind == ValueKind::no_unit && hint != CountsScale::automatic &&
      values.check.maximum * log_of_base(hint) < 36)
    text += concat(", or undo the logarithm of uns[\"log1p\"] with H5adReadOptions::counts_scale = ",
                   to_string(hint));
  return text +
         ", or, if the values of a cell are in proportion to its counts, rank them as they are with "
         "H5adReadOptions::counts_scale = linear.";
}

}  // namespace stofm::io::detail
