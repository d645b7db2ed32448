#include "server/app/flags.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/app/version.h"
#include "server/base/errors.h"
#include "server/base/memory_limit.h"
#include "server/base/status_macros.h"
#include "server/engine/lists/index_spec.h"

ABSL_FLAG(
    std::string, data_dir, "",
    "directory of the voices; created if it does not exist, refused if it "
    "is neither empty nor one that timbred has made. Required. "
    "One server at a time.");
ABSL_FLAG(std::string, listen, "127.0.0.1:7400",
          "where to serve gRPC: HOST:PORT or unix:PATH, comma-separated. Port "
          "0 picks a free one. Addresses other than loopback are reachable "
          "from the network: there is no authentication.");
ABSL_FLAG(std::string, metrics_listen, "127.0.0.1:7401",
          "where to serve /metrics for Prometheus: HOST:PORT; empty: nowhere.");
ABSL_FLAG(std::string, port_file, "",
          "write lines grpc=PORT and metrics=PORT to this file once the server "
          "answers; renamed into place whole, removed at the end. Replaces "
          "nothing but an older one. Empty: none.");
ABSL_FLAG(std::string, log_level, "info",
          "debug, info, warning or error: what goes to standard error, a JSON "
          "object a line.");
ABSL_FLAG(int, worker_threads, 0,
          "threads that search and blend, 1..256; 0: one per CPU of the "
          "cgroup's quota.");
ABSL_FLAG(
    std::string, simd_level, "",
    "avx512vbmi, avx512vnni, avx512, avx2 or portable: use this instead of "
    "the best that the CPU has, to reproduce another machine's numbers.");
ABSL_FLAG(
    uint64_t, max_connections, timbre::Config{}.max_connections,
    "connections at the same time, 1..1000000; those beyond are closed as "
    "they come. At most what the limit of descriptors leaves after those "
    "of files.");
ABSL_FLAG(uint64_t, max_calls, timbre::Config{}.max_calls,
          "calls that are open at the same time, 1..1000000; the newest beyond "
          "are refused with RESOURCE_EXHAUSTED and a retry hint.");
ABSL_FLAG(uint64_t, max_message_bytes, uint64_t{64} << 20,
          "largest request message in bytes, 4096..2147483647; a larger one "
          "ends its call with RESOURCE_EXHAUSTED. Memory per open stream can "
          "reach a few times this.");
ABSL_FLAG(uint64_t, max_queued_frames, 65536,
          "frames of Search and Blend messages that may wait for their answers "
          "in all streams, about; the newest message beyond is refused with "
          "RESOURCE_EXHAUSTED and a retry hint. 0: unlimited.");
ABSL_FLAG(uint64_t, max_queued_bytes, uint64_t{256} << 20,
          "the same in bytes. 0: unlimited.");
ABSL_FLAG(absl::Duration, max_queued_time, absl::Seconds(2),
          "small messages (up to 256 KiB) that would wait longer, by what a "
          "frame took lately, are refused like those; at least 1ms; inf: "
          "never.");
ABSL_FLAG(absl::Duration, drain_timeout, absl::Seconds(15),
          "after SIGTERM or SIGINT, how long calls may take to end before they "
          "are cut off, 0s..1h; 10 s later the process ends whatever hangs. "
          "Keep Kubernetes' terminationGracePeriodSeconds above it.");
ABSL_FLAG(bool, adaptive_window, false,
          "let gRPC raise the HTTP/2 window to what the distance to a client "
          "needs; builds then delay live streams more");
ABSL_FLAG(
    absl::Duration, idle_poll, absl::Microseconds(200),
    "while a single call asks again within this time of each answer, look "
    "for the next event that long before sleeping, 0s..1ms: CPUs of "
    "virtual machines are slow to wake. Not below two processors. 0s: "
    "never.");
ABSL_FLAG(absl::Duration, max_connection_age, absl::InfiniteDuration(),
          "ask clients to reconnect after this long, so that load balances; at "
          "least 1s; inf: never.");
ABSL_FLAG(absl::Duration, max_connection_age_grace, absl::Minutes(10),
          "how long streams may live on after --max_connection_age; at least "
          "1s; inf: as long as they like.");
ABSL_FLAG(
    std::string, max_resident_bytes, "auto",
    "what open voices may hold besides the mapped frames; beyond it those "
    "that no stream holds are closed. auto: half of the memory that the "
    "cgroup or the machine has. 0: unlimited.");
ABSL_FLAG(int, max_concurrent_opens, timbre::Config{}.max_concurrent_opens,
          "voices that are opened at the same time, 1..64; others wait in the "
          "order in which they were asked for.");
ABSL_FLAG(absl::Duration, close_idle_after, absl::InfiniteDuration(),
          "close voices that no stream has held for so long, at least 1ms; "
          "inf: only when their memory is wanted.");
ABSL_FLAG(int, max_concurrent_builds, 1,
          "builds that train at the same time, 1..64; others wait (their "
          "clients see STAGE_QUEUED). Each takes memory of the size of its "
          "frames.");
ABSL_FLAG(int, build_threads, 0,
          "threads of one build, 1..256; 0: one per CPU of the cgroup's quota. "
          "They run at low priority.");
ABSL_FLAG(uint64_t, max_build_frames, 5'000'000,
          "frames that a Build may have, at most 2147483648, which is what an "
          "index can hold; more are RESOURCE_EXHAUSTED. 0: that many.");
ABSL_FLAG(uint64_t, min_free_disk, uint64_t{1} << 30,
          "bytes that a Build leaves free on the data directory's file system; "
          "below it is RESOURCE_EXHAUSTED.");
ABSL_FLAG(uint32_t, keep_versions, 0,
          "versions of a voice that are kept, the active one included; after a "
          "Build older inactive ones are deleted. 0: all.");
ABSL_FLAG(uint64_t, scrub_rate, 8'000'000,
          "bytes a second, at most, with which stored files are read and "
          "compared with their digests, round after round, at low priority. "
          "0: never.");

namespace timbre {
namespace {

constexpr char kUsage[] =
    "Timbre's server: nearest-neighbour feature retrieval for voice "
    "conversion over gRPC.\n\n  timbred --data_dir=DIR [flags]\n\n"
    "Sizes are in bytes; durations look like 15s, 2m30s or inf.";

absl::Status BadFlag(absl::string_view flag, absl::string_view value,
                     absl::string_view accepted) {
  return InvalidField(absl::StrCat("--", flag), value, accepted);
}

template <typename T>
absl::Status InRange(absl::string_view flag, T value, T low, T high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return BadFlag(flag, absl::StrCat(value), absl::StrCat(low, "..", high));
}

absl::Status InRange(absl::string_view flag, absl::Duration value,
                     absl::Duration low, absl::Duration high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return BadFlag(flag, absl::FormatDuration(value),
                 absl::StrCat(absl::FormatDuration(low), "..",
                              absl::FormatDuration(high)));
}

absl::StatusOr<LogLevel> ParseLogLevel(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  return BadFlag("log_level", name, "debug, info, warning or error");
}

// Half of the memory: the rest is for frames in the page cache, messages and
// builds.
absl::StatusOr<uint64_t> ParseResidentBytes(const std::string& text) {
  if (text == "auto") return AvailableMemory() / 2;
  uint64_t bytes = 0;
  if (absl::SimpleAtoi(text, &bytes)) return bytes;
  return BadFlag("max_resident_bytes", text, "auto or a number of bytes");
}

void DescribeProgram() {
  // abseil takes it once in a process.
  static std::once_flag once;
  std::call_once(once, [] { absl::SetProgramUsageMessage(kUsage); });
  absl::FlagsUsageConfig config;
  const auto ours = [](absl::string_view file) {
    return absl::EndsWith(file, "server/app/flags.cc");
  };
  config.contains_helpshort_flags = ours;
  config.contains_help_flags = ours;
  config.version_string = [] {
    return absl::StrCat("timbred ", kVersion, "\n");
  };
  absl::SetFlagsUsageConfig(config);
}

// abseil exits with 1 after --help, as if something had gone wrong.
void ExitWellAfterHelp(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view flag = argv[i];
    if (!absl::ConsumePrefix(&flag, "--")) absl::ConsumePrefix(&flag, "-");
    flag = flag.substr(0, flag.find('='));
    if (flag != "help" && flag != "helpshort" && flag != "helpfull") continue;
    std::atexit([] {
      std::fflush(nullptr);
      std::_Exit(0);
    });
    return;
  }
}

absl::Status Check(const Config& config) {
  if (config.data_dir.empty()) {
    return MakeErrorWithDetails(absl::StatusCode::kInvalidArgument,
                                "--data_dir is required: the directory of the "
                                "voices; see timbred --help",
                                {.reason = "INVALID_FIELD",
                                 .field = "--data_dir",
                                 .retry_after = std::nullopt});
  }
  for (const std::string& address : config.listen) {
    if (!absl::StrContains(address, ':')) {
      return BadFlag("listen", address,
                     "HOST:PORT or unix:PATH, "
                     "comma-separated");
    }
  }
  if (!config.metrics_listen.empty() &&
      !absl::StrContains(config.metrics_listen, ':')) {
    return BadFlag("metrics_listen", config.metrics_listen,
                   "HOST:PORT or empty");
  }
  TIMBRE_RETURN_IF_ERROR(
      InRange("worker_threads", config.worker_threads, 0, 256));
  TIMBRE_RETURN_IF_ERROR(
      InRange("build_threads", config.build_threads, 0, 256));
  TIMBRE_RETURN_IF_ERROR(
      InRange("max_concurrent_builds", config.max_concurrent_builds, 1, 64));
  TIMBRE_RETURN_IF_ERROR(
      InRange("max_concurrent_opens", config.max_concurrent_opens, 1, 64));
  TIMBRE_RETURN_IF_ERROR(InRange("close_idle_after", config.close_idle_after,
                                 absl::Milliseconds(1),
                                 absl::InfiniteDuration()));
  TIMBRE_RETURN_IF_ERROR(InRange<uint64_t>(
      "max_connections", config.max_connections, 1, 1'000'000));
  TIMBRE_RETURN_IF_ERROR(
      InRange<uint64_t>("max_calls", config.max_calls, 1, 1'000'000));
  TIMBRE_RETURN_IF_ERROR(InRange<uint64_t>(
      "max_message_bytes", config.max_message_bytes, 4096, 2147483647));
  TIMBRE_RETURN_IF_ERROR(InRange<uint64_t>(
      "max_build_frames", config.max_build_frames, 0, kMaxRows));
  TIMBRE_RETURN_IF_ERROR(InRange("drain_timeout", config.drain_timeout,
                                 absl::ZeroDuration(), absl::Hours(1)));
  TIMBRE_RETURN_IF_ERROR(InRange("idle_poll", config.idle_poll,
                                 absl::ZeroDuration(), absl::Milliseconds(1)));
  TIMBRE_RETURN_IF_ERROR(InRange("max_queued_time", config.max_queued_time,
                                 absl::Milliseconds(1),
                                 absl::InfiniteDuration()));
  TIMBRE_RETURN_IF_ERROR(InRange("max_connection_age",
                                 config.max_connection_age, absl::Seconds(1),
                                 absl::InfiniteDuration()));
  return InRange("max_connection_age_grace", config.max_connection_age_grace,
                 absl::Seconds(1), absl::InfiniteDuration());
}

}  // namespace

absl::StatusOr<Config> ParseFlags(int argc, char** argv) {
  DescribeProgram();
  ExitWellAfterHelp(argc, argv);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    return BadFlag("", rest[1], "a flag; see timbred --help");
  }
  Config config;
  config.data_dir = absl::GetFlag(FLAGS_data_dir);
  config.listen =
      absl::StrSplit(absl::GetFlag(FLAGS_listen), ',', absl::SkipEmpty());
  config.metrics_listen = absl::GetFlag(FLAGS_metrics_listen);
  config.port_file = absl::GetFlag(FLAGS_port_file);
  TIMBRE_ASSIGN_OR_RETURN(config.log_level,
                          ParseLogLevel(absl::GetFlag(FLAGS_log_level)));
  config.worker_threads = absl::GetFlag(FLAGS_worker_threads);
  config.simd_level = absl::GetFlag(FLAGS_simd_level);
  config.max_connections = absl::GetFlag(FLAGS_max_connections);
  config.max_calls = absl::GetFlag(FLAGS_max_calls);
  config.max_message_bytes = absl::GetFlag(FLAGS_max_message_bytes);
  config.max_queued_frames = absl::GetFlag(FLAGS_max_queued_frames);
  config.max_queued_bytes = absl::GetFlag(FLAGS_max_queued_bytes);
  config.max_queued_time = absl::GetFlag(FLAGS_max_queued_time);
  config.drain_timeout = absl::GetFlag(FLAGS_drain_timeout);
  config.adaptive_window = absl::GetFlag(FLAGS_adaptive_window);
  config.idle_poll = absl::GetFlag(FLAGS_idle_poll);
  config.max_connection_age = absl::GetFlag(FLAGS_max_connection_age);
  config.max_connection_age_grace =
      absl::GetFlag(FLAGS_max_connection_age_grace);
  TIMBRE_ASSIGN_OR_RETURN(
      config.max_resident_bytes,
      ParseResidentBytes(absl::GetFlag(FLAGS_max_resident_bytes)));
  config.max_concurrent_opens = absl::GetFlag(FLAGS_max_concurrent_opens);
  config.close_idle_after = absl::GetFlag(FLAGS_close_idle_after);
  config.max_concurrent_builds = absl::GetFlag(FLAGS_max_concurrent_builds);
  config.build_threads = absl::GetFlag(FLAGS_build_threads);
  config.max_build_frames = absl::GetFlag(FLAGS_max_build_frames);
  config.min_free_disk = absl::GetFlag(FLAGS_min_free_disk);
  config.keep_versions = absl::GetFlag(FLAGS_keep_versions);
  config.scrub_rate = absl::GetFlag(FLAGS_scrub_rate);
  if (config.listen.empty()) {
    return BadFlag("listen", "nothing", "at least one address");
  }
  TIMBRE_RETURN_IF_ERROR(Check(config));
  return config;
}

}  // namespace timbre
