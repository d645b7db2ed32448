// What a process asks of the system before anything else.
#ifndef TIMBRE_SERVER_BASE_PROCESS_H_
#define TIMBRE_SERVER_BASE_PROCESS_H_

namespace timbre {

// Opens those of the descriptors 0, 1 and 2 that are closed on /dev/null: the
// next file or socket would get their number, and with it what is meant for
// standard error. Libraries open descriptors before main begins: an executable
// writes TIMBRE_OPEN_STANDARD_DESCRIPTORS_FIRST in its main file, which calls
// this before their constructors. Uses system calls alone, since nothing else
// may be ready then.
void OpenStandardDescriptors();

#define TIMBRE_OPEN_STANDARD_DESCRIPTORS_FIRST                       \
  [[gnu::section(".preinit_array"), gnu::used,                       \
    gnu::retain]] void (*const timbre_open_standard_descriptors)() = \
      &::timbre::OpenStandardDescriptors

// Raises the soft limit of open descriptors to the hard one. What uses
// select(2) must not be in the process.
void RaiseDescriptorLimit();

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_PROCESS_H_
