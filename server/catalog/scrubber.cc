#include "server/catalog/scrubber.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace timbre {

absl::Duration Pace::Take(uint64_t bytes, absl::Time now) {
  due_ = std::max(due_, now) +
         absl::Seconds(static_cast<double>(bytes) / bytes_per_second_);
  return due_ - now;
}

Scrubber::Scrubber(Catalog& catalog, Options options)
    : catalog_(catalog),
      options_(std::move(options)),
      pace_(options_.bytes_per_second),
      speaker_(catalog.AnySpeaker(options_.first)),
      round_began_(options_.now()),
      pool_("scrub", 1) {
  pool_.Submit([this] { return Next(); });
}

Scrubber::~Scrubber() { Stop(); }

void Scrubber::Stop() {
  stopping_.store(true);
  stop_.Post();
  pool_.Stop();
}

BackgroundPool::Work Scrubber::Next() {
  if (stopping_.load()) return nullptr;
  std::optional<StoredVersion> next = catalog_.NextVersion(speaker_, version_);
  if (!next) return Rest();
  speaker_ = next->speaker;
  version_ = next->version;
  return [this, version = *std::move(next)] { CompareNext(version); };
}

BackgroundPool::Work Scrubber::Rest() {
  const absl::Time end = round_began_ + kShortestRound;
  speaker_.clear();
  version_ = 0;
  return [this, end] {
    if (!Wait(end - options_.now())) return;
    pool_.HandOver([this] {
      round_began_ = options_.now();
      GoOn();
    });
  };
}

void Scrubber::GoOn() {
  pool_.Submit([this] { return Next(); });
}

void Scrubber::CompareNext(const StoredVersion& version) {
  const auto paced = [this](size_t bytes) {
    return Wait(pace_.Take(bytes, options_.now()));
  };
  const Comparison found = catalog_.Compare(version, paced);
  if (!paced(kVersionBytes)) return;
  pool_.HandOver([this, version, found] {
    catalog_.Conclude(version, found, options_.now()).IgnoreError();
    GoOn();
  });
}

bool Scrubber::Wait(absl::Duration duration) {
  // What Stop posts ends one wait, which may have been the one before.
  if (stopping_.load()) return false;
  if (options_.wait) {
    options_.wait(duration);
  } else if (duration > absl::ZeroDuration()) {
    stop_.WaitFor(duration);
  }
  return !stopping_.load();
}

}  // namespace timbre
