#include "connection.hpp"

#include "troupe/units.hpp"

#include <caf/atom.hpp>
#include <caf/sec.hpp>

#include <algorithm>
#include <set>

namespace troupe {

namespace {

/// What an attempt to reach the node has come to.
enum class attempt_end { nobody_listens, no_answer, hung_up, refused };

/// CAF tells apart whether there was a connection at all. Not so with TLS: it counts the handshake to that.
attempt_end end_of(const caf::error& why, const connection_config& cfg) {
  const bool unreached = why.category() == caf::atom("system") &&
                         static_cast<caf::sec>(why.code()) == caf::sec::cannot_connect_to_node;
  if (unreached)
    return attempt_end::nobody_listens;
  const auto code = from_caf(why).code;
  if (code == errc::timeout)
    return attempt_end::no_answer;
  return cfg.embedded || code == errc::unknown_version || code == errc::overloaded ||
                 code == errc::shutting_down
             ? attempt_end::refused
             : attempt_end::hung_up;
}

/// A failed attempt in words, with what to do about it.
error explain(attempt_end end, const error& why, const connection_config& cfg, bool greeting) {
  const auto where = cfg.address();
  if (why.code == errc::unknown_version)
    return why;
  if (cfg.embedded)
    return why.code == errc::timeout
               ? error{errc::timeout, "the node in this process does not answer",
                       "it is overloaded; try again"}
               : error{errc::shutting_down, "the node in this process has stopped", "start another one"};
  if (end == attempt_end::refused)
    return {why.code, "the node at " + where + " takes no clients now: " + why.reason, why.hint,
            why.retry_after};
  const auto patience = format_duration(cfg.timeout);
  const auto tls = std::string{cfg.tls ? ", and that the node uses TLS as this client does"
                                       : "; if the node uses TLS, give this client TLS files too"};
  if (end == attempt_end::nobody_listens)
    return {errc::disconnected, (cfg.tls ? "no node with TLS answers at " : "nobody listens at ") + where,
            cfg.tls
                ? "start one there with TLS (this client speaks nothing else), and check certificate, key "
                  "and CA on both sides"
                : "start a node with: trouped --data DIR --listen " + where + "; or check host and port"};
  // Without a connection it is the network, or a queue of connections that nobody takes.
  if (end == attempt_end::no_answer && !greeting)
    return {errc::timeout, "no node at " + where + " answered within " + patience,
            "what listens there may be stopped, busy or no node, or the network drops what goes there; allow "
            "more time, or check host and port" +
                tls};
  return {end == attempt_end::no_answer ? errc::timeout : errc::disconnected,
          "something accepts connections at " + where + " but did not answer as a node within " + patience,
          "it may be stopped, busy, or no node; allow more time, or check host and port" + tls};
}

} // namespace

connection_state::~connection_state() {
  const error over{errc::shutting_down, "the client was closed", "connect again"};
  for (auto& weak : asked_)
    if (auto call = weak.lock())
      call->fail(over);
  for (auto& weak : waiting_)
    if (auto call = weak.lock())
      call->fail(over);
  if (cfg.status)
    cfg.status->ended();
}

void connection_state::start(connection_config c) {
  cfg = std::move(c);
  pause_ = backoff(cfg.min_backoff, cfg.max_backoff);
  random_.seed(static_cast<std::minstd_rand::result_type>(cfg.seed));
  attempt();
}

void connection_state::retry(std::uint64_t after) {
  if (after == attempt_)
    attempt();
}

void connection_state::attempt() {
  if (closing_ || directory_)
    return;
  const auto number = ++attempt_;
  if (cfg.embedded)
    found(number, caf::actor_cast<caf::strong_actor_ptr>(cfg.embedded));
  else
    ask_for_directory(number);
}

void connection_state::ask_for_directory(std::uint64_t number) {
  self->request(cfg.middleman, cfg.timeout, caf::connect_atom::value, cfg.host, cfg.port)
      .then([this, number](const caf::node_id&, caf::strong_actor_ptr& published,
                           const std::set<std::string>&) { found(number, published); },
            [this, number](caf::error& why) { missed(number, why, false); });
}

void connection_state::found(std::uint64_t number, const caf::strong_actor_ptr& published) {
  if (number != attempt_ || closing_)
    return;
  if (!published)
    return missed(number, caf::sec::no_actor_published_at_port, false);
  candidate_ = caf::actor_cast<caf::actor>(published);
  self->monitor(candidate_);
  self->request(candidate_, cfg.timeout, hello{wire_version, cfg.client_name})
      .then([this, number](const welcome& w) { greeted(number, w); },
            [this, number](caf::error& why) { missed(number, why, true); });
}

void connection_state::greeted(std::uint64_t number, const welcome& w) {
  if (number != attempt_ || closing_ || !candidate_)
    return;
  if (w.version != wire_version)
    return failed(number,
                  {errc::unknown_version,
                   "the node " + w.node + " (" + w.software + ") speaks version " +
                       std::to_string(w.version) + " of the protocol, this client version " +
                       std::to_string(wire_version),
                   "use the same release on both sides"},
                  true);
  directory_ = std::move(candidate_);
  candidate_ = nullptr;
  ++session_;
  pause_.reset();
  cfg.status->up();
  tell_all(line_up{directory_, session_});
  for (auto waiting = std::exchange(waiting_, {}); auto& weak : waiting)
    if (auto call = weak.lock())
      carry_out(std::move(call));
}

void connection_state::missed(std::uint64_t number, const caf::error& why, bool greeting) {
  const auto end = end_of(why, cfg);
  failed(number, explain(end, from_caf(why), cfg, greeting),
         end == attempt_end::nobody_listens || cfg.embedded != nullptr);
}

void connection_state::failed(std::uint64_t number, error why, bool final) {
  if (number != attempt_ || closing_)
    return;
  ++attempt_; // whatever else comes of this attempt is too late
  if (candidate_)
    self->demonitor(candidate_);
  candidate_ = nullptr;
  cfg.status->down(std::move(why), final);
  auto pause = pause_.next(random_());
  // Somebody waits in connect().
  if (session_ == 0)
    pause = std::min(pause, std::max(cfg.min_backoff, milliseconds{250}));
  self->delayed_send(self, pause, retry_atom::value, attempt_);
}

void connection_state::lost(const caf::down_msg& down) {
  if (directory_ && down.source == directory_.address()) {
    drop_line({errc::disconnected, "the connection to the node at " + cfg.address() + " was lost",
               "the client connects again by itself; check that the node runs"});
    attempt();
  } else if (candidate_ && down.source == candidate_.address())
    missed(attempt_, caf::sec::request_receiver_down, true);
  else {
    std::erase_if(attached_, [&](const caf::actor& a) { return a.address() == down.source; });
    if (closing_ && attached_.empty())
      self->quit();
  }
}

void connection_state::attach(caf::actor who) {
  if (closing_) {
    self->send(who, line_closed{{errc::shutting_down, "the client was closed", "connect again"}});
    return;
  }
  self->monitor(who);
  if (directory_)
    self->send(who, line_up{directory_, session_});
  attached_.push_back(std::move(who));
}

void connection_state::carry_out(std::shared_ptr<pending_call> call) {
  if (closing_)
    return call->fail({errc::shutting_down, "the client was closed", "connect again"});
  forget_finished_calls();
  if (!directory_) {
    waiting_.push_back(call);
    return;
  }
  asked_.push_back(call);
  call->start(self, directory_);
}

void connection_state::close() {
  if (closing_)
    return;
  closing_ = true;
  const error why{errc::shutting_down, "the client was closed", "connect again"};
  drop_line(why);
  tell_all(line_closed{why});
  if (attached_.empty())
    self->quit();
}

void connection_state::drop_line(const error& why) {
  if (directory_)
    self->demonitor(directory_);
  directory_ = nullptr;
  cfg.status->down(why);
  if (!closing_)
    tell_all(line_down{why});
  // A request to a lost peer is never answered: don't let the callers wait for their timeouts.
  for (auto asked = std::exchange(asked_, {}); auto& weak : asked)
    if (auto call = weak.lock())
      call->fail(why);
}

void connection_state::forget_finished_calls() {
  const auto over = [](const std::weak_ptr<pending_call>& weak) {
    auto call = weak.lock();
    return !call || call->over();
  };
  if (asked_.size() >= 64)
    std::erase_if(asked_, over);
  if (waiting_.size() >= 64)
    std::erase_if(waiting_, over);
}

template <class Message> void connection_state::tell_all(const Message& m) {
  for (const auto& who : attached_)
    self->send(who, m);
}

caf::behavior connection(caf::stateful_actor<connection_state>* self, connection_config cfg) {
  self->set_down_handler([self](caf::down_msg& m) { self->state.lost(m); });
  self->set_default_handler(caf::drop);
  self->state.start(std::move(cfg));
  return {
      [self](attach_line& a) { self->state.attach(std::move(a.who)); },
      [self](call_directory& c) { self->state.carry_out(std::move(c.call)); },
      [self](retry_atom, std::uint64_t after) { self->state.retry(after); },
      [self](close_atom) { self->state.close(); },
  };
}

} // namespace troupe
