// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One training pass of the cell encoder: forward with everything kept that backward needs, and backward, as
/// model::CellEncoderTrainer::hidden_at computes them. The last layer exists for the rows asked for; the
/// others only give keys and values there. Activations are kept in the operand form that products read, norms
/// by their input.

#include <array>
#include <cmath>
#include <numeric>

#include "stofm/backend/cuda/rows.hpp"
#include "stofm/kernels/cell_encoder/batches.hpp"
#include "stofm/kernels/cell_encoder/training_context.cuh"
#include "stofm/kernels/cell_encoder/training_rows.cuh"
#include "stofm/kernels/model/launch.cuh"
#include "stofm/kernels/sequence_attention/launch.cuh"

namespace stofm::kernels::cell_encoder {

class TrainingPassRunner {
 public:
  explicit TrainingPassRunner(TrainingContext& context) : c_(&context) {}

  std::int64_t rows() const { return rows_; }
  float* states() { return x_; }             // [rows, W]
  float* state_gradient() { return grad_; }  // [rows, W]

  void forward(const backend::CellEncoderPass& input) {
    plan(input);
    c_->refresh();
    embed();
    for (std::int64_t l = 0; l < c_->sizes.layers; ++l) layer_forward(l);
    STOFM_CUDA_CHECK(
        cudaMemsetAsync(grad_, 0, static_cast<std::size_t>(rows_ * width()) * 4, native(stream_)));
  }
  void backward(const backend::GradientsReady& ready = {}) {
    const std::vector<std::int64_t> borders = c_->parameters.all_gradients().borders;
    for (std::int64_t l = c_->sizes.layers; l > 0; --l) {
      if (ready) ready(borders[static_cast<std::size_t>(l) + 1]);
      layer_backward(l - 1);
      sums_.flush();
    }
    if (ready) ready(borders[1]);
    embed_backward();
    sums_.flush();
  }

 private:
  /// Kept by the forward pass of a layer.
  struct LayerState {
    unsigned char *x, *rows, *context, *mixed, *wide;  // operands: input, its rows that ask, and inside
    unsigned char *qkv, *q;  // what attention reads: [T, 3 W]; or [T, 2 W] and q [R, W]
    float *log_sums, *mixed_sum, *h, *sum;
  };

  std::int64_t width() const { return c_->sizes.hidden_size; }
  bool is_last(std::int64_t l) const { return l + 1 == c_->sizes.layers; }
  std::int64_t rows_of(std::int64_t l) const { return is_last(l) ? rows_ : tokens_; }
  /// Bytes of one number as attention reads it, its parts included.
  std::int64_t attention_bytes() const { return c_->precision == Precision::bf16 ? 2 : 4; }

  // ---- preparation on the host
  template <class T>
  void send(T* to, const std::vector<T>& from) {
    if (from.empty()) return;
    STOFM_CUDA_CHECK(
        cudaMemcpyAsync(to, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice, native(stream_)));
  }

  void plan(const backend::CellEncoderPass& input) {
    check_input(c_->sizes, input.tokens, input.offsets,
                input.offsets.empty()
                    ? 0
                    : (input.offsets.size() - 1) * static_cast<std::size_t>(c_->sizes.projection_dim));
    stream_ = c_->stream();
    tokens_ = static_cast<std::int64_t>(input.tokens.size());
    rows_ = static_cast<std::int64_t>(input.places.size());
    key_ = input.key;
    drops_ = input.dropout;
    token_list_.assign(input.tokens.begin(), input.tokens.end());
    place_list_.resize(input.tokens.size());
    const std::vector<std::int64_t> places(input.places.begin(), input.places.end());
    std::vector<std::int64_t> queries{0};
    std::size_t next = 0;
    for (std::size_t s = 0; s + 1 < input.offsets.size(); ++s) {
      std::iota(place_list_.begin() + input.offsets[s], place_list_.begin() + input.offsets[s + 1], 0);
      while (next < places.size() && places[next] >= input.offsets[s] &&
             places[next] < input.offsets[s + 1] && (next == 0 || places[next] > places[next - 1]))
        ++next;
      queries.push_back(static_cast<std::int64_t>(next));
    }
    if (places.empty() || next != places.size())
      throw UsageError({"STOFM-6044", "", "[CudaCellEncoderTrainer] places",
                        places.empty() ? std::string("none") : concat("place ", places[next]),
                        "ascending places within the tokens, at least one",
                        "Sort the places and drop repeats."});
    const auto heads = c_->sizes.heads;
    constexpr auto tile_rows = sequence_attention::TilePolicy::rows;
    const AttentionPlan full = plan_attention(input.offsets, input.offsets, heads, tile_rows),
                        last = plan_attention(queries, input.offsets, heads, tile_rows);
    layers_.resize(static_cast<std::size_t>(c_->sizes.layers));
    counts_ = {
        static_cast<std::int64_t>(full.of_queries.size()), static_cast<std::int64_t>(full.of_keys.size()),
        static_cast<std::int64_t>(last.of_queries.size()), static_cast<std::int64_t>(last.of_keys.size())};
    arena_.fill(c_->device, [&] { layout(); });
    send(token_data_, token_list_);
    send(place_data_, place_list_);
    send(row_places_, places);
    send(tiles_[0], full.of_queries);
    send(tiles_[1], full.of_keys);
    send(tiles_[2], last.of_queries);
    send(tiles_[3], last.of_keys);
    // One mask per site for all rows: slice 0 of the kernels that also know batches of sub-slices.
    std::vector<std::uint32_t> keys;
    for (std::int64_t l = 0; l < c_->sizes.layers; ++l)
      for (std::uint64_t site = 1; site <= 2; ++site) {
        const DropoutMask mask(layer_key(l).child(site), c_->hidden_rate.threshold);
        keys.insert(keys.end(), mask.key.begin(), mask.key.end());
      }
    send(site_keys_, keys);
    const std::size_t zeros = static_cast<std::size_t>((std::max)(tokens_, rows_) + 2) * sizeof(std::int32_t);
    STOFM_CUDA_CHECK(cudaMemsetAsync(zeros_, 0, zeros, native(stream_)));
    STOFM_CUDA_CHECK(cudaStreamSynchronize(native(stream_)));  // host lists may go
  }

  void layout() {
    const std::int64_t w = width(), f = c_->sizes.intermediate_size, t = tokens_, r = rows_,
                       h = c_->sizes.heads, wide = (std::max)(3 * w, f), most = (std::max)(t, r);
    const OperandForm form = c_->form();
    arena_.take(token_data_, t);
    arena_.take(place_data_, t);
    arena_.take(row_places_, r);
    for (std::size_t i = 0; i < counts_.size(); ++i) arena_.take(tiles_[i], counts_[i]);
    arena_.take(site_keys_, 8 * c_->sizes.layers);
    arena_.take(zeros_, most + 2);
    arena_.take(embedding_sum_, t * w);
    for (std::int64_t l = 0; l < c_->sizes.layers; ++l) {
      LayerState& s = layers_[static_cast<std::size_t>(l)];
      const std::int64_t n = rows_of(l);
      arena_.take(s.x, operand_bytes(form, t, w));
      arena_.take(s.rows, is_last(l) ? operand_bytes(form, n, w) : 0);
      arena_.take(s.qkv, attention_bytes() * t * 3 * w);
      arena_.take(s.q, is_last(l) ? attention_bytes() * n * w : 0);
      arena_.take(s.context, operand_bytes(form, n, w));
      arena_.take(s.mixed, operand_bytes(form, n, w));
      arena_.take(s.wide, operand_bytes(form, n, f));
      arena_.take(s.log_sums, h * n);
      arena_.take(s.mixed_sum, n * w);
      arena_.take(s.h, n * f);
      arena_.take(s.sum, n * w);
    }
    arena_.take(x_, most * w);
    arena_.take(row_x_, r * w);
    arena_.take(product_, most * wide);
    arena_.take(grad_, most * w);
    arena_.take(grad_mixed_, most * w);
    arena_.take(grad_wide_, most * wide);
    arena_.take(grad_q_, r * w);
    arena_.take(grad_operand_, operand_bytes(form, most, wide));
    arena_.take(grad_context_parts_, attention_bytes() * most * w);
    arena_.take(row_dots_, h * most);
    float* room = nullptr;  // of the sums over rows of a layer
    const std::int64_t floats = se2::RowPolicy::sum_blocks(most) * (10 * w + f);
    arena_.take(room, floats);
    sums_ = {stream_, room, floats};
  }

  // ---- shared steps
  RandomKey layer_key(std::int64_t l) const { return key_.child(static_cast<std::uint64_t>(l) + 1); }
  DropoutParams mask_of(const RandomKey& key, const DropoutRate& rate) const {
    return drops_ ? dropout_params(DropoutMask(key, rate.threshold), rate.factor) : DropoutParams{};
  }
  /// Site 1 or 2 of a layer, for the kernels that take packed masks.
  se2::PackedDropout site_mask(std::int64_t l, std::int64_t site) const {
    se2::PackedDropout mask;
    if (!drops_ || !c_->hidden_rate.drops()) return mask;
    mask.keys = site_keys_ + 4 * (2 * l + site - 1);
    mask.row_slice = zeros_;
    mask.node_offsets = zeros_;
    mask.threshold = c_->hidden_rate.threshold;
    mask.factor = static_cast<float>(c_->hidden_rate.factor);
    return mask;
  }
  Operand operand(const unsigned char* data, std::int64_t rows, std::int64_t columns) const {
    return dense_operand(data, rows, columns, c_->form());
  }
  Operand gradient_operand(std::int64_t rows, std::int64_t columns) const {
    return dense_operand(grad_operand_, rows, columns, right_form(c_->precision));
  }
  void product(GemmForm form, const Operand& a, const Operand& b, float* d, std::int64_t stride,
               bool accumulate, const float* bias = nullptr) {
    linear_product(c_->gemm, stream_,
                   {.form = form,
                    .a = a,
                    .b = b,
                    .d = d,
                    .stride_d = stride,
                    .accumulate = accumulate,
                    .epilogue = bias != nullptr ? GemmEpilogue::bias : GemmEpilogue::none,
                    .bias = bias});
  }
  NormOutput norm_output(const NormStretch& norm, float* y, void* operand, float* sum,
                         std::int64_t rows) const {
    return {c_->value(norm.gamma), c_->value(norm.beta), eps(), y, operand, sum, rows, width()};
  }
  float eps() const { return static_cast<float>(c_->sizes.layer_norm_eps); }
  void convert(OperandForm form, const float* x, std::int64_t rows, std::int64_t columns, void* out,
               const std::int64_t* rows_of = nullptr) {
    ConvertParams<float> p;
    p.x = x;
    p.stride = p.columns = columns;
    p.rows_of = rows_of;
    p.out = out;
    p.rows = rows;
    launch_convert(form, Activation::identity, p, stream_);
  }
  /// The form in which attention reads its matrices.
  OperandForm attention_form() const {
    return c_->precision == Precision::float32 ? OperandForm::float32
           : c_->precision == Precision::bf16  ? OperandForm::bfloat16
                                               : OperandForm::split_pair;
  }
  /// Columns from `part` * W on of a matrix [*, parts * W] in that form.
  AttentionMatrix attention_matrix(const unsigned char* data, std::int64_t parts, std::int64_t part) const {
    const OperandForm form = attention_form();
    const std::int64_t columns = parts * width();
    return {data + part * width() * operand_element_bytes(form), operand_row(form, columns),
            form == OperandForm::split_pair ? columns : 0};
  }

  // ---- forward
  void embed() {
    const TrainedParameters& p = c_->parameters;
    EmbeddingNormParams params;
    params.tokens = token_data_;
    params.places = place_data_;
    params.words = c_->value(p.words);
    params.positions = c_->value(p.positions);
    params.type = c_->value(p.types);
    params.out = norm_output(p.embedding_norm, x_, layers_.front().x, embedding_sum_, tokens_);
    params.out.dropout = mask_of(key_.child(0), c_->hidden_rate);
    launch_embedding_norm(c_->form(), params, stream_);
  }

  void layer_forward(std::int64_t l) {
    const TrainedParameters::Layer& p = c_->parameters.layers[static_cast<std::size_t>(l)];
    LayerState& s = layers_[static_cast<std::size_t>(l)];
    const bool last = is_last(l);
    const std::int64_t w = width(), f = c_->sizes.intermediate_size, n = rows_of(l), first = last ? w : 0,
                       columns = 3 * w - first;
    const bool direct = c_->precision == Precision::float32;  // attention reads the product itself
    const auto project = [&](const unsigned char* from, std::int64_t rows, std::int64_t first_row,
                             std::int64_t count, unsigned char* to) {
      float* const d = direct ? reinterpret_cast<float*>(to) : product_;
      product(GemmForm::nt, operand(from, rows, w), c_->weight(p.qkv, first_row, count), d, count, false,
              c_->value(p.qkv.bias) + first_row);
      if (!direct) convert(attention_form(), d, rows, count, to);
    };
    project(s.x, tokens_, first, columns, s.qkv);
    float* residual = x_;
    if (last) {
      convert(OperandForm::float32, x_, n, w, row_x_, row_places_);
      convert(c_->form(), x_, n, w, s.rows, row_places_);
      project(s.rows, n, 0, w, s.q);
      residual = row_x_;
    }
    AttentionForward attention;
    attention.tiles = tiles_[last ? 2 : 0];
    attention.tile_count = counts_[last ? 2 : 0];
    fill_attention(attention, s, last, n, l);
    attention.form = c_->form();
    attention.y = s.context;
    attention.log_sums = s.log_sums;
    attention_forward(c_->precision, attention, stream_);

    add_norm(l, 1, s.context, w, p.out, p.attention_norm, residual, residual, s.mixed, s.mixed_sum, n);
    product(GemmForm::nt, operand(s.mixed, n, w), c_->weight(p.fc1), s.h, f, false);
    se2::ActivateParams activate;
    activate.h = s.h;
    activate.bias = c_->value(p.fc1.bias);
    activate.keep = true;
    activate.operand = s.wide;
    activate.rows = n;
    activate.columns = f;
    se2::launch_activate(stream_, c_->precision, c_->sizes.activation, activate);
    add_norm(l, 2, s.wide, f, p.fc2, p.ffn_norm, residual, x_,
             last ? nullptr : layers_[static_cast<std::size_t>(l) + 1].x, s.sum, n);
  }
  template <class Request>
  void fill_attention(Request& request, const LayerState& s, bool last, std::int64_t n,
                      std::int64_t l) const {
    const std::int64_t parts = last ? 2 : 3;
    request.q = last ? attention_matrix(s.q, 1, 0) : attention_matrix(s.qkv, 3, 0);
    request.k = attention_matrix(s.qkv, parts, parts - 2);
    request.v = attention_matrix(s.qkv, parts, parts - 1);
    request.heads = c_->sizes.heads;
    request.head_dim = width() / c_->sizes.heads;
    request.rows = n;
    request.scale = 1.0 / std::sqrt(static_cast<double>(request.head_dim));
    request.dropout = mask_of(layer_key(l).child(0), c_->attention_rate);
  }
  /// y = LN(dropout(from w^T + b) + residual), its operand and the sum before the norm.
  void add_norm(std::int64_t l, std::uint64_t site, const unsigned char* from, std::int64_t columns,
                const LinearStretch& linear, const NormStretch& norm, const float* residual, float* y,
                void* operand_y, float* sum, std::int64_t n) {
    product(GemmForm::nt, operand(from, n, columns), c_->weight(linear), product_, width(), false);
    ResidualNormParams<float> p;
    p.x = product_;
    p.bias = c_->value(linear.bias);
    p.residual = residual;
    p.dropout = mask_of(layer_key(l).child(site), c_->hidden_rate);
    p.out = norm_output(norm, y, operand_y, sum, n);
    launch_residual_norm(c_->form(), p, stream_);
  }

  // ---- backward
  /// Through LN(dropout(from w^T + b) + residual): grad_y becomes the gradient of the sum, grad_operand_ that
  /// of the product; the parameters get theirs.
  void norm_backward(std::int64_t l, std::int64_t site, float* grad, const float* sum,
                     const LinearStretch& linear, const NormStretch& norm, const unsigned char* from,
                     std::int64_t columns, std::int64_t n) {
    TrainedParameters& p = c_->parameters;
    se2::JunctionBackwardParams j;
    j.grad_y = grad;
    j.z = sum;
    j.gamma = p.value(norm.gamma);
    j.eps = eps();
    j.dropout = site_mask(l, site);
    j.grad_z = grad;
    j.operand = grad_operand_;
    j.rows = n;
    j.columns = width();
    se2::launch_junction_backward(stream_, c_->precision, j, sums_, p.grad(norm.gamma), p.grad(norm.beta),
                                  p.grad(linear.bias));
    product(GemmForm::tn, gradient_operand(n, width()), operand(from, n, columns), p.grad(linear.weight),
            columns, true);
  }
  /// grad_operand_ [n, columns] = grad act'(h), and the gradient of the bias.
  void rows_backward(Activation activation, const float* grad, const float* h, std::int64_t n,
                     std::int64_t columns, float* grad_bias) {
    const se2::GradientRowsParams g{
        .grad = grad, .h = h, .dropout = {}, .operand = grad_operand_, .rows = n, .columns = columns};
    se2::launch_gradient_rows(stream_, c_->precision, activation, g, sums_, grad_bias);
  }

  /// grad_ [rows_of(l), W], of the layer's output -> grad_ [tokens, W], of its input.
  void layer_backward(std::int64_t l) {
    TrainedParameters& all = c_->parameters;
    const TrainedParameters::Layer& p = all.layers[static_cast<std::size_t>(l)];
    const LayerState& s = layers_[static_cast<std::size_t>(l)];
    const bool last = is_last(l);
    const std::int64_t w = width(), f = c_->sizes.intermediate_size, n = rows_of(l);
    norm_backward(l, 2, grad_, s.sum, p.fc2, p.ffn_norm, s.wide, f, n);
    product(GemmForm::nn, gradient_operand(n, w), c_->weight(p.fc2), grad_wide_, f, false);
    rows_backward(c_->sizes.activation, grad_wide_, s.h, n, f, all.grad(p.fc1.bias));
    product(GemmForm::tn, gradient_operand(n, f), operand(s.mixed, n, w), all.grad(p.fc1.weight), w, true);
    product(GemmForm::nn, gradient_operand(n, f), c_->weight(p.fc1), grad_, w, true);
    norm_backward(l, 1, grad_, s.mixed_sum, p.out, p.attention_norm, s.context, w, n);
    product(GemmForm::nn, gradient_operand(n, w), c_->weight(p.out), grad_mixed_, w, false);

    // grad_mixed_ is the gradient of the context.
    launch_row_dots(c_->form(), {s.context, grad_mixed_, row_dots_, n, c_->sizes.heads, w / c_->sizes.heads},
                    stream_);
    const unsigned char* grad_context = reinterpret_cast<const unsigned char*>(grad_mixed_);
    if (attention_form() != OperandForm::float32) {
      convert(attention_form(), grad_mixed_, n, w, grad_context_parts_);
      grad_context = grad_context_parts_;
    }
    AttentionBackward attention;
    attention.query_tiles = tiles_[last ? 2 : 0];
    attention.query_tile_count = counts_[last ? 2 : 0];
    attention.key_tiles = tiles_[last ? 3 : 1];
    attention.key_tile_count = counts_[last ? 3 : 1];
    fill_attention(attention, s, last, n, l);
    attention.grad_y = attention_matrix(grad_context, 1, 0);
    attention.log_sums = s.log_sums;
    attention.row_dots = row_dots_;
    const std::int64_t columns = last ? 2 * w : 3 * w, first = 3 * w - columns;
    attention.grad_q = last ? AttentionGradient{grad_q_, w} : AttentionGradient{grad_wide_, columns};
    attention.grad_k = {grad_wide_ + columns - 2 * w, columns};
    attention.grad_v = {grad_wide_ + columns - w, columns};
    attention_backward(c_->precision, attention, stream_);

    float* const grad_weight = all.grad(p.qkv.weight);
    if (last) {
      rows_backward(Activation::identity, grad_q_, nullptr, n, w, all.grad(p.qkv.bias));
      product(GemmForm::tn, gradient_operand(n, w), operand(s.rows, n, w), grad_weight, w, true);
      product(GemmForm::nn, gradient_operand(n, w), c_->weight(p.qkv, 0, w), grad_, w, true);
      std::swap(grad_, grad_mixed_);  // what the rows that ask get
    }
    rows_backward(Activation::identity, grad_wide_, nullptr, tokens_, columns, all.grad(p.qkv.bias) + first);
    product(GemmForm::tn, gradient_operand(tokens_, columns), operand(s.x, tokens_, w),
            grad_weight + first * w, w, true);
    product(GemmForm::nn, gradient_operand(tokens_, columns), c_->weight(p.qkv, first, columns), grad_, w,
            !last);
    if (last) launch_add_rows_at({grad_, grad_mixed_, row_places_, n, w}, stream_);
  }

  void embed_backward() {
    TrainedParameters& p = c_->parameters;
    const std::int64_t w = width();
    launch_drop_rows({grad_, mask_of(key_.child(0), c_->hidden_rate), tokens_ * w / 4}, stream_);
    const se2::JunctionBackwardParams j{.grad_y = grad_,
                                        .z = embedding_sum_,
                                        .gamma = p.value(p.embedding_norm.gamma),
                                        .eps = eps(),
                                        .dropout = {},
                                        .grad_z = grad_,
                                        .rows = tokens_,
                                        .columns = w};
    // The sums over rows, elsewhere a bias, are here the gradient of token type 0.
    se2::launch_junction_backward(stream_, c_->precision, j, sums_, p.grad(p.embedding_norm.gamma),
                                  p.grad(p.embedding_norm.beta), p.grad(p.types));
    const auto matrix = [&](float* data, std::int64_t rows) {
      TensorView<float, Cuda> view;
      view.data = data;
      view.shape = Shape{rows, w};
      view.strides = view.shape.row_major_strides();
      view.device = c_->device;
      return view;
    };
    backend::scatter_add_rows(c_->device, matrix(p.grad(p.words), c_->sizes.vocab_size),
                              matrix(grad_, tokens_), token_list_);
    backend::scatter_add_rows(c_->device, matrix(p.grad(p.positions), c_->sizes.positions),
                              matrix(grad_, tokens_), place_list_);
  }

  TrainingContext* c_;
  CudaStream stream_;
  GrowingArena arena_;
  std::vector<LayerState> layers_;
  std::vector<std::int32_t> token_list_, place_list_;
  std::int64_t tokens_ = 0, rows_ = 0;
  std::array<std::int64_t, 4> counts_{};  // tiles of queries and keys, of full layers and of the last
  RandomKey key_;
  bool drops_ = false;
  std::int32_t *token_data_ = nullptr, *place_data_ = nullptr, *zeros_ = nullptr;
  std::int64_t* row_places_ = nullptr;
  std::array<AttentionTile*, 4> tiles_{};
  std::uint32_t* site_keys_ = nullptr;
  float *embedding_sum_ = nullptr, *x_ = nullptr, *row_x_ = nullptr, *product_ = nullptr, *grad_ = nullptr,
        *grad_mixed_ = nullptr, *grad_wide_ = nullptr, *grad_q_ = nullptr, *row_dots_ = nullptr;
  se2::PartialSums sums_{{}, nullptr, 0};
  unsigned char *grad_operand_ = nullptr, *grad_context_parts_ = nullptr;
};

}  // namespace stofm::kernels::cell_encoder
