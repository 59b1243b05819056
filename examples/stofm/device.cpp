// SPDX-License-Identifier: MIT
#include "device.hpp"

#include <memory>

#include "console.hpp"
#include "gradient_sums.hpp"
#include "stofm/core/error.hpp"
#if defined(STOFM_WITH_CUDA)
#include "stofm/backend/cuda/device.hpp"
#include "stofm/pipeline/cuda_encoders.hpp"
#include "stofm/train/cuda_adapt.hpp"
#include "stofm/train/cuda_pretrain.hpp"
#endif

namespace stofm::program {

#if defined(STOFM_WITH_CUDA)
namespace {

/// "NVIDIA H200, 139 GiB" of a device.
std::string describe(const backend::CudaDeviceInfo& info) {
  return concat(info.name, ", ", info.total_bytes >> 30, " GiB");
}

backend::Precision precision_of(DevicePrecision precision) {
  return precision == DevicePrecision::bfloat16  ? backend::Precision::bf16
         : precision == DevicePrecision::float32 ? backend::Precision::float32
                                                 : backend::Precision::split_bf16;
}

/// What `make` builds for the chosen device. Nothing, and the CPU from here on, if the device was found, not
/// asked for, and the model has sizes without a kernel.
template <class Make>
auto on_device(ComputeDevice& where, Make&& make) -> std::optional<decltype(make())> {
  if (!where.cuda) return std::nullopt;
  try {
    return make();
  } catch (const UsageError& e) {
    if (where.chosen) throw;
    Console::get().say(concat("device: cpu (", e.what(), ")"), {{"device", "cpu"}});
    where = {};
    return std::nullopt;
  }
}

}  // namespace

ComputeDevice choose_device(const std::string& asked, int rank) {
  ComputeDevice where;
  if (asked == "cpu") return where;
  const int count = backend::cuda_device_count();
  where.chosen = asked != "auto";
  if (count == 0) {
    if (where.chosen)
      throw DeviceError({"STOFM-6001", "", "--device", asked + ", and no CUDA device was found",
                         "an NVIDIA device and a driver for this CUDA version", "Use --device cpu."});
    Console::get().say("device: cpu (no CUDA device was found)", {{"device", "cpu"}});
    return where;
  }
  where.cuda = true;
  where.device.ordinal = asked.size() > 5 ? std::stoi(asked.substr(5)) : rank % count;
  where.name = device_name(where.device);
  const backend::CudaDeviceInfo info = backend::cuda_device_info(where.device);
  if (const std::string why = backend::why_unusable(info); !why.empty()) {
    if (where.chosen)
      throw DeviceError({"STOFM-6004", "", "--device", why, "a device such as A100, H100 or H200",
                         "Use another device or --device cpu."});
    Console::get().say(concat("device: cpu (", why, ")"), {{"device", "cpu"}});
    return {};
  }
  Console::get().say(concat("device: ", where.name, " (", describe(info), ")"), {{"device", where.name}});
  return where;
}

void put_encoders(pipeline::Model& model, ComputeDevice& where, DevicePrecision precision,
                  std::int64_t batch) {
  auto encoders = on_device(where, [&] {
    return pipeline::cuda_encoders(model, where.device,
                                   {.precision = precision_of(precision), .pieces_per_batch = batch});
  });
  if (encoders) model.device = std::move(*encoders);
}

std::optional<DevicePretrain> pretrain_on(ComputeDevice& where, const model::Se2Config& config,
                                          autograd::ParameterSet<float>& parameters,
                                          nn::AdamW<float>& optimizer, const DevicePretrainOptions& options,
                                          distributed::Communicator& ranks) {
  return on_device(where, [&] {
    const auto device = std::make_shared<train::CudaPretrain>(
        config, parameters, optimizer, options.pretrain,
        train::CudaPretrainOptions{where.device, precision_of(options.precision), options.neutral_input});
    if (ranks.size() > 1) {
      device->sum_over_processes = [&ranks](std::vector<double>& numbers) {
        ranks.all_reduce_sum(std::span<double>(numbers));
      };
      device->sum_gradients = [&ranks](std::span<float> gradients) { ranks.all_reduce_sum(gradients); };
      device->sum_on_device = device_sums(ranks, where.device, distributed::Combine::sum);
    }
    if (options.encoder)
      device->add_encoder(std::make_shared<train::CudaJointEncoder>(*options.encoder, parameters, optimizer,
                                                                    options.joint, where.device,
                                                                    precision_of(options.precision)));
    return DevicePretrain{
        .run =
            [device](const train::TrainingBatch& batch,
                     const std::function<const train::TrainingBatch*()>& next) {
              return device->run(batch, next);
            },
        .judge = [device](const train::LoadedPiece& piece, std::int64_t masked,
                          const train::TouchedPairs& pairs) { return device->judge(piece, masked, pairs); },
        .joint_stage = [device](bool joint) { device->joint_stage = joint; },
        .engine = device->engine()};
  });
}

std::optional<DeviceAdapt> adapt_on(ComputeDevice& where, const model::CellEncoderConfig& config,
                                    autograd::ParameterSet<float>& parameters, nn::AdamW<float>& optimizer,
                                    const train::AdaptOptions& options, DevicePrecision precision,
                                    distributed::Communicator& ranks) {
  return on_device(where, [&] {
    const auto device =
        std::make_shared<train::CudaAdapt>(config, parameters, optimizer, options,
                                           train::CudaAdaptOptions{where.device, precision_of(precision)});
    device->sum_on_device = device_sums(ranks, where.device, distributed::Combine::average);
    DeviceAdapt result;
    result.accumulate = [device](const train::CellBatch& batch, const RandomKey& key) {
      return device->accumulate(batch, key);
    };
    result.average_gradients = [device, &ranks] {
      if (ranks.size() == 1) return;
      device->sum_gradients([&ranks](std::span<float> gradients) {
        ranks.all_reduce_sum(gradients);
        for (float& value : gradients) value /= static_cast<float>(ranks.size());
      });
    };
    result.engine = device->engine();
    return result;
  });
}

std::string cuda_words() {
  const int count = backend::cuda_device_count();
  if (count == 0) return "built in, no device found";
  return concat("built in, ", count, count == 1 ? " device (" : " devices (",
                describe(backend::cuda_device_info(Cuda{0})), ")");
}

#else

ComputeDevice choose_device(const std::string& asked, int) {
  if (asked.compare(0, 4, "cuda") == 0)
    throw DeviceError({"STOFM-6001", "", "--device", asked + ", and this program was built without CUDA",
                       "cpu", "Use --device cpu."});
  if (asked == "auto") Console::get().detail("device: cpu (built without CUDA)", {{"device", "cpu"}});
  return {};
}

std::optional<DeviceAdapt> adapt_on(ComputeDevice&, const model::CellEncoderConfig&,
                                    autograd::ParameterSet<float>&, nn::AdamW<float>&,
                                    const train::AdaptOptions&, DevicePrecision, distributed::Communicator&) {
  return std::nullopt;
}
void put_encoders(pipeline::Model&, ComputeDevice&, DevicePrecision, std::int64_t) {}
std::optional<DevicePretrain> pretrain_on(ComputeDevice&, const model::Se2Config&,
                                          autograd::ParameterSet<float>&, nn::AdamW<float>&,
                                          const DevicePretrainOptions&, distributed::Communicator&) {
  return std::nullopt;
}

std::string cuda_words() { return {}; }

#endif

}  // namespace stofm::program
