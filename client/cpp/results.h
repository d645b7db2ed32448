// What calls of Search and Blend take and give.
#ifndef TIMBRE_CLIENT_CPP_RESULTS_H_
#define TIMBRE_CLIENT_CPP_RESULTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/cpp/matrix.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre::client {

// A voice, and which version of it; 0: the active one.
struct VoiceRef {
  std::string speaker;
  uint64_t version = 0;
};

struct SearchResult {
  Matrix<int64_t> ids;      // [frames, k], -1 where fewer were found
  Matrix<float> distances;  // [frames, k]
  v1::SearchParams effective;
  uint64_t version = 0;
};

// One of several voices that are mixed into one.
struct WeightedVoice {
  VoiceRef voice;
  float weight = 1;  // >= 0; only the proportions matter
};

struct BlendOptions {
  std::optional<v1::BlendParams> params;
  // One per frame, 0..1, instead of params.index_rate; empty: none.
  std::vector<float> frame_index_rates;
  // Instead of the call's or stream's VoiceRef: 1..16 of one dimension.
  std::vector<WeightedVoice> voices;
  // On the wire; results are float all the same. FLOAT16 is half the bytes.
  v1::ElementType reply_element_type = v1::ELEMENT_TYPE_UNSPECIFIED;
};

struct BlendResult {
  FrameMatrix frames;  // of the shape that was sent
  v1::BlendParams effective;
  uint64_t version = 0;            // 0 with several voices
  std::vector<uint64_t> versions;  // of these, in their order
  double mean_distance = 0;        // over all frames
  double mean_shift = 0;
};

struct TuneOptions {
  uint32_t k = 0;           // 0: 8
  float target_recall = 0;  // 0: 0.95
  bool apply = false;       // what was measured replaces the version's
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_RESULTS_H_
