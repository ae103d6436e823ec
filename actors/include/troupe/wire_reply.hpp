#pragma once

#include "troupe/wire.hpp"

#include <cstdint>
#include <string>

/// Request and reply between programs: a request is an ordinary message that says where its reply goes; the
/// reply is not stored, the node passes it on to the program that waits. As wire.hpp.
namespace troupe {

/// Properties of a request (RocketMQ's names): who waits for the reply, and for which.
inline constexpr const char* reply_address_property = "REPLY_TO_CLIENT";
inline constexpr const char* correlation_property = "CORRELATION_ID";

/// REPLY INBOX -> DIRECTORY, request: replies to this address go to `inbox` until it ends. The answer is
/// true; invalid_argument (an address of the wrong length), overloaded (too many expect replies).
struct expect_replies {
  std::string address;
  caf::actor inbox;
};

/// CLIENT -> DIRECTORY, request, and from there to the inbox: a batch of one message. The answer is true once
/// it is on its way to the program that waits; not_found when none waits under this address, overloaded when
/// that one does not read what was sent to it before.
struct reply_message {
  std::string address;
  std::uint64_t correlation = 0;
  batch_header header;
  block data;
};

/// REPLY INBOX -> DIRECTORY, plain send: it has read replies of so many bytes.
struct replies_taken {
  std::string address;
  std::uint64_t bytes = 0;
};

template <class Inspector> auto inspect(Inspector& f, expect_replies& x) {
  return f(caf::meta::type_name("expect_replies"), x.address, x.inbox);
}
template <class Inspector> auto inspect(Inspector& f, reply_message& x) {
  return f(caf::meta::type_name("reply_message"), x.address, x.correlation, x.header, x.data);
}
template <class Inspector> auto inspect(Inspector& f, replies_taken& x) {
  return f(caf::meta::type_name("replies_taken"), x.address, x.bytes);
}

} // namespace troupe
