#include "server/app/port_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

constexpr off_t kMaxBytes = 64;  // of what a server has written

// Of what is there itself, no link followed; nothing: there is nothing.
std::optional<struct stat> Look(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return std::nullopt;
  return info;
}

bool IsPortFile(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode) || info.st_size > kMaxBytes) return false;
  const auto contents = ReadFile(path);
  return contents.ok() &&
         (contents->empty() || absl::StartsWith(*contents, "grpc="));
}

}  // namespace

absl::Status PortFile::Check() const {
  if (path_.empty()) return absl::OkStatus();
  const std::filesystem::path parent =
      std::filesystem::absolute(path_).parent_path();
  std::error_code error;
  if (!std::filesystem::is_directory(parent, error)) {
    return InvalidField("--port_file", path_, "in a directory that exists");
  }
  const auto found = Look(path_);
  if (!found || IsPortFile(path_, *found)) return absl::OkStatus();
  return InvalidField("--port_file", path_,
                      "a new file, or one that timbred has written: what is "
                      "there now is neither, and is left as it is");
}

absl::Status PortFile::Write(int grpc_port, int metrics_port) {
  if (path_.empty()) return absl::OkStatus();
  TIMBRE_RETURN_IF_ERROR(Check());
  std::string temporary = path_ + ".XXXXXX";
  const FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file.valid()) return FileError(errno, "create", temporary);
  const std::string text =
      absl::StrCat("grpc=", grpc_port, "\nmetrics=", metrics_port, "\n");
  struct stat info {};
  errno = ENOSPC;  // of a write that stops half-way
  const bool written = ::write(file.get(), text.data(), text.size()) ==
                           static_cast<ssize_t>(text.size()) &&
                       ::fchmod(file.get(), 0644) == 0 &&
                       ::fstat(file.get(), &info) == 0 &&
                       std::rename(temporary.c_str(), path_.c_str()) == 0;
  if (!written) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    return FileError(reason, "write", path_);
  }
  device_ = info.st_dev;
  inode_ = info.st_ino;
  return absl::OkStatus();
}

PortFile::~PortFile() {
  if (inode_ == 0) return;
  const auto found = Look(path_);
  if (found && found->st_dev == device_ && found->st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

}  // namespace timbre
