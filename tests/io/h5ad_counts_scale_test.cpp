// SPDX-License-Identifier: MIT
// Counts off every scale that files keep them on: each kind, each storage, and what is refused with which
// words.
#include <cmath>
#include <functional>
#include <numeric>

#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

constexpr std::size_t cells = 60, genes = 33;

using Dense = std::vector<double>;

/// Counts [cells, genes] of the zoo's file with hard cells: 0 empty, 1 of a single gene, 2 with two genes of
/// one count, 3 all multiples of 6, 4 without a 1 (7, 12, 15), 5 with one large count.
Dense hard_counts() {
  Dense x = read_all(zoo("csr_f32_gzip").string()).dense;
  const auto row = [&x](std::size_t cell) { return x.begin() + static_cast<std::ptrdiff_t>(cell * genes); };
  for (std::size_t cell = 0; cell < 5; ++cell) std::fill_n(row(cell), genes, 0.0);
  row(1)[4] = 3;
  row(2)[3] = row(2)[9] = 2;
  for (int g = 0; g < 5; ++g) row(3)[g] = 6 * (g + 2);
  row(4)[1] = 7, row(4)[2] = 12, row(4)[8] = 15;
  row(5)[0] = 20000;
  return x;
}

/// As scanpy: each cell times target / total (float32), then f (float32).
Dense normalised(const Dense& counts, double target, const std::function<double(double)>& f) {
  Dense x = counts;
  for (std::size_t cell = 0; cell < cells; ++cell) {
    const auto begin = counts.begin() + static_cast<std::ptrdiff_t>(cell * genes);
    const auto total = static_cast<float>(std::accumulate(begin, begin + genes, 0.0));
    for (std::size_t g = 0; g < genes; ++g)
      if (x[cell * genes + g] > 0) {
        const float scaled = static_cast<float>(x[cell * genes + g]) / (total / static_cast<float>(target));
        x[cell * genes + g] = static_cast<float>(f(scaled));
      }
  }
  return x;
}
double identity(double x) { return x; }
double log_e(double x) { return std::log1p(x); }
double log_2(double x) { return std::log1p(x) / std::log(2.0); }
double log_10(double x) { return std::log1p(x) / std::log(10.0); }

enum class Form { csr, csc, dense };

void put_matrix(H5Edit& edit, const std::string& path, const Dense& x, Form form, hid_t type) {
  if (edit.has(path)) edit.remove(path);
  if (form == Form::dense) {
    edit.put(path, x, type, {cells, genes});
    edit.attribute(path, "encoding-type", "array");
    return;
  }
  const bool csr = form == Form::csr;
  std::vector<double> data;
  std::vector<std::int64_t> indices, starts{0};
  for (std::size_t i = 0; i < (csr ? cells : genes); ++i) {
    for (std::size_t j = 0; j < (csr ? genes : cells); ++j) {
      const double value = csr ? x[i * genes + j] : x[j * genes + i];
      if (value == 0) continue;
      data.push_back(value);
      indices.push_back(static_cast<std::int64_t>(j));
    }
    starts.push_back(static_cast<std::int64_t>(data.size()));
  }
  edit.group(path);
  edit.attribute(path, "encoding-type", std::string(csr ? "csr_matrix" : "csc_matrix"));
  edit.attribute(path, "shape", std::vector<std::int64_t>{cells, genes});
  edit.put(path + "/data", data, type);
  edit.put(path + "/indices", indices);
  edit.put(path + "/indptr", starts);
}

/// A file whose X is this.
struct XCase : H5Case {
  explicit XCase(const Dense& x, Form form = Form::csr, hid_t type = H5T_NATIVE_FLOAT) {
    H5Edit file = edit();
    put_matrix(file, "X", x, form, type);
  }
  void layer(const std::string& name, const Dense& x) const {
    H5Edit file = edit();
    if (!file.has("layers")) file.group("layers");
    put_matrix(file, "layers/" + name, x, Form::csr, H5T_NATIVE_FLOAT);
  }
  Error error(const H5adReadOptions& options = {}) const {
    try {
      read_all(path, options);
    } catch (const Error& e) {
      return e;
    }
    FAIL("accepted");
    throw std::runtime_error("accepted");
  }
};

H5adReadOptions forced(CountsScale scale) {
  H5adReadOptions options;
  options.counts_scale = scale;
  return options;
}

/// Cells divided by the greatest common divisor of their counts: what tokens see.
Dense reduced(Dense x) {
  for (std::size_t cell = 0; cell < cells; ++cell) {
    std::int64_t divisor = 0;
    for (std::size_t g = 0; g < genes; ++g)
      divisor = std::gcd(divisor, static_cast<std::int64_t>(x[cell * genes + g]));
    for (std::size_t g = 0; g < genes && divisor > 0; ++g)
      x[cell * genes + g] /= static_cast<double>(divisor);
  }
  return x;
}

std::string text_of(const Notices& notices, const std::string& code) {
  for (const Notice& notice : notices)
    if (notice.code == code) return notice.text;
  return "";
}

bool contains(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("D16: counts come back whole, ties included, off every scale and storage") {
  const Dense counts = hard_counts();
  const Dense expected = reduced(counts);
  struct Scale {
    const char* words;
    double target;
    double (*f)(double);
  };
  for (const Scale& scale :
       {Scale{"counts times a factor", 1e4, identity}, Scale{"counts times a factor", 1, identity},
        Scale{"counts times a factor", 1e6, identity}, Scale{"log1p values (base e)", 1e4, log_e},
        Scale{"log1p values (base e)", 157, log_e}, Scale{"log1p values (base e)", 1, log_e},
        Scale{"log2(1 + x) values", 1e4, log_2}, Scale{"log10(1 + x) values", 1e6, log_10}}) {
    CAPTURE(scale.words);
    CAPTURE(scale.target);
    const Dense x = normalised(counts, scale.target, scale.f);
    for (const Form form : {Form::csr, Form::csc, Form::dense})
      for (const hid_t type : {H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE}) {
        const XCase file(x, form, type);
        const Read read = read_all(file.path);
        CAPTURE(text_of(read.slice.notices, "STOFM-W3550"));
        CHECK(read.dense == expected);
        CHECK(contains(text_of(read.slice.notices, "STOFM-W3550"), scale.words));
        CHECK(
            contains(text_of(read.slice.notices, "STOFM-W3550"), "58 of 58 cells looked at came out whole"));
        CHECK(contains(read.slice.counts_scale, scale.words));
        CHECK(read.slice.stream_notices().empty());
      }
  }
}

TEST_CASE("D16: log1p of counts without a factor, and any factor per cell") {
  const Dense counts = hard_counts();
  Dense raw = counts, factors = counts;
  for (double& v : raw) v = static_cast<float>(std::log1p(v));
  for (std::size_t i = 0; i < factors.size(); ++i)
    factors[i] = static_cast<float>(std::log1p(factors[i] * (0.3 + 0.37 * static_cast<double>(i / genes))));
  Dense many = counts;  // no cell has a small count: one unit all over is no step on a log scale
  for (double& v : many) v = v > 0 ? static_cast<float>(std::log1p(v + 4)) : 0;
  Dense many_counts = counts;
  for (double& v : many_counts) v = v > 0 ? v + 4 : 0;
  CHECK(read_all(XCase(many).path).dense == reduced(many_counts));
  for (const Dense& x : {raw, factors}) CHECK(read_all(XCase(x).path).dense == reduced(counts));
}

TEST_CASE(
    "D16: rounded to decimals, and float16: whole where the digits suffice, and never the steps as counts") {
  const Dense counts = hard_counts();
  for (const double power : {1e3, 1e4}) {
    Dense x = normalised(counts, 1e4, log_e);
    for (double& v : x) v = std::nearbyint(v * power) / power;
    const Read read = read_all(XCase(x).path);
    CHECK(contains(read.slice.counts_scale, "log1p values (base e)"));
    std::size_t differ = 0;  // the cell with 20000 can't come back: its other counts are below a digit
    for (std::size_t i = 0; i < x.size(); ++i) differ += read.dense[i] == reduced(counts)[i] ? 0 : 1;
    CHECK(differ <= 3 * genes);
  }
  Dense smooth(cells * genes);  // no scale: all values are steps of 0.01
  for (std::size_t i = 0; i < smooth.size(); ++i)
    smooth[i] = std::nearbyint(100 * (1 + std::sin(static_cast<double>(i * i)))) / 100;
  CHECK(XCase(smooth).error().code() == "STOFM-3529");
  for (std::size_t i = 0; i < smooth.size(); i += genes) smooth[i + 1] = 0.01;  // and each cell has the step
  CHECK(XCase(smooth).error().code() == "STOFM-3529");
  Dense eighths = smooth, halves = counts;
  for (double& v : eighths) v = std::nearbyint(v * 64) / 64;
  CHECK(XCase(eighths).error().code() == "STOFM-3529");
  for (double& v : halves) v /= 2;  // as of reads that map twice
  CHECK(read_all(XCase(halves).path).dense == reduced(counts));
  Dense coarse = normalised(counts, 1e4, log_e);
  for (double& v : coarse) v = std::nearbyint(v * 100) / 100;
  try {
    CHECK(contains(read_all(XCase(coarse).path).slice.counts_scale, "log1p"));
  } catch (const DataError& error) {
    CHECK(error.code() == "STOFM-3529");
  }
}

TEST_CASE("D16: whole numbers with rounding errors are rounded, shares of a total are not") {
  const Dense counts = hard_counts();
  Dense noisy = counts;
  for (std::size_t i = 0; i < noisy.size(); ++i) noisy[i] *= i % 3 == 0 ? 1.0000001 : 1;
  const Read read = read_all(XCase(noisy, Form::csr, H5T_NATIVE_DOUBLE).path);
  CHECK(read.dense == counts);
  CHECK(has_notice(read.slice.notices, "STOFM-W3551"));
  CHECK(contains(read.slice.counts_scale, "rounded"));
  CHECK(XCase(noisy, Form::csr, H5T_NATIVE_DOUBLE).error(forced(CountsScale::counts)).code() == "STOFM-3550");
  Dense shares = normalised(counts, 1e-3, identity);  // all values within whole_tolerance of 0
  CHECK(read_all(XCase(shares).path).dense == reduced(counts));
}

TEST_CASE("D16: cells of one value are the same on every scale") {
  Dense x(cells * genes, 0.0);
  for (std::size_t cell = 0; cell < cells; ++cell)
    x[cell * genes + cell % genes] = 0.7 + 0.01 * static_cast<double>(cell);
  const Read read = read_all(XCase(x).path);
  CHECK(std::accumulate(read.dense.begin(), read.dense.end(), 0.0) == cells);
}

TEST_CASE("D16: what counts can't come back from is refused, with the places that hold some") {
  const Dense counts = hard_counts();
  const Dense logs = normalised(counts, 1e4, log_e);
  Dense scaled = logs, root = counts, by_gene = logs;
  for (std::size_t i = 0; i < logs.size(); ++i) {
    scaled[i] = (logs[i] - 1.3) / (1 + 0.1 * static_cast<double>(i % genes));
    root[i] = std::sqrt(counts[i]);
    by_gene[i] = logs[i] / (1 + 0.1 * static_cast<double>(i % genes));
  }
  for (const Dense& x : {scaled, root, by_gene}) {
    XCase file(x, Form::dense);
    const Error alone = file.error();
    CHECK(alone.code() == "STOFM-3529");
    CHECK(contains(alone.remedy(), "H5adReadOptions::layer") == false);
    CHECK(contains(alone.remedy(), "H5adReadOptions::counts_scale = linear") ==
          (&x != &scaled && x != scaled));
    file.layer("zz", x);  // of no use: not named as a way out
    CHECK(contains(file.error().remedy(), "H5adReadOptions::layer = zz") == false);
    CHECK(contains(file.error().remedy(), "Nor is layers[\"zz\"] of use"));
    file.layer("log norm", logs);
    CHECK(contains(file.error().remedy(),
                   "Counts come back from layers[\"log norm\"] (H5adReadOptions::layer = 'log norm')"));
    file.layer("c", counts);
    CHECK(file.error().remedy() == "Give raw counts: layers[\"c\"] (H5adReadOptions::layer = c).");
    H5adReadOptions layer;
    layer.layer = "c";
    CHECK(read_all(file.path, layer).dense == counts);
    layer.layer = "log norm";
    CHECK(read_all(file.path, layer).dense == reduced(counts));
  }
  // The usual layout: X and its counts cut to some genes, raw with all of them. All genes are worth an
  // inverse.
  const H5Case cut("lognorm_X_counts_raw");
  {
    H5Edit file = cut.edit();
    Dense some(cells * 20);
    for (std::size_t i = 0; i < some.size(); ++i) some[i] = std::sin(static_cast<double>(i));
    file.put("X", some, -1, {cells, 20});
    file.attribute("X", "encoding-type", std::string("array"));
    put_matrix(file, "raw/X", logs, Form::csr, H5T_NATIVE_FLOAT);
    if (!file.has("layers")) file.group("layers");
    for (double& v : some) v = 2;
    file.put("layers/counts", some, -1, {cells, 20});
    file.attribute("layers/counts", "encoding-type", std::string("array"));
  }
  check_refused(cut.path, "STOFM-3529", ErrorKind::data, "scaled",
                "Counts come back from raw/X (H5adReadOptions::use_raw), log1p values (base e)");
  H5adReadOptions accept;
  accept.accept_noninteger = true;
  const Read as_is = read_all(XCase(root, Form::dense, H5T_NATIVE_DOUBLE).path, accept);
  CHECK(as_is.dense == root);
  CHECK(has_notice(as_is.slice.notices, "STOFM-W3552"));
  CHECK(contains(text_of(read_all(XCase(logs).path, accept).slice.notices, "STOFM-W3552"),
                 "H5adReadOptions::counts_scale = log1p"));
  CHECK_FALSE(has_notice(read_all(XCase(counts).path, accept).slice.notices, "STOFM-W3552"));
}

TEST_CASE("D16 D17: a few fractions or negatives among counts are named with row and gene") {
  const Dense counts = hard_counts();
  Dense fraction = counts, negative = counts;
  fraction[7 * genes + 2] = 1.5;
  negative[7 * genes + 2] = -2;
  const XCase one(fraction);
  const Error error = one.error();
  CHECK(error.code() == "STOFM-3529");
  CHECK(contains(error.found(), "max 20000, 1 of "));
  CHECK(contains(error.found(), "stored values is fractional: row 7, gene \"ENS"));
  CHECK(contains(error.found(), "has 1.5"));
  CHECK(contains(error.remedy(), "H5adReadOptions::counts_scale = linear"));
  CHECK(read_all(one.path, forced(CountsScale::linear)).dense == fraction);
  const XCase below(negative);
  below.layer("raw counts", counts);
  CHECK(below.error().code() == "STOFM-3530");
  CHECK(contains(below.error().where(), "row 7, gene \"ENS"));
  CHECK(contains(below.error().remedy(), "H5adReadOptions::layer = 'raw counts'"));
}

TEST_CASE("D16: only 0 and 1 is said, with the place of more") {
  const Dense counts = hard_counts();
  Dense presence = counts;
  for (double& v : presence) v = v > 0 ? 1 : 0;
  const XCase file(presence);
  CHECK(contains(text_of(read_all(file.path).slice.notices, "STOFM-W3554"), "only 0 and 1"));
  file.layer("counts", counts);
  CHECK(
      contains(text_of(read_all(file.path).slice.notices, "STOFM-W3554"), "H5adReadOptions::layer = counts"));
}

TEST_CASE("D16: a scale that is forced must fit") {
  const Dense counts = hard_counts();
  const Dense logs = normalised(counts, 1e4, log_e);
  const XCase raw(counts), log_file(logs), linear(normalised(counts, 1e4, identity));
  for (const CountsScale scale : {CountsScale::log1p, CountsScale::log2, CountsScale::log10})
    for (const XCase* file : {&raw, &linear}) CHECK(file->error(forced(scale)).code() == "STOFM-3550");
  CHECK(log_file.error(forced(CountsScale::log2)).code() == "STOFM-3550");
  CHECK(log_file.error(forced(CountsScale::counts)).code() == "STOFM-3550");
  CHECK(read_all(log_file.path, forced(CountsScale::log1p)).dense == reduced(counts));
  CHECK(read_all(log_file.path, forced(CountsScale::linear)).dense == logs);
  CHECK(read_all(raw.path, forced(CountsScale::counts)).dense == counts);
  CHECK_THROWS_AS(parse_counts_scale("log"), UsageError);
}

TEST_CASE("D16: cells on different scales are refused, also where the look did not see them") {
  const Dense counts = hard_counts();
  const Dense logs = normalised(counts, 1e4, log_e), linear = normalised(counts, 1e4, identity);
  Dense half = linear;
  std::copy(logs.begin() + 30 * genes, logs.end(), half.begin() + 30 * genes);
  const Error error = XCase(half).error();
  CHECK(error.code() == "STOFM-3529");
  CHECK(contains(error.found(), "some cells with counts times a factor per cell, some with log1p"));
  Dense one = logs;  // a single cell of counts passes the vote of the others, but not the stream
  std::copy_n(counts.begin() + 20 * genes, genes, one.begin() + 20 * genes);
  const XCase file(one);
  CHECK(file.error().code() == "STOFM-3551");
  CHECK(contains(file.error().where(), "row 20"));
}

TEST_CASE("D16: cells without a unit rank as they are, and are counted once however often they are read") {
  const Dense counts = hard_counts();
  Dense logs = normalised(counts, 1e4, log_e);
  for (std::size_t g = 0; g < genes; ++g)
    logs[40 * genes + g] = 1 + 0.5 * std::sin(static_cast<double>(g * g + 1));
  const XCase file(logs, Form::dense, H5T_NATIVE_DOUBLE);
  Read read = read_all(file.path);
  read.slice.read_counts(0, 60);
  CAPTURE(text_of(read.slice.stream_notices(), "STOFM-W3553"));
  CHECK(contains(text_of(read.slice.stream_notices(), "STOFM-W3553"), "1 of 58 cells"));
  for (std::size_t g = 0; g < genes; ++g)
    CHECK(read.dense[40 * genes + g] == doctest::Approx(std::expm1(logs[40 * genes + g])).epsilon(1e-12));
  file.layer("counts", counts);  // not all came out whole, and counts are there: the exact ones are named
  CHECK(contains(file.error().remedy(), "H5adReadOptions::layer = counts"));
}
