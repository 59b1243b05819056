// SPDX-License-Identifier: MIT
#include "resources.hpp"

#include <glob.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <locale>
#include <sstream>
#include <string_view>

#include "console.hpp"
#include "output_plan.hpp"
#include "stofm/core/machine.hpp"
#include "stofm/core/parse_double.hpp"
#include "stofm/io/file.hpp"
#include "stofm/io/temporary_files.hpp"

namespace stofm::program {
namespace {

constexpr std::int64_t no_limit = std::numeric_limits<std::int64_t>::max();

/// First line of a small file of /proc or /sys; empty if it can not be read.
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  file.imbue(std::locale::classic());
  std::string line;
  std::getline(file, line);
  return line;
}

std::int64_t to_integer(const std::string& text, std::int64_t otherwise) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end != text.data() ? value : otherwise;
}

/// Room under the limits of this process' cgroup and its parents (version 2), and of version 1 where mounted.
std::int64_t cgroup_room() {
  std::int64_t room = no_limit;
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    const std::size_t second = line.find(':', line.find(':') + 1);
    if (second == std::string::npos) continue;
    const bool v2 = line.compare(0, 3, "0::") == 0, v1 = line.find(":memory:") != std::string::npos;
    if (!v1 && !v2) continue;
    const std::string base = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const std::string limit = v2 ? "/memory.max" : "/memory.limit_in_bytes";
    const std::string usage = v2 ? "/memory.current" : "/memory.usage_in_bytes";
    for (std::string group = line.substr(second + 1);; group = group.substr(0, group.rfind('/'))) {
      if (group == "/") group.clear();
      const std::int64_t most = to_integer(first_line(base + group + limit), no_limit);
      const std::int64_t used = to_integer(first_line(base + group + usage), 0);
      if (most < no_limit / 2) room = std::min(room, std::max<std::int64_t>(0, most - used));
      if (group.empty()) break;
    }
  }
  return room;
}

}  // namespace

std::int64_t available_memory() {
  std::int64_t room = std::min(available_physical_memory(), cgroup_room());
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    const std::int64_t most = static_cast<std::int64_t>(limit.rlim_cur);
    room = std::min(room, std::max<std::int64_t>(0, most - address_space_in_use()));
  }
  return room;
}

std::int64_t peak_memory() { return peak_resident_memory(); }

std::int64_t parse_memory_size(const std::string& text, std::int64_t available) {
  const auto refuse = [&]() -> std::int64_t {
    throw UsageError({"STOFM-2011", "", "--max-memory", stofm::quoted(text),
                      "a size of at least 16 MB such as 8G, 500M or 60%",
                      "Give a size, or leave the option out."});
  };
  double value = 0;
  const auto [end, error] = parse_double(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !std::isfinite(value) || value < 0) return refuse();
  const std::string unit(end, text.data() + text.size());
  double scale = 0;
  if (unit == "%") scale = value <= 100 ? static_cast<double>(available) / 100 : 0;
  if (unit.empty() || unit == "B") scale = 1;
  static constexpr std::string_view letters = "KMGT";
  if (!unit.empty()) {
    const char first = unit[0] == 'k' ? 'K' : unit[0];
    const std::size_t power = letters.find(first);
    const std::string rest = unit.substr(1);
    if (power != std::string_view::npos && (rest.empty() || rest == "B"))
      scale = std::pow(1000.0, static_cast<double>(power + 1));
    if (power != std::string_view::npos && (rest == "i" || rest == "iB"))
      scale = std::pow(1024.0, static_cast<double>(power + 1));
  }
  const double bytes = value * scale;
  if (!(bytes >= 16e6) || bytes > 9e18) return refuse();
  return static_cast<std::int64_t>(bytes);
}

std::filesystem::path program_directory() {
  const std::filesystem::path self = program_file();
  return self.empty() ? std::filesystem::path(".") : self.parent_path();
}

std::string find_weights(const std::string& given) {
  if (!given.empty()) return given;
  const std::filesystem::path here = program_directory();
  std::error_code ignored;
  for (const auto& place : {here / "share/stofm/demo.safetensors", here / "../share/stofm/demo.safetensors"})
    if (std::filesystem::exists(place, ignored)) return place.lexically_normal().string();
  if (const char* named = std::getenv("STOFM_WEIGHTS"); named != nullptr && *named != '\0') return named;
  throw UsageError(
      {"STOFM-2010", "", "--weights", "no model bundle",
       concat("one at ", (here / "share/stofm/demo.safetensors").string(), ", in $STOFM_WEIGHTS or given"),
       "Give --weights stofm.safetensors (weights_tools/convert.py makes one from a checkpoint)."});
}

bool is_pattern(const std::string& word) {
  std::error_code ignored;
  return word.find_first_of("*?[") != std::string::npos && !std::filesystem::exists(word, ignored);
}

std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs, const std::string& list,
                                       const std::string& verb) {
  const std::string ending = concat(".", verb.empty() ? "stofm" : verb, ".h5ad");
  std::vector<std::string> words = inputs;
  if (!list.empty()) {
    std::string text = io::File::open(list).read_all(64 << 20);
    if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
      throw FileError({"STOFM-2013", list, "--list", "UTF-16 text", "UTF-8 text", "Save it as UTF-8."});
    if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);  // the mark that Windows puts before UTF-8
    std::istringstream lines(std::move(text));
    std::string line;
    while (std::getline(lines, line)) {
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
        line.pop_back();
      if (!line.empty() && line[0] != '#') words.push_back(line);
    }
  }
  std::vector<std::string> files;
  const auto add = [&files](const std::string& file) {
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  };
  std::int64_t results = 0, embedded_too = 0;
  for (const std::string& word : words) {
    if (!is_pattern(word)) {
      add(word);
      continue;
    }
    glob_t found{};
    const int status = ::glob(word.c_str(), 0, nullptr, &found);
    const std::int64_t before = results;
    const std::size_t matches = status == 0 ? found.gl_pathc : 0;
    const std::vector<std::string> names(found.gl_pathv, found.gl_pathv + matches);
    ::globfree(&found);
    for (const std::string& name : names) {
      const std::string embedded = name.substr(0, name.size() - (std::min<std::size_t>)(5, name.size()));
      if (verb.empty() ? is_result_name(name) : name.ends_with(ending))
        ++results;
      else if (!verb.empty() && name.ends_with(".h5ad") &&
               std::find(names.begin(), names.end(), embedded + ".stofm.h5ad") != names.end())
        ++embedded_too;
      else
        add(name);
    }
    const bool only_results = matches > 0 && results - before == static_cast<std::int64_t>(matches);
    if (matches == 0 || only_results)
      throw UsageError(
          {"STOFM-2012", "", stofm::quoted(word),
           only_results ? concat("results of stofm alone (NAME", ending, ")") : "no file that matches",
           "at least one slice",
           only_results ? "Name a result itself to take it as a slice."
                        : "Check the pattern and the directory."});
  }
  if (results > 0)
    Console::get().say(concat(results, results == 1 ? " result" : " results", " of stofm (NAME", ending,
                              ") among what the pattern matches, left out"),
                       {{"results_left_out", std::to_string(results)}});
  if (embedded_too > 0)
    Console::get().say(concat(embedded_too, embedded_too == 1 ? " slice is" : " slices are",
                              " there with an embedding as well (NAME.stofm.h5ad), which is taken"));
  if (files.empty())
    throw UsageError({"STOFM-2003", list, "input", "no slice", "at least one", "Name a slice in the list."});
  return files;
}

void clean_up_after_killed_runs(const std::filesystem::path& directory) {
  const std::vector<std::string> removed =
      io::remove_dead_temporaries(directory.empty() ? std::filesystem::path(".") : directory);
  if (removed.empty()) return;
  std::string names;
  for (std::size_t i = 0; i < removed.size() && i < 3; ++i) names += (i == 0 ? "" : ", ") + removed[i];
  Console::get().say(
      concat("removed ", removed.size(), " unfinished ", removed.size() == 1 ? "file" : "files",
             " of runs that were killed: ", names, removed.size() > 3 ? ", ..." : ""),
      {{"removed", std::to_string(removed.size())}});
}

std::string utc_minute() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

}  // namespace stofm::program
