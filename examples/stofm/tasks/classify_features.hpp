// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Features as `segment` and `annotate` name them, and what a saved head keeps of them so that other slices
/// can be given the same.

#include <span>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "model_bundle.hpp"
#include "stofm/tasks/classifier.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {

/// The mean of its own slice is taken from each row, and `centre` added: the mean over slices of these means,
/// computed if it is empty.
void centre_by_slice(std::vector<Tensor<float>>& rows, std::vector<double>& centre);

/// Keeps components, or the genes that all slices share, in `input`.
void store_components(const tasks::GeneComponents& components, tasks::ClassifierInput& input);
void store_genes(std::span<const TaskSlice> slices, const LoadedModel* model, tasks::ClassifierInput& input);

/// Rows of one slice as the head was given them; of a fine-tuned head the cell rows that its SE(2)
/// Transformer is given. \throws DataError (STOFM-4755) for a slice with fewer than half of the genes
Tensor<float> rows_for_head(const tasks::Classifier& head, const TaskSlice& slice, const LoadedModel* model,
                            const TaskArguments& task, Notices& notices);

}  // namespace stofm::program
