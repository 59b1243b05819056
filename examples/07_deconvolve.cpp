// SPDX-License-Identifier: MIT
// Spots of known composition from one half of a labelled slice, taken apart with the cells of the other half.
//   07_deconvolve examples/data/xenium_mousebrain_4261.h5ad cell_type
#include <cstdio>

#include "stofm/embed.hpp"
#include "stofm/tasks/composition_scores.hpp"
#include "stofm/tasks/deconvolve.hpp"
#include "stofm/tasks/pseudospots.hpp"

int main(int count, char** words) {
  if (count < 3) return std::puts("usage: 07_deconvolve SLICE.h5ad LABEL"), 2;
  stofm::io::H5adReadOptions reading;
  reading.obs_columns = {words[2]};
  const stofm::io::Slice slice = stofm::io::read_h5ad(words[1], reading);
  const stofm::io::SliceLabels& labels = slice.labels.front();
  const auto types = static_cast<std::int64_t>(labels.categories.size());

  std::vector<std::int32_t> left = labels.codes, right = labels.codes;  // -1: no part of this half
  std::vector<double> x;
  for (std::int64_t i = 0; i < slice.cells; ++i) x.push_back(slice.coordinates(i, 0));
  std::nth_element(x.begin(), x.begin() + slice.cells / 2, x.end());
  for (std::int64_t i = 0; i < slice.cells; ++i)
    (slice.coordinates(i, 0) < x[static_cast<std::size_t>(slice.cells / 2)]
         ? right
         : left)[static_cast<std::size_t>(i)] = -1;

  stofm::tasks::CellTypeSums sums(types, slice.genes());
  sums.add(stofm::io::read_count_rows(slice, 0, slice.cells), left);
  const auto plan = stofm::tasks::plan_pseudospots(slice.coordinates.view(), right, types);
  const auto spots = stofm::tasks::sum_pseudospots(slice, plan);
  const auto found = stofm::tasks::deconvolve(spots, sums.profiles(), {.as_cells = true, .interval = 0.9});
  const auto scores = stofm::tasks::composition_scores(plan.composition.view(), found.proportions.view(),
                                                       found.low.view(), found.high.view());
  std::printf(
      "%lld spots: Pearson per type %.3f, RMSE %.3f, Jensen-Shannon %.3f, %.0f %% in their interval\n",
      static_cast<long long>(plan.spots()), scores.pearson, scores.rmse, scores.jensen_shannon,
      100 * scores.coverage);
  return 0;
}
