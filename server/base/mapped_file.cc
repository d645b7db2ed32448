#include "server/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/huge_page.h"
#include "server/base/memory_limit.h"
#include "server/base/memory_region.h"
#include "server/base/mutex.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

// What the signal handler may look at: no locks, no allocation. Slots are
// allocated in chunks that are never freed, so that the handler can walk them
// while others grow the table.
struct Slot {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> damaged{false};
};
constexpr size_t kChunk = 1024;
constexpr size_t kMaxChunks = 1024;
std::array<std::atomic<Slot*>, kMaxChunks> chunks;
struct sigaction previous_action;

class SlotTable {
 public:
  static SlotTable& Get() {
    static SlotTable* const table = new SlotTable;  // handlers outlive exits
    return *table;
  }

  // -1 when a million files are mapped: then SIGBUS stays fatal.
  int Take(uintptr_t begin, uintptr_t end) {
    const MutexLock lock(mutex_);
    if (free_.empty() && !Grow()) return -1;
    const int index = free_.back();
    free_.pop_back();
    Slot& slot = At(index);
    slot.damaged.store(false);
    // In this order no half-written slot holds an address: end is 0 till last.
    slot.begin.store(begin);
    slot.end.store(end);
    return index;
  }

  void Give(int index) {
    if (index < 0) return;
    const MutexLock lock(mutex_);
    At(index).end.store(0);
    At(index).begin.store(0);
    free_.push_back(index);
  }

  static Slot& At(int index) {
    return chunks[static_cast<size_t>(index) / kChunk]
        .load()[static_cast<size_t>(index) % kChunk];
  }

 private:
  SlotTable() {
    struct sigaction action {};
    action.sa_sigaction = &SlotTable::OnBusError;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous_action);
  }

  bool Grow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (used_chunks_ == kMaxChunks) return false;
    const size_t first = used_chunks_ * kChunk;
    chunks[used_chunks_++].store(new Slot[kChunk]);
    for (size_t i = kChunk; i > 0; --i) {
      free_.push_back(static_cast<int>(first + i - 1));
    }
    return true;
  }

  static bool Heal(uintptr_t address) {
    for (std::atomic<Slot*>& chunk : chunks) {
      Slot* const slots = chunk.load();
      if (slots == nullptr) return false;
      for (size_t i = 0; i < kChunk; ++i) {
        const uintptr_t end = slots[i].end.load();
        if (address < slots[i].begin.load() || address >= end) continue;
        if (slots[i].end.load() != end) continue;  // reused meanwhile
        slots[i].damaged.store(true);
        const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
        const uintptr_t begin = address / page * page;
        return mmap(reinterpret_cast<void*>(begin), end - begin, PROT_READ,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                    0) != MAP_FAILED;
      }
    }
    return false;
  }

  static void OnBusError(int, siginfo_t* info, void*) {
    const int saved_errno = errno;
    if (!Heal(reinterpret_cast<uintptr_t>(info->si_addr))) {
      // Not ours: the next instruction faults again, under the old handler.
      sigaction(SIGBUS, &previous_action, nullptr);
    }
    errno = saved_errno;
  }

  Mutex mutex_;
  std::vector<int> free_ ABSL_GUARDED_BY(mutex_);
  size_t used_chunks_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(
    const std::string& path, size_t expected_bytes) {
  // Closed again on return: a map needs no descriptor.
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    const absl::Status error = FileError(errno, "open", path);
    if (!absl::IsNotFound(error)) return error;
    return MakeError(absl::StatusCode::kDataLoss, "FILE_UNREADABLE",
                     error.message());
  }
  // Of what is open, whatever the name may mean by now.
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return FileError(errno, "stat", path);
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size != expected_bytes || size == 0) {
    return MakeError(absl::StatusCode::kDataLoss, "FILE_SIZE_MISMATCH",
                     size == 0
                         ? absl::StrCat(path, " is empty")
                         : absl::StrCat(path, " has ", size,
                                        " bytes; expected ", expected_bytes));
  }
  TIMBRE_ASSIGN_OR_RETURN(const Mark mark, MarkOf(fd.get(), path, size));
  void* const data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return FileError(errno, "mmap", path);
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const int slot = SlotTable::Get().Take(begin, begin + size);
  return std::unique_ptr<MappedFile>(
      new MappedFile(path, static_cast<char*>(data), size, mark, slot));
}

absl::StatusOr<MappedFile::Mark> MappedFile::MarkOf(int fd,
                                                    const std::string& path,
                                                    uint64_t size) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t first = (size - 1) / page * page;
  std::vector<char> last(size - first);
  const ssize_t got =
      pread(fd, last.data(), last.size(), static_cast<off_t>(first));
  if (got < 0) return FileError(errno, "read", path);
  last.resize(static_cast<size_t>(got));
  for (size_t i = last.size(); i > 0; --i) {
    if (last[i - 1] != 0) return Mark{first + i - 1, last[i - 1]};
  }
  return Mark{size - 1, 0};
}

MappedFile::~MappedFile() {
  // Out of the table first: the next map may get the same address.
  SlotTable::Get().Give(slot_);
  UnmapInSlices(data_, size_);
}

bool MappedFile::damaged() const {
  return shrank_.load() || said_.load() ||
         (slot_ >= 0 && SlotTable::At(slot_).damaged.load());
}

absl::Status MappedFile::Check() const {
  // Where its page is gone, this read is what raises SIGBUS.
  const char now = *static_cast<const volatile char*>(data_ + mark_.offset);
  if (now != mark_.value) shrank_.store(true);
  return Damage();
}

absl::Status MappedFile::Damage() const {
  if (said_.load()) {
    return MakeError(absl::StatusCode::kDataLoss, "FILE_CORRUPT",
                     absl::StrCat(path_, " is not what was published"));
  }
  if (!damaged()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kDataLoss, "FILE_UNREADABLE",
                   absl::StrCat(path_, " shrank or failed to read"));
}

void MappedFile::Prefault(size_t offset, size_t bytes) const {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = offset / page * page;
  const size_t end = std::min(offset + bytes, size_);
  if (begin >= end) return;
  madvise(data_ + begin, end - begin, MADV_HUGEPAGE);
  madvise(data_ + begin, end - begin, MADV_POPULATE_READ);
}

void MappedFile::WarmOn() const {
  size_t warm = warm_bytes_.load();
  Prefault(warm, kHugePageBytes);
  // Another thread may have done the same.
  warm_bytes_.compare_exchange_strong(warm, warm + kHugePageBytes);
}

void MappedFile::SayCold() const {
  // Two as large must find room: the one that is read next, and another that a
  // sweep has left open.
  if (MemoryIsFull(2 * size_)) madvise(data_, size_, MADV_PAGEOUT);
}

void MappedFile::Release(size_t offset, size_t bytes) const {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = (offset + bytes) / page * page;
  if (begin < end) madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

}  // namespace timbre
