#include "server/catalog/open/budget_rules.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

RoomUsed Used(uint64_t reserved, uint64_t held, uint64_t idle,
              uint64_t closing) {
  return {.reserved = {reserved, 0},
          .held = {held, 0},
          .idle = {idle, 0},
          .closing = {closing, 0}};
}

TEST(BudgetRules, WhoGetsRoom) {
  const OpenRoom limit{.bytes = 10};
  struct {
    RoomUsed used;
    uint64_t want;
    Verdict verdict;
  } const cases[] = {
      {Used(0, 0, 0, 0), 10, Verdict::kGrant},
      {Used(0, 0, 0, 0), 11, Verdict::kNever},
      {Used(0, 9, 0, 0), 11, Verdict::kNever},
      {Used(1, 2, 3, 2), 2, Verdict::kGrant},
      {Used(1, 2, 3, 2), 3, Verdict::kWait},   // for the closing ones
      {Used(1, 2, 3, 2), 4, Verdict::kWait},   //
      {Used(1, 2, 3, 2), 5, Verdict::kClose},  // an idle one
      {Used(1, 2, 3, 2), 7, Verdict::kClose},
      {Used(1, 2, 3, 2), 8, Verdict::kWait},  // what is opened may rest
      {Used(1, 2, 3, 2), 9, Verdict::kRefuse},
      {Used(0, 10, 0, 0), 1, Verdict::kRefuse},
      // Beyond the limit after a publication.
      {Used(0, 5, 7, 0), 0, Verdict::kClose},
      {Used(0, 5, 5, 2), 0, Verdict::kWait},
  };
  for (const auto& [used, want, verdict] : cases) {
    EXPECT_EQ(Judge(limit, used, {.bytes = want}), verdict)
        << used.reserved.bytes << " " << used.held.bytes << " "
        << used.idle.bytes << " " << used.closing.bytes << ", " << want;
  }
}

TEST(BudgetRules, WithoutALimitThereIsRoomAlways) {
  const RoomUsed used = Used(1, 1, 1, 1);
  EXPECT_EQ(Judge({}, used, {.bytes = UINT64_MAX / 2, .maps = 9}),
            Verdict::kGrant);
}

TEST(BudgetRules, WhoIsRefusedHearsWhatIsShortAndHowMuchIsHeld) {
  const OpenRoom limit{.bytes = 100, .maps = 6};
  EXPECT_EQ(NoRoom(limit, {.bytes = 90, .maps = 2}, {.bytes = 20, .maps = 2})
                .message(),
            "20 bytes are needed, but streams hold 90 bytes of the 100 bytes "
            "that open voices may take (--max_resident_bytes)");
  EXPECT_EQ(
      NoRoom(limit, {.bytes = 9, .maps = 5}, {.bytes = 2, .maps = 2}).message(),
      "2 mappings are needed, but streams hold 5 mappings of the 6 mappings "
      "that open voices may take (vm.max_map_count)");
  EXPECT_EQ(TooLarge(limit, {.bytes = 101, .maps = 2}).message(),
            "101 bytes are needed, more than the 100 bytes that open voices "
            "may take (--max_resident_bytes)");
}

TEST(BudgetRules, MappingsAreLimitedLikeBytes) {
  const OpenRoom limit{.bytes = 0, .maps = 4};
  RoomUsed used;
  used.held.maps = 2;
  EXPECT_EQ(Judge(limit, used, {.bytes = 1, .maps = 2}), Verdict::kGrant);
  used.idle.maps = 2;
  EXPECT_EQ(Judge(limit, used, {.bytes = 1, .maps = 2}), Verdict::kClose);
  used.held.maps = 4;
  EXPECT_EQ(Judge(limit, used, {.bytes = 1, .maps = 2}), Verdict::kRefuse);
}

TEST(BudgetRules, HotVersionsLeaveATenthOfTheLimit) {
  EXPECT_FALSE(IsFullOfHot({.bytes = 100}, {.bytes = 89}));
  EXPECT_TRUE(IsFullOfHot({.bytes = 100}, {.bytes = 90}));
  EXPECT_TRUE(IsFullOfHot({.bytes = 0, .maps = 20}, {.bytes = 1, .maps = 18}));
  EXPECT_FALSE(IsFullOfHot({}, {.bytes = 1'000'000, .maps = 1'000}));
}

}  // namespace
}  // namespace timbre
