// SPDX-License-Identifier: MIT
/// \file
/// Silhouettes of labels in an embedding for `stofm evaluate`.

#include <algorithm>
#include <cmath>
#include <limits>

#include "console.hpp"
#include "stofm/tasks/silhouette.hpp"
#include "tasks/evaluate_run.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {

void evaluate_embedding(const EvaluateArguments& a, const EvaluateInput& input, EvaluateResult& result) {
  nlohmann::json json = {{"key", a.embedding}};
  for (const bool truth : {true, false}) {
    if (!truth && a.predicted.empty()) continue;
    const auto side = truth ? &EvaluateSlice::truth : &EvaluateSlice::predicted;
    std::vector<std::int32_t> labels;
    std::vector<float> rows;
    const std::int64_t width = input.slices.front().embedding.dim(1);
    std::int64_t without = 0;
    for (const EvaluateSlice& slice : input.slices) {
      if (slice.embedding.dim(1) != width)
        throw DataError({"STOFM-4783", slice.path, "obsm/" + a.embedding,
                         concat(slice.embedding.dim(1), " columns"),
                         concat(width, ", as the first slice has"), "Give slices embedded in the same way."});
      for (std::size_t i = 0; i < (slice.*side).size(); ++i) {
        const float* row = slice.embedding.data() + static_cast<std::int64_t>(i) * width;
        if ((slice.*side)[i] < 0) continue;
        if (!std::all_of(row, row + width, [](float v) { return std::isfinite(v); })) {
          ++without;
          continue;
        }
        labels.push_back((slice.*side)[i]);
        rows.insert(rows.end(), row, row + width);
      }
    }
    const std::string name = truth ? a.truth : a.predicted;
    if (without > 0)
      result.words.push_back(concat("left out of the silhouette of ", name, ": ", format_count(without),
                                    " cells without ", a.embedding));
    const auto count = static_cast<std::int64_t>(labels.size());
    constexpr double operations = 2e10;  // about 10 s on one core
    std::int64_t sample = a.silhouette_cells;
    if (sample < 0 && count > 0)
      sample = std::max<std::int64_t>(
          500, static_cast<std::int64_t>(operations / static_cast<double>(count * width)));
    double mean = std::numeric_limits<double>::quiet_NaN();
    std::int64_t looked_at = 0;
    try {
      const tasks::Silhouette found =
          tasks::silhouette(matrix_view<const float>(rows.data(), count, width), labels,
                            {.sample = sample < count ? sample : 0, .seed = a.task.geometry.seed});
      mean = found.mean;
      looked_at = static_cast<std::int64_t>(found.cells.size());
    } catch (const DataError& error) {
      if (error.code() != "STOFM-4705" && error.code() != "STOFM-4701") throw;
      result.words.push_back(concat("no silhouette of ", name, ": ", error.found()));
    }
    result.figures.push_back(
        {concat("silhouette_", truth ? "truth" : "predicted"), concat("silhouette of ", name), mean});
    json[truth ? "truth" : "predicted"] = number_json(mean);
    json[truth ? "truth_cells" : "predicted_cells"] = looked_at;
  }
  result.summary["silhouette"] = std::move(json);
}

}  // namespace stofm::program
