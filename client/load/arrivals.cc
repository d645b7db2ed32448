#include "client/load/arrivals.h"

#include <cmath>

namespace timbre::load {

ArrivalSchedule::ArrivalSchedule(uint32_t streams, Nanoseconds period,
                                 bool poisson, uint64_t seed)
    : period_(period), poisson_(poisson), random_(seed) {
  std::uniform_real_distribution<double> phase(0, 1);
  for (uint32_t stream = 0; stream < streams; ++stream) {
    const Nanoseconds first =
        poisson_ ? Gap()
                 : Nanoseconds(static_cast<int64_t>(
                       phase(random_) * static_cast<double>(period.count())));
    next_.push({first, stream});
  }
}

Nanoseconds ArrivalSchedule::Gap() {
  if (!poisson_) return period_;
  std::exponential_distribution<double> gap(
      1 / static_cast<double>(period_.count()));
  return Nanoseconds(static_cast<int64_t>(gap(random_)) + 1);
}

Arrival ArrivalSchedule::Next() {
  const Arrival arrival = next_.top();
  next_.pop();
  next_.push({arrival.at + Gap(), arrival.stream});
  return arrival;
}

std::vector<uint32_t> ZipfVoices(uint32_t streams, uint32_t voices,
                                 double exponent, uint64_t seed) {
  std::vector<double> weights(voices);
  for (uint32_t i = 0; i < voices; ++i) {
    weights[i] = 1 / std::pow(i + 1, exponent);
  }
  std::discrete_distribution<uint32_t> draw(weights.begin(), weights.end());
  std::mt19937_64 random(seed);
  std::vector<uint32_t> chosen(streams);
  for (uint32_t& voice : chosen) voice = draw(random);
  return chosen;
}

}  // namespace timbre::load
