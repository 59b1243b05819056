// SPDX-License-Identifier: MIT
/// \file
/// Options of `stofm segment`, most of which `stofm annotate` has too.

#include <algorithm>
#include <string>

#include "stofm/core/error.hpp"
#include "stofm/tasks/feature_words.hpp"
#include "stofm/tasks/smoothed_probabilities.hpp"
#include "tasks/options_classify.hpp"

namespace stofm::program {
namespace {

CLI::Validator classify_tune_mode() {
  return CLI::Validator(
      [](std::string& text) {
        const bool last = text.starts_with("last:") && text.size() > 5 && text.size() < 9 &&
                          text.find_first_not_of("0123456789", 5) == std::string::npos && text != "last:0";
        return text == "all" || text == "none" || last
                   ? std::string()
                   : "found " + stofm::quoted(text) +
                         ", expected all, none or last:N with N > 0 (layers of the SE(2) Transformer)";
      },
      "");
}

/// --use of the other tasks, or several of its words joined by '+'.
void allow_several_features(CLI::App& app) {
  CLI::Option* use = app.get_option("--use");
  use->get_validator(0)->active(false);
  use->description(
      "With --tune none: stofm: the model's embedding; cells: its cell encoder alone; context: each cell as "
      "the model predicts it from its surroundings; fitted-context: that prediction and means of neighbours, "
      "fitted to the components of these slices; genes, pca, pca+nbr, linear-context: without the model; "
      "several side by side: cells+genes; pca+rings: components and their means over 3, 10, 30 and 100 "
      "neighbours; obsm:KEY: a matrix of your own, which all files hold; after commas a head each, weighed "
      "by what it says of held-out labels: stofm+pca+nbr,pca; "
      "auto: such a list");
  use->check(CLI::Validator(
      [](std::string& text) {
        if (text == "auto") return std::string();
        try {
          (void)tasks::words_of_use(text);
        } catch (const UsageError&) {
          return "found " + stofm::quoted(text) + ", expected auto, one of " + task_feature_list(", ") +
                 ", or several joined by + or ,";
        }
        return std::string();
      },
      ""));
}

void add_classify_learning(CLI::App& app, ClassifyArguments& a) {
  const char* group = "Learning";
  option(
      app, group, "--tune", a.tune,
      "What is trained besides the head: none (logistic regression on --use: seconds, and not beaten so far "
      "with the bundled weights), all of the SE(2) Transformer from there on, or its last N layers",
      "all|last:N|none")
      ->check(classify_tune_mode())
      ->capture_default_str();
  // Not listed in the help: it only says where the cell encoder can be trained.
  app.add_flag_callback(
         "--tune-cell-encoder",
         [] {
           throw CLI::ValidationError(
               "--tune-cell-encoder",
               "found a wish to train the cell encoder with the head, which is not offered: "
               "--tune trains the SE(2) Transformer alone. Train the cell encoder on the slices "
               "without labels by stofm adapt, and give the weights with --weights");
         })
      ->group("");
  option(app, group, "--epochs", a.epochs, "Passes of fine-tuning; the best on held-out labels is kept", "N")
      ->check(integer(1, 100000))
      ->capture_default_str();
  option(app, group, "--class-weights", a.class_weights,
         "balanced: every class weighs the same, so that rare ones are found; none: every cell",
         "balanced|none")
      ->check(one_of({"balanced", "none"}))
      ->capture_default_str();
  option(app, group, "--start", a.start,
         "Weights that fine-tuning begins with: those of the model, or random ones (to see what the model is "
         "worth)",
         "model|random")
      ->check(one_of({"model", "random"}))
      ->capture_default_str();
  app.add_flag(
         "--center{on}", a.center,
         "Bring each feature of --use to mean 0 and deviation 1 over the cells of its slice (fine-tuning: "
         "take the mean of its slice away): for slices of other panels or batches. By itself on where "
         "slices share less than nine tenths of their genes, with --tune none; --center=off never")
      ->check(one_of({"auto", "on", "off"}))
      ->group(group);
  option(app, group, "--label-share", a.label_share,
         "Learn from this share of the labels of each class, chosen at random (at least one a class)",
         "SHARE")
      ->check(number_between(1e-6, 1, "a number above 0, up to 1"))
      ->capture_default_str();
  option(app, group, "--labels-per-class", a.labels_per_class,
         "Learn from at most so many labels of each class (0: all)", "N")
      ->check(integer(0, 1000000000))
      ->capture_default_str();
  auto* work =
      option(app, group, "--work", a.work, "Directory for checkpoints, so that a stopped run goes on", "DIR");
  flag(app, group, "--resume", a.resume, "Go on from the checkpoints in --work; give the same options")
      ->needs(work);
}

}  // namespace

CLI::Validator classify_smoothing_words() {
  return CLI::Validator(
      [](std::string& text) {
        if (text == "auto") {
          text = "-1";
          return std::string();
        }
        const bool number =
            !text.empty() && text.size() < 5 && text.find_first_not_of("0123456789") == std::string::npos;
        return number && std::stoll(text) <= tasks::most_smoothing
                   ? std::string()
                   : concat("found ", stofm::quoted(text), ", expected auto or 0 to ", tasks::most_smoothing);
      },
      "");
}

void add_classify(CLI::App& app, ClassifyArguments& a, const ClassifyDefaults& defaults) {
  add_task(app, a.task);
  allow_several_features(app);
  const char* group = "Labels";
  option(app, group, "--label", a.label, "Column of obs with the labels", "COLUMN");
  auto* train = app.add_option("--train", a.train,
                               "Labelled slices to learn from; an input that is among them is left out")
                    ->type_name("FILE")
                    ->expected(1, 1000000)
                    ->group(group);
  auto* one_out = flag(app, group, "--leave-one-out", a.leave_one_out,
                       "Predict each input by a head that learnt from the others, and score it")
                      ->excludes(train);
  auto* split =
      option(app, group, "--hold-out", a.split,
             "Learn and score inside each input: random parts (neighbours leak, so the score flatters), or "
             "block, a fifth at one side in turn",
             "random|block")
          ->check(one_of({"random", "block"}))
          ->excludes(train)
          ->excludes(one_out);
  option(app, group, "--folds", a.folds, "Parts or sides of --hold-out that are held out in turn", "N")
      ->check(integer(2, 100))
      ->needs(split)
      ->capture_default_str();
  app.add_option("--ignore-labels", a.ignore,
                 "Labels that mean none, besides empty ones, NA, nan, None and unlabelled")
      ->type_name("LABEL")
      ->expected(1, 1000)
      ->group(group);
  auto* head = option(app, group, "--head", a.head, "Predict with a head that was saved", "HEAD")
                   ->excludes(train)
                   ->excludes(one_out)
                   ->excludes(split);
  option(app, group, "--save", a.save, "Save the head for later slices (.safetensors)", "HEAD")
      ->excludes(head)
      ->excludes(one_out)
      ->excludes(split);
  add_classify_learning(app, a);
  const char* result = "Result";
  option(app, result, "--smooth", a.smooth, defaults.smooth_help.c_str(), "N|auto")
      ->transform(classify_smoothing_words())
      ->each([&a](const std::string&) { a.smooth_given = true; })
      ->default_str(defaults.smooth < 0 ? "auto" : std::to_string(defaults.smooth));
  option(app, result, "--unassigned-below", a.unassigned_below,
         "Cells whose highest probability is below get no class but \"unassigned\"", "P")
      ->check(number_between(0, 1, "a number from 0 to 1"))
      ->capture_default_str();
  flag(app, result, "--no-floors", a.no_floors,
       "Leave out the scores of logistic regression on genes, PCA and PCA with neighbours");
  // Both verbs fill one struct: only the verb that runs may set its defaults.
  app.preparse_callback([&a, use = defaults.use, smooth = defaults.smooth](std::size_t) {
    a.task.use = use;
    a.smooth = smooth;
  });
  app.get_option("--use")->default_str(defaults.use_help);
}

void add_segment(CLI::App& app, ClassifyArguments& a) {
  add_classify(
      app, a,
      {.use = "auto",
       .use_help =
           "auto: stofm+pca+nbr,pca and, of 20 million values at most, genes; with --features pca stofm",
       .smooth = -1,
       .smooth_help =
           "Mean of the probabilities of each cell and its N nearest cells (0: none); auto: of 0, 5, "
           "10, 20 and 40 what predicts held-out labels best"});
  app.final_callback([&app, &a] {
    if (a.task.features == "pca" && app.count("--use") == 0) a.task.use = "stofm";
  });
}

}  // namespace stofm::program
