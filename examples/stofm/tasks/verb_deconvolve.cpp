// SPDX-License-Identifier: MIT
/// \file
/// `stofm deconvolve`: shares of cell types in spots, with an interval each.

#include <algorithm>
#include <cmath>

#include "console.hpp"
#include "resources.hpp"
#include "stofm/cluster/knn_2d.hpp"
#include "stofm/tasks/log_counts.hpp"
#include "stofm/tasks/shared_genes.hpp"
#include "tasks/deconvolve_run.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

constexpr double effect_spread_of_another_technology = 0.5;

io::CountRows deconvolve_counts(const io::Slice& slice, const std::vector<std::int32_t>& gene_of,
                                std::int64_t genes) {
  const tasks::SparseRows rows = tasks::gene_counts(slice, gene_of, genes);
  io::CountRows counts;
  counts.offsets = rows.offsets;
  counts.columns = rows.columns;
  counts.values.assign(rows.values.begin(), rows.values.end());
  return counts;
}

/// Genes that the spots and all references have. The gene table of a bundle is asked where names alone bring
/// less than half of the shorter list together.
tasks::SharedGenes deconvolve_genes(const DeconvolveArguments& a, const io::Slice& spots,
                                    const DeconvolveReference& reference) {
  std::vector<const io::Slice*> slices{&spots};
  std::int64_t fewest = spots.genes();
  for (const TaskSlice& one : reference.slices) {
    slices.push_back(&one.slice);
    fewest = (std::min)(fewest, one.slice.genes());
  }
  tasks::SharedGenes shared;
  try {
    shared = tasks::share_genes(slices);
  } catch (const DataError&) {  // by the gene table then
  }
  if (shared.size() * 2 >= fewest) return shared;
  std::string weights = a.task.weights;
  try {
    weights = find_weights(weights);
  } catch (const UsageError&) {  // no bundle: as far as names go
    return shared.size() > 0 ? shared : tasks::share_genes(slices);
  }
  const LoadedModel loaded = load_task_model(a.task);
  return tasks::share_genes(slices, &loaded.model);
}

tasks::CellTypeProfiles deconvolve_profiles(const DeconvolveReference& reference,
                                            const tasks::SharedGenes& shared) {
  const auto types = static_cast<std::int64_t>(reference.types.size());
  if (reference.table.numel() == 0) {
    tasks::CellTypeSums sums(types, shared.size());
    for (std::size_t r = 0; r < reference.slices.size(); ++r) {
      const io::Slice& slice = reference.slices[r].slice;
      sums.add(deconvolve_counts(slice, shared.gene_of[r + 1], shared.size()), reference.codes[r]);
      if (slice.stream_notices) say_notices(slice.stream_notices(), slice.path);
    }
    return sums.profiles();
  }
  tasks::CellTypeProfiles profiles;
  profiles.rates = Tensor<double>::zeros({types, shared.size()});
  for (std::int64_t t = 0; t < types; ++t) {
    double sum = 0;
    for (std::size_t g = 0; g < shared.gene_of[1].size(); ++g) {
      if (shared.gene_of[1][g] < 0) continue;
      const double value = reference.table(t, static_cast<std::int64_t>(g));
      profiles.rates(t, shared.gene_of[1][g]) += value;
      sum += value;
    }
    for (std::int64_t g = 0; g < shared.size() && sum > 0; ++g) profiles.rates(t, g) /= sum;
    profiles.cell_counts.push_back(sum);
    profiles.cells.push_back(sum > 0 ? 1 : 0);
    profiles.cell_spread.push_back(0);
  }
  return profiles;
}

/// Profiles of the types that have enough cells; the others are listed.
tasks::CellTypeProfiles keep_deconvolve_types(const tasks::CellTypeProfiles& all,
                                              const DeconvolveReference& reference, std::int64_t least,
                                              DeconvolveResult& result) {
  std::vector<std::size_t> kept;
  const bool table = reference.table.numel() > 0;
  for (std::size_t t = 0; t < reference.types.size(); ++t) {
    if (all.cells[t] == 0)
      result.without.push_back(reference.types[t]);
    else if (!table && all.cells[t] < least)
      result.rare.push_back(reference.types[t]);
    else
      kept.push_back(t);
  }
  if (kept.size() < 2)
    throw DataError({"STOFM-2075", reference.slices.front().slice.path, "cell types",
                     concat(kept.size(), " with ", table ? 1 : least, " cells and counts on shared genes"),
                     "at least two", "Give more labelled cells, or lower --min-cells."});
  tasks::CellTypeProfiles profiles;
  profiles.rates = Tensor<double>::zeros({static_cast<std::int64_t>(kept.size()), all.genes()});
  for (std::size_t k = 0; k < kept.size(); ++k) {
    const std::size_t t = kept[k];
    std::copy_n(all.rates.data() + static_cast<std::int64_t>(t) * all.genes(), all.genes(),
                profiles.rates.data() + static_cast<std::int64_t>(k) * all.genes());
    profiles.cell_counts.push_back(all.cell_counts[t]);
    profiles.cells.push_back(all.cells[t]);
    profiles.cell_spread.push_back(all.cell_spread[t]);
    result.types.push_back(reference.types[t]);
    result.colours.push_back(reference.colours[t]);
    result.reference_cells += all.cells[t];
  }
  return profiles;
}

/// A table over `types` from one over other columns of the same spots; what is not there is 0.
Tensor<double> deconvolve_columns(const Tensor<double>& values, const std::vector<std::string>& from,
                                  const std::vector<std::string>& types) {
  const auto plain = [](std::string name) {
    std::replace(name.begin(), name.end(), '|', '/');
    return name;
  };
  Tensor<double> result = Tensor<double>::zeros({values.dim(0), static_cast<std::int64_t>(types.size())});
  for (std::size_t t = 0; t < types.size(); ++t)
    for (std::size_t c = 0; c < from.size(); ++c)
      if (plain(from[c]) == plain(types[t]))
        for (std::int64_t i = 0; i < values.dim(0); ++i)
          result(i, static_cast<std::int64_t>(t)) += values(i, static_cast<std::int64_t>(c));
  return result;
}

/// Scores over the types of both sides.
void judge_deconvolve(const TaskSlice& spots, const DeconvolveReference& reference,
                      const io::CountRows& counts, const tasks::CellTypeProfiles& profiles,
                      const tasks::DeconvolutionOptions& options, DeconvolveResult& result) {
  const DeconvolveTruth truth = read_deconvolve_truth(spots, reference.types);
  if (truth.source.empty()) return;
  result.truth = truth.source;
  result.judged = result.types;
  const Tensor<double> own = deconvolve_columns(truth.cells, truth.types, result.types);
  for (const std::string& type : truth.types) {
    std::string plain = type;
    std::replace(plain.begin(), plain.end(), '|', '/');
    const bool has = std::any_of(result.types.begin(), result.types.end(), [&](std::string name) {
      std::replace(name.begin(), name.end(), '|', '/');
      return name == plain;
    });
    if (!has) result.judged.push_back(type);
  }
  const Tensor<double> known = deconvolve_columns(truth.cells, truth.types, result.judged);
  const auto wide = [&](const Tensor<double>& table) {
    return deconvolve_columns(table, result.types, result.judged);
  };
  const tasks::Deconvolution& found = result.found;
  const bool interval = options.interval > 0;
  const Tensor<double> shares = wide(found.proportions), low = interval ? wide(found.low) : Tensor<double>(),
                       high = interval ? wide(found.high) : Tensor<double>();
  result.scores = interval ? tasks::composition_scores(known.view(), shares.view(), low.view(), high.view())
                           : tasks::composition_scores(known.view(), shares.view());
  if (options.method == tasks::DeconvolutionMethod::least_squares) return;
  tasks::DeconvolutionOptions plain;
  plain.method = tasks::DeconvolutionMethod::least_squares;
  plain.as_cells = options.as_cells;
  const tasks::Deconvolution squares = tasks::deconvolve(counts, profiles, plain);
  result.baseline = tasks::composition_scores(known.view(), wide(squares.proportions).view());
}

void summarise_deconvolve(const DeconvolveArguments& a, DeconvolveResult& result) {
  const tasks::Deconvolution& found = result.found;
  const std::int64_t n = found.proportions.dim(0), types = found.proportions.dim(1);
  const auto as_floats = [&](const Tensor<double>& table) {
    Tensor<float> floats = Tensor<float>::zeros({n, types});
    for (std::int64_t i = 0; i < n * types; ++i) floats.data()[i] = static_cast<float>(table.data()[i]);
    return floats;
  };
  result.shares = as_floats(found.proportions);
  if (a.interval > 0 && a.method == "poisson") {
    result.low = as_floats(found.low);
    result.high = as_floats(found.high);
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const double counts = found.counts[static_cast<std::size_t>(i)];
    result.few += counts < static_cast<double>(a.min_counts);
    std::int32_t best = counts > 0 ? 0 : -1;
    double entropy = counts > 0 ? 0 : std::nan("");
    for (std::int64_t t = 0; t < types && counts > 0; ++t) {
      const double p = found.proportions(i, t);
      if (p > found.proportions(i, best)) best = static_cast<std::int32_t>(t);
      if (p > 0) entropy -= p * std::log2(p);
    }
    result.dominant.push_back(best);
    result.entropy.push_back(entropy);
  }
}

DeconvolveResult deconvolve_slice(const DeconvolveArguments& a, const TaskSlice& spots,
                                  const DeconvolveReference& reference) {
  Console& console = Console::get();
  const tasks::SharedGenes shared = deconvolve_genes(a, spots.slice, reference);
  DeconvolveResult result;
  result.genes = shared.size();
  result.matched_by = shared.matched_by;
  const tasks::CellTypeProfiles profiles =
      keep_deconvolve_types(deconvolve_profiles(reference, shared), reference, a.min_cells, result);
  console.say(concat(spots.name, ": ", format_count(result.genes), " genes shared by ", result.matched_by,
                     ", ", result.types.size(), " types"));
  for (const auto& [list, why] :
       {std::pair{&result.rare, concat(" with fewer than ", a.min_cells, " cells")},
        std::pair{&result.without, std::string(" without counts on shared genes")}}) {
    std::string names;
    for (const std::string& name : *list) names += (names.empty() ? "" : ", ") + name;
    if (!names.empty()) console.warn(concat("left out, types", why, ": ", names));
  }
  const io::CountRows counts = deconvolve_counts(spots.slice, shared.gene_of[0], shared.size());
  if (spots.slice.stream_notices) say_notices(spots.slice.stream_notices(), spots.slice.path);

  tasks::DeconvolutionOptions options;
  options.as_cells = a.as == "cells";
  if (a.method == "nnls") {
    options.method = tasks::DeconvolutionMethod::least_squares;
  } else {
    options.interval = a.interval;
    options.prior_counts = a.prior;
  }
  std::vector<std::int32_t> neighbours;
  if (options.prior_counts > 0 && !spots.slice.coordinates_source.empty() && spots.slice.cells > 1) {
    neighbours = cluster::nearest_neighbours_2d(spots.slice.coordinates.view(), 6).indices;
    options.neighbours = neighbours;
  }
  options.platform_effects = a.platform_effect == "on";
  if (a.platform_effect == "auto") {
    // The effects alone first: no interval, no prior, and shares no finer than they need.
    tasks::DeconvolutionOptions look;
    look.platform_effects = true;
    look.platform_rounds = 2;
    look.tolerance = 1e-4;
    result.effect_spread = tasks::effect_spread(counts, tasks::deconvolve(counts, profiles, look).platform);
    options.platform_effects = result.effect_spread > effect_spread_of_another_technology;
  }
  result.found = tasks::deconvolve(counts, profiles, options);
  if (result.found.empty_spots == counts.rows())
    throw DataError({"STOFM-2076", spots.slice.path, "counts", "no spot with counts on shared genes",
                     "at least one",
                     "Check that spots and reference name genes alike, and are of one tissue."});
  result.platform = options.platform_effects;
  if (a.platform_effect == "on") result.effect_spread = tasks::effect_spread(counts, result.found.platform);
  if (a.platform_effect != "off")
    console.say(concat("effects of the genes spread by ", format_number(result.effect_spread, 2),
                       result.platform ? ": estimated" : ": left out, as of one technology"));
  summarise_deconvolve(a, result);
  if (result.found.not_converged > 0)
    console.warn(concat(format_count(result.found.not_converged), " spots stopped before they were settled"));
  if (result.found.empty_spots > 0)
    console.warn(
        concat(format_count(result.found.empty_spots), " spots without counts on shared genes: NaN"));
  if (result.few > result.found.empty_spots)
    console.warn(concat(format_count(result.few), " spots with fewer than ", a.min_counts,
                        " counts: obs stofm_few_counts; --prior 5 is for such slices"));
  if (!a.no_truth) judge_deconvolve(spots, reference, counts, profiles, options, result);
  if (result.scores) {
    const tasks::CompositionScores& s = *result.scores;
    console.say(
        concat("against ", result.truth, ": Pearson per type ", format_number(s.pearson, 3), ", RMSE ",
               format_number(s.rmse, 3), ", Jensen-Shannon ", format_number(s.jensen_shannon, 3),
               std::isnan(s.coverage)
                   ? std::string()
                   : concat(", intervals hold ", format_number(100 * s.coverage, 3), " % of the true shares"),
               result.baseline ? concat(" (least squares: ", format_number(result.baseline->pearson, 3), ", ",
                                        format_number(result.baseline->rmse, 3), ", ",
                                        format_number(result.baseline->jensen_shannon, 3), ")")
                               : std::string()));
  }
  return result;
}

}  // namespace

int run_deconvolve(const Arguments& arguments) {
  const DeconvolveArguments& a = arguments.deconvolve;
  const DeconvolveReference reference = open_deconvolve_reference(a);
  const std::vector<TaskSlice> slices = open_inputs(a.task, "deconvolve", {}, false);
  std::vector<DeconvolveResult> results;
  results.reserve(slices.size());
  for (const TaskSlice& spots : slices) results.push_back(deconvolve_slice(a, spots, reference));
  std::vector<TaskOutput> outputs(slices.size());
  TaskReport report;
  nlohmann::json summary;
  fill_deconvolve(a, slices, results, outputs, report, summary);
  std::vector<std::string> files;
  for (const TaskSlice& slice : reference.slices) files.push_back(slice.slice.path);
  const std::map<std::string, io::H5adValue> provenance{
      {"reference", files},
      {"label", a.label},
      {"method", a.method},
      {"shares_of", a.as},
      {"interval", a.method == "poisson" ? a.interval : 0.0},
      {"prior", a.prior},
      {"min_cells", a.min_cells},
      {"min_counts", a.min_counts},
      {"leave_out", reference.left_out}};
  write_task(a.task, "deconvolve", arguments, slices, outputs, nullptr, provenance, report, summary);
  return 0;
}

}  // namespace stofm::program
