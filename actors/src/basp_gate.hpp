#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe {

/// Judges what arrives on a plain connection before CAF's BASP implementation sees it. CAF 0.17.6 reads a
/// header of 32 bytes and then exactly the payload that the header announces; it allocates that many bytes at
/// once (up to 4 GiB), and a handshake without a payload ends the process with a null pointer. So: the first
/// message must be the handshake that this side waits for, short and not empty, as every later one must be;
/// and nothing else is longer than `most`.
///
/// One per connection, in the multiplexer's thread. Knows no CAF.
class basp_gate {
public:
  /// Which handshake opens the connection: a client's when we accepted it, a server's when we connected.
  enum class side : std::uint8_t { accepted, connected };

  static constexpr std::size_t header_size = 32;
  /// Bytes of a handshake: the node's id, application names, the published actor's interface.
  static constexpr std::uint32_t most_handshake = 64u << 10;
  /// Bytes of any other message: the largest of ours is one batch of 4 MiB and its frame; lists of names come
  /// next.
  static constexpr std::uint32_t most = 16u << 20;

  explicit basp_gate(side s) : side_(s) {}

  /// The next chunk as CAF reads it: a whole header or a whole payload. False: end the connection.
  bool admit(std::span<const char> chunk);

private:
  bool admit_header(std::span<const char> header);

  side side_;
  bool greeted_ = false;
  /// Bytes of the payload that comes next; 0 when a header does.
  std::uint32_t payload_ = 0;
};

} // namespace troupe
