// What a run of the load generator measured.
#ifndef TIMBRE_CLIENT_LOAD_RESULTS_H_
#define TIMBRE_CLIENT_LOAD_RESULTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace timbre::load {

// One answered message.
struct Sample {
  float at_seconds = 0;  // when it was due, from the start of the measurement
  float latency_ms = 0;  // from when it was due to its answer
};

// Of one group of streams, without the warm-up.
struct GroupResult {
  std::string name;
  uint32_t streams = 0;
  uint32_t frames = 0;            // a message
  double seconds = 0;             // measured
  double offered_per_second = 0;  // messages due; 0: closed loop
  uint64_t sent = 0;
  std::vector<Sample> answered;
  std::vector<float> lag_ms;  // from when it was due until it was sent
  uint64_t late = 0;          // answered after Group::late_after
  uint64_t reduced = 0;       // answered with DEGRADATION_REDUCED
  uint64_t passed_through = 0;
  uint64_t checked = 0;  // against a second search
  uint64_t wrong = 0;
  // By reason: "OVERLOADED" ...; "BACKING_OFF" was not sent, because the server
  // had asked the stream to wait.
  std::map<std::string, uint64_t> failed;
  // By reason: the first failure's status.
  std::map<std::string, absl::Status> explained;

  uint64_t failures() const {
    uint64_t sum = 0;
    for (const auto& [status, count] : failed) sum += count;
    return sum;
  }
};

// Milliseconds.
struct Percentiles {
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
  double p999 = 0;
  double max = 0;
};

// The value below which `share` (0..1) of `sorted` lies (nearest rank, as in
// Hyndman and Fan's type 1); 0 of nothing. REQUIRES: ascending.
double Quantile(const std::vector<float>& sorted, double share);
std::vector<float> SortedLatencies(const GroupResult& result);
Percentiles Summarize(std::vector<float> milliseconds);

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_RESULTS_H_
