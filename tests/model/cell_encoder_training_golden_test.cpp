// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>

#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/reduce.hpp"
#include "stofm/model/cell_encoder_training.hpp"
#include "tests/model/golden_model.hpp"
#include "tests/support/kernel_levels.hpp"

namespace {

using namespace stofm;

/// Tokens of a golden case without the padding.
struct PackedCase {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};

  explicit PackedCase(const io::SafetensorsFile& file) {
    const auto ids = file.read<std::int64_t>("input_ids"), lengths = file.read<std::int64_t>("lengths");
    for (std::int64_t cell = 0; cell < ids.dim(0); ++cell) {
      for (std::int64_t i = 0; i < lengths(cell); ++i)
        tokens.push_back(static_cast<std::int32_t>(ids(cell, i)));
      offsets.push_back(static_cast<std::int64_t>(tokens.size()));
    }
  }
  std::int64_t cells() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

template <class T>
void compare_forward(const test::GoldenModel& golden, double tolerance) {
  const auto file = golden.open_case();
  const PackedCase cells(file);
  autograd::ParameterSet<T> parameters(golden.weights<T>("cell_encoder/"), "cell/");
  const model::CellEncoderTrainer<T> trainer(golden.cell_encoder_config(), parameters, "cell/");
  autograd::Tape<T> tape;
  const Tensor<T> hidden = trainer.hidden(tape, cells.tokens, cells.offsets).value(),
                  embedding = trainer.embed(tape, cells.tokens, cells.offsets).value();
  const auto states = file.read<float>("last_hidden_state"), expected = file.read<float>("embedding");
  double worst = 0;
  for (std::int64_t cell = 0; cell < cells.cells(); ++cell) {
    const std::int64_t begin = cells.offsets[static_cast<std::size_t>(cell)];
    for (std::int64_t i = begin; i < cells.offsets[static_cast<std::size_t>(cell) + 1]; ++i)
      for (std::int64_t c = 0; c < hidden.dim(1); ++c)
        worst = std::max(worst, std::abs(static_cast<double>(hidden(i, c)) -
                                         static_cast<double>(states(cell, i - begin, c))));
    for (std::int64_t c = 0; c < embedding.dim(1); ++c)
      worst = std::max(
          worst, std::abs(static_cast<double>(embedding(cell, c)) - static_cast<double>(expected(cell, c))));
  }
  CHECK(worst <= tolerance);
}

}  // namespace

TEST_CASE("the training forward gives the golden hidden states and embeddings") {
  for (const char* name : {"cell_encoder_small", "cell_encoder_gelu"}) {
    const auto golden = test::GoldenModel::load(name);
    if (!golden) {
      MESSAGE("skipped: no " << name);
      continue;
    }
    CAPTURE(name);
    test::for_each_level([&](CpuKernels) { compare_forward<float>(*golden, 2e-5); });
    compare_forward<double>(*golden, 2e-5);  // the golden values are float32
  }
}

TEST_CASE("gradients of all parameters equal PyTorch's in float64") {
  const auto path =
      test::source_dir() / "tests" / "golden" / "cell_encoder_training" / "gradients.safetensors";
  const auto golden = test::GoldenModel::load("cell_encoder_small");
  if (!golden || !std::filesystem::exists(path)) {
    MESSAGE("skipped: no golden gradients");
    return;
  }
  const PackedCase cells(golden->open_case());
  const auto expected = io::SafetensorsFile::open(path);
  autograd::ParameterSet<double> parameters(golden->weights<double>("cell_encoder/"));
  const model::CellEncoderTrainer<double> trainer(golden->cell_encoder_config(), parameters);
  const auto weighted = [](const autograd::Variable<double>& x, auto weight, double divisor) {
    Tensor<double> weights(x.shape());
    for (std::int64_t i = 0; i < weights.numel(); ++i)
      weights.data()[i] = weight(static_cast<double>(i)) / divisor;
    return autograd::sum(autograd::mul(x, autograd::constant(weights)));
  };
  for (const bool restricted : {false, true}) {
    CAPTURE(restricted);
    parameters.zero_grad();
    autograd::Tape<double> tape;
    const auto hidden = trainer.hidden(tape, cells.tokens, cells.offsets);
    const std::span<const std::int64_t> first(cells.offsets.data(), cells.offsets.size() - 1);
    const auto embedding =
        restricted ? trainer.embed(tape, cells.tokens, cells.offsets)
                   : trainer.project(tape, autograd::take_rows<double, std::int64_t>(hidden, first));
    const auto loss = autograd::add(
        weighted(
            embedding, [](double i) { return std::cos(i); }, 1.0),
        weighted(
            hidden, [](double i) { return std::sin(i + 1); }, static_cast<double>(cells.cells())));
    CHECK(*loss.value().data() == doctest::Approx(expected.read<double>("loss")(0)).epsilon(1e-10));
    tape.backward(loss);
    for (const auto* parameter : parameters.list()) {
      const auto reference = expected.read<double>("grad/" + parameter->name());
      double difference = 0, norm = 0;
      for (std::int64_t i = 0; i < reference.numel(); ++i) {
        const double d = parameter->grad().data()[i] - reference.data()[i];
        difference += d * d;
        norm += reference.data()[i] * reference.data()[i];
      }
      INFO(parameter->name(), " ", std::sqrt(difference), " of ", std::sqrt(norm));
      // Keys' biases leave the softmax alone: their gradient is rounding noise.
      CHECK(std::sqrt(difference) <= 1e-6 * std::sqrt(norm) + 1e-12);
    }
  }
}
