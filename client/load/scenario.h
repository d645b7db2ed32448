// What a load generator can do to a server.
#ifndef TIMBRE_CLIENT_LOAD_SCENARIO_H_
#define TIMBRE_CLIENT_LOAD_SCENARIO_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/load/group.h"
#include "client/load/report.h"
#include "client/load/voices.h"

namespace timbre::load {

// Which fields a scenario uses stands with its function.
struct ScenarioOptions {
  std::string server;
  absl::Duration timeout = absl::Seconds(30);  // the longest silence
  std::string metrics;  // HOST:PORT; empty: as GetServerInfo says
  VoiceOptions voices;
  double zipf = 1;
  uint32_t connections = 8;
  std::chrono::nanoseconds warm_up{std::chrono::seconds(2)};
  std::chrono::nanoseconds duration{std::chrono::seconds(30)};
  uint64_t seed = 1;
  Group group;  // the streams; its voices are filled in

  std::chrono::nanoseconds objective{std::chrono::milliseconds(10)};
  double step = 1.25;              // each step has so many times the streams
  uint32_t offline_streams = 1;    // of mixed
  uint64_t build_frames = 50'000;  // of mixed
  uint32_t cold_voices = 0;        // of mixed: kept closed until then

  // Told what is going on.
  std::function<void(const std::string&)> say;
};

// One phase with options.group as it is: live, offline and idle differ in
// nothing else.
absl::StatusOr<Report> RunSingle(const std::string& name,
                                 const ScenarioOptions& options);
// The group alone, then beside `offline_streams` large closed-loop ones, a
// Build of `build_frames` frames (again and again until the end), and
// `cold_voices` voices that nobody opened before.
absl::StatusOr<Report> RunMixed(const ScenarioOptions& options);
// More streams, step by step, until p99 exceeds the objective, an answer
// fails, or less than 99 % of what is offered is answered: the capacity is the
// last number that held.
absl::StatusOr<Report> RunStep(const ScenarioOptions& options);

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_SCENARIO_H_
