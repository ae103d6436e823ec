#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace trouped {

/// Takes the descriptors 0 to 2 if whoever started the program closed them: else the next file that is
/// opened, perhaps one of the store's, would get the log. Reading finds the end, writing fails as on a closed
/// one. First thing in main().
inline void hold_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (::fcntl(fd, F_GETFD) < 0)
        // The lowest free number: this one.
        [[maybe_unused]]
      const int held = ::open("/dev/null", O_RDONLY);
}

} // namespace trouped
