#include "client/cli/comparison.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "client/page/html.h"
#include "client/page/svg.h"

namespace timbre::cli {
namespace {

struct Column {
  const char* title;
  double Contender::*value;
  double scale;
  int digits;
};

constexpr char kStyle[] =
    "h2{font-size:1.17em;margin:1em 0}svg{margin:0}text{font:13px sans-serif}"
    "td,th{padding:4px 12px}td:first-child{text-align:left}";

constexpr Column kColumns[] = {
    {"recall@k, %", &Contender::recall, 100, 1},
    {"blend error, %", &Contender::blend_error, 100, 2},
    {"shift, %", &Contender::shift, 100, 1},
    {"us a frame, blocks of 16", &Contender::block_us, 1, 1},
    {"us a frame, in one piece", &Contender::whole_us, 1, 1},
};

std::string Shown(const Column& column, const Contender& contender) {
  const double value = contender.*column.value * column.scale;
  return absl::StrFormat("%.*f", column.digits, value);
}

// One row of bars per contender.
std::string Bars(const Column& column,
                 const std::vector<Contender>& contenders) {
  constexpr double kRow = 26;
  constexpr double kLongest = 360;
  constexpr double kLeft = 300;  // names to the left of it
  double largest = 1e-9;
  for (const Contender& each : contenders) {
    largest = std::max(largest, each.*column.value * column.scale);
  }
  page::Svg svg(760, kRow * static_cast<double>(contenders.size()));
  double y = 0;
  for (const Contender& each : contenders) {
    const double width = each.*column.value * column.scale / largest * kLongest;
    svg.Text(0, y + 15, each.name);
    svg.Bar(kLeft, y + 2, width, 18, y == 0 ? "#999" : page::kBlue);
    svg.Text(kLeft + 6 + width, y + 15, Shown(column, each));
    y += kRow;
  }
  return std::move(svg).Finish();
}

std::vector<std::vector<std::string>> TableOf(
    const std::vector<Contender>& contenders) {
  std::vector<std::vector<std::string>> rows(1, {""});
  for (const Column& column : kColumns) rows[0].push_back(column.title);
  for (const Contender& each : contenders) {
    rows.push_back({each.name});
    for (const Column& column : kColumns) {
      rows.back().push_back(Shown(column, each));
    }
  }
  return rows;
}

}  // namespace

double MeanRelativeError(const client::FrameMatrix& a,
                         const client::FrameMatrix& b) {
  double sum = 0;
  uint64_t counted = 0;
  for (uint64_t i = 0; i < b.rows; ++i) {
    double difference = 0;
    double norm = 0;
    for (uint32_t j = 0; j < b.columns; ++j) {
      const double d = double{a.row(i)[j]} - b.row(i)[j];
      difference += d * d;
      norm += double{b.row(i)[j]} * b.row(i)[j];
    }
    if (norm == 0) continue;
    sum += std::sqrt(difference / norm);
    ++counted;
  }
  return counted == 0 ? 0 : sum / static_cast<double>(counted);
}

std::string ComparisonHtml(const std::string& title,
                           const std::vector<Contender>& contenders) {
  page::Page page(title, kStyle);
  page.Table(TableOf(contenders), page::Page::FirstRow::kHeading);
  for (const Column& column : kColumns) {
    page.Heading(column.title);
    page.Add(Bars(column, contenders));
  }
  return std::move(page).Finish();
}

}  // namespace timbre::cli
