#include "inbox.hpp"

namespace troupe {

namespace {

const delivered& place(const leased_message& m) { return m.delivery->messages[m.position]; }

} // namespace

message_id leased_message::id() const { return place(*this).id; }
const std::string& leased_message::topic() const { return delivery->topic; }
std::uint32_t leased_message::queue() const { return delivery->number; }
queue_offset leased_message::offset() const { return place(*this).offset; }
std::uint32_t leased_message::attempt() const { return place(*this).attempts + 1u; }
timestamp leased_message::stored() const { return place(*this).stored; }
std::string_view leased_message::body() const { return place(*this).message.body; }
std::string_view leased_message::tag() const { return place(*this).message.tag; }
std::string_view leased_message::order_key() const { return place(*this).message.order_key; }
message_view leased_message::content() const { return place(*this).message; }

received_message leased_message::copy() const {
  return {id(), topic(), queue(), offset(), attempt(), stored(), content().materialize()};
}

} // namespace troupe
