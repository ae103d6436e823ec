#include "transaction_actor.hpp"

#include "client_impl.hpp"
#include "outbox.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

constexpr auto answer_timeout = std::chrono::seconds{10};
constexpr milliseconds ask_pause{200};
constexpr milliseconds expect_pause{1000};
constexpr milliseconds shortest_pause{5};
constexpr milliseconds longest_pause{1000};

/// Whether the same may go well in a moment.
bool passes(errc code) {
  return code == errc::overloaded || code == errc::shutting_down || code == errc::timeout ||
         code == errc::no_space || code == errc::disconnected;
}

std::string subject(const half_decision& d) { return "half message " + to_string(d.message); }
std::string subject(const transaction_step&) { return "the transaction"; }

error too_late(const std::string& what) {
  return {errc::timeout,
          "the decision about " + what + " was not answered in time; it may have been carried out",
          "say it again: the first decision stands; or leave it to the checker"};
}

} // namespace

transaction_client_state::~transaction_client_state() {
  if (!cfg_.board)
    return;
  // First, so that nothing comes after what is taken here.
  cfg_.board->refuse(ended_);
  distribute();
  for (auto& [tag, batch] : sent_) {
    take_back(batch.commits, batch.shard);
    take_back(batch.rollbacks, batch.shard);
  }
  for (auto& decisions : waiting_)
    for (auto& d : decisions)
      settle(d, ended_);
  for (auto& [tag, step] : sent_steps_)
    settle(step, ended_);
  for (auto& step : steps_)
    settle(step, ended_);
  cfg_.board->settled(settled_);
  cfg_.board->ended(ended_);
}

void transaction_client_state::start(transaction_client_config c) {
  cfg_ = std::move(c);
  self->send(cfg_.connection, attach_line{caf::actor_cast<caf::actor>(self)});
}

void transaction_client_state::line_came(const line_up& up) {
  directory_ = up.directory;
  session_ = up.session;
  ask_deciders();
}

void transaction_client_state::line_went() {
  directory_ = nullptr;
  shards_.clear();
  for (auto& [tag, batch] : std::exchange(sent_, {})) {
    take_back(batch.commits, batch.shard);
    take_back(batch.rollbacks, batch.shard);
  }
  std::ranges::fill(under_way_, 0u);
  for (auto& [tag, step] : std::exchange(sent_steps_, {}))
    steps_.push_front(std::move(step));
}

void transaction_client_state::ask_deciders() {
  if (!directory_)
    return;
  self->request(directory_, answer_timeout, transactions_request{})
      .then(
          [this, session = session_](const transactions_route& r) {
            if (session == session_ && directory_)
              found(r);
          },
          [this, session = session_](const caf::error& why) {
            if (session != session_ || !directory_)
              return;
            if (from_caf(why).code == errc::invalid_argument)
              return end(from_caf(why));
            self->delayed_send(self, ask_pause, deciders_atom::value);
          });
}

void transaction_client_state::found(const transactions_route& r) {
  if (r.shards.empty() || (!waiting_.empty() && r.shards.size() != waiting_.size()))
    return end({errc::corrupt, "the node says that others decide about transactions than before",
                "open others; use the same version of troupe on both sides"});
  shards_ = r.shards;
  waiting_.resize(shards_.size());
  under_way_.resize(shards_.size());
  cfg_.board->opened(shards_.size());
  expect_checks_again();
  collect();
}

void transaction_client_state::expect_checks_again() {
  expecting_ = false;
  if (!cfg_.checks)
    return;
  for (const auto& shard : shards_)
    self->request(shard, answer_timeout, expect_checks{cfg_.group, caf::actor_cast<caf::actor>(self)})
        .then([](bool) {},
              [this, session = session_](const caf::error&) {
                if (session == session_ && directory_ && !std::exchange(expecting_, true))
                  self->delayed_send(self, expect_pause, expect_again_atom::value);
              });
}

// -- decisions
// --------------------------------------------------------------------------------------------

void transaction_client_state::collect() {
  distribute();
  pump();
}

void transaction_client_state::distribute() {
  auto work = cfg_.board->take();
  for (auto& d : work.decisions) {
    if (d.message.shard.value < waiting_.size())
      waiting_[d.message.shard.value].push_back(std::move(d));
    else
      settle(d, error{errc::not_found,
                      "there is no half message " + to_string(d.message) + ": the node has no such shard",
                      "check the id"});
  }
  for (auto& s : work.steps) {
    if (s.home.value < waiting_.size())
      steps_.push_back(std::move(s));
    else
      settle(s,
             error{errc::not_found, "the node has no shard " + std::to_string(s.home.value), "check the id"});
  }
}

void transaction_client_state::pump() {
  if (!paused_ && !shards_.empty()) {
    for (std::size_t shard = 0; shard < shards_.size(); ++shard)
      while (under_way_[shard] < most_batches && !waiting_[shard].empty())
        send_batch(shard);
    while (sent_steps_.size() < most_steps && !steps_.empty())
      send_step();
  }
  if (settled_ > 0)
    cfg_.board->settled(std::exchange(settled_, 0));
  arm_sweep();
}

void transaction_client_state::send_batch(std::size_t shard) {
  auto& from = waiting_[shard];
  const auto tag = ++last_tag_;
  decide_halves request;
  request.tag = tag;
  batch_sent sent;
  sent.shard = shard;
  for (std::size_t i = 0; i < decide_halves::most && !from.empty(); ++i) {
    auto& d = from.front();
    (d.commit ? request.commits : request.rollbacks).push_back(d.message);
    (d.commit ? sent.commits : sent.rollbacks).push_back(std::move(d));
    from.pop_front();
  }
  sent_.emplace(tag, std::move(sent));
  ++under_way_[shard];
  self->send(shards_[shard], std::move(request));
}

void transaction_client_state::send_step() {
  auto step = std::move(steps_.front());
  steps_.pop_front();
  const auto tag = ++last_tag_;
  const auto to = shards_[step.home.value];
  std::visit(
      [&](auto request) {
        request.tag = tag;
        self->send(to, std::move(request));
      },
      step.request);
  sent_steps_.emplace(tag, std::move(step));
}

void transaction_client_state::take_back(std::vector<half_decision>& from, std::size_t shard) {
  waiting_[shard].insert(waiting_[shard].begin(), std::make_move_iterator(from.begin()),
                         std::make_move_iterator(from.end()));
}

void transaction_client_state::pause(milliseconds wanted) {
  if (std::exchange(paused_, true))
    return;
  self->delayed_send(self, std::clamp(wanted, shortest_pause, longest_pause), decide_again_atom::value);
}

void transaction_client_state::again() {
  paused_ = false;
  pump();
}

void transaction_client_state::answered(decided_halves& d) {
  auto node = sent_.extract(d.tag);
  if (!node)
    return;
  auto& batch = node.mapped();
  --under_way_[batch.shard];
  if (passes(d.code)) {
    take_back(batch.commits, batch.shard);
    take_back(batch.rollbacks, batch.shard);
    pause(milliseconds{d.retry_after});
    return pump();
  }
  const error failed{d.code, std::move(d.reason), std::move(d.hint)};
  std::size_t i = 0;
  for (auto* list : {&batch.commits, &batch.rollbacks})
    for (auto& decision : *list) {
      const auto state =
          i < d.states.size() ? static_cast<transaction_state>(d.states[i]) : transaction_state::unknown;
      ++i;
      auto wrong =
          failed ? failed
                 : check_decision("half message " + to_string(decision.message), decision.commit, state);
      settle(decision, wrong ? result<transaction_state>{std::move(wrong)} : result{state});
    }
  pump();
}

void transaction_client_state::answered(const transaction_answer& a) {
  auto node = sent_steps_.extract(a.tag);
  if (!node)
    return;
  if (passes(a.code)) {
    steps_.push_front(std::move(node.mapped()));
    pause(milliseconds{a.retry_after});
  } else if (a.code != errc::none)
    settle(node.mapped(), error{a.code, a.reason, a.hint});
  else
    settle(node.mapped(), a);
  pump();
}

void transaction_client_state::settle(const half_decision& d, const result<transaction_state>& outcome) {
  ++settled_;
  if (!d.done)
    return;
  const callback_mark mark;
  // A callback must not throw; if it does, the others must not suffer.
  try {
    d.done(outcome);
  } catch (...) {
  }
}

void transaction_client_state::settle(const transaction_step& s, const result<transaction_answer>& outcome) {
  ++settled_;
  if (!s.done)
    return;
  const callback_mark mark;
  try {
    s.done(outcome);
  } catch (...) {
  }
}

// -- what waits for too long
// -------------------------------------------------------------------------------

void transaction_client_state::arm_sweep() {
  const auto waits = [](const decisions& d) { return !d.empty(); };
  const bool open =
      !sent_.empty() || !sent_steps_.empty() || !steps_.empty() || std::ranges::any_of(waiting_, waits);
  if (open && !std::exchange(sweeping_, true))
    self->delayed_send(self, std::max(cfg_.timeout / 16, milliseconds{1}), decide_sweep_atom::value);
}

/// Of what was sent the answer is awaited no more.
void transaction_client_state::sweep() {
  sweeping_ = false;
  const auto now = steady_now();
  const auto late = [&](const auto& x) {
    if (x.deadline > now)
      return false;
    settle(x, too_late(subject(x)));
    return true;
  };
  std::erase_if(steps_, late);
  std::erase_if(sent_steps_, [&](const auto& s) { return late(s.second); });
  const auto is_late = [&](const half_decision& d) { return d.deadline <= now; };
  for (auto at = sent_.begin(); at != sent_.end();) {
    auto& batch = at->second;
    if (std::ranges::none_of(batch.commits, is_late) && std::ranges::none_of(batch.rollbacks, is_late)) {
      ++at;
      continue;
    }
    --under_way_[batch.shard];
    take_back(batch.commits, batch.shard);
    take_back(batch.rollbacks, batch.shard);
    at = sent_.erase(at);
  }
  for (auto& decisions : waiting_)
    std::erase_if(decisions, late);
  pump();
}

// -- questions
// ---------------------------------------------------------------------------------------------

void transaction_client_state::asked(check_transactions& c) {
  const auto from = caf::actor_cast<caf::actor>(self->current_sender());
  if (!cfg_.checks || !from)
    return;
  for (auto& item : c.items)
    cfg_.checks->put({std::move(item), from});
}

void transaction_client_state::handled(const check_handled& h) {
  if (std::ranges::find(shards_, h.from) != shards_.end())
    self->send(h.from, checks_done{h.cost});
}

void transaction_client_state::end(const error& why) {
  ended_ = why;
  self->quit();
}

caf::behavior transaction_client(caf::stateful_actor<transaction_client_state>* self,
                                 transaction_client_config cfg) {
  self->set_default_handler(caf::drop);
  self->state.start(std::move(cfg));
  return {
      [self](decided_halves& d) { self->state.answered(d); },
      [self](const transaction_answer& a) { self->state.answered(a); },
      [self](check_transactions& c) { self->state.asked(c); },
      [self](const check_handled& h) { self->state.handled(h); },
      [self](decide_atom) { self->state.collect(); },
      [self](decide_again_atom) { self->state.again(); },
      [self](decide_sweep_atom) { self->state.sweep(); },
      [self](expect_again_atom) { self->state.expect_checks_again(); },
      [self](deciders_atom) { self->state.ask_deciders(); },
      [self](const line_up& up) { self->state.line_came(up); },
      [self](const line_down&) { self->state.line_went(); },
      [self](const line_closed& closed) { self->state.end(closed.why); },
      [self](decide_stop_atom) { self->quit(); },
  };
}

} // namespace troupe
