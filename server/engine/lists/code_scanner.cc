#include "server/engine/lists/code_scanner.h"

#include <algorithm>

#include "server/engine/lists/select.h"

namespace timbre {
namespace {

// Of a list, before it is scanned: the rest comes by the hardware's own
// prefetching.
constexpr size_t kPrefetchBytes = 8192;
constexpr size_t kPrefetchRows = 256;

// Lists that are fetched before the first is scanned; then one for each.
constexpr size_t kListsAhead = 2;

// What so many frames have scanned is still in the second-level cache.
constexpr uint32_t kFramesKept = 8;

// The sum of a code that is not of the list: blocks at its ends are shared with
// its neighbours. No code has it: sums end at 65534.
constexpr uint16_t kNone = 65535;

size_t CodebookValues(size_t groups, size_t width) {
  return groups * kEntries * (1 + width) * kSubQuantizersPerGroup;
}

}  // namespace

size_t CodeScanner::ResidentBytes(uint32_t dimension, uint32_t pq_m) {
  return CodebookValues(GroupsOf(pq_m), dimension / pq_m) * sizeof(float);
}

CodeScanner::CodeScanner(const IvfParts& parts, Metric metric,
                         const KernelTable& kernels,
                         std::pmr::memory_resource* memory)
    : parts_(parts),
      kernels_(kernels),
      codebook_values_(memory),
      codebook_{.groups = GroupsOf(parts.pq_m),
                .width = parts.dimension / parts.pq_m,
                .sub_quantizers = parts.pq_m,
                .factor = metric == Metric::kL2 ? 2.0F : 1.0F,
                .mirrored = metric != Metric::kL2} {
  const size_t width = codebook_.width;
  codebook_values_.resize(CodebookValues(codebook_.groups, width));
  for (size_t m = 0; m < parts.pq_m; ++m) {
    for (size_t entry = 0; entry < kEntries; ++entry) {
      const float* const in = &parts.codebooks[(m * kEntries + entry) * width];
      const size_t group = m / kSubQuantizersPerGroup;
      float* const out =
          &codebook_values_[(group * kEntries + entry) * (1 + width) *
                                kSubQuantizersPerGroup +
                            LaneOf(m % kSubQuantizersPerGroup)];
      // |q - e|^2 = |q|^2 + |e|^2 - 2 <q, e>, and |q|^2 is the same for all.
      out[0] = 0;
      for (size_t s = 0; s < width; ++s) {
        if (metric == Metric::kL2) out[0] += in[s] * in[s];
        out[(1 + s) * kSubQuantizersPerGroup] = in[s];
      }
    }
  }
  codebook_.values = codebook_values_.data();
}

void CodeScanner::Prepare(const float* const* frames, size_t count,
                          CodeScratch& scratch) const {
  scratch.work.resize(kFramesAtOnce * TableWork(codebook_));
  scratch.tables.resize(kFramesAtOnce * table_bytes());
  std::array<uint8_t*, kFramesAtOnce> tables{};
  for (size_t i = 0; i < count; ++i) {
    tables[i] = scratch.tables.data() + i * table_bytes();
  }
  kernels_.fill_tables(codebook_, frames, count, scratch.work.data(),
                       tables.data());
}

void CodeScanner::Expect(const std::vector<uint32_t>* lists, size_t count,
                         CodeScratch& scratch) const {
  scratch.expected.clear();
  scratch.next_expected = 0;
  // Of another voice, when the scratch serves several: a few hints are wrong.
  if (scratch.last_used.size() < parts_.nlist) {
    scratch.last_used.resize(parts_.nlist);
  }
  for (size_t i = 0; i < count; ++i) {
    ++scratch.frames_scanned;
    for (const uint32_t list : lists[i]) {
      uint32_t& last = scratch.last_used[list];
      if (scratch.frames_scanned - last > kFramesKept)
        scratch.expected.push_back(list);
      last = scratch.frames_scanned;
    }
  }
  for (size_t i = 0; i < kListsAhead; ++i) PrefetchNextList(scratch);
}

void CodeScanner::PrefetchNextList(CodeScratch& scratch) const {
  if (scratch.next_expected == scratch.expected.size()) return;
  const uint32_t list = scratch.expected[scratch.next_expected++];
  const size_t begin = parts_.code_begin[list];
  const size_t end = parts_.code_begin[list + 1];
  const size_t block = begin / kCodesPerBlock;
  const size_t blocks = (end + kCodesPerBlock - 1) / kCodesPerBlock - block;
  const uint8_t* const first =
      parts_.codes.data() + block * parts_.block_bytes();
  const size_t bytes = std::min(blocks * parts_.block_bytes(), kPrefetchBytes);
  for (size_t i = 0; i < bytes; i += kCacheLineBytes) {
    __builtin_prefetch(first + i, 0, 2);
  }
  // And the rows that these codes stand for.
  const size_t last = std::min(end, begin + kPrefetchRows);
  for (size_t i = begin; i < last; i += kCacheLineBytes / sizeof(uint32_t)) {
    __builtin_prefetch(&parts_.code_rows[i], 0, 2);
  }
}

// Returns how many sums there are.
size_t CodeScanner::ScanLists(const uint8_t* tables,
                              const std::vector<uint32_t>& lists,
                              CodeScratch& scratch) const {
  scratch.lists.clear();
  size_t total = 0;
  for (size_t i = 0; i < lists.size(); ++i) {
    PrefetchNextList(scratch);
    const size_t begin = parts_.code_begin[lists[i]];
    const size_t end = parts_.code_begin[lists[i] + 1];
    const size_t block = begin / kCodesPerBlock;
    const size_t blocks = (end + kCodesPerBlock - 1) / kCodesPerBlock - block;
    const size_t count = blocks * kCodesPerBlock;
    if (scratch.sums.size() < total + count) {
      scratch.sums.resize(2 * (total + count));
    }
    uint16_t* const sums = scratch.sums.data() + total;
    kernels_.scan_codes(tables,
                        parts_.codes.data() + block * parts_.block_bytes(),
                        blocks, OctetsOf(parts_.pq_m), sums);
    const size_t before = begin - block * kCodesPerBlock;
    std::fill(sums, sums + before, kNone);
    std::fill(sums + before + (end - begin), sums + count, kNone);
    scratch.lists.push_back(
        {.first_sum = static_cast<uint32_t>(total),
         .last_sum = static_cast<uint32_t>(total + count),
         .first_code = static_cast<uint32_t>(block * kCodesPerBlock)});
    total += count;
  }
  return total;
}

void CodeScanner::Scan(size_t i, const std::vector<uint32_t>& lists,
                       size_t wanted, CodeScratch& scratch,
                       std::vector<uint32_t>& ids) const {
  const size_t n =
      ScanLists(scratch.tables.data() + i * table_bytes(), lists, scratch);
  const uint16_t* const sums = scratch.sums.data();
  const size_t room = std::max(n, kMaxSurvivors);
  if (scratch.positions.size() < room) scratch.positions.resize(room);
  uint32_t* const positions = scratch.positions.data();
  Selection near = SelectSmallest(kernels_, sums, n, wanted, positions);
  if (near.kth == kNone) {
    // There are no more than `wanted` codes, and what fills their blocks
    // (kNone) was selected as well. Sums of codes are at most 65534: those are
    // collected.
    near.count = kernels_.collect(sums, n, kNone - 1, n, positions);
  }
  CodesOf(near.count, scratch);
  if (near.count > wanted) DropTies(wanted, scratch);
  TakeRows(wanted, scratch, ids);
}

// scratch.near becomes the sums and codes at the first `count` positions.
void CodeScanner::CodesOf(size_t count, CodeScratch& scratch) {
  scratch.near.resize(count);
  const uint32_t* const positions = scratch.positions.data();
  size_t i = 0;
  for (size_t list = 0; i < count; ++list) {
    const ScannedList& scanned = scratch.lists[list];
    for (; i < count && positions[i] < scanned.last_sum; ++i) {
      scratch.near[i] =
          MakeScoredId(uint32_t{scratch.sums[positions[i]]},
                       scanned.first_code + positions[i] - scanned.first_sum);
    }
  }
}

// Keeps the `wanted` smallest by sum, then by code. Codes are numbered list by
// list, so of equal sums those of lists with lower numbers stay.
void CodeScanner::DropTies(size_t wanted, CodeScratch& scratch) {
  const auto end = scratch.near.begin() + static_cast<std::ptrdiff_t>(wanted);
  std::nth_element(scratch.near.begin(), end - 1, scratch.near.end());
  scratch.near.erase(end, scratch.near.end());
}

// The rows of the codes of scratch.near.
void CodeScanner::TakeRows(size_t wanted, CodeScratch& scratch,
                           std::vector<uint32_t>& ids) const {
  const size_t count = scratch.near.size();
  ids.resize(count);
  uint32_t any = 0;
  for (size_t i = 0; i < count; ++i) {
    ids[i] = parts_.code_rows[IdOf(scratch.near[i])];
    any |= ids[i];
  }
  if ((any & IvfParts::kShared) == 0) return;
  // Some codes stand for several rows: rows are taken sum by sum.
  std::sort(scratch.near.begin(), scratch.near.end());
  ids.clear();
  for (const ScoredId near : scratch.near) {
    const auto more = parts_.RowsOf(IdOf(near));
    const auto some = more.first(std::min(more.size(), wanted - ids.size()));
    ids.insert(ids.end(), some.begin(), some.end());
  }
}

}  // namespace timbre
