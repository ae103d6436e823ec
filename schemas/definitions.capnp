@0xe1d477f005799c0f;
# Topics and groups as the catalog holds them. Grow by appending fields with defaults that mean what was before.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schema");

struct Topic {
  id @0 :UInt32;
  name @1 :Text;
  queues @2 :UInt32;
  priorities @3 :UInt8;
  maxMessage @4 :UInt32;
  retention @5 :UInt64;
  # Milliseconds; 0 for ever.
  retentionBytes @6 :UInt64;
  # Per queue; 0 without limit.
  ranges @7 :List(QueueRange);
  # In the order of queue numbers, and of each those of priority 0, 1, ...; the counts add up to queues x priorities.
  created @8 :Int64;
  # Unix milliseconds.
  version @9 :UInt64;
  dedupeWindow @10 :UInt64;
  # Milliseconds; 0: keys mean nothing.
}

struct QueueRange {
  first @0 :UInt32;
  count @1 :UInt32;
}

struct Group {
  id @0 :UInt32;
  name @1 :Text;
  mode @2 :UInt8;
  # 0 shared, 1 ordered, 2 broadcast.
  maxUnsettled @3 :UInt32;
  lease @4 :UInt64;
  # Milliseconds.
  retryDelay @5 :UInt64;
  # Milliseconds: the pause after every failure where `retry` is absent, else the first one.
  subscriptions @6 :List(GroupSubscription);
  created @7 :Int64;
  # Unix milliseconds.
  version @8 :UInt64;
  retry @9 :Retry;
  # Absent in what older programs wrote: then `retryDelay` after every failure.
  paused @10 :Bool;
  maxAttempts @11 :UInt16;
  # 0: a message is retried for ever.
  onExhausted @12 :UInt8;
  # 0 dead letter, 1 drop, 2 block.
  deadLetterRetention @13 :UInt64;
  # Milliseconds; 0 for ever.
  orderBy @14 :UInt8;
  # 0 key, 1 queue.
  orderBatch @15 :UInt32 = 1;
  parent @16 :UInt32;
  # Of a broadcast group's member: the group; else 0.
  seen @17 :Int64;
  # Unix milliseconds.
  maxUnsettledBytes @18 :UInt64 = 67108864;
  lowShare @19 :UInt16 = 10;
  # One message in so many; 0: none while a higher one waits.
  onExpired @20 :UInt8;
  # 0 drop, 1 dead letter.
}

struct Retry {
  steps @0 :List(UInt32);
  # Milliseconds after the first, second, ... failure; the last one repeats. Empty: growing pauses.
  initial @1 :UInt32;
  # Milliseconds.
  factor @2 :UInt32;
  # Hundredths.
  maximum @3 :UInt32;
  # Milliseconds.
  jitter @4 :UInt8;
  # Percent.
}

struct GroupSubscription {
  topic @0 :UInt32;
  start @1 :UInt8;
  # 0 earliest, 1 latest, 2 time.
  filter @2 :Text;
  startTime @3 :Int64;
  # Unix milliseconds.
}
