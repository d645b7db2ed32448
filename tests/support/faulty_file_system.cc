#include "tests/support/faulty_file_system.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/mapped_file.h"
#include "server/base/status_macros.h"

namespace timbre::testing {

namespace fs = std::filesystem;

struct FaultyFileSystem::Node {
  bool directory = false;
  // Of a file.
  std::string bytes;
  std::string synced_bytes;
  bool lost = false;  // an fsync failed
  // Of a directory.
  std::map<std::string, NodePtr> entries;
  std::map<std::string, NodePtr> synced_entries;
  bool dirty = false;  // changed since it was synced, or that failed
};

class FaultyFileSystem::Reader : public ReadableFile {
 public:
  Reader(FaultyFileSystem& owner, std::string path,
         std::unique_ptr<ReadableFile> file)
      : owner_(owner), path_(std::move(path)), file_(std::move(file)) {}

  absl::StatusOr<size_t> Read(void* buffer, size_t bytes) override {
    const MutexLock lock(owner_.mutex_);
    TIMBRE_RETURN_IF_ERROR(owner_.Begin("read", path_));
    return file_->Read(buffer, bytes);
  }
  absl::StatusOr<uint64_t> Size() const override {
    const MutexLock lock(owner_.mutex_);
    TIMBRE_RETURN_IF_ERROR(owner_.Begin("stat", path_));
    return file_->Size();
  }

 private:
  FaultyFileSystem& owner_;
  const std::string path_;
  const std::unique_ptr<ReadableFile> file_;
};

class FaultyFileSystem::Writer : public WritableFile {
 public:
  Writer(FaultyFileSystem& owner, std::string path, NodePtr node,
         std::unique_ptr<WritableFile> file)
      : owner_(owner),
        path_(std::move(path)),
        node_(std::move(node)),
        file_(std::move(file)) {}

  absl::Status Append(absl::string_view data) override {
    const MutexLock lock(owner_.mutex_);
    const absl::Status fault = owner_.Begin("write", path_);
    if (!fault.ok()) data = data.substr(0, owner_.ends_ ? 0 : data.size() / 2);
    TIMBRE_RETURN_IF_ERROR(file_->Append(data));
    node_->bytes.append(data.data(), data.size());
    return fault;
  }

  absl::Status WriteAt(uint64_t offset, absl::string_view data) override {
    const MutexLock lock(owner_.mutex_);
    TIMBRE_RETURN_IF_ERROR(owner_.Begin("write", path_));
    TIMBRE_RETURN_IF_ERROR(file_->WriteAt(offset, data));
    node_->bytes.replace(offset, data.size(), data.data(), data.size());
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    const MutexLock lock(owner_.mutex_);
    const absl::Status fault = owner_.Begin("fsync", path_);
    if (!fault.ok()) node_->lost = true;
    if (!node_->lost) node_->synced_bytes = node_->bytes;
    return fault;
  }

 private:
  FaultyFileSystem& owner_;
  const std::string path_;
  const NodePtr node_;
  const std::unique_ptr<WritableFile> file_;
};

FaultyFileSystem::FaultyFileSystem(std::string root)
    : root_(std::move(root)), tree_(std::make_shared<Node>()) {
  tree_->directory = true;
  Import(root_, *tree_);
}

void FaultyFileSystem::Import(const std::string& path, Node& node) {
  for (const auto& entry : fs::directory_iterator(path)) {
    auto child = std::make_shared<Node>();
    child->directory = entry.is_directory();
    if (child->directory) {
      Import(entry.path().string(), *child);
    } else {
      child->bytes = *ReadFile(entry.path().string());
      child->synced_bytes = child->bytes;
    }
    node.entries[entry.path().filename().string()] = child;
  }
  node.synced_entries = node.entries;
}

void FaultyFileSystem::FailOnce(int nth, int errno_value) {
  const MutexLock lock(mutex_);
  operations_ = 0;
  fails_at_ = nth;
  errno_ = errno_value;
  ends_ = false;
  failed_.clear();
}

void FaultyFileSystem::EndAt(int nth) {
  FailOnce(nth, EIO);
  const MutexLock lock(mutex_);
  ends_ = true;
}

void FaultyFileSystem::Heal() {
  const MutexLock lock(mutex_);
  operations_ = 0;
  fails_at_ = 0;
  ends_ = false;
}

int FaultyFileSystem::operations() const {
  const MutexLock lock(mutex_);
  return operations_;
}

std::string FaultyFileSystem::failed() const {
  const MutexLock lock(mutex_);
  return failed_;
}

absl::Status FaultyFileSystem::Begin(const char* operation,
                                     const std::string& path) {
  ++operations_;
  const bool fails = fails_at_ != 0 && (ends_ ? operations_ >= fails_at_
                                              : operations_ == fails_at_);
  if (!fails) return absl::OkStatus();
  if (failed_.empty()) failed_ = absl::StrCat(operation, " ", path);
  return FileError(errno_, operation, path);
}

void FaultyFileSystem::SyncTree(Node& node) {
  if (!node.lost) node.synced_bytes = node.bytes;
  if (node.dirty) node.synced_entries = node.entries;
  node.dirty = false;
  for (const auto& [name, child] : node.entries) SyncTree(*child);
}

void FaultyFileSystem::WriteTree(const Node& node, Names names,
                                 const std::string& to) {
  if (!node.directory) {
    std::ofstream(to, std::ios::binary)
        << (names == Names::kAsItIs ? node.bytes : node.synced_bytes);
    return;
  }
  fs::create_directories(to);
  for (const auto& [name, child] :
       names == Names::kSynced ? node.synced_entries : node.entries) {
    WriteTree(*child, names, absl::StrCat(to, "/", name));
  }
}

void FaultyFileSystem::CutPower(Names names, const std::string& to) const {
  const MutexLock lock(mutex_);
  WriteTree(*tree_, names, to);
}

std::pair<FaultyFileSystem::NodePtr, std::string> FaultyFileSystem::Locate(
    const std::string& path) const {
  if (!absl::StartsWith(path, root_ + "/")) return {nullptr, ""};
  std::vector<std::string> parts =
      absl::StrSplit(path.substr(root_.size() + 1), '/', absl::SkipEmpty());
  NodePtr node = tree_;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const auto next = node->entries.find(parts[i]);
    if (next == node->entries.end()) return {nullptr, ""};
    node = next->second;
  }
  return {node, parts.back()};
}

FaultyFileSystem::NodePtr FaultyFileSystem::Find(
    const std::string& path) const {
  if (path == root_) return tree_;
  const auto [parent, name] = Locate(path);
  if (parent == nullptr) return nullptr;
  const auto found = parent->entries.find(name);
  return found == parent->entries.end() ? nullptr : found->second;
}

FaultyFileSystem::NodePtr FaultyFileSystem::AddFile(const std::string& path) {
  const auto [parent, name] = Locate(path);
  NodePtr& node = parent->entries[name];
  if (node == nullptr) {
    node = std::make_shared<Node>();
    parent->dirty = true;
  }
  return node;
}

absl::StatusOr<std::unique_ptr<ReadableFile>> FaultyFileSystem::Open(
    const std::string& path, Caching caching) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("open", path));
  TIMBRE_ASSIGN_OR_RETURN(auto file, Posix().Open(path, caching));
  return std::make_unique<Reader>(*this, path, std::move(file));
}

absl::StatusOr<std::unique_ptr<WritableFile>> FaultyFileSystem::Create(
    const std::string& path, IfExists if_exists) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("create", path));
  TIMBRE_ASSIGN_OR_RETURN(auto file, Posix().Create(path, if_exists));
  const NodePtr node = AddFile(path);
  node->bytes.clear();
  return std::make_unique<Writer>(*this, path, node, std::move(file));
}

absl::StatusOr<std::unique_ptr<MappedFile>> FaultyFileSystem::Map(
    const std::string& path, uint64_t expected_bytes) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("map", path));
  return Posix().Map(path, expected_bytes);
}

absl::StatusOr<FileDescriptor> FaultyFileSystem::Lock(const std::string& path) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("lock", path));
  TIMBRE_ASSIGN_OR_RETURN(FileDescriptor fd, Posix().Lock(path));
  AddFile(path);
  return fd;
}

absl::StatusOr<FileStatus> FaultyFileSystem::Stat(const std::string& path) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("stat", path));
  return Posix().Stat(path);
}

absl::StatusOr<std::vector<std::string>> FaultyFileSystem::List(
    const std::string& path) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("list", path));
  return Posix().List(path);
}

absl::Status FaultyFileSystem::Rename(const std::string& from,
                                      const std::string& to) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("rename", absl::StrCat(from, " to ", to)));
  TIMBRE_RETURN_IF_ERROR(Posix().Rename(from, to));
  const auto [source, source_name] = Locate(from);
  const auto [target, target_name] = Locate(to);
  target->entries[target_name] = source->entries.at(source_name);
  source->entries.erase(source_name);
  source->dirty = true;
  target->dirty = true;
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::MakeDirectory(const std::string& path) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("mkdir", path));
  TIMBRE_RETURN_IF_ERROR(Posix().MakeDirectory(path));
  AddFile(path)->directory = true;
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::Remove(const std::string& path) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("remove", path));
  TIMBRE_RETURN_IF_ERROR(Posix().Remove(path));
  const auto [parent, name] = Locate(path);
  parent->entries.erase(name);
  parent->dirty = true;
  return absl::OkStatus();
}

absl::Status FaultyFileSystem::SyncDirectory(const std::string& path) {
  const MutexLock lock(mutex_);
  const NodePtr node = Find(path);
  const absl::Status fault = Begin("fsync", path);
  if (node == nullptr) return fault.ok() ? Posix().SyncDirectory(path) : fault;
  if (fault.ok() && node->dirty) node->synced_entries = node->entries;
  node->dirty = false;
  return fault;
}

absl::Status FaultyFileSystem::SyncAll(const std::string& path) {
  const MutexLock lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(Begin("syncfs", path));
  SyncTree(*tree_);
  return absl::OkStatus();
}

}  // namespace timbre::testing
