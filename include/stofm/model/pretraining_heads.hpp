// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The two heads of pretraining and their losses, as sums over what is labelled, so that a batch of several
/// sub-slices divides by the number in the whole batch:
///   MCM  1 - cos(prediction, F), prediction = lm_head.2 relu(lm_head.0 h) at the labelled nodes (its length
///   does not
///        change the cosine, so the reference's normalisation is left out)
///   PDR  (prediction - D)^2, prediction = pair_head.2 relu(pair_head.0 P_L) at the labelled pairs
/// *Source* SPEC section 6.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/autograd/rules/losses.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/model/init.hpp"
#include "stofm/model/pair_head.hpp"
#include "stofm/model/se2_training.hpp"

namespace stofm::model {

/// Parameters of the heads, by the names of the released checkpoints. \throws as Se2Config::validate()
inline std::vector<ParameterSpec> pretraining_head_list(const Se2Config& config) {
  config.validate();
  const std::int64_t e = config.embedding_dim, h = config.num_attention_heads, c = config.input_dim;
  const char *embedding = "embedding_dim", *heads = "num_attention_heads", *input = "input_dim";
  return {{"lm_head.0.weight", {e, e}, {embedding, embedding}}, {"lm_head.0.bias", {e}, {embedding}},
          {"lm_head.2.weight", {c, e}, {input, embedding}},     {"lm_head.2.bias", {c}, {input}},
          {"pair_head.0.weight", {h, h}, {heads, heads}},       {"pair_head.0.bias", {h}, {heads}},
          {"pair_head.2.weight", {1, h}, {"scalar", heads}},    {"pair_head.2.bias", {1}, {"scalar"}}};
}

/// Random ones: weights N(0, sd^2), biases 0. As initial_parameters().
template <Real T = float>
NamedTensors<T> initial_head_parameters(const Se2Config& config, const InitOptions& options = {}) {
  NamedTensors<T> result;
  for (const ParameterSpec& spec : pretraining_head_list(config))
    result.emplace(spec.name, detail::initial_tensor<T>(spec, options));
  return result;
}

/// A loss before it is divided.
template <Real T>
struct LossSum {
  autograd::Variable<T> sum;  ///< [] sum over the labelled; a constant 0 if there are none
  std::int64_t count = 0;     ///< how many there are
};

/// Holds no values: the parameters are those of the set behind `prefix`.
template <Real T>
class PretrainingHeads {
 public:
  /// `parameters` must outlive it. \throws as check_parameters().
  PretrainingHeads(const Se2Config& config, autograd::ParameterSet<T>& parameters, std::string prefix = "")
      : parameters_(parameters), prefix_(std::move(prefix)) {
    check_parameters<T>(pretraining_head_list(config), parameters.values(prefix_),
                        [](const std::string&) { return true; }, {.prefix = prefix_});
  }

  /// *Shapes* last_hidden: [N, E], nodes: m places, targets: [m, input_dim]. \throws ShapeError, also for a
  /// node outside [0, N). *Cost* 4 m E^2 FLOP.
  LossSum<T> masked_cell_loss(autograd::Tape<T>& tape, const autograd::Variable<T>& last_hidden,
                              std::span<const std::int64_t> nodes, const Tensor<T>& targets) const {
    const auto count = static_cast<std::int64_t>(nodes.size());
    if (count == 0) return {autograd::constant(Tensor<T>::zeros(Shape{})), 0};
    return {autograd::cosine_loss(predict_cells(tape, last_hidden, nodes), targets, autograd::Reduction::sum),
            count};
  }
  /// Predictions of the embeddings of the given nodes, [m, input_dim], not normalised.
  autograd::Variable<T> predict_cells(autograd::Tape<T>& tape, const autograd::Variable<T>& last_hidden,
                                      std::span<const std::int64_t> nodes) const {
    const nn::Linear<T> inner(parameters_, prefix_ + "lm_head.0"), outer(parameters_, prefix_ + "lm_head.2");
    return outer(tape, autograd::relu(inner(tape, autograd::take_rows(last_hidden, nodes))));
  }

  /// *Shapes* rows, columns, targets: [p]. Nodes are numbered as the token types given to forward(). \throws
  /// ShapeError, also for a node that is padding or none. *Cost* 2 p H (L E / H + 3 H) FLOP. *Memory* O(p H).
  LossSum<T> pair_distance_loss(autograd::Tape<T>& tape, const Se2TrainingOutput<T>& output,
                                std::span<const std::int64_t> rows, std::span<const std::int64_t> columns,
                                std::span<const float> targets) const {
    const auto count = static_cast<std::int64_t>(targets.size());
    if (rows.size() != targets.size() || columns.size() != targets.size())
      throw ShapeError({"STOFM-1344", "", "[pair_distance_loss]",
                        concat(rows.size(), " rows, ", columns.size(), " columns, ", count, " targets"),
                        "one of each per pair", "Check the labels."});
    if (count == 0) return {autograd::constant(Tensor<T>::zeros(Shape{})), 0};
    const PairHeadVariables<T> head{at(tape, "pair_head.0.weight"), at(tape, "pair_head.0.bias"),
                                    at(tape, "pair_head.2.weight"), at(tape, "pair_head.2.bias")};
    const auto values = output.pairs->pair_values(places(output, rows), places(output, columns));
    return {pair_head_squared_error<T>(values, head, targets), count};
  }

 private:
  autograd::Variable<T> at(autograd::Tape<T>& tape, const char* name) const {
    return tape.parameter(parameters_.at(prefix_ + name));
  }
  static std::vector<std::int64_t> places(const Se2TrainingOutput<T>& output,
                                          std::span<const std::int64_t> nodes) {
    std::vector<std::int64_t> result(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const std::int64_t node = nodes[i];
      const bool inside = node >= 0 && node < static_cast<std::int64_t>(output.position.size());
      result[i] = inside ? output.position[static_cast<std::size_t>(node)] : -1;
      if (result[i] < 0)
        throw ShapeError({"STOFM-1345", "", concat("[pair_distance_loss] pair ", i), concat("node ", node),
                          concat("0 to ", output.position.size(), ", not padding"), "Check the labels."});
    }
    return result;
  }

  autograd::ParameterSet<T>& parameters_;
  std::string prefix_;
};

/// What each loss counts.
struct LossWeights {
  double cells = 1.0, pairs = 1.0;
};

/// What backward starts from: w_cells * cells.sum / cells in the batch + w_pairs * pairs.sum / pairs in the
/// batch.
template <Real T>
autograd::Variable<T> combined_loss(const LossSum<T>& cells, std::int64_t cells_in_batch,
                                    const LossSum<T>& pairs, std::int64_t pairs_in_batch,
                                    const LossWeights& weights = {}) {
  const auto part = [](const LossSum<T>& loss, std::int64_t total, double weight) {
    return autograd::scale(loss.sum, static_cast<T>(total > 0 ? weight / static_cast<double>(total) : 0.0));
  };
  return autograd::add(part(cells, cells_in_batch, weights.cells),
                       part(pairs, pairs_in_batch, weights.pairs));
}

STOFM_INSTANCE(class PretrainingHeads<float>)

}  // namespace stofm::model
