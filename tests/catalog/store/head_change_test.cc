#include "server/catalog/store/head_change.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/monotonic_clock.h"
#include "tests/support/fake_object_store.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::FakeObjectStore;
using testing::Fault;

Patience Short() {
  return {.deadline = MonotonicNow() + absl::Milliseconds(60)};
}
Patience Long() { return {.deadline = MonotonicNow() + absl::Seconds(60)}; }

PublishVersion Blob(const std::string& blob) {
  PublishVersion change;
  change.version.set_blob(blob);
  return change;
}

class HeadChangeTest : public ::testing::Test {
 protected:
  absl::StatusOr<ChangedHead> Change(HeadChange change,
                                     const Patience& patience = Long()) {
    return ChangeHead(store_, "alice", std::move(change), patience);
  }
  storage::Head Head() {
    store_.SetFaults(nullptr);
    store_.Settle();
    auto known = ReadHead(store_, "alice", Long());
    EXPECT_TRUE(known.ok()) << known.status();
    return known.ok() ? known->head : storage::Head();
  }

  FakeObjectStore store_;
};

TEST_F(HeadChangeTest, ASpeakerBeginsWithoutAnObject) {
  const auto known = ReadHead(store_, "alice", Long());
  ASSERT_OK(known);
  EXPECT_TRUE(known->etag.empty());
  EXPECT_EQ(DetailsOf(Change(ActivateVersion{1}).status()).reason,
            "SPEAKER_NOT_FOUND");
  EXPECT_TRUE(store_.Contents().empty());
  const auto published = Change(Blob("b"));
  ASSERT_OK(published);
  EXPECT_EQ(published->number, 1U);
  const auto read = ReadHead(store_, "alice", Long());
  ASSERT_OK(read);
  EXPECT_EQ(read->etag, published->now.etag);
  EXPECT_EQ(store_.Contents().begin()->first, "heads/alice");
}

TEST_F(HeadChangeTest, ADamagedHeadIsNeitherBelievedNorWritten) {
  ASSERT_OK(Change(Blob("b")));
  const auto head = store_.Contents().at("heads/alice");
  ASSERT_OK(store_.Put("heads/alice", head.substr(1), {}, {}));
  EXPECT_TRUE(absl::IsDataLoss(Change(Blob("c")).status()));
  EXPECT_EQ(store_.Contents().at("heads/alice"), head.substr(1));
}

// What a change leads to is the same whatever becomes of each single call.
struct Case {
  const char* name;
  HeadChange change;
  std::function<bool(const storage::Head&)> is_done;
};
std::vector<Case> Cases() {
  return {
      {"publish", Blob("new"),
       [](const storage::Head& head) {
         return head.last_version() == 3 && head.active_version() == 3;
       }},
      {"activate", ActivateVersion{1},
       [](const storage::Head& head) { return head.active_version() == 1; }},
      {"delete version", DeleteVersion{1},
       [](const storage::Head& head) {
         return FindVersion(head, 1) == nullptr;
       }},
      {"delete speaker", DeleteSpeaker{},
       [](const storage::Head& head) { return head.deletions() == 1; }},
      {"tune", ApplyTuning{.number = 1, .tuning = {}, .source = 2},
       [](const storage::Head& head) {
         return FindVersion(head, 1)->tuning_source() == 2;
       }}};
}

TEST_F(HeadChangeTest, WhatIsSaidOfAChangeIsTrueAtEveryFault) {
  int told = 0;
  for (const Case& c : Cases()) {
    for (const Fault fault :
         {Fault::kNotDone, Fault::kDoneLost, Fault::kLater, Fault::kNever}) {
      for (int at = 0; at < 4; ++at) {
        for (const bool once : {true, false}) {
          SCOPED_TRACE(absl::StrCat(c.name, ", fault ", static_cast<int>(fault),
                                    " at ", at, ", ", once));
          store_.SetFaults(nullptr);
          ASSERT_OK(store_.Delete("heads/alice", {}));
          ASSERT_OK(Change(Blob("a")));
          ASSERT_OK(Change(Blob("b")));
          store_.SetFaults([&](int number, const std::string&) {
            return number == at || (number > at && !once) ? fault
                                                          : Fault::kNone;
          });
          const auto changed = Change(c.change, once ? Long() : Short());
          const bool is_done = c.is_done(Head());
          if (changed.ok()) {
            EXPECT_TRUE(is_done);
            ++told;
          } else if (!absl::IsUnknown(changed.status())) {
            EXPECT_TRUE(absl::IsUnavailable(changed.status()))
                << changed.status();
            EXPECT_FALSE(is_done);
            ++told;
          } else {
            EXPECT_FALSE(once) << changed.status();
          }
          EXPECT_EQ(Head().changes(), is_done ? 3U : 2U) << "once at most";
        }
      }
    }
  }
  EXPECT_GT(told, 60);
}

TEST_F(HeadChangeTest, ManyWritersLoseNothingWhateverFails) {
  constexpr int kWriters = 4;
  constexpr int kRounds = 100;
  std::mt19937 random(1);  // under the store's lock
  store_.SetFaults([&](int, const std::string&) {
    return random() % 4 != 0 ? Fault::kNone
                             : static_cast<Fault>(1 + random() % 4);
  });
  std::vector<std::set<uint64_t>> numbers(kWriters);
  std::vector<std::set<std::string>> refused(kWriters);
  std::atomic<size_t> unknown = 0;
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int round = 0; round < kRounds; ++round) {
        const std::string blob = absl::StrCat(w, ".", round);
        const auto published = Change(Blob(blob));
        if (published.ok()) {
          EXPECT_TRUE(numbers[w].insert(published->number).second);
        } else if (absl::IsUnavailable(published.status())) {
          refused[w].insert(blob);
        } else {
          // Too many others have written before it could look again.
          EXPECT_TRUE(absl::IsUnknown(published.status()))
              << published.status();
          ++unknown;
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  const storage::Head head = Head();
  std::set<uint64_t> all;
  std::set<std::string> blobs;
  for (int w = 0; w < kWriters; ++w) {
    for (const uint64_t number : numbers[w]) {
      EXPECT_TRUE(all.insert(number).second) << number << " was given twice";
    }
    blobs.insert(refused[w].begin(), refused[w].end());
  }
  EXPECT_EQ(all.size() + blobs.size() + unknown, size_t{kWriters} * kRounds);
  const auto there = static_cast<size_t>(head.versions_size());
  EXPECT_EQ(head.last_version(), there);
  EXPECT_GE(there, all.size());
  EXPECT_LE(there, all.size() + unknown);
  for (const auto& version : head.versions()) {
    all.erase(version.number());
    EXPECT_FALSE(blobs.contains(version.blob())) << "was said not to be done";
  }
  EXPECT_TRUE(all.empty()) << "was lost";
}

}  // namespace
}  // namespace timbre
