// SPDX-License-Identifier: MIT
// The report of a task and its figures: what is written decodes to what was given, whatever names are.
#include <doctest/doctest.h>

#ifdef STOFM_WITH_HDF5
#include <zlib.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "deflate.hpp"
#include "report.hpp"
#include "tasks/task_drawing.hpp"
#include "tasks/task_report.hpp"

namespace {

using nlohmann::json;
using namespace stofm::program;
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

std::string from_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t word = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    const auto digit = digits.find(c);
    REQUIRE(digit != std::string::npos);
    word = word << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += static_cast<char>(word >> bits & 255U);
    }
  }
  return out;
}

std::string inflated(const std::string& stream, std::size_t size) {
#ifdef STOFM_WITH_HDF5
  std::string out(size + 1, '\0');
  auto length = static_cast<uLongf>(out.size());
  REQUIRE(uncompress(reinterpret_cast<Bytef*>(out.data()), &length,
                     reinterpret_cast<const Bytef*>(stream.data()),
                     static_cast<uLong>(stream.size())) == Z_OK);
  REQUIRE(length == size);
  out.resize(size);
  return out;
#else
  std::string out;
  for (std::size_t at = 2; at + 4 < stream.size();) {
    const bool last = stream[at] != 0;
    const auto low = static_cast<unsigned char>(stream[at + 1]),
               high = static_cast<unsigned char>(stream[at + 2]);
    out.append(stream, at + 5, low | high << 8U);
    at += 5 + (low | high << 8U);
    if (last) break;
  }
  REQUIRE(out.size() == size);
  return out;
#endif
}

std::vector<std::uint32_t> unpacked(const json& array) {
  const auto width = array[0].get<std::size_t>(), count = array[1].get<std::size_t>();
  const std::string bytes = inflated(from_base64(array[2].get<std::string>()), width * count);
  std::vector<std::uint32_t> values(count, 0);
  for (std::size_t b = 0; b < width; ++b)
    for (std::size_t i = 0; i < count; ++i)
      values[i] |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[b * count + i])) << 8 * b;
  return values;
}

json data_of(const std::string& html) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const auto at = html.find(begin) + begin.size();
  return json::parse(html.substr(at, html.find("</script>", at) - at));
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

/// Two slices of a grid, prediction (one cell wrong, one missing) and truth, a score with a hole.
TaskReport two_slices() {
  TaskReport r;
  r.title = "Regions";
  r.version = "1";
  for (int s = 0; s < 2; ++s) {
    TaskReportSlice slice;
    slice.name = s == 0 ? "a" : "b";
    std::vector<std::int32_t> predicted, truth;
    std::vector<float> score;
    for (int i = 0; i < 30; ++i) {
      slice.x.push_back(static_cast<float>(100 * (i % 6) + 7 * s));
      slice.y.push_back(static_cast<float>(100 * (i / 6)) - 50);
      slice.view_x.push_back(static_cast<float>(std::sin(i)));
      slice.view_y.push_back(static_cast<float>(std::cos(i)));
      slice.cell_names.push_back("cell" + std::to_string(i));
      truth.push_back(i % 3);
      predicted.push_back(i == 5 ? -1 : i == 7 ? 2 : i % 3);
      score.push_back(i == 4 ? nan_value : static_cast<float>(i * i) / 10);
    }
    r.slices.push_back(slice);
    r.groups.resize(2);
    r.groups[0].codes.push_back(predicted);
    r.groups[1].codes.push_back(truth);
    r.scores.resize(1);
    r.scores[0].values.push_back(score);
  }
  r.groups[0].key = "stofm_region", r.groups[0].label = "predicted", r.groups[0].names = {"L1", "L2", "L3"};
  r.groups[1].key = "region", r.groups[1].label = "truth", r.groups[1].names = {"L1", "L2", "L3"};
  r.beside = "region";
  r.scores[0].key = "Gad1", r.scores[0].label = "Gad1", r.scores[0].group = "genes";
  // Rows: truth. i = 5 is missing (truth L3), i = 7 is L2 called L3; twice.
  r.matrices.push_back({.title = "Confusion",
                        .rows = {"L1", "L2", "L3"},
                        .columns = {"L1", "L2", "L3"},
                        .values = {20, 0, 0, 0, 18, 2, 0, 0, 18}});
  r.bars.push_back(
      {"F1", "F1", {"L1", "L2", "L3"}, {1, .95, std::nan("")}, {.9, .9, std::nan("")}, {1, 1, 1}});
  r.curves.push_back({"loss", "epoch", "loss", {{"training", {1, 2, 3}, {3, 2, std::nan("")}}}});
  r.tables.push_back({"Scores", {"score", "value"}, {{"ARI", "0.5"}}});
  return r;
}

/// Elements that are opened are closed in turn, every '&' begins a known entity, attributes are quoted.
void check_well_formed(const std::string& xml) {
  std::vector<std::string> open;
  for (std::size_t i = 0; i < xml.size(); ++i) {
    if (xml[i] == '&') {
      const std::string entity = xml.substr(i, xml.find(';', i) - i + 1);
      REQUIRE((entity == "&amp;" || entity == "&lt;" || entity == "&gt;" || entity == "&quot;"));
    }
    if (static_cast<unsigned char>(xml[i]) < 0x20 && xml[i] != '\n') FAIL("a control character");
    if (xml[i] != '<') continue;
    std::size_t end = i;
    for (bool quoted = false; end < xml.size() && (quoted || xml[end] != '>'); ++end) {
      if (xml[end] == '"') quoted = !quoted;
      if (end > i && xml[end] == '<') FAIL("an open element");
    }
    REQUIRE(end < xml.size());
    const std::string tag = xml.substr(i + 1, end - i - 1);
    const std::string name = tag.substr(tag[0] == '/', tag.find_first_of(" /", 1) - (tag[0] == '/'));
    if (tag[0] == '/') {
      REQUIRE(!open.empty());
      REQUIRE(open.back() == tag.substr(1));
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
    i = end;
  }
  CHECK(open.empty());
}

struct Picture {
  std::uint32_t width = 0, height = 0;
  std::string rows;  ///< [height * (1 + 3 width)]
  std::uint32_t at(std::uint32_t x, std::uint32_t y) const {
    const std::size_t i = std::size_t{y} * (1 + 3 * std::size_t{width}) + 1 + 3 * std::size_t{x};
    std::uint32_t colour = 0;
    for (std::size_t c = 0; c < 3; ++c) colour = colour << 8 | static_cast<unsigned char>(rows[i + c]);
    return colour;
  }
};

Picture picture_of(const std::string& png) {
  REQUIRE(png.substr(0, 8) == "\x89PNG\r\n\x1a\n");
  const auto big = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < 4; ++k) value = value << 8 | static_cast<unsigned char>(png[at + k]);
    return value;
  };
  Picture p;
  std::string last, stream;
  for (std::size_t at = 8; at < png.size();) {
    const std::size_t size = big(at);
    last = png.substr(at + 4, 4);
    CHECK(crc32_of(png.substr(at + 4, size + 4)) == big(at + 8 + size));
    if (last == "IHDR") p.width = big(at + 8), p.height = big(at + 12);
    if (last == "IDAT") stream += png.substr(at + 8, size);
    at += 12 + size;
  }
  CHECK(last == "IEND");
  p.rows = inflated(stream, std::size_t{p.height} * (1 + 3 * std::size_t{p.width}));
  return p;
}

const std::string& figure(const std::vector<std::pair<std::string, std::string>>& figures,
                          const std::string& name) {
  for (const auto& [file, bytes] : figures)
    if (file == name) return bytes;
  FAIL("no figure " << name);
  return figures.front().second;
}

}  // namespace

TEST_CASE("task report: groups, places, scores and names decode to what was given") {
  const TaskReport r = two_slices();
  const json d = data_of(task_report_html(r));
  REQUIRE(d["slices"].size() == 2);
  for (std::size_t s = 0; s < 2; ++s) {
    const json& slice = d["slices"][s];
    CHECK(slice["name"] == r.slices[s].name);
    const auto check_axis = [&](const char* key, const std::vector<float>& values) {
      const auto steps = unpacked(slice[key][2]);
      REQUIRE(steps.size() == values.size());
      const double low = slice[key][0], step = slice[key][1];
      for (std::size_t i = 0; i < values.size(); ++i)  // half a step, and nine digits of low and step
        CHECK(std::abs(low + (steps[i] - 1.0) * step - static_cast<double>(values[i])) <= step * .5 + 1e-5);
    };
    check_axis("x", r.slices[s].x);
    check_axis("y", r.slices[s].y);
    check_axis("vx", r.slices[s].view_x);
    check_axis("vy", r.slices[s].view_y);
    for (std::size_t g = 0; g < 2; ++g) {
      const auto codes = unpacked(d["groups"][g]["codes"][s]);
      for (std::size_t i = 0; i < codes.size(); ++i)
        CHECK(static_cast<std::int32_t>(codes[i]) - 1 == r.groups[g].codes[s][i]);
    }
    const json& score = d["scores"][0];
    const auto steps = unpacked(score["values"][s]);
    const double low = score["low"], step = score["step"];
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const double value = r.scores[0].values[s][i];
      CHECK((steps[i] == 0) == std::isnan(value));
      if (steps[i] != 0) CHECK(std::abs(low + (steps[i] - 1.0) * step - value) <= step * .5 + 1e-6);
    }
    const json& names = slice["names"];
    CHECK(inflated(from_base64(names[2]), names[1]).substr(0, 12) == "cell0\ncell1\n");
  }
  CHECK(d["bars"][0]["values"][2].is_null());
  CHECK(d["curves"][0]["curves"][0]["y"][2].is_null());
  CHECK(task_report_html(r) == task_report_html(r));
}

TEST_CASE("task report: many groups, a code without a name, codes that are missing for a slice") {
  TaskReport r = two_slices();
  r.groups[0].codes[0][0] = 70000;
  r.groups[0].codes[0][1] = 300;
  r.groups[0].codes.pop_back();
  const json d = data_of(task_report_html(r));
  CHECK(unpacked(d["groups"][0]["codes"][0])[0] == 70001);
  CHECK(unpacked(d["groups"][0]["codes"][0])[1] == 301);
  CHECK(unpacked(d["groups"][0]["codes"][1]) == std::vector<std::uint32_t>(30, 0));
}

TEST_CASE("task report: a matrix is tied to the groups whose counts it holds, and to no others") {
  TaskReport r = two_slices();
  json d = data_of(task_report_html(r));
  CHECK(d["matrices"][0]["row_groups"] == "region");
  CHECK(d["matrices"][0]["column_groups"] == "stofm_region");
  r.matrices[0].values[0] = 19;
  d = data_of(task_report_html(r));
  CHECK(d["matrices"][0]["row_groups"] == "");
  r.matrices[0].row_groups = "region", r.matrices[0].column_groups = "stofm_region";
  CHECK(data_of(task_report_html(r))["matrices"][0]["row_groups"] == "region");
}

TEST_CASE(
    "task report: the same name has the same colour everywhere, names of one group have different ones") {
  TaskReport r = two_slices();
  r.groups[1].names = {"L3", "L1", "other", "new"};
  r.proportions.names = {"L2", "L9"};
  const auto colours = task_report_colours(r);
  CHECK(colours[0] == std::vector<std::string>{group_colour(0), group_colour(1), group_colour(2)});
  CHECK(colours[1][0] == colours[0][2]);
  CHECK(colours[1][1] == colours[0][0]);
  CHECK(std::set<std::string>(colours[1].begin(), colours[1].end()).size() == 4);
  CHECK(task_report_type_colours(r)[0] == colours[0][1]);
  r.groups[0].colours = {"#123456", "url(x)", "red;}"};
  CHECK(task_report_colours(r)[0] == std::vector<std::string>{"#123456", group_colour(0), group_colour(1)});
  CHECK(task_report_colours(r)[1][1] == "#123456");
}

TEST_CASE("task report: names can not leave the data, whatever is in them") {
  TaskReport r = two_slices();
  const std::string bad = "</script><script>alert(1)</script>\" & <!-- \x01\xff\xe2\x80\xae";
  r.title = r.command = r.version = r.unit = bad;
  r.banner = r.notices = {bad};
  r.facts = r.options = r.model = r.next = {{bad, bad}};
  for (auto& slice : r.slices) slice.name = bad, slice.cell_names[0] = bad + "\nx";
  for (auto& groups : r.groups) groups.key += bad, groups.label = groups.note = groups.names[0] = bad;
  r.scores[0].key = r.scores[0].label = r.scores[0].group = bad;
  r.proportions.names = {bad};
  r.matrices[0].rows[0] = r.matrices[0].title = r.bars[0].title = r.bars[0].names[0] = bad;
  r.curves[0].title = r.curves[0].x_label = r.curves[0].curves[0].name = bad;
  r.tables[0].rows[0][0] = r.tables[0].columns[0] = bad;
  const std::string html = task_report_html(r);
  CHECK(count_of(html, "<script") == 2);
  CHECK(count_of(html, "</script") == 2);
  CHECK(html.find("<!--") == std::string::npos);
  CHECK(html.find("alert(1)<") == std::string::npos);
  CHECK(html.find("http://") == html.find("http://www.w3.org/2000/svg"));  // the only address: a name space
  CHECK(html.find("https://") == std::string::npos);
  const json d = data_of(html);
  CHECK(d["title"] == "</script><script>alert(1)</script>\" & <!-- \\x01\\xff\\xe2\\x80\\xae");
  const json& names = d["slices"][0]["names"];
  const std::string lines = inflated(from_base64(names[2]), names[1]);
  CHECK(count_of(lines, "\n") == 29);  // a line feed in a name is no end of a name
  for (const auto& [name, bytes] : task_figures(r)) {
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
          std::string::npos);
    if (name.ends_with(".svg")) check_well_formed(bytes);
  }
}

TEST_CASE("task report: parts without data are empty, figures of them are not made") {
  TaskReport r;
  r.title = "nothing";
  const json d = data_of(task_report_html(r));
  for (const char* key :
       {"slices", "groups", "scores", "types", "matrices", "bars", "curves", "tables", "facts"})
    CHECK(d[key].empty());
  CHECK(task_figures(r).empty());
  r.bars = two_slices().bars;
  const auto figures = task_figures(r);
  REQUIRE(figures.size() == 2);
  CHECK(figures[0].first == "bars_F1.svg");
  CHECK(figures[1].first == "bars_F1.png");
}

TEST_CASE("task figures: maps, views, confusion, bars and curves, as SVG and PNG of one size") {
  const auto figures = task_figures(two_slices());
  std::set<std::string> names;
  for (const auto& [name, bytes] : figures) CHECK(names.insert(name).second);
  const std::set<std::string> expected{
      "map_stofm_region", "view_stofm_region", "map_region", "view_region", "maps_stofm_region_and_region",
      "map_Gad1",         "confusion",         "bars_F1",    "curves_loss"};
  std::set<std::string> both;
  for (const auto& name : expected) both.insert({name + ".svg", name + ".png"});
  CHECK(names == both);
  for (const auto& name : expected) {
    CAPTURE(name);
    const std::string svg = figure(figures, name + ".svg");
    check_well_formed(svg);
    const auto size = [&](const char* key) {
      return std::stod(svg.substr(svg.find(key) + std::string(key).size()));
    };
    const Picture p = picture_of(figure(figures, name + ".png"));
    CHECK(std::abs(2 * size("width=\"") - p.width) <= 1);
    CHECK(std::abs(2 * size("height=\"") - p.height) <= 1);
  }
  const std::string map = figure(figures, "map_stofm_region.svg");
  CHECK(count_of(map, "<circle") == 60);
  CHECK(count_of(map, "fill=\"" + group_colour(0) + "\"/>") == 20 + 1);  // and the legend
  CHECK(count_of(map, "#b4bac4") == 2 + 1);
  CHECK(count_of(map, ">L2</text>") == 1);
  CHECK(count_of(figure(figures, "maps_stofm_region_and_region.svg"), "<circle") == 120);
  const std::string matrix = figure(figures, "confusion.svg");
  CHECK(count_of(matrix, ">18</text>") == 2);
  CHECK(count_of(matrix, ">90</text>") == 1);  // 18 of 20
  CHECK(count_of(matrix, ">10</text>") == 1);
}

TEST_CASE("task figures: more than 20,000 cells are an image in the SVG") {
  TaskReport r;
  r.slices.resize(1);
  r.groups.push_back(
      {.key = "g", .label = "g", .note = "", .names = {"x"}, .colours = {"#ff0000"}, .codes = {{}}});
  for (int i = 0; i < 20001; ++i) {
    r.slices[0].x.push_back(static_cast<float>(i % 150));
    r.slices[0].y.push_back(static_cast<float>(i / 150));
    r.groups[0].codes[0].push_back(0);
  }
  const auto figures = task_figures(r);
  const std::string svg = figure(figures, "map_g.svg");
  check_well_formed(svg);
  CHECK(count_of(svg, "<circle") == 0);
  CHECK(count_of(svg, "<image") == 1);
  const Picture p = picture_of(figure(figures, "map_g.png"));
  CHECK(p.at(p.width / 2, p.height / 2) / 65536 == 255);  // red discs beside each other
}

TEST_CASE("task figures: pies have each type's share of the turn") {
  TaskReport r;
  r.slices.resize(1);
  r.slices[0].x = {0, 1};
  r.slices[0].y = {0, 0};
  r.proportions.names = {"A", "B"};
  r.proportions.colours = {"#ff0000", "#0000ff"};
  r.proportions.values = {{.25F, .75F, nan_value, nan_value}};
  r.scores.push_back({"share:A", "A", "proportions", {{.25F, nan_value}}});  // shown once, as a type
  r.scores.push_back({"entropy", "A", "spots", {{.8F, nan_value}}});
  const json d = data_of(task_report_html(r));
  REQUIRE(d["types"].size() == 2);
  REQUIRE(d["scores"].size() == 1);
  CHECK(d["scores"][0]["key"] == "entropy");
  CHECK(unpacked(d["types"][0]["values"][0])[1] == 0);
  const double low = d["types"][1]["low"], step = d["types"][1]["step"];
  CHECK(low + (unpacked(d["types"][1]["values"][0])[0] - 1.0) * step == doctest::Approx(.75));
  const auto figures = task_figures(r);
  CHECK(figures.size() == 6);
  const std::string svg = figure(figures, "proportions.svg");
  check_well_formed(svg);
  CHECK(count_of(svg, "<circle") == 2);
  CHECK(count_of(svg, "fill=\"#b4bac4\"") == 1);
  CHECK(count_of(svg, "Z\" fill=\"#ff0000\"") == 1);
  const Picture p = picture_of(figure(figures, "proportions.png"));
  std::size_t red = 0, blue = 0;
  for (std::uint32_t y = 40; y + 60 < p.height; ++y)  // above the legend
    for (std::uint32_t x = 0; x < p.width; ++x) red += p.at(x, y) == 0xff0000, blue += p.at(x, y) == 0x0000ff;
  REQUIRE(red > 100);
  CHECK(static_cast<double>(red) / static_cast<double>(red + blue) == doctest::Approx(.25).epsilon(.05));
  CHECK(figure(figures, "proportions_by_type.svg").find(">B</text>") != std::string::npos);
}

TEST_CASE("drawing: shapes cover the pixels they should") {
  Drawing d(20, 10);
  d.box(2, 2, 3, 4, "#00ff00");
  d.line(10, 5, 18, 5, "#0000ff", 2);
  const Picture p = picture_of(d.png(1));
  REQUIRE(p.width == 20);
  REQUIRE(p.height == 10);
  for (std::uint32_t y = 0; y < 10; ++y)
    for (std::uint32_t x = 0; x < 8; ++x)
      CHECK(p.at(x, y) == (x >= 2 && x < 5 && y >= 2 && y < 6 ? 0x00ff00U : 0xffffffU));
  CHECK(p.at(14, 4) == 0x0000ff);
  CHECK(p.at(14, 5) == 0x0000ff);
  CHECK(p.at(14, 7) == 0xffffff);
  CHECK(text_width("iii", 10) == doctest::Approx(3 * 2.22));
  CHECK(fitted("abcdefgh", 10, 30) == "abc...");
  CHECK(fitted("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 10, 24) ==
        "\xc3\xa4\xc3\xa4...");  // whole letters
  CHECK(fitted("ab", 10, 30) == "ab");
}

TEST_CASE("deflate: the checksum of PNG chunks, and bytes that come back") {
  CHECK(crc32_of("123456789") == 0xcbf43926U);
  CHECK(crc32_of("IEND") == 0xae426082U);
  std::string bytes;
  for (int i = 0; i < 200000; ++i) bytes += static_cast<char>(std::int64_t{i} * i >> 3);
  CHECK(inflated(deflated(bytes), bytes.size()) == bytes);
  CHECK(inflated(deflated(""), 0).empty());
}
