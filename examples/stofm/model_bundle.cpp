// SPDX-License-Identifier: MIT
#include "model_bundle.hpp"

#include <algorithm>
#include <filesystem>

#include "console.hpp"
#include "stofm/io/sha256.hpp"
#include "stofm/pipeline/model_config.hpp"

namespace stofm::program {

namespace {

/// A value without brackets, quotes and needless digits: "a, b", "loss 0.56, steps 12".
std::string plain_text(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_integer()) return format_count(value.get<std::int64_t>());
  if (value.is_number()) return format_number(value.get<double>());
  std::string text;
  if (value.is_array() || value.is_object())
    for (const auto& [key, member] : value.items())
      text +=
          concat(text.empty() ? "" : ", ", value.is_object() ? key + " " : std::string(), plain_text(member));
  return text;
}

/// The figures of pretraining on slices that were held out, in words; "" if they are not there.
std::string held_out_text(const nlohmann::json& figures) {
  const auto of = [&figures](const char* key) {
    const auto found = figures.find(key);
    return found != figures.end() && found->is_number() ? format_number(found->get<double>())
                                                        : std::string("?");
  };
  if (!figures.is_object() || !figures.contains("mcm_cosine")) return {};
  std::string text = concat(of("cells"), " masked cells recovered with a cosine of ", of("mcm_cosine"));
  if (figures.contains("mcm_cosine_neighbours"))
    text += concat(" (mean of the 10 nearest cells: ", of("mcm_cosine_neighbours"),
                   ", mean of the piece: ", of("mcm_cosine_mean"), "; 1 is perfect)");
  if (figures.contains("pdr_error"))
    text += concat("; distances of ", of("pairs"), " moved pairs with a squared error of ", of("pdr_error"),
                   " (best constant: ", of("pdr_error_constant"), "; 0 is perfect)");
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> card_of(const nlohmann::json& model_info) {
  std::vector<std::pair<std::string, std::string>> card;
  if (!model_info.is_object()) return card;
  const auto add = [&](const std::string& key, const std::string& words, const nlohmann::json& value) {
    const std::string text = key == "held_out" ? held_out_text(value) : std::string();
    card.emplace_back(words, text.empty() ? plain_text(value) : text);
  };
  static const std::vector<std::pair<std::string, std::string>> order{{"name", "name"},
                                                                      {"limits", "limits"},
                                                                      {"training", "training"},
                                                                      {"data", "trained on"},
                                                                      {"held_out_slices", "held out"},
                                                                      {"held_out", "on these"},
                                                                      {"steps", "steps"},
                                                                      {"seed", "seed"},
                                                                      {"cell_features", "cell features"},
                                                                      {"fitted_on", "genes fitted on"},
                                                                      {"last_losses", "last losses"},
                                                                      {"licence", "licence"},
                                                                      {"created_by", "made by"},
                                                                      {"command", "command"},
                                                                      {"data_sha256", "SHA-256 of data"}};
  for (const auto& [key, words] : order)
    if (const auto found = model_info.find(key); found != model_info.end()) add(key, words, *found);
  for (const auto& [key, value] : model_info.items())
    if (std::none_of(order.begin(), order.end(), [&k = key](const auto& known) { return known.first == k; }))
      add(key, key, value);
  return card;
}

bool was_trained_on(const LoadedModel& model, const std::string& path) {
  const std::string stem = std::filesystem::path(path).stem().string();
  const auto& names = model.training_slices;
  return std::find(names.begin(), names.end(), stem) != names.end();
}

LoadedModel load_model_bundle(const std::string& path, MatmulGrade grade) {
  LoadedModel loaded;
  loaded.path = path;
  io::Bundle bundle = io::read_bundle(path);
  loaded.sha256 = io::sha256_file(path);
  loaded.notices = bundle.notices;
  loaded.card = card_of(bundle.model_info);
  loaded.name = std::filesystem::path(path).filename().string();
  for (const auto& [key, value] : loaded.card) {
    if (key == "name" && !value.empty()) loaded.name = value;
    if (key == "limits") loaded.limits = value;
  }
  loaded.demonstration = loaded.name == "stofm-demo";
  if (const auto data =
          bundle.model_info.is_object() ? bundle.model_info.find("data") : bundle.model_info.end();
      data != bundle.model_info.end() && data->is_array())
    for (const auto& name : *data)
      if (name.is_string()) loaded.training_slices.push_back(name.get<std::string>());
  pipeline::ModelParts parts;
  if (bundle.has_se2())
    parts.se2_config = pipeline::parse_se2_config(bundle.se2_config, path + ": se2_config");
  if (bundle.has_cell_encoder())
    parts.cell_encoder_config =
        pipeline::parse_cell_encoder_config(bundle.cell_encoder_config, path + ": cell_encoder_config");
  parts.se2 = std::move(bundle.se2);
  parts.cell_encoder = std::move(bundle.cell_encoder);
  parts.gene_table = std::move(bundle.gene_table);
  parts.mouse_to_human = std::move(bundle.mouse_to_human);
  parts.learnt_genes = std::move(bundle.learnt_genes);
  pipeline::ModelOptions options;
  options.file = path;
  options.grade = grade;
  loaded.model = pipeline::make_model(std::move(parts), options);
  loaded.model.info = bundle.model_info.dump(-1, ' ', true);
  loaded.notices.insert(loaded.notices.end(), loaded.model.notices.begin(), loaded.model.notices.end());
  return loaded;
}

}  // namespace stofm::program
