// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "tests/support/paths.hpp"
#include "tests/tasks/fine_tune_fixture.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void put_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

tasks::Classifier tuned_head(const TissueSlice& tissue) {
  auto options = tissue_options();
  options.epochs = 1;
  options.input.settings = {{"split", 60}};
  const tasks::LabelledSlice slices[] = {{&tissue.slice, tissue.bands}};
  auto classifier = tasks::fine_tune_classifier(tissue_model(), slices, tissue_classes(), options).classifier;
  classifier.provenance = {{"slices", {"tissue"}}, {"epochs", 1}};
  return classifier;
}

tasks::Classifier probe_head(const TissueSlice& tissue, bool two_classes) {
  auto labels = tissue.bands;
  if (two_classes)
    for (auto& label : labels) label = label == 1 ? -1 : label;
  const tasks::LabelledRows rows[] = {{tissue.slice.features.view(), labels}};
  tasks::ClassifierInput input;
  input.kind = tasks::FeatureKind::pca;
  input.name = "6 principal components";
  input.genes.names = {"Gad1", "Slc17a7"};
  input.genes.mean = Tensor<double>::from({2}, {0.25, 1.0 / 3.0});
  input.genes.loadings = Tensor<double>::full({6, 2}, 0.1);
  return tasks::fit_probe(rows, tissue_classes(), input, "0123");
}

bool same_numbers(const Tensor<double>& a, const Tensor<double>& b) {
  return a.shape() == b.shape() && std::equal(a.data(), a.data() + a.numel(), b.data());
}

}  // namespace

TEST_CASE("a saved head predicts what the trained one does, to the bit") {
  const TissueSlice tissue(9, 3), other(8, 4);
  const ScratchDir scratch;
  const auto model = tissue_model();
  const auto tuned = tuned_head(tissue);
  tasks::save_classifier(scratch / "a.safetensors", tuned);
  const auto loaded = tasks::load_classifier(scratch / "a.safetensors");
  CHECK(loaded.kind == tasks::ClassifierKind::fine_tuned);
  CHECK(loaded.classes == tissue_classes());
  CHECK(loaded.model_identity == tasks::model_identity(model));
  CHECK(loaded.model_name == "tissue.safetensors");
  CHECK(loaded.input.settings == nlohmann::json{{"split", 60}});
  CHECK(loaded.provenance == tuned.provenance);
  CHECK(same_numbers(tasks::predict_classes(loaded, model, other.slice),
                     tasks::predict_classes(tuned, model, other.slice)));
  tasks::save_classifier(scratch / "b.safetensors", loaded);
  CHECK(bytes_of(scratch / "a.safetensors") == bytes_of(scratch / "b.safetensors"));
  CHECK(refusal_code([&] { tasks::save_classifier(scratch / "b.safetensors", loaded); }) != "");
  tasks::save_classifier(scratch / "b.safetensors", loaded, true);

  for (const bool two : {false, true}) {
    const auto probe = probe_head(tissue, two);
    tasks::save_classifier(scratch / "p.safetensors", probe, true);
    const auto back = tasks::load_classifier(scratch / "p.safetensors");
    CHECK(back.kind == tasks::ClassifierKind::logistic);
    CHECK(back.input.kind == tasks::FeatureKind::pca);
    CHECK(back.input.name == probe.input.name);
    CHECK(back.input.genes.names == probe.input.genes.names);
    CHECK(same_numbers(back.input.genes.mean, probe.input.genes.mean));
    CHECK(same_numbers(back.input.genes.loadings, probe.input.genes.loadings));
    CHECK(back.input.genes.scale.numel() == 0);
    CHECK(back.present == probe.present);
    CHECK(same_numbers(tasks::predict_classes(back, other.slice.features.view()),
                       tasks::predict_classes(probe, other.slice.features.view())));
  }
}

TEST_CASE("every flipped byte of a head file is found") {
  const TissueSlice tissue(8, 3);
  const ScratchDir scratch;
  const auto path = scratch / "head.safetensors", broken = scratch / "broken.safetensors";
  for (const bool fine : {true, false}) {
    tasks::save_classifier(path, fine ? tuned_head(tissue) : probe_head(tissue, false), true);
    const std::string whole = bytes_of(path);
    for (std::size_t at = 0; at < whole.size(); at += 1 + whole.size() / 300) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
      put_bytes(broken, bytes);
      const std::string code = refusal_code([&] { (void)tasks::load_classifier(broken); });
      CAPTURE(at);
      CHECK(code.starts_with("STOFM-"));
    }
    std::string bytes = whole;  // the last element of the data
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    put_bytes(broken, bytes);
    CHECK(refusal_code([&] { (void)tasks::load_classifier(broken); }) == "STOFM-4746");
    put_bytes(broken, whole.substr(0, whole.size() / 2));
    CHECK(refusal_code([&] { (void)tasks::load_classifier(broken); }).starts_with("STOFM-31"));
  }
}

TEST_CASE("files that are no heads are refused, and say what they are") {
  const ScratchDir scratch;
  const auto path = scratch / "file.safetensors";
  const Tensor<float> tensor = Tensor<float>::full({2}, 1.0F);
  const auto write = [&](const std::map<std::string, std::string>& metadata) {
    io::write_safetensors(path, {io::safetensors_entry("x", tensor)}, metadata, {.overwrite = true});
    return refusal_code([&] { (void)tasks::load_classifier(path); });
  };
  CHECK(write({}) == "STOFM-4744");
  CHECK(write({{"format", "stofm-bundle"}}) == "STOFM-4744");
  CHECK(write({{"format", "stofm-head"}, {"format_version", "3"}}) == "STOFM-4745");
  CHECK(write({{"format", "stofm-head"}, {"format_version", "1"}}) == "STOFM-4744");
  const auto manifest = [&](const std::string& text) {
    return write({{"format", "stofm-head"},
                  {"format_version", "1"},
                  {"manifest", text},
                  {"manifest_sha256", io::sha256_hex(text)}});
  };
  CHECK(manifest("{}") == "STOFM-4744");
  CHECK(manifest("{\"kind\":\"forest\"}") == "STOFM-4744");
  CHECK(manifest("[").starts_with("STOFM-32"));
  put_bytes(path, "not a safetensors file at all");
  CHECK(refusal_code([&] { (void)tasks::load_classifier(path); }).starts_with("STOFM-3"));
  CHECK(refusal_code([&] { (void)tasks::load_classifier(scratch / "none"); }).starts_with("STOFM-3"));
}

TEST_CASE("a head is used with its model and its features only") {
  const TissueSlice tissue(8, 3);
  const auto tuned = tuned_head(tissue);
  const auto probe = probe_head(tissue, false);
  const auto model = tissue_model(), other = tissue_model(2);
  CHECK(tasks::model_identity(model) == tasks::model_identity(tissue_model()));
  CHECK(tasks::model_identity(model) != tasks::model_identity(other));
  const auto code = [](auto&& action) { return refusal_code([&] { (void)action(); }); };
  CHECK(code([&] { return tasks::predict_classes(tuned, other, tissue.slice); }) == "STOFM-4747");
  auto from_genes = tuned;  // rows of genes do not hang on the model
  from_genes.input.cells = tasks::CellInput::pca;
  CHECK(same_numbers(tasks::predict_classes(from_genes, other, tissue.slice),
                     tasks::predict_classes(tuned, model, tissue.slice)));
  CHECK(code([&] { return tasks::predict_classes(tuned, tissue.slice.features.view()); }) == "STOFM-4748");
  CHECK(code([&] { return tasks::predict_classes(probe, model, tissue.slice); }) == "STOFM-4748");
  TissueSlice narrow(8, 3);
  narrow.slice.features = narrow.slice.features.slice(1, 0, 4).contiguous();
  CHECK(code([&] { return tasks::predict_classes(tuned, model, narrow.slice); }) == "STOFM-4749");
  CHECK(code([&] { return tasks::predict_classes(probe, narrow.slice.features.view()); }) == "STOFM-4711");
  const tasks::LabelledRows rows[] = {{tissue.slice.features.view(), tissue.bands},
                                      {narrow.slice.features.view(), narrow.bands}};
  CHECK(code([&] { return tasks::fit_probe(rows, tissue_classes(), {}); }) == "STOFM-4749");
}
