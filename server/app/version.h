// Timbre's version; CMake defines it.
#ifndef TIMBRE_SERVER_APP_VERSION_H_
#define TIMBRE_SERVER_APP_VERSION_H_

namespace timbre {

inline constexpr char kVersion[] = TIMBRE_VERSION;

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_VERSION_H_
