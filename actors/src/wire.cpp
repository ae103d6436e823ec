#include "troupe/wire.hpp"
#include "troupe/wire_admin.hpp"
#include "troupe/wire_dead.hpp"
#include "troupe/wire_delayed.hpp"
#include "troupe/wire_reply.hpp"
#include "troupe/wire_transactions.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>
#include <caf/sec.hpp>

#include <type_traits>

namespace troupe {

namespace {

constexpr auto troupe_category = caf::atom("troupe");

/// CAF's own failures in our words. What cannot happen to a correct program is `internal`.
error from_sec(caf::sec code) {
  switch (code) {
  case caf::sec::request_timeout:
    return {errc::timeout, "no answer within the time allowed", "what was asked may still happen; ask again"};
  case caf::sec::request_receiver_down:
  case caf::sec::no_route_to_receiving_node:
  case caf::sec::cannot_connect_to_node:
  case caf::sec::remote_lookup_failed:
  case caf::sec::disconnect_during_handshake:
  case caf::sec::bad_function_call:
    return {errc::disconnected, "the peer cannot be reached: " + caf::to_string(code),
            "check that the node runs and listens there"};
  case caf::sec::unexpected_message:
    return {errc::invalid_argument, "the peer does not know this request",
            "use the same version on both sides"};
  default:
    return {errc::internal, caf::to_string(code), {}};
  }
}

error from_exit(caf::exit_reason code) {
  switch (code) {
  case caf::exit_reason::remote_link_unreachable:
  case caf::exit_reason::unknown:
    return {errc::disconnected, "the peer is gone: " + caf::to_string(code), "connect again"};
  case caf::exit_reason::user_shutdown:
  case caf::exit_reason::kill:
  case caf::exit_reason::normal:
  case caf::exit_reason::out_of_workers:
    return {errc::shutting_down, "the peer has stopped: " + caf::to_string(code), "connect again later"};
  default:
    return {errc::internal, "the peer failed: " + caf::to_string(code), {}};
  }
}

error from_own(const caf::error& err) {
  const auto code = static_cast<errc>(err.code());
  const auto& text = err.context();
  if (!text.match_elements<std::string, std::string, std::int64_t>())
    return {code, "no reason was given", {}};
  const auto again = text.get_as<std::int64_t>(2);
  return {code, text.get_as<std::string>(0), text.get_as<std::string>(1),
          milliseconds{again < 0 ? 0 : again}};
}

template <class... Ts, std::size_t N>
void add_types(caf::actor_system_config& cfg, const char* const (&names)[N]) {
  static_assert(N == sizeof...(Ts), "a type without a name");
  auto* name = names;
  (cfg.add_message_type<Ts>(*name++), ...);
}

} // namespace

caf::error to_caf(const error& err) {
  if (!err)
    return {};
  return {static_cast<std::uint8_t>(err.code), troupe_category,
          caf::make_message(err.reason, err.hint, static_cast<std::int64_t>(err.retry_after.count()))};
}

error from_caf(const caf::error& err) {
  if (!err)
    return {};
  if (err.category() == troupe_category)
    return from_own(err);
  if (err.category() == caf::atom("system"))
    return from_sec(static_cast<caf::sec>(err.code()));
  if (err.category() == caf::atom("exit"))
    return from_exit(static_cast<caf::exit_reason>(err.code()));
  return {errc::internal, "an error of a category that is not ours: " + caf::to_string(err.category()), {}};
}

caf::error inspect(caf::serializer& f, block& x) {
  std::size_t n = x.size;
  if (auto err = f.begin_sequence(n))
    return err;
  // apply_raw takes a mutable pointer for both directions; a serializer only reads.
  if (n > 0)
    if (auto err = f.apply_raw(n, const_cast<char*>(x.data.get())))
      return err;
  return f.end_sequence();
}

caf::error inspect(caf::deserializer& f, block& x) {
  std::size_t n = 0;
  if (auto err = f.begin_sequence(n))
    return err;
  if (n > max_block)
    return caf::sec::end_of_stream;
  if (auto* in = dynamic_cast<caf::binary_deserializer*>(&f); in != nullptr && in->remaining() < n)
    return caf::sec::end_of_stream;
  // operator new aligns to 16, so that records can be read in place.
  std::shared_ptr<char[]> mem{n > 0 ? new char[n] : nullptr};
  if (n > 0)
    if (auto err = f.apply_raw(n, mem.get()))
      return err;
  x = block::adopt(std::move(mem), static_cast<std::uint32_t>(n));
  return f.end_sequence();
}

std::string to_string(const block& x) { return "block(" + std::to_string(x.size) + ")"; }

caf::error inspect(caf::serializer& f, retry_schedule& x) {
  std::size_t n = x.steps.size();
  if (auto err = f.begin_sequence(n))
    return err;
  for (auto& pause : x.steps)
    if (auto err = f(pause))
      return err;
  if (auto err = f.end_sequence())
    return err;
  return f(x.initial, x.factor, x.maximum, x.jitter);
}

caf::error inspect(caf::deserializer& f, retry_schedule& x) {
  std::size_t n = 0;
  if (auto err = f.begin_sequence(n))
    return err;
  if (n > retry_schedule::most_steps)
    return caf::sec::end_of_stream;
  x.steps.assign(n, milliseconds{0});
  for (auto& pause : x.steps)
    if (auto err = f(pause))
      return err;
  if (auto err = f.end_sequence())
    return err;
  return f(x.initial, x.factor, x.maximum, x.jitter);
}

std::string to_string(const retry_schedule& x) { return format_retry(x); }

void add_wire_types(caf::actor_system_config& cfg) {
  add_types<hello, welcome, route_request, route, publish, publish_result, published, topic_filter, join,
            joined, group_news, settle_item, consume, settled, renew, leave, delivery, dismissed>(
      cfg, {"hello", "welcome", "route_request", "route", "publish", "publish_result", "published",
            "topic_filter", "join", "joined", "group_news", "settle_item", "consume", "settled", "renew",
            "leave", "delivery", "dismissed"});
  add_types<create_topic, set_topic, topic_name, create_group, group_name, queue_status, topic_status,
            subscription_status, member_status, group_status, names, get_message, found_message, shard_status,
            node_status, message_id, batch_header, topic_options, group_options, block, retry_schedule,
            set_group, pause_group, reset_group, queue_reset, group_reset, subscribe_group, dead_place,
            list_dead, dead_status, dead_page, settle_dead, dead_result, dead_settled>(
      cfg, {"create_topic",   "set_topic",       "topic_name",          "create_group",  "group_name",
            "queue_status",   "topic_status",    "subscription_status", "member_status", "group_status",
            "names",          "get_message",     "found_message",       "shard_status",  "node_status",
            "message_id",     "batch_header",    "topic_options",       "group_options", "block",
            "retry_schedule", "set_group",       "pause_group",         "reset_group",   "queue_reset",
            "group_reset",    "subscribe_group", "dead_place",          "list_dead",     "dead_status",
            "dead_page",      "settle_dead",     "dead_result",         "dead_settled"});
  add_types<expect_replies, reply_message, replies_taken>(
      cfg, {"expect_replies", "reply_message", "replies_taken"});
  add_types<delayed_status, list_delayed, delayed_page, cancel_delayed, cancelled_delayed>(
      cfg, {"delayed_status", "list_delayed", "delayed_page", "cancel_delayed", "cancelled_delayed"});
  add_types<transaction_id, transactions_request, transactions_route, decide_halves, decided_halves,
            begin_transaction, seal_transaction, offset_run, settle_guard, decide_transaction,
            transaction_answer, expect_checks, checked_item, check_transactions, checks_done,
            transaction_status, transaction_cursor, list_transactions, transactions_page, decide_by_hand,
            decided_by_hand>(cfg, {"transaction_id",     "transactions_request", "transactions_route",
                                   "decide_halves",      "decided_halves",       "begin_transaction",
                                   "seal_transaction",   "offset_run",           "settle_guard",
                                   "decide_transaction", "transaction_answer",   "expect_checks",
                                   "checked_item",       "check_transactions",   "checks_done",
                                   "transaction_status", "transaction_cursor",   "list_transactions",
                                   "transactions_page",  "decide_by_hand",       "decided_by_hand"});
  cfg.add_error_category(troupe_category, [](std::uint8_t code, caf::atom_value, const caf::message& text) {
    const auto context = text.match_elements<std::string, std::string, std::int64_t>();
    return to_string(error{static_cast<errc>(code), context ? text.get_as<std::string>(0) : std::string{},
                           context ? text.get_as<std::string>(1) : std::string{}});
  });
}

} // namespace troupe
