// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What training passes of the cell encoder share: parameters, the GEMM library, weights in the form that
/// products read; and memory for the activations of a pass.

#include <map>

#include "stofm/core/random_key.hpp"
#include "stofm/kernels/cell_encoder/trained_parameters.cuh"
#include "stofm/kernels/gemm/gemm.cuh"

namespace stofm::kernels::cell_encoder {

/// What the passes of a trainer share.
struct TrainingContext {
  Cuda device;
  CudaCellEncoderSizes sizes;
  Precision precision;
  DropoutRate hidden_rate, attention_rate;
  TrainedParameters parameters;
  Gemm gemm;
  std::map<std::int64_t, DeviceArray<unsigned char>> copies;  ///< weights as operands, by their first element
  bool copies_are_old = true;

  CudaStream stream() const { return thread_stream(device); }
  OperandForm form() const { return left_form(precision); }
  const float* value(const Stretch& at) { return parameters.value(at); }

  /// Rows [first, first + rows) of a weight as operand.
  Operand weight(const LinearStretch& w, std::int64_t first = 0, std::int64_t rows = -1) {
    const OperandForm right = right_form(precision);
    const std::int64_t count = rows < 0 ? w.rows : rows;
    const std::int64_t skipped = first * operand_row(right, w.columns) * operand_element_bytes(right);
    const auto* const data = right == OperandForm::float32
                                 ? reinterpret_cast<const unsigned char*>(parameters.value(w.weight))
                                 : copies.at(w.weight.first).data();
    return dense_operand(data + skipped, count, w.columns, right);
  }
  /// Weights were changed: their copies are made again.
  void refresh() {
    if (!copies_are_old || right_form(precision) == OperandForm::float32) return;
    for (const auto& layer : parameters.layers)
      for (const LinearStretch* w : {&layer.qkv, &layer.out, &layer.fc1, &layer.fc2}) {
        auto& copy = copies[w->weight.first];
        if (copy.size() == 0) copy = {device, operand_bytes(right_form(precision), w->rows, w->columns)};
        ConvertParams<float> p;
        p.x = parameters.value(w->weight);
        p.stride = p.columns = w->columns;
        p.rows = w->rows;
        p.out = copy.data();
        launch_convert(right_form(precision), Activation::identity, p, stream());
      }
    copies_are_old = false;
  }
};

/// An arena with memory of its own; what was handed out before is lost when it grows.
class GrowingArena : public Arena {
 public:
  /// Runs `layout`, which takes all its arrays from this arena, once to measure and once to hand out.
  template <class Layout>
  void fill(Cuda device, const Layout& layout) {
    static_cast<Arena&>(*this) = Arena();
    layout();
    store_.reserve(device, used());
    static_cast<Arena&>(*this) = Arena(store_.data());
    layout();
  }

 private:
  DeviceArray<std::byte> store_;
};

}  // namespace stofm::kernels::cell_encoder
