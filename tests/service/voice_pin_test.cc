#include "server/service/voice_pin.h"

#include <gtest/gtest.h>

#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

// A lease of version 3 of a voice, without an index.
Lease VersionThree() {
  auto record = std::make_shared<VersionRecord>();
  record->manifest.set_version(3);
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
  EXPECT_EQ(pin.speaker(), "alice");
  EXPECT_EQ(pin.wanted_version(), 3U);
}

TEST(VoicePinTest, MetadataIsOptionalButMustAgree) {
  VoicePin pin;
  EXPECT_EQ(FieldOf(pin.Accept("bob", "alice", 0)), "timbre-speaker");
  ASSERT_OK(pin.Accept("alice", "alice", 0));
}

TEST(VoicePinTest, LaterRequestsLeaveTheVoiceOutOrRepeatIt) {
  VoicePin pin;
  ASSERT_OK(pin.Accept("", "alice", 0));
  pin.Pin(VersionThree());
  ASSERT_TRUE(pin.pinned());
  ASSERT_OK(pin.Accept("", "", 0));
  ASSERT_OK(pin.Accept("", "alice", 0));
  ASSERT_OK(pin.Accept("", "alice", 3));
  ASSERT_OK(pin.Accept("", "", 3));
  EXPECT_EQ(FieldOf(pin.Accept("", "bob", 0)), "speaker");
  EXPECT_EQ(FieldOf(pin.Accept("", "", 2)), "version");
  // A refused request changes nothing.
  EXPECT_EQ(pin.speaker(), "alice");
}

}  // namespace
}  // namespace timbre
