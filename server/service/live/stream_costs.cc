#include "server/service/live/stream_costs.h"

#include <algorithm>

namespace timbre {
namespace {

// Before the voice is known.
constexpr uint32_t kUsualDimension = 256;

// Each is searched for every frame.
uint64_t VoicesHeard(const VoicePin& pin) {
  const auto heard = std::count_if(pin.weights().begin(), pin.weights().end(),
                                   [](float weight) { return weight > 0; });
  return std::max<uint64_t>(1, static_cast<uint64_t>(heard));
}

}  // namespace

uint64_t StreamCosts::SearchesIn(size_t bytes, const VoicePin& pin) const {
  const uint32_t dimension =
      pin.pinned() ? pin.version().index->dimension() : kUsualDimension;
  return VoicesHeard(pin) * (bytes / (dimension * element_bytes_) + 1);
}

void StreamCosts::Learn(uint64_t rows, const VoicePin& pin,
                        absl::Duration took) {
  search_time_ = took / (rows * VoicesHeard(pin));
}

}  // namespace timbre
