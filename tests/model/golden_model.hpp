// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Models of golden cases: the bundle beside the case, or one that the converter makes on the fly.

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "stofm/io/json.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/model/cell_encoder.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "stofm/pipeline/model_config.hpp"
#include "tests/support/paths.hpp"

namespace stofm::test {

/// A python3 that has numpy: $STOFM_PYTHON, python3 or /usr/bin/python3; empty if none has.
inline std::string python_with_numpy() {
  const char* chosen = std::getenv("STOFM_PYTHON");
  for (const std::string& python : {std::string(chosen != nullptr ? chosen : ""), std::string("python3"),
                                    std::string("/usr/bin/python3")})
    if (!python.empty() && std::system(("'" + python + "' -c 'import numpy' >/dev/null 2>&1").c_str()) == 0)
      return python;
  return "";
}

/// Weights of one golden case.
class GoldenModel {
 public:
  /// Nothing if the folder, or the means to convert it, is absent.
  static std::optional<GoldenModel> load(const std::string& name) {
    const auto directory = golden_dir() / name;
    if (!std::filesystem::exists(directory / "case.safetensors")) return std::nullopt;
    GoldenModel model;
    model.case_path_ = directory / "case.safetensors";
    auto bundle = directory / "bundle.safetensors";
    if (!std::filesystem::exists(bundle)) {
      const std::string python = python_with_numpy();
      if (python.empty()) return std::nullopt;
      model.scratch_ = std::make_shared<ScratchDir>();
      bundle = *model.scratch_ / "bundle.safetensors";
      const std::string half =
          std::filesystem::exists(directory / "cell_bert") ? " --cell-encoder '" : " --se2 '";
      const std::string command =
          "'" + python + "' '" + (source_dir() / "weights_tools" / "convert.py").string() + "'" + half +
          directory.string() + "' --no-genes -o '" + bundle.string() + "' >/dev/null 2>&1";
      if (std::system(command.c_str()) != 0) throw std::runtime_error("conversion failed: " + command);
    }
    model.file_ = std::make_shared<io::SafetensorsFile>(io::SafetensorsFile::open(bundle));
    return model;
  }

  const std::filesystem::path& case_path() const { return case_path_; }
  io::SafetensorsFile open_case() const { return io::SafetensorsFile::open(case_path_); }
  model::Se2Config se2_config() const {
    return pipeline::parse_se2_config(json("se2_config"), file_->path());
  }
  model::CellEncoderConfig cell_encoder_config() const {
    return pipeline::parse_cell_encoder_config(json("cell_encoder_config"), file_->path());
  }
  template <class T>
  model::NamedTensors<T> weights(const std::string& prefix) const {
    model::NamedTensors<T> tensors;
    for (const std::string& name : file_->names())
      if (name.starts_with(prefix)) tensors.emplace(name.substr(prefix.size()), file_->read<T>(name));
    return tensors;
  }
  template <class T>
  model::Se2Encoder<T> se2(const model::Se2EncoderOptions& options = {}) const {
    return model::Se2Encoder<T>(se2_config(), weights<T>("se2/"), options);
  }
  template <class T>
  model::CellEncoder<T> cell_encoder(const model::CellEncoderOptions& options = {}) const {
    return model::CellEncoder<T>(cell_encoder_config(), weights<T>("cell_encoder/"), options);
  }

 private:
  nlohmann::json json(const std::string& key) const {
    return io::parse_json(file_->metadata().at(key), file_->path());
  }
  std::filesystem::path case_path_;
  std::shared_ptr<ScratchDir> scratch_;
  std::shared_ptr<io::SafetensorsFile> file_;
};

}  // namespace stofm::test
