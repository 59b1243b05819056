// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Configurations for training from scratch, by name or from a file.

#include <nlohmann/json.hpp>
#include <string>

namespace stofm::program {

/// The SE(2) Transformer: "tiny" (tests), "small" (minutes on a CPU; ours), "published" (sizes of the paper),
/// or a config.json. `input_dim` is set to the width of the cell features. \throws UsageError, FileError
nlohmann::json named_se2_config(const std::string& name, std::int64_t input_dim);

/// The cell encoder, likewise. "published": sizes of Geneformer V1. \param vocabulary tokens of the gene
/// table
nlohmann::json named_cell_encoder_config(const std::string& name, std::int64_t vocabulary);

}  // namespace stofm::program
