// SPDX-License-Identifier: MIT
#include <algorithm>
#include <filesystem>

#include "console.hpp"
#include "resources.hpp"
#include "slice_run.hpp"
#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "stofm/cluster/pca.hpp"

namespace stofm::program {
namespace {

void add_embeddings(ReportData& report, const Tensor<float>& embeddings, std::int64_t virtual_cells) {
  const auto pca = cluster::pca2(embeddings.view());
  const std::int64_t n = embeddings.dim(0);
  double total = 0;
  for (std::int64_t j = 0; j < embeddings.dim(1); ++j) {
    const double mean = pca.mean[static_cast<std::size_t>(j)];
    for (std::int64_t i = 0; i < n; ++i) {
      const double d = static_cast<double>(embeddings.data()[i * embeddings.dim(1) + j]) - mean;
      total += d * d;
    }
  }
  total /= static_cast<double>(std::max<std::int64_t>(1, n - 1));
  for (int c = 0; c < 2; ++c)
    report.explained[static_cast<std::size_t>(c)] = total > 0 ? pca.variances[c] / total : 0;
  for (std::int64_t i = 0; i < n; ++i) {
    report.pc1.push_back(static_cast<float>(pca.scores.data()[2 * i]));
    report.pc2.push_back(static_cast<float>(pca.scores.data()[2 * i + 1]));
  }
  const std::int64_t k =
      std::clamp<std::int64_t>(virtual_cells, std::min<std::int64_t>(n, 6), std::min<std::int64_t>(n, 12));
  const auto clusters = cluster::mini_batch_kmeans(embeddings.view(), {.clusters = k});
  report.cluster = clusters.labels;
  report.cluster_method = concat("k-means of the embeddings, k = ", clusters.clusters);
}

/// Genes with a count, per cell: one more pass over the counts.
std::vector<std::int32_t> genes_per_cell(const io::Slice& slice) {
  std::vector<std::int32_t> genes;
  constexpr std::int64_t block = 8192;
  for (std::int64_t begin = 0; begin < slice.cells; begin += block) {
    const io::CountRows rows = slice.read_counts(begin, std::min(slice.cells, begin + block));
    for (std::size_t i = 1; i < rows.offsets.size(); ++i)
      genes.push_back(static_cast<std::int32_t>(rows.offsets[i] - rows.offsets[i - 1]));
  }
  return genes;
}

void add_macro(ReportData& report, const SliceJob& job, const pipeline::EmbedResult& result) {
  report.macro = result.macro_labels;
  report.piece = result.piece_of_cell;
  const GeometryArguments& g = job.arguments->geometry;
  report.macro_method = g.clustering == "leiden" ? concat("Leiden, resolution ", format_number(g.resolution))
                                                 : concat("k-means, k = ", result.virtual_cells());
  for (const auto& library : result.libraries)
    for (std::int64_t v = 0; v < library.virtual_cells; ++v)
      for (int axis = 0; axis < 2; ++axis)
        (axis == 0 ? report.virtual_x : report.virtual_y)
            .push_back(static_cast<float>(library.centre[axis] +
                                          library.virtual_xy.data()[2 * v + axis] * library.diagonal / 100));
  if (result.libraries.size() == 1) {
    report.grid = split_grid(report.x, report.y, g.split);
  } else {
    for (const auto& piece : result.pieces)
      report.grid.push_back({piece.low[0], piece.low[1], piece.high[0], piece.high[1]});
  }
  report.facts.emplace_back("virtual cells", format_count(result.virtual_cells()));
  report.facts.emplace_back("sub-slices", format_count(static_cast<std::int64_t>(result.pieces.size())));
}

}  // namespace

ReportData report_of(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedResult& result) {
  ReportData report;
  report.title = std::filesystem::path(job.outputs.input).filename().string();
  report.created = utc_minute();
  report.version = STOFM_VERSION;
  report.limits = job.model->limits;
  for (std::int64_t i = 0; i < slice.cells; ++i) {
    report.x.push_back(static_cast<float>(slice.coordinates(i, 0)));
    report.y.push_back(static_cast<float>(slice.coordinates(i, 1)));
  }
  report.facts.emplace_back("cells", format_count(slice.cells));
  const pipeline::GeneCoverage& c = result.coverage;
  if (c.genes > 0) {
    report.facts.emplace_back("genes known", concat(format_count(c.matched), " of ", format_count(c.genes)));
    report.coverage = {{"in the vocabulary", c.matched},
                       {"not in the vocabulary", c.outside_vocabulary},
                       {"mouse ids without a human one", c.unmapped_mouse},
                       {"no gene ids", c.not_gene_ids},
                       {"ambiguous symbols", c.ambiguous_symbols},
                       {"control features", c.control_features}};
    for (const auto& name : c.first_unmatched)
      if (!name.empty()) report.unmatched.push_back(name);
    report.genes = genes_per_cell(slice);
  }
  if (!result.macro_labels.empty()) add_macro(report, job, result);
  report.facts.emplace_back("embedding width", std::to_string(result.embeddings.dim(1)));
  add_embeddings(report, result.embeddings, result.virtual_cells());
  for (const Notice& notice : result.notices) report.notices.push_back(notice.text);
  for (const auto& [key, value] : job.options)
    if (!value.empty() && value != "no") report.options.emplace_back("--" + key, value);
  report.model = job.model->card;
  report.model.emplace_back("file", job.model->path);
  report.model.emplace_back("SHA-256", job.model->sha256);
  return report;
}

}  // namespace stofm::program
