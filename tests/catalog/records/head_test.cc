#include "server/catalog/records/head.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using storage::Head;

class HeadTest : public ::testing::Test {
 protected:
  // A wish of its own.
  template <typename Change>
  Wish Of(Change change) {
    return {.nonce = absl::StrCat("nonce ", ++wishes_), .change = change};
  }
  Wish Publish(const std::string& request_id = "", bool keep_inactive = false,
               uint32_t keep_versions = 0) {
    PublishVersion change{.keep_inactive = keep_inactive,
                          .deletions = head_.deletions(),
                          .keep_versions = keep_versions};
    change.version.set_blob(absl::StrCat("blob", ++blobs_));
    change.version.mutable_manifest()->set_request_id(request_id);
    return Of(change);
  }
  absl::StatusOr<Granted> Make(const Wish& wish) {
    auto granted = Grant(head_, wish);
    if (granted.ok()) head_ = granted->head;
    return granted;
  }
  uint64_t Number(const Wish& wish) {
    const auto granted = Make(wish);
    EXPECT_TRUE(granted.ok()) << granted.status();
    return granted.ok() ? granted->number : 0;
  }
  std::string Reason(const Wish& wish) {
    return DetailsOf(Make(wish).status()).reason;
  }
  std::vector<uint64_t> Numbers() const {
    std::vector<uint64_t> numbers;
    for (const auto& version : head_.versions()) {
      numbers.push_back(version.number());
    }
    return numbers;
  }

  Head head_ = EmptyHead("alice");
  int wishes_ = 0;
  int blobs_ = 0;
};

TEST_F(HeadTest, VersionsAreNumberedInTheOrderOfTheirPublication) {
  EXPECT_EQ(Number(Publish()), 1U);
  EXPECT_EQ(Number(Publish()), 2U);
  EXPECT_EQ(Number(Publish("", /*keep_inactive=*/true)), 3U);
  EXPECT_EQ(head_.active_version(), 2U);
  EXPECT_EQ(head_.changes(), 3U);
  EXPECT_EQ(FindVersion(head_, 2)->blob(), "blob2");
}

TEST_F(HeadTest, OneRequestIdIsOneVersion) {
  EXPECT_EQ(Number(Publish("job")), 1U);
  EXPECT_EQ(Number(Publish()), 2U);
  const auto again = Make(Publish("job"));
  ASSERT_OK(again);
  EXPECT_EQ(again->number, 1U);
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(head_.active_version(), 2U);
}

TEST_F(HeadTest, ABuildThatBeganBeforeADeletionIsAborted) {
  ASSERT_OK(Make(Publish()));
  const Wish begun = Publish();
  ASSERT_OK(Make(Of(DeleteSpeaker{})));
  EXPECT_EQ(Reason(begun), "SPEAKER_DELETED");
  // Numbers are never given twice.
  EXPECT_EQ(Number(Publish()), 2U);
}

TEST_F(HeadTest, WhatIsKeptIsTheNewestAndTheActiveOne) {
  ASSERT_OK(Make(Publish()));
  ASSERT_OK(Make(Publish("", true, 2)));
  ASSERT_OK(Make(Publish("", true, 2)));
  EXPECT_EQ(Numbers(), (std::vector<uint64_t>{1, 3}));
  ASSERT_OK(Make(Publish("", false, 2)));
  EXPECT_EQ(Numbers(), (std::vector<uint64_t>{3, 4}));
}

TEST_F(HeadTest, OnlyWhatIsThereIsActivatedAndDeleted) {
  EXPECT_EQ(Reason(Of(ActivateVersion{1})), "SPEAKER_NOT_FOUND");
  EXPECT_EQ(Reason(Of(DeleteVersion{1})), "SPEAKER_NOT_FOUND");
  EXPECT_EQ(Reason(Of(DeleteSpeaker{})), "SPEAKER_NOT_FOUND");
  ASSERT_OK(Make(Publish()));
  ASSERT_OK(Make(Publish()));
  EXPECT_EQ(Reason(Of(ActivateVersion{3})), "VERSION_NOT_FOUND");
  EXPECT_EQ(Reason(Of(DeleteVersion{3})), "VERSION_NOT_FOUND");
  EXPECT_EQ(Reason(Of(DeleteVersion{2})), "VERSION_ACTIVE");
  ASSERT_OK(Make(Of(ActivateVersion{1})));
  const auto again = Make(Of(ActivateVersion{1}));
  ASSERT_OK(again);
  EXPECT_FALSE(again->changed);
  ASSERT_OK(Make(Of(DeleteVersion{2})));
  EXPECT_EQ(Numbers(), std::vector<uint64_t>{1});
  EXPECT_EQ(head_.last_version(), 2U);
}

TEST_F(HeadTest, ATuningIsOfOneVersion) {
  ASSERT_OK(Make(Publish()));
  ApplyTuning change{.number = 1, .source = 2};
  change.tuning.set_default_nprobe(7);
  ASSERT_OK(Make(Of(change)));
  EXPECT_EQ(FindVersion(head_, 1)->tuning().default_nprobe(), 7U);
  EXPECT_EQ(FindVersion(head_, 1)->tuning_source(), 2U);
  change.number = 2;
  EXPECT_EQ(Reason(Of(change)), "VERSION_DELETED");
}

// Whoever had no answer reads the head and asks again.
TEST_F(HeadTest, AWishThatWasGrantedIsFoundDone) {
  const Wish publish = Publish();
  ASSERT_OK(Make(publish));
  ASSERT_OK(Make(Publish()));
  auto again = Make(publish);
  ASSERT_OK(again);
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(again->number, 1U);
  const Wish one = Of(DeleteVersion{1});
  ASSERT_OK(Make(one));
  ASSERT_OK(Make(one));
  EXPECT_EQ(Reason(Of(DeleteVersion{1})), "VERSION_NOT_FOUND");
  const Wish all = Of(DeleteSpeaker{});
  ASSERT_OK(Make(all));
  ASSERT_OK(Make(Publish()));
  again = Make(all);
  ASSERT_OK(again);
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(Numbers(), std::vector<uint64_t>{3});
}

TEST_F(HeadTest, TheNoncesOfTheLast64ChangesAreKept) {
  for (int i = 0; i < 100; ++i) ASSERT_OK(Make(Publish()));
  EXPECT_EQ(head_.nonces_size(), 64);
  EXPECT_EQ(head_.nonces(63), "nonce 100");
  EXPECT_EQ(head_.nonces(0), "nonce 37");
  EXPECT_EQ(head_.changes(), 100U);
}

TEST_F(HeadTest, AWishThatMayBeForgottenIsNotMadeAgain) {
  ASSERT_OK(Make(Publish()));
  Wish wish = Publish();
  wish.sent_over = head_.changes();
  ASSERT_OK(Make(wish));
  for (int i = 0; i < 63; ++i) ASSERT_OK(Make(Publish()));
  auto again = Make(wish);
  ASSERT_OK(again);
  EXPECT_FALSE(again->changed);
  ASSERT_OK(Make(Publish()));
  EXPECT_EQ(Number(wish), 2U) << "it is there";
  ASSERT_OK(Make(Of(DeleteVersion{2})));
  EXPECT_EQ(Reason(wish), "OUTCOME_UNKNOWN");
  // One that nobody can have seen is made however late it is.
  EXPECT_EQ(Number(Publish()), 67U);
}

TEST_F(HeadTest, AHeadIsReadAsItWasWritten) {
  ASSERT_OK(Make(Publish("job")));
  const std::string bytes = SerializeHead(head_);
  const auto read = ParseHead(bytes, "alice");
  ASSERT_OK(read);
  EXPECT_EQ(read->SerializeAsString(), head_.SerializeAsString());
  EXPECT_TRUE(absl::IsDataLoss(ParseHead(bytes, "bob").status()));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_TRUE(absl::IsDataLoss(ParseHead(damaged, "alice").status())) << i;
    EXPECT_TRUE(
        absl::IsDataLoss(ParseHead(bytes.substr(0, i), "alice").status()))
        << i;
  }
}

TEST_F(HeadTest, WhatContradictsItselfIsDamaged) {
  ASSERT_OK(Make(Publish()));
  ASSERT_OK(Make(Publish()));
  const auto damaged = [&](auto change) {
    Head head = head_;
    change(head);
    return absl::IsDataLoss(ParseHead(SerializeHead(head), "alice").status());
  };
  EXPECT_TRUE(damaged([](Head& head) { head.set_format(0); }));
  EXPECT_TRUE(damaged([](Head& head) { head.set_active_version(3); }));
  EXPECT_TRUE(damaged([](Head& head) { head.set_last_version(1); }));
  EXPECT_TRUE(
      damaged([](Head& head) { head.mutable_versions(1)->set_number(1); }));
  EXPECT_TRUE(
      damaged([](Head& head) { head.mutable_versions(0)->clear_blob(); }));
}

TEST_F(HeadTest, WhatANewerServerWroteIsReadAndNotWritten) {
  ASSERT_OK(Make(Publish()));
  head_.set_format(2);
  ASSERT_OK(ParseHead(SerializeHead(head_), "alice"));
  EXPECT_EQ(Reason(Publish()), "STORE_NEWER");
  EXPECT_EQ(Reason(Of(DeleteSpeaker{})), "STORE_NEWER");
}

TEST_F(HeadTest, FieldsThatAreNotKnownSurvive) {
  ASSERT_OK(Make(Publish()));
  // Field 1000, of the head and of its version.
  head_.GetReflection()->MutableUnknownFields(&head_)->AddVarint(1000, 7);
  auto& version = *head_.mutable_versions(0);
  version.GetReflection()->MutableUnknownFields(&version)->AddVarint(1000, 8);
  head_ = *ParseHead(SerializeHead(head_), "alice");
  ASSERT_OK(Make(Publish()));
  head_ = *ParseHead(SerializeHead(head_), "alice");
  const auto value = [](const auto& message) {
    return message.GetReflection()->GetUnknownFields(message).field(0).varint();
  };
  EXPECT_EQ(value(head_), 7U);
  EXPECT_EQ(value(head_.versions(0)), 8U);
}

// Writers of whom any may lose an answer, or come too late.
TEST_F(HeadTest, NoHistoryGivesANumberTwiceOrLosesAVersion) {
  std::mt19937 random(1);
  std::vector<Wish> pending;
  std::map<std::string, uint64_t> given;  // blob -> number
  for (int step = 0; step < 3000; ++step) {
    const uint64_t some = 1 + random() % (head_.last_version() + 1);
    switch (random() % 6) {
      case 0:
      case 1:
        pending.push_back(Publish("", random() % 2 == 0, random() % 4));
        break;
      case 2:
        pending.push_back(Of(ActivateVersion{some}));
        break;
      case 3:
        pending.push_back(Of(DeleteVersion{some}));
        break;
      case 4:
        if (random() % 20 == 0) pending.push_back(Of(DeleteSpeaker{}));
        break;
      default:
        break;
    }
    if (pending.empty()) continue;
    const size_t i = random() % pending.size();
    const Wish wish = pending[i];
    const uint64_t last = head_.last_version();
    const uint64_t deletions = head_.deletions();
    const auto granted = Make(wish);
    ASSERT_OK(ParseHead(SerializeHead(head_), "alice"));
    EXPECT_GE(head_.last_version(), last);
    EXPECT_GE(head_.deletions(), deletions);
    const auto* const publish = std::get_if<PublishVersion>(&wish.change);
    if (publish != nullptr && granted.ok() && granted->number != 0) {
      const auto [at, is_new] =
          given.emplace(publish->version.blob(), granted->number);
      EXPECT_EQ(at->second, granted->number);
      EXPECT_EQ(is_new, granted->changed);
    }
    // Some ask again: they had no answer.
    if (random() % 3 != 0) {
      pending.erase(pending.begin() + i);
    } else if (granted.ok() && granted->changed) {
      pending[i].sent_over = head_.changes() - 1;
    }
  }
  std::set<uint64_t> numbers;
  for (const auto& [blob, number] : given) {
    EXPECT_TRUE(numbers.insert(number).second) << number;
  }
  EXPECT_GT(numbers.size(), 300U);
}

}  // namespace
}  // namespace timbre
