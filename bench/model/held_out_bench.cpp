// SPDX-License-Identifier: MIT
// What a pretrained bundle predicts on slices it was not trained on, cell by cell, for
// bench/training_quality.py:
//     build/bench/held_out_bench BUNDLE SPLIT DRAWS SLICE.h5ad...
// One JSON line per piece and draw of masks: masked cells and visible cells (rows of the slice), and for each
// masked cell the cosine of its embedding with the prediction, the mean of the 10 nearest visible cells and
// the mean of the piece; no cell is moved there, so that all see the true places. Beside them sums of squared
// errors over pairs that a move touched, from the same piece with moves. Every piece is used that is large
// enough to mask a cell in.
#include <cstdio>
#include <cstdlib>

#include "stofm/io/sha256.hpp"
#include "stofm/pipeline/model.hpp"
#include "stofm/pipeline/model_config.hpp"
#include "stofm/train/corpus_h5ad.hpp"
#include "stofm/train/pretrain_validation.hpp"

namespace {

using namespace stofm;

constexpr train::MaskingOptions masks_only{.pdr_moved = 0, .pdr_kept = 0};

/// `piece` has masks only, `moved` moves as well.
nlohmann::json piece_line(const train::MaskedPiece& piece, const train::MaskedPiece& moved,
                          const train::PretrainStep& step) {
  const train::TrainingSample& sample = piece.loaded.sample;
  const std::int64_t masked =
      train::masking_counts(piece.sub.nodes() - piece.sub.first_cell(), masks_only).masked;
  const train::ValidationSums sums = train::validate_piece(moved, step, {});
  nlohmann::json line{{"slice", piece.loaded.slice->name},
                      {"piece", piece.loaded.ref.piece},
                      {"pairs", sums.pairs},
                      {"pair_squares", sums.pdr_squares},
                      {"target_sum", sums.kind_sum[0] + sums.kind_sum[1]},
                      {"target_squares", sums.kind_squares[0] + sums.kind_squares[1]}};
  autograd::Tape<float> tape;
  const autograd::NoGrad<float> none(tape);
  const auto output =
      step.trainer().forward(tape, autograd::constant(sample.features), sample.distances, sample.token_types);
  const std::span<const std::int64_t> nodes(sample.mcm_nodes.data(), static_cast<std::size_t>(masked));
  const auto predicted = step.heads().predict_cells(tape, output.last_hidden, nodes).value();
  std::vector<std::uint8_t> hidden(static_cast<std::size_t>(sample.nodes()), 0);
  for (const std::int64_t node : nodes) hidden[static_cast<std::size_t>(node)] = 1;
  std::vector<std::int64_t> visible;
  for (std::int64_t node = piece.sub.first_cell(); node < sample.nodes(); ++node)
    if (hidden[static_cast<std::size_t>(node)] == 0) visible.push_back(node);
  const std::vector<float> mean = train::detail::mean_of_rows(sample.features, visible);
  const std::int64_t width = sample.mcm_targets.dim(1);
  const auto cell = [&](std::int64_t node) { return piece.sub.node_cells[static_cast<std::size_t>(node)]; };
  for (std::int64_t i = 0; i < masked; ++i) {
    const std::int64_t node = nodes[static_cast<std::size_t>(i)];
    const float* target = sample.mcm_targets.data() + i * width;
    const auto around = train::detail::mean_of_rows(
        sample.features, train::detail::nearest_visible(piece.sub.xy, node, visible, 10));
    line["masked"].push_back(cell(node));
    line["model"].push_back(train::detail::cosine(predicted.data() + i * width, target, width));
    line["neighbours"].push_back(train::detail::cosine(around.data(), target, width));
    line["mean"].push_back(train::detail::cosine(mean.data(), target, width));
  }
  for (const std::int64_t node : visible) line["visible"].push_back(cell(node));
  return line;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 5) return std::fprintf(stderr, "usage: held_out_bench BUNDLE SPLIT DRAWS SLICE.h5ad...\n"), 2;
  const io::Bundle bundle = io::read_bundle(argv[1]);
  io::Bundle encoder = bundle;
  encoder.se2.clear();
  encoder.se2_config = nullptr;
  const model::Se2Config config = pipeline::parse_se2_config(bundle.se2_config, argv[1]);
  train::CorpusOptions options;
  options.prepare.embed.split = std::strtoll(argv[2], nullptr, 10);
  train::Corpus corpus(
      {argv + 4, argv + argc},
      train::encoder_features(pipeline::load_model(encoder, {.file = argv[1]}), io::sha256_file(argv[1])),
      train::h5ad_reader(), options);
  autograd::ParameterSet<float> parameters = train::pretraining_parameters(config, bundle.se2, 0);
  const train::PretrainStep step(config, parameters, {});
  const train::ValidationOptions fixed;
  const auto draws = std::strtoull(argv[3], nullptr, 10);
  for (const train::SlicePieces& slice : corpus.pieces_of(corpus.split({.fraction = 0.0}).training))
    for (std::int64_t piece = 0; piece < slice.pieces; ++piece)
      for (std::uint64_t draw = 0; draw < draws; ++draw) {
        const train::PieceRef ref{slice.slice, piece, 0};
        const auto held = train::detail::held_out_piece(corpus, ref, masks_only, fixed.seed + draw);
        const auto moved = train::detail::held_out_piece(corpus, ref, {}, fixed.seed + draw);
        if (held.loaded.sample.usable()) std::printf("%s\n", piece_line(held, moved, step).dump().c_str());
      }
  return 0;
} catch (const stofm::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return error.exit_code();
}
