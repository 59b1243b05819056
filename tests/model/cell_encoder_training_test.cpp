// SPDX-License-Identifier: MIT
#include "stofm/model/cell_encoder_training.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "tests/model/random_model.hpp"
#include "tests/support/gradcheck.hpp"
#include "tests/support/kernel_levels.hpp"

namespace {

using namespace stofm;
using Variable = autograd::Variable<double>;

template <class T>
Tensor<T> normal(const Shape& shape, std::uint64_t seed) {
  Random random(seed);
  Tensor<T> x(shape);
  for (T& value : x.span()) value = static_cast<T>(random.normal());
  return x;
}

/// What one query row gives, with the weights of `varlen_attention` for this mask, from the definition.
Tensor<double> attend_directly(const Tensor<double>& q, const Tensor<double>& packed,
                               const std::vector<std::int64_t>& queries,
                               const std::vector<std::int64_t>& keys,
                               const autograd::VarlenAttentionOptions& options) {
  const std::int64_t width = q.dim(1), d = width / options.heads;
  const DropoutRate rate = DropoutRate::of(options.dropout);
  const DropoutMask mask(options.key, rate.threshold);
  Tensor<double> y = Tensor<double>::zeros(q.shape());
  std::uint64_t first = 0;
  for (std::size_t s = 0; s + 1 < queries.size(); ++s) {
    const std::int64_t padded = (keys[s + 1] - keys[s] + 15) / 16 * 16;
    for (std::int64_t h = 0; h < options.heads; ++h)
      for (std::int64_t i = queries[s]; i < queries[s + 1];
           ++i, first += static_cast<std::uint64_t>(padded)) {
        std::vector<double> weights;
        double sum = 0;
        for (std::int64_t j = keys[s]; j < keys[s + 1]; ++j) {
          double score = 0;
          for (std::int64_t c = h * d; c < (h + 1) * d; ++c) score += q(i, c) * packed(j, c);
          weights.push_back(std::exp(options.scale * score));
          sum += weights.back();
        }
        for (std::size_t j = 0; j < weights.size(); ++j) {
          if (rate.drops() && !mask.keeps(first + j)) continue;
          for (std::int64_t c = h * d; c < (h + 1) * d; ++c)
            y(i, c) += weights[j] / sum * (rate.drops() ? rate.factor : 1.0) *
                       packed(keys[s] + static_cast<std::int64_t>(j), width + c);
        }
      }
  }
  return y;
}

const std::vector<std::int64_t> query_offsets{0, 3, 3, 4, 74}, key_offsets{0, 5, 9, 26, 59};
const autograd::VarlenAttentionOptions dropping{.heads = 2, .scale = 0.7, .dropout = 0.3, .key = {1, 2, 3}};

model::CellEncoderConfig small_config() {
  model::CellEncoderConfig config;
  config.vocab_size = 60;
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.num_attention_heads = 3;
  config.num_hidden_layers = 2;
  config.max_position_embeddings = 70;
  config.type_vocab_size = 2;
  config.hidden_dropout_prob = 0.2;
  config.attention_probs_dropout_prob = 0.2;
  config.projection_dim = 10;
  return config;
}

const std::vector<std::int64_t> offsets{0, 17, 18, 65, 98};
std::vector<std::int32_t> tokens() {
  Random random(5);
  std::vector<std::int32_t> result;
  for (std::int64_t i = 0; i < offsets.back(); ++i)
    result.push_back(static_cast<std::int32_t>(random.below(60)));
  return result;
}

}  // namespace

TEST_CASE("attention with dropped weights is its definition, on all kernel levels") {
  const auto q = normal<double>({74, 12}, 1), packed = normal<double>({59, 24}, 2);
  for (const double dropout : {0.0, 0.3}) {
    auto options = dropping;
    options.dropout = dropout;
    const auto expected = attend_directly(q, packed, query_offsets, key_offsets, options);
    const auto y = autograd::varlen_attention<double>(autograd::constant(q), autograd::constant(packed),
                                                      query_offsets, key_offsets, options)
                       .value();
    CHECK(test::max_difference(y, expected) <= 1e-13);
    Tensor<float> q_float({74, 12}), packed_float({59, 24}), grad_float = normal<float>({74, 12}, 3);
    Tensor<double> grad({74, 12});
    for (std::int64_t i = 0; i < q.numel(); ++i) q_float.data()[i] = static_cast<float>(q.data()[i]);
    for (std::int64_t i = 0; i < packed.numel(); ++i)
      packed_float.data()[i] = static_cast<float>(packed.data()[i]);
    for (std::int64_t i = 0; i < grad.numel(); ++i)
      grad.data()[i] = static_cast<double>(grad_float.data()[i]);
    const auto backward = [&]<class T>(const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& grad_y,
                                       Tensor<T>& value) {
      autograd::Tape<T> tape;
      const auto x = tape.input(a), kv = tape.input(b);
      const auto out = autograd::varlen_attention<T>(x, kv, query_offsets, key_offsets, options);
      value = out.value();
      tape.backward(out, grad_y);
      return std::pair(tape.grad(x), tape.grad(kv));
    };
    Tensor<double> ignored;
    const auto reference = backward(q, packed, grad, ignored);
    test::for_each_level([&](CpuKernels) {
      Tensor<float> value;
      const auto found = backward(q_float, packed_float, grad_float, value);
      CHECK(test::max_difference(value, expected) <= 2e-6);
      CHECK(test::max_difference(found.first, reference.first) <= 1e-5);
      CHECK(test::max_difference(found.second, reference.second) <= 1e-5);
    });
  }
}

TEST_CASE("gradients of attention are difference quotients") {
  const auto apart = test::gradcheck(
      [](autograd::Tape<double>&, const auto& x) {
        return autograd::varlen_attention<double>(x[0], x[1], query_offsets, key_offsets, dropping);
      },
      {normal<double>({74, 4}, 1), normal<double>({59, 8}, 2)});
  CHECK(apart.largest() <= 1e-7);
  const auto together = test::gradcheck(
      [](autograd::Tape<double>&, const auto& x) {
        return autograd::varlen_attention<double>(Variable(), x[0], key_offsets, key_offsets, dropping);
      },
      {normal<double>({59, 12}, 4)});
  CHECK(together.largest() <= 1e-7);
}

TEST_CASE("some hidden states are those of all, without dropout") {
  const auto config = small_config();
  autograd::ParameterSet<double> parameters(
      model::cast_parameters<double>(test::random_parameters(config, 21)), "cell/");
  const model::CellEncoderTrainer<double> trainer(config, parameters, "cell/");
  const auto sequence = tokens();
  autograd::Tape<double> tape;
  const autograd::NoGrad<double> none(tape);
  const std::vector<std::int64_t> places{0, 5, 16, 17, 60, 64, 97};
  const auto all = trainer.hidden(tape, sequence, offsets),
             some = trainer.hidden_at(tape, sequence, offsets, places);
  CHECK(test::max_difference(some.value(), ops::gather_rows<double, std::int64_t>(all.value(), places)) <=
        1e-13);
  CHECK(tape.size() == 0);
  for (const std::vector<std::int64_t>& wrong : {std::vector<std::int64_t>{5, 5}, {7, 3}, {98}, {-1}})
    CHECK_THROWS_AS(trainer.hidden_at(tape, sequence, offsets, wrong), ShapeError);
}

TEST_CASE("the whole encoder with dropout has the gradient of its loss") {
  for (const char* activation : {"gelu", "relu"}) {
    auto config = small_config();
    config.hidden_act = activation;
    autograd::ParameterSet<double> parameters(
        model::cast_parameters<double>(test::random_parameters(config, 22)));
    const model::CellEncoderTrainer<double> trainer(config, parameters);
    const auto sequence = tokens();
    const model::TrainingPass pass{{1, 2, 3}, true};
    const auto weights = normal<double>({4, 10}, 6);
    autograd::Tape<double> tape;
    tape.backward(trainer.embed(tape, sequence, offsets, pass), weights);
    double along = 0;
    std::map<std::string, Tensor<double>> direction;
    for (const auto& [name, parameter] : parameters.map()) {
      const auto d = normal<double>(parameter->value().shape(), name.size());
      for (std::int64_t i = 0; i < d.numel(); ++i) along += d.data()[i] * parameter->grad().data()[i];
      direction.emplace(name, d);
    }
    const auto moved = [&](double by) {
      for (const auto& [name, parameter] : parameters.map()) {
        Tensor<double>& value = parameter->changing();
        for (std::int64_t i = 0; i < value.numel(); ++i) value.data()[i] += by * direction.at(name).data()[i];
      }
      tape.clear();
      const auto y = trainer.embed(tape, sequence, offsets, pass).value();
      double sum = 0;
      for (std::int64_t i = 0; i < y.numel(); ++i) sum += y.data()[i] * weights.data()[i];
      return sum;
    };
    const double h = 2e-7, ahead = moved(h), behind = moved(-2 * h);
    CHECK((ahead - behind) / (2 * h) == doctest::Approx(along).epsilon(1e-6));
  }
}

TEST_CASE("dropout follows the key, and gradients have the same bits on any number of threads") {
  const auto config = small_config();
  const auto sequence = tokens();
  const int before = thread_count();
  std::vector<Tensor<float>> first;
  for (const int threads : {1, 2, 4}) {
    set_thread_count(threads);
    autograd::ParameterSet<float> parameters(test::random_parameters(config, 23));
    const model::CellEncoderTrainer<float> trainer(config, parameters);
    autograd::Tape<float> tape;
    const auto hidden = trainer.hidden(tape, sequence, offsets, {{1, 2, 3}, true});
    const auto same = trainer.hidden(tape, sequence, offsets, {{1, 2, 3}, true}).value(),
               other = trainer.hidden(tape, sequence, offsets, {{1, 2, 4}, true}).value();
    CHECK(test::max_difference(hidden.value(), same) == 0);
    CHECK(test::max_difference(hidden.value(), other) > 0.1);
    tape.backward(hidden, normal<float>({98, 24}, 9));
    std::size_t i = 0;
    for (const auto& [name, parameter] : parameters.map()) {
      if (threads == 1) {
        first.push_back(parameter->grad().clone());
        continue;
      }
      CHECK(std::memcmp(first[i].data(), std::as_const(*parameter).grad().data(),
                        static_cast<std::size_t>(first[i].numel()) * sizeof(float)) == 0);
      ++i;
    }
  }
  set_thread_count(before);
}

TEST_CASE("parameters that do not fit are refused") {
  auto config = small_config();
  autograd::ParameterSet<float> parameters(test::random_parameters(config, 24)), none;
  CHECK_THROWS_AS(model::CellEncoderTrainer<float>(config, none), UsageError);
  config.hidden_size = 48;
  CHECK_THROWS_AS(model::CellEncoderTrainer<float>(config, parameters), ShapeError);
}
