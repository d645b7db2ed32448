#include "client/files/output.h"

#include <filesystem>
#include <system_error>

#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

absl::Status WriteStraight(
    const std::string& path,
    const std::function<absl::Status(OutputFile&)>& write) {
  TIMBRE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path));
  TIMBRE_RETURN_IF_ERROR(write(file));
  return file.Flush();
}

}  // namespace

absl::Status WriteWhole(const std::string& path,
                        const std::function<absl::Status(OutputFile&)>& write) {
  std::error_code error;
  const auto kind = std::filesystem::status(path, error).type();
  std::string target = path;
  if (kind == std::filesystem::file_type::regular) {
    // A link stays one: what it leads to is replaced.
    target = std::filesystem::canonical(path, error).string();
  } else if (kind != std::filesystem::file_type::not_found) {
    return WriteStraight(path, write);
  }
  const std::string temporary = target + ".part";
  absl::Status status;
  {
    TIMBRE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(temporary));
    status = write(file);
    if (status.ok()) status = file.Sync();
  }
  if (status.ok()) status = RenameDurably(temporary, target);
  if (!status.ok()) std::filesystem::remove(temporary, error);
  return status;
}

}  // namespace timbre::client
