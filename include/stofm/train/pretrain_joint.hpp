// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The joint stage of pretraining: features of the visible cells of a piece from a cell encoder that is
/// trained too.
///
/// Of the visible cells of a piece, `cells_with_gradient` are drawn and encoded on the tape; the others are
/// encoded with the same weights without gradient, so the memory of the encoder does not grow with the piece.
/// Masked cells stay masked, virtual cells keep the features they were prepared with. The targets are the
/// features of the frozen encoder, which do not move while the encoder learns: without that, all cells alike
/// would be a solution. *Source* SPEC section 6 names the stage; everything else is our choice.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "stofm/autograd/rules/gather.hpp"
#include "stofm/autograd/rules/views.hpp"
#include "stofm/model/cell_encoder_training.hpp"
#include "stofm/train/pretrain.hpp"

namespace stofm::train {

struct JointOptions {
  std::int64_t cells_with_gradient = 64;  ///< of a piece, at most
  bool dropout = true;                    ///< of the encoder, as its configuration says
  std::uint64_t seed = 0;
};

namespace detail {

/// Token sequences of some cells, one after the other.
struct PackedCells {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};
};
inline PackedCells pack_cells(const LoadedPiece& piece, const std::vector<std::int64_t>& nodes) {
  PackedCells packed;
  for (const std::int64_t node : nodes) {
    const auto tokens = piece.slice->cell_tokens(piece.node_cells[static_cast<std::size_t>(node)]);
    packed.tokens.insert(packed.tokens.end(), tokens.begin(), tokens.end());
    packed.offsets.push_back(static_cast<std::int64_t>(packed.tokens.size()));
  }
  return packed;
}

/// Nodes of cells that are not masked.
inline std::vector<std::int64_t> visible_cells(const LoadedPiece& piece) {
  std::vector<std::int64_t> nodes;
  const Tensor<float>& features = piece.sample.features;
  for (std::size_t node = 0; node < piece.node_cells.size(); ++node)
    if (piece.node_cells[node] >= 0 &&
        features.data()[static_cast<std::int64_t>(node) * features.dim(1)] != masked_feature)
      nodes.push_back(static_cast<std::int64_t>(node));
  return nodes;
}

/// The visible cells of a visit, in the order of the nodes: those that get a gradient, and the others.
struct JointCells {
  std::vector<std::int64_t> trained, rest;
};
inline JointCells draw_joint_cells(const LoadedPiece& piece, const JointOptions& options) {
  std::vector<std::int64_t> visible = visible_cells(piece);
  Random random = dropout_key(options.seed, piece.ref).child(0x6a6f).generator();
  const auto with_gradient = static_cast<std::size_t>(
      (std::min)(options.cells_with_gradient, static_cast<std::int64_t>(visible.size())));
  for (std::size_t i = 0; i < with_gradient; ++i)
    std::swap(visible[i], visible[i + random.below(visible.size() - i)]);
  const auto middle = visible.begin() + static_cast<std::ptrdiff_t>(with_gradient);
  JointCells cells{{visible.begin(), middle}, {middle, visible.end()}};
  std::sort(cells.trained.begin(), cells.trained.end());
  std::sort(cells.rest.begin(), cells.rest.end());
  return cells;
}
/// Of the encoder in a visit.
inline RandomKey joint_dropout_key(const LoadedPiece& piece, const JointOptions& options) {
  return dropout_key(options.seed, piece.ref).child(0x656e);
}

}  // namespace detail

/// Features of the nodes of a piece, [N, C]. The piece must have been loaded with `keep_slices`, its slice
/// prepared with `keep_tokens`. \throws as CellEncoderTrainer::embed. *Deterministic* yes: which cells get a
/// gradient depends on the visit (seed, epoch, slice, piece) alone.
inline autograd::Variable<float> joint_features(autograd::Tape<float>& tape, const LoadedPiece& piece,
                                                const model::CellEncoderTrainer<float>& encoder,
                                                const JointOptions& options) {
  const auto [trained, rest] = detail::draw_joint_cells(piece, options);
  const std::int64_t width = piece.sample.features.dim(1);
  Tensor<float> base = piece.sample.features.clone();
  {
    const autograd::NoGrad<float> none(tape);
    constexpr std::size_t chunk = 128;
    for (std::size_t at = 0; at < rest.size(); at += chunk) {
      const std::vector<std::int64_t> some(
          rest.begin() + static_cast<std::ptrdiff_t>(at),
          rest.begin() + static_cast<std::ptrdiff_t>((std::min)(rest.size(), at + chunk)));
      const detail::PackedCells packed = detail::pack_cells(piece, some);
      const Tensor<float> rows = encoder.embed(tape, packed.tokens, packed.offsets).value();
      for (std::size_t i = 0; i < some.size(); ++i)
        std::copy_n(rows.data() + static_cast<std::int64_t>(i) * width, width, base.data() + some[i] * width);
    }
  }
  if (trained.empty()) return autograd::constant(std::move(base));
  const detail::PackedCells packed = detail::pack_cells(piece, trained);
  const auto rows = encoder.embed(
      tape, packed.tokens, packed.offsets,
      {.key = detail::joint_dropout_key(piece, options), .training = options.dropout && tape.recording()});
  std::vector<std::int64_t> source(static_cast<std::size_t>(base.dim(0)));
  for (std::size_t node = 0; node < source.size(); ++node) source[node] = static_cast<std::int64_t>(node);
  for (std::size_t i = 0; i < trained.size(); ++i)
    source[static_cast<std::size_t>(trained[i])] = base.dim(0) + static_cast<std::int64_t>(i);
  return autograd::take_rows(autograd::concat_rows<float>({autograd::constant(std::move(base)), rows}),
                             source);
}

/// Adds the encoder's parameters under "cell_encoder/", not trainable yet. `config.projection_dim` must be
/// set. \throws FileError STOFM-1301 if one is missing.
inline void add_joint_parameters(autograd::ParameterSet<float>& parameters,
                                 const model::CellEncoderConfig& config,
                                 const model::NamedTensors<float>& encoder) {
  const auto list = model::parameter_list(config);
  (void)model::check_parameters<float>(list, encoder, [](const std::string&) { return true; },
                                       {.prefix = "cell_encoder/"});
  for (const auto& spec : list)
    parameters.add("cell_encoder/" + spec.name, encoder.at(spec.name)).trainable = false;
}
/// Makes them trainable, or not.
inline void thaw_joint_parameters(autograd::ParameterSet<float>& parameters, bool trainable = true) {
  for (auto* parameter : parameters.list())
    if (parameter->name().starts_with("cell_encoder/")) parameter->trainable = trainable;
}

}  // namespace stofm::train
