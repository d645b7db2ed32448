// The report as a page.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "client/load/report.h"

namespace timbre::load {
namespace {

constexpr double kWidth = 640;
constexpr double kHeight = 260;
constexpr double kLeft = 60;
constexpr double kBottom = 40;
constexpr double kTop = 30;
constexpr const char* kColors[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd"};

constexpr char kStyle[] =
    "body{font:15px sans-serif;max-width:60em;margin:2em auto;color:#222}"
    "pre{background:#f4f4f4;padding:1em;overflow-x:auto}"
    "svg{display:block;margin:1em 0}text{font:12px sans-serif}"
    "h2{margin-top:2em}";

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

// Lines over x as given and y from 0 on, both linear; `x_ticks` are labels at
// x positions.
class Chart {
 public:
  Chart(std::string title, std::vector<Line> lines,
        std::vector<std::pair<double, std::string>> x_ticks)
      : title_(std::move(title)),
        lines_(std::move(lines)),
        ticks_(std::move(x_ticks)) {
    for (const Line& line : lines_) {
      for (const auto& [x, y] : line.points) {
        most_ = std::max(most_, y);
        least_x_ = std::min(least_x_, x);
        most_x_ = std::max(most_x_, x);
      }
    }
  }

  std::string Svg() const {
    std::string svg = absl::StrFormat(
        "<svg width='%g' height='%g' role='img'><text x='%g' y='16'>%s</text>",
        kWidth, kHeight, kLeft, EscapeHtml(title_));
    AppendAxes(svg);
    for (size_t i = 0; i < lines_.size(); ++i) AppendLine(svg, i);
    return svg + "</svg>\n";
  }

 private:
  double X(double x) const {
    const double span = std::max(most_x_ - least_x_, 1e-9);
    return kLeft + (x - least_x_) / span * (kWidth - kLeft - 20);
  }
  double Y(double y) const {
    return kHeight - kBottom - y / most_ * (kHeight - kBottom - kTop);
  }

  void AppendAxes(std::string& svg) const {
    for (int i = 0; i <= 4; ++i) {
      const double y = most_ * i / 4;
      absl::StrAppendFormat(&svg,
                            "<line x1='%g' x2='%g' y1='%.1f' y2='%.1f' "
                            "stroke='#ddd'/><text x='%g' y='%.1f' "
                            "text-anchor='end'>%.3g</text>",
                            kLeft, kWidth - 20, Y(y), Y(y), kLeft - 6, Y(y) + 4,
                            y);
    }
    for (const auto& [x, label] : ticks_) {
      absl::StrAppendFormat(
          &svg, "<text x='%.1f' y='%g' text-anchor='middle'>%s</text>", X(x),
          kHeight - kBottom + 18, EscapeHtml(label));
    }
  }

  void AppendLine(std::string& svg, size_t i) const {
    const char* const color = kColors[i % std::size(kColors)];
    absl::StrAppendFormat(
        &svg, "<polyline fill='none' stroke-width='1.5' stroke='%s' points='",
        color);
    for (const auto& [x, y] : lines_[i].points) {
      absl::StrAppendFormat(&svg, "%.1f,%.1f ", X(x), Y(y));
    }
    absl::StrAppendFormat(
        &svg, "'/><text x='%g' y='%g' fill='%s' text-anchor='end'>%s</text>",
        kWidth - 24, kTop + 14 + 16.0 * static_cast<double>(i), color,
        EscapeHtml(lines_[i].name));
  }

  const std::string title_;
  const std::vector<Line> lines_;
  const std::vector<std::pair<double, std::string>> ticks_;
  double most_ = 1e-9;
  double least_x_ = 1e300;
  double most_x_ = -1e300;
};

// Latency over the share of messages, the tail stretched: x = -log10(1 - p).
std::string TailChart(const Phase& phase) {
  std::vector<Line> lines;
  for (const GroupResult& group : phase.groups) {
    const std::vector<float> sorted = SortedLatencies(group);
    if (sorted.empty()) continue;
    const double end = std::min(4.0, std::log10(sorted.size()));
    Line line{group.name, {}};
    for (int i = 0; i <= 100; ++i) {
      const double x = end * i / 100;
      line.points.emplace_back(x, Quantile(sorted, 1 - std::pow(10, -x)));
    }
    lines.push_back(std::move(line));
  }
  return Chart("latency in ms, by share of the messages", std::move(lines),
               {{0, "min"},
                {std::log10(2), "50 %"},
                {1, "90 %"},
                {2, "99 %"},
                {3, "99.9 %"}})
      .Svg();
}

// p50 and p99 of every second.
std::string TimeChart(const GroupResult& group) {
  const size_t seconds = static_cast<size_t>(std::ceil(group.seconds));
  std::vector<std::vector<float>> by_second(std::max<size_t>(1, seconds));
  for (const Sample& sample : group.answered) {
    const auto second = static_cast<size_t>(std::max(0.0F, sample.at_seconds));
    by_second[std::min(second, by_second.size() - 1)].push_back(
        sample.latency_ms);
  }
  Line p50{"p50", {}};
  Line p99{"p99", {}};
  for (size_t i = 0; i < by_second.size(); ++i) {
    std::sort(by_second[i].begin(), by_second[i].end());
    const auto x = static_cast<double>(i);
    p50.points.emplace_back(x, Quantile(by_second[i], 0.5));
    p99.points.emplace_back(x, Quantile(by_second[i], 0.99));
  }
  const auto last = static_cast<double>(by_second.size() - 1);
  return Chart(absl::StrCat(group.name, ": latency in ms, second by second"),
               {p50, p99}, {{0, "0 s"}, {last, absl::StrCat(last, " s")}})
      .Svg();
}

// p50 and p99 of the first group over the phases: of scenario step.
std::string StepChart(const Report& report) {
  Line p50{"p50", {}};
  Line p99{"p99", {}};
  std::vector<std::pair<double, std::string>> ticks;
  for (const Phase& phase : report.phases) {
    const GroupResult& group = phase.groups.front();
    const Percentiles p = Summarize(SortedLatencies(group));
    p50.points.emplace_back(group.streams, p.p50);
    p99.points.emplace_back(group.streams, p.p99);
    ticks.emplace_back(group.streams, absl::StrCat(group.streams));
  }
  return Chart("latency in ms, by streams", {p50, p99}, ticks).Svg();
}

}  // namespace

std::string EscapeHtml(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string ToHtml(const Report& report) {
  std::string page = absl::StrCat(
      "<!doctype html><html lang='en'><meta charset='utf-8'><title>timbre "
      "load ",
      EscapeHtml(report.scenario), "</title><style>", kStyle, "</style>\n<h1>",
      "timbre load ", EscapeHtml(report.scenario), "</h1>\n<p><code>",
      EscapeHtml(report.command), "</code></p><p>timbred ",
      EscapeHtml(report.server_version), ", ", EscapeHtml(report.simd_level),
      "</p>\n");
  if (report.phases.size() > 2) absl::StrAppend(&page, StepChart(report));
  for (const Phase& phase : report.phases) {
    absl::StrAppend(&page, "<h2>", EscapeHtml(phase.name), "</h2>\n",
                    TailChart(phase));
    for (const GroupResult& group : phase.groups) {
      absl::StrAppend(&page, TimeChart(group));
    }
  }
  return absl::StrCat(page, "<h2>Figures</h2><pre>", EscapeHtml(ToText(report)),
                      "</pre></html>\n");
}

}  // namespace timbre::load
