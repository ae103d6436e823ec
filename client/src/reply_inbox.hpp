#pragma once

#include "line.hpp"
#include "reply_board.hpp"

#include "troupe/wire_reply.hpp"

#include <caf/stateful_actor.hpp>

#include <memory>
#include <string>

namespace troupe {

using inbox_tick_atom = caf::atom_constant<caf::atom("inboxtick")>;
/// From the program's threads: there is an earlier deadline.
using inbox_arm_atom = caf::atom_constant<caf::atom("inboxarm")>;
using inbox_again_atom = caf::atom_constant<caf::atom("inboxagain")>;
using inbox_stop_atom = caf::atom_constant<caf::atom("inboxstop")>;

struct reply_inbox_config {
  caf::actor connection;
  /// Where replies go: 32 hexadecimal digits, drawn for this requester.
  std::string address;
  std::shared_ptr<reply_board> board;
};

/// REPLY INBOX: one per requester. Tells each node that CONNECTION finds where replies go, hands them out,
/// and ends what waited for too long.
struct reply_inbox_state {
  static inline const char* name = "reply_inbox";

  explicit reply_inbox_state(caf::event_based_actor* self) : self(self) {}
  ~reply_inbox_state();

  void start(reply_inbox_config c);
  void line_came(const line_up& up);
  void line_went() { directory_ = nullptr; }
  void announce();
  void came(const reply_message& r);
  void tick(std::uint64_t epoch);
  void arm();
  void end(const error& why);

  caf::event_based_actor* self;

private:
  milliseconds now() const;

  reply_inbox_config cfg_;
  caf::actor directory_;
  std::uint64_t session_ = 0;
  std::uint64_t epoch_ = 0;
  std::optional<milliseconds> armed_;
  error ended_{errc::shutting_down, "the requester was closed", "open another one"};
};

caf::behavior reply_inbox(caf::stateful_actor<reply_inbox_state>* self, reply_inbox_config cfg);

} // namespace troupe
