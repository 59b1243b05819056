// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The cell encoder of the joint stage on a CUDA device: joint_features with its gradient. The same cells are
/// drawn as on the CPU, with the same dropout masks. Only for programs that link the kernel library.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "stofm/backend/cuda/cell_encoder_trainer.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/pipeline/cuda_encoders.hpp"
#include "stofm/train/cuda_encoder_options.hpp"
#include "stofm/train/cuda_parameters.hpp"
#include "stofm/train/pretrain_joint.hpp"

namespace stofm::train {

class CudaJointEncoder {
 public:
  /// `parameters` (with those of add_joint_parameters) and `optimizer` must outlive it. \throws DeviceError,
  /// ResourceError, UsageError for sizes without a kernel
  CudaJointEncoder(const model::CellEncoderConfig& config, autograd::ParameterSet<float>& parameters,
                   nn::AdamW<float>& optimizer, const JointOptions& options, Cuda device,
                   backend::Precision precision)
      : options_(options),
        state_(parameters, optimizer, "cell_encoder/"),
        trainer_(device, pipeline::device_sizes(config), state_.host_state().list,
                 cuda_encoder_options(config, optimizer.options(), options.dropout, precision)) {}

  /// Features of the nodes of a piece, [N, C], as joint_features. \param training with dropout, and what
  /// `backward` needs is kept: until the next call
  Tensor<float> features(const LoadedPiece& piece, bool training) {
    detail::JointCells cells = detail::draw_joint_cells(piece, options_);
    if (!training) {
      cells.rest = detail::visible_cells(piece);
      cells.trained.clear();
    }
    Tensor<float> nodes = piece.sample.features.clone();
    constexpr std::size_t chunk = 128;
    const std::span<const std::int64_t> rest(cells.rest);
    for (std::size_t at = 0; at < rest.size(); at += chunk)
      encode(rest_pass, piece, rest.subspan(at, (std::min)(chunk, rest.size() - at)), nodes);
    trained_ = std::move(cells.trained);
    if (!trained_.empty()) encode(trained_pass, piece, trained_, nodes, options_.dropout);
    return nodes;
  }
  /// Adds the gradients of the encoder from that of the features of the last piece, [N, C].
  void backward(std::span<const float> gradient) {
    if (trained_.empty()) return;
    const std::int64_t width = static_cast<std::int64_t>(gradient.size()) / nodes_;
    std::vector<float> rows;
    for (const std::int64_t node : trained_) {
      const auto row =
          gradient.subspan(static_cast<std::size_t>(node * width), static_cast<std::size_t>(width));
      rows.insert(rows.end(), row.begin(), row.end());
    }
    trainer_.project_gradient(trained_pass, rows);
    trainer_.backward(trained_pass);
    trained_.clear();
  }

  backend::CudaCellEncoderTrainer& trainer() { return trainer_; }
  StepEngine engine() { return state_.engine(trainer_); }

 private:
  static constexpr int trained_pass = 0, rest_pass = 1;

  /// Embeddings of the cells of some nodes into their rows.
  void encode(int pass, const LoadedPiece& piece, std::span<const std::int64_t> which, Tensor<float>& nodes,
              bool dropout = false) {
    const detail::PackedCells packed = detail::pack_cells(piece, {which.begin(), which.end()});
    trainer_.forward(pass, {.tokens = packed.tokens,
                            .offsets = packed.offsets,
                            .places = std::span(packed.offsets).first(which.size()),
                            .key = detail::joint_dropout_key(piece, options_),
                            .dropout = dropout});
    std::vector<std::int32_t> rows(which.size());
    std::iota(rows.begin(), rows.end(), 0);
    const std::int64_t width = nodes.dim(1);
    std::vector<float> embeddings(which.size() * static_cast<std::size_t>(width));
    trainer_.project(pass, rows, embeddings);
    for (std::size_t i = 0; i < which.size(); ++i)
      std::copy_n(embeddings.data() + static_cast<std::int64_t>(i) * width, width,
                  nodes.data() + which[i] * width);
    nodes_ = nodes.dim(0);
  }

  JointOptions options_;
  CudaParameters<backend::CudaCellEncoderTrainer, backend::CellEncoderParameterState> state_;
  backend::CudaCellEncoderTrainer trainer_;
  std::vector<std::int64_t> trained_;
  std::int64_t nodes_ = 1;
};

}  // namespace stofm::train
