// SPDX-License-Identifier: MIT
/// \file
/// `stofm pseudospots`: sums of labelled cells, with what they are made of in obs (n_TYPE, n_cells, n_counts)
/// and obsm["truth_proportions"].

#include "stofm/tasks/pseudospots.hpp"

#include <algorithm>
#include <set>

#include "console.hpp"
#include "stofm/core/error.hpp"
#include "tasks/task_run.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

/// What one result is made of; the writer looks at it until it is done.
struct PseudospotFile {
  io::H5adCsr counts;
  Tensor<double> xy;
  Tensor<float> shares;
};

/// A type as part of a column's name: HDF5 has no slash in names.
std::string pseudospot_column(const std::string& type) {
  std::string name = "n_" + type;
  std::replace(name.begin(), name.end(), '/', '|');
  return name;
}

std::vector<std::string> pseudospot_genes(const io::Slice& slice) {
  std::vector<std::string> names = slice.gene_ids;
  std::set<std::string> taken;
  for (std::size_t g = 0; g < names.size(); ++g) {
    std::string& name = names[g];  // a gene without an id goes by its symbol
    if (name.empty()) name = slice.gene_symbols.empty() ? std::string() : slice.gene_symbols[g];
    if (name.empty()) name = concat("gene_", g);
    const std::string stem = name;
    for (int i = 1; !taken.insert(name).second; ++i) name = concat(stem, "-", i);  // as anndata does
  }
  return names;
}

tasks::PseudospotOptions pseudospot_options(const PseudospotsArguments& a) {
  return {.size = a.size,
          .cells_per_spot = a.cells_per_spot,
          .min_cells = a.min_cells,
          .random = a.random,
          .depth = a.depth,
          .platform_noise = a.platform_noise,
          .seed = a.task.geometry.seed};
}

TaskOutput pseudospot_output(const TaskSlice& input, const tasks::PseudospotPlan& plan,
                             const io::CountRows& counts, PseudospotFile& file) {
  const io::SliceLabels& labels = input.slice.labels.front();
  const auto types = static_cast<std::int64_t>(labels.categories.size());
  file.counts.offsets = counts.offsets;
  file.counts.columns = counts.columns;
  file.counts.values.assign(counts.values.begin(), counts.values.end());
  file.xy = plan.xy.clone();
  file.shares = Tensor<float>::zeros({plan.spots(), types});
  io::NewH5ad whole;
  io::H5adColumn cells, sums;
  cells.name = "n_cells", sums.name = "n_counts";
  for (std::int64_t s = 0; s < plan.spots(); ++s) {
    const auto row = static_cast<std::size_t>(s);
    whole.cells.push_back(concat("spot_", s));
    cells.integers.push_back(plan.offsets[row + 1] - plan.offsets[row]);
    double sum = 0;
    for (auto e = counts.offsets[row]; e < counts.offsets[row + 1]; ++e)
      sum += counts.values[static_cast<std::size_t>(e)];
    sums.reals.push_back(sum);
    for (std::int64_t t = 0; t < types; ++t)
      file.shares(s, t) =
          static_cast<float>(plan.composition(s, t) / static_cast<double>(cells.integers.back()));
  }
  std::set<std::string> taken;
  for (std::int64_t t = 0; t < types; ++t) {
    io::H5adColumn column;
    column.name = pseudospot_column(labels.categories[static_cast<std::size_t>(t)]);
    if (!taken.insert(column.name).second) continue;  // "a/b" beside "a|b": obsm has both
    for (std::int64_t s = 0; s < plan.spots(); ++s)
      column.integers.push_back(static_cast<std::int64_t>(plan.composition(s, t)));
    whole.content.obs.push_back(std::move(column));
  }
  for (io::H5adColumn* column : {&cells, &sums})
    if (taken.insert(column->name).second) whole.content.obs.push_back(std::move(*column));
  whole.genes = pseudospot_genes(input.slice);
  if (!input.slice.gene_symbols.empty()) {
    io::H5adColumn symbols;
    symbols.name = "gene_symbol";
    symbols.texts = input.slice.gene_symbols;
    whole.content.var.push_back(std::move(symbols));
  }
  whole.counts = &file.counts;
  whole.spatial = file.xy.view();
  whole.content.obsm.push_back({"truth_proportions", file.shares.view(), labels.categories});
  TaskOutput output;
  output.whole = std::move(whole);
  output.provenance = {{"source", input.slice.path},
                       {"spots", plan.spots()},
                       {"square", plan.size},
                       {"cells", static_cast<std::int64_t>(plan.cells.size())},
                       {"cells_without_label", plan.unlabelled},
                       {"cells_of_sparse_squares", plan.sparse},
                       {"types", labels.categories}};
  return output;
}

}  // namespace

int run_pseudospots(const Arguments& arguments) {
  const PseudospotsArguments& a = arguments.pseudospots;
  Console& console = Console::get();
  std::vector<TaskSlice> slices = open_inputs(a.task, "pseudospots", {a.label}, a.random == 0);
  const tasks::PseudospotOptions options = pseudospot_options(a);
  std::vector<TaskOutput> outputs;
  std::vector<PseudospotFile> files(slices.size());
  nlohmann::json summary = {{"slices", nlohmann::json::array()}};
  for (std::size_t k = 0; k < slices.size(); ++k) {
    const io::Slice& slice = slices[k].slice;
    const io::SliceLabels& labels = slice.labels.front();
    const auto types = static_cast<std::int64_t>(labels.categories.size());
    if (types == 0)
      throw DataError({"STOFM-2070", slice.path, "obs/" + a.label, "no cell with a label", "cell types",
                       "Name another column with --label."});
    if (a.random == 0 && slice.coordinates_source.empty())
      throw DataError({"STOFM-2071", slice.path, "positions", "none", "positions, to lay a grid over",
                       "Use --random N for cells without positions."});
    const tasks::PseudospotPlan plan =
        a.random > 0 ? tasks::plan_random_pseudospots(labels.codes, types, options)
                     : tasks::plan_pseudospots(slice.coordinates.view(), labels.codes, types, options);
    const io::CountRows counts = tasks::sum_pseudospots(slice, plan, options);
    if (slice.stream_notices) say_notices(slice.stream_notices(), slice.path);
    outputs.push_back(pseudospot_output(slices[k], plan, counts, files[k]));
    double kept = 0;
    for (const double v : counts.values) kept += v;
    const auto spots = static_cast<double>(plan.spots());
    console.say(concat(slices[k].name, ": ", format_count(plan.spots()), " spots of ",
                       format_number(static_cast<double>(plan.cells.size()) / spots, 3), " cells and ",
                       format_number(kept / spots, 4), " counts on the mean",
                       a.random > 0 ? std::string() : concat(", squares of ", format_number(plan.size, 4)),
                       "; ", format_count(plan.unlabelled), " cells without ", a.label, " and ",
                       format_count(plan.sparse), " of squares with fewer than ", a.min_cells, " left out"));
    summary["slices"].push_back({{"name", slices[k].name},
                                 {"spots", plan.spots()},
                                 {"cells", plan.cells.size()},
                                 {"square", plan.size},
                                 {"mean_counts", kept / spots},
                                 {"cells_without_label", plan.unlabelled},
                                 {"cells_of_sparse_squares", plan.sparse},
                                 {"types", labels.categories}});
  }
  TaskReport report;
  const std::map<std::string, io::H5adValue> provenance{
      {"label", a.label},
      {"cells_per_spot", a.cells_per_spot},
      {"min_cells", a.min_cells},
      {"random", a.random},
      {"depth", a.depth},
      {"platform_noise", a.platform_noise},
      {"seed", static_cast<std::int64_t>(a.task.geometry.seed)}};
  write_task(a.task, "pseudospots", arguments, slices, outputs, nullptr, provenance, report, summary);
  return 0;
}

}  // namespace stofm::program
