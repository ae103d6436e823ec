#include "reply_addresses.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

error reply_addresses::put(const expect_replies& wanted, caf::actor& before) {
  if (!wanted.inbox || wanted.address.size() < shortest || wanted.address.size() > longest)
    return {errc::invalid_argument,
            "an address for replies has " + std::to_string(shortest) + " to " + std::to_string(longest) +
                " bytes",
            "use the same version of troupe on both sides"};
  if (!places_.contains(wanted.address) && places_.size() >= most)
    return {errc::overloaded, std::to_string(most) + " programs wait for replies", "close some",
            milliseconds{1000}};
  auto& place = places_[wanted.address];
  before = std::exchange(place.inbox, wanted.inbox);
  place.bytes = 0;
  if (before)
    address_of_.erase(before.address());
  address_of_[wanted.inbox.address()] = wanted.address;
  return {};
}

result<caf::actor> reply_addresses::take(const reply_message& reply) {
  const auto at = places_.find(reply.address);
  if (at == places_.end())
    return error{errc::not_found, "nobody waits for this reply: the program that asked is not connected",
                 "it may come back, and the request again with it; acknowledge the request if not"};
  auto& place = at->second;
  if (place.bytes > 0 && place.bytes + reply.data.size > most_bytes)
    return error{errc::overloaded,
                 "the program that waits for this reply does not read what was sent to it before",
                 "reply again later", milliseconds{100}};
  place.bytes += reply.data.size;
  return place.inbox;
}

void reply_addresses::taken(const replies_taken& read, const caf::actor_addr& by) {
  const auto at = places_.find(read.address);
  if (at != places_.end() && at->second.inbox.address() == by)
    at->second.bytes -= std::min(at->second.bytes, read.bytes);
}

bool reply_addresses::lost(const caf::actor_addr& inbox) {
  const auto at = address_of_.find(inbox);
  if (at == address_of_.end())
    return false;
  places_.erase(at->second);
  address_of_.erase(at);
  return true;
}

} // namespace troupe
