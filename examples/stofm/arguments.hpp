// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the command line says, as plain structs: filled by command_line.cpp, read by one verb each.

#include <cstdint>
#include <string>
#include <vector>

namespace stofm::program {

/// Options of every verb.
struct CommonArguments {
  bool quiet = false;     ///< errors only
  int verbose = 0;        ///< -v: details
  bool log_json = false;  ///< one JSON object a line on stderr instead of text
  int threads = 0;        ///< 0: one per core
};

/// Which counts, genes and coordinates of a file are used.
struct SliceArguments {
  std::string layer;
  bool use_raw = false;
  std::string gene_key;
  std::string species = "auto";
  double min_coverage = 0.10;
  std::string spatial_key;
  std::string x, y;
  std::string spatial_csv;
  std::string library_key;
  std::string only;
  bool drop_bad_coords = false;
  bool overlay = false;
  bool drop_no_library = false;
  bool accept_noninteger = false;
  std::string counts_scale = "auto";
};

/// How cells become virtual cells and pieces.
struct GeometryArguments {
  std::string clustering = "leiden";
  std::int64_t clusters = 0;  ///< k-means: 0 chooses from the number of cells
  double alpha = 0.2;
  double resolution = 1.0;
  std::int64_t split = 1000;
  bool merge_slivers = false;
  std::string geometry = "reference";
  std::uint64_t seed = 0;
};

struct EmbedArguments {
  std::vector<std::string> inputs;
  std::string list;
  std::string weights;
  std::string output, output_dir;
  bool in_place = false, overwrite = false;
  std::string npy, csv;
  std::string report;
  std::string cell_embeddings;
  std::string device = "auto";
  std::int64_t batch = 0;  ///< sub-slices at once on a device; 0: as many as fit
  std::string dtype = "float32";
  std::string max_memory;  ///< "8G", "80%"; empty: 80 % of what is free
  bool cells_only = false;
  std::int64_t embedding_clusters = 0;  ///< of obs/stofm_cluster; 0 chooses from the number of cells
  bool no_clusters = false;
  bool strict = false, dry_run = false, force = false, fail_fast = false;
  SliceArguments slice;
  GeometryArguments geometry;
};

struct InfoArguments {
  std::string file;
  bool json = false;
};

struct VerifyArguments {
  std::string weights, case_file;
  std::string device = "cpu";  ///< not auto: what is verified should be what was named
  std::string dtype = "float32";
  double tolerance = 0;  ///< 0: that of each tensor
};

struct TokenizeArguments {
  std::string input, output, weights;
  std::int64_t max_cells = 0;  ///< 0: all
  bool overwrite = false;
  SliceArguments slice;
};

/// `cluster` and `subslices`.
struct GraphArguments {
  std::string input, output;
  std::int64_t count = 2;  ///< sub-slices written in full
  bool overwrite = false;
  SliceArguments slice;
  GeometryArguments geometry;
};

/// What both verbs of training have.
struct TrainingArguments {
  std::vector<std::string> inputs;
  std::string list;
  std::string weights;        ///< where the start comes from; empty: as `embed` finds it
  bool from_scratch = false;  ///< random weights in place of those of the bundle
  std::string config = "small";
  std::string output;  ///< directory of the run
  std::int64_t steps = 0;
  double epochs = 0;  ///< used where steps is 0
  std::int64_t batch = 0;
  double learning_rate = 0, final_learning_rate = 0;
  std::int64_t warmup = -1;  ///< -1: a twentieth of the steps
  std::string schedule = "cosine";
  double weight_decay = 0.01, clip = 1.0;
  double dropout = -1;  ///< -1: that of the configuration
  std::string validation = "0.1";
  std::int64_t validate_every = 0;    ///< 0: twenty times in a run
  std::int64_t checkpoint_every = 0;  ///< 0: twenty times in a run
  std::int64_t keep = 3;
  bool resume = false, resume_older = false, force = false;
  std::string cache;
  bool skip_bad = false;
  std::string device = "auto";
  std::string dtype = "float32";  ///< products on a device
  std::string max_memory;
  std::string name;  ///< of the model card
  SliceArguments slice;
  GeometryArguments geometry;  ///< its seed is that of the whole run
};

struct PretrainArguments {
  TrainingArguments run;
  std::string features = "encoder";
  std::string masked_input = "auto";
  std::int64_t joint_after = -1;  ///< step from which the cell encoder is trained too; -1: never
  double mcm_masked = 0.12, mcm_kept = 0.03, pdr_moved = 0.12, pdr_kept = 0.03, pdr_sigma = 5;
  double mcm_weight = 1, pdr_weight = 1;
};

struct AdaptArguments {
  TrainingArguments run;
  double mask_rate = 0.15, view_dropout = 0.3, temperature = 0.05;
  double mgm_weight = 1, contrastive_weight = 0.2;
  std::int64_t max_tokens = 0;  ///< 0: that of the configuration
};

enum class Verb { none, embed, adapt, pretrain, info, verify, tokenize, cluster, subslices };

struct Arguments {
  Verb verb = Verb::none;
  std::vector<std::string> words;  ///< as given, for provenance
  CommonArguments common;
  EmbedArguments embed;
  AdaptArguments adapt;
  PretrainArguments pretrain;
  InfoArguments info;
  VerifyArguments verify;
  TokenizeArguments tokenize;
  GraphArguments graph;
};

}  // namespace stofm::program
