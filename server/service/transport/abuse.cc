#include "server/service/transport/abuse.h"

#include <algorithm>

namespace timbre {
namespace {

// What explains bytes. For each call that was not taken back its header block,
// up to 8 KiB (gRPC's own limit), and the frames around it; for each message
// its frames, window updates and pings; and the updates for what the client is
// sent.
constexpr double kPerCall = 16 << 10;
constexpr double kPerMessage = 512;
constexpr double kShareOfSent = 1.0 / 16;
// Messages on their way in all streams of a connection together, unless a
// single one may be larger.
constexpr double kMaxOnTheWay = 512 << 20;
constexpr double kWindow = 64 << 10;  // may be sent before anybody reads
// A call that ends takes with it what was on its way; one that was cut short
// only where that is not a habit.
constexpr double kFewResets = 50;
constexpr double kFewResetsPerSecond = 2;
// Any connection may waste some: thousands of calls that begin in one moment
// are read before the first of them is known.
constexpr double kWaste = 512 << 10;
constexpr double kWastePerSecond = 128 << 10;

// Clients that time out, and the calls of one that went away behind a proxy,
// are far below this.
constexpr double kResets = 2'000;
constexpr double kResetsPerSecond = 200;

// A call takes 30 us to read, so that 4,000 that begin in one moment are fine;
// frames that do nothing take about 1 us. Large messages come at more than a
// gigabyte a second.
constexpr absl::Duration kStuck = absl::Milliseconds(120);
constexpr double kFewBytes = 64 << 10;
constexpr double kBulkPerSecond = 150 << 20;

double Delta(uint64_t now, uint64_t before) {
  return static_cast<double>(now) - static_cast<double>(before);
}

}  // namespace

Abuse AbuseMeter::Judge(const Sample& now, absl::Duration elapsed,
                        absl::Duration stuck) {
  const ConnectionUse::Counts& use = now.use;
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const double received = Delta(now.received, last_.received);
  const double cut_short =
      Delta(use.calls_cut_short, last_.use.calls_cut_short);
  const double kept = Delta(use.calls_ended, last_.use.calls_ended) - cut_short;
  const double explained =
      Delta(use.message_bytes, last_.use.message_bytes) +
      kPerMessage * Delta(use.messages, last_.use.messages) + kPerCall * kept +
      kShareOfSent * Delta(now.sent, last_.sent);
  last_ = now;
  bytes_ =
      std::max(0.0, bytes_ + received - explained - kWastePerSecond * seconds);
  resets_ = std::max(0.0, resets_ + cut_short - kResetsPerSecond * seconds);
  const double open = Delta(use.calls_begun, use.calls_ended);
  const auto message = static_cast<double>(message_bytes_);
  habit_ = std::max(0.0, habit_ + cut_short - kFewResetsPerSecond * seconds);
  const double gone = kept + (habit_ <= kFewResets ? cut_short : 0);
  bytes_ = std::max(0.0, bytes_ - gone * (message + kWindow));
  const double on_the_way =
      std::min(std::max(kMaxOnTheWay, message), open * (message + kWindow));
  if (bytes_ > kWaste + on_the_way + kPerCall * open) return Abuse::kBytes;
  if (resets_ > kResets) return Abuse::kResets;
  return KeepsThreadBusy(received, stuck) ? Abuse::kCpu : Abuse::kNone;
}

bool AbuseMeter::KeepsThreadBusy(double received, absl::Duration stuck) {
  if (stuck <= absl::ZeroDuration()) {
    stuck_bytes_ = 0;
    return false;
  }
  stuck_bytes_ += received;
  return stuck > kStuck && stuck_bytes_ > kFewBytes &&
         stuck_bytes_ < kBulkPerSecond * absl::ToDoubleSeconds(stuck);
}

}  // namespace timbre
