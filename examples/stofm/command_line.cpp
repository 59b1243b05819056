// SPDX-License-Identifier: MIT
#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>

#include "console.hpp"
#include "stofm/core/error.hpp"

namespace stofm::program {
namespace {

constexpr const char* exit_codes =
    "Exit codes: 0 done, 1 verify: not equal, 2 usage, 3 bad file, 4 bad data, 5 memory or disk,\n"
    "            6 device, 130/143 interrupted. Words go to stderr, data to files or stdout.";

std::string footer_of(const std::string& examples) {
  return concat("Examples:\n", examples, "\n\n", exit_codes);
}

class Formatter : public CLI::Formatter {
 public:
  Formatter() { column_width(34); }
  std::string make_usage(const CLI::App* app, std::string) const override {
    if (app->get_parent() == nullptr) return "\nUsage: stofm VERB [OPTIONS] ...\n";
    std::string positionals;
    for (const CLI::Option* known : app->get_options())
      if (known->get_positional()) positionals += " " + known->get_type_name();
    return "\nUsage: stofm " + app->get_name() + " [OPTIONS]" + positionals +
           (app->get_name() == "embed" ? "...\n" : "\n");
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string out;
    if (option->get_type_size() != 0) {
      if (!option->get_type_name().empty()) out += " " + option->get_type_name();
      if (option->get_items_expected_max() > 1) out += " ...";
      if (!option->get_default_str().empty()) out += " [" + option->get_default_str() + "]";
      if (option->get_required()) out += " (required)";
    }
    return out;
  }
};

std::int64_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::int64_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<std::int64_t>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::int64_t diagonal = row[0];
    row[0] = static_cast<std::int64_t>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::int64_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// The candidate that is nearest, if it is near enough to be meant.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  std::int64_t best_distance = 2 + static_cast<std::int64_t>(word.size()) / 4;
  for (const auto& candidate : candidates) {
    const std::int64_t distance = edit_distance(word, candidate);
    const bool begins = word.size() > 3 && candidate.compare(0, word.size(), word) == 0;
    if (distance < best_distance || (begins && best.empty())) {
      best = candidate;
      best_distance = std::min(best_distance, distance);
    }
  }
  return best;
}

std::string help_of(const std::string& verb) {
  return verb.empty() ? "'stofm --help'" : "'stofm " + verb + " --help'";
}

void refuse_unknown_option(const CLI::App& app, const CLI::App& top, const std::string& option) {
  if (app.get_option_no_throw(option) != nullptr) return;
  std::vector<std::string> names;
  for (const CLI::App* source : {&app, &top})
    for (const CLI::Option* known : source->get_options())
      for (const auto& name : known->get_lnames()) names.push_back("--" + name);
  const std::string guess = nearest(option, names);
  throw UsageError({"STOFM-2001", "", option, "an unknown option", "an option of stofm " + app.get_name(),
                    (guess.empty() ? std::string() : "Did you mean " + guess + "? ") + "See " +
                        help_of(app.get_name()) + "."});
}

/// Unknown names are refused before CLI11 sees the line: its own refusals name no neighbour.
void check_names(const CLI::App& top, int argc, char** argv) {
  const CLI::App* app = &top;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") return;
    if (word.size() > 2 && word.compare(0, 2, "--") == 0) {
      refuse_unknown_option(*app, top, word.substr(0, word.find('=')));
    } else if (app == &top && !word.empty() && word[0] != '-') {
      const auto known_verbs =
          top.get_subcommands([&](const CLI::App* known) { return known->get_name() == word; });
      const CLI::App* verb = known_verbs.empty() ? nullptr : known_verbs.front();
      if (verb == nullptr) {
        std::vector<std::string> names;
        for (const CLI::App* known : top.get_subcommands([](const CLI::App*) { return true; }))
          names.push_back(known->get_name());
        const std::string guess = nearest(word, names);
        throw UsageError(
            {"STOFM-2002", "", stofm::quoted(word), "an unknown verb",
             "one of embed, info, verify, tokenize, "
             "cluster, subslices",
             (guess.empty() ? std::string() : "Did you mean " + guess + "? ") + "See 'stofm --help'."});
      }
      app = verb;
    }
  }
}

template <class T>
CLI::Option* option(CLI::App& app, const char* group, const char* names, T& value, const char* what,
                    const char* type = nullptr) {
  CLI::Option* made = app.add_option(names, value, what)->group(group);
  if (type != nullptr) made->type_name(type);
  return made;
}
CLI::Option* flag(CLI::App& app, const char* group, const char* names, bool& value, const char* what) {
  return app.add_flag(names, value, what)->group(group);
}

/// Finite number in [low, high].
CLI::Validator number(double low, double high, const std::string& words) {
  return CLI::Validator(
      [low, high, words](std::string& text) {
        double value = 0;
        if (!CLI::detail::lexical_cast(text, value) || !std::isfinite(value) || value < low || value > high)
          return "found " + stofm::quoted(text) + ", expected " + words;
        return std::string();
      },
      "");
}
CLI::Validator integer(std::int64_t low, std::int64_t high) {
  return CLI::Validator(
      [low, high](std::string& text) {
        std::int64_t value = 0;
        const bool digits = !text.empty() && text.find_first_not_of("-0123456789") == std::string::npos;
        if (!digits || !CLI::detail::lexical_cast(text, value) || value < low || value > high)
          return "found " + stofm::quoted(text) + ", expected an integer from " + std::to_string(low) +
                 " to " + std::to_string(high);
        return std::string();
      },
      "");
}
CLI::Validator one_of(const std::vector<std::string>& words) {
  std::string list;
  for (const auto& word : words) list += (list.empty() ? "" : "|") + word;
  return CLI::Validator(
      [words, list](std::string& text) {
        if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
        const std::string guess = nearest(text, words);
        return "found " + stofm::quoted(text) + ", expected one of " + list +
               (guess.empty() ? std::string() : " (did you mean " + guess + "?)");
      },
      "");
}
CLI::Validator device_name() {
  return CLI::Validator(
      [](std::string& text) {
        const bool cuda =
            text == "cuda" || (text.compare(0, 5, "cuda:") == 0 && text.size() > 5 && text.size() < 9 &&
                               text.find_first_not_of("0123456789", 5) == std::string::npos);
        return text == "auto" || text == "cpu" || cuda
                   ? std::string()
                   : "found " + stofm::quoted(text) + ", expected auto, cpu, cuda or cuda:N";
      },
      "");
}

void add_common(CLI::App& app, CommonArguments& a) {
  const char* group = "General";
  option(app, group, "--threads", a.threads, "Threads (0: one per core). The result does not depend on it.",
         "N")
      ->check(integer(0, 1024))
      ->capture_default_str();
  auto* quiet = flag(app, group, "-q,--quiet", a.quiet, "Say nothing but errors");
  app.add_flag("-v,--verbose", a.verbose, "Say more")->group(group)->excludes(quiet);
  flag(app, group, "--log-json", a.log_json, "Messages on stderr as one JSON object a line");
}

void add_slice(CLI::App& app, SliceArguments& a, bool genes, bool places) {
  const char* group = "What is read from the slice";
  if (genes) {
    auto* layer = option(app, group, "--layer", a.layer, "Counts are in layers/NAME (default: X)", "NAME");
    flag(app, group, "--use-raw", a.use_raw, "Counts are in raw/X")->excludes(layer);
    option(app, group, "--gene-key", a.gene_key,
           "Column of var with the gene ids (default: found by content)", "NAME");
    option(app, group, "--species", a.species, "Species of the gene ids", "auto|human|mouse")
        ->check(one_of({"auto", "human", "mouse"}))
        ->capture_default_str();
    option(app, group, "--min-coverage", a.min_coverage, "Refuse below this share of known genes", "SHARE")
        ->check(number(0, 1, "a number from 0 to 1"))
        ->capture_default_str();
    flag(app, group, "--accept-noninteger", a.accept_noninteger, "Take counts that are not whole numbers");
  }
  if (places) {
    auto* key = option(app, group, "--spatial-key", a.spatial_key,
                       "obsm key of the positions (default: spatial)", "NAME");
    auto* x = option(app, group, "--x", a.x, "obs column with x, in place of obsm", "NAME")->excludes(key);
    auto* y = option(app, group, "--y", a.y, "obs column with y", "NAME")->excludes(key);
    x->needs(y);
    y->needs(x);
    option(app, group, "--spatial-csv,--coordinates", a.spatial_csv,
           "CSV of positions, joined on the cell index", "FILE")
        ->excludes(key)
        ->excludes(x)
        ->excludes(y);
    option(app, group, "--library-key", a.library_key,
           "obs column that names the slice of each cell: slices are embedded apart", "NAME");
    flag(app, group, "--drop-bad-coords", a.drop_bad_coords,
         "Leave out cells without a finite position, and list them");
  }
}

void add_geometry(CLI::App& app, GeometryArguments& a) {
  const char* group = "Virtual cells and sub-slices";
  option(app, group, "--clustering", a.clustering, "How virtual cells are found", "leiden|kmeans")
      ->check(one_of({"leiden", "kmeans"}))
      ->capture_default_str();
  option(app, group, "--clusters", a.clusters, "k of kmeans (0: from the number of cells)", "N")
      ->check(integer(0, 100000))
      ->capture_default_str();
  option(app, group, "--alpha", a.alpha, "Weight of space against expression in the clustering", "NUMBER")
      ->check(number(0, 1, "a number from 0 to 1"))
      ->capture_default_str();
  option(app, group, "--resolution", a.resolution, "Resolution of leiden", "NUMBER")
      ->check(number(1e-6, 1e6, "a number from 1e-6 to 1e6"))
      ->capture_default_str();
  option(app, group, "--split", a.split, "Cells in a sub-slice, about", "N")
      ->check(integer(1, 1000000))
      ->capture_default_str();
  option(
      app, group, "--geometry", a.geometry,
      "Two cells at one place: 'reference' puts them far apart as the published code does, 'stable' together",
      "reference|stable")
      ->check(one_of({"reference", "stable"}))
      ->capture_default_str();
  option(app, group, "--seed", a.seed, "Seed of the clustering", "N")
      ->check(integer(0, INT64_MAX))
      ->capture_default_str();
}

void add_embed(CLI::App& app, EmbedArguments& a) {
  app.add_option("input", a.inputs, "Slices (.h5ad); patterns such as 'data/*.h5ad' are expanded")
      ->type_name("INPUT")
      ->expected(0, 1000000)
      ->group("Input and output");
  const char* files = "Input and output";
  option(app, files, "--list", a.list, "Text file with one slice a line", "FILE");
  option(app, files, "-w,--weights", a.weights,
         "Model bundle (default: the demo bundle beside the program, then $STOFM_WEIGHTS)", "FILE");
  auto* out = option(app, files, "-o,--output", a.output,
                     "Result (default: NAME.stofm.h5ad in the current directory)", "FILE");
  auto* dir =
      option(app, files, "--output-dir", a.output_dir, "Directory for the results", "DIR")->excludes(out);
  flag(app, files, "--in-place", a.in_place, "Add the result to the input file; nothing else in it changes")
      ->excludes(out)
      ->excludes(dir);
  flag(app, files, "--overwrite", a.overwrite, "Replace results that exist");
  option(app, files, "--npy", a.npy, "Also write the embeddings as .npy", "FILE");
  option(app, files, "--csv", a.csv, "Also write the embeddings as .csv", "FILE");
  option(app, files, "--report", a.report, "Also write a report: one HTML file, no network needed", "FILE");
  option(app, files, "--cell-embeddings", a.cell_embeddings,
         "Take the cell embeddings from a .npy [cells, width] instead of the cell encoder", "FILE");

  auto* given = app.get_option("--cell-embeddings");
  flag(app, files, "--cells-only", a.cells_only, "Stop at the cell embeddings (obsm/X_stofm_cells)")
      ->excludes(given);

  add_slice(app, a.slice, true, true);
  add_geometry(app, a.geometry);

  const char* run = "Running";
  option(app, run, "--device", a.device, "Where to compute", "auto|cpu|cuda[:N]")
      ->check(device_name())
      ->capture_default_str();
  option(app, run, "--dtype", a.dtype, "Grade of the matrix products", "float32|bfloat16")
      ->check(one_of({"float32", "bfloat16"}))
      ->capture_default_str();
  option(app, run, "--max-memory", a.max_memory,
         "Memory to stay under: 8G, 500M, 60% (default: 80% of what is free)", "SIZE");
  flag(app, run, "--dry-run", a.dry_run, "Print the plan (genes, pieces, memory) and stop");
  flag(app, run, "--strict", a.strict, "Anything worth a note is an error");
  flag(app, run, "--force", a.force, "Do finished slices again, and replace their results");
  flag(app, run, "--fail-fast", a.fail_fast, "Stop at the first slice that fails");
}

std::unique_ptr<CLI::App> make_app(Arguments& a) {
  auto app = std::make_unique<CLI::App>(
      "stofm: embeddings of the cells of spatial transcriptomics slices (SToFM in C++)", "stofm");
  const auto format = std::make_shared<Formatter>();
  app->formatter(format);
  app->set_help_flag("-h,--help", "Print this help");
  static bool version = false;
  app->add_flag("--version", version, "Print version, compiler, kernels and HDF5 version");
  auto verb = [&](const char* name, const char* what, const std::string& examples) {
    CLI::App* sub = app->add_subcommand(name, what)->group("Verbs")->formatter(format);
    sub->set_help_flag("-h,--help", "Print this help")->group("General");
    sub->footer(footer_of(examples));
    add_common(*sub, a.common);
    return sub;
  };

  CLI::App* embed =
      verb("embed", "Embed every cell of one or many slices",
           "  stofm embed slice.h5ad                       writes slice.stofm.h5ad, obsm/X_stofm\n"
           "  stofm embed slice.h5ad -o out.h5ad --report report.html\n"
           "  stofm embed 'data/*.h5ad' --output-dir done  many slices; run again to go on\n"
           "  stofm embed slice.h5ad --dry-run             prints the plan only");
  add_embed(*embed, a.embed);

  CLI::App* info = verb("info", "Describe a model bundle, a safetensors file or a slice",
                        "  stofm info stofm.safetensors\n  stofm info slice.h5ad --json");
  info->add_option("file", a.info.file, "A .safetensors or .h5ad file")->type_name("FILE")->required();
  flag(*info, "Output", "--json", a.info.json, "One JSON object on stdout");

  CLI::App* verify = verb("verify", "Compare the model with recorded inputs and outputs of the reference",
                          "  stofm verify --weights stofm.safetensors case.safetensors");
  verify->add_option("case", a.verify.case_file, "Recorded case (.safetensors)")
      ->type_name("CASE")
      ->required();
  option(*verify, "Input", "-w,--weights", a.verify.weights, "Model bundle to check", "FILE")->required();
  option(*verify, "Input", "--tolerance", a.verify.tolerance,
         "Largest absolute difference allowed (0: each tensor's own)", "NUMBER")
      ->check(number(0, 1e6, "a number from 0 to 1e6"))
      ->capture_default_str();

  CLI::App* tokens = verb("tokenize", "Write the gene tokens of each cell (tokens, values, offsets)",
                          "  stofm tokenize slice.h5ad -o tokens.safetensors");
  tokens->add_option("input", a.tokenize.input, "Slice (.h5ad)")->type_name("INPUT")->required();
  option(*tokens, "Output", "-o,--output", a.tokenize.output, "Result (.safetensors)", "FILE")->required();
  option(*tokens, "Output", "-w,--weights", a.tokenize.weights, "Bundle whose gene table is used", "FILE");
  option(*tokens, "Output", "--max-cells", a.tokenize.max_cells, "Only the first cells (0: all)", "N")
      ->check(integer(0, INT64_MAX))
      ->capture_default_str();
  flag(*tokens, "Output", "--overwrite", a.tokenize.overwrite, "Replace the result if it exists");
  add_slice(*tokens, a.tokenize.slice, true, false);

  auto graph = [&](const char* name, const char* what, const char* example) {
    CLI::App* sub = verb(name, what, example);
    sub->add_option("input", a.graph.input,
                    "Tensors 'spatial' [cells, 2] and 'features' [cells, C] (.safetensors)")
        ->type_name("INPUT")
        ->required();
    option(*sub, "Output", "-o,--output", a.graph.output, "Result (.safetensors)", "FILE")->required();
    flag(*sub, "Output", "--overwrite", a.graph.overwrite, "Replace the result if it exists");
    add_geometry(*sub, a.graph.geometry);
    return sub;
  };
  graph("cluster", "Write the graph, the clusters and the virtual cells of positions and features",
        "  stofm cluster case.safetensors -o clusters.safetensors");
  CLI::App* pieces =
      graph("subslices", "Write the pieces a slice is cut into, and the distances of the first ones",
            "  stofm subslices case.safetensors -o pieces.safetensors --split 400");
  option(*pieces, "Output", "--count", a.graph.count, "Pieces whose distances are written", "N")
      ->check(integer(0, 1000000))
      ->capture_default_str();

  app->footer(
      "Start here:\n"
      "  stofm embed slice.h5ad --report report.html\n"
      "  stofm embed --help\n\n" +
      std::string(exit_codes));
  return app;
}

Verb verb_of(const CLI::App& app) {
  for (const auto& [name, verb] :
       {std::pair{"embed", Verb::embed}, std::pair{"info", Verb::info}, std::pair{"verify", Verb::verify},
        std::pair{"tokenize", Verb::tokenize}, std::pair{"cluster", Verb::cluster},
        std::pair{"subslices", Verb::subslices}})
    if (app.got_subcommand(name)) return verb;
  return Verb::none;
}

void check_together(const Arguments& a) {
  if (a.verb != Verb::embed) return;
  const EmbedArguments& e = a.embed;
  if (e.inputs.empty() && e.list.empty())
    throw UsageError(
        {"STOFM-2003", "", "embed", "no slice", "INPUT or --list FILE", "See 'stofm embed --help'."});
  if (e.geometry.clusters > 0 && e.geometry.clustering != "kmeans")
    throw UsageError(
        {"STOFM-2004", "", "--clusters", "it together with --clustering leiden",
         "--clustering kmeans (leiden finds its own number)",
         "Add --clustering kmeans, or steer leiden with --resolution. See 'stofm embed --help'."});
}

/// CLI11's refusal in our words.
std::string words_of(const CLI::ParseError& e) {
  std::string text = e.what();
  for (const auto& [theirs, ours] :
       {std::pair<std::string, std::string>{"At Most 1 required but received ", "expected once, found "},
        {" excludes ", " can not go with "},
        {" requires ", " needs "},
        {" is required", " is missing"},
        {"The following argument was not expected", "an argument too many"},
        {"The following arguments were not expected", "arguments too many"}}) {
    const std::size_t at = text.find(theirs);
    if (at != std::string::npos) text.replace(at, theirs.size(), ours);
  }
  const std::string shown = stofm::quoted(text, 400);  // escapes control characters of what was typed
  return text.find('"') == std::string::npos ? shown.substr(1, shown.size() - 2) : text;
}

}  // namespace

ParsedCommandLine parse_command_line(int argc, char** argv) {
  ParsedCommandLine parsed;
  const auto app = make_app(parsed.arguments);
  for (int i = 0; i < argc; ++i) parsed.arguments.words.emplace_back(argv[i]);
  if (argc <= 1) {
    parsed.text = app->help();
    return parsed;
  }
  check_names(*app, argc, argv);
  try {
    app->parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    parsed.arguments.verb = verb_of(*app);
    const auto used = app->get_subcommands();
    parsed.text = used.empty() ? app->help() : used.front()->help();
    return parsed;
  } catch (const CLI::ParseError& e) {
    parsed.arguments.verb = verb_of(*app);
    const auto used = app->get_subcommands();
    throw UsageError({"STOFM-2000", "", words_of(e), "", "",
                      "See " + help_of(used.empty() ? "" : used.front()->get_name()) + "."});
  }
  if (app->get_option("--version")->count() > 0) {
    parsed.text = version_text();
    return parsed;
  }
  parsed.arguments.verb = verb_of(*app);
  if (parsed.arguments.verb == Verb::none) {
    parsed.text = app->help();
    return parsed;
  }
  check_together(parsed.arguments);
  return parsed;
}

}  // namespace stofm::program
