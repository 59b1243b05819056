// SPDX-License-Identifier: MIT
// The joint stage: features of visible cells from an encoder on the tape.
#include "stofm/train/pretrain_joint.hpp"

#include <doctest/doctest.h>

#include "tests/model/random_model.hpp"
#include "tests/train/pretrain_fixture.hpp"

using namespace stofm;
using namespace stofm::train;
using namespace stofm::test;

namespace {

model::CellEncoderConfig encoder_config() {
  return {.vocab_size = 40,
          .hidden_size = 8,
          .intermediate_size = 12,
          .num_attention_heads = 2,
          .num_hidden_layers = 2,
          .max_position_embeddings = 16,
          .type_vocab_size = 2,
          .projection_dim = width};
}

/// A slice whose cells have tokens, and whose features are what the encoder gives for them.
struct JointWorld {
  autograd::ParameterSet<float> parameters = pretraining_parameters(tiny_config(), {}, 3);
  std::shared_ptr<PreparedSlice> slice = std::make_shared<PreparedSlice>(make_slice(8, 1));
  LoadedPiece piece;

  JointWorld() {
    add_joint_parameters(parameters, encoder_config(), random_parameters(encoder_config(), 4));
    Random random(9);
    slice->token_offsets = {0};
    for (std::int64_t cell = 0; cell < slice->cells(); ++cell) {
      slice->tokens.push_back(1);
      const std::uint64_t genes = random.below(9);
      for (std::uint64_t g = 0; g < genes; ++g)
        slice->tokens.push_back(static_cast<std::int32_t>(2 + random.below(38)));
      slice->token_offsets.push_back(static_cast<std::int64_t>(slice->tokens.size()));
    }
    autograd::Tape<float> tape;
    const autograd::NoGrad<float> none(tape);
    slice->features = model::CellEncoderTrainer<float>(encoder_config(), parameters, "cell_encoder/")
                          .embed(tape, slice->tokens, slice->token_offsets)
                          .value()
                          .clone();
    piece = piece_of(slice, 0, 0, 0);
  }
  model::CellEncoderTrainer<float> encoder() { return {encoder_config(), parameters, "cell_encoder/"}; }
  /// Loss of the piece with `cells` cells encoded on the tape, gradients added.
  double loss(std::int64_t cells, bool dropout = false) {
    parameters.zero_grad();
    PretrainStep step(tiny_config(), parameters, {.dropout = false, .seed = 5});
    const auto trainer = encoder();
    step.node_features = [&](autograd::Tape<float>& tape, const LoadedPiece& loaded) {
      return joint_features(tape, loaded, trainer,
                            {.cells_with_gradient = cells, .dropout = dropout, .seed = 7});
    };
    TrainingBatch batch;
    batch.pieces.push_back(piece);
    return step.run(batch).loss;
  }
  double encoder_gradient_norm() {
    double squares = 0;
    for (const auto* p : parameters.list())
      if (p->name().starts_with("cell_encoder/"))
        for (const float g : p->grad().span()) squares += static_cast<double>(g) * static_cast<double>(g);
    return std::sqrt(squares);
  }
};

}  // namespace

TEST_CASE("Joint features are those of the encoder where a cell is visible, and unchanged elsewhere") {
  JointWorld world;
  thaw_joint_parameters(world.parameters);
  autograd::Tape<float> tape;
  const auto encoder = world.encoder();
  const Tensor<float> prepared = world.piece.sample.features;
  std::int64_t masked = 0;
  for (const std::int64_t cells : {0, 5, 1000}) {
    const Tensor<float> joint =
        joint_features(tape, world.piece, encoder, {.cells_with_gradient = cells}).value();
    REQUIRE(joint.shape() == prepared.shape());
    for (std::int64_t node = 0; node < joint.dim(0); ++node)
      for (std::int64_t c = 0; c < width; ++c) {
        if (prepared(node, c) == masked_feature) ++masked;
        // The encoder runs on other batches than when the slice was prepared: float32 sums of 12 terms of
        // size 1.
        CHECK(std::abs(joint(node, c) - prepared(node, c)) <= 2e-6F * std::abs(prepared(node, c)) + 1e-6F);
      }
  }
  CHECK(masked == 3 * 3 * width);  // int(0.12 * 32) cells
}

TEST_CASE("The encoder learns from the drawn cells, and not while it is frozen") {
  JointWorld world;
  const double frozen = world.loss(1000);
  CHECK(world.encoder_gradient_norm() == 0);
  thaw_joint_parameters(world.parameters);
  CHECK(world.loss(0) == doctest::Approx(frozen).epsilon(1e-5));
  CHECK(world.encoder_gradient_norm() == 0);
  CHECK(world.loss(4) == doctest::Approx(frozen).epsilon(1e-5));
  const double four = world.encoder_gradient_norm();
  CHECK(four > 0);
  (void)world.loss(1000);
  CHECK(world.encoder_gradient_norm() != four);
  thaw_joint_parameters(world.parameters, false);
  (void)world.loss(1000);
  CHECK(world.encoder_gradient_norm() == 0);
}

TEST_CASE("Gradients of the encoder in the joint stage are those of the loss") {
  JointWorld world;
  thaw_joint_parameters(world.parameters);
  (void)world.loss(1000);
  // Along the gradient itself: the loss must fall by step * |gradient|^2. In float32 the loss (about 20) has
  // an error of 2e-6, the step makes a difference of 2e-3, and the second order is below it: 2 %.
  std::map<std::string, Tensor<float>> gradient;
  double squares = 0;
  for (auto* p : world.parameters.list())
    if (p->name().starts_with("cell_encoder/")) {
      gradient.emplace(p->name(), p->grad().clone());
      for (const float g : p->grad().span()) squares += static_cast<double>(g) * static_cast<double>(g);
    }
  REQUIRE(squares > 0);
  const double step = 1e-3 / std::sqrt(squares);
  const auto at = [&](double amount) {
    for (auto& [name, g] : gradient) {
      float* value = world.parameters.at(name).changing().data();
      for (std::int64_t i = 0; i < g.numel(); ++i) value[i] += static_cast<float>(amount) * g.data()[i];
    }
    return world.loss(1000);
  };
  const double up = at(step), down = at(-2 * step);
  CHECK((up - down) / (2 * step) == doctest::Approx(squares).epsilon(0.02));
}

TEST_CASE(
    "A visit of the joint stage draws the same cells and masks at any thread count, another visit others") {
  JointWorld world;
  thaw_joint_parameters(world.parameters);
  const int threads = thread_count();
  std::vector<std::vector<float>> all;
  for (const int count : {1, 4}) {
    set_thread_count(count);
    (void)world.loss(6, true);
    all.push_back(flat(world.parameters, true));
  }
  set_thread_count(threads);
  CHECK(all[0] == all[1]);
  world.piece.ref.epoch = 1;
  (void)world.loss(6, true);
  CHECK(flat(world.parameters, true) != all[0]);
}
