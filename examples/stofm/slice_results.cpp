// SPDX-License-Identifier: MIT
/// \file
/// The files of one slice: .h5ad (obsm, obs, uns), .npy, .csv. Nothing in them depends on time or threads, so
/// that the same run gives the same bytes.

#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>

#include "console.hpp"
#include "option_flags.hpp"
#include "slice_run.hpp"
#include "stofm/io/csv_writer.hpp"
#include "stofm/io/json.hpp"
#include "stofm/io/npy.hpp"
#if defined(STOFM_WITH_HDF5)
#include "stofm/io/h5ad_tables.hpp"
#include "stofm/io/h5ad_writer.hpp"
#include "stofm/version.hpp"
#endif

namespace stofm::program {
namespace {

#if defined(STOFM_WITH_HDF5)
std::string json_object(const OptionList& members) {
  std::string text;
  for (const auto& [key, value] : members)
    text += concat(text.empty() ? "" : ", ", json_text(key), ": ", json_text(value));
  return concat("{", text, "}");
}

void write_h5ad(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedResult& result,
                const pipeline::EmbeddingClusters& clusters, io::OutputGroup& outputs) {
  io::H5adResult file;
  file.obsm.push_back({embedding_key(*job.arguments), result.embeddings.view()});
  if (!result.macro_labels.empty()) {
    io::H5adColumn macro, piece;
    macro.name = "stofm_macro";
    macro.codes = result.macro_labels;
    for (std::int64_t c = 0; c < result.virtual_cells(); ++c) macro.categories.push_back(std::to_string(c));
    piece.name = "stofm_piece";
    piece.integers.assign(result.piece_of_cell.begin(), result.piece_of_cell.end());
    file.obs = {std::move(macro), std::move(piece)};
  }
  if (!clusters.labels.empty()) {
    io::H5adColumn column;
    column.name = cluster_key(*job.arguments);
    column.codes = clusters.labels;
    std::vector<std::string>& colours = file.uns_lists[column.name + "_colors"];  // where scanpy looks
    for (std::int64_t c = 0; c < clusters.clusters; ++c) {
      column.categories.push_back(std::to_string(c));
      colours.push_back(group_colour(static_cast<std::size_t>(c)));
    }
    file.obs.push_back(std::move(column));
  }
  file.file_rows = slice.file_rows;
  file.input = slice.identity;
  std::vector<std::string> notices;
  if (!job.model->limits.empty()) notices.push_back(job.model->limits);
  for (const Notice& notice : result.notices) notices.push_back(notice.code + " " + with_flags(notice.text));
  file.uns = {
      {"program", "stofm " STOFM_VERSION},
      {"input_sha256", job.input_sha256},
      {"model", job.model->name},
      {"model_sha256", job.model->sha256},
      {"model_kind", job.model->demonstration ? "demonstration weights, not for research" : "weights given"},
      {"model_info", job.model->model.info},
      {"options", json_object(job.options)},
      {"counts", slice.counts_source},
      {"counts_scale", slice.counts_scale},
      {"positions", slice.coordinates_source},
      {"species", result.coverage.genes == 0                            ? "not read"
                  : result.coverage.species == pipeline::Species::mouse ? "mouse"
                                                                        : "human"},
      {"clusters", clusters.method},
      {"sliver_cells", result.plan.sliver_cells},
      {"genes_matched", result.coverage.matched},
      {"genes", result.coverage.genes},
      {"genes_learnt", result.coverage.learnt},
      {"virtual_cells", result.virtual_cells()},
      {"pieces", static_cast<std::int64_t>(result.pieces.size())},
      {"notices", notices}};
  io::write_h5ad_result(job.outputs.input, job.outputs.h5ad, file,
                        {.in_place = job.outputs.in_place,
                         .overwrite = job.overwrite,
                         .follow_link = job.outputs.follows_link(job.outputs.h5ad),
                         .group = &outputs});
}
#else
void write_h5ad(const SliceJob& job, const io::Slice&, const pipeline::EmbedResult&,
                const pipeline::EmbeddingClusters&, io::OutputGroup&) {
  throw FileError({"STOFM-2040", job.outputs.h5ad, "output", "an .h5ad file", "a program built with HDF5",
                   "Install libhdf5-dev and build again."});
}
#endif

/// Rows in the order of the file; cells that were left out are NaN.
Tensor<float> rows_of_file(const io::Slice& slice, const Tensor<float>& embeddings) {
  if (slice.file_rows.empty()) return embeddings;
  const std::int64_t width = embeddings.dim(1);
  auto rows = Tensor<float>::full({slice.file_cells, width}, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < slice.file_rows.size(); ++i)
    std::copy_n(embeddings.data() + static_cast<std::int64_t>(i) * width, width,
                rows.data() + slice.file_rows[i] * width);
  return rows;
}

void write_csv(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedResult& result,
               const io::OutputOptions& options) {
  const Tensor<float>& rows = result.embeddings;
  io::atomic_write(
      job.outputs.csv,
      [&](io::OutputFile& output) {
        io::CsvWriter csv(output);
        csv.field("cell");
        for (std::int64_t j = 0; j < rows.dim(1); ++j) csv.field(concat("stofm_", j));
        csv.end_row();
        for (std::int64_t i = 0; i < rows.dim(0); ++i) {
          csv.field(slice.cell_names[static_cast<std::size_t>(i)]);
          for (std::int64_t j = 0; j < rows.dim(1); ++j) csv.field(rows.data()[i * rows.dim(1) + j]);
          csv.end_row();
        }
      },
      options);
}

}  // namespace

std::optional<EmbedProvenance> embed_provenance(const std::string& path) {
#if defined(STOFM_WITH_HDF5)
  try {
    const std::map<std::string, std::string> texts = io::read_h5ad_tables(path, {}).provenance;
    const nlohmann::json options = io::parse_json(texts.at("options"), path);
    EmbedProvenance known{texts.at("input_sha256"), texts.at("model_sha256"), {}};
    for (const auto& [key, value] : options.items())
      known.options.emplace_back(key, value.get<std::string>());
    return known;
  } catch (const Error&) {  // of no use: it is treated as anybody's file
  } catch (const std::out_of_range&) {
  } catch (const nlohmann::json::exception&) {
  }
#else
  (void)path;
#endif
  return std::nullopt;
}

void write_results(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedResult& result,
                   const pipeline::EmbeddingClusters& clusters, io::OutputGroup& outputs) {
  const auto options = [&](const std::string& file) {
    return io::OutputOptions{
        .overwrite = job.overwrite, .follow_link = job.outputs.follows_link(file), .group = &outputs};
  };
  write_h5ad(job, slice, result, clusters, outputs);
  if (!job.outputs.npy.empty())
    io::write_npy(job.outputs.npy, rows_of_file(slice, result.embeddings), options(job.outputs.npy));
  if (!job.outputs.csv.empty()) write_csv(job, slice, result, options(job.outputs.csv));
}

}  // namespace stofm::program
