// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A head on the simplex: shares of cell types in a spot from what a model makes of its counts, learnt from
/// spots of known composition (pseudospots.hpp).
///
///     q = softmax(D x + W2 dropout(gelu(W1 x + b1)) + b2),    x = [h, f], standardised
///     loss = mean over spots of -sum_t p_t log q_t
///
/// h: embedding of the spot, f: other features of it, such as log-normalised counts. The head is that of
/// fine-tuned classifiers (classifier_head.hpp), begun near equal shares; AdamW, cosine schedule with warm-up
/// over a tenth of the steps. It knows no counts, so it has no interval and no misfit. The likelihood of
/// deconvolve.hpp tells shares better wherever we measured (docs/deconvolve.md): this is for comparison, and
/// for models that are more than the bundled one. *Source* ours; learning from simulated mixtures as in
/// Menden et al., "Deep learning-based cell composition analysis from tissue expression profiles" (2020).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "stofm/autograd/rules/reduce.hpp"
#include "stofm/autograd/rules/softmax.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/nn/schedule.hpp"
#include "stofm/tasks/classifier.hpp"

namespace stofm::tasks {

/// What a head is given of spots.
struct CompositionRows {
  TensorView<const float> states;  ///< [spots, E] embedding of the model
  TensorView<const float> others;  ///< [spots, C] other features
};

struct CompositionHeadOptions {
  HeadOptions head{};
  std::int64_t epochs = 40;
  std::int64_t batch = 64;  ///< spots a step
  double learning_rate = 1e-3;
  double weight_decay = 0.05;
  double clip_norm = 1.0;
  std::uint64_t seed = 0;

  /// \throws UsageError STOFM-4740 for a value out of range.
  void validate() const {
    head.validate();
    const bool good = epochs >= 1 && batch >= 1 && learning_rate > 0 && std::isfinite(learning_rate) &&
                      weight_decay >= 0 && std::isfinite(weight_decay) && clip_norm > 0;
    if (!good)
      throw UsageError({"STOFM-4740", "", "head on the simplex",
                        concat(epochs, " epochs, ", batch, " spots a step, rate ", learning_rate, ", decay ",
                               weight_decay, ", clip ", clip_norm),
                        "counts of at least 1, a finite rate above 0", "Check the options."});
  }
};

/// A fitted head.
struct CompositionHead {
  HeadShape shape;  ///< classes: types
  HeadOptions options;
  Tensor<float> mean[2], scale[2];    ///< of the states, of the other features
  model::NamedTensors<float> values;  ///< of ClassifierHead
  std::vector<double> losses;         ///< mean of each epoch
};

/// Mean over rows of -sum_t p_t log softmax(logits)_t; `shares` [N, T] rows sum to 1. Its least value is the
/// entropy of the shares.
template <ops::Computed T>
autograd::Variable<T> composition_loss(const autograd::Variable<T>& logits, const Tensor<T>& shares) {
  const auto rows = static_cast<double>((std::max<std::int64_t>)(shares.dim(0), 1));
  return autograd::scale(
      autograd::sum(autograd::mul(autograd::log_softmax(logits), autograd::constant(shares))),
      static_cast<T>(-1.0 / rows));
}

namespace detail {

inline void check_composition_rows(const char* op, const CompositionRows& rows) {
  for (const auto* side : {&rows.states, &rows.others}) {
    require_rows(op, *side);
    require_finite_rows(op, *side);
  }
  require_same_count(op, static_cast<std::size_t>(rows.states.dim(0)),
                     static_cast<std::size_t>(rows.others.dim(0)), "rows of states and of other features");
}

/// Both sides of `rows`, standardised as the head was fitted.
inline std::pair<Tensor<float>, Tensor<float>> composition_inputs(const CompositionHead& head,
                                                                  const CompositionRows& rows) {
  const auto scaled = [](TensorView<const float> side, const Tensor<float>& mean,
                         const Tensor<float>& scale) {
    Tensor<float> out({side.dim(0), side.dim(1)});
    parallel_for(side.dim(0), 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t c = 0; c < side.dim(1); ++c)
          out.data()[i * side.dim(1) + c] = (side.row(i)[c] - mean.data()[c]) / scale.data()[c];
    });
    return out;
  };
  return {scaled(rows.states, head.mean[0], head.scale[0]), scaled(rows.others, head.mean[1], head.scale[1])};
}

}  // namespace detail

/// Fits a head to spots with the shares `known` [spots, types] (rows sum to 1). \throws UsageError for
/// options out of range (STOFM-4740); ShapeError for sides of other numbers of rows (4700), rows that are not
/// dense (4704); DataError for no spots (4701), a feature that is not finite (4703), shares that are negative
/// or do not sum to 1 (4764). *Cost* about 6 spots hidden (E + C) operations an epoch. *Deterministic* yes
/// for a seed, any thread count.
STOFM_INLINE CompositionHead fit_composition_head(const CompositionRows& rows, TensorView<const double> known,
                                                  const CompositionHeadOptions& options = {});

/// Shares [spots, types] of `rows`, each row sums to 1. \throws ShapeError for other widths than those of the
/// head (STOFM-4749), as above. *Cost* 2 spots hidden (E + C). *Deterministic* yes, any thread count.
inline Tensor<double> predict_composition(const CompositionHead& head, const CompositionRows& rows) {
  constexpr const char* op = "[predict_composition]";
  detail::check_composition_rows(op, rows);
  if (rows.states.dim(1) != head.shape.state || rows.others.dim(1) != head.shape.cell)
    throw ShapeError({"STOFM-4749", "", op,
                      concat(rows.states.dim(1), " and ", rows.others.dim(1), " columns"),
                      concat(head.shape.state, " and ", head.shape.cell, ", as the head was fitted to"),
                      "Give the features that the head was fitted to."});
  const auto [states, others] = detail::composition_inputs(head, rows);
  const autograd::ParameterSet<float> set(head.values);
  std::vector<std::int32_t> present(static_cast<std::size_t>(head.shape.classes));
  std::iota(present.begin(), present.end(), 0);
  return detail::head_probabilities(ClassifierHead<float>(set, "", head.options), states, others,
                                    head.shape.classes, present);
}

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::fit_composition_head(const CompositionRows& rows, TensorView<const double> known,
                                              const CompositionHeadOptions& options) -> CompositionHead {
  constexpr const char* op = "[fit_composition_head]";
  options.validate();
  detail::check_composition_rows(op, rows);
  detail::require_rows(op, known);
  const std::int64_t n = known.dim(0), types = known.dim(1);
  detail::require_same_count(op, static_cast<std::size_t>(n), static_cast<std::size_t>(rows.states.dim(0)),
                             "shares and rows");
  detail::require_some(op, static_cast<std::size_t>(n));
  Tensor<float> shares({n, types});
  for (std::int64_t i = 0; i < n; ++i) {
    double sum = 0, least = 0;
    for (std::int64_t t = 0; t < types; ++t) {
      sum += known.row(i)[t], least = (std::min)(least, known.row(i)[t]);
      shares(i, t) = static_cast<float>(known.row(i)[t]);
    }
    if (!(std::abs(sum - 1) <= 1e-6) || !(least >= 0))
      throw DataError({"STOFM-4764", "", concat(op, " spot ", i), concat("shares that sum to ", sum),
                       "shares >= 0 that sum to 1", "Divide each spot's composition by its cells."});
  }
  CompositionHead head;
  head.shape = {.state = rows.states.dim(1), .cell = rows.others.dim(1), .classes = types};
  head.options = options.head;
  const std::vector<std::int64_t> all = detail::all_rows(n);
  for (int side = 0; side < 2; ++side) {
    const Standardisation by = detail::standardisation_of(side == 0 ? rows.states : rows.others, all);
    const auto width = static_cast<std::int64_t>(by.mean.size());
    head.mean[side] = Tensor<float>({width});
    head.scale[side] = Tensor<float>({width});
    std::copy(by.mean.begin(), by.mean.end(), head.mean[side].data());
    std::copy(by.scale.begin(), by.scale.end(), head.scale[side].data());
  }
  const auto [states, others] = detail::composition_inputs(head, rows);
  autograd::ParameterSet<float> set;
  const RandomKey key{.seed = options.seed, .stream = 0x636f6d70};
  create_head(set, "", head.shape, options.head, key);
  const ClassifierHead<float> net(set, "", options.head);
  nn::AdamW<float> optimizer(set,
                             {.learning_rate = options.learning_rate, .weight_decay = options.weight_decay});
  const std::int64_t per_epoch = (n + options.batch - 1) / options.batch;
  const nn::ScheduleOptions schedule{.learning_rate = options.learning_rate,
                                     .warmup_steps = options.epochs * per_epoch / 10,
                                     .total_steps = options.epochs * per_epoch};
  std::vector<std::int64_t> order = all;
  std::int64_t step = 0;
  for (std::int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    Random random = key.child(1).child(static_cast<std::uint64_t>(epoch)).generator();
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    double loss = 0;
    for (std::int64_t begin = 0; begin < n; begin += options.batch, ++step) {
      const std::vector<std::int64_t> taken(order.begin() + begin,
                                            order.begin() + (std::min)(n, begin + options.batch));
      const RandomKey dropped = key.child(2).child(static_cast<std::uint64_t>(step));
      autograd::Tape<float> tape;
      const auto logits =
          net.logits(tape, autograd::constant(pipeline::detail::gather_rows(states, taken)),
                     autograd::constant(pipeline::detail::gather_rows(others, taken)), &dropped);
      const auto mean = composition_loss<float>(logits, pipeline::detail::gather_rows(shares, taken));
      set.zero_grad();
      tape.backward(mean);
      (void)nn::clip_gradients(set, options.clip_norm);
      optimizer.step(nn::learning_rate_at(schedule, step));
      loss += static_cast<double>(mean.value().data()[0]) * static_cast<double>(taken.size());
    }
    head.losses.push_back(loss / static_cast<double>(n));
  }
  for (const auto* parameter : set.list()) head.values.emplace(parameter->name(), parameter->value().clone());
  return head;
}

}  // namespace stofm
#endif
