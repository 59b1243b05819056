// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What stands on top of the hidden states in domain adaptation, for some rows of a pass:
///   genes:       t = LN(act(W x + b)),  logit_g = <t, E_g> + c_g,  cross-entropy of hidden genes
///   (train/gene_masking_head.hpp) projection:  e = p / ||p||,  p = W x + b
/// Products are float32 (TF32 in the class bf16). Logits exist for a block of rows at a time.

#include "stofm/kernels/cell_encoder/training_pass.cuh"

namespace stofm::kernels::cell_encoder {

class TrainingHeads {
 public:
  static constexpr std::int64_t most_logits = std::int64_t{1} << 26;  ///< of one block of rows: 256 MiB

  explicit TrainingHeads(TrainingContext& context) : c_(&context) {}

  backend::GeneLossSums gene_loss(TrainingPassRunner& pass, std::span<const std::int32_t> rows,
                                  std::span<const std::int32_t> panel, std::span<const std::int32_t> targets,
                                  std::span<const float> weights, double factor) {
    TrainedParameters& p = c_->parameters;
    check_rows(pass, rows, rows.size());
    bool good =
        p.has_head && !panel.empty() && targets.size() == rows.size() && weights.size() == rows.size();
    for (const std::int32_t target : targets)
      good = good && target >= 0 && target < static_cast<std::int64_t>(panel.size());
    for (const std::int32_t token : panel) good = good && token >= 0 && token < c_->sizes.vocab_size;
    if (!good)
      throw UsageError(
          {"STOFM-6047", "", "[CudaCellEncoderTrainer] gene_loss",
           concat(p.has_head ? "" : "no gene head, ", rows.size(), " rows, ", targets.size(), " targets, ",
                  weights.size(), " weights, a panel of ", panel.size()),
           "a gene head; a target in the panel and a weight for each row; tokens of the vocabulary",
           "Check the batch."});
    backend::GeneLossSums sums;
    const auto m = static_cast<std::int64_t>(rows.size()), genes = static_cast<std::int64_t>(panel.size()),
               w = c_->sizes.hidden_size;
    if (m == 0) return sums;
    stream_ = c_->stream();
    const std::int64_t block = (std::max<std::int64_t>)(16, (std::min)(m, most_logits / genes));
    float *x = nullptr, *h = nullptr, *a = nullptr, *t = nullptr, *table = nullptr, *grad_table = nullptr,
          *shift = nullptr, *grad_shift = nullptr, *logits = nullptr, *factors = nullptr, *partial = nullptr;
    const std::int64_t partial_floats = se2::RowPolicy::sum_blocks(m) * 3 * w;
    double* losses = nullptr;
    std::int32_t *targets_data = nullptr, *right = nullptr;
    arena_.fill(c_->device, [&] {
      for (float** matrix : {&x, &h, &a, &t}) arena_.take(*matrix, m * w);
      for (float** matrix : {&table, &grad_table}) arena_.take(*matrix, genes * w);
      for (float** vector : {&shift, &grad_shift}) arena_.take(*vector, genes);
      arena_.take(logits, block * genes);
      arena_.take(factors, m);
      arena_.take(partial, partial_floats);
      arena_.take(losses, m);
      arena_.take(targets_data, m);
      arena_.take(right, m);
    });
    std::vector<float> scaled(weights.begin(), weights.end());
    for (float& weight : scaled) weight = static_cast<float>(static_cast<double>(weight) * factor);
    copy(factors, scaled.data(), m);
    copy(targets_data, targets.data(), m);
    clear(grad_table, genes * w);
    clear(grad_shift, genes);

    // ---- forward: x -> h -> a -> t
    backend::gather_rows(c_->device, matrix(x, m, w), matrix(pass.states(), pass.rows(), w), rows, false);
    backend::gather_rows(c_->device, matrix(table, genes, w),
                         matrix(p.value(p.words), c_->sizes.vocab_size, w), panel, false);
    backend::gather_rows(c_->device, matrix(shift, genes, 1),
                         matrix(p.value(p.gene_bias), c_->sizes.vocab_size, 1), panel, false);
    product(GemmForm::nt, x, m, w, p.value(p.transform.weight), w, w, h, false);
    se2::ActivateParams activate;
    activate.h = h;
    activate.bias = p.value(p.transform.bias);
    activate.keep = true;
    activate.operand = a;
    activate.rows = m;
    activate.columns = w;
    se2::launch_activate(stream_, Precision::float32, c_->sizes.activation, activate);
    ResidualNormParams<float> transform_norm;
    transform_norm.x = a;
    transform_norm.out.gamma = p.value(p.transform_norm.gamma);
    transform_norm.out.beta = p.value(p.transform_norm.beta);
    transform_norm.out.eps = static_cast<float>(c_->sizes.layer_norm_eps);
    transform_norm.out.y = t;
    transform_norm.out.rows = m;
    transform_norm.out.columns = w;
    launch_residual_norm(OperandForm::float32, transform_norm, stream_);

    // ---- logits, losses and gradients, a block of rows at a time; the gradient of t takes its place
    for (std::int64_t first = 0; first < m; first += block) {
      const std::int64_t count = (std::min)(block, m - first);
      float* const rows_t = t + first * w;
      product(GemmForm::nt, rows_t, count, w, table, genes, w, logits, false, shift);
      launch_gene_rows(
          {logits, targets_data + first, factors + first, losses + first, right + first, count, genes},
          stream_);
      product(GemmForm::tn, logits, count, genes, rows_t, count, w, grad_table, true);
      backend::add_column_sums(c_->device, grad_shift, matrix(logits, count, genes));
      product(GemmForm::nn, logits, count, genes, table, genes, w, rows_t, false);
    }

    // ---- backward: t -> a -> h -> x
    se2::JunctionBackwardParams norm;
    norm.grad_y = t;
    norm.z = a;
    norm.gamma = p.value(p.transform_norm.gamma);
    norm.eps = static_cast<float>(c_->sizes.layer_norm_eps);
    norm.grad_z = t;
    norm.rows = m;
    norm.columns = w;
    se2::PartialSums row_sums(stream_, partial, partial_floats);
    se2::launch_junction_backward(stream_, Precision::float32, norm, row_sums, p.grad(p.transform_norm.gamma),
                                  p.grad(p.transform_norm.beta), nullptr);
    se2::GradientRowsParams rows_gradient;
    rows_gradient.grad = t;
    rows_gradient.h = h;
    rows_gradient.operand = a;
    rows_gradient.rows = m;
    rows_gradient.columns = w;
    se2::launch_gradient_rows(stream_, Precision::float32, c_->sizes.activation, rows_gradient, row_sums,
                              p.grad(p.transform.bias));
    row_sums.flush();
    product(GemmForm::tn, a, m, w, x, m, w, p.grad(p.transform.weight), true);
    product(GemmForm::nn, a, m, w, p.value(p.transform.weight), w, w, t, false);
    backend::scatter_add_rows(c_->device, matrix(pass.state_gradient(), pass.rows(), w), matrix(t, m, w),
                              rows);
    backend::scatter_add_rows(c_->device, matrix(p.grad(p.words), c_->sizes.vocab_size, w),
                              matrix(grad_table, genes, w), panel);
    backend::scatter_add_rows(c_->device, matrix(p.grad(p.gene_bias), c_->sizes.vocab_size, 1),
                              matrix(grad_shift, genes, 1), panel);

    std::vector<double> each(static_cast<std::size_t>(m));
    std::vector<std::int32_t> first_places(static_cast<std::size_t>(m));
    fetch(each.data(), losses, m);
    fetch(first_places.data(), right, m);
    STOFM_CUDA_CHECK(cudaStreamSynchronize(native(stream_)));
    for (std::size_t i = 0; i < each.size(); ++i) {
      sums.weighted += static_cast<double>(weights[i]) * each[i];
      sums.unweighted += each[i];
      sums.right += first_places[i];
    }
    return sums;
  }

  /// What `project_gradient` needs of a projection.
  struct Projected {
    DeviceArray<float> x, p;  // [rows, W], [rows, projection_dim]
    std::vector<std::int32_t> rows;
  };
  void project(TrainingPassRunner& pass, Projected& kept, std::span<const std::int32_t> rows,
               std::span<float> result) {
    TrainedParameters& p = c_->parameters;
    const std::int64_t w = c_->sizes.hidden_size, d = c_->sizes.projection_dim,
                       n = static_cast<std::int64_t>(rows.size());
    check_rows(pass, rows, result.size() / static_cast<std::size_t>(d));
    kept.rows.assign(rows.begin(), rows.end());
    if (n == 0) return;
    stream_ = c_->stream();
    kept.x.reserve(c_->device, n * w);
    kept.p.reserve(c_->device, n * d);
    DeviceArray<float> unit(c_->device, n * d);
    backend::gather_rows(c_->device, matrix(kept.x.data(), n, w), matrix(pass.states(), pass.rows(), w), rows,
                         false);
    product(GemmForm::nt, kept.x.data(), n, w, p.value(p.projection.weight), d, w, kept.p.data(), false,
            p.value(p.projection.bias));
    backend::l2_normalize_rows(c_->device, matrix(unit.data(), n, d), matrix(kept.p.data(), n, d));
    fetch(result.data(), unit.data(), n * d);
    STOFM_CUDA_CHECK(cudaStreamSynchronize(native(stream_)));
  }
  void project_gradient(TrainingPassRunner& pass, Projected& kept, std::span<const float> gradient) {
    TrainedParameters& p = c_->parameters;
    const std::int64_t w = c_->sizes.hidden_size, d = c_->sizes.projection_dim,
                       n = static_cast<std::int64_t>(kept.rows.size());
    check_rows(pass, kept.rows, gradient.size() / static_cast<std::size_t>(d));
    if (n == 0) return;
    stream_ = c_->stream();
    DeviceArray<float> grad(c_->device, n * d), grad_x(c_->device, n * w);
    copy(grad.data(), gradient.data(), n * d);
    backend::l2_normalize_rows_gradient(c_->device, matrix(grad.data(), n, d), matrix(grad.data(), n, d),
                                        matrix(kept.p.data(), n, d));
    product(GemmForm::tn, grad.data(), n, d, kept.x.data(), n, w, p.grad(p.projection.weight), true);
    backend::add_column_sums(c_->device, p.grad(p.projection.bias), matrix(grad.data(), n, d));
    product(GemmForm::nn, grad.data(), n, d, p.value(p.projection.weight), d, w, grad_x.data(), false);
    backend::scatter_add_rows(c_->device, matrix(pass.state_gradient(), pass.rows(), w),
                              matrix(grad_x.data(), n, w), kept.rows);
  }

 private:
  void check_rows(TrainingPassRunner& pass, std::span<const std::int32_t> rows, std::size_t expected) const {
    bool good = rows.size() == expected;
    for (const std::int32_t row : rows) good = good && row >= 0 && row < pass.rows();
    if (!good)
      throw UsageError({"STOFM-6044", "", "[CudaCellEncoderTrainer] rows",
                        concat(rows.size(), " rows, room for ", expected),
                        concat("rows of the ", pass.rows(), " places of the pass"), "Check the rows."});
  }
  TensorView<float, Cuda> matrix(float* data, std::int64_t rows, std::int64_t columns) const {
    TensorView<float, Cuda> view;
    view.data = data;
    view.shape = Shape{rows, columns};
    view.strides = view.shape.row_major_strides();
    view.device = c_->device;
    return view;
  }
  /// d (+)= a b of float32 matrices as stored: a [rows_a, columns_a], b [rows_b, columns_b].
  void product(GemmForm form, const float* a, std::int64_t rows_a, std::int64_t columns_a, const float* b,
               std::int64_t rows_b, std::int64_t columns_b, float* d, bool accumulate,
               const float* bias = nullptr) {
    linear_product(c_->gemm, stream_,
                   {.form = form,
                    .a = dense_operand(a, rows_a, columns_a, OperandForm::float32),
                    .b = dense_operand(b, rows_b, columns_b, OperandForm::float32),
                    .d = d,
                    .stride_d = form == GemmForm::nt ? rows_b : columns_b,
                    .tf32 = c_->precision == Precision::bf16,
                    .accumulate = accumulate,
                    .epilogue = bias != nullptr ? GemmEpilogue::bias : GemmEpilogue::none,
                    .bias = bias});
  }
  template <class T>
  void copy(T* to, const T* from, std::int64_t count) {
    STOFM_CUDA_CHECK(cudaMemcpyAsync(to, from, static_cast<std::size_t>(count) * sizeof(T),
                                     cudaMemcpyHostToDevice, native(stream_)));
  }
  template <class T>
  void fetch(T* to, const T* from, std::int64_t count) {
    STOFM_CUDA_CHECK(cudaMemcpyAsync(to, from, static_cast<std::size_t>(count) * sizeof(T),
                                     cudaMemcpyDeviceToHost, native(stream_)));
  }
  void clear(float* data, std::int64_t count) {
    STOFM_CUDA_CHECK(
        cudaMemsetAsync(data, 0, static_cast<std::size_t>(count) * sizeof(float), native(stream_)));
  }

  TrainingContext* c_;
  CudaStream stream_;
  GrowingArena arena_;
};

}  // namespace stofm::kernels::cell_encoder
