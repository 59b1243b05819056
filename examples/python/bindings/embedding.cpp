// SPDX-License-Identifier: MIT
/// \file
/// Loading a model and embedding a slice.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "interruptible.hpp"
#include "stofm/io/bundle.hpp"
#include "stofm/io/sha256.hpp"
#include "stofm/pipeline/embed_slice.hpp"
#include "values.hpp"

namespace stofm::python {

pipeline::EmbedOptions embed_options(const nb::dict& given) {
  pipeline::EmbedOptions options;
  const auto species = value_or<std::string>(given, "species", "auto");
  options.genes.species = species == "human"   ? pipeline::Species::human
                          : species == "mouse" ? pipeline::Species::mouse
                                               : pipeline::Species::automatic;
  options.genes.refuse_below = value_or(given, "min_coverage", options.genes.refuse_below);
  if (value_or(given, "cells_only", false)) options.target = pipeline::EmbedTarget::cells_only;
  if (value_or<std::string>(given, "clustering", "leiden") == "kmeans")
    options.clustering = pipeline::ClusterMethod::kmeans;
  options.clusters = value_or(given, "clusters", options.clusters);
  options.alpha = value_or(given, "alpha", options.alpha);
  options.resolution = value_or(given, "resolution", options.resolution);
  options.seed = value_or(given, "seed", options.seed);
  options.split = value_or(given, "split", options.split);
  options.merge_slivers = value_or(given, "merge_slivers", options.merge_slivers);
  if (value_or<std::string>(given, "geometry", "reference") == "stable")
    options.geometry = pipeline::Geometry::stable;
  options.max_memory = value_or(given, "max_memory", options.max_memory);
  return options;
}

namespace {

std::unique_ptr<LoadedModel> load_model(const std::string& path, bool bfloat16) {
  return run_interruptibly(nb::none(), [&](const pipeline::Progress&) {
    auto loaded = std::make_unique<LoadedModel>();
    const io::Bundle bundle = io::read_bundle(path);
    loaded->path = path;
    loaded->sha256 = io::sha256_file(path);
    pipeline::ModelOptions options;
    options.file = path;
    if (bfloat16) options.grade = MatmulGrade::bfloat16;
    loaded->model = pipeline::load_model(bundle, options);
    loaded->model.info = bundle.model_info.dump(-1, ' ', true);  // ASCII, as the program writes it
    return loaded;
  });
}

/// ["human" or "mouse"; "not read" without genes].
std::string species_of(const pipeline::GeneCoverage& coverage) {
  if (coverage.genes == 0) return "not read";
  return coverage.species == pipeline::Species::mouse ? "mouse" : "human";
}

nb::list piece_list(const pipeline::EmbedResult& result) {
  nb::list pieces;
  for (const pipeline::PieceInfo& piece : result.pieces) {
    nb::dict one;
    one["library"] = piece.library;
    one["cells"] = piece.cells;
    one["nodes"] = piece.nodes;
    one["low"] = nb::make_tuple(piece.low[0], piece.low[1]);
    one["high"] = nb::make_tuple(piece.high[0], piece.high[1]);
    pieces.append(one);
  }
  return pieces;
}

nb::dict embed(const ArraySlice& slice, const LoadedModel& model, const nb::dict& given,
               const nb::object& heard) {
  const pipeline::EmbedOptions options = embed_options(given);
  pipeline::EmbedResult result = run_interruptibly(heard, [&](const pipeline::Progress& progress) {
    return pipeline::embed_slice(slice.slice, model.model, options, progress);
  });
  nb::dict answer;
  answer["pieces"] = piece_list(result);
  answer["virtual_cells"] = result.virtual_cells();
  answer["sliver_cells"] = result.plan.sliver_cells;
  answer["species"] = species_of(result.coverage);
  answer["genes"] = result.coverage.genes;
  answer["genes_matched"] = result.coverage.matched;
  answer["genes_learnt"] = result.coverage.learnt;
  answer["notices"] = notice_list(result.notices);
  answer["embeddings"] = array_of(std::move(result.embeddings));
  answer["macro"] = array_of(std::move(result.macro_labels));
  answer["piece"] = array_of(std::move(result.piece_of_cell));
  return answer;
}

}  // namespace

void define_embedding(nb::module_& module) {
  nb::class_<LoadedModel>(module, "Model")
      .def_ro("path", &LoadedModel::path)
      .def_ro("sha256", &LoadedModel::sha256)
      .def_prop_ro("info", [](const LoadedModel& m) { return m.model.info; })
      .def_prop_ro("width", [](const LoadedModel& m) { return m.model.width(); })
      .def_prop_ro("notices", [](const LoadedModel& m) { return notice_list(m.model.notices); });
  module.def("load_model", &load_model, nb::arg("path"), nb::arg("bfloat16") = false);
  module.def("embed", &embed, nb::arg("slice"), nb::arg("model"), nb::arg("options"),
             nb::arg("progress") = nb::none());
}

}  // namespace stofm::python
