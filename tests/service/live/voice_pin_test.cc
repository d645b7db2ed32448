#include "server/service/live/voice_pin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

// A lease of version 3 of a voice, without an index.
Lease VersionThree(uint32_t dimension = 256) {
  auto record = std::make_shared<VersionRecord>();
  record->manifest.set_version(3);
  record->manifest.set_dimension(dimension);
  auto loaded = std::make_shared<LoadedVersion>();
  loaded->record = std::move(record);
  return loaded;
}

std::string FieldOf(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return DetailsOf(status).field;
}

TEST(VoicePinTest, TheFirstRequestNamesTheVoice) {
  VoicePin pin;
  EXPECT_EQ(FieldOf(pin.Accept("", "", 0)), "speaker");
  EXPECT_EQ(FieldOf(pin.Accept("", "Alice", 0)), "speaker");
  EXPECT_FALSE(pin.pinned());
  ASSERT_OK(pin.Accept("", "alice", 3));
  ASSERT_EQ(pin.wanted().size(), 1U);
  EXPECT_EQ(pin.wanted()[0].speaker, "alice");
  EXPECT_EQ(pin.wanted()[0].version, 3U);
}

TEST(VoicePinTest, MetadataIsOptionalButMustAgree) {
  VoicePin pin;
  EXPECT_EQ(FieldOf(pin.Accept("bob", "alice", 0)), "timbre-speaker");
  ASSERT_OK(pin.Accept("alice", "alice", 0));
}

TEST(VoicePinTest, LaterRequestsLeaveTheVoiceOutOrRepeatIt) {
  VoicePin pin;
  ASSERT_OK(pin.Accept("", "alice", 0));
  ASSERT_OK(pin.Pin({VersionThree()}));
  ASSERT_TRUE(pin.pinned());
  ASSERT_OK(pin.Accept("", "", 0));
  ASSERT_OK(pin.Accept("", "alice", 0));
  ASSERT_OK(pin.Accept("", "alice", 3));
  ASSERT_OK(pin.Accept("", "", 3));
  EXPECT_EQ(FieldOf(pin.Accept("", "bob", 0)), "speaker");
  EXPECT_EQ(FieldOf(pin.Accept("", "", 2)), "version");
  // A refused request changes nothing.
  EXPECT_EQ(pin.wanted()[0].speaker, "alice");
  EXPECT_FALSE(pin.mixed());
}

VoicePin::Voices Voices(
    std::initializer_list<std::pair<const char*, float>> weights) {
  VoicePin::Voices voices;
  for (const auto& [speaker, weight] : weights) {
    v1::VoiceWeight& voice = *voices.Add();
    voice.set_speaker(speaker);
    voice.set_weight(weight);
  }
  return voices;
}

TEST(VoicePinTest, WeightsAreNormalised) {
  VoicePin pin;
  ASSERT_OK(pin.AcceptVoices("alice", Voices({{"alice", 3}, {"bob", 1}})));
  EXPECT_TRUE(pin.mixed());
  EXPECT_THAT(pin.weights(), ::testing::ElementsAre(0.75F, 0.25F));
  ASSERT_EQ(pin.wanted().size(), 2U);
  EXPECT_EQ(pin.wanted()[1].speaker, "bob");
}

TEST(VoicePinTest, BadVoicesNameTheField) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  VoicePin pin;
  const auto field = [&](const VoicePin::Voices& voices) {
    return FieldOf(pin.AcceptVoices("", voices));
  };
  for (const float weight : {-1.0F, kNan, kInfinity}) {
    EXPECT_EQ(field(Voices({{"alice", 1}, {"bob", weight}})),
              "voices[1].weight");
  }
  EXPECT_EQ(field(Voices({{"alice", 0}, {"bob", 0}})), "voices");
  EXPECT_EQ(field(Voices({{"alice", 1}, {"../bob", 1}})), "voices[1].speaker");
  VoicePin::Voices many;
  for (int i = 0; i <= kMaxVoices; ++i) {
    many.Add()->set_speaker("alice");
    many[i].set_weight(1);
  }
  EXPECT_EQ(field(many), "voices");
  EXPECT_EQ(FieldOf(pin.AcceptVoices("bob", Voices({{"alice", 1}}))),
            "timbre-speaker");
}

TEST(VoicePinTest, LaterVoicesAreTheSameWithOtherWeights) {
  VoicePin pin;
  ASSERT_OK(pin.AcceptVoices("", Voices({{"alice", 1}, {"bob", 1}})));
  ASSERT_OK(pin.Pin({VersionThree(), VersionThree()}));
  ASSERT_OK(pin.AcceptVoices("", Voices({{"alice", 0}, {"bob", 2}})));
  EXPECT_THAT(pin.weights(), ::testing::ElementsAre(0.0F, 1.0F));
  ASSERT_OK(pin.Accept("", "", 0));  // keeps the weights
  EXPECT_THAT(pin.weights(), ::testing::ElementsAre(0.0F, 1.0F));
  const auto field = [&](const VoicePin::Voices& voices) {
    return FieldOf(pin.AcceptVoices("", voices));
  };
  EXPECT_EQ(field(Voices({{"bob", 1}, {"alice", 1}})), "voices[0].speaker");
  EXPECT_EQ(field(Voices({{"alice", 1}})), "voices");
  VoicePin::Voices other = Voices({{"alice", 1}, {"bob", 1}});
  other[1].set_version(2);
  EXPECT_EQ(field(other), "voices[1].version");
  EXPECT_EQ(FieldOf(pin.Accept("", "alice", 0)), "speaker");
  EXPECT_THAT(pin.weights(), ::testing::ElementsAre(0.0F, 1.0F));
}

TEST(VoicePinTest, VoicesOfDifferentDimensionsAreNotMixed) {
  VoicePin pin;
  ASSERT_OK(pin.AcceptVoices("", Voices({{"alice", 1}, {"bob", 1}})));
  EXPECT_EQ(FieldOf(pin.Pin({VersionThree(256), VersionThree(768)})),
            "voices[1].speaker");
  EXPECT_FALSE(pin.pinned());
}

}  // namespace
}  // namespace timbre
