// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where the results of each slice go, decided and checked before any work (rows C01 to C03).

#include <cstdint>
#include <string>
#include <vector>

#include "arguments.hpp"

namespace stofm::program {

/// The files of one slice. Empty: not asked for.
struct OutputPlan {
  std::string input;
  std::string h5ad;  ///< equals `input` with --in-place
  std::string npy, csv, report;
  bool in_place = false;
  std::vector<std::string> folders;      ///< to be made first
  std::vector<std::string> named_by_us;  ///< of the files above those whose names nobody gave: never a link

  bool follows_link(const std::string& file) const;
};

/// Absolute and without links, the same before and after the file is there.
std::string whole_path(const std::string& path);

/// True for the name of a result of `embed`: NAME.stofm.h5ad.
bool is_result_name(const std::string& path);

/// `inputs` without the results of others among them (`stofm embed *.h5ad` a second time), which are counted.
std::vector<std::string> without_results(const std::vector<std::string>& inputs,
                                         const EmbedArguments& arguments, std::int64_t& left_out);

/// Names the outputs of every input. With several inputs --npy, --csv and --report must be directories.
/// Inputs of one name keep as many of their folders as tell them apart: DIR/A/x.stofm.h5ad,
/// DIR/B/x.stofm.h5ad. \param verb of a downstream task: NAME.<verb>.h5ad, also of NAME.stofm.h5ad.
/// \throws UsageError if two outputs coincide or one option can not serve several slices
std::vector<OutputPlan> plan_outputs(const std::vector<std::string>& inputs, const EmbedArguments& arguments,
                                     const std::string& verb = {});

/// Every file that a run reads: slices, weights, lists, tables. None of them is ever an output.
std::vector<std::string> files_read(const std::vector<std::string>& slices, const EmbedArguments& arguments);

/// Refuses outputs that exist (unless `overwrite`), are among the files read, or can not be created; with
/// --in-place a slice that is not ours to change. \throws UsageError, ResourceError
void check_outputs(const OutputPlan& plan, const std::vector<std::string>& inputs, bool overwrite);

/// The same for a verb with one output, whose folder is cleaned of what killed runs left. Empty names of
/// files read are left out.
void check_one_output(const std::string& output, const std::vector<std::string>& read, bool overwrite);

}  // namespace stofm::program
