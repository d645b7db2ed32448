// npy, feature_files and synth of the client library.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "client/files/feature_files.h"
#include "client/files/npy.h"
#include "client/files/synth.h"
#include "server/base/file_system.h"
#include "server/engine/frames/frame_writer.h"
#include "tests/support/testing.h"

namespace timbre::client {
namespace {

using timbre::testing::TempDir;

TEST(NpyTest, FloatsSurviveTheRoundTrip) {
  const TempDir dir;
  const FrameMatrix matrix{{1, 2, 3, 4.5F, 5, -6}, 2, 3};
  ASSERT_OK(WriteNpy(dir.File("f.npy"), matrix));
  const auto read = ReadNpy(dir.File("f.npy"));
  ASSERT_OK(read);
  EXPECT_EQ(read->data, matrix.data);
  EXPECT_EQ(read->rows, 2U);
  EXPECT_EQ(read->columns, 3U);
}

TEST(NpyTest, WhatTheServerStoresIsReadInBothTypes) {
  for (const ElementType type :
       {ElementType::kFloat32, ElementType::kFloat16}) {
    const TempDir dir;
    const FrameMatrix matrix{{1, 2, 3, 4.5F, 5, -6}, 2, 3};
    auto writer =
        FrameWriter::Create(dir.File("f.npy"), type, 3, false, BestKernels());
    ASSERT_OK(writer);
    ASSERT_OK(writer->Append(matrix.data.data(), 2));
    ASSERT_OK(writer->Finish());
    const auto read = ReadNpy(dir.File("f.npy"));
    ASSERT_OK(read);
    EXPECT_EQ(read->data, matrix.data);
  }
}

TEST(NpyTest, FilesThatAreNoFramesAreExplained) {
  const TempDir dir;
  EXPECT_EQ(ReadNpy(dir.File("none")).status().code(),
            absl::StatusCode::kNotFound);
  ASSERT_OK(WriteNpy(dir.File("ids.npy"), Matrix<int64_t>{{1, 2}, 1, 2}));
  EXPECT_NE(ReadNpy(dir.File("ids.npy")).status().message().find("<i8"),
            absl::string_view::npos);
  ASSERT_OK(WriteNpy(dir.File("f.npy"), FrameMatrix{{1, 2, 3, 4}, 2, 2}));
  const std::string whole = *ReadFile(dir.File("f.npy"));
  for (const size_t bytes :
       {size_t{0}, size_t{5}, size_t{20}, whole.size() - 1}) {
    ASSERT_OK(WriteFileDurably(dir.File("cut.npy"), whole.substr(0, bytes)));
    EXPECT_EQ(ReadNpy(dir.File("cut.npy")).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bytes;
  }
}

TEST(NpyTest, FilesAppearWholeOrNotAtAll) {
  const TempDir dir;
  const FrameMatrix matrix{std::vector<float>(100'000, 1), 100, 1000};
  EXPECT_EQ(WriteNpy("/dev/full", matrix).code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_OK(WriteNpy("/dev/null", matrix));
  EXPECT_FALSE(WriteNpy(dir.File("none/f.npy"), matrix).ok());
  EXPECT_FALSE(WriteNpy(dir.path(), matrix).ok()) << "a directory";
  // What a link leads to is replaced, the link stays.
  ASSERT_OK(WriteFileDurably(dir.File("f.npy"), "old"));
  std::filesystem::create_symlink(dir.File("f.npy"), dir.File("link.npy"));
  ASSERT_OK(WriteNpy(dir.File("link.npy"), matrix));
  EXPECT_EQ(ReadNpy(dir.File("f.npy"))->rows, 100U);
  // A part that cannot be made leaves the old file as it is.
  std::filesystem::create_directory(dir.File("f.npy.part"));
  EXPECT_FALSE(WriteNpy(dir.File("f.npy"), FrameMatrix{{1}, 1, 1}).ok());
  EXPECT_EQ(ReadNpy(dir.File("f.npy"))->rows, 100U);
}

TEST(FeatureFilesTest, DirectoriesAreReadInSortedOrder) {
  const TempDir dir;
  for (const char* const name :
       {"b.npy", "a.npy", "10.npy", "9.npy", "x.txt"}) {
    ASSERT_OK(WriteFileDurably(dir.File(name), "x"));
  }
  const auto files = ListFeatureFiles({dir.path(), dir.File("x.txt")});
  ASSERT_OK(files);
  EXPECT_EQ(*files,
            (std::vector<std::string>{dir.File("10.npy"), dir.File("9.npy"),
                                      dir.File("a.npy"), dir.File("b.npy"),
                                      dir.File("x.txt")}));
  EXPECT_EQ(ListFeatureFiles({"/nonexistent"}).status().code(),
            absl::StatusCode::kNotFound);
  ASSERT_OK(MakeDirectories(dir.File("empty")));
  EXPECT_EQ(ListFeatureFiles({dir.File("empty")}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(FeatureFilesTest, HiddenNamesAreSkippedAsAShellDoes) {
  const TempDir dir;
  ASSERT_OK(WriteNpy(dir.File("0.npy"), FrameMatrix{{1, 2}, 1, 2}));
  for (const char* const name : {"._0.npy", ".DS_Store", ".npy"}) {
    ASSERT_OK(WriteFileDurably(dir.File(name), "left by a Mac"));
  }
  const auto files = ListFeatureFiles({dir.path()});
  ASSERT_OK(files);
  EXPECT_EQ(*files, std::vector<std::string>{dir.File("0.npy")});
  // What a shell's *.npy finds is read, and named if it is none.
  ASSERT_OK(WriteFileDurably(dir.File("1.npy"), "foreign"));
  FeatureReader reader(*ListFeatureFiles({dir.path()}));
  ASSERT_OK(reader.Next());
  const absl::Status status = reader.Next().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find(dir.File("1.npy")), absl::string_view::npos);
}

TEST(SynthTest, HasTheStatisticsOfRealFeatures) {
  for (const uint32_t dimension : {256U, 768U}) {
    const FrameMatrix frames = FeatureSynth(1, dimension).Next(4000);
    std::vector<double> neighbours;
    double norm = 0;
    double random = 0;
    const auto distance = [&](uint64_t i, uint64_t j) {
      double sum = 0;
      for (uint32_t d = 0; d < dimension; ++d) {
        sum += std::pow(double{frames.row(i)[d]} - frames.row(j)[d], 2);
      }
      return sum;
    };
    for (uint64_t i = 0; i + 1 < frames.rows; ++i) {
      for (uint32_t d = 0; d < dimension; ++d) {
        norm += frames.row(i)[d] * frames.row(i)[d];
      }
      neighbours.push_back(distance(i, i + 1));
      random += distance(i, (i * 2017 + 1009) % frames.rows);
    }
    std::sort(neighbours.begin(), neighbours.end());
    const double n = static_cast<double>(frames.rows - 1);
    EXPECT_GT(std::sqrt(norm / n), 9);
    EXPECT_LT(std::sqrt(norm / n), 13);
    EXPECT_GT(neighbours[neighbours.size() / 2], 9);
    EXPECT_LT(neighbours[neighbours.size() / 2], 35);
    EXPECT_GT(random / n, 130);
    EXPECT_LT(random / n, 200);
    EXPECT_EQ(neighbours[0], 0) << "silence repeats a frame exactly";
  }
}

TEST(SynthTest, TheSameSeedGivesTheSameBytesAndAnotherDoesNot) {
  const FrameMatrix a = FeatureSynth(7, 64).Next(100);
  EXPECT_EQ(a.data, FeatureSynth(7, 64).Next(100).data);
  EXPECT_NE(a.data, FeatureSynth(8, 64).Next(100).data);
  // Pinned: other builds and machines must agree.
  double sum = 0;
  for (const float x : a.data) sum += x;
  EXPECT_NEAR(sum, -865.798372, 1e-3);
}

}  // namespace
}  // namespace timbre::client
