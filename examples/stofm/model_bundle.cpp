// SPDX-License-Identifier: MIT
#include "model_bundle.hpp"

#include <filesystem>

#include "stofm/io/sha256.hpp"
#include "stofm/pipeline/model_config.hpp"

namespace stofm::program {

std::vector<std::pair<std::string, std::string>> card_of(const nlohmann::json& model_info) {
  std::vector<std::pair<std::string, std::string>> card;
  if (model_info.is_object())
    for (const auto& [key, value] : model_info.items())
      card.emplace_back(key, value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', true));
  return card;
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
  pipeline::ModelOptions options;
  options.file = path;
  options.grade = grade;
  loaded.model = pipeline::make_model(std::move(parts), options);
  loaded.model.info = bundle.model_info.dump(-1, ' ', true);
  loaded.notices.insert(loaded.notices.end(), loaded.model.notices.begin(), loaded.model.notices.end());
  return loaded;
}

}  // namespace stofm::program
