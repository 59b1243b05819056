// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What `cluster` and `subslices` share: the input tensors, the options, the entries of the result.

#include <vector>

#include "arguments.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/pipeline/virtual_cells.hpp"

namespace stofm::program {

struct GraphInput {
  Tensor<double> spatial;            ///< [cells, 2]
  Tensor<float> features;            ///< [cells, C]
  std::vector<std::int32_t> labels;  ///< of the file's leiden_labels, or empty
};

/// Reads spatial, features and, if there, leiden_labels. \throws FileError, DataError for shapes that do not
/// fit
GraphInput read_graph_input(const std::string& path);

pipeline::VirtualCellOptions virtual_cell_options(const GeometryArguments& arguments);

/// A vector as a 1-D tensor entry.
template <class T>
io::SafetensorsEntry vector_entry(const std::string& name, const std::vector<T>& values) {
  return io::safetensors_entry(name, Tensor<T>::from({static_cast<std::int64_t>(values.size())}, values));
}

/// Metadata and file, guarded against signals.
void write_graph_result(const GraphArguments& arguments, const std::vector<io::SafetensorsEntry>& entries);

}  // namespace stofm::program
