// SPDX-License-Identifier: MIT
#include "training_report.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "console.hpp"
#include "model_bundle.hpp"
#include "report_html.hpp"
#include "report_json.hpp"
#include "training_report_script.hpp"

namespace stofm::program {
namespace {

using nlohmann::json;

constexpr std::size_t most_points = 2000;

struct Curve {
  std::vector<double> x, y;

  /// Means of equal stretches.
  Curve thinned() const {
    if (x.size() <= most_points) return *this;
    Curve result;
    for (std::size_t k = 0; k < most_points; ++k) {
      const std::size_t begin = k * x.size() / most_points, end = (k + 1) * x.size() / most_points;
      double sum_x = 0, sum_y = 0;
      for (std::size_t i = begin; i < end; ++i) sum_x += x[i], sum_y += y[i];
      const auto count = static_cast<double>(end - begin);
      result.x.push_back(sum_x / count);
      result.y.push_back(sum_y / count);
    }
    return result;
  }
  /// Running mean over about a fortieth of the curve.
  Curve smoothed() const {
    const double keep = 1.0 - 1.0 / std::max(2.0, static_cast<double>(x.size()) / 40.0);
    Curve result{x, {}};
    double sum = 0, weight = 0;
    for (const double value : y) {
      sum = keep * sum + value;
      weight = keep * weight + 1;
      result.y.push_back(sum / weight);
    }
    return result;
  }
};

struct SeriesLook {
  bool dashed = false, thin = false, marks = false;
};

json series(const std::string& name, const Curve& curve, SeriesLook look) {
  json points = json::array();
  for (const double v : curve.y) points.push_back(std::isfinite(v) ? json(v) : json(nullptr));
  return {{"name", name},          {"x", curve.x},      {"y", points},
          {"dashed", look.dashed}, {"thin", look.thin}, {"marks", look.marks}};
}

/// Numbers by name from the lines of one event.
std::map<std::string, Curve> curves_of(const std::vector<json>& lines, const std::string& event) {
  std::map<std::string, Curve> curves;
  for (const json& line : lines) {
    if (line["event"] != event) continue;
    for (const auto& [key, value] : line.items())
      if (value.is_number() && key != "step") {
        curves[key].x.push_back(line["step"].get<double>());
        curves[key].y.push_back(value.get<double>());
      }
  }
  return curves;
}

/// What the figures of the log are called in the report.
const std::vector<std::pair<std::string, std::string>>& figure_names() {
  static const std::vector<std::pair<std::string, std::string>> names{
      {"mcm_cosine", "masked cells: cosine of the prediction"},
      {"mcm_cosine_neighbours", "masked cells: mean of the 10 nearest visible cells"},
      {"mcm_cosine_mean", "masked cells: mean of the piece"},
      {"pdr_error", "distances: mean squared error of the prediction"},
      {"pdr_error_constant", "distances: best constant"},
      {"pdr_error_kind", "distances: best constant for each kind of pair"},
      {"pdr_error_as_moved", "distances: as they are after the move"}};
  return names;
}

std::string figure_name(const std::string& key) {
  for (const auto& [known, name] : figure_names())
    if (known == key) return name;
  return key;
}

json charts_of(const TrainingReportData& d) {
  const auto steps = curves_of(d.lines, "step"), held = curves_of(d.lines, "validation");
  json charts = json::array();
  const auto curve_chart = [&](const std::string& key, const std::string& name, bool log) {
    const auto found = steps.find(key);
    if (found == steps.end()) return;
    charts.push_back(
        {{"name", name},
         {"log", log},
         {"series", json::array({series("each step", found->second.thinned(), {.thin = true}),
                                 series("running mean", found->second.smoothed().thinned(), {})})}});
  };
  curve_chart("loss", "Loss on training pieces", true);
  // Figures of the validation that begin alike share a chart: mcm_*, pdr_*.
  std::map<std::string, json> groups;
  for (const auto& [key, curve] : held) {
    if (key == "cells" || key == "pairs") continue;
    const std::string group = key.substr(0, key.find('_'));
    auto& list = groups[group];
    if (list.is_null()) list = json::array();
    const bool baseline = std::count(key.begin(), key.end(), '_') > 1;
    list.push_back(series(figure_name(key), curve, {.dashed = baseline, .marks = !baseline}));
  }
  for (const auto& [group, list] : groups) {
    const std::string name = group == "mcm"   ? "Held out: masked cells"
                             : group == "pdr" ? "Held out: distances"
                                              : "Held out: " + group;
    charts.push_back({{"name", name}, {"log", group == "pdr"}, {"series", list}});
  }
  for (const auto& [key, curve] : steps)
    if (key.starts_with("loss_")) curve_chart(key, "Training: " + key.substr(5), true);
  curve_chart("gradient_norm", "Gradient norm before clipping", true);
  if (const auto rate = steps.find("learning_rate"); rate != steps.end())
    charts.push_back({{"name", "Learning rate"},
                      {"log", false},
                      {"series", json::array({series("rate", rate->second.thinned(), {})})}});
  curve_chart("cells_per_second", "Cells per second", false);
  return charts;
}

json rows_of(const json& object) {
  json rows = json::array();
  for (const auto& [key, value] : card_of(object)) rows.push_back({key, value});
  return rows;
}

json facts_of(const TrainingReportData& d) {
  std::int64_t steps = 0, cells = 0, skipped = 0;
  double seconds = 0, epoch = 0, loss = 0;
  for (const json& line : d.lines) {
    if (line["event"] != "step") continue;
    steps = std::max(steps, line["step"].get<std::int64_t>());
    const auto number = [&line](const char* key) {
      return line.contains(key) && line[key].is_number() ? line[key].get<double>() : 0.0;
    };
    cells += static_cast<std::int64_t>(number("cells"));
    seconds += number("seconds");
    epoch = number("epoch");
    loss = number("loss");
    skipped += line.contains("skipped");
  }
  json facts = {
      {"steps", format_count(steps)},
      {"epochs", format_number(epoch, 3)},
      {"last loss", format_number(loss, 4)},
      {"cells seen", format_count(cells)},
      {"time in steps", format_seconds(seconds)},
      {"cells per second", seconds > 0 ? format_number(static_cast<double>(cells) / seconds, 3) : "0"}};
  json list = json::array();
  for (const char* key : {"steps", "epochs", "last loss", "cells seen", "cells per second", "time in steps"})
    list.push_back({key, facts[key]});
  if (skipped > 0) list.push_back({"steps skipped", format_count(skipped)});
  return list;
}

}  // namespace

std::string training_report_html(const TrainingReportData& d) {
  json data = {{"title", d.title},
               {"verb", d.verb},
               {"version", d.version},
               {"created", d.created},
               {"finished", d.finished}};
  data["facts"] = facts_of(d);
  data["charts"] = charts_of(d);
  data["options"] = rows_of(d.options);
  data["model"] = rows_of(d.model);
  data["heldout"] = json::array();
  data["events"] = json::array();
  json last = json::object();
  for (const json& line : d.lines) {
    const std::string event = line["event"].get<std::string>();
    if (event == "validation") last = line;
    if (event == "resume")
      data["events"].push_back(concat("Resumed after step ", line["step"].get<std::int64_t>()));
    if (event == "signal")
      data["events"].push_back(concat("Stopped by a signal after step ", line["step"].get<std::int64_t>()));
    if (line.contains("skipped") && event == "step")
      data["events"].push_back(
          concat("Step ", line["step"].get<std::int64_t>(), " skipped: infinite loss or gradient"));
  }
  for (const auto& [key, name] : figure_names())
    if (last.contains(key) && last[key].is_number())
      data["heldout"].push_back({name, format_number(last[key].get<double>(), 4)});
  for (const auto& [key, value] : last.items())
    if (value.is_number() && figure_name(key) == key && key != "step")
      data["heldout"].push_back({key, format_number(value.get<double>(), 4)});
  data["hint"] = last.contains("mcm_cosine") ? "Masks never change between validations. The other predictors "
                                               "use no model; constants are fitted on the very pairs."
                                             : "";
  std::string text = data.dump(-1, ' ', true);
  for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos;) text.replace(at, 1, "\\u003c");

  std::string html = report_page_start("stofm training report", concat(report_style, training_report_style))
                         .append(training_report_body);
  html.append("<script type=\"application/json\" id=\"data\">").append(text).append("</script>\n<script>");
  html.append(training_report_script).append("</script>\n</body></html>\n");
  return html;
}

}  // namespace stofm::program
