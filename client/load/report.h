// What a load generator shows: text, JSON, and a page with plots.
#ifndef TIMBRE_CLIENT_LOAD_REPORT_H_
#define TIMBRE_CLIENT_LOAD_REPORT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/load/results.h"
#include "client/load/server_side.h"

namespace timbre::load {

// Between the two scrapes around a measurement.
struct ServerSide {
  double cpu_cores = 0;  // of the server's process
  double resident_bytes = 0;
  std::vector<ServerHistogram> blend;
  std::vector<ServerHistogram> search;
};

// One measurement.
struct Phase {
  std::string name;
  std::vector<GroupResult> groups;
  std::optional<ServerSide> server;  // absent: no metrics to be read
  double generator_cores = 0;        // CPU of the load generator itself
  std::vector<std::string> notes;
};

struct Report {
  std::string scenario;
  std::string command;
  std::string server_version;
  std::string simd_level;
  std::vector<Phase> phases;
  std::optional<uint32_t> capacity;  // of scenario step, in streams
};

// Why nothing was answered, if a phase (of `step`: the first) has a group whose
// messages all failed.
absl::Status CheckAnswered(const Report& report);
std::string ToText(const Report& report);
nlohmann::json ToJson(const Report& report);
// Self-contained: no script, no link.
std::string ToHtml(const Report& report);

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_REPORT_H_
