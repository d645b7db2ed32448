#include "server/metrics/scraped_gauges.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace timbre {
namespace {

prometheus::MetricFamily Single(const char* name, const char* help,
                                prometheus::MetricType type, double value) {
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.push_back(std::move(metric));
  return family;
}

prometheus::MetricFamily Closings(const ScrapedValues& now) {
  constexpr std::array<const char*, kCloseReasons> kNames = {
      "budget", "idle", "superseded", "deleted", "damaged"};
  prometheus::MetricFamily family;
  family.name = "timbre_closes_total";
  family.help =
      "Versions that were closed: for others (budget), unused "
      "(--close_idle_after), not active any more, deleted, damaged.";
  family.type = prometheus::MetricType::Counter;
  for (size_t i = 0; i < kCloseReasons; ++i) {
    prometheus::ClientMetric metric;
    metric.label.push_back({"reason", kNames[i]});
    metric.counter.value = static_cast<double>(now.closings[i]);
    family.metric.push_back(std::move(metric));
  }
  return family;
}

double CpuSeconds() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) +
           static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double OpenFiles() {
  std::error_code error;
  const std::filesystem::directory_iterator it("/proc/self/fd", error);
  return error ? 0 : static_cast<double>(std::distance(begin(it), end(it)));
}

}  // namespace

std::vector<prometheus::MetricFamily> ScrapedGauges::Collect() const {
  const ScrapedValues now = read_();
  const auto gauge = prometheus::MetricType::Gauge;
  return {
      Single("timbre_speakers", "Voices with a version.", gauge, now.speakers),
      Single("timbre_speakers_loaded", "Voices with an open version.", gauge,
             now.speakers_loaded),
      Single("timbre_versions_damaged", "Versions whose files are damaged.",
             gauge, now.versions_damaged),
      Single("timbre_resident_bytes",
             "Memory of open versions besides the mapped frames.", gauge,
             now.resident_bytes),
      Single("timbre_held_bytes",
             "The part of it that streams and other calls hold: what cannot be "
             "closed.",
             gauge, now.held_bytes),
      Single("timbre_reserved_bytes",
             "The same, at most, of versions that are being opened.", gauge,
             now.reserved_bytes),
      Single("timbre_max_resident_bytes",
             "What timbre_resident_bytes and timbre_reserved_bytes may be "
             "together (--max_resident_bytes); 0: unlimited.",
             gauge, now.max_resident_bytes),
      Single("timbre_versions_open", "Versions that are open.", gauge,
             now.versions_open),
      Single("timbre_openings_waiting",
             "Openings that wait for a thread, their turn or room.", gauge,
             now.openings_waiting),
      Single("timbre_last_closed_age_seconds",
             "How long nobody had held the version that was closed last to "
             "make room; +Inf: none was.",
             gauge, now.last_closed_age),
      Closings(now),
      Single("timbre_queued_frames",
             "Frames of messages that wait for their answers, about.", gauge,
             now.queued_frames),
      Single("timbre_queued_bytes",
             "Bytes of messages that wait for their answers.", gauge,
             now.queued_bytes),
      Single("timbre_connections", "Connections that are open.", gauge,
             now.connections),
      Single("timbre_log_lines_dropped_total",
             "Lines of the log that nobody read, or of which there were too "
             "many.",
             prometheus::MetricType::Counter, now.log_lines_dropped),
      Single(
          "timbre_scrub_oldest_check_age_seconds",
          "Since the files of some version were compared with their digests, "
          "or it came; the longest.",
          gauge, now.scrub_oldest_check_age_seconds),
      Single("timbre_scrub_bytes_total",
             "Bytes of stored files that were compared with their digests.",
             prometheus::MetricType::Counter, now.scrub_bytes),
      Single("timbre_scrub_damaged_total",
             "Versions that were found to be damaged by that.",
             prometheus::MetricType::Counter, now.scrub_damaged)};
}

std::vector<prometheus::MetricFamily> ProcessGauges::Collect() const {
  return {Single("process_cpu_seconds_total", "User and system CPU time.",
                 prometheus::MetricType::Counter, CpuSeconds()),
          Single("process_resident_memory_bytes", "Resident memory.",
                 prometheus::MetricType::Gauge, ResidentBytes()),
          Single("process_open_fds", "Open file descriptors.",
                 prometheus::MetricType::Gauge, OpenFiles())};
}

}  // namespace timbre
