// When a load generator sends what to whom.
#ifndef TIMBRE_CLIENT_LOAD_ARRIVALS_H_
#define TIMBRE_CLIENT_LOAD_ARRIVALS_H_

#include <chrono>
#include <cstdint>
#include <queue>
#include <random>
#include <vector>

namespace timbre::load {

using Nanoseconds = std::chrono::nanoseconds;

// One message that is due `at` after the start of the schedule.
struct Arrival {
  Nanoseconds at{0};
  uint32_t stream = 0;
};

// An open loop: arrivals do not depend on answers, so a server that is late
// finds them waiting (what is otherwise lost is called coordinated omission).
// Every stream sends once a period, at a phase of its own; or as a Poisson
// process of the same rate. The same seed gives the same schedule. Not
// thread-safe.
class ArrivalSchedule {
 public:
  // REQUIRES: streams >= 1, period > 0.
  ArrivalSchedule(uint32_t streams, Nanoseconds period, bool poisson,
                  uint64_t seed);
  // In order of time; without an end.
  Arrival Next();

 private:
  struct Later {
    bool operator()(const Arrival& a, const Arrival& b) const {
      return a.at > b.at;
    }
  };
  Nanoseconds Gap();

  const Nanoseconds period_;
  const bool poisson_;
  std::mt19937_64 random_;
  std::priority_queue<Arrival, std::vector<Arrival>, Later> next_;
};

// Which of `voices` each of `streams` converts to: by Zipf's law, voice i as
// often as 1 / (i + 1)^exponent (0: all alike). REQUIRES: voices >= 1.
std::vector<uint32_t> ZipfVoices(uint32_t streams, uint32_t voices,
                                 double exponent, uint64_t seed);

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_ARRIVALS_H_
