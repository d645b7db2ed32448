// S3Store against a real S3 server, which tests/support/with_s3 starts.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/objects/s3_store.h"
#include "server/objects/self_test.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::TempDir;

std::optional<std::string> Environment(const char* name) {
  const char* const value = getenv(name);
  if (value == nullptr) return std::nullopt;
  return value;
}

class ObjectStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto endpoint = Environment("TIMBRE_S3_ENDPOINT");
    if (!endpoint) GTEST_SKIP() << "there is no S3 server";
    static std::atomic<int> tests = 0;
    store_ = Connect(absl::StrCat("s3://timbre/test-", getpid(), "-", ++tests));
  }
  static std::unique_ptr<S3Store> Connect(const std::string& store) {
    return *S3Store::Create(
        {.target = *S3Target::Parse(store, *Environment("TIMBRE_S3_ENDPOINT"),
                                    "", true),
         .credentials = CredentialSources::FromEnvironment(Environment)});
  }
  std::string Contents(const std::string& key) {
    auto got = store_->Get(key, "", 1 << 20, {});
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() ? (*got)->bytes : "";
  }

  std::unique_ptr<S3Store> store_;
};

TEST_F(ObjectStoreTest, WhatIsPutIsGot) {
  const std::string bytes("a\0\n\xff", 4);
  const auto etag = store_->Put("heads/a.b-c_d", bytes, Condition::None(), {});
  ASSERT_OK(etag);
  EXPECT_FALSE(etag->empty());
  auto got = store_->Get("heads/a.b-c_d", "", 4, {});
  ASSERT_OK(got);
  EXPECT_EQ((*got)->bytes, bytes);
  EXPECT_EQ((*got)->etag, *etag);
  EXPECT_TRUE(
      absl::IsOutOfRange(store_->Get("heads/a.b-c_d", "", 3, {}).status()));
  // Unchanged.
  got = store_->Get("heads/a.b-c_d", *etag, 4, {});
  ASSERT_OK(got);
  EXPECT_FALSE(got->has_value());
  got = store_->Get("heads/a.b-c_d", "0123", 4, {});
  ASSERT_OK(got);
  EXPECT_TRUE(got->has_value());
  const auto size = store_->Size("heads/a.b-c_d", {});
  ASSERT_OK(size);
  EXPECT_EQ(*size, 4U);
}

TEST_F(ObjectStoreTest, WhatIsNotThereIsNotFound) {
  for (const absl::Status& status :
       {store_->Get("none", "", 4, {}).status(),
        store_->Size("none", {}).status(),
        store_->GetFile("none", 4, [](auto) { return absl::OkStatus(); },
                        {})}) {
    EXPECT_EQ(DetailsOf(status).reason, "NO_SUCH_OBJECT") << status;
  }
  ASSERT_OK(store_->Delete("none", {}));
  const auto other = Connect("s3://timbre-none/p");
  EXPECT_EQ(DetailsOf(other->Get("a", "", 4, {}).status()).reason,
            "NO_SUCH_BUCKET");
}

TEST_F(ObjectStoreTest, ConditionsAreHonoured) {
  ASSERT_OK(ProveConditions(*store_, {}));
  const auto left = store_->List("self-test/", "", {});
  ASSERT_OK(left);
  EXPECT_TRUE(left->objects.empty());
}

TEST_F(ObjectStoreTest, OfManyWritersOneWinsEachTime) {
  constexpr int kWriters = 8;
  constexpr int kRounds = 10;
  std::atomic<int> wins = 0;
  ASSERT_OK(store_->Put("head", "-", Condition::Absent(), {}));
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int round = 0; round < kRounds;) {
        const auto head = store_->Get("head", "", 1 << 20, {});
        ASSERT_OK(head);
        const std::string next =
            absl::StrCat((*head)->bytes, w, ".", round, "-");
        const auto put =
            store_->Put("head", next, Condition::Etag((*head)->etag), {});
        if (put.ok()) {
          ++round;
          ++wins;
        } else {
          ASSERT_TRUE(absl::IsFailedPrecondition(put.status()) ||
                      absl::IsUnknown(put.status()))
              << put.status();
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(wins, kWriters * kRounds);
  const std::string head = Contents("head");
  for (int w = 0; w < kWriters; ++w) {
    for (int round = 0; round < kRounds; ++round) {
      EXPECT_NE(head.find(absl::StrCat("-", w, ".", round, "-")),
                std::string::npos)
          << w << "." << round << " was lost";
    }
  }
}

TEST_F(ObjectStoreTest, FilesOfEverySizeGoUpAndComeDown) {
  const TempDir directory;
  std::mt19937 random(1);
  for (const uint64_t bytes :
       {uint64_t{0}, uint64_t{1}, uint64_t{8 << 20}, uint64_t{(8 << 20) + 1},
        uint64_t{(40 << 20) + 12345}}) {
    std::string contents(bytes, '\0');
    for (char& c : contents) c = static_cast<char>(random());
    std::ofstream(directory.File("f")) << contents;
    const std::string key = absl::StrCat("v/alice/", bytes, "/frames.npy");
    ASSERT_OK(store_->PutFile(key, directory.File("f"), {}));
    const auto size = store_->Size(key, {});
    ASSERT_OK(size);
    EXPECT_EQ(*size, bytes);
    std::string got;
    ASSERT_OK(store_->GetFile(key, bytes,
                              [&](absl::string_view piece) {
                                absl::StrAppend(&got, piece);
                                return absl::OkStatus();
                              },
                              {}));
    EXPECT_EQ(got, contents);
    if (bytes > 1) {
      EXPECT_TRUE(absl::IsDataLoss(store_->GetFile(
          key, bytes - 1, [](auto) { return absl::OkStatus(); }, {})))
          << bytes;
    }
  }
}

TEST_F(ObjectStoreTest, AListingHasEveryObjectOnce) {
  constexpr int kObjects = 1100;
  std::vector<std::string> keys;
  for (int i = 0; i < kObjects; ++i) keys.push_back(absl::StrCat("heads/", i));
  std::atomic<int> next = 0;
  std::vector<std::thread> writers;
  for (int w = 0; w < 8; ++w) {
    writers.emplace_back([&] {
      for (int i = next++; i < kObjects; i = next++) {
        ASSERT_OK(store_->Put(keys[i], keys[i], Condition::Absent(), {}));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  ASSERT_OK(store_->Put("other", "x", Condition::None(), {}));
  std::map<std::string, std::string> listed;
  std::string page;
  int pages = 0;
  do {
    const auto got = store_->List("heads/", page, {});
    ASSERT_OK(got);
    for (const ListedObject& object : got->objects) {
      EXPECT_TRUE(listed.emplace(object.key, object.etag).second);
      EXPECT_EQ(object.bytes, object.key.size());
    }
    page = got->next;
    ++pages;
  } while (!page.empty());
  EXPECT_EQ(pages, 2);
  EXPECT_EQ(listed.size(), keys.size());
  int got = 0;
  ASSERT_OK(store_->GetAll(keys, 100,
                           [&](size_t i, absl::StatusOr<Object> object) {
                             EXPECT_TRUE(object.ok()) << object.status();
                             EXPECT_EQ(object->bytes, keys[i]);
                             EXPECT_EQ(object->etag, listed[keys[i]]);
                             EXPECT_EQ(static_cast<int>(i), got++)
                                 << "in order";
                             return absl::OkStatus();
                           },
                           {}));
  EXPECT_EQ(got, kObjects);
}

}  // namespace
}  // namespace timbre
