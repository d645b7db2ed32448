// Built indices against exact search and against faiss itself.
#include "server/engine/search/speaker_index.h"

#include <faiss/IndexIVF.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_io.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cfloat>
#include <cmath>
#include <filesystem>
#include <set>
#include <tuple>

#include "server/base/file_system.h"
#include "server/engine/faiss/faiss_export.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::BuildFrames;
using testing::ExactSearch;
using testing::FrameMatrix;
using testing::kBuiltFrames;
using testing::kBuiltIndex;
using testing::OpenBuilt;
using testing::Speech;
using testing::TempDir;

struct Results {
  std::vector<int64_t> ids;
  std::vector<float> distances;
};

Results Search(const SpeakerIndex& index, const FrameMatrix& queries,
               const SearchSettings& settings) {
  Results results;
  results.ids.resize(queries.rows * settings.k);
  results.distances.resize(queries.rows * settings.k);
  SearchScratch scratch;
  EXPECT_TRUE(index
                  .Search(queries.data.data(), queries.rows, settings, scratch,
                          results.ids.data(), results.distances.data())
                  .ok());
  return results;
}

struct Case {
  std::string factory;
  Metric metric;
  uint32_t dimension;
  std::optional<ElementType> storage;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.factory << " " << MetricName(c.metric) << " " << c.dimension;
}

class SpeakerIndexTest : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr uint64_t kRows = 3000;

  void SetUp() override {
    frames_ = Speech(kRows, GetParam().dimension, 1);
    if (GetParam().storage == ElementType::kFloat32) {
      for (float& x : frames_.data) x *= 1.0001F;  // off the float16 grid
    }
    queries_ = Speech(100, GetParam().dimension, 2);
    const auto built = BuildFrames(dir_.path(), frames_,
                                   {.metric = GetParam().metric,
                                    .factory = GetParam().factory,
                                    .storage = GetParam().storage});
    ASSERT_OK(built);
    result_ = *built;
    auto index = OpenBuilt(dir_.path(), *built, GetParam().dimension,
                           GetParam().metric, BestKernels());
    ASSERT_OK(index);
    index_ = *std::move(index);
  }

  // What faiss makes of the exported file.
  std::unique_ptr<faiss::Index> Exported(bool ivf_flat, uint32_t nprobe) {
    const ExportDefaults defaults{.nprobe = nprobe, .k_factor = 4};
    ByteSource source = ivf_flat
                            ? ExportIvfFlat(index_->export_input(), defaults)
                            : ExportAsBuilt(index_->export_input(),
                                            dir_.File(kBuiltIndex), defaults);
    EXPECT_TRUE(WriteToFile(source, dir_.File("export.index")).ok());
    return std::unique_ptr<faiss::Index>(
        faiss::read_index(dir_.File("export.index").c_str()));
  }

  TempDir dir_;
  FrameMatrix frames_;
  FrameMatrix queries_;
  BuildResult result_;
  std::unique_ptr<SpeakerIndex> index_;
};

TEST_P(SpeakerIndexTest, ProbingEverythingWithEnoughCandidatesIsExact) {
  const bool half = result_.spec.refine == RefineKind::kHalf;
  const SearchSettings settings{
      .k = 8, .nprobe = std::max(1U, result_.spec.nlist), .candidates = 1500};
  const Results found = Search(*index_, queries_, settings);
  for (uint64_t q = 0; q < queries_.rows; ++q) {
    const auto exact =
        ExactSearch(frames_, queries_.row(q), GetParam().metric, 8);
    for (size_t i = 0; i < 8; ++i) {
      // Half-precision refinement rounds the rows.
      const double tolerance = half ? 2e-3 : 1e-5;
      ASSERT_NEAR(found.distances[q * 8 + i], exact.distances[i],
                  tolerance * std::max(1.0, std::fabs(exact.distances[i])))
          << "query " << q << " place " << i;
    }
  }
}

TEST_P(SpeakerIndexTest, AgreesWithFaissOnTheSameIndex) {
  if (result_.spec.kind == IndexKind::kFlat) return;
  for (const uint32_t nprobe : {1U, 4U, 16U}) {
    const auto faiss_index = Exported(false, nprobe);
    std::vector<int64_t> ids(queries_.rows * 8);
    std::vector<float> distances(queries_.rows * 8);
    // Query by query: faiss's answers depend on the batch.
    for (uint64_t q = 0; q < queries_.rows; ++q) {
      faiss_index->search(1, queries_.row(q), 8, &distances[q * 8],
                          &ids[q * 8]);
    }
    const Results ours =
        Search(*index_, queries_, {.k = 8, .nprobe = nprobe, .candidates = 32});
    size_t same = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      const bool equal_distance = std::fabs(ours.distances[i] - distances[i]) <=
                                  1e-4 * std::fabs(distances[i]);
      if (ours.ids[i] == ids[i] || equal_distance) ++same;
    }
    EXPECT_GE(static_cast<double>(same),
              0.999 * static_cast<double>(ids.size()))
        << "nprobe " << nprobe;
  }
}

TEST_P(SpeakerIndexTest, ExportedIvfFlatFindsTheSameNeighboursInFaiss) {
  const auto faiss_index = Exported(true, 1);
  EXPECT_EQ(faiss_index->ntotal, static_cast<int64_t>(kRows));
  std::vector<int64_t> ids(8);
  std::vector<float> distances(8);
  size_t good = 0;
  for (uint64_t q = 0; q < queries_.rows; ++q) {
    faiss_index->search(1, queries_.row(q), 8, distances.data(), ids.data());
    const Results ours = Search(
        *index_,
        FrameMatrix{{queries_.row(q), queries_.row(q) + queries_.columns},
                    1,
                    queries_.columns},
        {.k = 8, .nprobe = 1, .candidates = 3000});
    // Silence holds duplicates, which faiss orders otherwise.
    const float tolerance = 1e-4F * std::fabs(distances[0]);
    if (ours.ids[0] == ids[0] ||
        std::fabs(ours.distances[0] - distances[0]) <= tolerance) {
      ++good;
    }
  }
  EXPECT_GE(good, 98U);
}

TEST_P(SpeakerIndexTest, AnAnswerDependsOnNothingButItsFrame) {
  const SearchSettings settings{.k = 8, .nprobe = 4, .candidates = 32};
  const Results together = Search(*index_, queries_, settings);
  for (uint64_t q = 0; q < queries_.rows; ++q) {
    const FrameMatrix one{{queries_.row(q), queries_.row(q) + queries_.columns},
                          1,
                          queries_.columns};
    const Results alone = Search(*index_, one, settings);
    for (size_t i = 0; i < 8; ++i) {
      ASSERT_EQ(alone.ids[i], together.ids[q * 8 + i]);
      ASSERT_EQ(alone.distances[i], together.distances[q * 8 + i]);
    }
  }
}

TEST_P(SpeakerIndexTest, MemoryBesidesTheMappedFramesIsBounded) {
  const size_t bound = kRows * (GetParam().dimension / 4 + 24) +
                       size_t{4} * result_.spec.nlist * GetParam().dimension +
                       (1 << 20);
  EXPECT_LE(index_->resident_bytes(), bound);
}

TEST_P(SpeakerIndexTest, MemoryIsKnownToAFewPercentBeforeItIsOpened) {
  const size_t most =
      SpeakerIndex::MostResidentBytes({.spec = result_.spec,
                                       .rows = result_.rows,
                                       .dimension = GetParam().dimension});
  EXPECT_LE(index_->resident_bytes(), most);
  EXPECT_GE(index_->resident_bytes(), 0.9 * static_cast<double>(most));
}

TEST_P(SpeakerIndexTest, SimdLevelsFindTheSame) {
  const SearchSettings settings{.k = 8, .nprobe = 4, .candidates = 32};
  const Results best = Search(*index_, queries_, settings);
  for (const KernelTable* const kernels : SupportedKernels()) {
    const auto other = OpenBuilt(dir_.path(), result_, GetParam().dimension,
                                 GetParam().metric, *kernels);
    ASSERT_OK(other);
    const Results found = Search(**other, queries_, settings);
    size_t same = 0;
    for (size_t i = 0; i < best.ids.size(); ++i) {
      if (best.ids[i] == found.ids[i]) ++same;
    }
    EXPECT_GE(same, best.ids.size() * 99 / 100) << kernels->name;
  }
}

TEST_P(SpeakerIndexTest, MissingNeighboursAreMinusOne) {
  const SearchSettings settings{.k = 1024, .nprobe = 1, .candidates = 1024};
  const Results found = Search(*index_, queries_, settings);
  const float missing = GetParam().metric == Metric::kL2 ? FLT_MAX : -FLT_MAX;
  for (size_t i = 0; i < found.ids.size(); ++i) {
    ASSERT_GE(found.ids[i], -1);
    ASSERT_LT(found.ids[i], static_cast<int64_t>(kRows));
    ASSERT_EQ(found.ids[i] == -1, found.distances[i] == missing);
  }
  for (uint64_t q = 0; q < queries_.rows; ++q) {
    std::set<int64_t> unique;
    for (size_t i = 0; i < 1024; ++i) {
      const int64_t id = found.ids[q * 1024 + i];
      if (id >= 0) {
        EXPECT_TRUE(unique.insert(id).second);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, SpeakerIndexTest,
    ::testing::Values(
        Case{"Flat", Metric::kL2, 32, {}},
        Case{"Flat", Metric::kCosine, 33, ElementType::kFloat32},
        Case{"IVF40,Flat", Metric::kL2, 32, {}},
        Case{"IVF40,Flat", Metric::kInnerProduct, 32, ElementType::kFloat32},
        Case{"IVF40,Flat", Metric::kCosine, 31, {}},
        Case{"IVF64,PQ128x4fs,RFlat", Metric::kL2, 256, {}},
        Case{"IVF64,PQ128x4fs,RFlat", Metric::kL2, 256, ElementType::kFloat32},
        Case{"IVF32,PQ63x4fs,RFlat", Metric::kL2, 126, {}},
        Case{"IVF64,PQ384x4fs,RFlat", Metric::kL2, 768, {}},
        Case{"IVF64,PQ64x4fs,RFlat", Metric::kInnerProduct, 128, {}},
        // Lists enough for fewer dimensions.
        Case{"IVF256,PQ128x4fs,RFlat", Metric::kL2, 256, {}},
        Case{"IVF256,PQ128x4fs,RFlat", Metric::kCosine, 256, {}},
        Case{"IVF256,Flat", Metric::kInnerProduct, 256, {}},
        Case{"IVF64,PQ64x4fs,RFlat", Metric::kCosine, 128,
             ElementType::kFloat32},
        Case{"IVF64,PQ64x4fs,Refine(SQfp16)", Metric::kL2, 128,
             ElementType::kFloat32},
        Case{"IVF64,PQ64x4fs,Refine(SQfp16)", Metric::kCosine, 128, {}}));

TEST(SpeakerIndexEdgeTest, CentroidsOfSpeechAreFoundInFewerDimensions) {
  TempDir dir;
  const auto built = BuildFrames(dir.path(), Speech(3000, 256, 1),
                                 {.factory = "IVF256,PQ128x4fs,RFlat"});
  ASSERT_OK(built);
  const auto index =
      OpenBuilt(dir.path(), *built, 256, Metric::kL2, BestKernels());
  ASSERT_OK(index);
  const CoarseQuantizer coarse(*(*index)->parts(), Metric::kL2, BestKernels());
  EXPECT_LE(coarse.coordinates(), 128U);
}

TEST(SpeakerIndexEdgeTest, OneScratchServesVoicesOfAllShapes) {
  struct Voice {
    std::unique_ptr<TempDir> dir;
    std::unique_ptr<SpeakerIndex> index;
    FrameMatrix queries;
    Results expected;
  };
  const SearchSettings settings{.k = 8, .nprobe = 9, .candidates = 40};
  std::vector<Voice> voices;
  for (const auto& [factory, rows, dimension] :
       {std::tuple<std::string, uint64_t, uint32_t>{"IVF9,PQ8x4fs,RFlat", 400,
                                                    16},
        {"IVF300,PQ64x4fs,RFlat", 3000, 128},
        {"Flat", 50, 7},
        {"IVF20,Flat", 900, 24}}) {
    Voice voice{.dir = std::make_unique<TempDir>(),
                .queries = Speech(70, dimension, 2)};
    const auto built = BuildFrames(
        voice.dir->path(), Speech(rows, dimension, 1), {.factory = factory});
    ASSERT_OK(built);
    auto index = OpenBuilt(voice.dir->path(), *built, dimension, Metric::kL2,
                           BestKernels());
    ASSERT_OK(index);
    voice.index = *std::move(index);
    voice.expected = Search(*voice.index, voice.queries, settings);
    voices.push_back(std::move(voice));
  }
  SearchScratch scratch;
  for (const size_t i : {1, 0, 2, 3, 1, 2, 0, 3, 0, 1}) {
    const Voice& voice = voices[i];
    Results found = voice.expected;
    std::fill(found.ids.begin(), found.ids.end(), -7);
    ASSERT_OK(voice.index->Search(voice.queries.data.data(), voice.queries.rows,
                                  settings, scratch, found.ids.data(),
                                  found.distances.data()));
    EXPECT_EQ(found.ids, voice.expected.ids) << i;
    EXPECT_EQ(found.distances, voice.expected.distances) << i;
  }
}

TEST(SpeakerIndexEdgeTest, SmallVoicesOfEveryKindBuildAndAnswer) {
  for (const uint64_t rows : {1, 2, 8, 15, 16, 31, 39}) {
    for (const char* const factory :
         {"", "Flat", "IVF64,Flat", "IVF64,PQ16x4fs,RFlat"}) {
      const TempDir dir;
      const FrameMatrix frames = Speech(rows, 32, 5);
      const auto built = BuildFrames(dir.path(), frames, {.factory = factory});
      ASSERT_OK(built);
      EXPECT_EQ(built->spec.nlist, std::string(factory).substr(0, 3) == "IVF"
                                       ? std::min<uint64_t>(rows, 64)
                                       : 0);
      const auto index =
          OpenBuilt(dir.path(), *built, 32, Metric::kL2, BestKernels());
      ASSERT_OK(index);
      const Results found = Search(**index, frames,
                                   {.k = 1,
                                    .nprobe = std::max(1U, built->spec.nlist),
                                    .candidates = 64});
      for (uint64_t i = 0; i < rows; ++i) {
        EXPECT_EQ(found.distances[i], 0) << factory << " " << rows;
      }
    }
  }
}

TEST(SpeakerIndexEdgeTest, DuplicatesComeInTheOrderOfTheirIds) {
  const TempDir dir;
  FrameMatrix frames = Speech(500, 32, 5);
  for (uint64_t i = 1; i < frames.rows; ++i) {
    std::copy_n(frames.row(0), 32, frames.row(i));
  }
  const auto built =
      BuildFrames(dir.path(), frames, {.factory = "IVF16,PQ16x4fs,RFlat"});
  ASSERT_OK(built);
  const auto index =
      OpenBuilt(dir.path(), *built, 32, Metric::kL2, BestKernels());
  ASSERT_OK(index);
  const Results found = Search(**index, {{frames.row(0), frames.row(1)}, 1, 32},
                               {.k = 8, .nprobe = 16, .candidates = 32});
  for (int64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(found.ids[static_cast<size_t>(i)], i);
  }
}

TEST(SpeakerIndexEdgeTest, AVoiceOfOneFrameRepeatedIsFoundWithOneProbe) {
  for (const Metric metric :
       {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    const TempDir dir;
    FrameMatrix frames = Speech(5000, 64, 5);
    for (uint64_t i = 1; i < frames.rows; ++i) {
      std::copy_n(frames.row(0), 64, frames.row(i));
    }
    const auto built =
        BuildFrames(dir.path(), frames,
                    {.metric = metric, .factory = "IVF256,PQ32x4fs,RFlat"});
    ASSERT_OK(built);
    const auto index = OpenBuilt(dir.path(), *built, 64, metric, BestKernels());
    ASSERT_OK(index);
    const Results found =
        Search(**index, {{frames.row(0), frames.row(1)}, 1, 64},
               {.k = 8, .nprobe = 1, .candidates = 32});
    for (const int64_t id : found.ids) EXPECT_GE(id, 0);
  }
}

TEST(SpeakerIndexEdgeTest, ReducingKeepsAsManyCentresAsAskedFor) {
  const TempDir dir;
  const auto built = BuildFrames(dir.path(), Speech(2000, 32, 5),
                                 {.reduce_to_centroids = 100});
  ASSERT_OK(built);
  EXPECT_EQ(built->rows, 100U);
  ASSERT_OK(OpenBuilt(dir.path(), *built, 32, Metric::kL2, BestKernels()));
}

TEST(SpeakerIndexEdgeTest, FilesThatLieAreDataLoss) {
  const TempDir dir;
  const auto built = BuildFrames(dir.path(), Speech(2000, 32, 5),
                                 {.factory = "IVF16,PQ16x4fs,RFlat"});
  ASSERT_OK(built);
  const auto open = [&] {
    return OpenBuilt(dir.path(), *built, 32, Metric::kL2, BestKernels())
        .status()
        .code();
  };
  ASSERT_EQ(open(), absl::StatusCode::kOk);
  // OpenBuilt digests what it finds, so these reach the parser.
  const std::string path = dir.File(kBuiltIndex);
  const std::string whole = *ReadFile(path);
  for (size_t bytes = 0; bytes < whole.size(); bytes += whole.size() / 20) {
    ASSERT_OK(WriteFileDurably(path, whole.substr(0, bytes)));
    EXPECT_EQ(open(), absl::StatusCode::kDataLoss) << bytes;
  }
  ASSERT_OK(WriteFileDurably(path, whole));
  ASSERT_EQ(truncate(dir.File(kBuiltFrames).c_str(), 1000), 0);
  EXPECT_EQ(open(), absl::StatusCode::kDataLoss);
}

TEST(SpeakerIndexEdgeTest, SearchingAShrunkenMapIsDataLoss) {
  const TempDir dir;
  const FrameMatrix frames = Speech(4000, 64, 5);
  const auto built = BuildFrames(dir.path(), frames, {.factory = "Flat"});
  ASSERT_OK(built);
  const auto index =
      OpenBuilt(dir.path(), *built, 64, Metric::kL2, BestKernels());
  ASSERT_OK(index);
  SearchScratch scratch;
  std::vector<int64_t> ids(8);
  std::vector<float> distances(8);
  const auto whole = static_cast<off_t>(*FileSize(dir.File(kBuiltFrames)));
  // Within the last page, which the kernel fills up with zeros, and before.
  for (const off_t bytes : {whole - 1, off_t{4096}}) {
    ASSERT_EQ(truncate(dir.File(kBuiltFrames).c_str(), bytes), 0);
    EXPECT_EQ((*index)
                  ->Search(frames.row(0), 1, {.k = 8}, scratch, ids.data(),
                           distances.data())
                  .code(),
              absl::StatusCode::kDataLoss);
  }
}

TEST(SpeakerIndexEdgeTest, TheSameSeedGivesTheSameBytes) {
  std::string first;
  for (int run = 0; run < 2; ++run) {
    const TempDir dir;
    ASSERT_OK(BuildFrames(dir.path(), Speech(2000, 32, 5),
                          {.factory = "IVF16,PQ16x4fs,RFlat"}));
    const std::string bytes = *ReadFile(dir.File(kBuiltIndex));
    if (run == 0) first = bytes;
    EXPECT_TRUE(first == bytes);
  }
}

}  // namespace
}  // namespace timbre
