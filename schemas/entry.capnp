@0xe58710afe0a7008c;
# Bodies of log entries, behind their fixed header (docs/disk-format.md). An append has none: its directory is fixed.

using Cxx = import "/capnp/c++.capnp";
using Definitions = import "definitions.capnp";
$Cxx.namespace("troupe::schema");

struct Settle {
  sections @0 :List(SettleSection);
}

struct SettleSection {
  group @0 :UInt32;
  queue @1 :UInt32;
  generation @2 :UInt64;
  lane @3 :UInt8;
  ranges @4 :List(SettleRange);
}

struct SettleRange {
  first @0 :UInt64;
  retryAt @1 :Int64;
  # Unix milliseconds.
  count @2 :UInt32;
  attempts @3 :UInt16;
  action @4 :UInt8;
  # 0 ack, 1 skip, 2 retry, 3 dead, 4 expired.
  reason @5 :UInt8;
  # dead: 1 attempts used up, 2 rejected, 3 expired, 4 too long unsettled; else 0.
  detail @6 :Text;
  # dead: what the consumer said, at most 1024 bytes of UTF-8; else absent.
}

struct Define {
  topics @0 :List(Definitions.Topic);
  groups @1 :List(Definitions.Group);
  removedTopics @2 :List(UInt32);
  removedGroups @3 :List(UInt32);
}

struct Trim {
  queue @0 :UInt32;
  first @1 :UInt64;
}

struct DropQueue {
  queue @0 :UInt32;
  group @1 :UInt32;
  # 0: the queue itself.
}

struct Reset {
  group @0 :UInt32;
  queue @1 :UInt32;
  lane @2 :UInt8;
  to @3 :UInt64;
}

struct MessagePlace {
  index @0 :UInt64;
  ordinal @1 :UInt32;
}

struct Redrive {
  group @0 :UInt32;
  queue @1 :UInt32;
  messages @2 :List(MessagePlace);
  # Sorted, without repetitions; 1 to 1024.
}

struct Purge {
  group @0 :UInt32;
  queue @1 :UInt32;
  messages @2 :List(MessagePlace);
  # As in Redrive.
}

struct TimerRow {
  start @0 :Int64;
  # Unix milliseconds at which its bucket begins.
  index @1 :UInt64;
  chunk @2 :UInt16;
  level @3 :UInt8;
  # 0 days, 1 minutes, 2 seconds.
}

struct Fire {
  queue @0 :UInt32;
  messageBytes @1 :UInt32;
  # About how many bytes a message has, for the size of the queue.
  rows @2 :List(TimerRow);
  # Where they wait; sorted, without repetitions; 1 to 1024.
  messages @3 :List(MessagePlace);
  # In the order in which they become visible; 1 to 1024.
}

struct Split {
  start @0 :Int64;
  messages @1 :UInt32;
  # About how many are moved; 1 to 16384.
  level @2 :UInt8;
  # 0 or 1.
}

struct Cancel {
  queue @0 :UInt32;
  row @1 :TimerRow;
  message @2 :MessagePlace;
}

struct Evict {
  before @0 :Int64;
  # Unix milliseconds.
  keep @1 :UInt64;
}

struct ForgetKeys {
  queue @0 :UInt32;
  before @1 :Int64;
  # Unix milliseconds.
}

struct MessageId {
  index @0 :UInt64;
  ordinal @1 :UInt32;
  shard @2 :UInt16;
}

struct Transaction {
  # One step.
  union {
    begin @0 :Begin;
    seal @1 :Seal;
    decide @2 :Decide;
    confirm @3 :Confirm;
    checked @4 :Checked;
    forget @5 :ForgetTransactions;
  }
}

struct Begin {
  group @0 :Text;
  # The producer group that is asked about it; absent: nobody is.
  key @1 :Text;
  # The application's name for it; may be absent.
  nextCheck @2 :Int64;
  # Unix milliseconds, as all times here.
}

struct Seal {
  transaction @0 :UInt64;
  nextCheck @1 :Int64;
  messages @2 :List(MessageId);
  # 1 to 1024.
}

struct Decide {
  home @0 :UInt16;
  begin @1 :UInt64;
  # The transaction; 0: each message is one of its own.
  isHome @2 :Bool;
  commit @3 :Bool;
  guard @4 :SettleSection;
  # Home and commit only; acks only. Absent: no guard.
  queues @5 :List(DecidedMessages);
  # Ascending, none empty; together at most 1024 messages, and 1 at least unless isHome.
  elsewhere @6 :List(MessageId);
  # Home only: messages of other shards, at most 1024.
  nextCheck @7 :Int64;
  # Home only.
}

struct DecidedMessages {
  queue @0 :UInt32;
  messageBytes @1 :UInt32;
  # About how many bytes a message has, for the size of the queue.
  messages @2 :List(MessagePlace);
  # In the order in which they become visible.
}

struct Confirm {
  transaction @0 :UInt64;
  shard @1 :UInt16;
}

struct Checked {
  places @0 :List(CheckedPlace);
  # 1 to 1024.
}

struct CheckedPlace {
  nextCheck @0 :Int64;
  index @1 :UInt64;
  queue @2 :UInt32;
  # 0: the transaction that was begun at index.
  first @3 :UInt32;
  # Ordinal of the first half message of the row.
}

struct ForgetTransactions {
  before @0 :Int64;
}
