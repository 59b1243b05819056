// SPDX-License-Identifier: MIT
/// \file
/// Files of `stofm impute`: a layer of the slice, or a new file of measured and predicted genes.

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "console.hpp"
#include "slice_input.hpp"
#include "tasks/impute_run.hpp"

namespace stofm::program {
namespace {

/// Column of the imputation that a gene of the slice is, by column of the slice; -1: none.
std::vector<std::int32_t> imputed_columns(const tasks::ImputeResult& result) {
  std::vector<std::int32_t> by_target(static_cast<std::size_t>(result.genes.targets.size()), -1);
  for (std::size_t g = 0; g < result.imputation.genes.size(); ++g)
    by_target[static_cast<std::size_t>(result.imputation.genes[g].target)] = static_cast<std::int32_t>(g);
  std::vector<std::int32_t> columns(result.genes.slice_target.size(), -1);
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (result.genes.slice_target[c] >= 0)
      columns[c] = by_target[static_cast<std::size_t>(result.genes.slice_target[c])];
  return columns;
}

/// Columns of var for genes of a file: `columns` [genes] of the imputation, -1: measured only.
std::vector<io::H5adColumn> impute_var(const tasks::ImputeResult& result,
                                       std::span<const std::int32_t> columns) {
  io::H5adColumn imputed{.name = "stofm_imputed"}, pearson{.name = "stofm_impute_pearson"},
      spearman{.name = "stofm_impute_spearman"}, told{.name = "stofm_impute_told"};
  const double none = std::numeric_limits<double>::quiet_NaN();
  told.categories = {"can't be told", "told"};
  for (const std::int32_t c : columns) {
    const tasks::ImputedGene* gene = c < 0 ? nullptr : &result.imputation.genes[static_cast<std::size_t>(c)];
    imputed.integers.push_back(gene != nullptr);
    pearson.reals.push_back(gene ? gene->pearson : none);
    spearman.reals.push_back(gene ? gene->spearman : none);
    told.codes.push_back(gene == nullptr || std::isnan(gene->pearson) ? -1 : gene->told ? 1 : 0);
  }
  return {std::move(imputed), std::move(pearson), std::move(spearman), std::move(told)};
}

void require_layer_memory(const TaskSlice& slice, std::int64_t genes, const TaskArguments& task) {
  const std::int64_t bytes = checked_mul(checked_mul(slice.slice.cells, genes, "layer"), 4, "bytes");
  if (bytes > task_memory(task))
    throw ResourceError(
        {"STOFM-4779", slice.slice.path, "memory",
         concat("about ", bytes, " bytes for ", genes, " genes of ", slice.slice.cells, " cells"),
         concat("at most ", task_memory(task)),
         "Predict fewer genes (--genes, --max-genes), or raise --max-memory."});
}

}  // namespace

void impute_layer_output(const TaskSlice& slice, const TaskArguments& task, ImputedSlice& done,
                         TaskOutput& output) {
  const std::vector<std::int32_t> of_genes = imputed_columns(done.result);
  // A layer has all features of the file, those that are no genes too.
  const auto known = static_cast<std::int64_t>(of_genes.size());
  const std::int64_t genes = std::max(known, slice.slice.file_genes);
  std::vector<std::int32_t> columns(static_cast<std::size_t>(genes), -1);
  for (std::size_t c = 0; c < of_genes.size(); ++c)
    columns[slice.slice.file_columns.empty() ? c : static_cast<std::size_t>(slice.slice.file_columns[c])] =
        of_genes[c];
  require_layer_memory(slice, genes, task);
  const Tensor<float>& values = done.result.imputation.values;
  done.layer = Tensor<float>({slice.slice.cells, genes});
  for (std::int64_t i = 0; i < slice.slice.cells; ++i)
    for (std::int64_t c = 0; c < genes; ++c) {
      const std::int32_t from = columns[static_cast<std::size_t>(c)];
      done.layer.data()[i * genes + c] =
          from < 0 ? std::numeric_limits<float>::quiet_NaN() : values(i, std::int64_t{from});
    }
  output.file.layers.push_back({"stofm_imputed", std::as_const(done.layer).view()});
  output.file.var = impute_var(done.result, columns);
}

void impute_whole_output(const TaskSlice& slice, const TaskArguments& task, ImputedSlice& done,
                         TaskOutput& output) {
  const tasks::ImputeResult& result = done.result;
  // Names and labels of the cells, which open_inputs does not ask for.
  const io::Slice named = open_slice(slice.slice.path, task.slice, task_memory(task), true, 60, false);
  io::NewH5ad made;
  made.cells = named.cell_names;
  const std::vector<std::int32_t> measured = imputed_columns(result);
  std::vector<std::int32_t> columns;      // of the imputation, by gene of the new file
  std::vector<std::int32_t> shared_gene;  // its measured values; -1: none
  std::vector<std::string> symbols;
  std::set<std::string> used;
  const auto add = [&](std::string id, std::string symbol, std::int32_t column, std::int32_t gene) {
    std::string name = id;
    for (int again = 1; name.empty() || !used.insert(name).second; ++again) name = concat(id, "-", again);
    made.genes.push_back(std::move(name));
    symbols.push_back(std::move(symbol));
    columns.push_back(column);
    shared_gene.push_back(gene);
  };
  bool ensembl = false;
  for (std::size_t c = 0; c < measured.size(); ++c) {
    const std::int32_t gene = result.genes.slice_shared[c];
    const std::string& id = slice.slice.gene_ids[c];
    ensembl = ensembl || id.starts_with("ENS");
    if (gene < 0 && measured[c] < 0) continue;
    add(id, slice.slice.gene_symbols.empty() ? id : slice.slice.gene_symbols[c], measured[c], gene);
  }
  for (std::size_t g = 0; g < result.imputation.genes.size(); ++g) {
    const auto target = static_cast<std::size_t>(result.imputation.genes[g].target);
    if (result.genes.measured[target]) continue;
    const tasks::GeneNames& names = result.genes.targets;
    add(ensembl && !names.ids[target].empty() ? names.ids[target] : names.shown[target], names.shown[target],
        static_cast<std::int32_t>(g), -1);
  }
  const auto genes = static_cast<std::int64_t>(columns.size());
  require_layer_memory(slice, genes, task);
  done.layer = Tensor<float>::zeros({slice.slice.cells, genes});
  std::vector<std::vector<std::int64_t>> places(static_cast<std::size_t>(result.genes.shared.size()));
  for (std::size_t g = 0; g < shared_gene.size(); ++g)
    if (shared_gene[g] >= 0)
      places[static_cast<std::size_t>(shared_gene[g])].push_back(static_cast<std::int64_t>(g));
  const tasks::SparseRows& own = result.slice_shared;
  for (std::int64_t i = 0; i < slice.slice.cells; ++i) {
    float* row = done.layer.data() + i * genes;
    for (auto e = static_cast<std::size_t>(own.offsets[static_cast<std::size_t>(i)]);
         e < static_cast<std::size_t>(own.offsets[static_cast<std::size_t>(i) + 1]); ++e)
      for (const std::int64_t g : places[static_cast<std::size_t>(own.columns[e])]) row[g] = own.values[e];
    for (std::size_t g = 0; g < columns.size(); ++g)
      if (columns[g] >= 0) row[g] = result.imputation.values(i, std::int64_t{columns[g]});
  }
  made.content.layers.push_back({"stofm_imputed", std::as_const(done.layer).view()});
  made.content.var = impute_var(result, columns);
  made.content.var.push_back({.name = "gene_symbol", .texts = std::move(symbols)});
  for (const io::SliceLabels& labels : named.labels) {
    made.content.obs.push_back({.name = labels.name, .codes = labels.codes, .categories = labels.categories});
    if (!labels.colours.empty()) made.content.uns_lists[labels.name + "_colors"] = labels.colours;
  }
  if (!slice.slice.coordinates_source.empty()) {
    done.places = slice.slice.coordinates.contiguous();
    made.spatial = std::as_const(done.places).view();
  }
  output.whole = std::move(made);
}

}  // namespace stofm::program
