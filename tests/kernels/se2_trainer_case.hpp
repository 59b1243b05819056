// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A batch with labels for the trainer of the SE(2) Transformer, and the same step on the tape of the CPU.

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "stofm/backend/cuda/se2_trainer.hpp"
#include "stofm/model/pretraining_heads.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/pipeline/cuda_encoders.hpp"
#include "tests/kernels/se2_case.hpp"

namespace stofm::test {

/// Room for the state of every parameter of a set.
struct TrainingState {
  explicit TrainingState(const autograd::ParameterSet<float>& set) {
    for (const auto& [name, parameter] : set.map()) {
      kept.push_back(std::as_const(*parameter).value().clone());
      m.push_back(Tensor<float>::zeros(kept.back().shape()));
      v.push_back(Tensor<float>::zeros(kept.back().shape()));
      list.push_back(
          {name, nn::decays_by_name(name), kept.back().span(), m.back().span(), v.back().span(), 0});
    }
  }
  std::deque<Tensor<float>> kept, m, v;
  std::vector<backend::Se2ParameterState> list;
};

struct TrainingCase {
  TrainingCase(const model::Se2Config& c, bool with_dropout) : config(c), dropout(with_dropout) {
    auto list = model::parameter_list(config);
    for (auto& spec : model::pretraining_head_list(config)) list.push_back(spec);
    for (const auto& [name, tensor] : random_parameters(list, 11)) parameters.add(name, tensor);
    std::uint64_t seed = 21;
    for (const std::int64_t nodes : {19, 66, 3})
      pieces.push_back(random_piece(nodes, config.input_dim, seed++));
    Random random(77);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const pipeline::PieceInput& piece = pieces[i];
      const std::int64_t n = piece.distances.nodes;
      numbers.push_back(pipeline::number_distances(piece.distances));
      masked.emplace_back();
      rows.emplace_back();
      columns.emplace_back();
      targets.emplace_back();
      for (std::int64_t node = 2; node < n; node += 4) masked.back().push_back(node);
      features.push_back(Tensor<float>({static_cast<std::int64_t>(masked.back().size()), config.input_dim}));
      for (float& value : features.back().span()) value = static_cast<float>(2.0 * random.uniform() - 1.0);
      for (std::int64_t p = 0; i != 2 && p < 5 * n; ++p) {  // the last has no pairs
        rows.back().push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n))));
        columns.back().push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n))));
        targets.back().push_back(static_cast<float>(3.0 * random.uniform()));
      }
    }
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      slices.push_back(pipeline::device_slice(pieces[i].features.view(), pieces[i].distances, numbers[i],
                                              pieces[i].types));
      labels.push_back({masked[i], features[i].data(), rows[i], columns[i], targets[i], key(i)});
    }
  }
  TrainingCase(const TrainingCase&) = delete;
  TrainingCase& operator=(const TrainingCase&) = delete;

  RandomKey key(std::size_t piece) const {
    return RandomKey{.seed = 9, .stream = 4, .step = 2}.child(static_cast<std::uint64_t>(piece));
  }

  backend::CudaSe2Trainer trainer(Cuda device, backend::Precision precision, bool neutral = false,
                                  bool graphs = true) const {
    backend::CudaSe2TrainerOptions options{
        .precision = precision, .weight_decay = 0.05, .neutral_input = neutral, .graphs = graphs};
    if (dropout) options.dropout = {config.dropout, config.attention_dropout, config.activation_dropout};
    TrainingState state(parameters);
    return {device, pipeline::device_sizes(config), state.list, options};
  }

  /// Adds the gradients of every piece to `parameters`.
  void run_on_tape(double masked_scale, double pair_scale) {
    const model::Se2Trainer<float> trainer(config, parameters);
    const model::PretrainingHeads<float> heads(config, parameters);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      autograd::Tape<float> tape;
      const auto output = trainer.forward(tape, autograd::constant(pieces[i].features), pieces[i].distances,
                                          pieces[i].types, {.dropout = dropout, .key = key(i)});
      const auto cells = heads.masked_cell_loss(tape, output.last_hidden, masked[i], features[i]);
      const auto pairs = heads.pair_distance_loss(tape, output, rows[i], columns[i], targets[i]);
      tape.backward(autograd::add(autograd::scale(cells.sum, static_cast<float>(masked_scale)),
                                  autograd::scale(pairs.sum, static_cast<float>(pair_scale))));
      masked_loss += static_cast<double>(cells.sum.value().data()[0]);
      pair_loss += static_cast<double>(pairs.sum.value().data()[0]);
    }
  }

  model::Se2Config config;
  bool dropout;
  autograd::ParameterSet<float> parameters;
  std::vector<pipeline::PieceInput> pieces;
  std::vector<pipeline::NumberedDistances> numbers;
  std::vector<std::vector<std::int64_t>> masked, rows, columns;
  std::vector<Tensor<float>> features;
  std::vector<std::vector<float>> targets;
  std::vector<backend::Se2Slice> slices;
  std::vector<backend::Se2TrainingSlice> labels;
  double masked_loss = 0, pair_loss = 0;
};

}  // namespace stofm::test
