// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The forward pass of one batch of packed sequences on one stream, as model::CellEncoder computes it: full
/// layers for every token, the last layer for position 0 with keys and values folded into its query.
///
/// Buffers of a batch of T tokens and C cells (W hidden, F intermediate, in the element type of results):
///     x [T, W] float32: the residual stream      operand [T, W]: what the next product reads
///     y [T, W]: product before a norm            wide [T, max(3 W, F)]: q k v, or the feed-forward part
///     parts: split q k v for attention, or the activated feed-forward part as operand
/// Per full layer 4 products, 1 attention and 2 norms, and up to 2 conversions; no synchronisation.

#include <cmath>
#include <numbers>

#include "stofm/kernels/cell_encoder/batches.hpp"
#include "stofm/kernels/cell_encoder/weights.cuh"
#include "stofm/kernels/encoder_block/row_norm.cuh"
#include "stofm/kernels/encoder_block/unit_rows.cuh"
#include "stofm/kernels/gemm/gemm.cuh"
#include "stofm/kernels/sequence_attention/first_row.cuh"
#include "stofm/kernels/sequence_attention/request.hpp"

namespace stofm::kernels::cell_encoder {

/// Device memory of one batch in flight.
struct Activations {
  DeviceArray<std::int32_t> tokens, places;
  DeviceArray<std::int64_t> offsets;  // [cells + 1]
  DeviceArray<AttentionTile> tiles;
  DeviceArray<float> x;  // [tokens, W]
  DeviceArray<unsigned char> operand, y, wide, parts;
  DeviceArray<float> first, query, folded, means, context, hidden, result;  // a row a cell

  Activations(Cuda device, const CudaCellEncoderSizes& s, Precision precision, const BatchLimits& limits) {
    const OperandForm form = left_form(precision);
    const std::int64_t w = s.hidden_size, f = s.intermediate_size, t = limits.tokens, c = limits.cells,
                       result_bytes = precision == Precision::bf16 ? 2 : 4;
    tokens = {device, t};
    places = {device, t};
    offsets = {device, c + 1};
    tiles = {device, t / sequence_attention::TilePolicy::rows + c};
    x = {device, t * w};
    operand = {device, operand_bytes(form, t, w)};
    y = {device, result_bytes * t * w};
    wide = {device, result_bytes * t * (std::max)(3 * w, f)};
    parts = {device, t * parts_bytes(s, precision)};
    first = {device, c * w};
    query = {device, c * w};
    folded = {device, c * s.heads * w};
    means = {device, c * s.heads * w};
    context = {device, c * w};
    hidden = {device, c * f};
    result = {device, c * s.projection_dim};
    // Products read rows up to the next multiple of row_granule. What comes of them is not looked at, but
    // they are to hold numbers: initcheck tells what was never written.
    for (auto* read : {&operand, &parts}) backend::fill_bytes(device, read->data(), 0, read->size());
    for (auto* read : {&first, &means}) backend::fill_bytes(device, read->data(), 0, 4 * read->size());
  }
};

/// One pass: refers to weights, buffers and the GEMM library of its stream.
class ForwardPass {
 public:
  ForwardPass(const CudaCellEncoderSizes& sizes, Precision precision, DeviceWeights& weights,
              Activations& buffers, Gemm& gemm, CudaStream stream)
      : sizes_(sizes),
        precision_(precision),
        weights_(weights),
        buffers_(buffers),
        gemm_(gemm),
        stream_(stream) {}

  /// Tokens, places, offsets and tiles are on the device. buffers.result: [cells, projection_dim], unit rows.
  void run(std::int64_t tokens, std::int64_t cells, std::int64_t tiles) {
    tokens_ = tokens;
    cells_ = cells;
    tiles_ = tiles;
    embed();
    for (FullLayer& layer : weights_.layers) full_layer(layer);
    last_layer();
  }

 private:
  GemmElement result_type() const {
    return precision_ == Precision::bf16 ? GemmElement::bfloat16 : GemmElement::float32;
  }
  OperandForm form() const { return left_form(precision_); }
  NormOutput norm_output(DeviceNorm& norm, float* y, void* operand, std::int64_t rows) const {
    NormOutput out;
    out.gamma = norm.gamma.data();
    out.beta = norm.beta.data();
    out.eps = static_cast<float>(sizes_.layer_norm_eps);
    out.y = y;
    out.operand = operand;
    out.rows = rows;
    out.columns = sizes_.hidden_size;
    return out;
  }

  void embed() {
    EmbeddingNormParams params;
    params.tokens = buffers_.tokens.data();
    params.places = buffers_.places.data();
    params.words = weights_.words.data();
    params.positions = weights_.positions.data();
    params.type = weights_.types.data();
    params.out = norm_output(weights_.embedding_norm, buffers_.x.data(), buffers_.operand.data(), tokens_);
    launch_embedding_norm(form(), params, stream_);
  }

  /// d [tokens, rows of w] = operand w^T, with the bias (and relu) if the library shall add it.
  void product(DeviceLinear& w, const void* operand, std::int64_t columns, void* d, GemmEpilogue epilogue) {
    LinearProduct p;
    p.a = dense_operand(operand, padded_rows(tokens_), columns, form());
    p.b = w.operand;
    p.d = d;
    p.stride_d = w.operand.rows;
    p.result = result_type();
    p.epilogue = epilogue;
    if (epilogue != GemmEpilogue::none)
      p.bias =
          p.result == GemmElement::bfloat16 ? static_cast<const void*>(w.short_bias.data()) : w.bias.data();
    linear_product(gemm_, stream_, p);
  }
  /// to = activation(from + bias) in `target` form.
  void convert(const void* from, std::int64_t columns, const float* bias, Activation activation,
               OperandForm target, void* to) {
    const auto run = [&]<class Source>(const Source* x) {
      ConvertParams<Source> p;
      p.x = x;
      p.stride = columns;
      p.bias = bias;
      p.out = to;
      p.rows = tokens_;
      p.columns = columns;
      launch_convert(target, activation, p, stream_);
    };
    if (result_type() == GemmElement::bfloat16)
      run(static_cast<const bfloat16*>(from));
    else
      run(static_cast<const float*>(from));
  }
  /// x = LN(y + bias + x), and its operand.
  void add_norm(const float* bias, DeviceNorm& norm) {
    const auto run = [&]<class Source>(const Source* y) {
      ResidualNormParams<Source> p;
      p.x = y;
      p.bias = bias;
      p.residual = buffers_.x.data();
      p.out = norm_output(norm, buffers_.x.data(), buffers_.operand.data(), tokens_);
      launch_residual_norm(form(), p, stream_);
    };
    const void* const y = buffers_.y.data();
    if (result_type() == GemmElement::bfloat16)
      run(static_cast<const bfloat16*>(y));
    else
      run(static_cast<const float*>(y));
  }

  void attend() {
    const std::int64_t w = sizes_.hidden_size;
    AttentionForward request;
    request.tiles = buffers_.tiles.data();
    request.tile_count = tiles_;
    const unsigned char* data = buffers_.wide.data();
    std::int64_t bytes = 4, stride = 3 * w, low = 0;
    if (precision_ == Precision::bf16) {
      bytes = 2;
    } else if (precision_ != Precision::float32) {
      convert(data, 3 * w, nullptr, Activation::identity, OperandForm::split_pair, buffers_.parts.data());
      data = buffers_.parts.data();
      bytes = 2;
      stride = 6 * w;
      low = 3 * w;
    }
    request.q = {data, stride, low};
    request.k = {data + bytes * w, stride, low};
    request.v = {data + 2 * bytes * w, stride, low};
    request.heads = sizes_.heads;
    request.head_dim = w / sizes_.heads;
    request.rows = tokens_;
    request.scale = 1.0 / std::sqrt(static_cast<double>(request.head_dim));
    request.form = form();
    request.y = buffers_.operand.data();
    attention_forward(precision_, request, stream_);
  }

  void full_layer(FullLayer& layer) {
    const std::int64_t w = sizes_.hidden_size, f = sizes_.intermediate_size;
    unsigned char* const operand = buffers_.operand.data();
    product(layer.qkv, operand, w, buffers_.wide.data(), GemmEpilogue::bias);
    attend();
    product(layer.out, operand, w, buffers_.y.data(), GemmEpilogue::none);
    add_norm(layer.out.bias.data(), layer.attention_norm);
    // relu in the epilogue where its result is an operand already; else activation and conversion in one
    // pass.
    if (sizes_.activation == Activation::relu && !is_split(form())) {
      product(layer.fc1, operand, w, buffers_.parts.data(), GemmEpilogue::bias_relu);
    } else {
      product(layer.fc1, operand, w, buffers_.wide.data(), GemmEpilogue::none);
      convert(buffers_.wide.data(), f, layer.fc1.bias.data(), sizes_.activation, form(),
              buffers_.parts.data());
    }
    product(layer.fc2, buffers_.parts.data(), f, buffers_.y.data(), GemmEpilogue::none);
    add_norm(layer.fc2.bias.data(), layer.ffn_norm);
  }

  /// d [cells, outputs] = a b' + bias in float32 (TF32 in the two fast classes); one row a cell.
  void cell_product(GemmForm product_form, const float* a, std::int64_t inputs, std::int64_t stride_a,
                    const float* b, std::int64_t outputs, std::int64_t stride_b, float* d,
                    std::int64_t stride_d, const float* bias, bool relu = false) {
    GemmProblem p;
    p.form = product_form;
    p.m = padded_rows(cells_);
    p.n = outputs;
    p.k = inputs;
    p.a = a;
    p.stride_a = stride_a;
    p.b = b;
    p.stride_b = stride_b;
    p.d = d;
    p.stride_d = stride_d;
    p.tf32 = precision_ == Precision::bf16;
    p.epilogue = bias == nullptr ? GemmEpilogue::none : relu ? GemmEpilogue::bias_relu : GemmEpilogue::bias;
    p.bias = bias;
    gemm_.run(p, stream_);
  }
  void cell_product(DeviceLinear& w, const float* a, float* d, bool relu = false) {
    cell_product(GemmForm::nt, a, w.operand.columns, w.operand.columns, weight(w), w.operand.rows,
                 w.operand.columns, d, w.operand.rows, w.bias.data(), relu);
  }
  static const float* weight(DeviceLinear& w) { return reinterpret_cast<const float*>(w.weight.data()); }

  void last_layer() {
    LastLayer& last = weights_.last;
    const std::int64_t w = sizes_.hidden_size, f = sizes_.intermediate_size, heads = sizes_.heads,
                       d = w / heads;
    float *const first = buffers_.first.data(), *const query = buffers_.query.data(),
                 *const folded = buffers_.folded.data(), *const means = buffers_.means.data(),
                 *const context = buffers_.context.data(), *const hidden = buffers_.hidden.data();
    ConvertParams<float> take;
    take.x = buffers_.x.data();
    take.stride = w;
    take.rows_of = buffers_.offsets.data();
    take.out = first;
    take.rows = cells_;
    take.columns = w;
    launch_convert(OperandForm::float32, Activation::identity, take, stream_);
    cell_product(last.query, first, query);
    for (std::int64_t h = 0; h < heads; ++h)  // W_k^T q, a head at a time
      cell_product(GemmForm::nn, query + h * d, d, w, weight(last.key) + h * d * w, w, w, folded + h * w,
                   heads * w, nullptr);
    FirstRowParams attention;
    attention.x = buffers_.x.data();
    attention.queries = folded;
    attention.offsets = buffers_.offsets.data();
    attention.means = means;
    attention.sequences = cells_;
    attention.heads = heads;
    attention.width = w;
    attention.scale_log2 = static_cast<float>(std::numbers::log2e / std::sqrt(static_cast<double>(d)));
    launch_first_row(attention, stream_);
    for (std::int64_t h = 0; h < heads; ++h)
      cell_product(GemmForm::nt, means + h * w, w, heads * w, weight(last.value) + h * d * w, d, w,
                   context + h * d, w, last.value.bias.data() + h * d);
    cell_product(last.out, context, query);
    cell_norm(query, last.attention_norm);
    const bool relu = sizes_.activation == Activation::relu;
    cell_product(last.fc1, first, hidden, relu);
    if (sizes_.activation == Activation::gelu) {
      ConvertParams<float> activate;
      activate.x = hidden;
      activate.stride = activate.columns = f;
      activate.out = hidden;
      activate.rows = cells_;
      launch_convert(OperandForm::float32, Activation::gelu, activate, stream_);
    }
    cell_product(last.fc2, hidden, query);
    cell_norm(query, last.ffn_norm);
    cell_product(last.projection, first, buffers_.result.data());
    launch_unit_rows({buffers_.result.data(), buffers_.result.data(), cells_, sizes_.projection_dim},
                     stream_);
  }
  /// first = LN(y + first).
  void cell_norm(const float* y, DeviceNorm& norm) {
    ResidualNormParams<float> p;
    p.x = y;
    p.residual = buffers_.first.data();
    p.out = norm_output(norm, buffers_.first.data(), nullptr, cells_);
    launch_residual_norm(OperandForm::float32, p, stream_);
  }

  const CudaCellEncoderSizes& sizes_;
  Precision precision_;
  DeviceWeights& weights_;
  Activations& buffers_;
  Gemm& gemm_;
  CudaStream stream_;
  std::int64_t tokens_ = 0, cells_ = 0, tiles_ = 0;
};

}  // namespace stofm::kernels::cell_encoder
