// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// --device: where a verb computes. The only part of the program that knows whether CUDA was built in.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "stofm/core/device.hpp"
#include "stofm/core/op_options.hpp"
#include "stofm/distributed/communicator.hpp"
#include "stofm/pipeline/model.hpp"
#include "stofm/train/adapt.hpp"
#include "stofm/train/judged_model.hpp"
#include "stofm/train/pretrain.hpp"
#include "stofm/train/pretrain_joint.hpp"

namespace stofm::program {

/// Where a run computes.
struct ComputeDevice {
  bool cuda = false;
  bool chosen = false;  ///< by the user; else by `auto`
  Cuda device{};
  std::string name = "cpu";  ///< "cpu", "cuda:0"
};

/// Resolves "auto", "cpu", "cuda" or "cuda:N". `auto` takes a CUDA device where there is one, and says in a
/// line what it took. \param rank of several processes: "cuda" gives each the next device \throws DeviceError
/// STOFM-6001 for "cuda" without CUDA or without a device, STOFM-6002 for another number
ComputeDevice choose_device(const std::string& asked, int rank = 0);

enum class DevicePrecision {
  float32_grade,  ///< the accuracy of float32 on tensor cores (three bfloat16 products)
  float32,        ///< float32 multiplications, for comparisons
  bfloat16,
};

/// Puts the encoders of a model on the device (nothing to do on the CPU). Where `auto` chose a device that
/// has no kernels for the sizes of the model, says so and stays on the CPU. \param batch sub-slices at once,
/// 0: what fits
void put_encoders(pipeline::Model& model, ComputeDevice& where, DevicePrecision precision,
                  std::int64_t batch);

/// Steps of pretraining on a device, for the loop.
struct DevicePretrain {
  /// The second: train::CudaPretrain::run.
  std::function<train::StepReport(const train::TrainingBatch&,
                                  const std::function<const train::TrainingBatch*()>& next)>
      run;
  train::JudgedModel judge;               ///< for validation
  std::function<void(bool)> joint_stage;  ///< whether the cell encoder is trained too, from now on
  train::StepEngine engine;
};
/// What pretraining on the device needs to know.
struct DevicePretrainOptions {
  train::PretrainOptions pretrain;
  DevicePrecision precision = DevicePrecision::float32_grade;
  bool neutral_input = false;
  std::optional<model::CellEncoderConfig> encoder = {};  ///< with a joint stage; its parameters are there
  train::JointOptions joint = {};
};
/// Moves the parameters to the device; they must outlive the result, as the optimizer and `ranks`. Nothing
/// where the run is on the CPU, or where `auto` chose a device that has no kernels for the sizes of the model
/// (said in a line).
std::optional<DevicePretrain> pretrain_on(ComputeDevice& where, const model::Se2Config& config,
                                          autograd::ParameterSet<float>& parameters,
                                          nn::AdamW<float>& optimizer, const DevicePretrainOptions& options,
                                          distributed::Communicator& ranks);

/// Steps of adaptation on a device, for the loop.
struct DeviceAdapt {
  std::function<train::AdaptLosses(const train::CellBatch&, const RandomKey&)> accumulate;
  std::function<void()> average_gradients;  ///< over processes
  train::StepEngine engine;
};
/// As pretrain_on, for the cell encoder.
std::optional<DeviceAdapt> adapt_on(ComputeDevice& where, const model::CellEncoderConfig& config,
                                    autograd::ParameterSet<float>& parameters, nn::AdamW<float>& optimizer,
                                    const train::AdaptOptions& options, DevicePrecision precision,
                                    distributed::Communicator& ranks);

/// Toolkit and devices for --version; "" without CUDA.
std::string cuda_words();

}  // namespace stofm::program
