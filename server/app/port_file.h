// --port_file: where scripts find the ports.
#ifndef TIMBRE_SERVER_APP_PORT_FILE_H_
#define TIMBRE_SERVER_APP_PORT_FILE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"

namespace timbre {

// Lines grpc=PORT and metrics=PORT. Not thread-safe.
class PortFile {
 public:
  // Nothing happens yet. Empty: none.
  explicit PortFile(std::string path) : path_(std::move(path)) {}
  // Removes the file that Write made, if it is still that one: another server
  // may have replaced it.
  ~PortFile();
  PortFile(const PortFile&) = delete;
  PortFile& operator=(const PortFile&) = delete;

  // Whether Write may replace what lies there now: nothing, an empty file, or
  // what a server has left. INVALID_ARGUMENT for anything else, and without
  // its directory.
  absl::Status Check() const;
  // Renamed into place whole. As Check; RESOURCE_EXHAUSTED, INTERNAL.
  absl::Status Write(int grpc_port, int metrics_port);

 private:
  const std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;  // 0: not written
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_PORT_FILE_H_
