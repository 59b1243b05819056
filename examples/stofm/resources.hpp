// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the machine has: memory that is free for this process, the peak used, the place of the program
/// itself.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace stofm::program {

/// Bytes this process can still get: the least of free memory, room under the cgroup's limit and under
/// RLIMIT_AS.
std::int64_t available_memory();

/// Largest resident size so far, in bytes.
std::int64_t peak_memory();

/// "8G", "500M", "1.5T", "4096" (bytes), "60%" of `available`. Units are powers of 1000; KiB, MiB, GiB of
/// 1024. \throws UsageError for anything else, and for less than 16 MB
std::int64_t parse_memory_size(const std::string& text, std::int64_t available);

/// Directory of the running program.
std::filesystem::path program_directory();

/// The bundle to use: `given`, else <program directory>/share/stofm/demo.safetensors (or ../share/stofm),
/// else $STOFM_WEIGHTS. \throws UsageError if there is none
std::string find_weights(const std::string& given);

/// Inputs in the order given: patterns expanded (sorted; no match is an error; results of `embed`,
/// NAME.stofm.h5ad, are no matches, which is said), lines of the list file appended, exact repetitions
/// dropped. \param verb of a downstream task: its own results, NAME.<verb>.h5ad, are no matches, those of
/// `embed` are, and a slice beside its own NAME.stofm.h5ad is none. \throws UsageError, FileError
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs, const std::string& list,
                                       const std::string& verb = {});

/// True if `word` is a pattern and no file of that name is there.
bool is_pattern(const std::string& word);

/// Removes what killed runs left in a directory (io/temporary_files.hpp), and says so.
void clean_up_after_killed_runs(const std::filesystem::path& directory);

/// "2026-11-21 04:02 UTC"
std::string utc_minute();

}  // namespace stofm::program
