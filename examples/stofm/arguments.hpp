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

struct ImportArguments {
  std::string input, output;
  std::string format;             ///< empty: found by content
  std::string counts, positions;  ///< tables; empty: what the format calls them
  std::string x, y, id;           ///< columns of the table of positions; empty: found
  bool by_order = false;
  std::int64_t bin = 0;
  bool overwrite = false, strict = false;
};

struct CorpusArguments {
  std::string action;  ///< build|check|stat
  std::vector<std::string> inputs;
  std::string list, table, output, weights;
  std::string technology, donor_column;
  std::int64_t min_cells = 2, min_genes = 0;
  double min_median_counts = 0, duplicate_share = 0.5;
  double validation = 0.05, test = 0.05;
  std::uint64_t seed = 0;
  bool json = false, hash = false, strict = false;
  SliceArguments slice;
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

/// `virtual-cells` and `subslices`.
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
  double dropout = -1;                ///< -1: that of the configuration
  std::string validation;             ///< share or names; empty: 0.1, of a corpus its own
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
  std::string flip_signs = "auto";    ///< auto|on|off
  std::int64_t joint_after = -1;      ///< step from which the cell encoder is trained too; -1: never
  std::int64_t pieces_per_slice = 0;  ///< of an epoch; 0: all
  double mcm_masked = 0.12, mcm_kept = 0.03, pdr_moved = 0.12, pdr_kept = 0.03, pdr_sigma = 5;
  double mcm_weight = 1, pdr_weight = 1;
};

struct AdaptArguments {
  TrainingArguments run;
  double mask_rate = 0.15, view_dropout = 0.3, temperature = 0.05;
  double mgm_weight = 1, contrastive_weight = 0.2;
  std::int64_t max_tokens = 0;  ///< 0: that of the configuration
};

/// What every downstream task has: slices in, features for them, results out.
struct TaskArguments {
  std::vector<std::string> inputs;
  std::string list;
  std::string weights;  ///< empty: as `embed` finds it
  std::string output, output_dir;
  bool in_place = false, overwrite = false;
  std::string report;                ///< one HTML file
  std::string figures;               ///< directory for SVG and PNG
  bool json = false;                 ///< one JSON object with the figures on stdout
  std::string use = "stofm";         ///< what a head or a graph is given: a word of tasks::feature_words
  std::string features = "encoder";  ///< encoder|pca: what the SE(2) Transformer is given
  std::string max_memory;
  SliceArguments slice;
  GeometryArguments geometry;  ///< its seed is that of the whole task
};

/// `segment` and `annotate`.
struct ClassifyArguments {
  TaskArguments task;
  std::string label;               ///< column of obs
  std::vector<std::string> train;  ///< labelled slices
  bool leave_one_out = false;      ///< each input by a head trained on the others
  std::string split;               ///< random|block: score inside each input; empty: no
  std::int64_t folds = 5;          ///< parts or directions of --split
  std::string head;                ///< saved head that predicts
  std::string save;                ///< where the head goes
  std::string tune = "none";       ///< all|last:N|none
  std::string start = "model";     ///< model|random: weights that fine-tuning begins with
  std::string class_weights = "balanced";
  std::int64_t epochs = 20;
  std::string work;  ///< directory of checkpoints
  bool resume = false;
  std::string center = "auto";        ///< auto|on|off: cell features centred per slice
  double unassigned_below = 0;        ///< probability below which no class is given
  std::int64_t smooth = -1;   ///< neighbours whose probabilities count too; -1: chosen on held-out labels
  bool smooth_given = false;  ///< not the default: counts for a saved head, too
  double label_share = 1;             ///< of the training labels
  std::int64_t labels_per_class = 0;  ///< 0: all
  std::vector<std::string> ignore;    ///< labels that count as none
  bool no_floors = false;
};

struct ClusterArguments {
  TaskArguments task;
  std::string method = "leiden";  ///< leiden|gmm|kmeans|minibatch
  std::int64_t clusters = 0;      ///< exactly; 0: by resolution or sweep
  double resolution = 0;          ///< of Leiden; 0: not given
  std::string sweep;              ///< "4:20"
  std::string scale = "auto";     ///< auto|slice|all|none
  double own_weight = -1;         ///< share of the own-cell half; -1: as the columns come
  std::int64_t neighbours = 15;   ///< of the graph, the cell itself counted
  std::string layout = "umap";    ///< umap|none
  std::int64_t rounds = 2;        ///< how often each cell is masked for --use context
};

struct DeconvolveArguments {
  TaskArguments task;
  std::vector<std::string> references;  ///< .h5ad with labels, or one .csv of genes x types
  std::string label;                    ///< column of obs of the references
  std::string method = "poisson";       ///< poisson|nnls|head
  std::string platform_effect = "auto";
  std::string as = "cells";            ///< cells|counts: what shares are shares of
  std::int64_t min_cells = 5;          ///< types of the reference with fewer are left out
  std::int64_t min_counts = 100;       ///< spots with fewer are flagged
  std::vector<std::string> leave_out;  ///< types that are no type: "Ambiguous"
  double interval = 0.9;               ///< 0: none
  double prior = 0;                    ///< 0: none
  bool no_truth = false;               ///< do not look for a known composition
};

struct PseudospotsArguments {
  TaskArguments task;
  std::string label;
  double size = 0;  ///< 0: by cells_per_spot
  double cells_per_spot = 10;
  std::int64_t min_cells = 3;
  std::int64_t random = 0;
  double depth = 1, platform_noise = 0;
};

struct ImputeArguments {
  TaskArguments task;
  std::vector<std::string> references, genes;
  std::vector<std::string> hidden;  ///< measured genes that are predicted as if they were not
  std::int64_t test_genes = 0;      ///< so many of them, drawn
  std::string method = "ridge";
  std::string surroundings = "model";  ///< model|neighbours|none
  std::string align = "none";          ///< none|centre|scale
  double hold_out = 0.2;
  double told_from = 0.2;
  std::int64_t max_genes = 2000, max_shared = 1000;
};

struct EvaluateArguments {
  TaskArguments task;
  std::string truth, predicted;  ///< columns of obs
  std::string embedding;         ///< key of obsm: silhouette of the labels in it
  /// Proportions: a key of obsm, or a pattern "n_*" of columns of obs, which are divided by their sum.
  std::string truth_proportions, predicted_proportions;
  std::string by;                      ///< "slice": figures of each slice as well
  std::int64_t bootstrap = 200;        ///< draws of spatial blocks; 0: no intervals
  std::int64_t silhouette_cells = -1;  ///< -1: as many as take seconds; 0: all
};

struct AblateArguments {
  TaskArguments task;
  std::vector<std::string> train, test;
  std::string label;
  std::vector<std::string> rows;  ///< groups of rows; empty: all
  std::int64_t seeds = 3;
  double draw = 0.8;                ///< of the training cells of each class, drawn anew for each seed
  std::string csv;                  ///< the table as a file
  std::vector<std::string> ignore;  ///< labels that count as none
};

enum class Verb {
  none,
  embed,
  segment,
  annotate,
  cluster,
  deconvolve,
  pseudospots,
  impute,
  evaluate,
  ablate,
  adapt,
  pretrain,
  info,
  verify,
  tokenize,
  virtual_cells,
  subslices,
  import_slice,
  corpus
};

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
  ClassifyArguments classify;
  ClusterArguments cluster;
  DeconvolveArguments deconvolve;
  PseudospotsArguments pseudospots;
  ImputeArguments impute;
  EvaluateArguments evaluate;
  AblateArguments ablate;
  ImportArguments import_slice;
  CorpusArguments corpus;
};

}  // namespace stofm::program
