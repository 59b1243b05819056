// SPDX-License-Identifier: MIT
/// \file
/// `stofm deconvolve --method head`: a head on the simplex over the cell encoder's embedding of a spot and
/// its log-normalised counts, learnt from spots of random cells of the reference.

#include "stofm/tasks/composition_head.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "console.hpp"
#include "slice_run.hpp"
#include "stofm/tasks/log_counts.hpp"
#include "stofm/tasks/pseudospot_slice.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "tasks/deconvolve_run.hpp"

namespace stofm::program {
namespace {

constexpr std::int64_t head_pseudospots = 4000;

/// Type in `kept` of each cell of reference `r`, -1: none of them.
std::vector<std::int32_t> kept_codes(const DeconvolveReference& reference, std::size_t r,
                                     const std::vector<std::string>& kept) {
  std::vector<std::int32_t> code_of;
  for (const std::string& type : reference.types) {
    const auto at = std::find(kept.begin(), kept.end(), type);
    code_of.push_back(at == kept.end() ? -1 : static_cast<std::int32_t>(at - kept.begin()));
  }
  std::vector<std::int32_t> codes;
  for (const std::int32_t code : reference.codes[r])
    codes.push_back(code < 0 ? -1 : code_of[static_cast<std::size_t>(code)]);
  return codes;
}

/// Cells of a spot by the median of its counts: 2 to 30. Technologies that count otherwise make it a guess.
double cells_of_a_spot(const io::CountRows& counts, const tasks::CellTypeProfiles& profiles) {
  std::vector<double> totals(static_cast<std::size_t>(counts.rows()), 0.0);
  for (std::size_t i = 0; i < totals.size(); ++i)
    for (auto e = counts.offsets[i]; e < counts.offsets[i + 1]; ++e)
      totals[i] += counts.values[static_cast<std::size_t>(e)];
  std::erase(totals, 0.0);
  double sum = 0, cells = 0;
  for (std::size_t t = 0; t < profiles.cells.size(); ++t) {
    sum += profiles.cell_counts[t] * static_cast<double>(profiles.cells[t]);
    cells += static_cast<double>(profiles.cells[t]);
  }
  if (totals.empty() || !(sum > 0)) return 2;
  const auto middle = totals.begin() + static_cast<std::ptrdiff_t>(totals.size() / 2);
  std::nth_element(totals.begin(), middle, totals.end());
  return std::clamp(*middle / (sum / cells), 2.0, 30.0);
}

void require_head_memory(const TaskArguments& task, const std::string& path, std::int64_t spots,
                         std::int64_t genes) {
  const std::int64_t bytes = checked_mul(checked_mul(spots, genes, "genes of all spots"), 12, "bytes");
  if (bytes > task_memory(task))
    throw ResourceError({"STOFM-2078", path, "memory",
                         concat("about ", bytes, " bytes for ", genes, " genes of ", spots, " spots"),
                         concat("at most ", task_memory(task)),
                         "Use --method poisson, which needs no dense counts, or raise --max-memory."});
}

}  // namespace

tasks::Deconvolution deconvolve_by_head(const DeconvolveArguments& a, const TaskSlice& spots,
                                        const DeconvolveReference& reference,
                                        const tasks::SharedGenes& shared,
                                        const tasks::CellTypeProfiles& profiles, const io::CountRows& counts,
                                        const std::vector<std::string>& types) {
  if (reference.table.numel() > 0)
    throw UsageError({"STOFM-2077", reference.slices.front().slice.path, "--method head",
                      "a table of mean counts", "labelled cells, to make spots of",
                      "Give cells (.h5ad) to --reference, or use --method poisson."});
  Console& console = Console::get();
  const LoadedModel model = load_task_model(a.task);
  require_head_memory(a.task, spots.slice.path, head_pseudospots + spots.slice.cells, shared.size());
  double labelled = 0;
  for (const std::int64_t cells : profiles.cells) labelled += static_cast<double>(cells);
  std::vector<io::Slice> made;
  std::vector<tasks::SparseRows> genes;
  std::vector<double> shares;
  tasks::PseudospotOptions options{
      .cells_per_spot = cells_of_a_spot(counts, profiles), .min_cells = 1, .seed = a.task.geometry.seed};
  for (std::size_t r = 0; r < reference.slices.size(); ++r) {
    const std::vector<std::int32_t> codes = kept_codes(reference, r, types);
    const auto here = std::count_if(codes.begin(), codes.end(), [](std::int32_t code) { return code >= 0; });
    if (here == 0) continue;
    options.random = std::max<std::int64_t>(
        1, std::llround(static_cast<double>(head_pseudospots) * static_cast<double>(here) / labelled));
    const tasks::PseudospotPlan plan =
        tasks::plan_random_pseudospots(codes, static_cast<std::int64_t>(types.size()), options);
    made.push_back(tasks::pseudospot_slice(reference.slices[r].slice, plan, options));
    genes.push_back(tasks::gene_counts(made.back(), shared.gene_of[r + 1], shared.size()));
    for (std::int64_t s = 0; s < plan.spots(); ++s) {
      const auto cells = static_cast<double>(plan.offsets[static_cast<std::size_t>(s) + 1] -
                                             plan.offsets[static_cast<std::size_t>(s)]);
      for (std::size_t t = 0; t < types.size(); ++t)
        shares.push_back(plan.composition(s, static_cast<std::int64_t>(t)) / cells);
    }
    ++options.seed;
  }
  std::vector<const io::Slice*> slices;
  for (const io::Slice& one : made) slices.push_back(&one);
  slices.push_back(&spots.slice);
  genes.push_back(tasks::gene_counts(spots.slice, shared.gene_of[0], shared.size()));
  const double target = tasks::median_total(genes);
  std::vector<Tensor<float>> others;
  for (tasks::SparseRows& rows : genes) {
    (void)tasks::log_normalise(rows, target);
    others.push_back(tasks::dense_rows(rows));
  }
  tasks::SliceFeatureOptions embedding;
  embedding.kind = tasks::FeatureKind::cells;
  embedding.embed = task_embed_options(a.task, task_memory(a.task));
  const tasks::SliceFeatures states =
      tasks::slice_features(std::span<const io::Slice* const>(slices), &model.model, embedding,
                            pipeline::Progress([&console](const pipeline::ProgressEvent& event) {
                              console.progress(stage_name(event.stage), event.done, event.total, event.unit);
                            }));
  console.end_progress();
  const std::size_t last = made.size();
  const Tensor<float> known_states = tasks::stacked_rows(std::span(states.rows).first(last)),
                      known_others = tasks::stacked_rows(std::span(others).first(last));
  const auto n = static_cast<std::int64_t>(shares.size() / types.size());
  const tasks::CompositionHead head = tasks::fit_composition_head(
      {known_states.view(), known_others.view()},
      matrix_view<const double>(shares.data(), n, static_cast<std::int64_t>(types.size())),
      {.seed = a.task.geometry.seed});
  console.say(concat("head: learnt from ", format_count(n), " spots of ",
                     format_number(options.cells_per_spot, 2), " cells on the mean, cross-entropy ",
                     format_number(head.losses.front(), 3), " -> ", format_number(head.losses.back(), 3)));
  tasks::Deconvolution found;
  found.proportions = tasks::predict_composition(
      head, {std::as_const(states.rows[last]).view(), std::as_const(others[last]).view()});
  found.genes_used = shared.size();
  for (std::int64_t i = 0; i < counts.rows(); ++i) {
    double total = 0;
    for (auto e = counts.offsets[static_cast<std::size_t>(i)];
         e < counts.offsets[static_cast<std::size_t>(i) + 1]; ++e)
      total += counts.values[static_cast<std::size_t>(e)];
    found.counts.push_back(total);
    found.empty_spots += !(total > 0);
    double sum = 0;
    for (std::int64_t t = 0; t < found.proportions.dim(1); ++t) {
      double& share = found.proportions(i, t);
      if (a.as == "counts") share *= profiles.cell_counts[static_cast<std::size_t>(t)];
      sum += share;
    }
    for (std::int64_t t = 0; t < found.proportions.dim(1); ++t)
      found.proportions(i, t) =
          total > 0 ? found.proportions(i, t) / sum : std::numeric_limits<double>::quiet_NaN();
  }
  return found;
}

}  // namespace stofm::program
