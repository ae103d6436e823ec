#pragma once

#include "troupe/error.hpp"
#include "troupe/wire_reply.hpp"

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace troupe {

/// Who waits for replies, and under which address. Part of the DIRECTORY; sends and monitors nothing itself.
class reply_addresses {
public:
  static constexpr std::size_t most = 16384;
  static constexpr std::size_t shortest = 16, longest = 64;
  /// Bytes on their way to one program: beyond, it gets nothing until it has read some of them. One reply of
  /// any size passes.
  static constexpr std::uint64_t most_bytes = 8u << 20;

  /// The address is this inbox's from now on. `before` is who had it.
  error put(const expect_replies& wanted, caf::actor& before);
  /// Where a reply goes, whose bytes are on their way from now on.
  result<caf::actor> take(const reply_message& reply);
  /// Its bytes were read.
  void taken(const replies_taken& read, const caf::actor_addr& by);
  /// False when it was nobody's inbox.
  bool lost(const caf::actor_addr& inbox);

private:
  struct place {
    caf::actor inbox;
    std::uint64_t bytes = 0;
  };
  std::unordered_map<std::string, place> places_;
  std::unordered_map<caf::actor_addr, std::string> address_of_;
};

} // namespace troupe
