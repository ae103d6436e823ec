#include "half_decisions.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

} // namespace

error half_decisions::check(const decide_halves& d) const {
  const auto count = d.commits.size() + d.rollbacks.size();
  if (count == 0 || count > decide_halves::most)
    return {errc::invalid_argument,
            std::to_string(count) + " half messages are to be decided; one request takes 1 to " +
                std::to_string(decide_halves::most),
            "ask several times"};
  const auto elsewhere = [this](const message_id& m) { return m.shard != parts_.id; };
  if (std::ranges::any_of(d.commits, elsewhere) || std::ranges::any_of(d.rollbacks, elsewhere))
    return {errc::invalid_argument, "a half message of another shard than " + std::to_string(parts_.id.value),
            "use a client library of this version"};
  if (waiting_[0].size() + waiting_[1].size() + count > most_waiting)
    return {
        errc::overloaded, std::to_string(most_waiting) + " half messages wait for their decision", {}, 10ms};
  return {};
}

void half_decisions::add(const decide_halves& d, caf::actor client) {
  if (auto why = check(d))
    return troupe::tell(parts_.self, client, failed_answer<decided_halves>(d.tag, why));
  const auto who = std::make_shared<asked>();
  who->client = std::move(client);
  who->answer.tag = d.tag;
  who->open = d.commits.size() + d.rollbacks.size();
  who->answer.states.resize(who->open);
  wait_for(d.commits, true, who, 0);
  wait_for(d.rollbacks, false, who, static_cast<std::uint32_t>(d.commits.size()));
  arm();
}

void half_decisions::wait_for(const std::vector<message_id>& messages, bool commit,
                              const std::shared_ptr<asked>& who, std::uint32_t first) {
  for (const auto& m : messages)
    waiting_[commit].push_back({{m.index, m.ordinal}, who, first++});
}

void half_decisions::arm() {
  if (armed_ || under_way_ >= most_entries)
    return;
  armed_ = true;
  parts_.self->send(parts_.self, transactions_flush_atom::value);
}

void half_decisions::flush() {
  armed_ = false;
  commits_first_ = !commits_first_;
  for (const bool commit : {commits_first_, !commits_first_})
    while (under_way_ < most_entries && !waiting_[commit].empty())
      propose(commit, take(waiting_[commit]));
}

half_decisions::slice half_decisions::take(std::deque<waiting>& from) const {
  const auto count = static_cast<std::ptrdiff_t>(std::min(from.size(), max_listed_messages));
  slice messages(std::make_move_iterator(from.begin()), std::make_move_iterator(from.begin() + count));
  from.erase(from.begin(), from.begin() + count);
  // In the order of the log: that of their publication.
  std::ranges::stable_sort(messages, {}, &waiting::message);
  return messages;
}

void half_decisions::propose(bool commit, slice messages) {
  std::vector<message_place> places;
  places.reserve(messages.size());
  for (const auto& w : messages)
    if (places.empty() || places.back() != w.message)
      places.push_back(w.message);
  auto queues = parts_.data().by_queue(places);
  if (!queues)
    return failed(messages, queues.error());
  std::vector<message_place> order;
  order.reserve(places.size());
  for (const auto& q : *queues)
    order.insert(order.end(), q.messages.begin(), q.messages.end());
  if (order.empty())
    return decided(messages, order, {});
  ++under_way_;
  decide_entry entry;
  entry.commit = commit;
  entry.queues = std::move(*queues);
  auto kept =
      std::make_shared<std::pair<slice, std::vector<message_place>>>(std::move(messages), std::move(order));
  parts_.propose(std::move(entry))
      .then(
          [this, kept](const applied& a) {
            --under_way_;
            parts_.tell(a);
            decided(kept->first, kept->second, a);
            flush();
          },
          [this, kept](const caf::error& err) {
            --under_way_;
            failed(kept->first, from_caf(err));
            flush();
          });
}

/// `order` is that of the entry, which goes by queue.
void half_decisions::decided(const slice& messages, const std::vector<message_place>& order,
                             const applied& outcome) {
  std::vector<std::pair<message_place, transaction_state>> states;
  states.reserve(order.size());
  for (std::size_t i = 0; i < order.size() && i < outcome.states.size(); ++i)
    states.emplace_back(order[i], outcome.states[i]);
  std::ranges::sort(states);
  for (const auto& w : messages) {
    const auto at =
        std::ranges::lower_bound(states, w.message, {}, &std::pair<message_place, transaction_state>::first);
    const bool known = at != states.end() && at->first == w.message;
    const auto state = known ? at->second : transaction_state::unknown;
    answer(w, state == transaction_state::unknown ? state_of(w.message) : state);
  }
}

void half_decisions::failed(const slice& messages, const error& why) {
  for (const auto& w : messages) {
    w.who->failed = why;
    put(w);
  }
}

/// Of a message that was not to be decided alone.
transaction_state half_decisions::state_of(message_place message) const {
  const auto found = parts_.data().half(message);
  return found && *found ? (*found)->state : transaction_state::unknown;
}

void half_decisions::answer(const waiting& w, transaction_state state) {
  w.who->answer.states[w.slot] = static_cast<std::uint8_t>(state);
  put(w);
}

void half_decisions::put(const waiting& w) {
  auto& who = *w.who;
  if (--who.open > 0)
    return;
  if (who.failed)
    troupe::tell(parts_.self, who.client, failed_answer<decided_halves>(who.answer.tag, who.failed));
  else
    troupe::tell(parts_.self, who.client, std::move(who.answer));
}

} // namespace troupe
