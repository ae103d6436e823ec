#include "basp_gate.hpp"

namespace troupe {

namespace {

// The operations of BASP (CAF 0.17, caf/io/basp/message_type.hpp).
constexpr std::uint8_t server_handshake = 0;
constexpr std::uint8_t client_handshake = 1;
constexpr std::uint8_t heartbeat = 6;

/// A header's payload length: bytes 4 to 7, most significant first.
std::uint32_t payload_length(std::span<const char> header) {
  std::uint32_t length = 0;
  for (std::size_t i = 4; i < 8; ++i)
    length = length << 8 | static_cast<unsigned char>(header[i]);
  return length;
}

} // namespace

bool basp_gate::admit(std::span<const char> chunk) {
  if (payload_ == 0)
    return admit_header(chunk);
  const bool whole = chunk.size() == payload_;
  payload_ = 0;
  return whole;
}

bool basp_gate::admit_header(std::span<const char> header) {
  if (header.size() != header_size)
    return false;
  const auto operation = static_cast<std::uint8_t>(header[0]);
  const auto length = payload_length(header);
  const auto greeting = side_ == side::accepted ? client_handshake : server_handshake;
  if (operation == greeting) {
    // CAF's client sends a second one that selects this connection.
    greeted_ = true;
    if (length == 0 || length > most_handshake)
      return false;
  } else if (!greeted_ || operation <= client_handshake || operation > heartbeat || length > most ||
             (length == 0) != (operation == heartbeat)) {
    return false;
  }
  payload_ = length;
  return true;
}

} // namespace troupe
