// What timbred can be told. Flags are parsed into it by flags.cc.
#ifndef TIMBRE_SERVER_APP_CONFIG_H_
#define TIMBRE_SERVER_APP_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/base/log.h"

namespace timbre {

struct Config {
  std::string data_dir;
  std::vector<std::string> listen;  // "HOST:PORT" or "unix:PATH"
  std::string metrics_listen;       // empty: none
  std::string port_file;            // empty: none
  LogLevel log_level = LogLevel::kInfo;

  int worker_threads = 0;  // 0: one per available CPU
  std::string simd_level;  // empty: the best that the CPU has

  size_t max_connections = 10'000;
  size_t max_calls = 16'384;
  uint64_t max_message_bytes = 0;
  uint64_t max_queued_frames = 0;                             // 0: unlimited
  uint64_t max_queued_bytes = 0;                              // 0: unlimited
  absl::Duration max_queued_time = absl::InfiniteDuration();  // unlimited
  absl::Duration drain_timeout;
  bool adaptive_window = false;
  absl::Duration idle_poll;           // zero: off
  absl::Duration max_connection_age;  // infinite: off
  absl::Duration max_connection_age_grace;

  uint64_t max_resident_bytes = 0;  // 0: unlimited
  int max_concurrent_opens = 4;
  absl::Duration close_idle_after = absl::InfiniteDuration();  // never

  int max_concurrent_builds = 1;
  int build_threads = 0;  // 0: one per available CPU
  uint64_t max_build_frames = 0;
  uint64_t min_free_disk = 0;
  uint32_t keep_versions = 0;
  uint64_t scrub_rate = 0;  // bytes a second; 0: off
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_CONFIG_H_
