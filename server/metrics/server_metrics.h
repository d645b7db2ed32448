// Every time series of the server, named and resolved at start: observing one
// takes no look-up. Counters and gauges are atomic, each histogram has a lock
// of its own in prometheus-cpp. doc/operations.md lists them for operators.
// Thread-safe.
#ifndef TIMBRE_SERVER_METRICS_SERVER_METRICS_H_
#define TIMBRE_SERVER_METRICS_SERVER_METRICS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace prometheus {
class Collectable;
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace timbre {

// The contract's RPCs, in the order of kRpcNames.
enum class Rpc : uint8_t {
  kBuild,
  kSearch,
  kBlend,
  kListSpeakers,
  kGetSpeaker,
  kActivateVersion,
  kDeleteVersion,
  kDeleteSpeaker,
  kReadFrames,
  kExport,
  kTune,
  kVerify,
  kGetServerInfo,
};
inline constexpr size_t kRpcs = 13;

// Where the time of a message goes.
enum class Stage : uint8_t { kDecode, kSearch, kBlend, kEncode };
inline constexpr size_t kStages = 4;

inline constexpr size_t kBuildStages = 7;  // BuildStage of the engine
inline constexpr size_t kNprobeLabels = 10;
inline constexpr size_t kStatusCodes = 17;

// Why a connection was refused, could not be accepted, or was shut.
enum class ConnectionFault : uint8_t {
  kLimit,     // --max_connections are open
  kShortage,  // of descriptors or memory: it waits
  kSilence,   // it made no call, and there was no room left
  kBytes,     // it sent much that became no message of a call
  kResets,    // it took back calls as fast as it made them
  kCpu,       // it kept a thread from everything else
};
inline constexpr size_t kConnectionFaults = 6;
absl::string_view NameOf(ConnectionFault fault);  // as the label has it

// Where a voice was when a stream asked for it.
enum class OpenedFrom : uint8_t { kOpen, kMemory, kDisk };
inline constexpr size_t kOpenedFrom = 3;

inline constexpr size_t kOpenResults = 6;   // OpeningResult of the catalogue
inline constexpr size_t kCloseReasons = 5;  // ClosingReason, likewise

// Which label an effective nprobe gets: 1, 2, 4 ... 128 (rounded up), "other";
// nullopt (no lists): "exact". An index into a fixed array, for hot paths.
size_t NprobeLabel(std::optional<uint32_t> nprobe);

// What is read when somebody scrapes.
struct ScrapedValues {
  double speakers = 0;
  double speakers_loaded = 0;
  double versions_damaged = 0;
  double versions_open = 0;
  double resident_bytes = 0;
  double held_bytes = 0;
  double reserved_bytes = 0;
  double max_resident_bytes = 0;
  double openings_waiting = 0;
  double last_closed_age = 0;  // infinite: nothing was
  std::array<uint64_t, kCloseReasons> closings{};
  double queued_frames = 0;
  double queued_bytes = 0;
  double connections = 0;
  double log_lines_dropped = 0;
  double scrub_oldest_check_age_seconds = 0;
  double scrub_bytes = 0;
  double scrub_damaged = 0;
};

class ServerMetrics {
 public:
  struct BuildInfo {
    std::string version;
    std::string faiss_version;
    std::string simd_level;
  };

  explicit ServerMetrics(const BuildInfo& info);
  ~ServerMetrics();

  // Called on every scrape, on the scraper's thread.
  void SetScrapedValues(std::function<ScrapedValues()> read);

  // What an exposer scrapes.
  std::vector<std::shared_ptr<prometheus::Collectable>> Collectables() const;

  // One message of Search or Blend was answered.
  void ObserveMessage(Rpc rpc, size_t nprobe_label, uint64_t frames,
                      absl::Duration duration);
  void ObserveStage(Rpc rpc, Stage stage, absl::Duration duration);
  // A message was answered with less than was asked for, to keep its
  // latency_budget.
  void CountDegraded(Rpc rpc, bool passed_through);
  void AddBytes(Rpc rpc, uint64_t received, uint64_t sent);
  void CallStarted(Rpc rpc);
  void CallFinished(Rpc rpc, absl::StatusCode code);
  void ObserveBuildStage(size_t stage, absl::Duration duration);
  void CountBuild(absl::string_view result);  // "ok", "cancelled", "failed"
  void AddFrames(Rpc rpc, uint64_t frames);
  void CountConnectionFault(ConnectionFault fault);
  // A stream got its voices; `duration` from its first message, or from when an
  // opener began.
  void ObserveOpening(OpenedFrom from, absl::Duration duration);
  void CountOpening(size_t result);

 private:
  struct PerRpc {
    prometheus::Counter* frames;
    prometheus::Counter* received_bytes;
    prometheus::Counter* sent_bytes;
    prometheus::Gauge* in_flight;
    std::array<prometheus::Counter*, kStatusCodes> requests;
    // Null but for Search and Blend:
    std::array<prometheus::Histogram*, kNprobeLabels> message_duration{};
    std::array<prometheus::Histogram*, kNprobeLabels> frame_duration{};
    std::array<prometheus::Histogram*, kStages> stage_duration{};
    prometheus::Counter* reduced = nullptr;
    prometheus::Counter* passed_through = nullptr;
  };

  void AddCounters();
  void AddMessageHistograms();
  void AddBuildSeries();
  void AddConnectionSeries();
  void AddOpeningSeries();

  std::shared_ptr<prometheus::Registry> registry_;
  std::shared_ptr<prometheus::Collectable> gauges_;
  std::shared_ptr<prometheus::Collectable> process_;
  std::array<PerRpc, kRpcs> rpcs_;
  std::array<prometheus::Histogram*, kBuildStages> build_stages_{};
  std::array<prometheus::Counter*, 3> builds_{};
  std::array<prometheus::Counter*, kConnectionFaults> connection_faults_{};
  std::array<prometheus::Histogram*, kOpenedFrom> opening_durations_{};
  std::array<prometheus::Counter*, kOpenResults> openings_{};
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_METRICS_SERVER_METRICS_H_
