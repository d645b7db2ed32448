// The report as a page.
#include "client/page/html.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/load/report.h"
#include "client/page/svg.h"

namespace timbre::load {
namespace {

struct Line {
  std::string name;
  page::Svg::Points points;
};

// `ticks`: labels, by x.
std::string Chart(const std::string& title, const std::vector<Line>& lines,
                  const std::vector<std::pair<double, std::string>>& ticks) {
  page::Plot::Range range{.least = 1e300, .most = -1e300};
  double most = 1e-9;
  for (const Line& line : lines) {
    for (const auto& [x, y] : line.points) {
      range = {std::min(range.least, x), std::max(range.most, x)};
      most = std::max(most, y);
    }
  }
  const page::Plot::Layout layout;
  page::Plot plot(layout, title, range, most);
  plot.GridOfY(4);
  for (const auto& [x, label] : ticks) plot.LabelX(x, label);
  for (size_t i = 0; i < lines.size(); ++i) {
    page::Svg::Points drawn;
    for (const auto& [x, y] : lines[i].points) {
      drawn.emplace_back(plot.X(x), plot.Y(y));
    }
    plot.svg().Polyline(drawn, page::ColorOf(i));
    plot.svg().Text(layout.width - 24,
                    layout.top + 14 + 16.0 * static_cast<double>(i),
                    lines[i].name, page::Svg::Anchor::kEnd, page::ColorOf(i));
  }
  return std::move(plot).Finish();
}

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
  return Chart("latency in ms, by share of the messages", lines,
               {{0, "min"},
                {std::log10(2), "50 %"},
                {1, "90 %"},
                {2, "99 %"},
                {3, "99.9 %"}});
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
               {p50, p99}, {{0, "0 s"}, {last, absl::StrCat(last, " s")}});
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
  return Chart("latency in ms, by streams", {p50, p99}, ticks);
}

}  // namespace

std::string ToHtml(const Report& report) {
  page::Page page(absl::StrCat("timbre load ", report.scenario));
  page.Code(report.command);
  page.Paragraph(
      absl::StrCat("timbred ", report.server_version, ", ", report.simd_level));
  if (report.phases.size() > 2) page.Add(StepChart(report));
  for (const Phase& phase : report.phases) {
    page.Heading(phase.name);
    page.Add(TailChart(phase));
    for (const GroupResult& group : phase.groups) page.Add(TimeChart(group));
  }
  page.Heading("Figures");
  page.Preformatted(ToText(report));
  return std::move(page).Finish();
}

}  // namespace timbre::load
