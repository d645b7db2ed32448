#include "client/files/faiss/index_file.h"

#include <faiss/Index.h>
#include <faiss/IndexIDMap.h>
#include <faiss/impl/io.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre::client {
namespace {

using ::testing::HasSubstr;

constexpr int kDimension = 16;
constexpr int64_t kRows = 400;

const FrameMatrix& Rows() {
  static const FrameMatrix* const rows = [] {
    auto* made = new FrameMatrix{{}, kRows, kDimension};
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 5);
    for (int64_t i = 0; i < kRows * kDimension; ++i) {
      made->data.push_back(normal(random));
    }
    return made;
  }();
  return *rows;
}

std::string BytesOf(const faiss::Index& index) {
  faiss::VectorIOWriter writer;
  faiss::write_index(&index, &writer);
  return {reinterpret_cast<const char*>(writer.data.data()),
          writer.data.size()};
}

// An index of Rows() in a file.
std::string Made(const char* factory,
                 faiss::MetricType metric = faiss::METRIC_L2) {
  omp_set_num_threads(1);
  const std::unique_ptr<faiss::Index> index(
      faiss::index_factory(kDimension, factory, metric));
  index->train(kRows, Rows().data.data());
  index->add(kRows, Rows().data.data());
  return BytesOf(*index);
}

// What is read here: exactly, or with what loss.
struct Kind {
  const char* factory;
  bool exact;
};
constexpr Kind kKinds[] = {
    {"Flat", true},
    {"IVF4,Flat", true},
    {"IVF4_HNSW8,Flat", true},
    {"HNSW8", true},
    {"IVF4,PQ8x4fs,RFlat", true},
    {"IVF4,PQ8x4fsr,RFlat", true},
    {"PCA16,IVF4,Flat", true},
    {"RR16,IVF4,Flat", true},
    // The frames that it refines with were not transformed.
    {"L2norm,IVF4,PQ8x4fs,RFlat", true},
    {"IVF4,SQ8", false},
    {"IVF4,SQfp16", false},
    {"IVF4,PQ8x4", false},
    {"IVF4,PQ8x4fs", false},
    {"SQ8", false},
    {"PQ8x4", false},
    {"PQ8x4fs", false},
    {"IVF4,PQ8x4fs,Refine(SQfp16)", false},
};

double Off(const FrameMatrix& rows) {
  double lengths = 0;
  double differences = 0;
  for (uint64_t i = 0; i < rows.rows; ++i) {
    double length = 0;
    double difference = 0;
    for (int j = 0; j < kDimension; ++j) {
      length += std::pow(Rows().row(i)[j], 2);
      difference += std::pow(rows.row(i)[j] - Rows().row(i)[j], 2);
    }
    lengths += std::sqrt(length);
    differences += std::sqrt(difference);
  }
  return differences / lengths;
}

TEST(IndexFileTest, KindsThatHoldTheirFramesGiveThemBack) {
  for (const Kind& kind : kKinds) {
    const auto index = IndexFile::FromBytes("x", Made(kind.factory));
    ASSERT_OK(index);
    EXPECT_EQ(index->TransformLoss().share, 0) << kind.factory;
    const auto rows = index->Read(0, kRows);
    ASSERT_OK(rows);
    const double off = Off(*rows);
    if (kind.exact) {
      EXPECT_LT(off, 1e-5) << kind.factory;
      EXPECT_EQ(index->CodeLoss().share, 0) << kind.factory;
    } else {
      // The measured size tells what the frames have lost, roughly.
      EXPECT_GT(index->CodeLoss().share, 0.4 * off) << kind.factory;
      EXPECT_LT(index->CodeLoss().share, 2.5 * off) << kind.factory;
    }
    ASSERT_OK(index->Search(Rows(), 3));
  }
}

TEST(IndexFileTest, TransformsThatDropSomethingSayHowMuch) {
  for (const auto& [factory, name, least] :
       std::vector<std::tuple<const char*, const char*, double>>{
           {"L2norm,IVF4,Flat", "L2 normalisation", 0.5},
           {"PCA4,IVF4,Flat", "PCA from 16 to 4 dimensions", 0.8},
           {"PCAR4,Flat", "PCA", 0.8},
           {"RR4,Flat", "a transform from 16 to 4 dimensions", 0.8},
           {"PCAW16,Flat", "PCA", 0.1}}) {
    const auto index = IndexFile::FromBytes("x", Made(factory));
    ASSERT_OK(index);
    EXPECT_GT(index->TransformLoss().share, least) << factory;
    EXPECT_THAT(index->TransformLoss().by, HasSubstr(name));
  }
}

TEST(IndexFileTest, OtherMetricsAreNamed) {
  const auto l1 = IndexFile::FromBytes("x", Made("Flat", faiss::METRIC_L1));
  ASSERT_OK(l1);
  EXPECT_FALSE(l1->known_metric());
  EXPECT_EQ(l1->Metric(), "L1");
  const auto inner =
      IndexFile::FromBytes("x", Made("IVF4,Flat", faiss::METRIC_INNER_PRODUCT));
  ASSERT_OK(inner);
  EXPECT_TRUE(inner->inner_product() && inner->known_metric());
}

TEST(IndexFileTest, OtherKindsAreRefusedByName) {
  for (const auto& [factory, letters] :
       std::vector<std::pair<const char*, const char*>>{
           {"LSH", "IxHe"},
           {"IVF4,ITQ8,LSH", "IwSh"},
           {"IMI2x2,Flat", "Imiq"},
           {"NSG8", "INSf"}}) {
    std::string bytes;
    try {
      bytes = Made(factory);
    } catch (const std::exception&) {
      continue;  // not in this faiss
    }
    const auto index = IndexFile::FromBytes("x.index", bytes);
    EXPECT_EQ(index.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(index.status().message()), HasSubstr("x.index: "));
  }
  EXPECT_EQ(DetailsOf(IndexFile::FromBytes("x", "hello").status()).reason,
            "UNKNOWN_INDEX_KIND");
  faiss::IndexIDMap map(faiss::index_factory(kDimension, "Flat"));
  map.own_fields = true;
  std::vector<int64_t> ids(kRows);
  for (int64_t i = 0; i < kRows; ++i) ids[static_cast<size_t>(i)] = kRows - i;
  map.add_with_ids(kRows, Rows().data.data(), ids.data());
  EXPECT_EQ(DetailsOf(IndexFile::FromBytes("x", BytesOf(map)).status()).reason,
            "OWN_IDS");
}

// faiss throws when such a transform is first used, and leaks what it wrote to.
TEST(IndexFileTest, NormsThatFaissDoesNotMakeAreRefused) {
  std::string bytes = Made("L2norm,Flat");
  const float other = 3;
  std::memcpy(&bytes[bytes.find("VNrm") + 4], &other, sizeof(other));
  EXPECT_THAT(std::string(IndexFile::FromBytes("x", bytes).status().message()),
              HasSubstr("its transform has a norm other than 2"));
}

// Under ASan, and with a limit of memory under no sanitizer, as good as a
// fuzzer's first minute: what is accepted must be usable.
TEST(IndexFileTest, NoChangedByteCanDoHarm) {
  const FrameMatrix query{{Rows().row(0), Rows().row(1)}, 1, kDimension};
  for (const Kind& kind : kKinds) {
    const std::string good = Made(kind.factory);
    std::mt19937 random(1);
    for (size_t i = 0; i < 1000; ++i) {
      std::string bad = good;
      // Headers first, where the numbers are; then anywhere.
      const size_t at = i < 600 ? i / 2 : random() % bad.size();
      const auto value = static_cast<char>(i % 2 == 0 ? 0x7F : random());
      bad[at % bad.size()] = value;
      if (i % 16 == 15) bad.resize(random() % bad.size());
      const auto index = IndexFile::FromBytes("x", bad);
      if (!index.ok()) {
        EXPECT_EQ(index.status().code(), absl::StatusCode::kInvalidArgument);
        continue;
      }
      EXPECT_LE(index->rows(), bad.size());
      (void)index->Read(0, index->rows());
      if (index->dimension() == kDimension) (void)index->Search(query, 3);
      (void)index->CodeLoss();
      (void)index->TransformLoss();
    }
  }
}

}  // namespace
}  // namespace timbre::client
