// SPDX-License-Identifier: MIT
#include "command_line.hpp"

#include <algorithm>
#include <memory>

#include "command_line_options.hpp"
#include "console.hpp"
#include "stofm/core/error.hpp"
#include "stofm/io/import/import_options.hpp"

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
           (app->get_option_no_throw("--list") != nullptr ? "...\n" : "\n");
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
             "one of import, embed, segment, annotate, cluster, deconvolve, pseudospots, impute, evaluate, "
             "ablate, "
             "corpus, adapt, "
             "pretrain, info, verify, tokenize, virtual-cells, subslices",
             (guess.empty() ? std::string() : "Did you mean " + guess + "? ") + "See 'stofm --help'."});
      }
      app = verb;
    }
  }
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
  auto* clusters =
      option(app, files, "--embedding-clusters", a.embedding_clusters,
             "k of obs/stofm_cluster, k-means of the embedding (0: 10, fewer in small slices)", "N")
          ->check(integer(0, 1000))
          ->capture_default_str();
  flag(app, files, "--no-clusters", a.no_clusters, "Leave obs/stofm_cluster out")->excludes(clusters);

  add_slice(app, a.slice, true, true);
  add_geometry(app, a.geometry);

  const char* run = "Running";
  add_device(app, a.device);
  option(app, run, "--batch", a.batch, "Sub-slices at once on a GPU (0: as many as fit, 64 at most)", "N")
      ->check(integer(0, 100000))
      ->capture_default_str();
  add_dtype(app, run, a.dtype, "Grade of the matrix products (bf16 for short)");
  option(app, run, "--max-memory", a.max_memory,
         "Memory to stay under: 8G, 500M, 60% (default: 80% of what is free)", "SIZE");
  flag(app, run, "--dry-run", a.dry_run, "Print the plan (genes, pieces, memory) and stop");
  flag(app, run, "--strict", a.strict, "Anything worth a note is an error");
  flag(app, run, "--force", a.force, "Do finished slices again, and replace their results");
  flag(app, run, "--fail-fast", a.fail_fast, "Stop at the first slice that fails");
}

void add_import(CLI::App& app, ImportArguments& a) {
  app.add_option("input", a.input, "Output folder of an instrument, or one file of counts")
      ->type_name("PATH")
      ->required();
  const char* files = "Input and output";
  option(app, files, "-o,--output", a.output, "Result (default: NAME.h5ad in the current directory)", "FILE");
  flag(app, files, "--overwrite", a.overwrite, "Replace the result if it exists");
  std::vector<std::string> words;
  std::string list;
  for (const io::ImportFormat& known : io::import_formats) {
    words.emplace_back(known.name);
    list += (list.empty() ? "" : "|") + words.back();
  }
  option(app, files, "--format", a.format, "What the input is (default: found by content)", list.c_str())
      ->check(one_of(words));
  option(
      app, files, "--bin", a.bin,
      "Side of the squares: um of Visium HD (2, 8, 16; default: segmented cells, else 8), DNBs of Stereo-seq "
      "(default: cells, else 50)",
      "N")
      ->check(integer(1, 100000));
  const char* tables = "Tables";
  option(app, tables, "--counts", a.counts, "Table of counts: cells x genes or genes x cells", "FILE");
  option(app, tables, "--positions", a.positions, "Table of positions, joined on the names of the cells",
         "FILE");
  option(app, tables, "--x", a.x, "Column of the positions (default: found by its name)", "COLUMN");
  option(app, tables, "--y", a.y, "Column of the positions", "COLUMN");
  option(app, tables, "--id", a.id, "Column of the names of the cells in the positions", "COLUMN");
  flag(app, tables, "--by-order", a.by_order,
       "Row n of the counts is row n of the positions: there are no names");
  flag(app, "Running", "--strict", a.strict, "Anything worth a note is an error");
}

std::unique_ptr<CLI::App> make_app(Arguments& a) {
  auto app = std::make_unique<CLI::App>(
      "stofm: embeddings of the cells of spatial transcriptomics slices (SToFM in C++)", "stofm");
  const auto format = std::make_shared<Formatter>();
  app->formatter(format);
  app->set_help_flag("-h,--help", "Print this help");
  app->require_subcommand(0, 1);  // behind a verb, a folder may have the name of one: `stofm pretrain corpus`
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

  add_import(
      *verb("import", "Make a slice (.h5ad) of the output of an instrument",
            "  stofm import outs -o slice.h5ad              Visium, Visium HD, Xenium, ... by content\n"
            "  stofm import counts.csv.gz --positions cells.csv -o slice.h5ad"),
      a.import_slice);

  add_segment(
      *verb("segment", "Tissue regions, learnt from labelled slices or a saved head",
            "  stofm segment target.h5ad --train labelled.h5ad --label region --save layers.safetensors\n"
            "  stofm segment 'more/*.h5ad' --head layers.safetensors --output-dir done"),
      a.classify);
  add_annotate(*verb("annotate", "Cell types, learnt from labelled slices or a saved head",
                     "  stofm annotate target.h5ad --train one.h5ad two.h5ad --label cell_type"),
               a.classify);
  add_cluster(*verb("cluster", "Clusters and a 2-D view of the embedding of one or many slices",
                    "  stofm cluster slice.h5ad --clusters 7 --report report.html"),
              a.cluster);
  add_deconvolve(*verb("deconvolve", "Proportions of cell types in spots",
                       "  stofm deconvolve spots.h5ad --reference cells.h5ad --label cell_type"),
                 a.deconvolve);
  add_pseudospots(*verb("pseudospots", "Spots of known composition, summed from labelled cells",
                        "  stofm pseudospots cells.h5ad --label cell_type -o spots.h5ad"),
                  a.pseudospots);
  add_impute(*verb("impute", "Genes that a panel lacks, from slices or cells that have them",
                   "  stofm impute slice.h5ad --reference wide_panel.h5ad --genes Gad1,Slc17a7"),
             a.impute);
  add_evaluate(*verb("evaluate", "Scores of predicted labels, proportions or genes against the truth",
                     "  stofm evaluate result.h5ad --truth region --predicted stofm_region"),
               a.evaluate);
  add_ablate(*verb("ablate", "What each scale of the model contributes to a task",
                   "  stofm ablate --train a.h5ad --test b.h5ad --label region"),
             a.ablate);

  add_corpus(
      *verb("corpus", "Index, check and describe thousands of slices to train on",
            "  stofm corpus build data -o corpus --table slices.csv   again: goes on where it stopped\n"
            "  stofm corpus check corpus                              with --hash: every byte\n"
            "  stofm corpus stat corpus\n"
            "  stofm pretrain corpus -o run"),
      a.corpus);

  CLI::App* adapt =
      verb("adapt", "Train the cell encoder on slices: masked genes and two views of a cell",
           "  stofm adapt 'data/*.h5ad' --weights stofm.safetensors -o adapted\n"
           "  stofm adapt 'data/*.h5ad' --from-scratch --config small -o encoder --steps 2000\n"
           "  stofm adapt 'data/*.h5ad' -o encoder --resume        goes on, with the same options");
  add_adapt(*adapt, a.adapt);

  CLI::App* pretrain = verb(
      "pretrain", "Train the SE(2) Transformer on slices: masked cells and distances of moved cells",
      "  stofm pretrain 'data/*.h5ad' --weights stofm.safetensors -o run\n"
      "  stofm pretrain 'data/*.h5ad' --from-scratch --config small -o run --epochs 20 --validation 0.2\n"
      "  stofm pretrain 'data/*.h5ad' -o run --resume         goes on, with the same options\n"
      "  stofm embed slice.h5ad --weights run/model.safetensors");
  add_pretrain(*pretrain, a.pretrain);

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
  add_device(*verify, a.verify.device);
  add_dtype(*verify, "Running", a.verify.dtype, "Grade of the matrix products");
  option(*verify, "Input", "--tolerance", a.verify.tolerance,
         "Largest absolute difference allowed (0: each tensor's own)", "NUMBER")
      ->check(number_between(0, 1e6, "a number from 0 to 1e6"))
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
  graph("virtual-cells", "Write the graph, the clusters and the virtual cells of positions and features",
        "  stofm virtual-cells case.safetensors -o clusters.safetensors");
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
       {std::pair{"embed", Verb::embed}, std::pair{"import", Verb::import_slice},
        std::pair{"corpus", Verb::corpus}, std::pair{"adapt", Verb::adapt},
        std::pair{"pretrain", Verb::pretrain}, std::pair{"info", Verb::info},
        std::pair{"verify", Verb::verify}, std::pair{"tokenize", Verb::tokenize},
        std::pair{"virtual-cells", Verb::virtual_cells}, std::pair{"subslices", Verb::subslices},
        std::pair{"segment", Verb::segment}, std::pair{"annotate", Verb::annotate},
        std::pair{"cluster", Verb::cluster}, std::pair{"deconvolve", Verb::deconvolve},
        std::pair{"pseudospots", Verb::pseudospots}, std::pair{"impute", Verb::impute},
        std::pair{"evaluate", Verb::evaluate}, std::pair{"ablate", Verb::ablate}})
    if (app.got_subcommand(name)) return verb;
  return Verb::none;
}

void check_together(const Arguments& a) {
  if (a.common.quiet && a.common.verbose > 0)
    throw UsageError(
        {"STOFM-2000", "", "", "--quiet and --verbose", "one of them", "Leave one out. See 'stofm --help'."});
  check_training(a);
  check_corpus(a);
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

/// What follows a lone "--" are files: "-x.h5ad" becomes "./-x.h5ad", so that nothing takes it for an option.
std::vector<std::string> files_after_dashes(std::vector<std::string> words) {
  const auto dashes = std::find(words.begin(), words.end(), "--");
  if (dashes == words.end()) return words;
  for (auto word = dashes + 1; word != words.end(); ++word)
    if (word->starts_with('-')) word->insert(0, "./");
  words.erase(dashes);
  return words;
}

/// The options of the verb that was named; empty: none was.
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  const auto used = app.get_subcommands();
  if (!used.empty())
    for (const CLI::Option* known : used.front()->get_options())
      for (const auto& name : known->get_lnames()) names.push_back("--" + name);
  return names;
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
  std::vector<std::string> words = files_after_dashes(parsed.arguments.words);
  if (argc <= 1) {
    parsed.text = app->help();
    return parsed;
  }
  check_names(*app, argc, argv);
  try {
    words.erase(words.begin());
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app->parse(words);
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
  Console::get().set_options(option_names(*app));
  parsed.arguments.verb = verb_of(*app);
  if (parsed.arguments.verb == Verb::none) {
    parsed.text = app->help();
    return parsed;
  }
  check_together(parsed.arguments);
  return parsed;
}

}  // namespace stofm::program
