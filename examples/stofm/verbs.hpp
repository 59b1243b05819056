// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One function per verb. Each returns the exit code; refusals are exceptions.

#include "arguments.hpp"

namespace stofm::program {

int run_embed(const Arguments& arguments);
int run_import(const ImportArguments& arguments);
int run_corpus(const Arguments& arguments);
int run_adapt(const Arguments& arguments);
int run_pretrain(const Arguments& arguments);
int run_info(const InfoArguments& arguments);
int run_verify(const VerifyArguments& arguments);
int run_tokenize(const TokenizeArguments& arguments);
int run_virtual_cells(const GraphArguments& arguments);
int run_subslices(const GraphArguments& arguments);

// Downstream tasks, each in tasks/verb_<name>.cpp.
int run_segment(const Arguments& arguments);
int run_annotate(const Arguments& arguments);
int run_cluster(const Arguments& arguments);
int run_deconvolve(const Arguments& arguments);
int run_pseudospots(const Arguments& arguments);
int run_impute(const Arguments& arguments);
int run_evaluate(const Arguments& arguments);
int run_ablate(const Arguments& arguments);

}  // namespace stofm::program
