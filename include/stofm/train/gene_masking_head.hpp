// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The head that names hidden genes, and its loss:
///   t = LayerNorm(act(W x + b)),   logit_g = <t, E_g> + c_g   for the genes g of the panel,
/// E the token embeddings (tied), c a bias per token. Loss: cross-entropy, weighted per gene. The logits
/// exist for a block of rows at a time, so a panel of 20,000 genes costs no more memory than one of 200.
/// *Source* BERT's masked language head; names are Hugging Face's ("cls.predictions..."), which inference
/// knows and leaves out. Candidates and weights: train/gene_masking.hpp.

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/model/cell_encoder_training.hpp"
#include "stofm/model/init.hpp"
#include "stofm/ops/linear_gradient.hpp"

namespace stofm::train {

/// Parameters of the head. \throws as CellEncoderConfig::validate()
inline std::vector<model::ParameterSpec> gene_head_parameters(const model::CellEncoderConfig& config) {
  const std::int64_t w = config.hidden_size;
  const std::string name = "cls.predictions.";
  return {{name + "transform.dense.weight", {w, w}, {"hidden_size", "hidden_size"}},
          {name + "transform.dense.bias", {w}, {"hidden_size"}},
          {name + "transform.LayerNorm.weight", {w}, {"hidden_size"}},
          {name + "transform.LayerNorm.bias", {w}, {"hidden_size"}},
          {name + "bias", {config.vocab_size}, {"vocab_size"}}};
}

/// Random initial parameters, as BERT's. \throws as model::initial_parameters
template <Real T = float>
model::NamedTensors<T> initial_gene_head(const model::CellEncoderConfig& config,
                                         const model::InitOptions& options = {}) {
  model::NamedTensors<T> result;
  for (const model::ParameterSpec& spec : gene_head_parameters(config))
    result.emplace(spec.name, model::detail::initial_tensor<T>(spec, options));
  return result;
}

/// Cross-entropies of hidden genes, summed.
template <ops::Computed T>
struct GeneLoss {
  autograd::Variable<T> sum;            ///< one number: sum of weight * cross-entropy
  double weight = 0;                    ///< sum of the weights
  double unweighted = 0;                ///< sum of the cross-entropies
  std::int64_t targets = 0, right = 0;  ///< hidden genes, and those whose logit is the largest
};

namespace detail {
/// row = exp(row - largest); the sum comes back.
template <ops::Computed T>
double exponentiate(T* row, std::int64_t count, T largest) {
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (const CpuKernels level = cpu_kernels(); level != CpuKernels::generic)
      return static_cast<double>(STOFM_AT_LEVEL(level, exponentiate_row(row, count, largest)));
#endif
  double sum = 0;
  for (std::int64_t j = 0; j < count; ++j) sum += static_cast<double>(row[j] = std::exp(row[j] - largest));
  return sum;
}
}  // namespace detail

/// *Shapes* x: [M, W], table: [P, W], bias: [P], targets: M values in [0, P), weights: [M]. logits = x
/// table^T + bias. \throws ShapeError. *Cost* 2 M P W without, 6 M P W with gradients, which are computed at
/// once: backward only scales them. Memory: 2^20 logits, or 16 rows. *Deterministic* yes, for any number of
/// threads.
template <ops::Computed T>
GeneLoss<T> gene_cross_entropy(const autograd::Variable<T>& x, const autograd::Variable<T>& table,
                               const autograd::Variable<T>& bias, std::span<const std::int64_t> targets,
                               std::span<const float> weights) {
  const char* op = "gene_cross_entropy";
  const Tensor<T> rows = x.value().contiguous(), genes = table.value().contiguous(),
                  shift = bias.value().contiguous();
  ops::detail::require_rank(op, "x", rows.view(), 2);
  ops::detail::require_rank(op, "table", genes.view(), 2);
  const std::int64_t m = rows.dim(0), p = genes.dim(0);
  if (static_cast<std::int64_t>(targets.size()) != m || weights.size() != targets.size())
    ops::detail::refuse(op, concat(m, " rows, ", targets.size(), " targets, ", weights.size(), " weights"),
                        "a target and a weight for each row");
  for (const std::int64_t target : targets)
    if (target < 0 || target >= p)
      ops::detail::refuse(op, concat("target ", target), concat("0 to ", p - 1), "STOFM-1103",
                          "Check the targets.");
  const bool wanted = x.needs_grad() || table.needs_grad() || bias.needs_grad();
  Tensor<T> grad_x, grad_table, grad_bias;
  if (wanted) {
    grad_x = Tensor<T>(rows.shape());
    grad_table = Tensor<T>::zeros(genes.shape());
    grad_bias = Tensor<T>::zeros(shift.shape());
  }
  const std::int64_t block =
      (std::max<std::int64_t>)(16, (std::int64_t{1} << 20) / (std::max<std::int64_t>)(p, 1));
  std::vector<double> losses(targets.size(), 0.0);
  std::vector<std::uint8_t> right(targets.size(), 0);
  for (std::int64_t first = 0; first < m; first += block) {
    const std::int64_t last = (std::min)(m, first + block);
    const Tensor<T> part = rows.slice(0, first, last);
    Tensor<T> logits = ops::linear(part, genes, shift);
    parallel_for(last - first, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto at = static_cast<std::size_t>(first + i);
        T* const row = logits.data() + i * p;
        const std::int64_t target = targets[at];
        const T own = row[target], largest = *std::max_element(row, row + p);
        right[at] = own >= largest;
        const double sum = detail::exponentiate(row, p, largest);
        losses[at] = std::log(sum) + static_cast<double>(largest) - static_cast<double>(own);
        const auto factor = static_cast<T>(static_cast<double>(weights[at]) / sum);
        for (std::int64_t j = 0; j < p; ++j) row[j] *= factor;
        row[target] -= static_cast<T>(weights[at]);
      }
    });
    if (!wanted) continue;
    ops::product_into<T>(grad_x.slice(0, first, last).view(), std::as_const(logits).view(), genes.view());
    ops::add_transposed_product_into<T>(grad_table.view(), std::as_const(logits).view(), part.view());
    ops::add_column_sums_into<T>(grad_bias.view(), std::as_const(logits).view());
  }
  GeneLoss<T> result;
  result.targets = m;
  double sum = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    sum += static_cast<double>(weights[i]) * losses[i];
    result.weight += static_cast<double>(weights[i]);
    result.unweighted += losses[i];
    result.right += right[i];
  }
  result.sum = autograd::record<T>(
      op, Tensor<T>::full(Shape{}, static_cast<T>(sum)), {x, table, bias},
      [grad_x = std::move(grad_x), grad_table = std::move(grad_table), grad_bias = std::move(grad_bias)](
          const Tensor<T>& grad_y, autograd::Gradients<T>& into) {
        const T by = *grad_y.data();
        const auto pass = [&](std::size_t input, const Tensor<T>& gradient) {
          if (into.wanted(input)) into.add_owned(input, ops::scale(gradient, by));
        };
        pass(0, grad_x);
        pass(1, grad_table);
        pass(2, grad_bias);
      });
  return result;
}

/// The head over the parameters of a set (`prefix` + names of `gene_head_parameters`), tied to a cell
/// encoder.
template <Real T>
class GeneHead {
 public:
  /// \throws UsageError STOFM-1411 for a missing parameter; ShapeError STOFM-1350. Both must outlive it.
  GeneHead(const model::CellEncoderTrainer<T>& encoder, autograd::ParameterSet<T>& parameters)
      : encoder_(&encoder),
        parameters_(&parameters),
        activation_(model::detail::activation_of(encoder.config().hidden_act)) {
    for (const model::ParameterSpec& spec : gene_head_parameters(encoder.config()))
      if (!(parameters.at(encoder.prefix() + spec.name).value().shape() == spec.shape))
        throw ShapeError({"STOFM-1350", "", "[GeneHead] " + encoder.prefix() + spec.name,
                          "shape " + to_string(parameters.at(encoder.prefix() + spec.name).value().shape()),
                          model::detail::shape_reason(spec),
                          "Parameters and configuration must belong together."});
  }

  /// \param hidden [M, hidden_size] states of hidden places; \param candidates tokens of the panel, [P];
  /// \param targets [M] which candidate stood there. \throws ShapeError.
  GeneLoss<T> loss(autograd::Tape<T>& tape, const autograd::Variable<T>& hidden,
                   std::span<const std::int32_t> candidates, std::span<const std::int64_t> targets,
                   std::span<const float> weights) const {
    const auto parameter = [&](const char* name) {
      return tape.parameter(parameters_->at(encoder_->prefix() + "cls.predictions." + name));
    };
    const auto dense = autograd::activation(
        autograd::linear(hidden, parameter("transform.dense.weight"), parameter("transform.dense.bias")),
        activation_);
    const auto x =
        autograd::layer_norm(dense, parameter("transform.LayerNorm.weight"),
                             parameter("transform.LayerNorm.bias"), encoder_->config().layer_norm_eps);
    const auto table = autograd::gather_rows<T, std::int32_t>(encoder_->words(tape), candidates);
    const auto count = static_cast<std::int64_t>(candidates.size());
    const auto column = autograd::reshape(parameter("bias"), Shape{encoder_->config().vocab_size, 1});
    const auto bias =
        autograd::reshape(autograd::gather_rows<T, std::int32_t>(column, candidates), Shape{count});
    return gene_cross_entropy(x, table, bias, targets, weights);
  }

 private:
  const model::CellEncoderTrainer<T>* encoder_;
  autograd::ParameterSet<T>* parameters_;
  ops::Activation activation_;
};

}  // namespace stofm::train
