// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One step of pretraining: pieces in, gradients of both losses out.
///
///   loss = w_mcm * (sum of 1 - cos) / (labelled cells of the batch) + w_pdr * (sum of squares) / (labelled
///   pairs)
///
/// The pieces of a batch go through the model one after the other, each on a tape of its own, so memory is
/// that of one piece whatever the batch; the counts that the sums are divided by are known before, from the
/// masks, and are summed over processes. Masks and dropout are drawn by (seed, epoch, slice, piece): the same
/// on any number of threads and processes, and after a resume. *Source* SPEC section 6; weights 1:1 are our
/// choice.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/model/pretraining_heads.hpp"
#include "stofm/model/se2_training.hpp"
#include "stofm/train/corpus_loader.hpp"
#include "stofm/train/masking.hpp"
#include "stofm/train/training_loop.hpp"

namespace stofm::train {

struct PretrainOptions {
  MaskingOptions masking = {};
  double mcm_weight = 1.0, pdr_weight = 1.0;  ///< our choice: the paper adds the losses
  bool dropout = true;
  std::uint64_t seed = 0;

  /// \throws UsageError STOFM-4560 for weights that are negative, not finite, or both 0.
  void validate() const {
    masking.validate();
    const auto good = [](double w) { return std::isfinite(w) && w >= 0; };
    if (!good(mcm_weight) || !good(pdr_weight) || mcm_weight + pdr_weight <= 0)
      throw UsageError({"STOFM-4560", "", "loss weights", concat(mcm_weight, " and ", pdr_weight),
                        "finite, none negative, one above 0", "The defaults are 1 and 1."});
  }
};

/// The parameters of pretraining under "se2/": the model's and the heads'. Values of `start` where it has
/// them (it may lack the heads), else random ones. \throws FileError as check_parameters if `start` has a
/// part of the model only.
inline autograd::ParameterSet<float> pretraining_parameters(const model::Se2Config& config,
                                                            const model::NamedTensors<float>& start,
                                                            std::uint64_t seed);

/// Sets the last bias of the pair head to the mean labelled distance of some pieces: our choice for random
/// heads. Distances are far from 0 in normalised coordinates, and a bias that starts there takes thousands of
/// steps to arrive while its error drowns the gradients of everything else. Nothing is changed without
/// labelled pairs.
inline void start_pair_head(autograd::ParameterSet<float>& parameters, std::span<const LoadedPiece> pieces) {
  double sum = 0, count = 0;
  for (const LoadedPiece& piece : pieces)
    for (const float distance : piece.sample.pair_targets) {
      sum += static_cast<double>(distance);
      count += 1;
    }
  if (count > 0) parameters.at("se2/pair_head.2.bias").changing().data()[0] = static_cast<float>(sum / count);
}

/// Feature of the nodes of a piece as a variable: where a cell encoder that is trained too comes in. Gets the
/// piece with its masks; default: the features of the sample as a constant.
using NodeFeatures = std::function<autograd::Variable<float>(autograd::Tape<float>&, const LoadedPiece&)>;

/// Steps of pretraining over the parameters of a set.
class PretrainStep {
 public:
  /// `parameters` (of pretraining_parameters) and `corpus` must outlive it. \throws UsageError, as
  /// check_parameters.
  PretrainStep(const model::Se2Config& config, autograd::ParameterSet<float>& parameters,
               const PretrainOptions& options)
      : options_(options), trainer_(config, parameters, "se2/"), heads_(config, parameters, "se2/") {
    options.validate();
  }

  /// Adds the gradients of this process's pieces of a batch. Pieces that nothing can be learnt from are
  /// passed over (rows D37, D38; the loader counts them).
  StepReport run(const TrainingBatch& batch);

  const model::Se2Trainer<float>& trainer() const { return trainer_; }
  const model::PretrainingHeads<float>& heads() const { return heads_; }

  NodeFeatures node_features = {};  ///< may change between steps
  std::function<void(std::vector<double>&)> sum_over_processes =
      {};  ///< sums each number; empty: one process
  /// Before the tape of a batch's last piece is walked back: gradients of parameters become complete in it.
  std::function<void(autograd::Tape<float>&)> before_last_backward = {};
  /// After it, while that tape lives and before anything else is exchanged; also where no piece is usable:
  /// where gradients are summed over processes.
  std::function<void()> after_last_backward = {};

 private:
  /// \return sums of both losses
  std::pair<double, double> one_piece(const LoadedPiece& piece, double cells, double pairs, bool last);

  PretrainOptions options_;
  model::Se2Trainer<float> trainer_;
  model::PretrainingHeads<float> heads_;
};

namespace detail {
/// Of one visit of a piece: this run, this epoch.
inline RandomKey dropout_key(std::uint64_t seed, const PieceRef& ref) {
  return RandomKey{.seed = seed, .stream = 0x64726f70, .step = static_cast<std::uint64_t>(ref.epoch)}
      .child(static_cast<std::uint64_t>(ref.slice))
      .child(static_cast<std::uint64_t>(ref.piece));
}

/// Labelled cells, labelled pairs and cells of the usable pieces.
inline std::vector<double> batch_counts(const TrainingBatch& batch) {
  std::vector<double> counts(3);
  for (const LoadedPiece& piece : batch.pieces) {
    const TrainingSample& sample = piece.sample;
    if (!sample.usable()) continue;
    counts[0] += static_cast<double>(sample.mcm_nodes.size());
    counts[1] += static_cast<double>(sample.pair_targets.size());
    counts[2] += static_cast<double>(std::count(sample.token_types.begin(), sample.token_types.end(),
                                                static_cast<std::int32_t>(model::NodeType::cell)));
  }
  return counts;
}

/// Of the sums of both losses over a batch and its counts.
inline StepReport step_report(const std::vector<double>& sums, const std::vector<double>& counts,
                              const PretrainOptions& options) {
  StepReport report;
  const double mcm = counts[0] > 0 ? sums[0] / counts[0] : 0.0,
               pdr = counts[1] > 0 ? sums[1] / counts[1] : 0.0;
  report.loss = options.mcm_weight * mcm + options.pdr_weight * pdr;
  report.losses = {{"mcm", mcm}, {"pdr", pdr}};
  report.cells = static_cast<std::int64_t>(counts[2]);
  return report;
}
}  // namespace detail

inline autograd::ParameterSet<float> pretraining_parameters(const model::Se2Config& config,
                                                            const model::NamedTensors<float>& start,
                                                            std::uint64_t seed) {
  autograd::ParameterSet<float> parameters;
  const auto body = start.empty() ? model::initial_parameters<float>(config, {.seed = seed}) : start;
  for (const auto& spec : model::parameter_list(config))
    if (const auto found = body.find(spec.name); found != body.end())
      parameters.add("se2/" + spec.name, found->second);
  const auto heads = model::initial_head_parameters<float>(config, {.seed = seed});
  for (const auto& [name, tensor] : heads) {
    const auto found = start.find(name);
    parameters.add("se2/" + name,
                   found != start.end() && found->second.shape() == tensor.shape() ? found->second : tensor);
  }
  return parameters;
}

inline std::pair<double, double> PretrainStep::one_piece(const LoadedPiece& piece, double cells, double pairs,
                                                         bool last) {
  const TrainingSample& sample = piece.sample;
  autograd::Tape<float> tape;
  const auto features = node_features ? node_features(tape, piece) : autograd::constant(sample.features);
  const auto output =
      trainer_.forward(tape, features, sample.distances, sample.token_types,
                       {.dropout = options_.dropout, .key = detail::dropout_key(options_.seed, piece.ref)});
  const auto mcm = heads_.masked_cell_loss(tape, output.last_hidden, sample.mcm_nodes, sample.mcm_targets);
  const auto pdr =
      heads_.pair_distance_loss(tape, output, sample.pair_rows, sample.pair_columns, sample.pair_targets);
  const auto loss =
      model::combined_loss(mcm, static_cast<std::int64_t>(cells), pdr, static_cast<std::int64_t>(pairs),
                           {.cells = options_.mcm_weight, .pairs = options_.pdr_weight});
  if (last && before_last_backward) before_last_backward(tape);
  tape.backward(loss);
  if (last && after_last_backward) after_last_backward();
  return {static_cast<double>(mcm.sum.value().data()[0]), static_cast<double>(pdr.sum.value().data()[0])};
}

inline StepReport PretrainStep::run(const TrainingBatch& batch) {
  std::vector<double> counts = detail::batch_counts(batch);
  std::size_t last = 0;
  for (std::size_t i = 0; i < batch.pieces.size(); ++i)
    if (batch.pieces[i].sample.usable()) last = i;
  const std::int64_t usable = batch.usable();
  if (sum_over_processes) sum_over_processes(counts);
  std::vector<double> sums(2);
  for (std::size_t i = 0; i < batch.pieces.size(); ++i) {
    if (!batch.pieces[i].sample.usable()) continue;
    const auto [mcm, pdr] = one_piece(batch.pieces[i], counts[0], counts[1], i == last);
    sums[0] += mcm;
    sums[1] += pdr;
  }
  if (usable == 0 && after_last_backward) after_last_backward();
  if (sum_over_processes) sum_over_processes(sums);
  return detail::step_report(sums, counts, options_);
}

}  // namespace stofm::train
