#pragma once

#include "troupe/ids.hpp"

#include <cstddef>
#include <cstdint>

namespace troupe {

/// Ends the TCP connections that came in on our port and from which nothing was received for `limit`; how
/// many they were. A peer that finished CAF's handshake sends a heartbeat every second and CAF itself cuts it
/// off when that stays out. But CAF knows nothing of a connection before the first whole header, so one that
/// says nothing would stay for ever and hold a file descriptor. Linux only: it asks the kernel (TCP_INFO)
/// when data last came. A few microseconds per open descriptor.
std::size_t close_silent_peers(std::uint16_t port, milliseconds limit);

} // namespace troupe
