// SPDX-License-Identifier: MIT
#include <algorithm>
#include <filesystem>

#include "console.hpp"
#include "option_flags.hpp"
#include "resources.hpp"
#include "slice_run.hpp"
#include "stofm/cluster/pca.hpp"
#include "stofm/pipeline/merge_slivers.hpp"
#include "stofm/version.hpp"

namespace stofm::program {
namespace {

constexpr const char* from_embedding = "Embedding";
constexpr const char* from_file = "In your file";
constexpr const char* from_run = "How it was computed";

/// Names of cells make up a third of a small report and most of a large one.
constexpr std::int64_t most_named_cells = 100000;

/// A name of the file, short enough for a legend.
std::string shortened(const std::string& name) {
  if (name.size() <= 120) return name;
  std::size_t cut = 117;
  while (cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xC0U) == 0x80U)
    --cut;  // not inside a character
  return name.substr(0, cut) + "...";
}

void add_components(ReportData& report, const Tensor<float>& embeddings) {
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
}

/// Genes with a count, per cell: one more pass over the counts.
std::vector<std::int32_t> genes_per_cell(const io::Slice& slice) {
  std::vector<std::int32_t> genes;
  constexpr std::int64_t block = 8192;
  for (std::int64_t begin = 0; begin < slice.cells; begin += block) {
    const io::CountRows rows = io::read_count_rows(slice, begin, std::min(slice.cells, begin + block));
    for (std::size_t i = 1; i < rows.offsets.size(); ++i)
      genes.push_back(static_cast<std::int32_t>(rows.offsets[i] - rows.offsets[i - 1]));
  }
  return genes;
}

void add_labels(ReportData& report, const io::Slice& slice) {
  for (std::size_t i = 0; i < slice.labels.size(); ++i) {
    const io::SliceLabels& labels = slice.labels[i];
    ReportGroups groups;
    groups.key = concat("label", i);
    groups.label = shortened(labels.name);
    groups.heading = from_file;
    groups.note = concat("obs[", stofm::quoted(labels.name, 100), "] of your file.");
    groups.codes = labels.codes;
    for (const std::string& name : labels.categories) groups.names.push_back(shortened(name));
    groups.colours = labels.colours;
    report.groups.push_back(std::move(groups));
  }
}

/// Which slice each cell lies in, where the file has several: a colour, and a panel for each.
void add_libraries(ReportData& report, const io::Slice& slice, const std::string& key) {
  if (slice.library_names.size() < 2 || slice.library.empty()) return;
  report.library = slice.library;
  for (const std::string& name : slice.library_names) report.libraries.push_back(shortened(name));
  const bool listed = std::any_of(slice.labels.begin(), slice.labels.end(),
                                  [&key](const io::SliceLabels& labels) { return labels.name == key; });
  if (listed) return;
  ReportGroups groups;
  groups.key = "slices";
  groups.label = "slice";
  groups.heading = from_file;
  groups.note =
      concat("obs[", stofm::quoted(key, 100), "]: these are embedded apart, and drawn side by side.");
  groups.codes = slice.library;
  groups.names = report.libraries;
  report.groups.push_back(std::move(groups));
}

void add_grid(ReportData& report, const io::Slice& slice, std::int64_t split) {
  const std::size_t count = std::max<std::size_t>(1, report.libraries.size());
  for (std::size_t library = 0; library < count; ++library) {
    std::vector<float> x, y;
    for (std::size_t i = 0; i < report.x.size(); ++i)
      if (count == 1 || slice.library[i] == static_cast<std::int32_t>(library)) {
        x.push_back(report.x[i]);
        y.push_back(report.y[i]);
      }
    for (const auto& square : split_grid(x, y, split))
      report.grid.push_back({square, static_cast<std::int32_t>(library)});
  }
  if (report.grid.size() > 20000) report.grid.clear();
}

void add_macro(ReportData& report, const SliceJob& job, const io::Slice& slice,
               const pipeline::EmbedResult& result) {
  const GeometryArguments& g = job.arguments->geometry;
  ReportGroups pieces, macro;
  pieces.key = "piece";
  pieces.label = pieces.prefix = "sub-slice";
  pieces.heading = macro.heading = from_run;
  pieces.note =
      concat("A sub-slice is the square of about ", format_count(g.split),
             " cells that the model sees at once: a step of the computation, not a region of the tissue. In "
             "obs[\"stofm_piece\"].");
  pieces.codes = result.piece_of_cell;
  macro.key = "macro";
  macro.label = macro.prefix = "virtual cell";
  macro.note = concat(
      "A virtual cell is the mean of cells that are near each other and alike (",
      g.clustering == "leiden" ? concat("Leiden, resolution ", format_number(g.resolution))
                               : concat("k-means, k = ", result.virtual_cells()),
      "), made before the model runs so that each sub-slice sees the rest of the tissue: not a cell type. In "
      "obs[\"stofm_macro\"].");
  macro.codes = result.macro_labels;
  report.groups.push_back(std::move(pieces));
  report.groups.push_back(std::move(macro));
  std::int32_t index = 0;
  for (const auto& library : result.libraries) {
    // Libraries without cells have no entry: the first cell of a label says which one this is.
    std::int32_t which = index++;
    if (!slice.library.empty())
      for (std::size_t i = 0; i < result.macro_labels.size(); ++i)
        if (result.macro_labels[i] == library.first_label) {
          which = slice.library[i];
          break;
        }
    for (std::int64_t v = 0; v < library.virtual_cells; ++v) {
      report.virtual_library.push_back(which);
      for (int axis = 0; axis < 2; ++axis)
        (axis == 0 ? report.virtual_x : report.virtual_y)
            .push_back(static_cast<float>(library.centre[axis] +
                                          library.virtual_xy.data()[2 * v + axis] * library.diagonal / 100));
    }
  }
  add_grid(report, slice, g.split);
  report.facts.emplace_back("sub-slices", format_count(static_cast<std::int64_t>(result.pieces.size())));
  if (result.plan.slivers > 0)
    report.notices.push_back(
        sliver_text(result.plan.slivers, result.plan.sliver_cells, pipeline::sliver_limit(g.split)) +
        " (ours, not in the published code).");
}

void add_genes(ReportData& report, const io::Slice& slice, const pipeline::GeneCoverage& c) {
  if (c.genes == 0) return;
  report.facts.emplace_back("genes matched", concat(format_count(c.matched), " of ", format_count(c.genes)));
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

void add_sources(ReportData& report, const SliceJob& job, const io::Slice& slice,
                 const pipeline::EmbedResult& result) {
  auto& rows = report.source;
  const EmbedArguments& a = *job.arguments;
  if (result.coverage.genes > 0) {
    rows.emplace_back("counts", concat(slice.counts_source, " (", slice.counts_scale, ")"));
    rows.emplace_back("genes", pipeline::coverage_text(result.coverage));
  } else {
    rows.emplace_back("counts", "not read: cell embeddings from " + a.cell_embeddings);
  }
  rows.emplace_back("positions", slice.coordinates_source == "given" && !a.slice.spatial_csv.empty()
                                     ? a.slice.spatial_csv
                                     : slice.coordinates_source);
  if (report.libraries.size() > 1)
    rows.emplace_back("slices in the file", concat(report.libraries.size(), ", by obs[",
                                                   stofm::quoted(a.slice.library_key, 100), "]"));
  if (slice.file_cells > slice.cells)
    rows.emplace_back("left out", concat(format_count(slice.file_cells - slice.cells), " of ",
                                         format_count(slice.file_cells), " cells: no finite position"));
  rows.emplace_back(
      "result", concat("obsm[\"", embedding_key(a), "\"], ", result.embeddings.dim(1), " numbers a cell, in ",
                       std::filesystem::path(job.outputs.h5ad).filename().string()));
  rows.emplace_back("weights", job.model->name);
}

void add_banner(ReportData& report, const SliceJob& job) {
  const LoadedModel& model = *job.model;
  if (model.demonstration)
    report.banner.push_back("Demonstration weights, not for research: " + model.limits + ".");
  else if (!model.limits.empty())
    report.banner.push_back(model.limits);
  if (was_trained_on(model, job.outputs.input))
    report.banner.emplace_back(
        "These weights were trained on a file of this name: such a picture is better than on a slice they "
        "have "
        "not seen.");
}

}  // namespace

std::string embedding_key(const EmbedArguments& a) { return a.cells_only ? "X_stofm_cells" : "X_stofm"; }
std::string cluster_key(const EmbedArguments& a) {
  return a.cells_only ? "stofm_cells_cluster" : "stofm_cluster";
}

std::vector<std::pair<std::string, std::string>> next_steps(const SliceJob& job, bool left_out) {
  const EmbedArguments& a = *job.arguments;
  const std::string key = embedding_key(a);
  const std::string file = json_text(std::filesystem::path(job.outputs.h5ad).filename().string());
  const bool clusters = !a.no_clusters;
  std::string python = concat("import scanpy as sc\nadata = sc.read_h5ad(", file, ")\n");
  if (left_out) python += "adata = adata[adata.obs[\"stofm_embedded\"]].copy()  # cells with an embedding\n";
  python += concat("sc.pp.neighbors(adata, use_rep=\"", key,
                   "\")\nsc.tl.umap(adata)\nsc.tl.leiden(adata, key_added=\"domain\")\nsc.pl.umap(adata, "
                   "color=[\"domain\"",
                   clusters ? concat(", \"", cluster_key(a), "\"") : "", "])\n",
                   "sc.pl.embedding(adata, basis=\"spatial\", color=\"domain\")");
  const std::string r =
      concat("library(anndataR)   # BiocManager::install(\"anndataR\")\nsce <- read_h5ad(", file,
             ", as = \"SingleCellExperiment\")   # or as = \"Seurat\"\n",
             left_out ? "sce <- sce[, sce$stofm_embedded]   # cells with an embedding\n" : "",
             "embedding <- SingleCellExperiment::reducedDim(sce, \"", key, "\")\n",
             "# the same with zellkonverter: sce <- zellkonverter::readH5AD(", file, ")");
  return {{"Python", python}, {"R", r}};
}

std::string next_step_line(const EmbedArguments& a, bool left_out) {
  return concat("next, in Python: ", left_out ? "adata = adata[adata.obs[\"stofm_embedded\"]].copy(); " : "",
                "sc.pp.neighbors(adata, use_rep=\"", embedding_key(a),
                "\"); sc.tl.umap(adata); sc.tl.leiden(adata)");
}

ReportData report_of(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedResult& result,
                     const pipeline::EmbeddingClusters& clusters) {
  ReportData report;
  report.title = std::filesystem::path(job.input_name()).filename().string();
  report.created = utc_minute();
  report.version = STOFM_VERSION;
  add_banner(report, job);
  for (std::int64_t i = 0; i < slice.cells; ++i) {
    report.x.push_back(static_cast<float>(slice.coordinates(i, 0)));
    report.y.push_back(static_cast<float>(slice.coordinates(i, 1)));
  }
  if (slice.cells <= most_named_cells) report.cell_names = slice.cell_names;
  report.rows.assign(slice.file_rows.begin(), slice.file_rows.end());
  report.facts.emplace_back("cells", format_count(slice.cells));
  if (!clusters.labels.empty()) {
    ReportGroups groups;
    groups.key = "cluster";
    groups.label = "cluster of the embedding";
    groups.heading = from_embedding;
    groups.prefix = "cluster";
    groups.note =
        concat("Cells of one colour have similar embeddings: alike in expression and surroundings (",
               clusters.method, "; number 0 is the largest). A first look, not cell types. In obs[\"",
               cluster_key(*job.arguments), "\"].");
    groups.codes = clusters.labels;
    report.groups.push_back(std::move(groups));
    report.facts.emplace_back("clusters", format_count(clusters.clusters));
  }
  add_libraries(report, slice, job.arguments->slice.library_key);
  add_labels(report, slice);
  add_genes(report, slice, result.coverage);
  if (result.coverage.genes > 0)
    report.facts.emplace_back("species",
                              result.coverage.species == pipeline::Species::mouse ? "mouse" : "human");
  for (const Notice& notice : result.notices) report.notices.push_back(with_flags(notice.text));
  if (!result.macro_labels.empty()) add_macro(report, job, slice, result);
  add_components(report, result.embeddings);
  add_sources(report, job, slice, result);
  report.next = next_steps(job, slice.file_cells > slice.cells);
  for (const auto& [key, value] : job.options)
    if (!value.empty() && value != "no") report.options.emplace_back("--" + key, value);
  report.model = job.model->card;
  report.model.emplace_back("file", job.model->path);
  report.model.emplace_back("SHA-256", job.model->sha256);
  return report;
}

}  // namespace stofm::program
