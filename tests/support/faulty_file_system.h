// A file system that fails when it is told to, and knows what a power cut would
// leave of it.
#ifndef TIMBRE_TESTS_SUPPORT_FAULTY_FILE_SYSTEM_H_
#define TIMBRE_TESTS_SUPPORT_FAULTY_FILE_SYSTEM_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/base/file_system.h"
#include "server/base/mutex.h"

namespace timbre::testing {

// Passes everything on to the real one, and keeps a model of what lies below
// one directory: which bytes of which file, and which entries of which
// directory, have been synced. Thread-safe.
//
// What it holds to be true of Linux:
// - a name is on the disk once its directory was synced, whether the file's
//   bytes are or not, and the other way round;
// - a file whose fsync failed never gets its bytes to the disk, though the next
//   fsync says so; nor does a directory's entry until that directory is changed
//   once more and synced;
// - a write that fails has written half of it; what else fails has no effect.
class FaultyFileSystem : public FileSystem {
 public:
  // What lies below `root` counts as synced.
  explicit FaultyFileSystem(std::string root);

  // The `nth` operation from now, from 1, fails once.
  void FailOnce(int nth, int errno_value);
  // From the `nth` operation from now on everything fails, as if the process
  // had ended before it.
  void EndAt(int nth);
  // Nothing fails any more, until one of the two is called.
  void Heal();
  // Since the last of these calls.
  int operations() const;
  // The first operation that failed, for people; empty: none.
  std::string failed() const;

  // What is below `root` after a power cut now, into the directory `to`: with
  // none of the names that were not synced, or with all of them. Bytes that
  // were not synced are lost; kAsItIs: nothing is, the power stays.
  enum class Names { kSynced, kAll, kAsItIs };
  void CutPower(Names names, const std::string& to) const;

  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path,
                                                     Caching caching) override;
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(
      const std::string& path, IfExists if_exists) override;
  absl::StatusOr<std::unique_ptr<MappedFile>> Map(
      const std::string& path, uint64_t expected_bytes) override;
  absl::StatusOr<FileDescriptor> Lock(const std::string& path) override;
  absl::StatusOr<FileStatus> Stat(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::Status SyncAll(const std::string& path) override;

 private:
  class Reader;
  class Writer;
  struct Node;
  using NodePtr = std::shared_ptr<Node>;

  // OK, or the error that this operation is to have.
  absl::Status Begin(const char* operation, const std::string& path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Import(const std::string& path, Node& node);
  static void SyncTree(Node& node);
  static void WriteTree(const Node& node, Names names, const std::string& to);
  // The directory that `path` is in, and its name there; null: not below root.
  std::pair<NodePtr, std::string> Locate(const std::string& path) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  NodePtr Find(const std::string& path) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  NodePtr AddFile(const std::string& path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string root_;
  mutable Mutex mutex_;
  NodePtr tree_ ABSL_GUARDED_BY(mutex_);  // with all nodes below it
  int operations_ ABSL_GUARDED_BY(mutex_) = 0;
  int fails_at_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: never
  int errno_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ends_ ABSL_GUARDED_BY(mutex_) = false;
  std::string failed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre::testing

#endif  // TIMBRE_TESTS_SUPPORT_FAULTY_FILE_SYSTEM_H_
