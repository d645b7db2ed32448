#include "client/cli/tuning_page.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/page/html.h"
#include "client/page/svg.h"

namespace timbre::cli {
namespace {

using page::Svg;

constexpr page::Plot::Layout kLayout = {.width = 720,
                                        .height = 320,
                                        .left = 70,
                                        .right = 30,
                                        .top = 34,
                                        .bottom = 46};

bool IsChosen(const v1::OperatingPoint& point,
              const v1::TuneResponse& response) {
  return point.nprobe() == response.chosen().nprobe() &&
         point.k_factor() == response.chosen().k_factor();
}

// "nprobe/k_factor"; 0: all rows.
std::string LabelOf(const v1::OperatingPoint& point) {
  return absl::StrFormat("%d/%g", point.nprobe(), point.k_factor());
}

using Measure = float (v1::OperatingPoint::*)() const;

double LogCost(const v1::OperatingPoint& point) {
  return std::log10(std::max(point.microseconds_per_frame(), 1e-3F));
}

// All that are shown: the curve, and what it is compared with.
std::vector<v1::OperatingPoint> Shown(const v1::TuneResponse& response) {
  std::vector<v1::OperatingPoint> points(response.operating_points().begin(),
                                         response.operating_points().end());
  points.push_back(response.exact());
  if (response.has_one_list()) points.push_back(response.one_list());
  return points;
}

page::Plot::Range CostsOf(const std::vector<v1::OperatingPoint>& points) {
  page::Plot::Range costs{.least = 1e300, .most = -1e300};
  for (const v1::OperatingPoint& point : points) {
    costs = {std::min(costs.least, LogCost(point)),
             std::max(costs.most, LogCost(point))};
  }
  const double least = std::floor(costs.least);
  return {least, std::max(std::ceil(costs.most), least + 1)};
}

// One of the two measures over the cost of a frame, whose axis is logarithmic.
class CostChart {
 public:
  CostChart(const char* title, const v1::TuneResponse& response,
            Measure measure)
      : response_(response),
        measure_(measure),
        costs_(CostsOf(Shown(response))),
        plot_(kLayout, title, costs_, Largest(Shown(response), measure)) {}

  std::string Draw() && {
    DrawAxes();
    Svg::Points curve;
    for (const auto& point : response_.operating_points()) {
      curve.emplace_back(X(point), Y(point));
    }
    plot_.svg().Polyline(curve, page::kBlue);
    for (const auto& point : response_.operating_points()) {
      const bool chosen = IsChosen(point, response_);
      DrawPoint(point, LabelOf(point), chosen ? page::kRed : page::kBlue,
                chosen ? 6 : 3);
    }
    if (response_.has_one_list()) {
      DrawPoint(response_.one_list(), "one list, as RVC", page::kGrey, 5);
    }
    DrawPoint(response_.exact(), "exact search", page::kGrey, 5);
    return std::move(plot_).Finish();
  }

 private:
  static double Largest(const std::vector<v1::OperatingPoint>& points,
                        Measure measure) {
    double largest = 1e-6;
    for (const v1::OperatingPoint& point : points) {
      largest = std::max(largest, double{(point.*measure)()});
    }
    return largest;
  }
  double X(const v1::OperatingPoint& point) const {
    return plot_.X(LogCost(point));
  }
  double Y(const v1::OperatingPoint& point) const {
    return plot_.Y((point.*measure_)());
  }

  void DrawAxes() {
    plot_.GridOfY(5, " %", 100);
    for (double x = costs_.least; x <= costs_.most; ++x) {
      plot_.GridOfX(x, absl::StrFormat("%g", std::pow(10, x)));
    }
    plot_.svg().Text(kLayout.width - kLayout.right, kLayout.height - 8,
                     "microseconds of CPU a frame; labels are nprobe/k_factor",
                     Svg::Anchor::kEnd);
  }

  void DrawPoint(const v1::OperatingPoint& point, const std::string& label,
                 const char* color, double radius) {
    const double x = X(point);
    const double y = Y(point);
    plot_.svg().Circle(
        x, y, radius, color,
        absl::StrFormat("%s: recall %.4f, blend error %.4f, %.2f us", label,
                        point.recall(), point.blend_error(),
                        point.microseconds_per_frame()));
    // Labels stay inside of the picture.
    const bool left = x > kLayout.width - 150;
    plot_.svg().Text(x + (left ? -9 : 7), y + (left ? 4 : 14), label,
                     left ? Svg::Anchor::kEnd : Svg::Anchor::kStart, color);
  }

  const v1::TuneResponse& response_;
  const Measure measure_;
  const page::Plot::Range costs_;  // their logarithms, whole numbers
  page::Plot plot_;
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
  page::Page page(title);
  page.Paragraph(absl::StrCat("Version ", response.version(), ", measured on ",
                              response.frames(), " frames. ", note));
  page.Add(CostChart("recall", response, &v1::OperatingPoint::recall).Draw());
  page.Add(CostChart("blend error", response, &v1::OperatingPoint::blend_error)
               .Draw());
  page.Table(TuningTable(response));
  return std::move(page).Finish();
}

}  // namespace timbre::cli
