// What libraries say, in our format.
#ifndef TIMBRE_SERVER_APP_LOG_HOOKS_H_
#define TIMBRE_SERVER_APP_LOG_HOOKS_H_

namespace timbre {

// gRPC's and protobuf's own messages go through Log from now on.
void TakeLibraryLogs();

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_LOG_HOOKS_H_
