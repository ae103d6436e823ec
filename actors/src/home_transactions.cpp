#include "home_transactions.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

/// The STORE's own limit, and some more.
constexpr auto peer_timeout = 65s;

error overloaded() {
  return {errc::overloaded,
          std::to_string(home_transactions::most_requests) + " requests about transactions are under way",
          {},
          10ms};
}

error wrong(std::string why) {
  return {errc::invalid_argument, std::move(why), "use a client library of this version"};
}

error check_name(const char* what, const std::string& name) {
  if (!is_utf8(name))
    return wrong(std::string{what} + " is not UTF-8");
  if (name.size() <= max_transaction_name)
    return {};
  return {errc::invalid_argument,
          std::string{what} + " has " + std::to_string(name.size()) + " bytes; at most " +
              std::to_string(max_transaction_name) + " are allowed",
          "choose a shorter one"};
}

error no_such_shard(const message_id& m) {
  return wrong("message " + to_string(m) + " is of a shard that this node does not have");
}

/// What one guard may acknowledge: apply() looks at each offset.
error check_guard(const settle_guard& guard) {
  std::uint64_t offsets = 0;
  for (const auto& run : guard.runs)
    offsets += run.count;
  if (!guard.runs.empty() && guard.runs.size() <= max_listed_messages && offsets <= max_listed_messages)
    return {};
  return wrong("a guard of " + std::to_string(offsets) + " messages in " + std::to_string(guard.runs.size()) +
               " runs; 1 to " + std::to_string(max_listed_messages) + " are allowed");
}

error check_count(std::size_t messages) {
  if (messages <= max_listed_messages)
    return {};
  return {errc::too_large,
          "a transaction of " + std::to_string(messages) + " messages; at most " +
              std::to_string(max_listed_messages) + " are allowed",
          "commit more often"};
}

} // namespace

void home_transactions::start() {
  const auto open = parts_.data().unconfirmed();
  if (!open)
    return parts_.report(log_level::warning, "unconfirmed_unknown",
                         "which shards have not heard of a decision cannot be read: " +
                             to_string(open.error()));
  for (const auto& t : *open)
    spread_again_for(t.row.index);
}

void home_transactions::begin(const begin_transaction& b, caf::actor client,
                              const std::function<void(timestamp)>& due) {
  const auto refuse = [&](const error& why) {
    troupe::tell(parts_.self, client, failed_answer<transaction_answer>(b.tag, why));
  };
  if (full())
    return refuse(overloaded());
  for (const auto& why : {check_name("the producer group's name", b.group), check_name("the key", b.key)})
    if (why)
      return refuse(why);
  if (!b.group.empty())
    if (auto why = validate_group_name(b.group))
      return refuse(why);
  const auto look = parts_.now() + parts_.schedule().gathering;
  ++under_way_;
  parts_.propose(begin_entry{b.group, b.key, look})
      .then(
          [this, client, due, look, tag = b.tag](const applied& a) {
            --under_way_;
            due(look);
            transaction_answer answer;
            answer.tag = tag;
            answer.id = {parts_.id, a.index};
            answer.state = a.state;
            troupe::tell(parts_.self, client, std::move(answer));
          },
          [this, client, tag = b.tag](const caf::error& err) {
            --under_way_;
            troupe::tell(parts_.self, client, failed_answer<transaction_answer>(tag, from_caf(err)));
          });
}

void home_transactions::seal(const seal_transaction& s, caf::actor client,
                             const std::function<void(timestamp)>& due) {
  const auto refuse = [&](const error& why) {
    troupe::tell(parts_.self, client, failed_answer<transaction_answer>(s.tag, why));
  };
  if (full())
    return refuse(overloaded());
  if (s.id.home != parts_.id || !s.id.known() || s.messages.empty())
    return refuse(wrong("transaction " + to_string(s.id) + " cannot be prepared here, or has no message"));
  if (auto why = check_count(s.messages.size()))
    return refuse(why);
  for (const auto& m : s.messages)
    if (m.shard.value >= parts_.peers.shards.size())
      return refuse(no_such_shard(m));
  const auto look = parts_.schedule().first(parts_.now());
  ++under_way_;
  sealing_.insert(s.id.index);
  parts_.propose(seal_entry{s.id.index, look, s.messages})
      .then(
          [this, client, due, look, tag = s.tag, id = s.id](const applied& a) {
            --under_way_;
            sealing_.erase(sealing_.find(id.index));
            due(look);
            transaction_answer answer;
            answer.tag = tag;
            answer.id = id;
            answer.state = a.state;
            troupe::tell(parts_.self, client, std::move(answer));
          },
          [this, client, tag = s.tag, id = s.id](const caf::error& err) {
            --under_way_;
            sealing_.erase(sealing_.find(id.index));
            troupe::tell(parts_.self, client, failed_answer<transaction_answer>(tag, from_caf(err)));
          });
}

error home_transactions::check(const decide_transaction& d) const {
  if (d.id.home != parts_.id || !d.id.known())
    return wrong("transaction " + to_string(d.id) + " is not decided here");
  if (auto why = check_count(d.messages.size()))
    return why;
  if (d.guard.size() > 1 || (!d.guard.empty() && !d.commit))
    return wrong("a commit takes one guard, a rollback none");
  if (!d.guard.empty() && parts_.ctx->shard_of(d.guard.front().queue) != parts_.id.value)
    return wrong("the guard of transaction " + to_string(d.id) + " is of a queue in another shard");
  return d.guard.empty() ? error{} : check_guard(d.guard.front());
}

void home_transactions::decide(const decide_transaction& d, caf::actor client) {
  auto why = full() ? overloaded() : check(d);
  if (why)
    return troupe::tell(parts_.self, client, failed_answer<transaction_answer>(d.tag, why));
  decide(wanted{d.id.index, d.commit, d.messages, d.guard},
         [this, client, tag = d.tag, id = d.id](const result<transaction_state>& state) {
           if (!state)
             return troupe::tell(parts_.self, client, failed_answer<transaction_answer>(tag, state.error()));
           transaction_answer answer;
           answer.tag = tag;
           answer.id = id;
           answer.state = *state;
           troupe::tell(parts_.self, client, std::move(answer));
         });
}

void home_transactions::decide(log_index transaction, bool commit, finish done) {
  decide(wanted{transaction, commit, {}, {}}, done);
}

void home_transactions::decide(wanted w, const finish& done) {
  const auto row = parts_.data().transaction(w.transaction);
  if (!row)
    return done(row.error());
  if (!*row)
    return done(transaction_state::unknown);
  const auto state = (*row)->state;
  if (has_ended(state) || (w.commit && state == transaction_state::begun && w.guard.empty()))
    return done(state);
  auto entry = entry_for(w, state == transaction_state::prepared ? (*row)->messages : w.messages);
  if (!entry)
    return done(entry.error());
  ++under_way_;
  auto elsewhere = entry->elsewhere;
  parts_.propose(std::move(*entry))
      .then(
          [this, done, index = w.transaction, others = std::move(elsewhere)](const applied& a) {
            --under_way_;
            parts_.tell(a);
            if (a.guard_refused)
              done(error{errc::lease_lost,
                         "what the commit acknowledges was settled already, or its generation is over; the "
                         "transaction was rolled back",
                         "leave it: another run of it counts"});
            else
              done(a.state);
            if (has_ended(a.state) && !others.empty())
              spread(index, a.state == transaction_state::committed, others);
          },
          [this, done](const caf::error& err) {
            --under_way_;
            done(from_caf(err));
          });
}

result<decide_entry> home_transactions::entry_for(const wanted& w,
                                                  const std::vector<message_id>& messages) const {
  decide_entry entry;
  entry.transaction = {parts_.id, w.transaction};
  entry.home = true;
  entry.commit = w.commit;
  std::vector<message_place> here;
  for (const auto& m : messages) {
    if (m.shard == parts_.id)
      here.push_back({m.index, m.ordinal});
    else if (m.shard.value < parts_.peers.shards.size())
      entry.elsewhere.push_back(m);
    else if (w.commit)
      return no_such_shard(m);
  }
  auto queues = parts_.data().by_queue(here);
  if (!queues)
    return queues.error();
  entry.queues = std::move(*queues);
  if (!w.guard.empty()) {
    const auto& g = w.guard.front();
    settle_section section{.group = g.group, .queue = g.queue, .lane = 0, .gen = g.gen, .ranges = {}};
    for (const auto& run : g.runs)
      section.ranges.push_back({.first = run.first, .count = run.count, .action = settle_action::ack});
    entry.guard = std::move(section);
  }
  entry.next_check = parts_.now() + spread_again;
  return entry;
}

void home_transactions::spread_again_for(log_index transaction) {
  const auto row = parts_.data().transaction(transaction);
  if (row && *row && has_ended((*row)->state))
    spread(transaction, (*row)->state == transaction_state::committed, (*row)->messages);
}

void home_transactions::spread(log_index transaction, bool commit, const std::vector<message_id>& messages) {
  std::map<shard_id, decide_part> parts;
  for (const auto& m : messages) {
    auto& part = parts[m.shard];
    part.transaction = {parts_.id, transaction};
    part.commit = commit;
    part.messages.push_back({m.index, m.ordinal});
  }
  for (auto& [shard, part] : parts)
    spread_to(transaction, shard, std::move(part));
}

void home_transactions::spread_to(log_index transaction, shard_id shard, decide_part part) {
  if (shard.value >= parts_.peers.shards.size() || spreading_.size() >= most_spreading ||
      !spreading_.emplace(transaction, shard).second)
    return; // it will be due
  parts_.self->request(parts_.peers.shards[shard.value], peer_timeout, std::move(part))
      .then([this, transaction, shard](bool) { confirmed(transaction, shard); },
            [this, transaction, shard](const caf::error& err) {
              spreading_.erase({transaction, shard});
              parts_.report(
                  log_level::debug, "not_confirmed",
                  "shard " + std::to_string(shard.value) +
                      " did not carry out a decision and hears of it again: " + to_string(from_caf(err)));
            });
}

void home_transactions::confirmed(log_index transaction, shard_id shard) {
  const auto over = [this, transaction, shard] { spreading_.erase({transaction, shard}); };
  parts_.propose(confirm_entry{transaction, shard})
      .then([over](const applied&) { over(); }, [over](const caf::error&) { over(); });
}

caf::result<bool> home_transactions::decide_here(const decide_part& p) {
  if (p.messages.empty() || p.messages.size() > max_listed_messages)
    return to_caf(wrong("a decision lists no message, or too many"));
  auto queues = parts_.data().by_queue(p.messages);
  if (!queues)
    return to_caf(queues.error());
  if (queues->empty())
    return true; // all gone with their queues
  decide_entry entry;
  entry.transaction = p.transaction;
  entry.commit = p.commit;
  entry.queues = std::move(*queues);
  auto promise = parts_.self->make_response_promise<bool>();
  parts_.propose(std::move(entry))
      .then(
          [this, promise](const applied& a) mutable {
            parts_.tell(a);
            promise.deliver(true);
          },
          [promise](caf::error& err) mutable { promise.deliver(std::move(err)); });
  return promise;
}

} // namespace troupe
