// Streams that do the same thing.
#ifndef TIMBRE_CLIENT_LOAD_GROUP_H_
#define TIMBRE_CLIENT_LOAD_GROUP_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "client/cpp/results.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre::load {

enum class Method : uint8_t { kBlend, kSearch };

struct Group {
  std::string name;
  Method method = Method::kBlend;
  uint32_t streams = 1;
  uint32_t frames = 16;  // a message
  // Open loop: one message a period and stream. 0: closed loop.
  std::chrono::nanoseconds period{0};
  bool poisson = false;
  uint32_t in_flight = 1;    // closed loop: messages under way, a stream
  bool new_streams = false;  // every message is a stream of its own
  std::chrono::nanoseconds late_after{0};  // 0: never late
  v1::BlendParams params;                  // Search takes params.search alone
  std::vector<client::VoiceRef> voices;    // one per stream; streams at least
};

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_GROUP_H_
