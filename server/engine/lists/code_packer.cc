#include "server/engine/lists/code_packer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "server/base/checksum.h"
#include "server/base/memory_region.h"

namespace timbre {
namespace {

constexpr size_t kWordBytes = sizeof(uint32_t);

size_t BlocksFor(size_t codes) {
  return (codes + kCodesPerBlock - 1) / kCodesPerBlock;
}

}  // namespace

CodePacker::CodePacker(uint64_t rows, IvfParts& parts)
    : parts_(parts), octets_(OctetsOf(parts.pq_m)) {
  parts.ids.reserve(rows);
  parts.code_rows.reserve(rows);
  parts.list_begin.reserve(size_t{parts.nlist} + 1);
  parts.code_begin.reserve(size_t{parts.nlist} + 1);
  parts.list_begin.push_back(0);
  parts.code_begin.push_back(0);
  parts.codes.reserve(BlocksFor(rows) * parts.block_bytes());  // last: Finish
}

void CodePacker::FindEqual(size_t count, const uint32_t* words) {
  slots_.assign(std::bit_ceil(2 * count + 1), 0);
  first_.resize(count);
  equal_.assign(count, 0);
  const size_t mask = slots_.size() - 1;
  const size_t bytes = octets_ * kWordBytes;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t* const code = words + i * octets_;
    size_t slot = HashOf(code, bytes) & mask;
    while (slots_[slot] != 0 &&
           std::memcmp(words + (slots_[slot] - 1) * octets_, code, bytes) !=
               0) {
      slot = (slot + 1) & mask;
    }
    if (slots_[slot] == 0) slots_[slot] = static_cast<uint32_t>(i) + 1;
    first_[i] = slots_[slot] - 1;
    ++equal_[first_[i]];
  }
}

void CodePacker::AppendCode(const uint32_t* words) {
  const size_t code = parts_.code_rows.size();
  const size_t bytes = parts_.block_bytes();
  const size_t block = code / kCodesPerBlock;
  if (code % kCodesPerBlock == 0) parts_.codes.resize((block + 1) * bytes);
  uint8_t* out =
      &parts_.codes[block * bytes + code % kCodesPerBlock * kWordBytes];
  for (size_t octet = 0; octet < octets_; ++octet, out += kOctetBytes) {
    std::memcpy(out, &words[octet], kWordBytes);
  }
}

void CodePacker::AddList(const uint32_t* rows, size_t count,
                         const uint32_t* words) {
  FindEqual(count, words);
  const auto begin = static_cast<uint32_t>(parts_.ids.size());
  parts_.ids.resize(begin + count);
  // next[f]: where the next row that shares the code of row f goes.
  std::vector<uint32_t>& next = slots_;
  next.resize(std::max(next.size(), count));
  uint32_t place = begin;
  for (size_t i = 0; i < count; ++i) {
    if (first_[i] == i) {
      next[i] = place;
      AppendCode(words + i * octets_);
      if (equal_[i] == 1) {
        parts_.code_rows.push_back(rows[i]);
      } else {
        parts_.code_rows.push_back(IvfParts::kShared |
                                   static_cast<uint32_t>(shared_.size()));
        shared_.push_back({place, equal_[i]});
      }
      place += equal_[i];
    }
    parts_.ids[next[first_[i]]++] = rows[i];
  }
  parts_.list_begin.push_back(static_cast<uint32_t>(parts_.ids.size()));
  parts_.code_begin.push_back(static_cast<uint32_t>(parts_.code_rows.size()));
}

void CodePacker::Finish() {
  if (auto* const region =
          dynamic_cast<MemoryRegion*>(parts_.codes.get_allocator().memory())) {
    region->EndAt(parts_.codes.data() + parts_.codes.size());
  } else {
    // Codes move only if that frees much: it takes longer than packing them.
    if (parts_.codes.size() < parts_.codes.capacity() / 2) {
      parts_.codes.shrink_to_fit();
    }
    parts_.code_rows.shrink_to_fit();
  }
  parts_.shared.assign(shared_.begin(), shared_.end());
}

}  // namespace timbre
