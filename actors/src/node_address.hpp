#pragma once

#include "troupe/error.hpp"
#include "troupe/node.hpp"

#include <cstdint>
#include <string>

namespace troupe {

/// Looks the host up: `invalid_argument` when it has no address, or one that is not loopback while there is
/// no TLS.
error check_address(const node_config& config);

/// Tries whether its port can be had: `in_use` when another program has it, `invalid_argument` when no
/// address of the host is this machine's or the port needs more rights. No promise: it is free again
/// afterwards.
error check_port(const node_config& config);

/// "HOST:PORT", an IPv6 address in brackets.
std::string join_address(const std::string& host, std::uint16_t port);

} // namespace troupe
