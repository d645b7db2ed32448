#include "server/base/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include "server/base/file_system.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::TempDir;

constexpr size_t kBytes = 64 * 4096;

std::unique_ptr<MappedFile> MapOnes(const std::string& path) {
  EXPECT_TRUE(WriteFileDurably(path, std::string(kBytes, '\1')).ok());
  auto file = MappedFile::Open(path, kBytes);
  EXPECT_TRUE(file.ok());
  return *std::move(file);
}

int Sum(const MappedFile& file) {
  return std::accumulate(file.data(), file.data() + file.size(), 0);
}

TEST(MappedFileTest, HoldsTheFile) {
  const TempDir dir;
  const auto file = MapOnes(dir.File("f"));
  EXPECT_EQ(Sum(*file), static_cast<int>(kBytes));
  EXPECT_TRUE(file->Check().ok());
}

TEST(MappedFileTest, AnotherSizeIsDataLoss) {
  const TempDir dir;
  MapOnes(dir.File("f"));
  EXPECT_EQ(MappedFile::Open(dir.File("f"), kBytes + 1).status().code(),
            absl::StatusCode::kDataLoss);
  ASSERT_OK(WriteFileDurably(dir.File("empty"), ""));
  EXPECT_EQ(MappedFile::Open(dir.File("empty"), 0).status().message(),
            dir.File("empty") + " is empty");
  EXPECT_EQ(MappedFile::Open(dir.File("none"), 1).status().code(),
            absl::StatusCode::kDataLoss);
}

// How many pages of [data, data + bytes) this process has mapped.
size_t MappedPages(const char* data, size_t bytes) {
  constexpr uint64_t kPresent = uint64_t{1} << 63;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(data) / page;
  std::vector<uint64_t> entries((bytes + page - 1) / page);
  const int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const size_t wanted = entries.size() * sizeof(uint64_t);
  EXPECT_EQ(pread(map, entries.data(), wanted,
                  static_cast<off_t>(first * sizeof(uint64_t))),
            static_cast<ssize_t>(wanted));
  close(map);
  return static_cast<size_t>(
      std::count_if(entries.begin(), entries.end(),
                    [](uint64_t entry) { return (entry & kPresent) != 0; }));
}

TEST(MappedFileTest, WhatIsPrefaultedIsMapped) {
  const TempDir dir;
  const auto file = MapOnes(dir.File("f"));
  EXPECT_EQ(MappedPages(file->data(), kBytes), 0U);
  file->Prefault(1, kBytes / 2 - 1);
  if (MappedPages(file->data(), kBytes) == 0) {
    GTEST_SKIP() << "not before Linux 5.14";
  }
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  EXPECT_GE(MappedPages(file->data(), kBytes / 2), kBytes / 2 / page);
}

TEST(MappedFileTest, PrefaultingWhatIsGoneDoesNothing) {
  const TempDir dir;
  const auto file = MapOnes(dir.File("f"));
  ASSERT_EQ(truncate(dir.File("f").c_str(), 100), 0);
  file->Prefault(0, kBytes);
  file->Prefault(kBytes, 10 * kBytes);
  EXPECT_FALSE(file->damaged());  // nothing was read
}

TEST(MappedFileTest, UsesAreCountedAndSoIsWhatIsWarm) {
  const TempDir dir;
  const auto file = MapOnes(dir.File("f"));
  EXPECT_EQ(file->uses(), 0U);
  EXPECT_EQ(file->CountUse(), 1U);
  EXPECT_EQ(file->CountUse(), 2U);
  EXPECT_EQ(file->warm_bytes(), 0U);
  file->WarmOn();
  EXPECT_EQ(file->warm_bytes(), kHugePageBytes);
  file->WarmOn();
  EXPECT_EQ(file->warm_bytes(), 2 * kHugePageBytes);
  EXPECT_TRUE(file->StartWarming());
  EXPECT_FALSE(file->StartWarming());
}

TEST(MappedFileTest, WhatSeveralThreadsWarmHasNoGap) {
  const TempDir dir;
  const auto file = MapOnes(dir.File("f"));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&file] {
      while (file->warm_bytes() < file->size()) file->WarmOn();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(file->warm_bytes() % kHugePageBytes, 0U);
  EXPECT_GE(file->warm_bytes(), file->size());
}

TEST(MappedFileTest, WhatWasSaidToBeColdIsStillThere) {
  const TempDir dir;
  const auto file = MapOnes(dir.File("f"));
  file->SayCold();
  EXPECT_EQ(file->data()[100], file->data()[0]);
  EXPECT_TRUE(file->Check().ok());
}

TEST(MappedFileTest, FileThatShrinksReadsAsZerosAndIsDamaged) {
  const TempDir dir;
  const auto shrunk = MapOnes(dir.File("shrunk"));
  const auto whole = MapOnes(dir.File("whole"));
  ASSERT_EQ(truncate(dir.File("shrunk").c_str(), kBytes / 2), 0);
  EXPECT_FALSE(shrunk->damaged());
  EXPECT_EQ(Sum(*shrunk), static_cast<int>(kBytes / 2));
  EXPECT_TRUE(shrunk->damaged());
  EXPECT_EQ(shrunk->Check().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Sum(*whole), static_cast<int>(kBytes));
  EXPECT_FALSE(whole->damaged());
}

TEST(MappedFileTest, WhatIsMissingOfTheLastPageIsNoticedWithoutASignal) {
  const TempDir dir;
  const auto file = MapOnes(dir.File("f"));
  ASSERT_EQ(truncate(dir.File("f").c_str(), kBytes - 1), 0);
  EXPECT_FALSE(file->damaged());
  EXPECT_EQ(file->Check().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(file->damaged());
  // Nor does it help that it is as long as it was.
  ASSERT_EQ(truncate(dir.File("f").c_str(), kBytes), 0);
  EXPECT_EQ(file->Check().code(), absl::StatusCode::kDataLoss);
}

TEST(MappedFileTest, AFileOfZerosThatShrinksIsDamaged) {
  const TempDir dir;
  ASSERT_OK(WriteFileDurably(dir.File("f"), std::string(kBytes, '\0')));
  const auto file = MappedFile::Open(dir.File("f"), kBytes);
  ASSERT_OK(file);
  EXPECT_TRUE((*file)->Check().ok());
  ASSERT_EQ(truncate(dir.File("f").c_str(), kBytes / 2), 0);
  EXPECT_EQ((*file)->Check().code(), absl::StatusCode::kDataLoss);
}

TEST(MappedFileTest, DeletedOrReplacedItIsWhole) {
  const TempDir dir;
  const auto deleted = MapOnes(dir.File("deleted"));
  const auto replaced = MapOnes(dir.File("replaced"));
  ASSERT_OK(RemoveTree(dir.File("deleted")));
  ASSERT_OK(WriteFileDurably(dir.File("replaced"), "short"));
  for (const MappedFile* const file : {deleted.get(), replaced.get()}) {
    EXPECT_TRUE(file->Check().ok());
    EXPECT_EQ(Sum(*file), static_cast<int>(kBytes));
  }
}

TEST(MappedFileTest, HoldsNoDescriptor) {
  const TempDir dir;
  const size_t before = ListDirectory("/proc/self/fd")->size();
  const auto file = MapOnes(dir.File("f"));
  EXPECT_EQ(ListDirectory("/proc/self/fd")->size(), before);
}

TEST(MappedFileTest, ManyThreadsMayMeetTheSameDamage) {
  const TempDir dir;
  const auto file = MapOnes(dir.File("f"));
  ASSERT_EQ(truncate(dir.File("f").c_str(), 4096), 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&file] { EXPECT_EQ(Sum(*file), 4096); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(file->damaged());
}

TEST(MappedFileTest, SlotsAreReused) {
  const TempDir dir;
  for (int i = 0; i < 3000; ++i) {
    const auto file = MapOnes(dir.File("f"));
    ASSERT_FALSE(file->damaged());
    if (i == 10) {
      ASSERT_EQ(truncate(dir.File("f").c_str(), 0), 0);
      ASSERT_EQ(Sum(*file), 0);
      ASSERT_TRUE(file->damaged());
    }
    if (i == 50) break;
  }
}

}  // namespace
}  // namespace timbre
