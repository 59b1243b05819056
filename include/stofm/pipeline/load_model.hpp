// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A model and how it is loaded: declarations over light types. The encoders, the tables and the bundle
/// behind it are in pipeline/model.hpp, with the bodies.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "stofm/core/compiled.hpp"
#include "stofm/core/device.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/op_options.hpp"
#include "stofm/core/scalar.hpp"

namespace stofm {

namespace io {
struct Bundle;
}
namespace model {
template <Real T>
class CellEncoder;
template <Real T>
class Se2Encoder;
class MaskedCellHead;
}  // namespace model

namespace pipeline {

struct DeviceEncoders;
struct GeneTable;
struct MouseMap;

struct ModelOptions {
  std::string file{};                        ///< names the weights in messages
  bool allow_nonfinite = false;              ///< accept NaN and inf in weights
  MatmulGrade grade = MatmulGrade::float32;  ///< precision of the products of both encoders
};

/// Immutable once built; copies share the weights. May be used by several threads at once, with a device by
/// one.
struct Model {
  std::shared_ptr<const model::CellEncoder<float>> cell_encoder{};  ///< null: absent
  std::shared_ptr<const model::Se2Encoder<float>> se2;              ///< null: absent
  std::shared_ptr<const model::MaskedCellHead> masked_cell_head{};  ///< of pretraining; null: absent
  std::shared_ptr<const GeneTable> genes{};                         ///< null: absent
  std::shared_ptr<const MouseMap> mouse_map{};                      ///< never null; may be empty
  std::string file{};                                               ///< names the weights in messages
  std::string info{};  ///< JSON text about name, licence, training; "{}" if unknown
  Notices notices{};   ///< about the weights and the tables, not about a slice
  std::shared_ptr<const DeviceEncoders> device{};  ///< null: everything is computed on the CPU

  /// Width of what embed_slice returns: the SE(2) Transformer's, else the cell encoder's.
  std::int64_t width() const;
  /// Width of a cell embedding.
  std::int64_t cell_width() const;
};

/// A model from a bundle that has been read. \throws as make_model and the parsers of the configurations.
STOFM_INLINE Model load_model(const io::Bundle& bundle, const ModelOptions& options = {});

/// A model from a bundle file. \throws as io::read_bundle besides.
STOFM_INLINE Model load_model(const std::filesystem::path& path, ModelOptions options = {});

}  // namespace pipeline
}  // namespace stofm
