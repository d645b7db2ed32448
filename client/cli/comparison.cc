#include "client/cli/comparison.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/report.h"

namespace timbre::cli {
namespace {

struct Column {
  const char* title;
  double Contender::*value;
  double scale;
  int digits;
};

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
  constexpr int kRow = 26;
  constexpr double kWidth = 360;
  double largest = 1e-9;
  for (const Contender& each : contenders) {
    largest = std::max(largest, each.*column.value * column.scale);
  }
  std::string svg =
      absl::StrFormat("<h3>%s</h3><svg width=\"760\" height=\"%d\">",
                      column.title, kRow * static_cast<int>(contenders.size()));
  int y = 0;
  for (const Contender& each : contenders) {
    const double width = each.*column.value * column.scale / largest * kWidth;
    absl::StrAppendFormat(
        &svg,
        "<text x=\"0\" y=\"%d\">%s</text>"
        "<rect x=\"300\" y=\"%d\" width=\"%.1f\" height=\"18\" "
        "fill=\"%s\"/><text x=\"%.1f\" y=\"%d\">%s</text>",
        y + 15, load::EscapeHtml(each.name), y + 2, width,
        y == 0 ? "#999" : "#1f77b4", 306 + width, y + 15, Shown(column, each));
    y += kRow;
  }
  return svg + "</svg>";
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
  std::string page = absl::StrCat(
      "<!doctype html><meta charset=\"utf-8\"><title>", load::EscapeHtml(title),
      "</title><style>body{font:15px sans-serif;max-width:60em;margin:2em "
      "auto}text{font:13px sans-serif}td,th{padding:4px 12px;text-align:right}"
      "td:first-child{text-align:left}</style><h1>",
      load::EscapeHtml(title), "</h1><table><tr><th></th>");
  for (const Column& column : kColumns) {
    absl::StrAppend(&page, "<th>", column.title, "</th>");
  }
  for (const Contender& each : contenders) {
    absl::StrAppend(&page, "</tr><tr><td>", load::EscapeHtml(each.name),
                    "</td>");
    for (const Column& column : kColumns) {
      absl::StrAppend(&page, "<td>", Shown(column, each), "</td>");
    }
  }
  page += "</tr></table>";
  for (const Column& column : kColumns) page += Bars(column, contenders);
  return page;
}

}  // namespace timbre::cli
