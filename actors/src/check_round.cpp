#include "check_round.hpp"

#include "troupe/batch.hpp"
#include "troupe/message.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

constexpr auto catalog_timeout = std::chrono::seconds{10};

bool holds(const std::optional<stored_batch>& batch, message_place message) {
  return batch && batch->index == message.index && message.ordinal >= batch->first_ordinal &&
         message.ordinal - batch->first_ordinal < batch->header.count;
}

} // namespace

caf::result<bool> check_round::expect(const expect_checks& e) {
  if (auto why = validate_group_name(e.group))
    return to_caf(why);
  if (!e.checker)
    return to_caf({errc::invalid_argument, "nobody is to be asked", "use a client library of this version"});
  const auto address = e.checker.address();
  if (numbers_.contains(address))
    return true;
  const auto number = ++last_number_;
  if (auto why = groups_.add(e.group, number))
    return to_caf(why);
  numbers_.emplace(address, number);
  handles_.emplace(number, e.checker);
  parts_.self->monitor(e.checker);
  return true;
}

void check_round::answered(const caf::actor_addr& who, std::uint32_t cost) {
  if (const auto at = numbers_.find(who); at != numbers_.end())
    groups_.answered(at->second, cost);
}

void check_round::lost(const caf::actor_addr& who) {
  const auto at = numbers_.extract(who);
  if (!at)
    return;
  groups_.remove(at.mapped());
  handles_.erase(at.mapped());
}

void check_round::run(const std::vector<open_transaction>& due, finish done) {
  auto p = std::make_shared<plan>();
  p->done = std::move(done);
  for (const auto& t : due)
    add(*p, t);
  for (const auto index : p->spreads)
    home_.spread_again_for(index);
  decide(p);
  if (p->checked.places.empty())
    return one_done(p, {});
  // Counted first: a question that is not recorded could be asked for ever.
  parts_.propose(std::move(p->checked))
      .then(
          [this, p](const applied&) {
            find_topics(p);
            one_done(p, {});
          },
          [this, p](const caf::error& err) {
            for (const auto& q : p->questions)
              groups_.answered(q.member, check_cost(q.item));
            one_done(p, from_caf(err));
          });
}

void check_round::add(plan& p, const open_transaction& t) {
  const bool at_home = t.row.queue.value == 0;
  const auto subject = at_home                 ? subject_of(t.state)
                       : t.transaction.known() ? check_subject::in_doubt
                                               : check_subject::prepared;
  if (subject == check_subject::in_doubt)
    return add_in_doubt(p, t);
  switch (step_for(subject, !t.group.empty())) {
  case check_step::ask:
    if (ask(p, t))
      count(p, t, parts_.schedule().next(t.checks + 1u, parts_.now()).value_or(never()));
    else
      p.busy = true;
    return;
  case check_step::rollback:
    if (at_home && home_.is_sealing(t.row.index))
      p.busy = true;
    else if (at_home)
      p.rollbacks.push_back(t.row.index);
    else
      p.decisions[{}].insert(p.decisions[{}].end(), t.messages.begin(), t.messages.end());
    return;
  case check_step::spread:
    p.spreads.push_back(t.row.index);
    [[fallthrough]];
  default:
    count(p, t, parts_.now() + home_transactions::spread_again);
  }
}

/// Home is a shard of this node.
void check_round::add_in_doubt(plan& p, const open_transaction& t) {
  const auto home = t.transaction.home.value;
  std::optional<stored_transaction> row;
  if (home < parts_.ctx->shards.size()) {
    const auto found = parts_.ctx->shards[home]->transaction(t.transaction.index);
    if (!found) {
      p.failed = found.error();
      return;
    }
    row = *found;
  }
  for (const auto& m : t.messages) {
    const bool listed = row && std::ranges::find(row->messages, message_id{parts_.id, m.index, m.ordinal}) !=
                                   row->messages.end();
    const auto answer = answer_of(row ? row->state : transaction_state::unknown, listed);
    switch (step_for(check_subject::in_doubt, false, answer)) {
    case check_step::later:
      return count(p, t, parts_.now() + parts_.schedule().every);
    case check_step::commit:
      p.decisions[{t.transaction, true}].push_back(m);
      break;
    default:
      p.decisions[{t.transaction, false}].push_back(m);
    }
  }
}

/// A row counts once, however many of its items are due.
void check_round::count(plan& p, const open_transaction& t, timestamp next) {
  auto& places = p.checked.places;
  if (places.empty() || places.back().at != t.row)
    places.push_back({t.row, next});
  else
    places.back().next_check = std::min(places.back().next_check, next);
}

bool check_round::ask(plan& p, const open_transaction& t) {
  checked_item item;
  item.transaction = t.row.queue.value == 0 ? t.transaction : transaction_id{};
  item.key = t.key;
  item.checks = t.checks + 1u;
  item.since = to_unix_ms(t.since);
  if (t.row.queue.value == 0)
    return ask(p, t, std::move(item));
  // Where there is not room for all of them, others have their turn each time.
  const auto first = std::size_t{t.checks} * (checker_groups::most_open / 4);
  // Opened once for all of its messages.
  std::optional<stored_batch> from;
  std::optional<batch_reader> reader;
  for (std::size_t i = 0; i < t.messages.size(); ++i) {
    const auto& m = t.messages[(first + i) % t.messages.size()];
    auto one = item;
    one.message = {parts_.id, m.index, m.ordinal};
    if (!holds(from, m)) {
      auto found = parts_.data().find(one.message);
      from = found ? std::optional{std::move(*found)} : std::nullopt;
      auto opened = from ? batch_reader::open(from->header, from->data) : result<batch_reader>{error{}};
      reader = opened ? std::optional{std::move(*opened)} : std::nullopt;
    }
    // What cannot be read is asked about all the same: its id may say enough.
    if (reader && holds(from, m)) {
      batch_builder builder;
      builder.add(reader->at(m.ordinal - from->first_ordinal));
      auto alone = builder.finish();
      one.header = alone.header;
      one.data = std::move(alone.data);
    }
    if (!ask(p, t, std::move(one)))
      return i > 0;
  }
  return true;
}

bool check_round::ask(plan& p, const open_transaction& t, checked_item item) {
  const auto choice = groups_.next(t.group, check_cost(item), parts_.monotonic());
  if (choice.what == checker_groups::turn::found)
    p.questions.push_back({choice.member, t.group, std::move(item), t.row.queue});
  return choice.what != checker_groups::turn::busy;
}

void check_round::decide(const plan_ptr& p) {
  for (auto& [what, messages] : p->decisions) {
    for (std::size_t at = 0; at < messages.size(); at += max_listed_messages) {
      const auto end = std::min(messages.size(), at + max_listed_messages);
      auto queues = parts_.data().by_queue(std::span{messages}.subspan(at, end - at));
      if (!queues || queues->empty()) {
        p->failed = queues ? error{errc::corrupt, "half messages whose entries are gone are undecided"}
                           : queues.error();
        continue;
      }
      decide_entry entry;
      entry.transaction = what.first;
      entry.commit = what.second;
      entry.queues = std::move(*queues);
      ++p->missing;
      parts_.propose(std::move(entry))
          .then(
              [this, p](const applied& a) {
                parts_.tell(a);
                one_done(p, {});
              },
              [this, p](const caf::error& err) { one_done(p, from_caf(err)); });
    }
  }
  for (const auto index : p->rollbacks) {
    ++p->missing;
    home_.decide(index, false, [this, p](const result<transaction_state>& state) {
      one_done(p, state ? error{} : state.error());
    });
  }
}

void check_round::one_done(const plan_ptr& p, const error& failed) {
  if (failed && !p->failed)
    p->failed = failed;
  if (--p->missing > 0)
    return;
  const auto end = p->failed ? ending::failed : p->busy ? ending::busy : ending::done;
  p->done(end, p->failed);
}

/// A shard knows no topics.
void check_round::find_topics(const plan_ptr& p) {
  if (p->questions.empty())
    return;
  topics_request ask;
  for (const auto& q : p->questions)
    ask.queues.push_back(q.queue);
  parts_.self->request(parts_.peers.topics, catalog_timeout, std::move(ask))
      .then([this, p](const topics_found& found) { send(p->questions, found.topics); },
            [this, p](const caf::error&) { send(p->questions, {}); });
}

/// What goes to the same program goes together.
void check_round::send(std::vector<question>& questions, const std::vector<std::string>& topics) {
  struct letter {
    check_transactions content;
    std::size_t bytes = 0;
  };
  std::map<std::uint64_t, letter> open;
  const auto post = [this](std::uint64_t member, letter& l) {
    if (const auto at = handles_.find(member); at != handles_.end() && !l.content.items.empty())
      troupe::tell(parts_.self, at->second, std::exchange(l, {}).content);
  };
  for (std::size_t i = 0; i < questions.size(); ++i) {
    auto& q = questions[i];
    if (i < topics.size())
      q.item.topic = topics[i];
    auto& l = open[q.member];
    if (l.bytes + q.item.data.size > most_question)
      post(q.member, l);
    l.content.group = q.group;
    l.bytes += q.item.data.size;
    l.content.items.push_back(std::move(q.item));
  }
  for (auto& [member, l] : open)
    post(member, l);
}

} // namespace troupe
