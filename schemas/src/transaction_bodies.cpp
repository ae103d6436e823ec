#include "transaction_bodies.hpp"

#include "definition_codec.hpp"
#include "settle_body.hpp"
#include "timer_bodies.hpp"

#include "troupe/message.hpp"

#include <algorithm>
#include <functional>
#include <string>

namespace troupe::flat {

namespace {

constexpr auto ids_words = list_words<schema::MessageId>;

std::size_t optional_text_words(const std::string& text) {
  return text.empty() ? 0 : text_words(text.size());
}

kj::StringPtr to_text(const std::string& text) { return {text.c_str(), text.size()}; }

std::string to_string(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

// -- parts --

void write(const message_id& id, schema::MessageId::Builder to) {
  to.setShard(id.shard.value);
  to.setIndex(id.index.value);
  to.setOrdinal(id.ordinal);
}

template <class Values, class List> void write_all(const Values& values, List to) {
  for (capnp::uint i = 0; i < to.size(); ++i)
    flat::write(values[i], to[i]);
}
template <class List> void write_all(const std::vector<message_id>& ids, List to) {
  for (capnp::uint i = 0; i < to.size(); ++i)
    write(ids[i], to[i]);
}

void write(const decided_messages& some, schema::DecidedMessages::Builder to) {
  to.setQueue(some.queue.value);
  to.setMessageBytes(some.message_bytes);
  write_all(some.messages, to.initMessages(static_cast<capnp::uint>(some.messages.size())));
}

void write(const checked_entry::place& place, schema::CheckedPlace::Builder to) {
  to.setQueue(place.at.queue.value);
  to.setIndex(place.at.index.value);
  to.setFirst(place.at.first);
  to.setNextCheck(to_unix_ms(place.next_check));
}

std::vector<message_id> read_ids(capnp::List<schema::MessageId>::Reader from) {
  std::vector<message_id> ids;
  ids.reserve(from.size());
  for (auto id : from)
    ids.push_back({shard_id{id.getShard()}, log_index{id.getIndex()}, id.getOrdinal()});
  return ids;
}

decided_messages read(schema::DecidedMessages::Reader from) {
  decided_messages some{queue_id{from.getQueue()}, from.getMessageBytes(), {}};
  some.messages.reserve(from.getMessages().size());
  for (auto message : from.getMessages())
    some.messages.push_back(flat::read(message));
  return some;
}

// -- steps --

begin_entry read(schema::Begin::Reader from) {
  return {to_string(from.getGroup()), to_string(from.getKey()), from_unix_ms(from.getNextCheck())};
}

seal_entry read(schema::Seal::Reader from) {
  return {log_index{from.getTransaction()}, from_unix_ms(from.getNextCheck()), read_ids(from.getMessages())};
}

result<decide_entry> read(schema::Decide::Reader from) {
  decide_entry e;
  e.transaction = {shard_id{from.getHome()}, log_index{from.getBegin()}};
  e.home = from.getIsHome();
  e.commit = from.getCommit();
  if (from.hasGuard()) {
    auto guard = flat::read(from.getGuard());
    if (!guard)
      return guard.error();
    e.guard = std::move(*guard);
  }
  e.queues.reserve(from.getQueues().size());
  for (auto some : from.getQueues())
    e.queues.push_back(read(some));
  e.elsewhere = read_ids(from.getElsewhere());
  e.next_check = from_unix_ms(from.getNextCheck());
  return e;
}

confirm_entry read(schema::Confirm::Reader from) {
  return {log_index{from.getTransaction()}, shard_id{from.getShard()}};
}

checked_entry read(schema::Checked::Reader from) {
  checked_entry e;
  e.places.reserve(from.getPlaces().size());
  for (auto p : from.getPlaces())
    e.places.push_back(
        {{queue_id{p.getQueue()}, log_index{p.getIndex()}, p.getFirst()}, from_unix_ms(p.getNextCheck())});
  return e;
}

forget_transactions_entry read(schema::ForgetTransactions::Reader from) {
  return {from_unix_ms(from.getBefore())};
}

template <class Step> result<entry_body> checked(Step e) {
  if (auto o = check(e))
    return after_reading("the entry", o);
  return entry_body{std::move(e)};
}

// -- checks --

objection check_time(timestamp t) {
  return is_stored_time(t) ? objection{} : impossible("a time of a check is not between 1970 and 9999");
}

objection check_index(log_index index) {
  return index.value ? objection{} : impossible("it names no transaction");
}

bool is_name(const std::string& text) { return text.size() <= max_transaction_name && is_utf8(text); }

objection check_guard(const decide_entry& e) {
  if (!e.home || !e.commit)
    return impossible("a decision is guarded that is no commit, or not its home's");
  if (e.guard->ranges.empty())
    return impossible("its guard settles nothing");
  for (const auto& range : e.guard->ranges) {
    if (range.action != settle_action::ack)
      return impossible("its guard does something else than to acknowledge");
    if (auto o = check(range))
      return o;
  }
  return {};
}

objection check_queues(const decide_entry& e) {
  std::size_t messages = 0;
  queue_id before;
  for (const auto& some : e.queues) {
    if (some.queue <= before || some.messages.empty())
      return impossible("the queues that it decides about do not ascend, or one has no messages");
    before = some.queue;
    messages += some.messages.size();
  }
  if (messages > max_listed_messages || (messages == 0 && !e.home))
    return impossible("it decides about no messages or too many");
  return {};
}

} // namespace

std::size_t extra_words(const begin_entry& e) {
  return capnp::sizeInWords<schema::Begin>() + optional_text_words(e.group) + optional_text_words(e.key);
}
std::size_t extra_words(const seal_entry& e) {
  return capnp::sizeInWords<schema::Seal>() + ids_words(e.messages.size());
}
std::size_t extra_words(const decide_entry& e) {
  auto words = capnp::sizeInWords<schema::Decide>();
  if (e.guard)
    words += capnp::sizeInWords<schema::SettleSection>() + extra_words(*e.guard);
  if (!e.queues.empty())
    words += list_words<schema::DecidedMessages>(e.queues.size());
  for (const auto& some : e.queues)
    words += list_words<schema::MessagePlace>(some.messages.size());
  return words + (e.elsewhere.empty() ? 0 : ids_words(e.elsewhere.size()));
}
std::size_t extra_words(const confirm_entry&) { return capnp::sizeInWords<schema::Confirm>(); }
std::size_t extra_words(const checked_entry& e) {
  return capnp::sizeInWords<schema::Checked>() + list_words<schema::CheckedPlace>(e.places.size());
}
std::size_t extra_words(const forget_transactions_entry&) {
  return capnp::sizeInWords<schema::ForgetTransactions>();
}

void write(const begin_entry& e, schema::Transaction::Builder step) {
  auto to = step.initBegin();
  if (!e.group.empty())
    to.setGroup(to_text(e.group));
  if (!e.key.empty())
    to.setKey(to_text(e.key));
  to.setNextCheck(to_unix_ms(e.next_check));
}

void write(const seal_entry& e, schema::Transaction::Builder step) {
  auto to = step.initSeal();
  to.setTransaction(e.transaction.value);
  to.setNextCheck(to_unix_ms(e.next_check));
  write_all(e.messages, to.initMessages(static_cast<capnp::uint>(e.messages.size())));
}

void write(const decide_entry& e, schema::Transaction::Builder step) {
  auto to = step.initDecide();
  to.setHome(e.transaction.home.value);
  to.setBegin(e.transaction.index.value);
  to.setIsHome(e.home);
  to.setCommit(e.commit);
  if (e.guard)
    write(*e.guard, to.initGuard());
  if (!e.queues.empty()) {
    auto queues = to.initQueues(static_cast<capnp::uint>(e.queues.size()));
    for (capnp::uint i = 0; i < queues.size(); ++i)
      write(e.queues[i], queues[i]);
  }
  if (!e.elsewhere.empty())
    write_all(e.elsewhere, to.initElsewhere(static_cast<capnp::uint>(e.elsewhere.size())));
  to.setNextCheck(to_unix_ms(e.next_check));
}

void write(const confirm_entry& e, schema::Transaction::Builder step) {
  auto to = step.initConfirm();
  to.setTransaction(e.transaction.value);
  to.setShard(e.shard.value);
}

void write(const checked_entry& e, schema::Transaction::Builder step) {
  auto places = step.initChecked().initPlaces(static_cast<capnp::uint>(e.places.size()));
  for (capnp::uint i = 0; i < places.size(); ++i)
    write(e.places[i], places[i]);
}

void write(const forget_transactions_entry& e, schema::Transaction::Builder step) {
  step.initForget().setBefore(to_unix_ms(e.before));
}

objection check(const begin_entry& e) {
  if (!is_name(e.group) || !is_name(e.key))
    return impossible("a name in it is too long or not UTF-8");
  return check_time(e.next_check);
}

objection check(const seal_entry& e) {
  if (e.messages.empty() || e.messages.size() > max_listed_messages)
    return impossible("it seals no messages or too many");
  if (auto o = check_index(e.transaction))
    return o;
  return check_time(e.next_check);
}

objection check(const decide_entry& e) {
  if (e.home && !e.transaction.known())
    return impossible("it names no transaction");
  if (e.guard)
    if (auto o = check_guard(e))
      return o;
  if (auto o = check_queues(e))
    return o;
  if (e.elsewhere.size() > max_listed_messages || (!e.elsewhere.empty() && !e.home))
    return impossible("it lists too many messages of other shards");
  return check_time(e.next_check);
}

objection check(const confirm_entry& e) { return check_index(e.transaction); }

objection check(const checked_entry& e) {
  if (e.places.empty() || e.places.size() > max_listed_messages)
    return impossible("it counts no checks or too many");
  for (const auto& place : e.places) {
    if (auto o = check_time(place.next_check))
      return o;
    if (auto o = check_index(place.at.index))
      return o;
  }
  return {};
}

objection check(const forget_transactions_entry& e) { return check_time(e.before); }

result<entry_body> read_transaction_body(schema::Transaction::Reader from) {
  switch (from.which()) {
  case schema::Transaction::BEGIN:
    return checked(read(from.getBegin()));
  case schema::Transaction::SEAL:
    return checked(read(from.getSeal()));
  case schema::Transaction::DECIDE: {
    auto e = read(from.getDecide());
    if (!e)
      return e.error();
    return checked(std::move(*e));
  }
  case schema::Transaction::CONFIRM:
    return checked(read(from.getConfirm()));
  case schema::Transaction::CHECKED:
    return checked(read(from.getChecked()));
  case schema::Transaction::FORGET:
    return checked(read(from.getForget()));
  }
  return after_reading("the entry", not_known("a step of a transaction"));
}

} // namespace troupe::flat
