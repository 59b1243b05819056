// SPDX-License-Identifier: MIT
/// \file
/// What `stofm deconvolve` reads besides the spots: references, tables of profiles, a known composition.

#include <algorithm>
#include <map>

#include "console.hpp"
#include "stofm/core/parse_double.hpp"
#include "stofm/io/csv.hpp"
#include "tasks/deconvolve_run.hpp"
#if defined(STOFM_WITH_HDF5)
#include "stofm/io/h5ad_tables.hpp"
#endif

namespace stofm::program {
namespace {

bool is_profile_table(const std::string& path) {
  return path.ends_with(".csv") || path.ends_with(".tsv") || path.ends_with(".txt");
}

/// Genes in rows, named by the first column; types in columns.
DeconvolveReference read_profile_table(const std::string& path, const std::vector<std::string>& leave_out) {
  const io::CsvTable csv = io::read_csv(path, {.delimiter = path.ends_with(".csv") ? ',' : '\t'});
  if (csv.columns() < 3 || csv.rows() < 1)
    throw DataError({"STOFM-2072", path, "line 1", concat(csv.columns(), " columns, ", csv.rows(), " rows"),
                     "a column of gene names, and one for each of two or more types",
                     "Give a table of mean counts, genes by types."});
  DeconvolveReference reference;
  TaskSlice genes;
  genes.slice.path = path;
  genes.name = path;
  std::map<std::string, std::int64_t> column_of;
  for (std::int64_t c = 1; c < csv.columns(); ++c) {
    if (std::find(leave_out.begin(), leave_out.end(), csv.header(c)) != leave_out.end()) continue;
    if (!column_of.emplace(std::string(csv.header(c)), c).second)
      throw DataError({"STOFM-2072", path, "line 1", "two columns " + stofm::quoted(csv.header(c), 60),
                       "each type once", "Rename or merge them."});
  }
  reference.table = Tensor<double>::zeros({static_cast<std::int64_t>(column_of.size()), csv.rows()});
  std::int64_t t = 0;
  for (const auto& [type, column] : column_of) {
    reference.types.push_back(type);
    for (std::int64_t g = 0; g < csv.rows(); ++g) {
      const std::string_view text = csv.at(g, column);
      double value = 0;
      const auto [end, error] = parse_double(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || end != text.data() + text.size() || !(value >= 0) || !std::isfinite(value))
        throw DataError({"STOFM-2072", path, concat("line ", csv.line(g)), stofm::quoted(text, 40),
                         "a mean count >= 0", "Give mean raw counts, not logs or z-scores."});
      reference.table(t, g) = value;
    }
    ++t;
  }
  for (std::int64_t g = 0; g < csv.rows(); ++g) genes.slice.gene_ids.emplace_back(csv.at(g, 0));
  reference.slices.push_back(std::move(genes));
  Console::get().say(
      concat(path, ": profiles of ", column_of.size(), " types on ", format_count(csv.rows()), " genes"));
  return reference;
}

}  // namespace

DeconvolveReference open_deconvolve_reference(const DeconvolveArguments& a) {
  const bool table = std::any_of(a.references.begin(), a.references.end(), is_profile_table);
  if (table && a.references.size() > 1)
    throw UsageError({"STOFM-2073", "", "--reference", "a table beside other references",
                      "one table, or files of labelled cells", "Give the table alone."});
  if (!table && a.label.empty())
    throw UsageError({"STOFM-2073", "", "--label", "nothing", "the column of obs with the cell types",
                      "Give --label cell_type."});
  DeconvolveReference reference;
  const auto is_left_out = [&](const std::string& type) {
    return std::find(a.leave_out.begin(), a.leave_out.end(), type) != a.leave_out.end();
  };
  if (table) {
    reference = read_profile_table(a.references.front(), a.leave_out);
  } else {
    reference.slices = open_others(a.references, a.task, {a.label}, false);
    std::map<std::string, std::string> colour_of;
    for (const TaskSlice& slice : reference.slices) {
      const io::SliceLabels& labels = slice.slice.labels.front();
      for (std::size_t c = 0; c < labels.categories.size(); ++c) {
        std::string& colour = colour_of[labels.categories[c]];
        if (colour.empty() && !labels.colours.empty()) colour = labels.colours[c];
      }
    }
    for (const std::string& type : a.leave_out)
      if (!colour_of.contains(type))
        Console::get().warn(concat("--leave-out ", stofm::quoted(type, 60), ": no reference has this type"));
    for (const auto& [type, colour] : colour_of)
      if (!is_left_out(type)) {
        reference.types.push_back(type);
        reference.colours.push_back(colour);
      }
    for (const TaskSlice& slice : reference.slices) {
      const io::SliceLabels& labels = slice.slice.labels.front();
      std::vector<std::int32_t> code_of(labels.categories.size(), -1);
      for (std::size_t c = 0; c < code_of.size(); ++c) {
        const auto at =
            std::lower_bound(reference.types.begin(), reference.types.end(), labels.categories[c]);
        if (at != reference.types.end() && *at == labels.categories[c])
          code_of[c] = static_cast<std::int32_t>(at - reference.types.begin());
      }
      std::vector<std::int32_t>& codes = reference.codes.emplace_back();
      std::int64_t without = 0;
      for (const std::int32_t code : labels.codes) {
        codes.push_back(code < 0 ? -1 : code_of[static_cast<std::size_t>(code)]);
        without += code < 0;
      }
      if (without > 0)
        Console::get().say(
            concat("  ", format_count(without), " cells without ", a.label, " are no part of the reference"));
    }
  }
  for (const std::string& type : a.leave_out) reference.left_out.push_back(type);
  const std::vector<std::string> usual = group_colours(reference.types.size());
  reference.colours.resize(reference.types.size());
  const bool all = std::none_of(reference.colours.begin(), reference.colours.end(),
                                [](const std::string& colour) { return colour.empty(); });
  if (!all) reference.colours = usual;
  if (reference.types.size() < 2)
    throw DataError({"STOFM-2074", reference.slices.front().slice.path, "cell types",
                     concat(reference.types.size(), " of them"), "at least two, to take spots apart",
                     "Give a reference with more types, or another --label."});
  return reference;
}

#if defined(STOFM_WITH_HDF5)
DeconvolveTruth read_deconvolve_truth(const TaskSlice& spots, const std::vector<std::string>& types) {
  const std::string& path = spots.slice.path;
  DeconvolveTruth truth;
  const io::H5adTables names = io::read_h5ad_tables(path, {.file_rows = spots.slice.file_rows}, {});
  const auto known = [&](std::string name) {
    std::replace(name.begin(), name.end(), '|', '/');
    return std::any_of(types.begin(), types.end(), [&](std::string type) {
      std::replace(type.begin(), type.end(), '|', '/');
      return type == name;
    });
  };
  for (const char* key : {"truth_proportions", "cell_type_counts"}) {
    if (std::find(names.obsm_keys.begin(), names.obsm_keys.end(), key) == names.obsm_keys.end()) continue;
    const io::H5adTables tables =
        io::read_h5ad_tables(path, {.obsm = {key}, .file_rows = spots.slice.file_rows}, {});
    const io::H5adObsm& found = tables.obsm.front();
    if (std::none_of(found.columns.begin(), found.columns.end(), known)) continue;
    truth.source = concat("obsm/", key);
    truth.types = found.columns;
    truth.cells = Tensor<double>::zeros({found.values.dim(0), found.values.dim(1)});
    std::copy(found.values.data(), found.values.data() + found.values.numel(), truth.cells.data());
    return truth;
  }
  io::H5adTablesRequest request;
  request.file_rows = spots.slice.file_rows;
  for (const std::string& column : names.obs_columns)
    if (column.starts_with("n_") && known(column.substr(2))) request.obs_numbers.push_back(column);
  if (request.obs_numbers.size() < 2) return truth;
  // A type that the reference lacks is part of the truth too, unless the name says it is a total.
  io::H5adTablesRequest all = request;
  for (const std::string& column : names.obs_columns)
    if (column.starts_with("n_") && !known(column.substr(2)) && column != "n_cells" && column != "n_counts" &&
        column != "n_genes" && !column.starts_with("n_genes_") && !column.starts_with("n_counts_"))
      all.obs_numbers.push_back(column);
  io::H5adTables tables;
  try {
    tables = io::read_h5ad_tables(path, all, {});
  } catch (const Error&) {  // n_batch, with names in it
    tables = io::read_h5ad_tables(path, request, {});
  }
  truth.source = "obs/n_*";
  truth.cells = Tensor<double>::zeros({spots.slice.cells, static_cast<std::int64_t>(tables.numbers.size())});
  for (std::size_t c = 0; c < tables.numbers.size(); ++c) {
    truth.types.push_back(tables.numbers[c].name.substr(2));
    for (std::int64_t i = 0; i < spots.slice.cells; ++i)
      truth.cells(i, static_cast<std::int64_t>(c)) = tables.numbers[c].values[static_cast<std::size_t>(i)];
  }
  return truth;
}
#else
DeconvolveTruth read_deconvolve_truth(const TaskSlice&, const std::vector<std::string>&) { return {}; }
#endif

}  // namespace stofm::program
