#include "client/load/server_side.h"

#include <httplib.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::load {
namespace {

constexpr char kBucket[] = "_bucket{";

double Difference(const Scrape& before, const Scrape& after,
                  const std::string& series) {
  const auto now = after.find(series);
  if (now == after.end()) return 0;
  const auto then = before.find(series);
  return now->second - (then == before.end() ? 0 : then->second);
}

std::string WithLabels(const std::string& name, const std::string& labels) {
  return labels.empty() ? name : absl::StrCat(name, "{", labels, "}");
}

// `labels` of a bucket without its bound, which goes to `bound`.
std::string SplitBound(absl::string_view labels, double& bound) {
  std::vector<absl::string_view> others;
  for (absl::string_view label : absl::StrSplit(labels, ',')) {
    if (!absl::ConsumePrefix(&label, "le=\"")) {
      others.push_back(label);
      continue;
    }
    absl::ConsumeSuffix(&label, "\"");
    if (!absl::SimpleAtod(label, &bound)) {
      bound = std::numeric_limits<double>::infinity();
    }
  }
  return absl::StrJoin(others, ",");
}

}  // namespace

Scrape ParseMetrics(const std::string& text) {
  Scrape scrape;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t space = line.rfind(' ');
    double value = 0;
    if (absl::StartsWith(line, "#") || space == absl::string_view::npos ||
        !absl::SimpleAtod(line.substr(space + 1), &value)) {
      continue;
    }
    scrape[std::string(line.substr(0, space))] = value;
  }
  return scrape;
}

absl::StatusOr<std::string> FindMetrics(client::Client& client,
                                        const std::string& server) {
  TIMBRE_ASSIGN_OR_RETURN(const v1::ServerInfo info, client.GetServerInfo());
  if (info.metrics_port() == 0) return std::string();
  const size_t colon = server.rfind(':');
  const bool local =
      absl::StartsWith(server, "unix:") || colon == std::string::npos;
  return absl::StrCat(local ? "127.0.0.1" : server.substr(0, colon), ":",
                      info.metrics_port());
}

absl::StatusOr<Scrape> ReadMetrics(const std::string& host_and_port) {
  httplib::Client http("http://" + host_and_port);
  const auto answer = http.Get("/metrics");
  if (!answer || answer->status != 200) {
    return MakeError(absl::StatusCode::kUnavailable, "NO_METRICS",
                     absl::StrCat("--metrics: nothing answers at http://",
                                  host_and_port, "/metrics"));
  }
  return ParseMetrics(answer->body);
}

double ServerHistogram::Quantile(double share) const {
  const double rank = share * count;
  double lower = 0;
  double below = 0;
  for (const auto& [upper, cumulative] : buckets) {
    if (cumulative >= rank && cumulative > below) {
      if (std::isinf(upper)) return lower;
      return lower + (upper - lower) * (rank - below) / (cumulative - below);
    }
    lower = upper;
    below = cumulative;
  }
  return lower;
}

std::vector<ServerHistogram> Between(const Scrape& before, const Scrape& after,
                                     const std::string& name) {
  std::map<std::string, ServerHistogram> found;
  for (const auto& [series, value] : after) {
    absl::string_view rest = series;
    if (!absl::ConsumePrefix(&rest, absl::StrCat(name, kBucket))) continue;
    absl::ConsumeSuffix(&rest, "}");
    double bound = 0;
    const std::string labels = SplitBound(rest, bound);
    found[labels].buckets.emplace_back(bound,
                                       Difference(before, after, series));
  }
  std::vector<ServerHistogram> histograms;
  for (auto& [labels, histogram] : found) {
    histogram.labels = labels;
    histogram.count =
        Difference(before, after, WithLabels(name + "_count", labels));
    histogram.sum =
        Difference(before, after, WithLabels(name + "_sum", labels));
    std::sort(histogram.buckets.begin(), histogram.buckets.end());
    if (histogram.count > 0) histograms.push_back(std::move(histogram));
  }
  return histograms;
}

}  // namespace timbre::load
