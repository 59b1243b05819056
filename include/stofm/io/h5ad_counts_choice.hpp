// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How the matrix that was chosen is read: as counts, off another scale, or not at all.

#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_counts.hpp"
#include "stofm/io/h5ad_genes.hpp"
#include "stofm/io/h5ad_options.hpp"

namespace stofm::io::detail {

/// State of one choice; `choose_counts` runs it.
template <class Matrix>
class CountsChoice {
 public:
  CountsChoice(Matrix& matrix, const H5adGenes& genes, const H5adReadOptions& options,
               std::int64_t memory_limit, Slice& slice)
      : matrix_(matrix), genes_(genes), memory_limit_(memory_limit), slice_(slice) {
    forced_ = options.counts_scale != CountsScale::automatic ? options.counts_scale
              : options.accept_noninteger                    ? CountsScale::linear
                                                             : CountsScale::automatic;
    reading_.memory_limit = memory_limit;
  }

  CountsReading run() {
    values_ = look_at_values(matrix_, genes_.column_of_gene, forced_);
    if (values_.kind == ValueKind::empty)
      throw DataError({"STOFM-3528", matrix_.source(), matrix_.path(), content_text(values_), "counts",
                       "Give the file with the counts."});
    if (values_.kind == ValueKind::improper ||
        (values_.kind == ValueKind::negative &&
         (values_.check.fractional == 0 || forced_ == CountsScale::linear)))
      refuse_first([](double value) { return !(value >= 0 && value <= largest_count); });
    if (values_.kind == ValueKind::negative) refuse(content_text(values_));
    if (forced_ == CountsScale::linear) return as_they_are();
    if (is_log(forced_)) require_logs();
    if (forced_ == CountsScale::counts) require_whole();
    if (values_.kind == ValueKind::counts) return counts();
    if (values_.kind == ValueKind::near_counts) return near_counts();
    if (values_.kind == ValueKind::mostly_whole) refuse_fraction();
    if (values_.kind == ValueKind::no_unit && !is_log(forced_)) refuse(content_text(values_));
    return recovered();
  }

 private:
  [[noreturn]] void refuse(const std::string& found) const {
    throw DataError({"STOFM-3529", matrix_.source(), matrix_.path(), found, "raw counts",
                     remedy_for(matrix_, values_, memory_limit_)});
  }
  [[noreturn]] void refuse_option(const std::string& found, const std::string& remedy) const {
    throw DataError({"STOFM-3550", matrix_.source(), matrix_.path(), found,
                     scale_text(forced_) + ", as H5adReadOptions::counts_scale says", remedy});
  }

  std::string gene(std::int64_t column) const {
    return genes_.ids[static_cast<std::size_t>(genes_.column_of_gene[static_cast<std::size_t>(column)])];
  }
  template <class Is>
  void visit_first(Is&& is, std::int64_t& row, std::int64_t& column, double& value) const {
    row = -1;
    for (std::int64_t begin = 0; begin < matrix_.rows() && row < 0; begin += 1024)
      visit_cells(matrix_, genes_.column_of_gene, begin, (std::min)(matrix_.rows(), begin + 1024),
                  [&](std::int64_t at, auto columns, auto values) {
                    for (std::size_t i = 0; i < values.size() && row < 0; ++i)
                      if (is(values[i])) row = at, column = columns[i], value = values[i];
                  });
  }
  template <class Is>
  void refuse_first(Is&& is) const {
    std::int64_t row = -1, column = 0;
    double value = 0;
    visit_first(is, row, column, value);
    if (row >= 0) refuse_value(matrix_, row, gene(column), value, memory_limit_);
    refuse(content_text(values_));
  }
  [[noreturn]] void refuse_fraction() const {
    std::int64_t row = -1, column = 0;
    double value = 0;
    visit_first([](double v) { return v != std::floor(v); }, row, column, value);
    if (row < 0) refuse(content_text(values_));
    refuse(concat(content_text(values_), ": row ", row, ", gene ", stofm::quoted(gene(column), 60), " has ",
                  number_text(value)));
  }

  void require_whole() const {
    if (values_.kind == ValueKind::counts) return;
    if (values_.kind == ValueKind::mostly_whole) refuse_fraction();
    if (values_.kind == ValueKind::no_unit) refuse(content_text(values_));
    refuse_option(content_text(values_),
                  "Leave H5adReadOptions::counts_scale out: counts come back from these.");
  }
  void require_logs() const {
    if (values_.kind == ValueKind::recovered && values_.scale != forced_)
      refuse_option(content_text(values_),
                    "Leave H5adReadOptions::counts_scale out: counts come back from these.");
    if (values_.kind == ValueKind::counts || values_.kind == ValueKind::near_counts)
      refuse_option(concat("whole numbers: max ", values_.check.maximum),
                    "Leave H5adReadOptions::counts_scale out.");
    if (values_.kind == ValueKind::mostly_whole)
      refuse_option(content_text(values_), "These look like counts: mend the fractions.");
    if (!(linear_value(forced_, values_.check.maximum) <= largest_count))
      refuse_option(concat("max ", values_.check.maximum, ", the logarithm of more than 2^53"),
                    "Name another scale, or leave H5adReadOptions::counts_scale out.");
  }

  void say(std::string code, std::string text, std::int64_t count) {
    slice_.notices.push_back({std::move(code), std::move(text), count});
  }

  CountsReading counts() {
    reading_.round = forced_ != CountsScale::counts;
    if (values_.check.maximum > 1) return reading_;
    const std::vector<CountPlace> places = count_places(matrix_, memory_limit_);
    std::string better;
    for (const CountPlace& place : places)
      if (better.empty() && place.rank() < 4 && place.values.check.maximum > 1)
        better = "; " + place.name + " holds more (" + place.option + ")";
    say("STOFM-W3554",
        concat(matrix_.path(), " holds only 0 and 1", values_.check.complete ? "" : " where it was looked at",
               ": presence, not counts, or very few counts; the genes of a cell rank by their medians alone",
               better),
        values_.check.positive);
    slice_.counts_scale = "only 0 and 1";
    return reading_;
  }
  CountsReading near_counts() {
    reading_.said = true;
    say("STOFM-W3551", matrix_.path() + " holds whole numbers with rounding errors: they are rounded",
        values_.check.fractional);
    slice_.counts_scale = "whole numbers with rounding errors, rounded to counts";
    return reading_;
  }
  CountsReading as_they_are() {
    reading_.how = CountsReading::How::as_they_are;
    if (values_.check.fractional == 0) return reading_;
    std::string text = concat(
        matrix_.path(), " holds fractional values (", with_commas(values_.check.fractional), " of ",
        with_commas(values_.check.looked_at), "): they rank as they are, as if in proportion to counts");
    const CountsScale hint = log_hint(matrix_);
    if (values_.kind == ValueKind::recovered && is_log(values_.scale))
      text += concat("; but they look like ", scale_text(values_.scale),
                     ", which H5adReadOptions::counts_scale = ", to_string(values_.scale),
                     " turns back into counts");
    else if (values_.kind == ValueKind::no_unit && hint != CountsScale::automatic &&
             values_.check.maximum * log_of_base(hint) < 36)
      text += concat(
          "; but uns[\"log1p\"] says that a logarithm was taken, which H5adReadOptions::counts_scale = ",
          to_string(hint), " undoes");
    say("STOFM-W3552", std::move(text), values_.check.fractional);
    slice_.counts_scale = "fractional values, ranked as they are";
    return reading_;
  }
  /// X is often cut to the variable genes while raw has all: tokens of a few genes are not those of the cell.
  void require_all_genes() const {
    if (forced_ != CountsScale::automatic) return;
    const std::int64_t all = genes_of_raw(matrix_, memory_limit_);
    if (all <= matrix_.columns()) return;
    for (const CountPlace& place : count_places(matrix_, memory_limit_))
      if (place.option == "H5adReadOptions::use_raw" && place.rank() < 4)
        throw DataError({"STOFM-3529", matrix_.source(), matrix_.path(),
                         concat(content_text(values_), ", of ", with_commas(matrix_.columns()),
                                " genes, where raw/X has ", with_commas(all)),
                         "raw counts",
                         concat("Use those of raw/X (H5adReadOptions::use_raw), ", content_text(place.values),
                                ", or keep to these genes with H5adReadOptions::counts_scale = ",
                                to_string(values_.scale), ".")});
  }
  CountsReading recovered() {
    require_all_genes();
    if (forced_ == CountsScale::automatic && values_.whole < values_.cells) {
      const auto places = count_places(matrix_, memory_limit_);
      if (const std::string exact = usable_places(places, 1); !exact.empty())
        throw DataError(
            {"STOFM-3529", matrix_.source(), matrix_.path(),
             concat(content_text(values_), ", of which ", values_.whole, " of ", values_.cells,
                    " cells come out whole"),
             "raw counts",
             concat("Give raw counts: ", exact, ", or keep to these with H5adReadOptions::counts_scale = ",
                    to_string(values_.scale), ".")});
    }
    reading_.how = CountsReading::How::recover;
    reading_.scale = values_.scale;
    reading_.precision = values_.precision;
    slice_.counts_scale = recovered_text(values_.scale) + ", turned back into counts";
    say("STOFM-W3550",
        concat(matrix_.path(), " holds ", slice_.counts_scale, "; ", values_.whole, " of ", values_.cells,
               " cells looked at came out whole"),
        values_.cells);
    return reading_;
  }

  Matrix& matrix_;
  const H5adGenes& genes_;
  std::int64_t memory_limit_;
  Slice& slice_;
  CountsScale forced_;
  CountsReading reading_;
  H5adValues values_;
};

/// Looks at the matrix and says how it is read: adds notices and the sentence `counts_scale` to the slice.
/// \throws DataError no counts (D06), values of no use (D16), an option that does not fit
template <class Matrix>
CountsReading choose_counts(Matrix& matrix, const H5adGenes& genes, const H5adReadOptions& options,
                            std::int64_t memory_limit, Slice& slice) {
  return CountsChoice<Matrix>(matrix, genes, options, memory_limit, slice).run();
}

}  // namespace stofm::io::detail
