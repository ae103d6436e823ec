#include "inbox.hpp"

namespace troupe {

message_id leased_message::id() const { return delivery->messages.id(position); }
const std::string& leased_message::topic() const { return delivery->topic; }
std::uint32_t leased_message::queue() const { return delivery->number; }
queue_offset leased_message::offset() const { return delivery->messages.offset(position); }
std::uint32_t leased_message::attempt() const { return delivery->messages.attempts(position) + 1u; }
timestamp leased_message::stored() const { return delivery->messages.stored(position); }
std::string_view leased_message::body() const { return delivery->messages.body(position); }
std::string_view leased_message::tag() const { return delivery->messages.tag(position); }
std::string_view leased_message::order_key() const { return content().order_key; }
message_view leased_message::content() const { return delivery->messages.message(position); }

received_message leased_message::copy() const {
  return {id(), topic(), queue(), offset(), attempt(), stored(), content().materialize()};
}

} // namespace troupe
