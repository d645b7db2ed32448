#include "client/cli/tuning_page.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/report.h"

namespace timbre::cli {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 320;
constexpr double kLeft = 70;
constexpr double kRight = 30;
constexpr double kTop = 34;
constexpr double kBottom = 46;
constexpr char kBlue[] = "#1f77b4";
constexpr char kRed[] = "#d62728";
constexpr char kGrey[] = "#777";

bool IsChosen(const v1::OperatingPoint& point,
              const v1::TuneResponse& response) {
  return point.nprobe() == response.chosen().nprobe() &&
         point.k_factor() == response.chosen().k_factor();
}

// "nprobe/k_factor"; 0: all rows.
std::string LabelOf(const v1::OperatingPoint& point) {
  return absl::StrFormat("%d/%g", point.nprobe(), point.k_factor());
}

// One of the two measures over the cost of a frame, whose axis is logarithmic.
class CostChart {
 public:
  CostChart(std::string title, const v1::TuneResponse& response,
            float (v1::OperatingPoint::*value)() const)
      : title_(std::move(title)), response_(response), value_(value) {
    for (const auto& point : response.operating_points()) Fit(point);
    Fit(response.exact());
    if (response.has_one_list()) Fit(response.one_list());
    least_ = std::floor(least_);
    most_ = std::max(std::ceil(most_), least_ + 1);
    top_ = std::max(top_, 1e-6);
  }

  std::string Svg() const {
    std::string svg = absl::StrFormat(
        "<svg width='%g' height='%g' role='img'><text x='%g' y='18'>%s</text>",
        kWidth, kHeight, kLeft, load::EscapeHtml(title_));
    AppendAxes(svg);
    absl::StrAppend(&svg, "<polyline fill='none' stroke-width='1.5' stroke='",
                    kBlue, "' points='");
    for (const auto& point : response_.operating_points()) {
      absl::StrAppendFormat(&svg, "%.1f,%.1f ", X(point), Y(point));
    }
    absl::StrAppend(&svg, "'/>");
    for (const auto& point : response_.operating_points()) {
      const bool chosen = IsChosen(point, response_);
      AppendPoint(svg, point, LabelOf(point), chosen ? kRed : kBlue,
                  chosen ? 6 : 3);
    }
    if (response_.has_one_list()) {
      AppendPoint(svg, response_.one_list(), "one list, as RVC", kGrey, 5);
    }
    AppendPoint(svg, response_.exact(), "exact search", kGrey, 5);
    return svg + "</svg>\n";
  }

 private:
  static double LogCost(const v1::OperatingPoint& point) {
    return std::log10(std::max(point.microseconds_per_frame(), 1e-3F));
  }
  void Fit(const v1::OperatingPoint& point) {
    least_ = std::min(least_, LogCost(point));
    most_ = std::max(most_, LogCost(point));
    top_ = std::max(top_, double{(point.*value_)()});
  }
  double AtCost(double log_cost) const {
    return kLeft +
           (log_cost - least_) / (most_ - least_) * (kWidth - kLeft - kRight);
  }
  double X(const v1::OperatingPoint& point) const {
    return AtCost(LogCost(point));
  }
  double AtValue(double value) const {
    return kHeight - kBottom - value / top_ * (kHeight - kBottom - kTop);
  }
  double Y(const v1::OperatingPoint& point) const {
    return AtValue((point.*value_)());
  }

  void AppendAxes(std::string& svg) const {
    for (int i = 0; i <= 5; ++i) {
      const double value = top_ * i / 5;
      absl::StrAppendFormat(
          &svg,
          "<line x1='%g' x2='%g' y1='%.1f' y2='%.1f' stroke='#ddd'/>"
          "<text x='%g' y='%.1f' text-anchor='end'>%.3g %%</text>",
          kLeft, kWidth - kRight, AtValue(value), AtValue(value), kLeft - 6,
          AtValue(value) + 4, 100 * value);
    }
    for (double x = least_; x <= most_; ++x) {
      absl::StrAppendFormat(
          &svg,
          "<line x1='%.1f' x2='%.1f' y1='%g' y2='%g' stroke='#ddd'/>"
          "<text x='%.1f' y='%g' text-anchor='middle'>%g</text>",
          AtCost(x), AtCost(x), kTop, kHeight - kBottom, AtCost(x),
          kHeight - kBottom + 18, std::pow(10, x));
    }
    absl::StrAppendFormat(&svg,
                          "<text x='%g' y='%g' text-anchor='end'>microseconds "
                          "of CPU a frame; labels are nprobe/k_factor</text>",
                          kWidth - kRight, kHeight - 8);
  }

  void AppendPoint(std::string& svg, const v1::OperatingPoint& point,
                   const std::string& label, const char* color,
                   double radius) const {
    // Labels stay inside of the picture.
    const bool left = X(point) > kWidth - 150;
    absl::StrAppendFormat(
        &svg,
        "<circle cx='%.1f' cy='%.1f' r='%g' fill='%s'><title>%s: "
        "recall %.4f, blend error %.4f, %.2f us</title></circle>"
        "<text x='%.1f' y='%.1f' fill='%s' text-anchor='%s'>%s</text>",
        X(point), Y(point), radius, color, load::EscapeHtml(label),
        point.recall(), point.blend_error(), point.microseconds_per_frame(),
        X(point) + (left ? -9 : 7), Y(point) + (left ? 4 : 14), color,
        left ? "end" : "start", load::EscapeHtml(label));
  }

  const std::string title_;
  const v1::TuneResponse& response_;
  float (v1::OperatingPoint::*const value_)() const;
  double least_ = 1e300;  // of the logarithms of costs
  double most_ = -1e300;
  double top_ = 0;
};

std::vector<std::string> Row(const v1::OperatingPoint& point,
                             const std::string& note) {
  const bool exact = point.nprobe() == 0;
  const bool all = point.k_factor() == 0;  // all rows that are looked at
  return {exact ? "all" : absl::StrCat(point.nprobe()),
          all ? "all" : absl::StrFormat("%g", point.k_factor()),
          absl::StrFormat("%.4f", point.recall()),
          absl::StrFormat("%.4f", point.blend_error()),
          absl::StrFormat("%.2f", point.microseconds_per_frame()),
          note};
}

}  // namespace

std::vector<std::vector<std::string>> TuningTable(
    const v1::TuneResponse& response) {
  std::vector<std::vector<std::string>> rows = {
      {"nprobe", "k_factor", absl::StrCat("recall@", response.chosen().k()),
       "blend error", "us a frame", ""}};
  for (const auto& point : response.operating_points()) {
    rows.push_back(Row(point, IsChosen(point, response) ? "<- chosen" : ""));
  }
  if (response.has_one_list()) {
    rows.push_back(
        Row(response.one_list(), "one list, all of it: as RVC searches"));
  }
  rows.push_back(Row(response.exact(), "exact search"));
  return rows;
}

std::string TuningHtml(const std::string& title, const std::string& note,
                       const v1::TuneResponse& response) {
  std::string page = absl::StrCat(
      "<!doctype html><html lang='en'><meta charset='utf-8'><title>",
      load::EscapeHtml(title),
      "</title><style>body{font:15px sans-serif;max-width:60em;margin:2em "
      "auto;color:#222}svg{display:block;margin:1em 0}text{font:12px "
      "sans-serif}td,th{padding:3px 12px;text-align:right}</style>\n<h1>",
      load::EscapeHtml(title), "</h1>\n<p>Version ", response.version(),
      ", measured on ", response.frames(), " frames. ", load::EscapeHtml(note),
      "</p>\n",
      CostChart("recall", response, &v1::OperatingPoint::recall).Svg(),
      CostChart("blend error", response, &v1::OperatingPoint::blend_error)
          .Svg(),
      "<table>");
  for (const auto& row : TuningTable(response)) {
    absl::StrAppend(&page, "<tr>");
    for (const std::string& cell : row) {
      absl::StrAppend(&page, "<td>", load::EscapeHtml(cell), "</td>");
    }
    absl::StrAppend(&page, "</tr>\n");
  }
  return page + "</table></html>\n";
}

}  // namespace timbre::cli
