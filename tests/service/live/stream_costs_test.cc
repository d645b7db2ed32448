#include "server/service/live/stream_costs.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace timbre {
namespace {

// Not pinned, as before the first answer: frames then count as usual ones, of
// 256 numbers.
VoicePin Mix(std::initializer_list<float> weights) {
  VoicePin::Voices voices;
  for (const float weight : weights) {
    v1::VoiceWeight& voice = *voices.Add();
    voice.set_speaker("alice");
    voice.set_weight(weight);
  }
  VoicePin pin;
  EXPECT_TRUE(pin.AcceptVoices("", voices).ok());
  return pin;
}

TEST(StreamCostsTest, BytesAreFramesOfTheLastElementTypeAndOneMore) {
  StreamCosts costs;
  EXPECT_EQ(costs.SearchesIn(0, VoicePin()), 1U);
  EXPECT_EQ(costs.SearchesIn(10 * 256 * 4, VoicePin()), 11U);
  costs.SawElements(ElementType::kFloat16);
  EXPECT_EQ(costs.SearchesIn(10 * 256 * 4, VoicePin()), 21U);
}

TEST(StreamCostsTest, EveryVoiceThatIsHeardIsSearched) {
  const StreamCosts costs;
  EXPECT_EQ(costs.SearchesIn(10 * 256 * 4, Mix({1, 1, 2})), 33U);
  EXPECT_EQ(costs.SearchesIn(10 * 256 * 4, Mix({1, 0, 2})), 22U);
}

TEST(StreamCostsTest, TheLastMessageSaysWhatASearchTakes) {
  StreamCosts costs;
  EXPECT_FALSE(costs.known());
  EXPECT_EQ(costs.search_time(), absl::InfiniteDuration());
  costs.Learn(10, VoicePin(), absl::Microseconds(200));
  EXPECT_TRUE(costs.known());
  EXPECT_EQ(costs.search_time(), absl::Microseconds(20));
  costs.Learn(10, Mix({1, 1}), absl::Microseconds(200));
  EXPECT_EQ(costs.search_time(), absl::Microseconds(10));
  costs.Forget();
  EXPECT_FALSE(costs.known());
}

}  // namespace
}  // namespace timbre
