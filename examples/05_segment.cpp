// SPDX-License-Identifier: MIT
// Learns the regions of a labelled slice and finds them in another one.
//     build/examples/05_segment stofm.safetensors labelled.h5ad region other.h5ad other.regions.h5ad
#include <cstdio>
#include <cstdlib>
#include <stofm/embed.hpp>
#include <stofm/tasks/fine_tune.hpp>
#include <stofm/tasks/head_file.hpp>

int main(int argc, char** argv) try {
  using namespace stofm;
  if (argc < 6)
    return std::fprintf(stderr, "usage: 05_segment WEIGHTS TRAIN LABEL SLICE OUTPUT [EPOCHS]\n"), 2;
  // [segment]
  const pipeline::Model model = pipeline::load_model(argv[1]);
  const train::CellFeatures cells = train::encoder_features(model, tasks::model_identity(model));
  io::H5adReadOptions reading;
  reading.obs_columns = {argv[3]};
  const io::Slice labelled = io::read_h5ad(argv[2], reading), other = io::read_h5ad(argv[4]);
  const train::PreparedSlice known = train::prepare_slice(labelled, cells);

  tasks::FineTuneOptions options;
  if (argc > 6) options.epochs = std::atoi(argv[6]);
  const io::SliceLabels& column = labelled.labels.front();
  const tasks::LabelledSlice training[] = {{&known, column.codes}};
  const auto tuned = tasks::fine_tune_classifier(model, training, column.categories, options);
  const auto found = tasks::predict_classes(tuned.classifier, model, train::prepare_slice(other, cells));
  tasks::save_classifier(std::string(argv[5]) + ".head.safetensors", tuned.classifier, true);

  io::H5adResult output;
  output.obs.push_back({"stofm_region", {}, {}, tasks::most_probable(found.view()), column.categories});
  output.file_rows = other.file_rows;
  io::write_h5ad_result(other.path, argv[5], output);
  // [segment]
  return 0;
} catch (const stofm::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), error.exit_code();
}
