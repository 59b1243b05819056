// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One function per verb. Each returns the exit code; refusals are exceptions.

#include "arguments.hpp"

namespace stofm::program {

int run_embed(const Arguments& arguments);
int run_adapt(const Arguments& arguments);
int run_pretrain(const Arguments& arguments);
int run_info(const InfoArguments& arguments);
int run_verify(const VerifyArguments& arguments);
int run_tokenize(const TokenizeArguments& arguments);
int run_cluster(const GraphArguments& arguments);
int run_subslices(const GraphArguments& arguments);

}  // namespace stofm::program
