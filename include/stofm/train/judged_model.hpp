// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What validation asks of a model in training, on whatever device it is.

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "stofm/train/pretrain.hpp"

namespace stofm::train {

/// Labelled pairs that a move touched.
struct TouchedPairs {
  std::vector<std::int64_t> rows, columns;
  std::vector<float> targets;
};

/// What a model reaches: sums of cosines over masked cells and of squared errors over touched pairs.
struct ModelSums {
  double cosines = 0, squares = 0;
};
/// A model that is judged: of a masked piece, the first `masked` of its labelled cells, and some pairs.
/// Nothing is dropped. CudaPretrain::judge is one on a device.
using JudgedModel =
    std::function<ModelSums(const LoadedPiece& piece, std::int64_t masked, const TouchedPairs& pairs)>;

namespace detail {

inline double cosine(const float* a, const float* b, std::int64_t count) {
  double ab = 0, aa = 0, bb = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    ab += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0.0;
}

}  // namespace detail

/// The model of a step on the CPU, which must outlive the result.
inline JudgedModel judged_model(const PretrainStep& step) {
  return [&step](const LoadedPiece& piece, std::int64_t masked, const TouchedPairs& pairs) {
    const TrainingSample& sample = piece.sample;
    autograd::Tape<float> tape;
    const autograd::NoGrad<float> none(tape);
    const auto features =
        step.node_features ? step.node_features(tape, piece) : autograd::constant(sample.features);
    const auto output = step.trainer().forward(tape, features, sample.distances, sample.token_types);
    ModelSums sums;
    if (masked > 0) {
      const std::int64_t width = sample.mcm_targets.dim(1);
      const auto predicted = step.heads()
                                 .predict_cells(tape, output.last_hidden,
                                                {sample.mcm_nodes.data(), static_cast<std::size_t>(masked)})
                                 .value();
      for (std::int64_t i = 0; i < masked; ++i)
        sums.cosines +=
            detail::cosine(predicted.data() + i * width, sample.mcm_targets.data() + i * width, width);
    }
    if (!pairs.targets.empty())
      sums.squares =
          static_cast<double>(step.heads()
                                  .pair_distance_loss(tape, output, pairs.rows, pairs.columns, pairs.targets)
                                  .sum.value()
                                  .data()[0]);
    return sums;
  };
}

}  // namespace stofm::train
