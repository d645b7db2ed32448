#include "client/load/report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace timbre::load {
namespace {

using nlohmann::json;

double AchievedPerSecond(const GroupResult& group) {
  return group.seconds == 0
             ? 0
             : static_cast<double>(group.answered.size()) / group.seconds;
}

json ToJson(const Percentiles& p) {
  return {{"p50", p.p50}, {"p90", p.p90},    {"p95", p.p95},
          {"p99", p.p99}, {"p99.9", p.p999}, {"max", p.max}};
}

json ToJson(const GroupResult& group) {
  return {
      {"name", group.name},
      {"streams", group.streams},
      {"frames_per_message", group.frames},
      {"seconds", group.seconds},
      {"offered_per_second", group.offered_per_second},
      {"achieved_per_second", AchievedPerSecond(group)},
      {"frames_per_second", AchievedPerSecond(group) * group.frames},
      {"sent", group.sent},
      {"answered", group.answered.size()},
      {"late", group.late},
      {"failed", group.failed},
      {"degraded",
       {{"reduced", group.reduced}, {"passed_through", group.passed_through}}},
      {"checked", group.checked},
      {"wrong", group.wrong},
      {"latency_ms", ToJson(Summarize(SortedLatencies(group)))},
      {"send_lag_ms", ToJson(Summarize(group.lag_ms))}};
}

json ToJson(const std::vector<ServerHistogram>& histograms) {
  json all = json::array();
  for (const ServerHistogram& h : histograms) {
    all.push_back({{"labels", h.labels},
                   {"count", h.count},
                   {"mean_ms", 1e3 * h.sum / h.count},
                   {"p50_ms", 1e3 * h.Quantile(0.5)},
                   {"p99_ms", 1e3 * h.Quantile(0.99)}});
  }
  return all;
}

json ToJson(const ServerSide& server) {
  return {{"cpu_cores", server.cpu_cores},
          {"resident_bytes", server.resident_bytes},
          {"blend", ToJson(server.blend)},
          {"search", ToJson(server.search)}};
}

void AppendPercentiles(std::string& out, const std::string& who,
                       const Percentiles& p) {
  absl::StrAppendFormat(&out, "  %-22s %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f\n",
                        who, p.p50, p.p90, p.p95, p.p99, p.p999, p.max);
}

void AppendGroup(std::string& out, const GroupResult& group) {
  const double rate = AchievedPerSecond(group);
  absl::StrAppendFormat(
      &out, "%s: %d streams, %d frames a message, %.0f s measured\n",
      group.name, group.streams, group.frames, group.seconds);
  if (group.offered_per_second > 0) {
    absl::StrAppendFormat(&out, "  offered %.1f messages/s, ",
                          group.offered_per_second);
  } else {
    absl::StrAppend(&out, "  closed loop, ");
  }
  absl::StrAppendFormat(
      &out,
      "answered %.1f messages/s, %.0f frames/s\n"
      "  late %d, failed %d, degraded %d (%d passed through); %d answers "
      "checked, %d wrong\n",
      rate, rate * group.frames, group.late, group.failures(),
      group.reduced + group.passed_through, group.passed_through, group.checked,
      group.wrong);
  for (const auto& [status, count] : group.failed) {
    const auto why = group.explained.find(status);
    absl::StrAppendFormat(&out, "    %d x %s%s\n", count, status,
                          why == group.explained.end()
                              ? ""
                              : absl::StrCat(": ", why->second.message()));
  }
  absl::StrAppendFormat(&out, "  %-22s %8s %8s %8s %8s %8s %8s\n",
                        "milliseconds", "p50", "p90", "p95", "p99", "p99.9",
                        "max");
  AppendPercentiles(out, "answered after", Summarize(SortedLatencies(group)));
  AppendPercentiles(out, "sent after (generator)", Summarize(group.lag_ms));
}

void AppendHistograms(std::string& out, const std::string& what,
                      const std::vector<ServerHistogram>& histograms) {
  for (const ServerHistogram& h : histograms) {
    absl::StrAppendFormat(
        &out, "  %-22s p50 %.2f, p99 %.2f, mean %.2f ms of %.0f messages\n",
        absl::StrCat(what, " ", h.labels), 1e3 * h.Quantile(0.5),
        1e3 * h.Quantile(0.99), 1e3 * h.sum / h.count, h.count);
  }
}

void AppendServer(std::string& out, const ServerSide& server) {
  absl::StrAppendFormat(&out,
                        "the server's own figures: %.2f cores, %.0f MB "
                        "resident\n",
                        server.cpu_cores, server.resident_bytes / 1e6);
  AppendHistograms(out, "Blend", server.blend);
  AppendHistograms(out, "Search", server.search);
}

}  // namespace

std::string ToText(const Report& report) {
  std::string out;
  for (const Phase& phase : report.phases) {
    absl::StrAppend(&out, "== ", phase.name, "\n");
    for (const GroupResult& group : phase.groups) AppendGroup(out, group);
    if (phase.server) AppendServer(out, *phase.server);
    absl::StrAppendFormat(&out, "the generator: %.2f cores\n",
                          phase.generator_cores);
    for (const std::string& note : phase.notes) {
      absl::StrAppend(&out, "note: ", note, "\n");
    }
  }
  if (report.capacity) {
    absl::StrAppend(&out, "capacity: ", *report.capacity, " streams\n");
  }
  return out;
}

absl::Status CheckAnswered(const Report& report) {
  for (const Phase& phase : report.phases) {
    for (const GroupResult& group : phase.groups) {
      if (!group.answered.empty()) continue;
      if (!group.explained.empty()) return group.explained.begin()->second;
      return absl::DeadlineExceededError(
          absl::StrCat(phase.name, ": no message was answered"));
    }
    if (report.capacity) break;
  }
  return absl::OkStatus();
}

json ToJson(const Report& report) {
  json phases = json::array();
  for (const Phase& phase : report.phases) {
    json groups = json::array();
    for (const GroupResult& group : phase.groups) {
      groups.push_back(ToJson(group));
    }
    phases.push_back({{"name", phase.name},
                      {"groups", groups},
                      {"server", phase.server ? ToJson(*phase.server) : json()},
                      {"generator_cores", phase.generator_cores},
                      {"notes", phase.notes}});
  }
  json all = {{"scenario", report.scenario},
              {"command", report.command},
              {"server_version", report.server_version},
              {"simd_level", report.simd_level},
              {"phases", phases}};
  if (report.capacity) all["capacity_streams"] = *report.capacity;
  return all;
}

}  // namespace timbre::load
