#include "client/page/svg.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/page/html.h"

namespace timbre::page {
namespace {

constexpr const char* kColors[] = {kBlue, kRed, "#2ca02c", "#9467bd"};

// A tenth of a pixel is enough.
double Tenths(double pixels) { return std::round(pixels * 10) / 10; }

const char* NameOf(Svg::Anchor anchor) {
  switch (anchor) {
    case Svg::Anchor::kStart:
      return "start";
    case Svg::Anchor::kMiddle:
      return "middle";
    case Svg::Anchor::kEnd:
      break;
  }
  return "end";
}

}  // namespace

const char* ColorOf(size_t i) { return kColors[i % std::size(kColors)]; }

Svg::Svg(double width, double height)
    : svg_(absl::StrFormat("<svg width='%g' height='%g' role='img'>", width,
                           height)) {}

void Svg::Text(double x, double y, absl::string_view text, Anchor anchor,
               absl::string_view color) {
  absl::StrAppendFormat(&svg_, "<text x='%g' y='%g'", Tenths(x), Tenths(y));
  if (!color.empty()) absl::StrAppend(&svg_, " fill='", color, "'");
  if (anchor != Anchor::kStart) {
    absl::StrAppend(&svg_, " text-anchor='", NameOf(anchor), "'");
  }
  absl::StrAppend(&svg_, ">", EscapeHtml(text), "</text>");
}

void Svg::GridLine(double x1, double y1, double x2, double y2) {
  absl::StrAppendFormat(&svg_,
                        "<line x1='%g' x2='%g' y1='%g' y2='%g' stroke='#ddd'/>",
                        Tenths(x1), Tenths(x2), Tenths(y1), Tenths(y2));
}

void Svg::Polyline(const Points& points, absl::string_view color) {
  absl::StrAppend(&svg_, "<polyline fill='none' stroke-width='1.5' stroke='",
                  color, "' points='");
  for (const auto& [x, y] : points) {
    absl::StrAppendFormat(&svg_, "%g,%g ", Tenths(x), Tenths(y));
  }
  svg_ += "'/>";
}

void Svg::Bar(double x, double y, double width, double height,
              absl::string_view color) {
  absl::StrAppendFormat(
      &svg_, "<rect x='%g' y='%g' width='%g' height='%g' fill='%s'/>",
      Tenths(x), Tenths(y), Tenths(width), Tenths(height), color);
}

void Svg::Circle(double x, double y, double radius, absl::string_view color,
                 absl::string_view title) {
  absl::StrAppendFormat(&svg_,
                        "<circle cx='%g' cy='%g' r='%g' fill='%s'><title>%s"
                        "</title></circle>",
                        Tenths(x), Tenths(y), radius, color, EscapeHtml(title));
}

std::string Svg::Finish() && { return std::move(svg_) + "</svg>\n"; }

Plot::Plot(const Layout& layout, absl::string_view title, Range x,
           double most_y)
    : layout_(layout),
      x_(x),
      most_y_(most_y),
      svg_(layout.width, layout.height) {
  svg_.Text(layout.left, layout.top / 2 + 1, title);
}

double Plot::X(double x) const {
  const double span = std::max(x_.most - x_.least, 1e-9);
  return layout_.left +
         (x - x_.least) / span * (layout_.width - layout_.left - layout_.right);
}

double Plot::Y(double y) const {
  const double bottom = layout_.height - layout_.bottom;
  return bottom - y / most_y_ * (bottom - layout_.top);
}

void Plot::GridOfY(int steps, absl::string_view unit, double scale) {
  for (int i = 0; i <= steps; ++i) {
    const double y = most_y_ * i / steps;
    svg_.GridLine(layout_.left, Y(y), layout_.width - layout_.right, Y(y));
    svg_.Text(layout_.left - 6, Y(y) + 4,
              absl::StrCat(absl::StrFormat("%.3g", y * scale), unit),
              Svg::Anchor::kEnd);
  }
}

void Plot::LabelX(double x, absl::string_view label) {
  svg_.Text(X(x), layout_.height - layout_.bottom + 18, label,
            Svg::Anchor::kMiddle);
}

void Plot::GridOfX(double x, absl::string_view label) {
  svg_.GridLine(X(x), layout_.top, X(x), layout_.height - layout_.bottom);
  LabelX(x, label);
}

}  // namespace timbre::page
