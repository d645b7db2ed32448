// Packed lists and what a scan of them finds, against plain sums over digits.
#include "server/engine/lists/code_scanner.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "server/engine/lists/code_packer.h"
#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

using Codes = std::vector<std::vector<uint8_t>>;  // [rows][pq_m] digits

class CodeScannerTest : public testing::LevelTest {
 protected:
  // Lists of these sizes over rows 0, 1, 2 ... dealt out in turn; one row in
  // `repeat` has the code of the row before it in its list.
  void Build(const std::vector<size_t>& sizes, uint32_t pq_m, uint32_t width,
             size_t repeat) {
    parts_.nlist = static_cast<uint32_t>(sizes.size());
    parts_.pq_m = pq_m;
    parts_.dimension = pq_m * width;
    const auto codebooks = Floats(size_t{pq_m} * kEntries * width);
    parts_.codebooks.assign(codebooks.begin(), codebooks.end());
    size_t total = 0;
    for (const size_t size : sizes) total += size;
    codes_.resize(total);
    lists_.assign(sizes.size(), {});
    for (uint32_t row = 0, list = 0; row < total; ++list) {
      std::vector<uint32_t>& rows = lists_[list % sizes.size()];
      if (rows.size() == sizes[list % sizes.size()]) continue;
      codes_[row] = repeat > 0 && row % repeat == 0 && !rows.empty()
                        ? codes_[rows.back()]
                        : Integers<uint8_t>(pq_m, 0, 15);
      rows.push_back(row++);
    }
    CodePacker packer(total, parts_);
    const size_t octets = OctetsOf(pq_m);
    for (const auto& rows : lists_) {
      std::vector<uint32_t> words(rows.size() * octets);
      for (size_t i = 0; i < rows.size(); ++i) {
        for (size_t r = 0; r < pq_m; ++r) {
          words[i * octets + r / 8] |= uint32_t{codes_[rows[i]][r]}
                                       << (r % 4 * 8 + r % 8 / 4 * 4);
        }
      }
      packer.AddList(rows.data(), rows.size(), words.data());
    }
    packer.Finish();
    level().arrange_codes(parts_.codes.data(), parts_.codes.size());
  }

  // The rows of `lists` of the smallest sums, by the look-up tables that
  // Prepare leaves; ties by list, the first row of the same code, and row.
  std::vector<uint32_t> Expected(const std::vector<uint32_t>& lists,
                                 const uint8_t* tables, size_t wanted) {
    std::vector<std::tuple<unsigned, uint32_t, uint32_t, uint32_t>> all;
    for (const uint32_t list : lists) {
      std::map<std::vector<uint8_t>, uint32_t> first;
      for (const uint32_t row : lists_[list]) {
        unsigned sum = 0;
        for (size_t r = 0; r < parts_.pq_m; ++r) {
          sum += tables[r * kEntries + codes_[row][r]];
        }
        first.emplace(codes_[row], row);
        all.emplace_back(sum, list, first[codes_[row]], row);
      }
    }
    std::sort(all.begin(), all.end());
    all.resize(std::min(all.size(), wanted));
    std::vector<uint32_t> rows;
    for (const auto& near : all) rows.push_back(std::get<3>(near));
    std::sort(rows.begin(), rows.end());
    return rows;
  }

  void Check(const std::vector<uint32_t>& lists) {
    const CodeScanner scanner(parts_, Metric::kL2, level());
    const auto frames = Floats(size_t{2} * parts_.dimension);
    const std::array<const float*, 2> two = {frames.data(),
                                             &frames[parts_.dimension]};
    CodeScratch scratch;
    scanner.Prepare(two.data(), 2, scratch);
    const size_t table_bytes =
        GroupsOf(parts_.pq_m) * kSubQuantizersPerGroup * kEntries;
    for (size_t frame = 0; frame < 2; ++frame) {
      for (const size_t wanted : {1, 8, 32, 100, 4096}) {
        std::vector<uint32_t> rows;
        scanner.Scan(frame, lists, wanted, scratch, rows);
        std::sort(rows.begin(), rows.end());
        ASSERT_EQ(rows,
                  Expected(lists, &scratch.tables[frame * table_bytes], wanted))
            << "m " << parts_.pq_m << " wanted " << wanted;
      }
    }
  }

  IvfParts parts_;
  Codes codes_;
  std::vector<std::vector<uint32_t>> lists_;
};

TEST_P(CodeScannerTest, FindsTheSmallestSumsTiesByListAndId) {
  // Every way in which a list can begin and end in a block.
  const std::vector<size_t> sizes = {1,  31, 0, 32, 33,  15, 16,
                                     17, 0,  1, 1,  700, 5,  64};
  for (const auto& [m, width] :
       std::map<uint32_t, uint32_t>{{1, 4}, {7, 1}, {8, 2}, {17, 3}, {64, 2}}) {
    for (const size_t repeat : {0, 2, 3}) {
      parts_ = IvfParts();
      Build(sizes, m, width, repeat);
      for (uint32_t list = 0; list < sizes.size(); ++list) Check({list});
      Check({5, 3, 11, 0, 8});
      Check({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13});
      Check({});
    }
  }
}

TEST_P(CodeScannerTest, ThousandsOfEqualRowsAreOneCode) {
  Build({3000, 10, 500}, 16, 2, 1);
  EXPECT_EQ(parts_.code_begin, (AlignedVector<uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(parts_.RowsOf(0).size(), 3000U);
  Check({0, 1, 2});
  Check({2, 0});
}

TEST_P(CodeScannerTest, RowsOfACodeIncreaseAndAreAllThere) {
  Build({100, 57}, 8, 2, 2);
  for (uint32_t list = 0; list < 2; ++list) {
    std::vector<uint32_t> rows;
    for (uint32_t code = parts_.code_begin[list];
         code < parts_.code_begin[list + 1]; ++code) {
      const auto of = parts_.RowsOf(code);
      EXPECT_TRUE(std::is_sorted(of.begin(), of.end()));
      rows.insert(rows.end(), of.begin(), of.end());
    }
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(rows, lists_[list]);
    const auto ids = parts_.List(list);
    EXPECT_TRUE(std::is_permutation(ids.begin(), ids.end(), rows.begin()));
  }
}

TIMBRE_FOR_EVERY_LEVEL(CodeScannerTest);

}  // namespace
}  // namespace timbre
