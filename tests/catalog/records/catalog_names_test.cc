// speaker_name, file_names and recovery: pure functions.
#include <gtest/gtest.h>

#include "server/base/errors.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/records/speaker_name.h"
#include "server/catalog/store/recovery.h"

namespace timbre {
namespace {

TEST(SpeakerNameTest, GoodNamesAreAccepted) {
  for (const std::string& name :
       {std::string("a"), std::string("0"), std::string("alice-2.v_1"),
        std::string(63, 'x')}) {
    EXPECT_TRUE(CheckSpeakerName(name).ok()) << name;
  }
}

TEST(SpeakerNameTest, HostileNamesAreRefusedByTheirField) {
  for (const std::string& name :
       {std::string(), std::string("Alice"), std::string("-a"),
        std::string(".hidden"), std::string(".."), std::string("../etc"),
        std::string("a/b"), std::string("a\0b", 3), std::string("a\nb"),
        std::string("\xff\xfe"), std::string("\xc3\xa4"), std::string("a b"),
        std::string(64, 'x'), std::string(100'000, 'x')}) {
    const absl::Status status = CheckSpeakerName(name);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailsOf(status).field, "speaker");
    EXPECT_LT(status.message().size(), 300U);
  }
}

TEST(FileNamesTest, VersionsAreDecimalNumbersFromOne) {
  EXPECT_EQ(ParseVersion("12"), 12U);
  for (const char* const name :
       {"", "0", "01", "-1", "1a", "x", "18446744073709551616",
        "9223372036854775808", " 1"}) {
    EXPECT_EQ(ParseVersion(name), std::nullopt) << name;
  }
  EXPECT_EQ(VersionDir("/d", "alice", 3), "/d/speakers/alice/3");
}

storage::SpeakerState State(uint64_t active, uint64_t last,
                            uint64_t deleted_through = 0) {
  storage::SpeakerState state;
  state.set_active_version(active);
  state.set_last_version(last);
  state.set_deleted_through(deleted_through);
  return state;
}

FoundVersion Intact(uint64_t version, bool keep_inactive = false) {
  return {.version = version, .intact = true, .keep_inactive = keep_inactive};
}

TEST(RecoveryTest, NothingHappenedMeansNothingToDo) {
  const auto plan = PlanRecovery(State(2, 3), {Intact(1), Intact(2)});
  EXPECT_FALSE(plan.write_state);
  EXPECT_TRUE(plan.garbage.empty());
  EXPECT_EQ(plan.state.active_version(), 2U);
  EXPECT_EQ(plan.state.last_version(), 3U);
}

TEST(RecoveryTest, APublicationWithoutItsStateIsCompleted) {
  const auto plan = PlanRecovery(State(1, 1), {Intact(1), Intact(2)});
  EXPECT_TRUE(plan.write_state);
  EXPECT_EQ(plan.state.active_version(), 2U);
  EXPECT_EQ(plan.state.last_version(), 2U);
}

TEST(RecoveryTest, AnInactivePublicationStaysInactive) {
  const auto plan = PlanRecovery(State(1, 1), {Intact(1), Intact(2, true)});
  EXPECT_EQ(plan.state.active_version(), 1U);
  EXPECT_EQ(plan.state.last_version(), 2U);
}

TEST(RecoveryTest, DeletedVersionsAreGarbageAndTheirNumbersStayUsed) {
  const auto plan =
      PlanRecovery(State(0, 3, 3), {Intact(2), Intact(3), Intact(4)});
  EXPECT_EQ(plan.garbage, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(plan.state.active_version(), 4U);
  EXPECT_EQ(plan.state.last_version(), 4U);
}

TEST(RecoveryTest, WithoutStateTheNewestIntactVersionServes) {
  const auto plan = PlanRecovery(
      std::nullopt, {Intact(1), Intact(2), {.version = 3, .intact = false}});
  EXPECT_TRUE(plan.write_state);
  EXPECT_EQ(plan.state.active_version(), 2U);
  EXPECT_EQ(plan.state.last_version(), 3U);
}

TEST(RecoveryTest, ADamagedActiveVersionStaysActive) {
  const auto plan =
      PlanRecovery(State(2, 2), {Intact(1), {.version = 2, .intact = false}});
  EXPECT_EQ(plan.state.active_version(), 2U);
  EXPECT_FALSE(plan.write_state);
}

TEST(RecoveryTest, AnActiveVersionThatIsGoneLeavesNone) {
  const auto plan = PlanRecovery(State(2, 2), {Intact(1)});
  EXPECT_EQ(plan.state.active_version(), 0U);
  EXPECT_TRUE(plan.write_state);
}

}  // namespace
}  // namespace timbre
