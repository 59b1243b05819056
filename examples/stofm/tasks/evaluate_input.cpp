// SPDX-License-Identifier: MIT
/// \file
/// What `stofm evaluate` reads: no counts, no genes.

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "console.hpp"
#include "resources.hpp"
#include "slice_input.hpp"
#include "stofm/tasks/proportion_metrics.hpp"
#include "stofm/tasks/shared_classes.hpp"
#include "tasks/evaluate_run.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {
namespace {

/// Proportions of one side and one file: names of the types and [cells, types].
struct Shares {
  std::vector<std::string> types;
  std::vector<double> values;
};

bool is_obs_pattern(const std::string& key) { return key.ends_with('*'); }

Shares shares_of(const io::H5adTables& tables, const std::string& key, std::size_t& next_number,
                 std::size_t& next_matrix) {
  Shares shares;
  const auto cells = static_cast<std::size_t>(tables.cells);
  if (is_obs_pattern(key)) {
    const std::string prefix = key.substr(0, key.size() - 1);
    const std::size_t first = next_number;
    for (; next_number < tables.numbers.size(); ++next_number) {
      const std::string& name = tables.numbers[next_number].name;
      if (!name.starts_with(prefix)) break;
      const std::string type = name.substr(prefix.size());
      if (std::find(shares.types.begin(), shares.types.end(), type) != shares.types.end()) break;
      shares.types.push_back(type);
    }
    const std::size_t width = shares.types.size();
    shares.values.resize(cells * width);
    for (std::size_t c = 0; c < width; ++c)
      for (std::size_t i = 0; i < cells; ++i)
        shares.values[i * width + c] = tables.numbers[first + c].values[i];
    return shares;
  }
  const io::H5adObsm& entry = tables.obsm[next_matrix++];
  shares.types = entry.columns;
  if (shares.types.empty())
    for (std::int64_t c = 0; c < entry.values.dim(1); ++c) shares.types.push_back(concat("column ", c));
  shares.values.assign(entry.values.data(), entry.values.data() + entry.values.numel());
  return shares;
}

/// Values of `shares` for all of `types`, 0 where a type is not among its own; rows that are no composition
/// become NaN.
Tensor<double> spread_shares(const Shares& shares, const std::vector<std::string>& types,
                             std::int64_t cells) {
  auto all = Tensor<double>::zeros({cells, static_cast<std::int64_t>(types.size())});
  const std::size_t width = shares.types.size();
  for (std::size_t c = 0; c < width; ++c) {
    const auto place = std::find(types.begin(), types.end(), shares.types[c]) - types.begin();
    for (std::int64_t i = 0; i < cells; ++i)
      all.data()[i * all.dim(1) + place] = shares.values[static_cast<std::size_t>(i) * width + c];
  }
  for (std::int64_t i = 0; i < cells; ++i) {
    const std::span<double> row(all.data() + i * all.dim(1), types.size());
    if (!tasks::normalize_composition(row))
      std::fill(row.begin(), row.end(), std::numeric_limits<double>::quiet_NaN());
  }
  return all;
}

template <class T>
std::vector<T> chosen(const std::vector<T>& all, const std::vector<std::int64_t>& rows) {
  std::vector<T> some;
  if (!all.empty())
    for (const std::int64_t row : rows) some.push_back(all[static_cast<std::size_t>(row)]);
  return some;
}
template <class T>
Tensor<T> chosen(const Tensor<T>& all, const std::vector<std::int64_t>& rows) {
  if (all.rank() != 2) return {};
  Tensor<T> some({static_cast<std::int64_t>(rows.size()), all.dim(1)});
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy_n(all.data() + rows[i] * all.dim(1), all.dim(1),
                some.data() + static_cast<std::int64_t>(i) * all.dim(1));
  return some;
}

/// Names in order, each once.
void add_names(std::vector<std::string>& names, const std::vector<std::string>& more) {
  for (const std::string& name : more)
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

void join_classes(const EvaluateArguments& a, const std::vector<io::H5adTables>& files, EvaluateInput& input,
                  std::vector<EvaluateSlice>& whole) {
  if (a.truth.empty()) return;
  std::vector<const io::SliceLabels*> truth, predicted;
  std::vector<std::int64_t> cells;
  for (const io::H5adTables& file : files) {
    truth.push_back(&file.labels[0]);
    if (!a.predicted.empty()) predicted.push_back(&file.labels[1]);
    cells.push_back(file.cells);
  }
  tasks::SharedClasses of_truth = tasks::share_classes(truth, cells);
  input.true_classes = static_cast<std::int64_t>(of_truth.names.size());
  input.classes = of_truth.names;
  input.colours = of_truth.colours;
  for (std::size_t f = 0; f < files.size(); ++f) whole[f].truth = std::move(of_truth.codes[f]);
  if (!a.predicted.empty()) {
    tasks::SharedClasses both =
        tasks::share_classes(predicted, cells, tasks::words_for_no_label(), of_truth.names);
    for (std::size_t f = 0; f < files.size(); ++f) {
      whole[f].predicted = std::move(both.codes[f]);
      for (const std::int32_t code : whole[f].predicted)
        input.same_names = input.same_names || (code >= 0 && code < input.true_classes);
    }
    input.classes = std::move(both.names);
    input.colours.resize(input.classes.size());
    for (std::size_t c = 0; c < input.classes.size(); ++c)
      if (input.colours[c].empty()) input.colours[c] = both.colours[c];
  }
  constexpr std::size_t most_classes = 2000;
  if (input.classes.size() > most_classes)
    throw DataError({"STOFM-4782", "", "--truth, --predicted",
                     concat(input.classes.size(), " different labels"), concat("at most ", most_classes),
                     "Name columns of labels."});
}

}  // namespace

nlohmann::json number_json(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}
std::string figure_text(double value) { return std::isfinite(value) ? format_number(value, 4) : "-"; }

EvaluateInput read_evaluate_input(const EvaluateArguments& a) {
  const bool shares = !a.truth_proportions.empty();
  if (a.truth.empty() && !shares)
    throw UsageError({"STOFM-2054", "", "evaluate", "nothing to compare",
                      "--truth with --predicted or --embedding, or both of --truth-proportions and "
                      "--predicted-proportions",
                      "Name columns with --truth and --predicted."});
  if (!a.truth.empty() && a.predicted.empty() && a.embedding.empty())
    throw UsageError({"STOFM-2054", "", "--truth", "nothing to compare it with", "--predicted or --embedding",
                      "Name the predicted column with --predicted."});
  std::vector<std::string> columns;
  for (const std::string& name : {a.truth, a.predicted, a.task.slice.library_key})
    if (!name.empty()) columns.push_back(name);
  io::H5adTablesRequest request;
  request.positions = true;
  if (!a.embedding.empty()) request.obsm.push_back(a.embedding);
  if (shares)
    for (const std::string& key : {a.truth_proportions, a.predicted_proportions})
      (is_obs_pattern(key) ? request.obs_numbers : request.obsm).push_back(key);

  EvaluateInput input;
  std::vector<io::H5adTables> files;
  std::vector<EvaluateSlice> whole;
  std::vector<Shares> of_truth, of_prediction;
  SliceArguments slice = a.task.slice;
  slice.library_key.clear();  // slices may lie on top of each other here
  for (const std::string& path : expand_inputs(a.task.inputs, a.task.list, "evaluate")) {
    files.push_back(open_tables(path, slice, request, columns, task_memory(a.task)));
    io::H5adTables& file = files.back();
    Console::get().detail(concat(path, ": ", format_count(file.cells), " cells"));
    for (const Notice& notice : file.notices)
      Console::get().detail(notice.text, {{"code", notice.code}, {"file", path}});
    EvaluateSlice& one = whole.emplace_back();
    one.path = path;
    one.name = task_slice_name(path);
    one.cells = file.cells;
    if (!file.coordinates_source.empty()) one.xy = std::move(file.coordinates);
    std::size_t number = 0, matrix = 0;
    if (!a.embedding.empty()) one.embedding = std::move(file.obsm[matrix++].values);
    if (shares) {
      of_truth.push_back(shares_of(file, a.truth_proportions, number, matrix));
      of_prediction.push_back(shares_of(file, a.predicted_proportions, number, matrix));
      file.obsm.clear();
      file.numbers.clear();
    }
  }
  join_classes(a, files, input, whole);
  if (shares) {
    std::vector<std::string> true_types, predicted_types;
    for (const Shares& side : of_truth) add_names(true_types, side.types);
    for (const Shares& side : of_prediction) add_names(predicted_types, side.types);
    input.types = true_types;
    add_names(input.types, predicted_types);
    for (const std::string& type : input.types)
      if ((std::find(true_types.begin(), true_types.end(), type) == true_types.end()) !=
          (std::find(predicted_types.begin(), predicted_types.end(), type) == predicted_types.end()))
        input.one_sided_types.push_back(type);
    if (input.one_sided_types.size() == input.types.size())
      throw DataError(
          {"STOFM-4781", whole.front().path, a.predicted_proportions,
           concat("no type of ", a.truth_proportions, ": ", stofm::quoted(predicted_types.front(), 60),
                  ", ... against ", stofm::quoted(true_types.front(), 60), ", ..."),
           "types of the same names on both sides", "Name columns of the same types."});
    for (std::size_t f = 0; f < files.size(); ++f) {
      whole[f].true_shares = spread_shares(of_truth[f], input.types, whole[f].cells);
      whole[f].predicted_shares = spread_shares(of_prediction[f], input.types, whole[f].cells);
    }
  }
  for (std::size_t f = 0; f < whole.size(); ++f) {
    input.cells += whole[f].cells;
    if (a.task.slice.library_key.empty()) {
      input.slices.push_back(std::move(whole[f]));
      continue;
    }
    const io::SliceLabels& library = files[f].labels[columns.size() - 1];
    input.cells -= library.missing;
    if (library.missing > 0)
      input.words.push_back(concat("left out: ", format_count(library.missing), " cells of ", whole[f].name,
                                   " without a value in obs[", stofm::quoted(library.name, 60), "]"));
    for (std::size_t k = 0; k < library.categories.size(); ++k) {
      std::vector<std::int64_t> rows;
      for (std::size_t i = 0; i < library.codes.size(); ++i)
        if (library.codes[i] == static_cast<std::int32_t>(k)) rows.push_back(static_cast<std::int64_t>(i));
      EvaluateSlice part;
      part.path = whole[f].path;
      part.name =
          whole.size() > 1 ? concat(whole[f].name, ", ", library.categories[k]) : library.categories[k];
      part.cells = static_cast<std::int64_t>(rows.size());
      part.truth = chosen(whole[f].truth, rows);
      part.predicted = chosen(whole[f].predicted, rows);
      part.xy = chosen(whole[f].xy, rows);
      part.embedding = chosen(whole[f].embedding, rows);
      part.true_shares = chosen(whole[f].true_shares, rows);
      part.predicted_shares = chosen(whole[f].predicted_shares, rows);
      input.slices.push_back(std::move(part));
    }
  }
  for (EvaluateSlice& one : input.slices)
    if (one.xy.rank() == 2 && one.cells > 0)
      one.squares = tasks::tissue_squares(std::as_const(one.xy).view());
  return input;
}

}  // namespace stofm::program
