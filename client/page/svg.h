// Pictures on a page, and plots.
#ifndef TIMBRE_CLIENT_PAGE_SVG_H_
#define TIMBRE_CLIENT_PAGE_SVG_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace timbre::page {

inline constexpr char kBlue[] = "#1f77b4";
inline constexpr char kRed[] = "#d62728";
inline constexpr char kGrey[] = "#777";
// Of the `i`th line of a plot.
const char* ColorOf(size_t i);

// Pixels, from the upper left corner. Texts are escaped here. Not thread-safe.
class Svg {
 public:
  using Points = std::vector<std::pair<double, double>>;
  enum class Anchor { kStart, kMiddle, kEnd };
  static constexpr char kBlack[] = "";

  Svg(double width, double height);

  void Text(double x, double y, absl::string_view text,
            Anchor anchor = Anchor::kStart, absl::string_view color = kBlack);
  void GridLine(double x1, double y1, double x2, double y2);
  void Polyline(const Points& points, absl::string_view color);
  void Bar(double x, double y, double width, double height,
           absl::string_view color);
  // `title` is shown to who points at it.
  void Circle(double x, double y, double radius, absl::string_view color,
              absl::string_view title);

  // The whole element. Once.
  std::string Finish() &&;

 private:
  std::string svg_;
};

// A picture with an x axis of any range and a y axis from 0 on, both linear.
class Plot {
 public:
  struct Layout {
    double width = 640;
    double height = 260;
    double left = 60;  // what the axes leave free
    double right = 20;
    double top = 30;
    double bottom = 40;
  };
  struct Range {
    double least = 0;
    double most = 1;
  };

  Plot(const Layout& layout, absl::string_view title, Range x, double most_y);

  double X(double x) const;
  double Y(double y) const;
  // `steps` lines above that of 0, with their values times `scale`, and `unit`.
  void GridOfY(int steps, absl::string_view unit = "", double scale = 1);
  void LabelX(double x, absl::string_view label);
  void GridOfX(double x, absl::string_view label);  // a label with a line

  Svg& svg() { return svg_; }
  std::string Finish() && { return std::move(svg_).Finish(); }

 private:
  const Layout layout_;
  const Range x_;
  const double most_y_;
  Svg svg_;
};

}  // namespace timbre::page

#endif  // TIMBRE_CLIENT_PAGE_SVG_H_
